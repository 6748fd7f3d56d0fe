//! The memory of networks as bytes: a version, entries of fixed parts, a checksum over all of it.
//!
//! Refuses what is damaged, too large or of another version as a whole: half a memory is none.

use super::{Limits, Network};
use crate::hold::Learnt;
use crate::ladder::way::WayKey;
use crate::limits::{HOLD_RUNGS_S, NETWORK_RECORD_BYTES_MAX, NETWORK_WAYS_MAX, NETWORKS_MAX};
use crate::network::NetworkId;
use sha2::{Digest as _, Sha256};

/// What the record begins with: its name and version.
const HEAD: [u8; 8] = *b"PSTNETS1";
/// Bytes of the checksum: enough against damage; nothing secret depends on it.
const CHECK_BYTES: usize = 8;
/// No rung.
const NONE: u8 = 0xff;

/// Why a record does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Larger than any that is written.
    #[error("the record of networks is too large")]
    TooLarge,
    /// Of another version, or no such record.
    #[error("the record of networks is of another version")]
    Version,
    /// The checksum does not fit.
    #[error("the record of networks is damaged")]
    Damaged,
    /// The checksum fits, what it covers does not.
    #[error("the record of networks has an impossible entry")]
    Entry,
}

fn checksum(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    [a, b, c, d, e, f, g, h]
}

/// Writes the record.
pub(super) fn encode(networks: &[Network]) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    for network in networks {
        bytes.extend_from_slice(&network.id.0);
        bytes.extend_from_slice(&network.used_s.to_be_bytes());
        bytes.extend_from_slice(&network.udp_hostile_until_s.to_be_bytes());
        bytes.push(u8::from(network.last_good.is_some()));
        bytes.extend_from_slice(&network.last_good.unwrap_or(WayKey([0; 8])).0);
        bytes.push(u8::try_from(network.ways.len()).unwrap_or(NONE));
        for limits in &network.ways {
            bytes.extend_from_slice(&limits.way.0);
            bytes.push(limits.hold.rung);
            bytes.push(limits.hold.cap.unwrap_or(NONE));
            bytes.extend_from_slice(&limits.up_bytes_max.to_be_bytes());
            bytes.extend_from_slice(&limits.down_bytes_max.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&checksum(&bytes));
    bytes
}

/// Reads the record.
pub(super) fn decode(record: &[u8]) -> Result<Vec<Network>, RecordError> {
    if record.len() > NETWORK_RECORD_BYTES_MAX {
        return Err(RecordError::TooLarge);
    }
    if !record.starts_with(&HEAD) {
        return Err(RecordError::Version);
    }
    let (covered, check) = record
        .split_last_chunk::<CHECK_BYTES>()
        .ok_or(RecordError::Damaged)?;
    if checksum(covered) != *check {
        return Err(RecordError::Damaged);
    }
    let mut bytes = covered.get(HEAD.len()..).ok_or(RecordError::Damaged)?;
    let mut networks: Vec<Network> = Vec::new();
    while !bytes.is_empty() {
        let network = read_network(&mut bytes).ok_or(RecordError::Entry)?;
        let is_known = networks.iter().any(|known| known.id == network.id);
        if is_known || networks.len() >= NETWORKS_MAX {
            return Err(RecordError::Entry);
        }
        networks.push(network);
    }
    Ok(networks)
}

fn read_network(bytes: &mut &[u8]) -> Option<Network> {
    let id = NetworkId(take(bytes)?);
    let used_s = u64::from_be_bytes(take(bytes)?);
    let udp_hostile_until_s = u64::from_be_bytes(take(bytes)?);
    let [has_good] = take(bytes)?;
    let good = WayKey(take(bytes)?);
    let last_good = match has_good {
        0 => None,
        1 => Some(good),
        _other => return None,
    };
    let [count] = take(bytes)?;
    if usize::from(count) > NETWORK_WAYS_MAX {
        return None;
    }
    let mut ways = Vec::new();
    for _ in 0..count {
        ways.push(read_limits(bytes)?);
    }
    Some(Network {
        id,
        used_s,
        last_good,
        udp_hostile_until_s,
        ways,
    })
}

fn read_limits(bytes: &mut &[u8]) -> Option<Limits> {
    let way = WayKey(take(bytes)?);
    let [rung] = take(bytes)?;
    let [cap] = take(bytes)?;
    let is_rung = |rung: u8| usize::from(rung) < HOLD_RUNGS_S.len();
    if !is_rung(rung) || !(cap == NONE || is_rung(cap)) {
        return None;
    }
    Some(Limits {
        way,
        hold: Learnt {
            rung,
            cap: Some(cap).filter(|cap| *cap != NONE),
        },
        up_bytes_max: u32::from_be_bytes(take(bytes)?),
        down_bytes_max: u32::from_be_bytes(take(bytes)?),
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
