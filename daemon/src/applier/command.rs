//! Runs the command of a revision and brings back how it ended.
//!
//! The command gets one JSON object on standard input and the numbers in its environment:
//! `{"epoch","seq","digest","folder","changed":[paths],"removed":[paths]}`. It runs at least once a
//! revision and tells repetitions by (epoch, seq). `changed` and `removed` are against the last
//! revision that the command took with status 0, so that a failure or a crash hides no change.
//! It has a process group of its own, which ends with the time limit; what it leaves in the
//! background before that is its own affair. Refuses shells, unbounded output and unbounded time.

use super::generation::Changes;
use super::tail::Tail;
use super::{OnChange, STATUS_NOT_STARTED, STATUS_SIGNAL, STATUS_TIME_LIMIT};
use postern_protocol::id::Digest;
use postern_protocol::revision::Revision;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// From SIGTERM to SIGKILL. Arbitrary.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long output is awaited after the command ended, in case something in the background holds it.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// What the command is told.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) revision: Revision,
    pub(super) digest: &'a Digest,
    pub(super) folder: &'a Path,
    pub(super) changes: &'a Changes,
}

/// How the command ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) status: i64,
    pub(super) output: String,
}

/// Runs the command to its end or its time limit.
pub(super) async fn run(on_change: &OnChange, request: &Request<'_>) -> Finished {
    let mut child = match spawn(on_change, request) {
        Ok(child) => child,
        Err(error) => {
            let program = on_change.command.first().map_or("", String::as_str);
            return Finished {
                status: STATUS_NOT_STARTED,
                output: format!("cannot start {program:?}: {error}"),
            };
        }
    };
    let mut group = Group::of(&child);
    let tail = Arc::new(Mutex::new(Tail::default()));
    let mut readers = JoinSet::new();
    if let Some(stdout) = child.stdout.take() {
        readers.spawn(read_into(stdout, Arc::clone(&tail)));
    }
    if let Some(stderr) = child.stderr.take() {
        readers.spawn(read_into(stderr, Arc::clone(&tail)));
    }
    let stdin = child.stdin.take();
    let input = to_json(request);
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        if let Some(mut stdin) = stdin {
            // A command that does not read its input is free to do so.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    });
    let status = wait(&mut child, &group, on_change.time_limit).await;
    group.disarm();
    let _ = timeout(OUTPUT_GRACE, async {
        while readers.join_next().await.is_some() {}
    })
    .await;
    let output = tail
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .to_text();
    Finished { status, output }
}

fn spawn(on_change: &OnChange, request: &Request<'_>) -> std::io::Result<Child> {
    let Some((program, arguments)) = on_change.command.split_first() else {
        return Err(std::io::Error::other("the command is empty"));
    };
    Command::new(program)
        .args(arguments)
        .env("POSTERN_EPOCH", request.revision.epoch.to_string())
        .env("POSTERN_SEQ", request.revision.seq.to_string())
        .env("POSTERN_FOLDER", request.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

fn to_json(request: &Request<'_>) -> String {
    serde_json::json!({
        "epoch": request.revision.epoch.number(),
        "seq": request.revision.seq.number(),
        "digest": request.digest.to_string(),
        "folder": request.folder.to_string_lossy(),
        "changed": request.changes.changed,
        "removed": request.changes.removed,
    })
    .to_string()
}

async fn read_into(mut stream: impl AsyncRead + Unpin, tail: Arc<Mutex<Tail>>) {
    let mut buffer = vec![0; 8_192];
    while let Ok(count) = stream.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        tail.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
    }
}

async fn wait(child: &mut Child, group: &Group, limit: Duration) -> i64 {
    if let Ok(ended) = timeout(limit, child.wait()).await {
        return ended.map_or(STATUS_NOT_STARTED, status_of);
    }
    group.signal(Signal::TERM);
    let _ = timeout(TERM_GRACE, child.wait()).await;
    // Also ends what the command started and what outlived its SIGTERM.
    group.signal(Signal::KILL);
    let _ = child.wait().await;
    STATUS_TIME_LIMIT
}

fn status_of(status: ExitStatus) -> i64 {
    match (status.code(), status.signal()) {
        (Some(code), _) => i64::from(code),
        (None, signal) => STATUS_SIGNAL - i64::from(signal.unwrap_or_default()),
    }
}

/// The command's process group; ends with SIGKILL when the driver gives up waiting.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // The group may be gone already.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
