//! A TLS origin in this process that gives one fixed answer: the far end for tests of the proxies themselves, and the
//! block page that answers 200 with HTML in the controller's place.
//!
//! It speaks just enough HTTP/1.1: it reads one head and its Content-Length body, answers, and closes. It refuses
//! heads above 16 KiB and bodies above 1 MiB by closing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::{LabError, Pki};

const HEAD_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: u64 = 1024 * 1024;
/// A peer silent for longer is given up, in seconds. Arbitrary.
const SILENCE_S_MAX: u64 = 10;

/// A TLS server on a free loopback port; stopped when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stopping: AtomicBool,
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
    answer: Vec<u8>,
}

impl Origin {
    /// Starts an origin that presents the certificate of `pki` and answers every request with 200, `content_type` and
    /// `body`.
    ///
    /// # Errors
    /// [`LabError::Io`] when no port is free, [`LabError::Tls`] when the certificate cannot be used.
    pub fn start(pki: &Pki, content_type: &str, body: &str) -> Result<Self, LabError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(LabError::io("listen on loopback"))?;
        let address = listener
            .local_addr()
            .map_err(LabError::io("read the port"))?;
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let shared = Arc::new(Shared {
            stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            heads: Mutex::new(Vec::new()),
            answer: answer.into_bytes(),
        });
        let tls = Arc::new(pki.origin_server()?);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&listener, &tls, &for_thread));
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many TCP connections reached it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns the heads of all requests that were answered, in order.
    #[must_use]
    pub fn request_heads(&self) -> Vec<String> {
        self.shared
            .heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread out of accept; when that fails the listener is gone already.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            // A panic in there has failed the exchange it belonged to.
            drop(thread.join());
        }
    }
}

fn serve(listener: &TcpListener, tls: &Arc<ServerConfig>, shared: &Shared) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        // A peer that breaks off is that peer's business: the test sees it on its own side.
        drop(stream.and_then(|stream| answer(stream, tls, shared)));
    }
}

fn answer(stream: TcpStream, tls: &Arc<ServerConfig>, shared: &Shared) -> std::io::Result<()> {
    let silence = Some(Duration::from_secs(SILENCE_S_MAX));
    stream.set_read_timeout(silence)?;
    stream.set_write_timeout(silence)?;
    let connection = ServerConnection::new(Arc::clone(tls)).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let head = read_head(&mut stream)?;
    drop(read_body(&mut stream, &head)?);
    shared
        .heads
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    stream.write_all(&shared.answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Reads up to and including the empty line, byte by byte so that nothing of the body is taken.
pub(crate) fn read_head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while head.len() < HEAD_BYTES_MAX {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
        if head.ends_with(b"\r\n\r\n") {
            return Ok(String::from_utf8_lossy(&head).into_owned());
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

/// Reads the body that a head announces by its Content-Length.
pub(crate) fn read_body(stream: &mut impl Read, head: &str) -> std::io::Result<Vec<u8>> {
    let length = body_length(head);
    if length > BODY_BYTES_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let mut body = Vec::new();
    let read = stream.take(length).read_to_end(&mut body)?;
    if u64::try_from(read).is_ok_and(|read| read == length) {
        return Ok(body);
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

fn body_length(head: &str) -> u64 {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _value)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_name, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_length_reads_the_header_and_nothing_else() {
        let check = |head: &str, expected| assert_eq!(body_length(head), expected, "{head:?}");
        check("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", 12);
        check("POST / HTTP/1.1\r\ncontent-length:7\r\n\r\n", 7);
        check("POST / HTTP/1.1\r\nContent-Length: minus one\r\n\r\n", 0);
        check("POST / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\n", 0);
        check("GET / HTTP/1.1\r\n\r\n", 0);
    }

    #[test]
    fn head_without_an_end_is_refused() {
        let check =
            |bytes: &[u8]| assert!(read_head(&mut &*bytes).is_err(), "{} bytes", bytes.len());
        check(b"");
        check(b"GET / HTTP/1.1\r\nHost: x\r\n");
        check(&vec![b'a'; HEAD_BYTES_MAX + 10]);
        assert_eq!(read_head(&mut &b"A\r\n\r\nrest"[..]).unwrap(), "A\r\n\r\n");
    }
}
