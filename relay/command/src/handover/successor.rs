//! The predecessor's side: it starts the next process, hands over, and follows when that fails.
//!
//! Blocks; for threads that may wait. Refuses to hand over to a program that is not ready.

use super::TAKE_OVER;
use super::wire::{self, Head, Name, READY, REFUSED, SERVING, VERSION};
use crate::limits::{SUCCESSOR_READY_MS_MAX, SUCCESSOR_SERVING_MS_MAX};
use postern_console::clock;
use postern_console::exit::CommandError;
use postern_relay::{HandedSessions, Handover};
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zeroize::Zeroizing;

/// How a process was started.
type Started = (OsString, Vec<OsString>);

/// What a process that ends leaves to the next.
pub struct Left {
    /// Sockets and sessions of the relay.
    pub relay: Handover,
    /// The health address.
    pub health: TcpListener,
    /// The admin socket.
    pub operators: UnixListener,
}

/// A process that is ready to go on.
pub struct Successor {
    child: Child,
    stream: UnixStream,
}

/// What came of starting one.
pub type Prepared = Result<Successor, CommandError>;

impl std::fmt::Debug for Successor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Successor")
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

impl Successor {
    /// Starts the program that stands where this one was started from, with the same words, and
    /// waits until it has read its configuration and its keys.
    ///
    /// # Errors
    /// A program that cannot be started, or says why it cannot go on.
    pub fn prepare() -> Prepared {
        let (program, words) = started();
        let (stream, theirs) = UnixStream::pair().map_err(|error| not_started(&error))?;
        let child = Command::new(&program)
            .args(words)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(|error| not_started(&error))?;
        let successor = Self { child, stream };
        let wait = Duration::from_millis(SUCCESSOR_READY_MS_MAX);
        successor.expect(READY, wait)?;
        tracing::info!(successor = successor.pid(), "the next process is ready");
        Ok(successor)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True once it has ended: nothing was handed over then.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets it end: this process goes on.
    pub fn dismiss(self) {
        let Self { mut child, stream } = self;
        drop(stream);
        // It ends by itself, and is then only a number to be given back.
        let _waiting = std::thread::spawn(move || child.wait());
    }

    /// Hands over and waits until the next process serves. What it returns has to live until the
    /// service manager knows: the next process waits for its end.
    ///
    /// # Errors
    /// Why it does not serve; it has ended then.
    pub fn hand_over(mut self, left: &Left) -> Result<UnixStream, CommandError> {
        let sent = send(&self.stream, left, left.relay.sessions.as_ref());
        let wait = Duration::from_millis(SUCCESSOR_SERVING_MS_MAX);
        let serving = sent
            .map_err(|error| gone(&error))
            .and_then(|()| self.expect(SERVING, wait));
        match serving {
            Ok(()) => Ok(self.stream),
            Err(error) => {
                // It must not serve later, beside whoever follows now.
                let _ = self.child.kill();
                let _ = self.child.wait();
                Err(error)
            }
        }
    }

    fn expect(&self, words: &str, wait: Duration) -> Result<(), CommandError> {
        let heard = self
            .stream
            .set_read_timeout(Some(wait))
            .and_then(|()| wire::read_line(&self.stream))
            .map_err(|error| gone(&error))?;
        match heard.strip_prefix(REFUSED) {
            Some(reason) => Err(refused(reason)),
            None if heard == words => Ok(()),
            None => Err(refused(
                "it hands over in another way: stop and start instead",
            )),
        }
    }
}

/// Becomes this very program anew, on the sockets that nobody took; its file may be another by now.
/// No session goes on: the one that failed may have answered in them. Returns only when that fails.
pub fn follow_self(left: &Left) -> CommandError {
    let prepared = UnixStream::pair().and_then(|(ours, theirs)| {
        send(&ours, left, None)?;
        Ok(theirs)
    });
    let theirs = match prepared {
        Ok(theirs) => theirs,
        Err(error) => return not_started(&error),
    };
    let (program, words) = started();
    let error = Command::new("/proc/self/exe")
        .arg0(program)
        .args(words)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .exec();
    not_started(&error)
}

fn send(stream: &UnixStream, left: &Left, sessions: Option<&HandedSessions>) -> io::Result<()> {
    let https = Some((Name::Https, left.relay.sockets.https.as_fd()));
    let quic = left.relay.sockets.quic.as_ref();
    let quic = quic.map(|socket| (Name::Quic, socket.as_fd()));
    let health = Some((Name::Health, left.health.as_fd()));
    let operators = Some((Name::Operators, left.operators.as_fd()));
    let all = [https, quic, health, operators].into_iter().flatten();
    let (names, sockets): (Vec<Name>, Vec<BorrowedFd<'_>>) = all.unzip();
    let sessions = sessions.map_or_else(Zeroizing::default, HandedSessions::danger_bytes);
    let head = Head {
        version: VERSION,
        sockets: names,
        packed_ms: clock::mono_ms(),
        sessions_bytes: sessions.len(),
    };
    wire::send(stream, &head, &sockets, &sessions)
}

/// The words of this process, and that it takes over.
fn started() -> Started {
    let mut all = std::env::args_os();
    let program = all.next().unwrap_or_else(|| "postern-relay".into());
    let words = all.filter(|word| word != TAKE_OVER);
    let words = words.chain([TAKE_OVER.into()]).collect();
    (program, words)
}

fn gone(error: &io::Error) -> CommandError {
    refused(&format!("it went away or took too long: {error}"))
}

fn refused(reason: &str) -> CommandError {
    CommandError::failure(
        "upgrade-refused",
        format!("the new program does not go on: {reason}"),
        "the old one serves; put the new program right (`check` with it), then `upgrade` again",
    )
}

fn not_started(error: &io::Error) -> CommandError {
    CommandError::failure(
        "upgrade-failed",
        format!("the program cannot be started anew: {error}"),
        "look at the file from which the relay was started, and at the limit on processes",
    )
}
