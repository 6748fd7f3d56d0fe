//! From a target to one connection: addresses in turn, each with a socket and an endpoint of its own.
//!
//! ```text
//!   address 1: socket, connect --> handshake ------> first wins, the others are dropped
//!   address 2:      (+250 ms) ---> handshake
//! ```
//!
//! What the network says about a socket (ICMP) ends its handshake at once. Refuses to wait longer
//! than the budget for all of them together, and a connection without the right ALPN.

use super::fault::QuicFault;
use super::settings::{self, ALPN, Settings};
use super::socket::{PeerSocket, Signals};
use crate::fault::Fault;
use crate::limits::ADDRESS_STAGGER;
use crate::tcp::Traffic;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, Endpoint, TokioRuntime};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A connection and what it stands on.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) endpoint: Endpoint,
    pub(super) signals: Arc<Signals>,
}

/// What every attempt needs.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) settings: Settings,
    pub(super) host: String,
    pub(super) traffic: Arc<Traffic>,
}

/// Starts one attempt every 250 ms, or at once when one fails; the first success wins.
pub(super) async fn dial(dial: &Dial, addresses: Vec<SocketAddr>) -> Result<Opened, Fault> {
    let mut attempts = JoinSet::new();
    let mut rest = addresses.into_iter().peekable();
    let mut last = Fault::Lookup(std::io::ErrorKind::NotFound);
    loop {
        if let Some(address) = rest.next() {
            let dial = dial.clone();
            attempts.spawn(async move { attempt(&dial, address).await });
        }
        let more = rest.peek().is_some();
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(opened))) => return Ok(opened),
                Some(Ok(Err(fault))) => last = fault,
                Some(Err(_cancelled)) => {}
                None => return Err(last),
            },
            () = sleep(ADDRESS_STAGGER), if more => {}
        }
    }
}

async fn attempt(dial: &Dial, address: SocketAddr) -> Result<Opened, Fault> {
    let signals = Arc::<Signals>::default();
    let socket = PeerSocket::open(address, &dial.traffic, &signals);
    let socket = socket.map_err(|error| QuicFault::Socket(error.kind()))?;
    let ears = Arc::clone(&socket);
    let endpoint = Endpoint::new_with_abstract_socket(
        settings::endpoint(),
        None,
        socket,
        Arc::new(TokioRuntime),
    );
    let endpoint = endpoint.map_err(|error| QuicFault::Socket(error.kind()))?;
    let client = dial.settings.client.clone();
    let connecting = endpoint.connect_with(client, address, &dial.host);
    //= spec/postern.md#quic-binding
    //# A client MUST NOT send 0-RTT data.
    // It is never asked for: the connection is there when the handshake has ended.
    let connecting = connecting.map_err(|error| QuicFault::broken(&error.to_string()))?;
    let connection = tokio::select! {
        connected = connecting => connected,
        signal = signals.next() => return Err(QuicFault::from(signal).into()),
        signal = ears.complaint() => return Err(QuicFault::from(signal).into()),
    };
    let connection = connection.map_err(|error| {
        let refusal = dial.settings.refusal.take();
        QuicFault::of_handshake(&error, refusal)
    })?;
    if is_ours(&connection) {
        Ok(Opened {
            connection,
            endpoint,
            signals,
        })
    } else {
        Err(QuicFault::NoProtocol.into())
    }
}

fn is_ours(connection: &Connection) -> bool {
    let data = connection.handshake_data();
    let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(ALPN))
}
