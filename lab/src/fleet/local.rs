//! One request on a device's local socket, as `curl --unix-socket` sends it.
//!
//! It refuses to interpret the answer beyond HTTP's first line, its fields and its body.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::LabError;

/// An answer of the local API.
#[derive(Clone, Debug)]
pub struct LocalAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The lines of the head after the first.
    pub head: String,
    /// The body.
    pub body: String,
}

impl LocalAnswer {
    /// Returns the body as JSON, `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Sends raw bytes and reads until the device closes.
///
/// # Errors
/// [`LabError::Io`] when nobody listens or the answer is no HTTP.
pub fn exchange(socket: &Path, request: &[u8]) -> Result<LocalAnswer, LabError> {
    let what = || format!("ask {}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(LabError::io(what()))?;
    stream.write_all(request).map_err(LabError::io(what()))?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .map_err(LabError::io(what()))?;
    let invalid = || LabError::io(format!("read {text:?}"))(std::io::ErrorKind::InvalidData.into());
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let (first, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
    Ok(LocalAnswer {
        status: status.ok_or_else(invalid)?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// Sends one request with a body, perhaps an empty one.
///
/// # Errors
/// As [`exchange`].
pub fn request(
    socket: &Path,
    method: &str,
    resource: &str,
    body: &str,
) -> Result<LocalAnswer, LabError> {
    let length = body.len();
    let text = format!(
        "{method} {resource} HTTP/1.1\r\nHost: device\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    exchange(socket, text.as_bytes())
}
