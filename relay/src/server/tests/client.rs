//! A device's end: raw TLS, hyper's two protocols, and sessions over them.

use crate::fixtures::{ask, greet};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::session::ClientSession;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};

pub(super) const ROUTE: &str = "/gate/postern/1";

/// How to reach the server under test.
#[derive(Clone)]
pub(super) struct Site {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    /// What a connection begins with, before TLS.
    pub(super) preface: Vec<u8>,
}

/// A connection that carries requests.
pub(super) enum Client {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Site {
    pub(super) fn new(address: SocketAddr, certificate_pem: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap();
        Self {
            address,
            certificate,
            preface: Vec::new(),
        }
    }

    pub(super) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(super) async fn try_tls(&self, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(&self.preface).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    pub(super) async fn tls(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        self.try_tls(alpn).await.unwrap()
    }

    pub(super) async fn client(&self, is_h2: bool) -> Client {
        if is_h2 {
            self.h2().await
        } else {
            self.h1().await
        }
    }

    pub(super) async fn h1(&self) -> Client {
        let stream = TokioIo::new(self.tls(b"http/1.1").await);
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Client::Http1(sender)
    }

    pub(super) async fn h2(&self) -> Client {
        let stream = TokioIo::new(self.tls(b"h2").await);
        let executor = TokioExecutor::new();
        let (sender, connection) = http2::handshake(executor, stream).await.unwrap();
        tokio::spawn(connection);
        Client::Http2(sender)
    }
}

/// Status, some headers, and body of an answer.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<u64>,
    pub(super) length: Option<usize>,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answered> {
        let response: Response<_> = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let number = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            value.parse::<u64>().ok()
        };
        let retry_after = number("retry-after");
        let length = number("content-length").and_then(|length| usize::try_from(length).ok());
        let content_type = response.headers().get("content-type");
        let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes().to_vec();
        Ok(Answered {
            status,
            retry_after,
            length,
            content_type,
            body,
        })
    }

    pub(super) async fn try_post(&mut self, path: &str, body: Vec<u8>) -> hyper::Result<Answered> {
        let request = Request::post(format!("https://localhost{path}"))
            .header("content-length", body.len())
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.send(request).await
    }

    /// One exchange that must be answered with a frame.
    pub(super) async fn exchange(&mut self, frame: Vec<u8>) -> Vec<u8> {
        let answered = self.try_post(ROUTE, frame).await.unwrap();
        assert_eq!(answered.status, StatusCode::OK);
        assert_eq!(answered.length, Some(answered.body.len()));
        answered.body
    }

    /// Opens a session of the fixture's device.
    pub(super) async fn open(&mut self, seed: u8) -> ClientSession {
        let challenge = self.exchange(ask()).await;
        let (greeting, hello) = greet(&challenge, seed);
        let welcome = self.exchange(hello).await;
        greeting.handle_welcome(&welcome, 0).unwrap()
    }
}

/// The code of a refused frame.
pub(super) fn refusal(frame: &[u8]) -> u16 {
    refused(frame).0
}

/// The code of a refused frame, and when to try again.
pub(super) fn refused(frame: &[u8]) -> (u16, Option<u64>) {
    let decoded = PlainFrame::decode(frame, Direction::Down).unwrap();
    let PlainFrame::Refused { code, retry_ms } = decoded else {
        panic!("{decoded:?}");
    };
    (code, retry_ms)
}
