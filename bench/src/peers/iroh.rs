//! The part of iroh's relay protocol that the benchmark needs: datagrams over WebSocket, RFC 6455, version 2.
//!
//! A client proves its key by a signature over key material of the TLS connection, in a header of the
//! upgrade. For the benchmark only: the mask of its frames is zero, which is allowed and hides nothing.
//! Refuses fragments, texts, and frames longer than a piece.

use super::link::{Link, PIECE_BYTES_MAX, Target};
use crate::error::BenchError;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};

const CONFIRMED: u8 = 2;
const DATAGRAM_UP: u8 = 4;
const DATAGRAM_DOWN: u8 = 6;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Bytes before the content of a datagram: its kind, a key, a mark.
const HEAD_BYTES: usize = 34;

/// How long a frame is.
#[derive(Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Known(usize),
    /// The two bytes that follow say it.
    Two,
}

/// Reads the first two bytes of a frame of the server. `None`: a fragment, a text, an end, or one too long.
pub fn parse_head([first, second]: [u8; 2]) -> Option<Length> {
    match (first, second) {
        (0x82, length @ 0..=125) => Some(Length::Known(usize::from(length))),
        (0x82, 126) => Some(Length::Two),
        _ => None,
    }
}

/// Makes a frame. # Errors: one that is longer than any of the benchmark.
pub fn frame(body: &[u8]) -> Result<Vec<u8>, BenchError> {
    let length = u16::try_from(body.len()).map_err(BenchError::network("a frame is too long"))?;
    let [high, low] = length.to_be_bytes();
    let mask = [0; 4];
    Ok(if length <= 125 {
        [&[0x82, 0x80 | low], mask.as_slice(), body].concat()
    } else {
        [&[0x82, 0x80 | 126, high, low], mask.as_slice(), body].concat()
    })
}

/// The key of a client.
pub fn key(number: usize) -> SigningKey {
    SigningKey::from_bytes(&crate::mailbox::domain::seed_of(&[11, number]))
}

/// A connected client.
pub struct Client {
    link: Link,
    to: [u8; 32],
}

impl Client {
    /// Connects with the key of one number, and will send to that of another.
    /// # Errors: those of the network, and a refusal.
    pub async fn open(target: &Target, own: usize, to: usize) -> Result<Self, BenchError> {
        let link = Link::open(target, false).await?;
        let mut client = Self {
            link,
            to: key(to).verifying_key().to_bytes(),
        };
        let request = format!(
            "GET /relay HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: iroh-relay-v2\r\nX-Iroh-Relay-Client-Auth-V1: {}\r\n\r\n",
            client.proof(&key(own))?
        );
        client.link.send(request.as_bytes()).await?;
        let answer = client.link.take_to(b"\r\n\r\n").await?;
        let refused = |answer: &[u8]| BenchError::Answer {
            what: "iroh-relay takes no client",
            answer: String::from_utf8_lossy(answer).into_owned(),
        };
        if !answer.starts_with(b"HTTP/1.1 101 ") {
            return Err(refused(&answer));
        }
        let confirmed = client.read().await?;
        if confirmed.first() != Some(&CONFIRMED) {
            return Err(refused(&confirmed));
        }
        Ok(client)
    }

    /// Key, signature with its length, and the part of the key material that is not signed.
    fn proof(&self, key: &SigningKey) -> Result<String, BenchError> {
        let public = key.verifying_key().to_bytes();
        let material = self
            .link
            .key_material(b"iroh-relay handshake v1", &public)?;
        let (signed, shown) = material.split_at(16);
        let signature = key.sign(signed).to_bytes();
        let proof = [&public, [64].as_slice(), &signature, shown].concat();
        Ok(Base64UrlUnpadded::encode_string(&proof))
    }

    async fn read(&mut self) -> Result<Vec<u8>, BenchError> {
        let malformed = || BenchError::Unsteady("iroh-relay sends no frame of a known kind");
        let head = self.link.take(2).await?;
        let head = head.as_slice().try_into().ok().and_then(parse_head);
        let length = match head.ok_or_else(malformed)? {
            Length::Known(length) => length,
            Length::Two => {
                let bytes = self.link.take(2).await?;
                let bytes: Result<[u8; 2], _> = bytes.as_slice().try_into();
                usize::from(u16::from_be_bytes(bytes.map_err(|_| malformed())?))
            }
        };
        if length > PIECE_BYTES_MAX {
            return Err(malformed());
        }
        self.link.take(length).await
    }

    /// Sends a datagram; nothing says whether it arrives. # Errors: as [`Self::open`].
    pub async fn publish(&mut self, message: &[u8]) -> Result<(), BenchError> {
        let datagram = [&[DATAGRAM_UP], self.to.as_slice(), &[0], message].concat();
        self.link.send(&frame(&datagram)?).await
    }

    /// Waits for the next datagram. # Errors: as [`Self::open`].
    pub async fn next(&mut self) -> Result<Vec<u8>, BenchError> {
        loop {
            let mut body = self.read().await?;
            match body.first() {
                Some(&DATAGRAM_DOWN) if body.len() >= HEAD_BYTES => {
                    return Ok(body.split_off(HEAD_BYTES));
                }
                Some(&PING) => {
                    body.splice(..1, [PONG]);
                    self.link.send(&frame(&body)?).await?;
                }
                Some(_) | None => {}
            }
        }
    }
}
