//! TCP connections: name lookup, happy eyeballs, socket options, counted bytes.
//!
//! Segments are small enough for any path that IPv6 may take: one that swallows larger packets and
//! tells nobody is not noticed, because it never sees one.
//!
//! The lookup goes through [`Resolve`], so that a test can prove which names were never asked for.
//! Refuses to wait longer than the budgets say. Every byte that crosses a socket is counted, TLS
//! and HTTP included.

use crate::dialer::Budgets;
use crate::fault::Fault;
use crate::host::{Authority, Host};
use crate::limits::{
    ADDRESS_STAGGER, ADDRESSES_MAX, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_RETRIES,
    PACKET_BYTES_MIN, SEGMENT_BYTES_MAX, USER_TIMEOUT,
};
use socket2::{SockRef, Socket, TcpKeepalive};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The future of a name lookup.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Turns a name into addresses.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Returns the addresses of a DNS name, in the order of preference.
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Lookup<'a>;
}

/// The system's resolver, on a thread of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// Bytes that crossed the sockets of a client, whatever was inside.
#[derive(Debug, Default)]
pub struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
}

impl Traffic {
    pub(crate) fn add_up(&self, bytes: usize) {
        add(&self.up, bytes);
    }

    pub(crate) fn add_down(&self, bytes: usize) {
        add(&self.down, bytes);
    }

    /// Returns the bytes sent.
    #[must_use]
    pub fn bytes_up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// Returns the bytes received.
    #[must_use]
    pub fn bytes_down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

/// A second handle on a socket, to see whether the peer closed it.
#[derive(Debug)]
pub(crate) struct Liveness(Socket);

/// What lies in the receive buffer of a socket nobody is reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Nothing,
    Bytes,
    Closed,
}

impl Liveness {
    /// Looks without taking anything.
    pub(crate) fn pending(&self) -> Pending {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        match self.0.peek(&mut byte) {
            Ok(0) => Pending::Closed,
            Ok(_some) => Pending::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Pending::Nothing,
            Err(_dead) => Pending::Closed,
        }
    }
}

impl Liveness {
    /// The largest packet in bytes that the system knows the path to carry, headers included; `None` where it does
    /// not tell. It learns of smaller ones while packets are sent, and of none above 1280, because none is sent.
    pub(crate) fn packet_bytes_max(&self) -> Option<u32> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::net::sockopt::{ip_mtu, ipv6_mtu};
            let is_ipv6 = self.0.domain().ok()? == socket2::Domain::IPV6;
            let mtu = if is_ipv6 {
                ipv6_mtu(&self.0)
            } else {
                ip_mtu(&self.0)
            };
            mtu.ok().map(|bytes| bytes.min(PACKET_BYTES_MIN))
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        None
    }
}

/// A TCP stream that counts its bytes.
#[derive(Debug)]
pub(crate) struct Counted {
    tcp: TcpStream,
    traffic: Arc<Traffic>,
}

/// An open TCP connection.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Counted,
    pub(crate) liveness: Liveness,
    pub(crate) peer: SocketAddr,
}

/// Connects to the first address that answers, within the budgets.
pub(crate) async fn open(
    addresses: Vec<SocketAddr>,
    budgets: &Budgets,
    traffic: &Arc<Traffic>,
) -> Result<Opened, Fault> {
    let tcp = timeout(budgets.tcp, connect(addresses))
        .await
        .map_err(|_elapsed| Fault::TcpSlow)??;
    let prepared = prepare(&tcp).and_then(|liveness| Ok((liveness, tcp.peer_addr()?)));
    let (liveness, peer) = prepared.map_err(|error| Fault::Tcp(error.kind()))?;
    let stream = Counted {
        tcp,
        traffic: Arc::clone(traffic),
    };
    Ok(Opened {
        stream,
        liveness,
        peer,
    })
}

/// Looks up what to connect to, in the order in which it is tried.
pub(crate) async fn addresses(
    resolver: &dyn Resolve,
    authority: &Authority,
    budgets: &Budgets,
) -> Result<Vec<SocketAddr>, Fault> {
    let found = match &authority.host {
        Host::Address(address) => vec![SocketAddr::new(*address, authority.port)],
        Host::Name(name) => timeout(budgets.dns, resolver.resolve(name, authority.port))
            .await
            .map_err(|_elapsed| Fault::LookupSlow)?
            .map_err(|error| Fault::Lookup(error.kind()))?,
    };
    Ok(interleave(found))
}

/// IPv6 and IPv4 in turn, beginning with the resolver's favourite (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == six_first);
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed.truncate(ADDRESSES_MAX);
    mixed
}

/// Starts one attempt every 250 ms, or at once when one fails; the first success wins.
async fn connect(addresses: Vec<SocketAddr>) -> Result<TcpStream, Fault> {
    let mut attempts = JoinSet::new();
    let mut rest = addresses.into_iter().peekable();
    let mut last = Fault::Lookup(io::ErrorKind::NotFound);
    loop {
        if let Some(address) = rest.next() {
            attempts.spawn(dial(address));
        }
        let more = rest.peek().is_some();
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = Fault::Tcp(error.kind()),
                Some(Err(_cancelled)) => {}
                None => return Err(last),
            },
            () = sleep(ADDRESS_STAGGER), if more => {}
        }
    }
}

/// Connects with small segments. The other end is told in the first packet, so that it sends no larger ones either.
///
/// A connection that stalls cannot be asked why, and most of what it would have to tell apart lies at the other end,
/// whose retransmissions nobody sees here. Small segments from the start need no such guess.
async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = SockRef::from(&socket).set_tcp_mss(SEGMENT_BYTES_MAX) {
        // Segments of the system's size pass nearly everywhere.
        tracing::debug!(%error, "segments stay as large as the system makes them");
    }
    socket.connect(address).await
}

fn prepare(tcp: &TcpStream) -> io::Result<Liveness> {
    let socket = SockRef::from(tcp);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(Liveness(socket.try_clone()?))
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        add(
            &self.traffic.down,
            buf.filled().len().saturating_sub(before),
        );
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, buf))?;
        add(&self.traffic.up, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
