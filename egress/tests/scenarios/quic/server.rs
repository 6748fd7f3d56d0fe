//! A QUIC server that does what a script says, and a way to it that can be cut.
//!
//! The server is quinn with its own settings; it knows nothing of mailboxes. Refuses to retry for a
//! client: each stream is one request in its record.

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, VarInt};
use ring::hmac;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Writes these bytes and ends the stream.
    Answer(Vec<u8>),
    /// Waits, then answers.
    Hold(Duration, Vec<u8>),
    /// Writes these bytes and says no more.
    Begin(Vec<u8>),
    /// Ends the stream with this code.
    Reset(u32),
    /// Closes the connection with this code.
    Close(u32),
    /// Stops reading at once, then answers.
    Stop(Vec<u8>),
    /// Says nothing.
    Silence,
}

/// What the server does with an attempt to connect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Asks for proof of the address first.
    Retry,
    Refuse,
    /// Closes as soon as the connection is there, with this code.
    Full(u32),
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) requests: Mutex<Vec<Vec<u8>>>,
    pub(crate) connections: AtomicUsize,
    /// Attempts that came with a proven address.
    pub(crate) proven: AtomicUsize,
    /// Where the last connection comes from now.
    pub(crate) last: Mutex<Option<Connection>>,
    pub(crate) arrived: Notify,
}

pub(crate) struct QuicServer {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

/// Ids that a server with the same reset key takes for its own.
#[derive(Debug)]
struct Ids;

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut id = [0x5a; 16];
        id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        16
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl QuicServer {
    /// The script's n-th entry answers the n-th request, the last one all later ones.
    pub(crate) fn start(tls: &rustls::ServerConfig, door: Door, script: Vec<Act>) -> Self {
        let crypto = QuicServerConfig::try_from(tls.clone()).unwrap();
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let mut transport = quinn::TransportConfig::default();
        transport.max_idle_timeout(Some(Duration::from_secs(60).try_into().unwrap()));
        transport.mtu_discovery_config(None);
        config.transport_config(Arc::new(transport));
        let reset = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let mut settings = EndpointConfig::new(Arc::new(reset));
        settings.cid_generator(|| Box::new(Ids));
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(settings, Some(config), socket, runtime).unwrap();
        let address = endpoint.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        tokio::spawn(accept(endpoint, door, script.into(), Arc::clone(&seen)));
        Self { address, seen }
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.lock().unwrap().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, requests: usize) {
        while self.requests() < requests {
            self.seen.arrived.notified().await;
        }
    }

    /// Where the last connection comes from.
    pub(crate) fn client(&self) -> SocketAddr {
        self.seen
            .last
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .remote_address()
    }
}

async fn accept(endpoint: Endpoint, door: Door, script: Arc<[Act]>, seen: Arc<Seen>) {
    while let Some(incoming) = endpoint.accept().await {
        let is_proven = incoming.remote_address_validated();
        seen.proven
            .fetch_add(usize::from(is_proven), Ordering::SeqCst);
        if door == Door::Retry && !is_proven {
            incoming.retry().unwrap();
            continue;
        }
        if door == Door::Refuse {
            incoming.refuse();
            continue;
        }
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else {
                return;
            };
            seen.connections.fetch_add(1, Ordering::SeqCst);
            *seen.last.lock().unwrap() = Some(connection.clone());
            if let Door::Full(code) = door {
                return connection.close(VarInt::from_u32(code), b"");
            }
            serve(connection, &script, &seen).await;
        });
    }
}

