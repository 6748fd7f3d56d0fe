//! A TLS-inspecting CONNECT proxy in this process that can misbehave: what a corporate proxy does to bytes, on demand.
//!
//! ```text
//!  device ──CONNECT──▶ TLS (leaf of the corporate authority) ──▶ Trick ──▶ TLS ──▶ controller
//! ```
//!
//! HTTP/1.1 with Content-Length on both sides, one thread a connection. A trick changes an answer, replaces it, or
//! answers itself; requests always pass unchanged. It refuses chunked bodies and anything but CONNECT by closing.

use std::io::{Error, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use crate::origin::{read_body, read_head};
use crate::{LabError, Pki};

/// A peer silent for longer is given up, in seconds: above every hold that a scenario asks for.
const SILENCE_S_MAX: u64 = 60;

/// What happens to answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// They pass.
    Pass,
    /// One bit in the middle of the body is flipped.
    FlipBit,
    /// The body loses its last byte; the head says so.
    Trim,
    /// The answer before comes once more in its place.
    Replay,
    /// The connection is closed instead.
    Drop,
    /// A page of HTML with status 200; the controller is not asked.
    BlockPage,
    /// Status 304 without a body; the controller is not asked.
    NotModified,
    /// Status 200 with an empty body; the controller is not asked.
    Empty,
}

impl Trick {
    /// The answer of a trick that asks nobody.
    fn own_answer(self) -> Option<Vec<u8>> {
        let page = "<html><body><h1>Blocked by policy</h1></body></html>";
        let length = page.len();
        match self {
            Self::Pass | Self::FlipBit | Self::Trim | Self::Replay | Self::Drop => None,
            Self::BlockPage => Some(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}"
            )),
            Self::NotModified => {
                Some("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".to_owned())
            }
            Self::Empty => Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()),
        }
        .map(String::into_bytes)
    }
}

/// The proxy, on a free loopback port; stopped when dropped.
#[derive(Debug)]
pub struct Inspector {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    pki: Pki,
    far_side: Arc<ClientConfig>,
    controller: SocketAddr,
    stopping: AtomicBool,
    played: AtomicUsize,
    requests: AtomicUsize,
    trick: Mutex<Trick>,
    last_answer: Mutex<Option<Vec<u8>>>,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Inspector {
    /// Starts a proxy that signs with the corporate authority of `pki`, trusts `trusted_pem` on its far side, and
    /// takes every name for the one of `controller`.
    ///
    /// # Errors
    /// [`LabError::Io`] when no port is free, [`LabError::Pem`] or [`LabError::Tls`] for a bad certificate.
    pub fn start(pki: Pki, trusted_pem: &str, controller: SocketAddr) -> Result<Self, LabError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(LabError::io("listen on loopback"))?;
        let address = listener
            .local_addr()
            .map_err(LabError::io("read the port"))?;
        let mut far_side = Pki::client_trusting(trusted_pem)?;
        far_side.alpn_protocols = vec![b"http/1.1".to_vec()];
        let shared = Arc::new(Shared {
            pki,
            far_side: Arc::new(far_side),
            controller,
            stopping: AtomicBool::new(false),
            played: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            trick: Mutex::new(Trick::Pass),
            last_answer: Mutex::default(),
            sockets: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &for_thread));
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Returns the proxy URL: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Plays a trick on every answer from now on, those under way included, and counts from 0.
    pub fn play(&self, trick: Trick) {
        *lock(&self.shared.trick) = trick;
        self.shared.played.store(0, Ordering::SeqCst);
    }

    /// Returns how often the trick was played.
    #[must_use]
    pub fn played(&self) -> usize {
        self.shared.played.load(Ordering::SeqCst)
    }

    /// Returns how many requests were read inside the broken-open TLS.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Closes all connections, so that clients have to come again.
    pub fn cut(&self) {
        for socket in lock(&self.shared.sockets).drain(..) {
            // One that is closed already is what is wanted.
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread out of accept; when that fails the listener is gone already.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // Ends with its sockets, which `cut` closes. What breaks off is seen on the device's side.
        std::thread::spawn(move || drop(stream.and_then(|stream| tunnel(stream, &shared))));
    }
}

fn tunnel(mut near: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let head = read_head(&mut near)?;
    let host = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(':').next())
        .ok_or_else(|| Error::other("not a CONNECT"))?;
    let server = shared.pki.inspecting_server(host).map_err(Error::other)?;
    let name = ServerName::try_from(host.to_owned()).map_err(Error::other)?;
    let far = TcpStream::connect(shared.controller)?;
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(Duration::from_secs(SILENCE_S_MAX)))?;
        socket.set_nodelay(true)?;
        lock(&shared.sockets).push(socket.try_clone()?);
    }
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let ends = [near.try_clone()?, far.try_clone()?];
    let result = inspect(near, far, server, name, shared);
    for end in ends {
        // Other handles on the sockets exist, so dropping one closes nothing.
        drop(end.shutdown(Shutdown::Both));
    }
    result
}

fn inspect(
    near: TcpStream,
    far: TcpStream,
    server: ServerConfig,
    name: ServerName<'static>,
    shared: &Shared,
) -> std::io::Result<()> {
    let server = ServerConnection::new(Arc::new(server)).map_err(Error::other)?;
    let mut near = StreamOwned::new(server, near);
    let client = ClientConnection::new(Arc::clone(&shared.far_side), name);
    let mut far = StreamOwned::new(client.map_err(Error::other)?, far);
    loop {
        let request = read_message(&mut near)?;
        shared.requests.fetch_add(1, Ordering::SeqCst);
        let own = lock(&shared.trick).own_answer();
        let answer = match own {
            Some(own) => {
                shared.played.fetch_add(1, Ordering::SeqCst);
                own
            }
            None => {
                far.write_all(&request.0)?;
                far.write_all(&request.1)?;
                far.flush()?;
                let (head, body) = read_message(&mut far)?;
                shared.tamper(head, body)?
            }
        };
        near.write_all(&answer)?;
        near.flush()?;
    }
}

/// A head with its empty line, and the body that its Content-Length announces.
fn read_message(stream: &mut impl Read) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let head = read_head(stream)?;
    let body = read_body(stream, &head)?;
    Ok((head.into_bytes(), body))
}

impl Shared {
    fn tamper(&self, head: Vec<u8>, mut body: Vec<u8>) -> std::io::Result<Vec<u8>> {
        let trick = *lock(&self.trick);
        let mut last = lock(&self.last_answer);
        let earlier = last.replace([head.clone(), body.clone()].concat());
        drop(last);
        if trick != Trick::Pass {
            self.played.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(own) = trick.own_answer() {
            return Ok(own);
        }
        match trick {
            Trick::Pass | Trick::BlockPage | Trick::NotModified | Trick::Empty => {}
            Trick::FlipBit => {
                let middle = body.len() / 2;
                if let Some(byte) = body.get_mut(middle) {
                    *byte ^= 1;
                }
            }
            Trick::Trim => {
                body.pop();
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                return Ok([head.into_bytes(), body].concat());
            }
            Trick::Replay => {
                if let Some(earlier) = earlier {
                    return Ok(earlier);
                }
            }
            Trick::Drop => return Err(Error::other("the trick is to close")),
        }
        Ok([head, body].concat())
    }
}
