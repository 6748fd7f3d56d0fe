//! Connection attempts of clients that will never hear an answer, as a forger of addresses sends them.
//!
//! First packets are caught where nobody answers and sent on to the server. Refuses to send the
//! same attempt twice: a second packet belongs to the first one's connection.

use super::door::{Door, Doors};
use crate::error::BenchError;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use tokio::net::UdpSocket;

/// Where the length of the connection id stands in a first packet, and where it begins.
const ID_AT: usize = 5;
/// Bytes of the largest packet that is caught.
const PACKET_BYTES_MAX: usize = 2_048;

/// Sends so many attempts to the server. # Errors: those of the sockets.
pub async fn send(doors: &Doors, count: usize) -> Result<(), BenchError> {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let sink = bind().await.map_err(BenchError::io("open a UDP socket"))?;
    let forger = bind().await.map_err(BenchError::io("open a UDP socket"))?;
    let address = sink
        .local_addr()
        .map_err(BenchError::io("open a UDP socket"))?;
    let nowhere = doors.to(address);
    let server = doors.quic()?;
    let mut seen = BTreeSet::new();
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    while seen.len() < count {
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
        if connection_id(packet).is_some_and(|id| seen.insert(id)) {
            let sent = forger.send_to(packet, server).await;
            sent.map_err(BenchError::io("send an attempt"))?;
            // The server's turn: no buffer of the kernel shall decide what is measured.
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

fn connection_id(packet: &[u8]) -> Option<Vec<u8>> {
    let length = usize::from(*packet.get(ID_AT)?);
    let id = packet.get(ID_AT + 1..ID_AT + 1 + length)?;
    Some(id.to_vec())
}
