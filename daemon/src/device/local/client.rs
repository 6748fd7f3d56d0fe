//! The command line's end of the local socket: one request, one answer, one connection.
//!
//! Refuses to wait for a device that hangs, and answers larger than this device can give.

use super::limits::{ANSWER_DEADLINE, DIAGNOSIS_DEADLINE};
use super::request::Control;
use crate::config::LocalApi;
use crate::exit::{CommandError, Exit};
use postern_console::doctor::Report;
use serde_json::Value as Json;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Bytes of an answer that a command reads: a status with all its counts.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// How much longer than the device itself waits. Arbitrary.
const GRACE: Duration = Duration::from_secs(5);

/// Asks the running device how it is; `None` when none runs.
///
/// # Errors
/// A socket that this user may not use, a device that does not answer.
pub fn status(api: &LocalApi) -> Result<Option<Json>, CommandError> {
    ask(api, "GET", "/v1/status", ANSWER_DEADLINE)
}

/// Asks the running device for its last attempts to get out; `None` when none runs.
///
/// # Errors
/// As [`status`].
pub fn attempts(api: &LocalApi) -> Result<Option<Json>, CommandError> {
    ask(api, "GET", "/v1/attempts", ANSWER_DEADLINE)
}

/// Asks the running device to do something; false when none runs.
///
/// # Errors
/// As [`status`], and the device's refusal.
pub fn control(api: &LocalApi, control: Control) -> Result<bool, CommandError> {
    let resource = format!("/v1/control/{}", control.as_str());
    ask(api, "POST", &resource, ANSWER_DEADLINE).map(|answer| answer.is_some())
}

/// Lets the running device look why it gets out or not; `None` when none runs.
///
/// # Errors
/// As [`control`], and a report of another version.
pub fn diagnose(api: &LocalApi, is_deep: bool) -> Result<Option<Report>, CommandError> {
    let resource = match is_deep {
        true => "/v1/doctor/deep",
        false => "/v1/doctor",
    };
    // The device waits for its loop first, then for the network.
    let patience = ANSWER_DEADLINE + DIAGNOSIS_DEADLINE;
    let Some(json) = ask(api, "POST", resource, patience)? else {
        return Ok(None);
    };
    let report = serde_json::from_value(json);
    report
        .map(Some)
        .map_err(|error| unusable(api, &io::Error::other(error)))
}

fn ask(
    api: &LocalApi,
    method: &str,
    resource: &str,
    patience: Duration,
) -> Result<Option<Json>, CommandError> {
    let stream = match UnixStream::connect(&api.socket) {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unusable(api, &error)),
    };
    let answer =
        exchange(stream, method, resource, patience).map_err(|error| unusable(api, &error))?;
    let (status, body) =
        split(&answer).ok_or_else(|| unusable(api, &io::Error::other("the answer is not HTTP")))?;
    let json: Json = serde_json::from_str(body).unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok(Some(json));
    }
    let title = json
        .get("title")
        .and_then(Json::as_str)
        .unwrap_or("refused");
    let detail = json.get("detail").and_then(Json::as_str);
    let name = json.get("type").and_then(Json::as_str).unwrap_or_default();
    let name = name.rsplit(':').next().unwrap_or_default();
    Err(CommandError::new(
        Exit::Refused,
        name,
        format!("the device refused: {}", detail.unwrap_or(title)),
        "look at `postern device status`, then ask again",
    ))
}

fn is_absent(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
    kinds.contains(&error.kind())
}

fn exchange(
    mut stream: UnixStream,
    method: &str,
    resource: &str,
    patience: Duration,
) -> io::Result<String> {
    stream.set_read_timeout(Some(patience + GRACE))?;
    stream.set_write_timeout(Some(GRACE))?;
    let head = format!("{method} {resource} HTTP/1.1\r\nHost: device\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Splits an answer into its status and its body.
fn split(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

fn unusable(api: &LocalApi, error: &io::Error) -> CommandError {
    CommandError::unreachable(
        "local-socket-unusable",
        format!("{}: {error}", api.socket.display()),
        "run this as the user who runs the device",
    )
}
