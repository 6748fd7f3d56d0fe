//! The conformance child: one operation a line on standard input, one answer a line on standard output.
//!
//! Follows `interop-vectors/CLIENT-CLI.md`. A line that is broken, too long or lacks a member is
//! answered as `unsupported` with a `detail` that says what is wrong, and the next line is read.
//! Refuses to keep anything between lines, and to hold more than one line in memory.

mod operation;
mod sign1;
#[cfg(test)]
mod tests;
mod typed;

use crate::exit::CommandError;
use operation::Fault;
use serde_json::{Map, Value as Json, json};
use std::io::{self, BufRead, Read, Write};

/// Bytes of one line. Arbitrary, above the largest state in hexadecimal.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Answers operations from standard input until it ends.
///
/// # Errors
/// A standard input or output that breaks.
pub(crate) fn run() -> Result<(), CommandError> {
    serve(io::stdin().lock(), io::stdout().lock()).map_err(|error| {
        CommandError::failure(
            "conformance-stream",
            format!("standard input or output broke: {error}"),
            "start the child from a runner that keeps both open",
        )
    })
}

/// Answers each line of `input` on `output`. # Errors: those of the two streams.
fn serve(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        let answer = match read_line(&mut input, &mut line)? {
            Line::End => return Ok(()),
            Line::TooLong => unsupported(Json::Null, "the line is longer than 16 MiB"),
            Line::Whole if line.trim_ascii().is_empty() => continue,
            Line::Whole => answer_line(&line),
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
}

/// What was read.
enum Line {
    End,
    Whole,
    TooLong,
}

fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let count = input.by_ref().take(limit).read_until(b'\n', line)?;
    if count < LINE_BYTES_MAX || line.ends_with(b"\n") {
        return Ok(if count == 0 { Line::End } else { Line::Whole });
    }
    skip_line(input)?;
    Ok(Line::TooLong)
}

/// Reads to the end of the line without keeping it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = input.fill_buf()?;
        let end = held.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(held.len(), |at| at + 1);
        input.consume(count);
        if end.is_some() || count == 0 {
            return Ok(());
        }
    }
}

fn answer_line(line: &[u8]) -> Json {
    let request: Json = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return unsupported(Json::Null, &format!("the line is no JSON: {error}")),
    };
    let id = request.get("id").cloned().unwrap_or(Json::Null);
    match operation::answer(&request) {
        Ok(outputs) => valid(id, outputs),
        Err(Fault::Refused(reject)) => {
            json!({ "id": id, "result": "invalid", "error": reject.as_str() })
        }
        Err(Fault::Unsupported(detail)) => unsupported(id, &detail),
    }
}

fn valid(id: Json, outputs: Map<String, Json>) -> Json {
    let mut reply = Map::new();
    reply.insert("id".into(), id);
    reply.insert("result".into(), "valid".into());
    reply.extend(outputs);
    Json::Object(reply)
}

fn unsupported(id: Json, detail: &str) -> Json {
    json!({ "id": id, "result": "unsupported", "detail": detail })
}
