//! The sockets of both doors: bound here, or taken over from the process that served before.
//!
//! They are doubles of what listens, so that a server that ends can leave them open: connections
//! queue in the kernel until the next process accepts. Refuses a socket of another address than the
//! configured one: what is written counts, not what was.

use super::StartError;
use super::fronts::Fronts;
use super::quic::bind as bind_quic;
use super::settings::ServerConfig;
use crate::limits::BACKLOG;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// The sockets of a server.
#[derive(Debug)]
pub struct Sockets {
    /// Of HTTPS.
    pub https: TcpListener,
    /// Of QUIC, if it listens for that.
    pub quic: Option<UdpSocket>,
    pub(super) fronts: Fronts,
}

impl Sockets {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// [`StartError::Listen`] and [`StartError::Quic`].
    pub fn bind(config: &ServerConfig) -> Result<Self, StartError> {
        Self::take(config, None, None)
    }

    /// Takes sockets over where they are what the configuration names, and binds the others.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn take(
        config: &ServerConfig,
        https: Option<TcpListener>,
        quic: Option<UdpSocket>,
    ) -> Result<Self, StartError> {
        let listen = config.listen;
        let same = https.filter(|socket| is_at(socket.local_addr(), listen));
        let https = match same {
            Some(socket) => socket,
            None => listen_at(listen).map_err(|source| StartError::Listen { listen, source })?,
        };
        let quic = match config.quic.as_ref().map(|door| door.listen) {
            Some(listen) => {
                let same = quic.filter(|socket| is_at(socket.local_addr(), listen));
                let bound = same.map_or_else(|| bind_quic(listen), Ok);
                Some(bound.map_err(|source| StartError::Quic { listen, source })?)
            }
            None => None,
        };
        Ok(Self {
            https,
            quic,
            fronts: Fronts::default(),
        })
    }

    /// Expects a PROXY header from these load balancers on the HTTPS socket, before anything else.
    #[must_use]
    pub fn behind(mut self, fronts: Fronts) -> Self {
        self.fronts = fronts;
        self
    }

    /// Doubles that share the kernel's queues.
    pub(super) fn doubles(&self) -> io::Result<Self> {
        let quic = self.quic.as_ref().map(UdpSocket::try_clone);
        Ok(Self {
            https: self.https.try_clone()?,
            quic: quic.transpose()?,
            fronts: Fronts::default(),
        })
    }
}

fn is_at(bound: io::Result<SocketAddr>, wanted: SocketAddr) -> bool {
    bound.is_ok_and(|bound| bound == wanted)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the last connections of its predecessor to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}
