//! The ways to the server: one connection, one frame in, one frame out.
//!
//! Refuses to be clever: no pool, no retry, no second connection.

use super::process::Greeting;
use crate::error::BenchError;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper::header::RETRY_AFTER;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_relay::server::ALPN;
use quinn::crypto::rustls::QuicClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// HTTPS with HTTP/1.1.
    Http1,
    /// HTTPS with HTTP/2.
    Http2,
    /// QUIC.
    Quic,
}

impl Door {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Quic];

    /// Its name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Quic => "QUIC",
        }
    }
}

/// What devices need to connect.
#[derive(Clone)]
pub struct Doors {
    https: SocketAddr,
    quic: Option<SocketAddr>,
    /// Where connections come from, where it matters.
    from: Option<Ipv4Addr>,
    tls: rustls::ClientConfig,
    endpoint: quinn::Endpoint,
}

/// One connection.
pub enum Carrier {
    /// HTTP/1.1.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2.
    Http2(http2::SendRequest<Full<Bytes>>),
    /// QUIC.
    Quic(quinn::Connection),
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The body.
    pub frame: Vec<u8>,
    /// True when HTTP refused, so that the body is no frame.
    pub is_refused: bool,
    /// Seconds of Retry-After.
    pub retry_s: Option<u64>,
}

impl Doors {
    /// Trusts the server's certificate. # Errors: when it is none.
    pub fn new(greeting: &Greeting) -> Result<Self, BenchError> {
        let tls = tls_client(&greeting.certificate_pem)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = quinn::Endpoint::client(any).map_err(BenchError::io("open a UDP socket"))?;
        Ok(Self {
            https: greeting.https,
            quic: greeting.quic,
            from: None,
            tls,
            endpoint,
        })
    }

    /// The same towards another address of QUIC.
    pub fn to(&self, quic: SocketAddr) -> Self {
        Self {
            quic: Some(quic),
            ..self.clone()
        }
    }

    /// The same, over TCP from another address of this machine.
    pub fn from(&self, address: Ipv4Addr) -> Self {
        Self {
            from: Some(address),
            ..self.clone()
        }
    }

    /// Where the server listens for QUIC. # Errors: when it does not.
    pub fn quic(&self) -> Result<SocketAddr, BenchError> {
        let quic = self.quic;
        quic.ok_or(BenchError::Unsteady("the server listens on no UDP socket"))
    }

    fn tls(&self, alpn: &[u8]) -> rustls::ClientConfig {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = vec![alpn.to_vec()];
        tls
    }

    /// Opens a connection. # Errors: those of the network.
    pub async fn open(&self, door: Door) -> Result<Carrier, BenchError> {
        match door {
            Door::Http1 => {
                let stream = TokioIo::new(self.open_tls(b"http/1.1").await?);
                let opened = http1::handshake(stream).await;
                let (sender, connection) =
                    opened.map_err(BenchError::network("cannot speak HTTP/1.1"))?;
                tokio::spawn(connection);
                Ok(Carrier::Http1(sender))
            }
            Door::Http2 => {
                let stream = TokioIo::new(self.open_tls(b"h2").await?);
                let opened = http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, connection) =
                    opened.map_err(BenchError::network("cannot speak HTTP/2"))?;
                tokio::spawn(connection);
                Ok(Carrier::Http2(sender))
            }
            Door::Quic => self.open_quic().await.map(Carrier::Quic),
        }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind((from, 0).into())?;
        }
        socket.connect(self.https).await
    }

    async fn open_tls(&self, alpn: &[u8]) -> Result<TlsStream<TcpStream>, BenchError> {
        let stream = self
            .connect()
            .await
            .map_err(BenchError::io("connect to the server"))?;
        handshake(self.tls(alpn), stream).await
    }

    async fn open_quic(&self) -> Result<quinn::Connection, BenchError> {
        let crypto = QuicClientConfig::try_from(self.tls(ALPN))
            .map_err(BenchError::network("cannot use TLS 1.3"))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        let mut transport = quinn::TransportConfig::default();
        transport.keep_alive_interval(Some(Duration::from_secs(20)));
        config.transport_config(Arc::new(transport));
        let connecting = self
            .endpoint
            .connect_with(config, self.quic()?, "localhost")
            .map_err(BenchError::network("cannot connect by QUIC"))?;
        connecting
            .await
            .map_err(BenchError::network("cannot connect by QUIC"))
    }
}

impl Carrier {
    /// One exchange. # Errors: those of the network.
    pub async fn exchange(&mut self, frame: Vec<u8>) -> Result<Vec<u8>, BenchError> {
        Ok(self.ask(frame).await?.frame)
    }

    /// One exchange, and what HTTP says about it. # Errors: those of the network.
    pub async fn ask(&mut self, frame: Vec<u8>) -> Result<Reply, BenchError> {
        let no_http = || BenchError::network("the server answers no request");
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(no_http())?;
                let sent = sender.send_request(request(frame)?).await;
                sent.map_err(no_http())?
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(no_http())?;
                let sent = sender.send_request(request(frame)?).await;
                sent.map_err(no_http())?
            }
            Self::Quic(connection) => {
                let frame = over_quic(connection, &frame).await?;
                return Ok(Reply {
                    frame,
                    is_refused: false,
                    retry_s: None,
                });
            }
        };
        let is_refused = !response.status().is_success();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_s = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.into_body().collect().await;
        Ok(Reply {
            frame: body.map_err(no_http())?.to_bytes().to_vec(),
            is_refused,
            retry_s,
        })
    }
}

/// A client of TLS 1.3 that trusts one certificate. # Errors: when it is none.
pub fn tls_client(certificate_pem: &str) -> Result<rustls::ClientConfig, BenchError> {
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(BenchError::network("cannot read the certificate"))?;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(certificate)
        .map_err(BenchError::network("cannot trust the certificate"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(BenchError::network("cannot use TLS 1.3"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Opens TLS to `localhost` over a connection that does not wait for more to send. # Errors: those of the network.
pub async fn handshake(
    tls: impl Into<Arc<rustls::ClientConfig>>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, BenchError> {
    let _ = stream.set_nodelay(true);
    let name =
        ServerName::try_from("localhost").map_err(BenchError::network("the server has no name"))?;
    TlsConnector::from(tls.into())
        .connect(name, stream)
        .await
        .map_err(BenchError::io("open TLS to the server"))
}

fn request(frame: Vec<u8>) -> Result<Request<Full<Bytes>>, BenchError> {
    Request::post("https://localhost/postern/1")
        .header("content-length", frame.len())
        .body(Full::new(Bytes::from(frame)))
        .map_err(BenchError::network("cannot make a request"))
}

async fn over_quic(connection: &quinn::Connection, frame: &[u8]) -> Result<Vec<u8>, BenchError> {
    let lost = || BenchError::network("the server answers on no stream");
    let opened = connection.open_bi().await;
    let (mut send, mut recv) = opened.map_err(lost())?;
    send.write_all(frame)
        .await
        .map_err(BenchError::network("the server takes no frame"))?;
    send.finish()
        .map_err(BenchError::network("the server takes no frame"))?;
    recv.read_to_end(64 << 10)
        .await
        .map_err(BenchError::network("the server answers no frame"))
}
