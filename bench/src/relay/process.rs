//! The server's process, and what the kernel tells about it.
//!
//! Refuses the server's own word for memory and time.

use crate::error::BenchError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Milliseconds between two questions to the server.
const ASK_MS: u64 = 20;
/// Questions until the server counts as stuck: a minute.
const ASKED_MAX: usize = 3_000;

/// Lets this process open as many files as the system allows it.
///
/// # Errors
/// When the system refuses its own maximum.
pub fn allow_many_files() -> Result<(), BenchError> {
    let held = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: held.maximum,
        maximum: held.maximum,
    };
    setrlimit(Resource::Nofile, wanted)
        .map_err(std::io::Error::from)
        .map_err(BenchError::io("open many files"))
}

/// The runtime of a benchmark, which may open as many files as the system allows.
///
/// # Errors
/// As [`allow_many_files`]; when there is no runtime.
pub fn runtime() -> Result<tokio::runtime::Runtime, BenchError> {
    allow_many_files()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("start a runtime"))
}

/// Where the server listens, and whom to trust.
#[derive(Debug)]
pub struct Greeting {
    /// Of HTTPS.
    pub https: SocketAddr,
    /// Of QUIC, where it does.
    pub quic: Option<SocketAddr>,
    /// Its certificate.
    pub certificate_pem: String,
}

impl Greeting {
    /// One line of JSON.
    pub fn to_line(&self) -> String {
        let certificate = &self.certificate_pem;
        let quic = self.quic.map(|address| address.to_string());
        json!({"https": self.https.to_string(), "quic": quic, "certificate": certificate})
            .to_string()
    }

    fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let address = |name: &str| value.get(name)?.as_str()?.parse().ok();
        Some(Self {
            https: address("https")?,
            quic: address("quic"),
            certificate_pem: value.get("certificate")?.as_str()?.to_owned(),
        })
    }
}

/// What the server counts.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// Polls that wait.
    pub holds: u64,
    /// Open connections.
    pub connections: u64,
}

impl Numbers {
    /// One line of JSON.
    pub fn to_line(self) -> String {
        json!({"holds": self.holds, "connections": self.connections}).to_string()
    }

    fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        Some(Self {
            holds: value.get("holds")?.as_u64()?,
            connections: value.get("connections")?.as_u64()?,
        })
    }
}

/// A running server; it ends with this.
pub struct Child {
    process: std::process::Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it said first.
    pub greeting: Greeting,
}

impl Child {
    /// Starts this very program as a server, with these arguments.
    ///
    /// # Errors
    /// When it does not start or say where it listens.
    pub fn start(arguments: &[&str]) -> Result<Self, BenchError> {
        let start = BenchError::io("start the server");
        let program = std::env::current_exe().map_err(BenchError::io("find this program"))?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let ask = process.stdin.take();
        let Some(out) = process.stdout.take() else {
            unreachable!("it was piped three lines above");
        };
        let mut answers = BufReader::new(out);
        let line = read_line(&mut answers)?;
        let greeting = Greeting::parse(&line).ok_or(BenchError::Answer {
            what: "the server does not say where it listens",
            answer: line,
        })?;
        Ok(Self {
            process,
            ask,
            answers,
            greeting,
        })
    }

    fn numbers(&mut self) -> Result<Numbers, BenchError> {
        if let Some(ask) = &mut self.ask {
            ask.write_all(b"\n")
                .map_err(BenchError::io("ask the server"))?;
        }
        let line = read_line(&mut self.answers)?;
        Numbers::parse(&line).ok_or(BenchError::Answer {
            what: "the server gives no numbers",
            answer: line,
        })
    }

    /// Waits until so many polls are held. # Errors: when that does not come.
    pub async fn wait_holds(&mut self, holds: usize) -> Result<(), BenchError> {
        self.wait(|numbers| numbers.holds == holds as u64).await
    }

    /// Waits until all connections are closed. # Errors: when that does not come.
    pub async fn wait_sessions_idle(&mut self) -> Result<(), BenchError> {
        self.wait(|numbers| numbers.connections == 0).await
    }

    async fn wait(&mut self, is_there: impl Fn(Numbers) -> bool) -> Result<(), BenchError> {
        for _ in 0..ASKED_MAX {
            if is_there(self.numbers()?) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(ASK_MS)).await;
        }
        let answer = format!("{:?}", self.numbers()?);
        Err(BenchError::Answer {
            what: "the server does not come to rest",
            answer,
        })
    }

    /// Resident memory in bytes. # Errors: when the kernel tells none.
    pub fn resident_bytes(&self) -> Result<f64, BenchError> {
        crate::device::resident_bytes(self.process.id())
    }

    /// Bytes that it had written to a disk so far. # Errors: when the kernel tells none.
    pub fn written_bytes(&self) -> Result<f64, BenchError> {
        let file = format!("/proc/{}/io", self.process.id());
        let text = std::fs::read_to_string(file)
            .map_err(BenchError::io("look at what the server wrote"))?;
        let mut lines = text.lines();
        let bytes = lines.find_map(|line| line.strip_prefix("write_bytes: ")?.parse::<f64>().ok());
        bytes.ok_or(BenchError::Answer {
            what: "the kernel tells no bytes of the process",
            answer: text,
        })
    }

    /// Ends it as a power cut would. # Errors: when the kernel refuses.
    pub fn kill_9(mut self) -> Result<(), BenchError> {
        self.process
            .kill()
            .and_then(|()| self.process.wait())
            .map(drop)
            .map_err(BenchError::io("kill the server"))
    }

    /// Lets it end in order. # Errors: when it cannot be waited for.
    pub fn stop(mut self) -> Result<(), BenchError> {
        drop(self.ask.take());
        self.process
            .wait()
            .map(drop)
            .map_err(BenchError::io("wait for the server"))
    }

    /// Processor time of all its threads so far, in microseconds. # Errors: when the kernel tells none.
    pub fn processor_us(&self) -> Result<f64, BenchError> {
        processor_us(self.process.id())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It ends with its standard input; killed in case it does not, and nobody is left to tell.
        drop(self.ask.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processor time of all threads of a process so far, in microseconds. # Errors: when the kernel tells none.
pub fn processor_us(pid: u32) -> Result<f64, BenchError> {
    let folder = format!("/proc/{pid}/task");
    let look = || BenchError::io("look at the threads of the server");
    let mut total_ns = 0_u64;
    for thread in std::fs::read_dir(folder).map_err(look())? {
        let file = thread.map_err(look())?.path().join("schedstat");
        let text = std::fs::read_to_string(file).map_err(look())?;
        let first = text.split(' ').next().and_then(|field| field.parse().ok());
        let spent_ns: u64 = first.ok_or(BenchError::Answer {
            what: "the kernel tells no time of the thread",
            answer: text,
        })?;
        total_ns = total_ns.saturating_add(spent_ns);
    }
    Ok(total_ns as f64 / 1_000.0)
}

/// Says where a server listens, then answers each line on standard input with its numbers until it ends.
///
/// # Errors
/// When nobody listens any more.
pub fn answer_lines(greeting: &Greeting, numbers: impl Fn() -> Numbers) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", greeting.to_line())?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        line?;
        writeln!(out, "{}", numbers().to_line())?;
        out.flush()?;
    }
    Ok(())
}

fn read_line(answers: &mut BufReader<ChildStdout>) -> Result<String, BenchError> {
    let mut line = String::new();
    answers
        .read_line(&mut line)
        .map_err(BenchError::io("hear the server"))?;
    Ok(line)
}
