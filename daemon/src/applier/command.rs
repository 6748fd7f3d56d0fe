//! Runs one of the operator's commands and brings back how it ended.
//!
//! It gets one JSON object on standard input and some variables. It has a process group of its own,
//! which ends with the time limit; what it leaves in the background before that is its own affair.
//! Refuses shells, unbounded output and unbounded time.

use super::tail::Tail;
use super::{STATUS_NOT_STARTED, STATUS_SIGNAL, STATUS_TIME_LIMIT};
use crate::accounts::Account;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
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

/// Variables that another user's program does not inherit.
const PROXY_VARIABLES: [&str; 3] = ["http_proxy", "https_proxy", "all_proxy"];

/// A command of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Program and arguments; run directly, not by a shell.
    pub(crate) words: Vec<String>,
    /// After this the command's process group gets SIGTERM, and SIGKILL 2 s later.
    pub(crate) time_limit: Duration,
    /// As whom it runs; `None` for the user of this process. Without further groups.
    pub(crate) account: Option<Account>,
}

/// What a command is told.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// Variables beside those of this process.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// What stands on standard input.
    pub(crate) input: serde_json::Value,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// 0 for success; else the exit status or a negative constant of this module's parent.
    pub(crate) status: i64,
    /// The end of what was printed.
    pub(crate) output: String,
}

/// Runs a command to its end or its time limit.
pub(crate) async fn run(program: &Program, call: &Call) -> Finished {
    let mut child = match spawn(program, call) {
        Ok(child) => child,
        Err(error) => {
            let name = program.words.first().map_or("", String::as_str);
            return Finished {
                status: STATUS_NOT_STARTED,
                output: format!("cannot start {name:?}: {error}"),
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
    let input = call.input.to_string();
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        if let Some(mut stdin) = stdin {
            // A command that does not read its input is free to do so.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    });
    let status = wait(&mut child, &group, program.time_limit).await;
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

fn spawn(program: &Program, call: &Call) -> std::io::Result<Child> {
    let Some((name, arguments)) = program.words.split_first() else {
        return Err(std::io::Error::other("the command is empty"));
    };
    let mut command = Command::new(name);
    command
        .args(arguments)
        .envs(call.variables.iter().map(|(name, text)| (name, text)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(account) = &program.account {
        become_account(&mut command, account);
    }
    command.spawn()
}

/// Lets root's children run as somebody else; setting a user id as root drops all further groups.
fn become_account(command: &mut Command, account: &Account) {
    if rustix::process::geteuid().is_root() {
        command.gid(account.gid).uid(account.uid);
    }
    // They may hold the credentials of the device's proxy.
    for name in PROXY_VARIABLES {
        command
            .env_remove(name)
            .env_remove(name.to_ascii_uppercase());
    }
    let name = account.name.iter();
    command.envs(name.flat_map(|name| [("USER", name), ("LOGNAME", name)]));
    command.env("HOME", account.home.as_deref().unwrap_or("/".as_ref()));
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