async fn serve(connection: Connection, script: &Arc<[Act]>, seen: &Arc<Seen>) {
    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
        let (connection, script, seen) = (connection.clone(), Arc::clone(script), Arc::clone(seen));
        tokio::spawn(async move {
            let stops = matches!(script.first(), Some(Act::Stop(_)));
            let request = if stops {
                Vec::new()
            } else {
                recv.read_to_end(1 << 20).await.unwrap_or_default()
            };
            let nth = {
                let mut requests = seen.requests.lock().unwrap();
                requests.push(request);
                requests.len() - 1
            };
            seen.arrived.notify_waiters();
            let act = script.get(nth).or(script.last()).unwrap().clone();
            match act {
                Act::Answer(bytes) => answer(&mut send, &bytes).await,
                Act::Hold(pause, bytes) => {
                    tokio::time::sleep_until(tokio::time::Instant::now() + pause).await;
                    answer(&mut send, &bytes).await;
                }
                Act::Begin(bytes) => {
                    let _ = send.write_all(&bytes).await;
                    let _ = send.stopped().await;
                }
                Act::Reset(code) => {
                    let _ = send.reset(VarInt::from_u32(code));
                }
                Act::Close(code) => connection.close(VarInt::from_u32(code), b"words of a server"),
                Act::Stop(bytes) => {
                    let _ = recv.stop(VarInt::from_u32(0));
                    answer(&mut send, &bytes).await;
                }
                Act::Silence => {
                    let _ = send.stopped().await;
                }
            }
        });
    }
}

async fn answer(send: &mut quinn::SendStream, bytes: &[u8]) {
    let _ = send.write_all(bytes).await;
    let _ = send.finish();
    let _ = send.stopped().await;
}

/// A way over which datagrams pass until it is cut, as through a NAT.
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    pub(crate) is_cut: Arc<AtomicBool>,
    /// Where it leads.
    pub(crate) server: Arc<Mutex<SocketAddr>>,
    /// Datagrams that came from clients.
    pub(crate) came: Arc<AtomicUsize>,
}

impl Way {
    /// `twist` may change what the server sends to the client.
    pub(crate) async fn to(server: SocketAddr, twist: fn(&[u8]) -> Vec<u8>) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let (is_cut, came) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let way = Self {
            address,
            is_cut: Arc::clone(&is_cut),
            server: Arc::new(Mutex::new(server)),
            came: Arc::clone(&came),
        };
        let leads = Arc::clone(&way.server);
        tokio::spawn(async move {
            let mut mapped: Vec<((SocketAddr, SocketAddr), Arc<UdpSocket>)> = Vec::new();
            let mut buffer = [0; 2048];
            while let Ok((bytes, client)) = front.recv_from(&mut buffer).await {
                came.fetch_add(1, Ordering::SeqCst);
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let server = *leads.lock().unwrap();
                let known = mapped.iter().find(|(of, _)| *of == (client, server));
                let back = match known {
                    Some((_, back)) => Arc::clone(back),
                    None => {
                        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                        back.connect(server).await.unwrap();
                        mapped.push(((client, server), Arc::clone(&back)));
                        let (front, from, is_cut) =
                            (Arc::clone(&front), Arc::clone(&back), Arc::clone(&is_cut));
                        tokio::spawn(async move {
                            let mut buffer = [0; 2048];
                            loop {
                                let Ok(bytes) = from.recv(&mut buffer).await else {
                                    continue;
                                };
                                if !is_cut.load(Ordering::SeqCst) {
                                    let _ =
                                        front.send_to(&twist(part(&buffer, bytes)), client).await;
                                }
                            }
                        });
                        back
                    }
                };
                let _ = back.send(part(&buffer, bytes)).await;
            }
        });
        way
    }
}

/// A socket that answers each datagram with what `reply` makes of it; nothing for `None`.
pub(crate) async fn fake(reply: fn(&[u8]) -> Option<Vec<u8>>) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let came = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&came);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((bytes, client)) = socket.recv_from(&mut buffer).await {
            counter.fetch_add(1, Ordering::SeqCst);
            if let Some(reply) = reply(part(&buffer, bytes)) {
                let _ = socket.send_to(&reply, client).await;
            }
        }
    });
    (address, came)
}

fn part(buffer: &[u8], bytes: usize) -> &[u8] {
    buffer.get(..bytes).unwrap_or_default()
}
