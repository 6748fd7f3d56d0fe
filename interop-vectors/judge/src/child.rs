//! The child protocol: one request a line in, one reply a line out.
//!
//! Refuses to hold more than one line, and to stop because of a line that is broken.

use crate::limits::LINE_BYTES_MAX;
use crate::operation;
use crate::request::{Fault, Outputs};
use serde_json::{Map, Value as Json, json};
use std::io::{self, BufRead, Read, Write};

/// Answers each line of `input` on `output` until the input ends.
///
/// # Errors
/// Those of the two streams.
pub fn serve(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
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

/// Answers one request, which names its operation as `op`.
#[must_use]
pub fn reply(request: &Json) -> Json {
    let id = request.get("id").cloned().unwrap_or(Json::Null);
    match operation::answer(request) {
        Ok(outputs) => valid(id, outputs),
        Err(Fault::Refused(reject)) => invalid(id, reject.as_str(), Outputs::new()),
        Err(Fault::RefusedWith(reject, outputs)) => invalid(id, reject.as_str(), outputs),
        Err(Fault::Unsupported(detail)) => unsupported(id, &detail),
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
    match serde_json::from_slice(line) {
        Ok(request) => reply(&request),
        Err(error) => unsupported(Json::Null, &format!("the line is no JSON: {error}")),
    }
}

fn valid(id: Json, outputs: Outputs) -> Json {
    let mut reply = Map::new();
    reply.insert("id".into(), id);
    reply.insert("result".into(), "valid".into());
    reply.extend(outputs);
    Json::Object(reply)
}

fn invalid(id: Json, error: &str, outputs: Outputs) -> Json {
    let mut reply = Map::new();
    reply.insert("id".into(), id);
    reply.insert("result".into(), "invalid".into());
    reply.insert("error".into(), error.into());
    reply.extend(outputs);
    Json::Object(reply)
}

fn unsupported(id: Json, detail: &str) -> Json {
    json!({ "id": id, "result": "unsupported", "detail": detail })
}
