//! Connection attempts of clients that will never hear an answer, as a forger of addresses sends them.
//!
//! ```text
//!   first packets, caught where nobody answers --> flood: so many a second, from ports that change
//! ```
//!
//! Each packet is a whole and valid first packet of a client of its own. Refuses to make them while it floods: the
//! processors shall be the server's.

use super::door::{Door, Doors};
use crate::clock::now;
use crate::error::BenchError;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as Socket};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Where the length of the connection id stands in a first packet, and where it begins.
const ID_AT: usize = 5;
/// Bytes of the largest packet that is caught.
const PACKET_BYTES_MAX: usize = 2_048;
/// Ports that a flood comes from, in turn.
const PORTS: usize = 64;
/// Milliseconds between two bursts of a flood.
const BURST_MS: u64 = 2;

/// Catches so many first packets, no two of one client. # Errors: those of the sockets.
pub async fn catch(doors: &Doors, count: usize) -> Result<Vec<Vec<u8>>, BenchError> {
    let open = || BenchError::io("open a UDP socket");
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let sink = sink.map_err(open())?;
    let nowhere = doors.to(sink.local_addr().map_err(open())?);
    let (mut seen, mut packets) = (BTreeSet::new(), Vec::with_capacity(count));
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    while packets.len() < count {
        let opening = nowhere.open(Door::Quic);
        let caught = sink.recv_from(&mut buffer);
        let (bytes, _) = tokio::select! {
            caught = caught => caught.map_err(BenchError::io("catch an attempt"))?,
            opened = opening => {
                opened?;
                return Err(BenchError::Unsteady("somebody answered where nobody should"));
            }
        };
        let Some(packet) = buffer.get(..bytes) else {
            unreachable!("the buffer holds what was received into it");
        };
        // A second packet belongs to the first one's connection.
        if connection_id(packet).is_some_and(|id| seen.insert(id)) {
            packets.push(packet.to_vec());
        }
    }
    Ok(packets)
}

/// Sends packets in turn, `per_s` a second for so many seconds; for a thread of its own. Returns how many left.
///
/// # Errors
/// Those of the sockets.
pub fn flood(
    packets: &[Vec<u8>],
    server: SocketAddr,
    per_s: u64,
    seconds: u64,
) -> Result<u64, BenchError> {
    let sockets: Result<Vec<Socket>, _> = (0..PORTS)
        .map(|_| Socket::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect();
    let sockets = sockets.map_err(BenchError::io("open a UDP socket"))?;
    let (began, count) = (now(), per_s * seconds);
    let mut turns = packets.iter().cycle().zip(sockets.iter().cycle());
    let mut sent = 0;
    while sent < count {
        let due = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) * per_s / 1_000;
        for (packet, socket) in turns
            .by_ref()
            .take(usize::try_from(due.min(count) - sent).unwrap_or_default())
        {
            // A full buffer of the kernel is the server's matter, as on any network.
            let _lost = socket.send_to(packet, server);
            sent += 1;
        }
        std::thread::park_timeout(Duration::from_millis(BURST_MS));
    }
    Ok(sent)
}

fn connection_id(packet: &[u8]) -> Option<Vec<u8>> {
    let length = usize::from(*packet.get(ID_AT)?);
    let id = packet.get(ID_AT + 1..ID_AT + 1 + length)?;
    Some(id.to_vec())
}
