//! The successor's side: standard input is the process that serves until this one can.
//!
//! Blocks; for threads that may wait. Refuses sockets of another kind or address than it needs: the
//! configuration counts, and what it names anew is bound anew.

use super::wire::{self, Name, READY, REFUSED, Received, SERVING};
use crate::limits::PREDECESSOR_END_MS_MAX;
use postern_console::clock;
use postern_console::exit::CommandError;
use postern_relay::HandedSessions;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// The process that serves until this one can.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
}

/// Tells the predecessor why this process ends.
#[derive(Debug)]
pub struct Teller(UnixStream);

impl Teller {
    /// Tells it; one that has gone has nobody to be told.
    pub fn tell_refused(&self, error: &CommandError) {
        let _ = wire::write_line(&self.0, &format!("{REFUSED}{}", error.message));
    }
}

impl Predecessor {
    /// Takes standard input for the predecessor.
    ///
    /// # Errors
    /// A standard input that is no socket.
    pub fn of_stdin() -> Result<(Self, Teller), CommandError> {
        let owned = io::stdin().as_fd().try_clone_to_owned();
        let stream = owned.map(UnixStream::from).map_err(no_predecessor)?;
        // A file or terminal has no peer.
        stream.peer_addr().map_err(no_predecessor)?;
        let teller = Teller(stream.try_clone().map_err(no_predecessor)?);
        Ok((Self { stream }, teller))
    }

    /// Says that this process can go on, and waits for what is left to it.
    ///
    /// # Errors
    /// A predecessor that goes on by itself, or hands over in another way.
    pub fn receive(&self) -> Result<Inherited, CommandError> {
        // One that has handed over already and became this process reads no more.
        let _ = wire::write_line(&self.stream, READY);
        let received = wire::receive(&self.stream).map_err(no_predecessor)?;
        let received = received.ok_or_else(|| {
            CommandError::failure(
                "predecessor-stays",
                "the process that serves goes on by itself",
                "`postern-relay audit` shows who ended the upgrade",
            )
        })?;
        Ok(Inherited::of(received))
    }

    /// Says that this process serves.
    pub fn tell_serving(&self) {
        let _ = wire::write_line(&self.stream, SERVING);
    }

    /// Waits until the predecessor has told the service manager and ends, at most a few seconds.
    pub fn wait_end(mut self) {
        let wait = Duration::from_millis(PREDECESSOR_END_MS_MAX);
        let _ = self.stream.set_read_timeout(Some(wait));
        let _ = self.stream.read(&mut [0]);
    }
}

/// What a predecessor left.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The HTTPS socket.
    pub https: Option<TcpListener>,
    /// The QUIC socket.
    pub quic: Option<UdpSocket>,
    health: Option<TcpListener>,
    operators: Option<UnixListener>,
    /// The sessions.
    pub sessions: Option<HandedSessions>,
    packed_ms: u64,
}

impl Inherited {
    fn of(received: Received) -> Self {
        let mut inherited = Self {
            packed_ms: received.head.packed_ms,
            ..Self::default()
        };
        for (name, socket) in received.head.sockets.iter().zip(received.sockets) {
            inherited.take(*name, socket);
        }
        if !received.sessions.is_empty() {
            match HandedSessions::from_bytes(&received.sessions) {
                Ok(sessions) => inherited.sessions = Some(sessions),
                Err(error) => tracing::warn!(reason = %error, "no session goes on"),
            }
        }
        inherited
    }

    fn take(&mut self, name: Name, socket: OwnedFd) {
        match name {
            Name::Https => self.https = Some(socket.into()),
            Name::Quic => self.quic = Some(socket.into()),
            Name::Health => self.health = Some(socket.into()),
            Name::Operators => self.operators = Some(socket.into()),
        }
    }

    /// Takes the health socket, if it listens on this address.
    pub fn take_health(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let is_same = |socket: &TcpListener| socket.local_addr().is_ok_and(|at| at == address);
        self.health.take().filter(is_same)
    }

    /// Takes the admin socket, if it stands at this place.
    pub fn take_operators(&mut self, path: &Path) -> Option<UnixListener> {
        let is_same = |socket: &UnixListener| {
            let at = socket.local_addr();
            at.is_ok_and(|at| at.as_pathname() == Some(path))
        };
        self.operators.take().filter(is_same)
    }

    /// Milliseconds since the sessions were packed.
    pub fn gone_ms(&self) -> u64 {
        clock::mono_ms().saturating_sub(self.packed_ms)
    }
}

fn no_predecessor(error: io::Error) -> CommandError {
    CommandError::failure(
        "predecessor-gone",
        format!("there is nobody to take over from: {error}"),
        "`postern-relay upgrade` starts this process; to start a relay leave out --take-over",
    )
}
