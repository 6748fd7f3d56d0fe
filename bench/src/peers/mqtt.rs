//! The part of MQTT 3.1.1 that the benchmark needs: one subscription, QoS 1 both ways.
//!
//! For the benchmark only. Refuses packets longer than a piece, and any answer but the one that is due.

use super::link::{Link, PIECE_BYTES_MAX, Target};
use crate::error::BenchError;

/// Seconds of silence after which the server would hang up: longer than the benchmark takes.
const KEEP_ALIVE_S: u16 = 600;
/// The number of every packet: one is under way at most.
const NUMBER: [u8; 2] = [0, 1];

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    /// It takes the connection, or not.
    Connack(u8),
    /// It takes the subscription with this QoS, or not (128).
    Suback(u8),
    /// It has this message.
    Puback,
    /// A message, and its number where it is to be acknowledged.
    Publish(Option<[u8; 2]>, Vec<u8>),
}

/// Reads a packet: the first byte and all after the length. `None`: none that is expected here.
pub fn parse(first: u8, body: &[u8]) -> Option<Packet> {
    match (first >> 4, body) {
        (2, &[_, code]) => Some(Packet::Connack(code)),
        (9, &[_, _, qos]) => Some(Packet::Suback(qos)),
        (4, &[_, _]) => Some(Packet::Puback),
        (3, _) => {
            let (length, rest) = body.split_first_chunk::<2>()?;
            let rest = rest.get(usize::from(u16::from_be_bytes(*length))..)?;
            if first & 0b110 == 0 {
                return Some(Packet::Publish(None, rest.to_vec()));
            }
            let (number, payload) = rest.split_first_chunk::<2>()?;
            Some(Packet::Publish(Some(*number), payload.to_vec()))
        }
        _ => None,
    }
}

/// Adds one byte of a length. `Some` when it was the last one; `None` also after a fourth one that is not.
pub fn add_length(length: &mut usize, place: u32, byte: u8) -> Option<usize> {
    *length |= usize::from(byte & 127) << (7 * place);
    (byte & 128 == 0).then_some(*length)
}

/// Makes a packet. # Errors: one that is longer than any of the benchmark.
pub fn packet(first: u8, parts: &[&[u8]]) -> Result<Vec<u8>, BenchError> {
    let body = parts.concat();
    let length = u16::try_from(body.len())
        .ok()
        .filter(|length| *length < 1 << 14);
    let length = length.ok_or(BenchError::Unsteady("a packet is too long"))?;
    let [low, high] = [length & 127, length >> 7].map(|part| part.to_be_bytes()[1]);
    let mut packet = vec![first];
    if high == 0 {
        packet.push(low);
    } else {
        packet.extend([low | 128, high]);
    }
    packet.extend(body);
    Ok(packet)
}

/// A text with its length before it.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// A connected client with one subscription.
pub struct Client {
    link: Link,
    topic: Vec<u8>,
}

impl Client {
    /// Connects, subscribes to one topic, and will publish under another.
    /// # Errors: those of the network, and a refusal.
    pub async fn open(
        target: &Target,
        name: &str,
        [own, publishes]: [&str; 2],
        is_kept: bool,
    ) -> Result<Self, BenchError> {
        let link = Link::open(target, false).await?;
        let mut client = Self {
            link,
            topic: text(publishes),
        };
        let session = if is_kept { 0 } else { 2 };
        let head = [
            4,
            session,
            KEEP_ALIVE_S.to_be_bytes()[0],
            KEEP_ALIVE_S.to_be_bytes()[1],
        ];
        let connect = packet(0x10, &[&text("MQTT"), &head, &text(name)])?;
        client.link.send(&connect).await?;
        client.expect(&Packet::Connack(0)).await?;
        let subscribe = packet(0x82, &[&NUMBER, &text(own), &[1]])?;
        client.link.send(&subscribe).await?;
        client.expect(&Packet::Suback(1)).await?;
        Ok(client)
    }

    async fn expect(&mut self, expected: &Packet) -> Result<(), BenchError> {
        let packet = self.read().await?;
        if packet == *expected {
            return Ok(());
        }
        Err(BenchError::Answer {
            what: "MQTT: another packet than the one that is due",
            answer: format!("{packet:?}"),
        })
    }

    async fn read(&mut self) -> Result<Packet, BenchError> {
        let malformed = || BenchError::Unsteady("MQTT: the server sends no packet");
        let first = *self.link.take(1).await?.first().ok_or_else(malformed)?;
        let (mut length, mut whole) = (0, None);
        for place in 0..4 {
            let byte = *self.link.take(1).await?.first().ok_or_else(malformed)?;
            whole = add_length(&mut length, place, byte);
            if whole.is_some() {
                break;
            }
        }
        let length = whole
            .filter(|length| *length <= PIECE_BYTES_MAX)
            .ok_or_else(malformed)?;
        let body = self.link.take(length).await?;
        parse(first, &body).ok_or_else(malformed)
    }

    /// Publishes with QoS 1 and waits for its acknowledgement. # Errors: as [`Self::open`].
    pub async fn publish(&mut self, message: &[u8]) -> Result<(), BenchError> {
        let publish = packet(0x32, &[&self.topic, &NUMBER, message])?;
        self.link.send(&publish).await?;
        self.expect(&Packet::Puback).await
    }

    /// Waits for the next message and acknowledges it. # Errors: as [`Self::open`].
    pub async fn next(&mut self) -> Result<Vec<u8>, BenchError> {
        match self.read().await? {
            Packet::Publish(number, payload) => {
                if let Some(number) = number {
                    self.link.send(&packet(0x40, &[&number])?).await?;
                }
                Ok(payload)
            }
            packet @ (Packet::Connack(_) | Packet::Suback(_) | Packet::Puback) => {
                Err(BenchError::Answer {
                    what: "MQTT: another packet than a message",
                    answer: format!("{packet:?}"),
                })
            }
        }
    }
}
