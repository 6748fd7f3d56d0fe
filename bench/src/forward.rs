//! A CONNECT proxy on loopback that only counts: every byte between a device and its mailbox.
//!
//! TLS and HTTP pass through it unread, so its counts are what a network would have carried above
//! TCP. It refuses to look into, change or delay anything.

use crate::error::BenchError;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Bytes of the head of a CONNECT that are read at most; ours have about 100.
const HEAD_BYTES_MAX: usize = 4_096;

/// What passed so far, without the CONNECT itself.
#[derive(Debug, Default)]
pub struct Counts {
    up: AtomicU64,
    down: AtomicU64,
    tunnels: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Bytes from the device.
    pub up: u64,
    /// Bytes to the device.
    pub down: u64,
    /// Connections opened.
    pub tunnels: u64,
}

/// The proxy; its threads end with the program.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    counts: Arc<Counts>,
}

impl Forward {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// [`BenchError::Io`] when no port can be had.
    pub fn start() -> Result<Self, BenchError> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(BenchError::io("listen"))?;
        let address = listener.local_addr().map_err(BenchError::io("listen"))?;
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counts = Arc::clone(&shared);
                // A tunnel that fails is seen by the device, which tries again.
                thread::spawn(move || drop(tunnel(client, &counts)));
            }
        });
        Ok(Self { address, counts })
    }

    /// Returns the URL for a device's settings.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Reads the counts.
    pub fn moment(&self) -> Moment {
        Moment {
            up: self.counts.up.load(Ordering::SeqCst),
            down: self.counts.down.load(Ordering::SeqCst),
            tunnels: self.counts.tunnels.load(Ordering::SeqCst),
        }
    }
}

fn tunnel(mut client: TcpStream, counts: &Arc<Counts>) -> std::io::Result<()> {
    let port = read_connect(&mut client)?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    counts.tunnels.fetch_add(1, Ordering::SeqCst);
    let (up_from, up_to) = (client.try_clone()?, server.try_clone()?);
    let shared = Arc::clone(counts);
    thread::spawn(move || drop(copy(up_from, up_to, &shared.up)));
    copy(server, client, &counts.down)
}

fn copy(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return to.shutdown(Shutdown::Write);
        }
        // Counted first: who sees the effect of bytes sees them counted.
        count.fetch_add(length as u64, Ordering::SeqCst);
        to.write_all(buffer.get(..length).unwrap_or_default())?;
    }
}

/// Reads `CONNECT host:port` and returns the port: every name means this machine.
fn read_connect(client: &mut TcpStream) -> std::io::Result<u16> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX || client.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head);
    let authority = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    let port = authority
        .and_then(|authority| authority.rsplit(':').next())
        .and_then(|port| port.parse().ok());
    port.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}
