//! The two sockets of a push: the operator's, where it is decided, and the device's, where it arrives.
//!
//! Both are spoken as any program would speak them: JSON lines, and HTTP/1.1 on a Unix socket.
//! Refuses to use anything that only Postern itself could.

use crate::error::BenchError;
use postern_lab::Revision;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Milliseconds that the controller may wait for a report.
const WAIT_MS: u64 = 20_000;
/// Bytes of one answer of the local API at most; ours have a few hundred.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// The operator's socket.
#[derive(Debug)]
pub struct Operator(BufReader<UnixStream>);

impl Operator {
    /// Connects to the controller of a folder.
    ///
    /// # Errors
    /// [`BenchError::Io`] when none runs there.
    pub fn connect(dir: &Path) -> Result<Self, BenchError> {
        let socket = dir.join("controller.sock");
        let stream = UnixStream::connect(socket).map_err(BenchError::io("reach the controller"))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Decides one number and returns the revision once it is durable.
    ///
    /// # Errors
    /// [`BenchError::Answer`] when it is refused.
    pub fn set(&mut self, device: &str, path: &str, value: u64) -> Result<Revision, BenchError> {
        let answer = self.ask(&json!({
            "op": "decide", "target": { "tenant": "default", "device": device },
            "changes": [{ "set": [path, value] }],
        }))?;
        let revision = answer.get("desired").and_then(Revision::of);
        revision.ok_or_else(|| unexpected("a decision is refused", &answer))
    }

    /// Waits until the device reports that it applied a revision.
    ///
    /// # Errors
    /// [`BenchError::Answer`] when it does not.
    pub fn wait(&mut self, device: &str, revision: Revision) -> Result<(), BenchError> {
        let answer = self.ask(&json!({
            "op": "wait", "target": { "tenant": "default", "device": device },
            "revision": { "epoch": revision.epoch, "seq": revision.seq }, "timeout_ms": WAIT_MS,
        }))?;
        if answer.get("applied").is_some() {
            Ok(())
        } else {
            Err(unexpected("a push is not applied", &answer))
        }
    }

    fn ask(&mut self, request: &Value) -> Result<Value, BenchError> {
        let mut answer = String::new();
        let line = format!("{request}\n");
        let written = self.0.get_mut().write_all(line.as_bytes());
        written
            .and_then(|()| self.0.read_line(&mut answer))
            .map_err(BenchError::io("ask the controller"))?;
        parse("the controller answers no JSON", &answer)
    }
}

/// One request at the device's local API, which takes one request a connection.
#[derive(Debug)]
pub struct LocalAsk(BufReader<UnixStream>);

impl LocalAsk {
    /// Asks to be told when the desired state is another one than at `known`.
    ///
    /// # Errors
    /// [`BenchError::Io`] when nobody listens.
    pub fn watch(socket: &Path, known: Revision) -> Result<Self, BenchError> {
        let after = format!("{}.{}", known.epoch, known.seq);
        Self::send(
            socket,
            "GET",
            &format!("/v1/desired?after={after}&wait=20"),
            "",
        )
    }

    /// Returns once the device's durable desired state is at `revision` or later.
    ///
    /// # Errors
    /// [`BenchError::Answer`] when the API answers anything else.
    pub fn told(mut self, revision: Revision) -> Result<(), BenchError> {
        let (status, body) = self.answer()?;
        let answer = parse("the local API answers no JSON", &body).unwrap_or_default();
        let found = answer.get("revision").and_then(Revision::of);
        if status == 200 && found.is_some_and(|found| found >= revision) {
            return Ok(());
        }
        Err(unexpected(
            "the local API tells another state",
            &Value::String(body),
        ))
    }

    /// Reports that the application finished with a revision.
    ///
    /// # Errors
    /// [`BenchError::Answer`] when the API refuses.
    pub fn report_applied(socket: &Path, revision: Revision) -> Result<(), BenchError> {
        let body = json!({ "epoch": revision.epoch, "seq": revision.seq, "status": 0 }).to_string();
        let (status, answer) = Self::send(socket, "POST", "/v1/results", &body)?.answer()?;
        if (200..300).contains(&status) {
            Ok(())
        } else {
            Err(unexpected(
                "the local API refuses a result",
                &Value::String(answer),
            ))
        }
    }

    fn send(socket: &Path, method: &str, target: &str, body: &str) -> Result<Self, BenchError> {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream =
            UnixStream::connect(socket).map_err(BenchError::io("reach the local API"))?;
        let written = stream.write_all(head.as_bytes());
        written.map_err(BenchError::io("ask the local API"))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn answer(&mut self) -> Result<(u16, String), BenchError> {
        self.read_answer()
            .map_err(BenchError::io("ask the local API"))
    }

    fn read_answer(&mut self) -> std::io::Result<(u16, String)> {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest
                    .get(..3)
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(0);
            } else if let Some(rest) = line.strip_prefix("content-length:") {
                length = rest.trim().parse::<u64>().unwrap_or(0).min(BODY_BYTES_MAX);
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = String::new();
        (&mut self.0).take(length).read_to_string(&mut body)?;
        Ok((status, body))
    }
}

fn parse(what: &'static str, text: &str) -> Result<Value, BenchError> {
    serde_json::from_str(text).map_err(|_| unexpected(what, &Value::String(text.to_owned())))
}

fn unexpected(what: &'static str, answer: &Value) -> BenchError {
    BenchError::Answer {
        what,
        answer: answer.to_string(),
    }
}
