//! The UDP socket of one QUIC connection: connected to its one peer, counted, and with open ears.
//!
//! A connected socket is told what the network says about its packets (ICMP), in 0.1 ms where others
//! wait for a timeout; quinn's own sockets are not. Each datagram is one system call: a device has
//! few. Refuses to end a connection for what ICMP says: whoever guesses the port can say it.

use super::fault::QuicFault;
use crate::tcp::Traffic;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// What became of the packets, as far as the system knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Nothing listens at the peer.
    Refused,
    /// Something on the way lets nothing through.
    Prohibited(ErrorKind),
    /// A packet was too large for the way.
    TooLarge,
    /// It could not leave this machine.
    Local(ErrorKind),
}

impl From<Signal> for QuicFault {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Refused => Self::Refused,
            Signal::Prohibited(kind) => Self::Prohibited(kind),
            Signal::TooLarge => Self::SmallPath,
            Signal::Local(kind) => Self::Socket(kind),
        }
    }
}

/// The last thing that was heard, and who waits for it. One for all sockets of a connection.
#[derive(Debug, Default)]
pub(super) struct Signals {
    last: Mutex<Option<Signal>>,
    heard: Notify,
}

impl Signals {
    fn tell(&self, signal: Signal) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
        self.heard.notify_one();
    }

    /// Waits for the next one.
    pub(super) async fn next(&self) -> Signal {
        loop {
            let last = self
                .last
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(signal) = last {
                return signal;
            }
            self.heard.notified().await;
        }
    }
}

#[derive(Debug)]
pub(super) struct PeerSocket {
    io: UdpSocket,
    peer: SocketAddr,
    traffic: Arc<Traffic>,
    signals: Arc<Signals>,
    /// Whether packets that are too large are dropped instead of cut into pieces.
    is_whole: bool,
}

impl PeerSocket {
    /// Binds any port of the peer's family and connects. Nothing is sent.
    pub(super) fn open(
        peer: SocketAddr,
        traffic: &Arc<Traffic>,
        signals: &Arc<Signals>,
    ) -> io::Result<Arc<Self>> {
        let any: SocketAddr = if peer.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        let is_whole = keep_whole(&socket, peer);
        Ok(Arc::new(Self {
            io: UdpSocket::from_std(socket)?,
            peer,
            traffic: Arc::clone(traffic),
            signals: Arc::clone(signals),
            is_whole,
        }))
    }

    /// Waits for what the network says about a packet that was sent. A socket with nothing to read does not
    /// wake its reader for that, and the next sending is a third of a second away.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) async fn complaint(&self) -> Signal {
        let take = || match self.io.take_error() {
            Ok(Some(error)) | Err(error) => Ok(error),
            Ok(None) => Err(ErrorKind::WouldBlock.into()),
        };
        match self.io.async_io(tokio::io::Interest::ERROR, take).await {
            Ok(error) | Err(error) => signal(&error, false),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) async fn complaint(&self) -> Signal {
        std::future::pending().await
    }

    fn hear(&self, error: &io::Error, is_sending: bool) {
        self.signals.tell(signal(error, is_sending));
    }
}

fn signal(error: &io::Error, is_sending: bool) -> Signal {
    let kind = error.kind();
    let is_too_large = error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error());
    let is_prohibited = matches!(
        kind,
        ErrorKind::HostUnreachable | ErrorKind::PermissionDenied
    ) || (kind == ErrorKind::NetworkUnreachable && !is_sending);
    if is_too_large {
        Signal::TooLarge
    } else if kind == ErrorKind::ConnectionRefused {
        Signal::Refused
    } else if is_prohibited {
        Signal::Prohibited(kind)
    } else {
        Signal::Local(kind)
    }
}

/// Forbids fragments, so that the size of the path can be found (RFC 9000, section 14). True when it was possible.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn keep_whole(socket: &std::net::UdpSocket, peer: SocketAddr) -> bool {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    if peer.is_ipv4() {
        set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE).is_ok()
    } else {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE).is_ok()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn keep_whole(_socket: &std::net::UdpSocket, _peer: SocketAddr) -> bool {
    false
}

impl AsyncUdpSocket for PeerSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // The first error may be about an earlier packet: then this one was not sent yet.
        for _ in 0..2 {
            match self.io.try_send(transmit.contents) {
                Ok(bytes) => {
                    self.traffic.add_up(bytes);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) => self.hear(&error, true),
            }
        }
        // As lost on the way: it is sent again, or its silence is noticed.
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            match self.io.try_recv(buffer) {
                Ok(bytes) => {
                    self.traffic.add_down(bytes);
                    *meta = RecvMeta {
                        addr: self.peer,
                        len: bytes,
                        stride: bytes,
                        ecn: None,
                        dst_ip: None,
                    };
                    return Poll::Ready(Ok(1));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => self.hear(&error, false),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn may_fragment(&self) -> bool {
        !self.is_whole
    }
}

#[derive(Debug)]
struct Writable(Arc<PeerSocket>);

impl UdpPoller for Writable {
    // One connection has one socket: nobody else waits to send on it.
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.io.poll_send_ready(cx)
    }
}
