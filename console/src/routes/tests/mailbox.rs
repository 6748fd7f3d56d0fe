//! What answers at the end of a way: TLS and HTTP of one answer, a port that hangs, or nothing.

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What it does with an exchange.
#[derive(Clone, Debug)]
pub(super) enum Behaviour {
    /// Status 200 and this body.
    Answer(Vec<u8>),
    /// Another status, and `Retry-After: 7`.
    Status(u16),
    /// Takes the connection and says nothing.
    Hang,
    /// Status 200 and a body without a length, step by step.
    Body(Vec<Step>),
}

/// One step of a body without a length.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// These bytes, as one chunk.
    Piece(Vec<u8>),
    /// Nothing for so long.
    Wait(Duration),
    /// One byte each 50 ms, for ever.
    Drip,
    /// Nothing any more.
    Silence,
    /// The end of the body.
    End,
    /// The end of the connection.
    Cut,
}

/// One end of ways.
pub(super) struct Site {
    address: SocketAddr,
    pub(super) pem: String,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Site {
    /// Listens.
    pub(super) async fn open(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let opened = Self {
            pem: certificate.pem(),
            behaviour: Arc::new(Mutex::new(behaviour)),
            ..Self::at(listener.local_addr().unwrap())
        };
        let behaviour = Arc::clone(&opened.behaviour);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behaviour) = (acceptor.clone(), Arc::clone(&behaviour));
                tokio::spawn(serve(stream, acceptor, behaviour));
            }
        });
        opened
    }

    /// Somebody else listens there.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            pem: String::new(),
            behaviour: Arc::new(Mutex::new(Behaviour::Hang)),
        }
    }

    /// A port at which nobody listens.
    pub(super) fn closed() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self::at(listener.local_addr().unwrap())
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, behaviour: Arc<Mutex<Behaviour>>) {
    let now = behaviour.lock().unwrap().clone();
    if let Behaviour::Hang = now {
        // Until the other side gives up.
        let mut stream = stream;
        let _end = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        return;
    }
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    while request(&mut stream).await.is_some() {
        let now = behaviour.lock().unwrap().clone();
        let (status, body) = match now {
            Behaviour::Answer(body) => (200, body),
            Behaviour::Status(status) => (status, Vec::new()),
            Behaviour::Hang => return,
            Behaviour::Body(steps) => {
                if body_of(&mut stream, steps).await.is_none() {
                    return;
                }
                continue;
            }
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nretry-after: 7\r\n\r\n",
            body.len()
        );
        if stream.write_all(head.as_bytes()).await.is_err()
            || stream.write_all(&body).await.is_err()
        {
            return;
        }
    }
}

/// Sends a body step by step. `None` once the connection is of no more use.
async fn body_of(stream: &mut (impl AsyncWrite + Unpin), steps: Vec<Step>) -> Option<()> {
    let head = b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n";
    send(stream, head).await?;
    for step in steps {
        match step {
            Step::Piece(bytes) => chunk(stream, &bytes).await?,
            Step::Wait(pause) => nothing_for(pause).await,
            Step::Drip => loop {
                nothing_for(Duration::from_millis(50)).await;
                chunk(stream, b"x").await?;
            },
            Step::Silence => std::future::pending().await,
            Step::End => return send(stream, b"0\r\n\r\n").await,
            Step::Cut => return None,
        }
    }
    None
}

/// The far end's own pace: what a scenario is made of, and no wait for an event.
async fn nothing_for(pause: Duration) {
    let _elapsed = tokio::time::timeout(pause, std::future::pending::<()>()).await;
}

async fn chunk(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    send(stream, &framed).await
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// Reads one request with its body.
async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?;
    let length: usize = length.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(())
}
