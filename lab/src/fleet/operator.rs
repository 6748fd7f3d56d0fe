//! The operator's socket as a program uses it: one connection, a JSON line for each decision.
//!
//! It refuses to repeat a decision: a connection that ends is an error, and only the caller knows what it lost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::{Revision, invalid};
use crate::LabError;

/// A connection to the operator's socket.
#[derive(Debug)]
pub struct Operator {
    reader: BufReader<UnixStream>,
}

impl Operator {
    /// Connects to the controller of a folder.
    ///
    /// # Errors
    /// [`LabError::Io`] when none runs there.
    pub(super) fn connect(dir: &Path) -> Result<Self, LabError> {
        let socket = dir.join("controller.sock");
        let stream = UnixStream::connect(&socket)
            .map_err(LabError::io(format!("reach {}", socket.display())))?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    /// Decides a value and returns the revision.
    ///
    /// # Errors
    /// [`LabError::Io`] when the controller refuses or went away.
    pub fn set(&mut self, device: &str, path: &str, value: &Value) -> Result<Revision, LabError> {
        let answer = self.ask(&json!({
            "op": "decide",
            "target": {"tenant": "default", "device": device},
            "changes": [{"set": [path, value]}],
        }))?;
        let desired = answer.get("desired").and_then(Revision::of);
        desired.ok_or_else(|| invalid("find a revision", &answer.to_string()))
    }

    fn ask(&mut self, request: &Value) -> Result<Value, LabError> {
        let what = || "ask the controller".to_owned();
        let line = format!("{request}\n");
        let written = self.reader.get_mut().write_all(line.as_bytes());
        written.map_err(LabError::io(what()))?;
        let mut answer = String::new();
        self.reader
            .read_line(&mut answer)
            .map_err(LabError::io(what()))?;
        serde_json::from_str(&answer).map_err(|_error| invalid("read JSON", &answer))
    }
}
