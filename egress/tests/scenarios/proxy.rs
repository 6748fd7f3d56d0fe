//! A proxy on loopback that does what a script says.
//!
//! Plain or behind TLS. Remembers every CONNECT, so that a test can count how often credentials
//! were shown.

use crate::origin::read_request;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the proxy does with one CONNECT.
#[derive(Clone)]
pub(crate) enum Act {
    /// Writes these bytes and keeps the connection.
    Answer(Vec<u8>),
    /// Writes these bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Writes these bytes and carries bytes to the address.
    Tunnel(Vec<u8>, SocketAddr),
    /// Says nothing until the client leaves.
    Silence,
    /// Writes these bytes, then nothing until the client leaves.
    Stall(Vec<u8>),
    /// Writes these bytes and resets the connection.
    Reset(Vec<u8>),
    /// Writes these bytes, then a header without end, one byte at a time.
    Drip(Vec<u8>),
    /// Writes header bytes without end.
    Flood,
}

type Script = dyn Fn(usize, &str) -> Act + Send + Sync;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Heads>>,
}

/// Each head with the number of its connection.
type Heads = Vec<(usize, String)>;

impl Proxy {
    /// `script` gets the number of the request and its head.
    pub(crate) async fn start(script: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        Self::listen(None, script).await
    }

    /// The same behind TLS.
    pub(crate) async fn start_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(config), script).await
    }

    async fn listen(
        config: Option<Arc<ServerConfig>>,
        script: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let proxy = Self {
            address,
            heads: Arc::clone(&heads),
        };
        let script: Arc<Script> = Arc::new(script);
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((tcp, _)) = listener.accept().await {
                let (heads, script) = (Arc::clone(&heads), Arc::clone(&script));
                let config = config.clone();
                connection += 1;
                tokio::spawn(async move {
                    match config {
                        None => serve(tcp, connection, &heads, script.as_ref()).await,
                        Some(config) => match TlsAcceptor::from(config).accept(tcp).await {
                            Ok(tls) => serve(tls, connection, &heads, script.as_ref()).await,
                            Err(_refused) => {}
                        },
                    }
                });
            }
        });
        proxy
    }

    /// The heads of all CONNECT requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().map(|(_, head)| head.clone()).collect()
    }

    /// The number of the connection that each head came on, from 1.
    pub(crate) fn connections(&self) -> Vec<usize> {
        let heads = self.heads.lock().unwrap();
        heads.iter().map(|(connection, _)| *connection).collect()
    }

    /// The first word of the credentials in each head; `-` without.
    pub(crate) fn schemes(&self) -> Vec<String> {
        let word = |head: String| {
            let value = head.split_once("Proxy-Authorization: ");
            let value = value.map_or("-", |(_, value)| value);
            value.split_whitespace().next().unwrap().to_owned()
        };
        self.heads().into_iter().map(word).collect()
    }

    /// How many of them carried credentials.
    pub(crate) fn authorized(&self) -> usize {
        let heads = self.heads();
        let carries = |head: &&String| head.contains("Proxy-Authorization: ");
        heads.iter().filter(carries).count()
    }
}

trait Client: AsyncRead + AsyncWrite + Unpin {
    /// Makes the end of this connection a reset.
    fn reset_at_end(&self) {}
}

impl Client for TcpStream {
    fn reset_at_end(&self) {
        socket2::SockRef::from(self)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    }
}

impl Client for tokio_rustls::server::TlsStream<TcpStream> {}

async fn serve<S: Client>(mut client: S, connection: usize, heads: &Mutex<Heads>, script: &Script) {
    while let Some((head, _)) = read_request(&mut client).await {
        let nth = {
            let mut heads = heads.lock().unwrap();
            heads.push((connection, head.clone()));
            heads.len() - 1
        };
        match script(nth, &head) {
            Act::Answer(bytes) => drop(client.write_all(&bytes).await),
            Act::AnswerAndClose(bytes) => {
                client.write_all(&bytes).await.unwrap();
                return;
            }
            Act::Tunnel(bytes, address) => {
                let mut server = TcpStream::connect(address).await.unwrap();
                client.write_all(&bytes).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                return;
            }
            Act::Silence => drop(client.read(&mut [0; 1]).await),
            Act::Stall(bytes) => {
                client.write_all(&bytes).await.unwrap();
                drop(client.read(&mut [0; 1]).await);
            }
            Act::Reset(bytes) => {
                client.write_all(&bytes).await.unwrap();
                // The client's TLS begins: the head has arrived.
                drop(client.read(&mut [0; 1]).await);
                client.reset_at_end();
                return;
            }
            Act::Drip(bytes) => {
                let _ = client.write_all(&bytes).await;
                let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
                while client.write_all(b"x").await.is_ok() {
                    tick.tick().await;
                }
            }
            Act::Flood => {
                let _ = client.write_all(b"HTTP/1.1 200 ok\r\n").await;
                while client.write_all(b"X-Flood: aaaaaaaaaaaaaaaa").await.is_ok() {}
            }
        }
    }
}

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// A 407 that asks for Basic and keeps the connection.
pub(crate) fn challenge() -> Vec<u8> {
    b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"Corp\"\r\nContent-Length: 5\r\n\r\nhello"
        .to_vec()
}
