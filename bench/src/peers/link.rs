//! A TLS connection to a server that Postern is compared with, read in bounded pieces.
//!
//! For the benchmark only: it trusts one certificate, and never reconnects. Refuses lines and
//! pieces longer than the protocols need.

use crate::error::BenchError;
use crate::relay::door;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Bytes that are read at once at most: a message of 1 KB with its head.
pub const PIECE_BYTES_MAX: usize = 8_192;

/// Bytes that are made room for before a read. Arbitrary.
const READ_BYTES: usize = 2_048;

/// Where a server listens, and what makes it trusted.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    /// TLS that trusts its certificate.
    pub tls: Arc<rustls::ClientConfig>,
}

/// One connection.
pub struct Link {
    stream: TlsStream<TcpStream>,
    /// What was read and not taken yet.
    held: Vec<u8>,
}

/// Reads a line that a server sends before TLS, without its end. # Errors: when it is longer than a piece, or none comes.
async fn read_plain_line(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while line.len() < PIECE_BYTES_MAX {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
    Err(std::io::ErrorKind::InvalidData.into())
}

impl Link {
    /// Connects with TLS, after a line of the server where it sends one first. # Errors: those of the network.
    pub async fn open(target: &Target, is_greeted: bool) -> Result<Self, BenchError> {
        let mut stream = TcpStream::connect(target.address)
            .await
            .map_err(BenchError::io("connect to the server"))?;
        if is_greeted {
            let greeting = read_plain_line(&mut stream).await;
            greeting.map_err(BenchError::io("read the server's greeting"))?;
        }
        Ok(Self {
            stream: door::handshake(Arc::clone(&target.tls), stream).await?,
            held: Vec::new(),
        })
    }

    /// Key material of this connection, RFC 5705. # Errors: when TLS gives none.
    pub fn key_material(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], BenchError> {
        let (_, session) = self.stream.get_ref();
        session
            .export_keying_material([0; 32], label, Some(context))
            .map_err(BenchError::network("TLS gives no key material"))
    }

    /// Sends bytes. # Errors: those of the network.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        let lost = || BenchError::io("send to the server");
        self.stream.write_all(bytes).await.map_err(lost())?;
        self.stream.flush().await.map_err(lost())
    }

    /// Takes exactly so many bytes. # Errors: those of the network, and more than [`PIECE_BYTES_MAX`].
    pub async fn take(&mut self, count: usize) -> Result<Vec<u8>, BenchError> {
        while self.held.len() < count {
            self.fill().await?;
        }
        let rest = self.held.split_off(count);
        Ok(std::mem::replace(&mut self.held, rest))
    }

    /// Takes bytes up to and with an end. # Errors: those of the network, and no end within [`PIECE_BYTES_MAX`].
    pub async fn take_to(&mut self, end: &[u8]) -> Result<Vec<u8>, BenchError> {
        loop {
            let mut places = self.held.windows(end.len());
            if let Some(place) = places.position(|window| window == end) {
                return self.take(place + end.len()).await;
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), BenchError> {
        if self.held.len() >= PIECE_BYTES_MAX {
            return Err(BenchError::Unsteady("the server sends a longer piece"));
        }
        self.held.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.held).await;
        match read.map_err(BenchError::io("read from the server"))? {
            0 => Err(BenchError::Unsteady("the server ended a connection")),
            _ => Ok(()),
        }
    }
}
