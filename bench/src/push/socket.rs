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
        let socket = dir.join("operator.sock");
        let stream = UnixStream::connect(socket).map_err(BenchError::io("reach the controller"))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Decides one number and returns the revision once it is durable.
    ///
    /// # Errors
    /// [`BenchError::Answer`] when it is refused.
    pub fn set(&mut self, device: &str, path: &str, value: u64) -> Result<Revision, BenchError> {
        let answer = self.ask(&json!({
            "op": "decide", "tenant": "default", "device": device,
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
            "op": "wait", "tenant": "default", "device": device,
            "epoch": revision.epoch, "seq": revision.seq, "timeout_ms": WAIT_MS,
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

/// The device's local API, on one connection that is kept.
#[derive(Debug)]
pub struct LocalApi(BufReader<UnixStream>);

impl LocalApi {
    /// Connects to a device.
    ///
    /// # Errors
    /// [`BenchError::Io`] when nobody listens.
    pub fn connect(socket: &Path) -> Result<Self, BenchError> {
        let stream = UnixStream::connect(socket).map_err(BenchError::io("reach the local API"))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Returns once the device's durable desired state is at `revision` or later.
    ///
    /// # Errors
    /// [`BenchError::Answer`] when the API answers something else than a state or nothing new.
    pub fn wait_for(&mut self, revision: Revision) -> Result<(), BenchError> {
        loop {
            let after = format!("{}.{}", revision.epoch, revision.seq.saturating_sub(1));
            let target = format!("/v1/desired?after={after}&wait=20");
            let (status, body) = self.request("GET", &target, "")?;
            let answer = parse("the local API answers no JSON", &body).unwrap_or_default();
            let found = answer.get("revision").and_then(Revision::of);
            if status == 200 && found.is_some_and(|found| found >= revision) {
                return Ok(());
            }
            if status != 204 && status != 200 {
                return Err(unexpected("the local API refuses", &Value::String(body)));
            }
        }
    }

    /// Reports that the application finished with a revision.
    ///
    /// # Errors
    /// [`BenchError::Answer`] when the API refuses.
    pub fn report_applied(&mut self, revision: Revision) -> Result<(), BenchError> {
        let body = json!({ "epoch": revision.epoch, "seq": revision.seq, "status": 0 }).to_string();
        let (status, answer) = self.request("POST", "/v1/results", &body)?;
        if (200..300).contains(&status) {
            Ok(())
        } else {
            Err(unexpected(
                "the local API refuses a result",
                &Value::String(answer),
            ))
        }
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        body: &str,
    ) -> Result<(u16, String), BenchError> {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let written = self.0.get_mut().write_all(head.as_bytes());
        written.map_err(BenchError::io("ask the local API"))?;
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
