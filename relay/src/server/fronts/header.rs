//! The PROXY protocol, version 2: the address that a load balancer states before anything else.
//!
//! ```text
//!   signature 12 | version and command 1 | family 1 | length 2 | addresses | additions (TLV) ...
//! ```
//!
//! Pure. Refuses version 1, other families than TCP over IPv4 and IPv6, lengths beyond a bound,
//! additions that do not end where they say, and a checksum that is wrong.

use crate::limits::PROXY_HEADER_BYTES_MAX;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes before the part whose length they state.
pub(super) const PREFIX_BYTES: usize = 16;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 in the high half, the command in the low one.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Family in the high half, transport in the low one.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// The addition with a CRC32C over the whole header, its own four bytes taken as 0.
const CHECKSUM: u8 = 0x03;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The client at this address.
    Client(IpAddr),
    /// The front itself, as when it looks whether somebody listens.
    Front,
}

/// These bytes are no header of version 2, or one that nobody should believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a front stated no address that can be believed")]
pub(in crate::server) struct Malformed;

/// Reads how many bytes follow the prefix.
///
/// # Errors
/// [`Malformed`], before one byte of them is read.
pub(super) fn rest_bytes(prefix: [u8; PREFIX_BYTES]) -> Result<usize, Malformed> {
    let (signature, rest) = prefix.split_first_chunk().ok_or(Malformed)?;
    let [command, family, high, low] = *rest else {
        return Err(Malformed);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_known = match (command, family) {
        (LOCAL, _) | (PROXY, UNSPECIFIED) => true,
        (PROXY, TCP_OVER_IPV4) => length >= 12,
        (PROXY, TCP_OVER_IPV6) => length >= 36,
        _ => false,
    };
    if signature != SIGNATURE || !is_known || length > PROXY_HEADER_BYTES_MAX {
        return Err(Malformed);
    }
    Ok(length)
}

/// Reads who is at the other end, from a whole header.
///
/// # Errors
/// [`Malformed`].
pub(super) fn origin(header: &[u8]) -> Result<Origin, Malformed> {
    let (prefix, rest) = header.split_first_chunk().ok_or(Malformed)?;
    if rest_bytes(*prefix)? != rest.len() {
        return Err(Malformed);
    }
    let [.., command, family, _, _] = *prefix;
    // What stands behind a command or family without addresses is not looked at.
    if command == LOCAL || family == UNSPECIFIED {
        return Ok(Origin::Front);
    }
    let (address, additions) = if family == TCP_OVER_IPV4 {
        let (source, behind) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
        let additions = behind.get(8..).ok_or(Malformed)?;
        (IpAddr::V4(Ipv4Addr::from(*source)), additions)
    } else {
        let (source, behind) = rest.split_first_chunk::<16>().ok_or(Malformed)?;
        let additions = behind.get(20..).ok_or(Malformed)?;
        (IpAddr::V6(Ipv6Addr::from(*source)), additions)
    };
    check_additions(header, additions)?;
    let address = address.to_canonical();
    if address.is_unspecified() || address.is_multicast() {
        return Err(Malformed);
    }
    Ok(Origin::Client(address))
}

fn check_additions(header: &[u8], additions: &[u8]) -> Result<(), Malformed> {
    let mut rest = additions;
    let mut stated = None;
    while let Some(([kind, high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = behind.split_at_checked(length).ok_or(Malformed)?;
        if *kind == CHECKSUM {
            let crc = <[u8; 4]>::try_from(value).map_err(|_| Malformed)?;
            let is_first = stated.replace(crc).is_none();
            let before = header.len().saturating_sub(behind.len()).checked_sub(4);
            let before = before.and_then(|before| header.get(..before));
            let sum = crc32c::crc32c(before.ok_or(Malformed)?);
            let sum = crc32c::crc32c_append(sum, &[0; 4]);
            let sum = crc32c::crc32c_append(sum, behind);
            if !is_first || sum != u32::from_be_bytes(crc) {
                return Err(Malformed);
            }
        }
        rest = behind;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Malformed)
    }
}
