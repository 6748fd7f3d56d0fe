//! A TLS server that does what a script says.
//!
//! Plays the mailbox, or the inspector in front of it. Remembers every request and connection, so
//! that a test can say what was *not* sent.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What the origin does with one request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Writes these bytes and keeps the connection.
    Answer(Vec<u8>),
    /// Writes these bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Closes without a byte.
    Close,
    /// Says nothing until the client leaves.
    Silence,
}

/// What the origin saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Heads and bodies of all requests.
    pub(crate) requests: Mutex<Vec<(String, Vec<u8>)>>,
    /// TLS connections.
    pub(crate) connections: AtomicUsize,
    /// Connections that the origin closed.
    pub(crate) closed: Notify,
}

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

impl Origin {
    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.lock().unwrap().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// HTTP/1.1: the script's n-th entry answers the n-th request, the last one all later ones.
    pub(crate) async fn http1(config: Arc<ServerConfig>, script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let origin = Self {
            address,
            seen: Arc::clone(&seen),
        };
        let script = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                tokio::spawn(async move {
                    let Ok(mut tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    seen.connections.fetch_add(1, Ordering::SeqCst);
                    while let Some(request) = read_request(&mut tls).await {
                        let nth = {
                            let mut requests = seen.requests.lock().unwrap();
                            requests.push(request);
                            requests.len() - 1
                        };
                        let act = script.get(nth).or(script.last()).unwrap();
                        match act {
                            Act::Answer(bytes) => tls.write_all(bytes).await.unwrap(),
                            Act::AnswerAndClose(bytes) => {
                                tls.write_all(bytes).await.unwrap();
                                break;
                            }
                            Act::Close => break,
                            Act::Silence => {
                                let _ = tls.read(&mut [0; 1]).await;
                                break;
                            }
                        }
                    }
                    let _ = tls.shutdown().await;
                    drop(tls);
                    seen.closed.notify_one();
                });
            }
        });
        origin
    }

    /// HTTP/2: answers `answered after <n>` once `together` requests have arrived.
    pub(crate) async fn http2(config: Arc<ServerConfig>, together: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let origin = Self {
            address,
            seen: Arc::clone(&seen),
        };
        let gate = Arc::new(tokio::sync::Barrier::new(together));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    seen.connections.fetch_add(1, Ordering::SeqCst);
                    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                        let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
                        async move {
                            let head = format!("{} {}", request.method(), request.uri());
                            let body = request.into_body().collect().await.unwrap().to_bytes();
                            seen.requests.lock().unwrap().push((head, body.to_vec()));
                            gate.wait().await;
                            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("h2"))))
                        }
                    });
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(tls), service).await;
                });
            }
        });
        origin
    }
}

/// Reads one head and, by its Content-Length, its body.
pub(crate) async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// An answer with Content-Length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}
