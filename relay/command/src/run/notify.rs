//! Telling the service manager how the process stands: readiness, reloads, the watchdog, the end.
//!
//! One datagram a message to the socket that the manager names (sd_notify(3)). Without one there is
//! nobody to tell. Refuses to wait: a manager that does not read misses a message.

use postern_console::config::variable;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if there is one.
#[derive(Debug)]
pub(super) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Milliseconds between two signs of life: half of what the manager allows; 0 for none.
    pub(super) watchdog_ms: u64,
}

impl Notify {
    /// Nobody to tell.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self {
            socket: None,
            watchdog_ms: 0,
        }
    }

    /// Reads NOTIFY_SOCKET and WATCHDOG_USEC.
    pub(super) fn of_process() -> Self {
        let micros = variable("WATCHDOG_USEC").and_then(|text| text.to_str()?.parse::<u64>().ok());
        Self {
            socket: variable("NOTIFY_SOCKET").and_then(|name| open(name.to_str()?)),
            watchdog_ms: micros.map_or(0, |micros| micros / 2_000),
        }
    }

    /// Sends one message, such as `READY=1`.
    pub(super) fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(message.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }
}

fn open(name: &str) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()),
        None => SocketAddr::from_pathname(name),
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}
