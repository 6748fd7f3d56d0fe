//! The memory of networks as bytes: a version, entries of fixed parts, a checksum over all of it.
//!
//! Refuses what is damaged, too large or of another version as a whole: half a memory is none.

use super::{Kept, Network};
use crate::canary::Verdict;
use crate::ladder::way::WayKey;
use crate::limits::{HOLD_RUNGS_S, NETWORK_RECORD_BYTES_MAX, NETWORK_WAYS_MAX, NETWORKS_MAX};
use crate::network::NetworkId;
use crate::push::limits::CANARY_PADS_BYTES;
use sha2::{Digest as _, Sha256};

/// What the record begins with: its name and version.
const HEAD: [u8; 8] = *b"PSTNETS2";
/// Bytes of the checksum: enough against damage; nothing secret depends on it.
const CHECK_BYTES: usize = 8;
/// No rung, no verdict.
const NONE: u8 = 0xff;
/// The verdict that answers are held back; any smaller number is the place of a padding with which they are not.
const BUFFERS: u8 = 0xfe;

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

pub(super) fn checksum(bytes: &[u8]) -> [u8; CHECK_BYTES] {
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
        for kept in &network.ways {
            bytes.extend_from_slice(&kept.way.0);
            bytes.push(kept.rung);
            bytes.push(kept.cap.unwrap_or(NONE));
            bytes.extend_from_slice(&kept.cap_until_s.to_be_bytes());
            bytes.extend_from_slice(&kept.up_bytes_max.to_be_bytes());
            bytes.extend_from_slice(&kept.down_bytes_max.to_be_bytes());
            bytes.push(kept.canary.map_or(NONE, byte_of));
            bytes.extend_from_slice(&kept.canary_until_s.to_be_bytes());
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
        ways.push(read_way(bytes)?);
    }
    Some(Network {
        id,
        used_s,
        last_good,
        udp_hostile_until_s,
        ways,
    })
}

fn read_way(bytes: &mut &[u8]) -> Option<Kept> {
    let way = WayKey(take(bytes)?);
    let [rung] = take(bytes)?;
    let [cap] = take(bytes)?;
    let is_rung = |rung: u8| usize::from(rung) < HOLD_RUNGS_S.len();
    if !is_rung(rung) || !(cap == NONE || is_rung(cap)) {
        return None;
    }
    let cap_until_s = u64::from_be_bytes(take(bytes)?);
    let up_bytes_max = u32::from_be_bytes(take(bytes)?);
    let down_bytes_max = u32::from_be_bytes(take(bytes)?);
    let [canary] = take(bytes)?;
    Some(Kept {
        way,
        rung,
        cap: Some(cap).filter(|cap| *cap != NONE),
        cap_until_s,
        up_bytes_max,
        down_bytes_max,
        canary: verdict_of(canary)?,
        canary_until_s: u64::from_be_bytes(take(bytes)?),
    })
}

fn byte_of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Buffers => BUFFERS,
        Verdict::Flows { pad } => {
            let place = CANARY_PADS_BYTES.iter().position(|known| *known == pad);
            let place = place.and_then(|place| u8::try_from(place).ok());
            place.unwrap_or(NONE)
        }
    }
}

/// `None` for a byte that no verdict has.
fn verdict_of(byte: u8) -> Option<Option<Verdict>> {
    match byte {
        NONE => Some(None),
        BUFFERS => Some(Some(Verdict::Buffers)),
        place => {
            let pad = CANARY_PADS_BYTES.get(usize::from(place)).copied()?;
            Some(Some(Verdict::Flows { pad }))
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
