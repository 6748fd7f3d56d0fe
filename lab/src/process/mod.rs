//! A child process whose output goes to files, waited for by what it prints or where it listens, ended by its pid.
//!
//! ```text
//!  Process::start ──▶ running ──wait_for_*──▶ running ──terminate / kill_9──▶ ended (status)
//!                        └────────────── drop ──▶ killed and reaped
//! ```
//!
//! It refuses to look up processes by name: a value ends only the child it started, and never twice.

mod binary;

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};

pub use binary::Binary;
pub(crate) use binary::{or_skip, say_skipped};

use crate::{LabError, wait};

/// How much of a process's output an error quotes, in bytes.
const EVIDENCE_BYTES_MAX: usize = 4_096;

/// A running or ended child process; killed with SIGKILL when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    out: PathBuf,
    err: PathBuf,
}

/// What a process that ran to its end left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl Process {
    /// Starts `command` with empty standard input; its output goes to `<name>.out` and `<name>.err` in `folder`.
    ///
    /// Files of an earlier process of the same name are continued, so the log of a restarted process is in one piece.
    ///
    /// # Errors
    /// [`LabError::Io`] when the files cannot be opened or the program cannot be started.
    pub fn start(name: &str, command: Command, folder: &Path) -> Result<Self, LabError> {
        Self::start_with_input(name, command, folder, b"")
    }

    /// As [`Process::start`], with `input` on standard input, closed after it. At most 64 KiB (one pipe buffer).
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_with_input(
        name: &str,
        mut command: Command,
        folder: &Path,
        input: &[u8],
    ) -> Result<Self, LabError> {
        let out = folder.join(format!("{name}.out"));
        let err = folder.join(format!("{name}.err"));
        command.stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        command.stdout(append(&out)?).stderr(append(&err)?);
        let mut child = command
            .spawn()
            .map_err(LabError::io(format!("start {name} ({command:?})")))?;
        let stdin = child.stdin.take();
        let process = Self {
            name: name.to_owned(),
            child,
            status: None,
            out,
            err,
        };
        if let Some(mut stdin) = stdin {
            stdin
                .write_all(input)
                .map_err(LabError::io(format!("write to {name}")))?;
        }
        Ok(process)
    }

    /// Runs `command` to its end and returns its status and output.
    ///
    /// # Errors
    /// As [`Process::start_with_input`], and [`LabError::GaveUp`] when it does not end.
    pub fn run(
        name: &str,
        command: Command,
        folder: &Path,
        input: &[u8],
    ) -> Result<Finished, LabError> {
        for old in [
            folder.join(format!("{name}.out")),
            folder.join(format!("{name}.err")),
        ] {
            // Only this run's output counts; there may be no earlier file.
            drop(std::fs::remove_file(old));
        }
        let mut process = Self::start_with_input(name, command, folder, input)?;
        let status = process.wait_for_end()?;
        Ok(Finished {
            status,
            stdout: process.stdout(),
            stderr: process.stderr(),
        })
    }

    /// Returns the recorded process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns everything printed on standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    /// Returns everything printed on standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.err)
    }

    /// Waits until a line containing `text` stands in standard output or standard error, and returns that line.
    ///
    /// # Errors
    /// [`LabError::Ended`] when the process ends first, [`LabError::GaveUp`] when the line never comes.
    pub fn wait_for_line(&mut self, text: &str) -> Result<String, LabError> {
        self.wait_for(&format!("a line with {text:?}"), |process| {
            let whole = |output: String| {
                let complete = output
                    .rfind('\n')
                    .map_or("", |end| output.get(..end).unwrap_or_default());
                complete
                    .lines()
                    .find(|line| line.contains(text))
                    .map(str::to_owned)
            };
            whole(process.stdout()).or_else(|| whole(process.stderr()))
        })
    }

    /// Waits until something accepts TCP connections at `address`.
    ///
    /// # Errors
    /// [`LabError::Ended`] when the process ends first, [`LabError::GaveUp`] when the port never opens.
    pub fn wait_for_port(&mut self, address: SocketAddr) -> Result<(), LabError> {
        self.wait_for(&format!("a listener at {address}"), |_process| {
            TcpStream::connect(address).ok().map(drop)
        })
    }

    /// Waits until somebody listens on a TCP port in the namespace of this process, where no test could connect.
    ///
    /// # Errors
    /// [`LabError::Ended`] when the process ends first, [`LabError::GaveUp`] when the port never opens.
    pub fn wait_for_listener(&mut self, port: u16) -> Result<(), LabError> {
        self.wait_for(&format!("a listener on port {port}"), |process| {
            let tables = ["tcp", "tcp6"]
                .map(|table| read(Path::new(&format!("/proc/{}/net/{table}", process.pid()))));
            tables
                .iter()
                .any(|table| listens(table, port))
                .then_some(())
        })
    }

    /// Waits until `probe` returns a value; it may look at files, sockets or the process's output.
    ///
    /// # Errors
    /// [`LabError::Ended`] when the process ends first, [`LabError::GaveUp`] when the value never comes.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, LabError> {
        let waited = wait::until(what, || {
            // Asked first: a process may print the line and end between two looks.
            let ended = self.poll_end()?;
            match (probe(self), ended) {
                (Some(found), _) => Ok(Some(found)),
                (None, None) => Ok(None),
                (None, Some(status)) => Err(LabError::Ended {
                    name: self.name.clone(),
                    status: status.to_string(),
                    what: what.to_owned(),
                    evidence: self.evidence(),
                }),
            }
        });
        waited.map_err(|error| self.with_evidence(error))
    }

    /// Waits until the process has ended by itself or by a signal sent before, and returns its status.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when it does not end.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus, LabError> {
        let waited = wait::until(&format!("the end of {}", self.name), || self.poll_end());
        waited.map_err(|error| self.with_evidence(error))
    }

    /// Ends it with SIGKILL, as a power cut would, and reaps it.
    ///
    /// # Errors
    /// [`LabError::Io`] when the signal cannot be sent or the process not reaped.
    pub fn kill_9(&mut self) -> Result<(), LabError> {
        if self.poll_end()?.is_none() {
            self.child
                .kill()
                .map_err(LabError::io(format!("kill {}", self.name)))?;
            self.status = Some(
                self.child
                    .wait()
                    .map_err(LabError::io(format!("reap {}", self.name)))?,
            );
        }
        Ok(())
    }

    /// Asks it to end with SIGTERM and waits until it did.
    ///
    /// # Errors
    /// [`LabError::Io`] when the signal cannot be sent, [`LabError::GaveUp`] when it does not end.
    pub fn terminate(&mut self) -> Result<ExitStatus, LabError> {
        if let Some(status) = self.poll_end()? {
            return Ok(status);
        }
        // Not yet reaped, so the id still belongs to our child.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            rustix::process::kill_process(pid, Signal::TERM)
                .map_err(|error| LabError::io(format!("terminate {}", self.name))(error.into()))?;
        }
        self.wait_for_end()
    }

    /// Returns its status once it has ended.
    ///
    /// # Errors
    /// [`LabError::Io`] when the process cannot be reaped.
    pub fn poll_end(&mut self) -> Result<Option<ExitStatus>, LabError> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .map_err(LabError::io(format!("reap {}", self.name)))?;
        }
        Ok(self.status)
    }

    fn with_evidence(&self, error: LabError) -> LabError {
        match error {
            LabError::GaveUp { what, evidence: _ } => LabError::GaveUp {
                what,
                evidence: self.evidence(),
            },
            other @ (LabError::Io { .. }
            | LabError::Missing { .. }
            | LabError::Ended { .. }
            | LabError::Certificate(_)
            | LabError::Tls(_)
            | LabError::Pem(_)) => other,
        }
    }

    fn evidence(&self) -> String {
        format!(
            "--- stdout\n{}\n--- stderr\n{}",
            tail(&self.stdout()),
            tail(&self.stderr())
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be reported from here; a process that cannot be killed has ended already.
        drop(self.kill_9());
    }
}

/// Whether the kernel's table of connections has a listener on a port: state `0A`, port in hexadecimal.
fn listens(table: &str, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next().is_some_and(|local| local.ends_with(&wanted));
        local && fields.nth(1) == Some("0A")
    })
}

/// Returns the end of `text`, at most [`EVIDENCE_BYTES_MAX`] bytes.
pub(crate) fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(EVIDENCE_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

/// Reads a file that another process may be writing; one that is not there yet is empty.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn append(path: &Path) -> Result<File, LabError> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(LabError::io(format!("open {}", path.display())))
}

#[cfg(test)]
mod tests;
