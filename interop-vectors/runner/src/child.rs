//! The child program: started, asked, waited for a bounded time, and started again when it dies.
//!
//! No shell takes part. Refuses to wait longer, or to read more, than the limits say.

use crate::limits::{DEATHS_MAX, REPLY_BYTES_MAX};
use serde_json::Value as Json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How a child is started and how long it is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// Program and arguments; at least one word.
    pub(crate) words: Vec<String>,
    /// The longest that a reply may take.
    pub(crate) timeout: Duration,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It ended, or closed a stream.
    Died,
    /// It took too long.
    Timeout,
    /// It wrote something else than one reply to this request.
    Reply(String),
    /// It died too often before its first answer and is asked no more.
    GivenUp,
}

/// A child that runs, or will at the next request.
#[derive(Debug)]
pub(crate) struct Asked {
    start: Start,
    running: Option<Running>,
    /// Deaths before the first answer.
    deaths: usize,
    has_answered: bool,
}

#[derive(Debug)]
struct Running {
    process: Child,
    requests: SyncSender<Vec<u8>>,
    lines: Receiver<Vec<u8>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Start {
    /// Starts the program. # Errors: those of the system, with the program's name.
    fn run(&self) -> Result<Running, String> {
        let (program, arguments) = self.words.split_first().ok_or("the command is empty")?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program} does not start: {error}"))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(format!("{program} has no standard streams"));
        };
        let (sender, lines) = sync_channel(1);
        thread::spawn(move || read_lines(output, &sender));
        // A child that does not read must not stop the runner, so another thread writes.
        let (requests, written) = sync_channel(1);
        thread::spawn(move || write_lines(input, &written));
        Ok(Running {
            process,
            requests,
            lines,
        })
    }
}

/// Hands every line on, and ends with the stream, with a line that is too long, or with the listener.
fn read_lines(output: ChildStdout, sender: &SyncSender<Vec<u8>>) {
    let mut output = BufReader::new(output);
    let limit = u64::try_from(REPLY_BYTES_MAX).unwrap_or(u64::MAX);
    loop {
        let mut line = Vec::new();
        let read = output.by_ref().take(limit).read_until(b'\n', &mut line);
        if !line.ends_with(b"\n") || read.is_err() || sender.send(line).is_err() {
            return;
        }
    }
}

impl Asked {
    /// Starts a child, so that a command that is wrong is known at once. # Errors: what is wrong with it.
    pub(crate) fn new(start: Start) -> Result<Self, String> {
        let running = Some(start.run()?);
        Ok(Self {
            start,
            running,
            deaths: 0,
            has_answered: false,
        })
    }

    /// Asks one request. # Errors: [`Silence`]; the next request meets a new child.
    pub(crate) fn ask(&mut self, request: &Json) -> Result<Json, Silence> {
        if self.deaths >= DEATHS_MAX {
            return Err(Silence::GivenUp);
        }
        let answer = self.exchange(request);
        if answer.is_err() {
            self.running = None;
        }
        self.has_answered |= answer.is_ok();
        if !self.has_answered && answer == Err(Silence::Died) {
            self.deaths += 1;
        }
        answer
    }

    fn exchange(&mut self, request: &Json) -> Result<Json, Silence> {
        if self.running.is_none() {
            self.running = Some(self.start.run().map_err(|_| Silence::Died)?);
        }
        let running = self.running.as_mut().ok_or(Silence::Died)?;
        let mut line = serde_json::to_vec(request).map_err(|_| Silence::Died)?;
        line.push(b'\n');
        running.requests.send(line).map_err(|_| Silence::Died)?;
        let line = running.lines.recv_timeout(self.start.timeout);
        let line = line.map_err(|error| match error {
            RecvTimeoutError::Timeout => Silence::Timeout,
            RecvTimeoutError::Disconnected => Silence::Died,
        })?;
        let reply: Json = serde_json::from_slice(&line)
            .map_err(|error| Silence::Reply(format!("no JSON: {error}")))?;
        if reply.get("id") != request.get("id") {
            return Err(Silence::Reply("the id is another one".into()));
        }
        Ok(reply)
    }
}

/// Writes each request, and ends with the child or with the runner.
fn write_lines(mut input: ChildStdin, requests: &Receiver<Vec<u8>>) {
    while let Ok(line) = requests.recv() {
        if input.write_all(&line).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}
