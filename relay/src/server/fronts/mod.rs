//! Load balancers on the level of TCP: whose word about a client's address is believed.
//!
//! ```text
//!   accepted --from a front?--> PROXY header (deadline, bound) --> the client's address --> caps, TLS
//!                 '--no--> the peer's own address ----------------------------------------^
//! ```
//!
//! Who is no front is never asked for a header, and what it sends is TLS or nothing; who is one always
//! sends it. Refuses everybody as a front, since then anybody could write the address that limits look at.

mod header;
#[cfg(test)]
mod tests;

use crate::limits::PROXY_HEADERS_AT_ONCE;
use header::{Origin, PREFIX_BYTES};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// An IPv4 or IPv6 network, such as `10.0.0.0/24`; an address alone is one of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// Why a text is no network of fronts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotNetwork {
    /// No address, or a length that an address of its kind does not have.
    #[error("must be an address, or an address and a length such as 10.0.0.0/24")]
    Form,
    /// The network is everybody.
    #[error("would believe everybody: anybody could then write the address that limits look at")]
    Everybody,
    /// The address has bits beyond the length.
    #[error("has bits beyond its length; {0} may be meant")]
    Bits(Network),
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = NotNetwork;

    fn from_str(text: &str) -> Result<Self, NotNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotNetwork::Form)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let is_plain = |bits: &&str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            Some(bits) => Some(bits)
                .filter(is_plain)
                .and_then(|bits| bits.parse().ok()),
            None => Some(most),
        };
        let bits: u32 = bits.filter(|bits| *bits <= most).ok_or(NotNetwork::Form)?;
        if bits == 0 {
            return Err(NotNetwork::Everybody);
        }
        let network = Self {
            address: masked(address, bits),
            bits,
        };
        if network.address == address {
            Ok(network)
        } else {
            Err(NotNetwork::Bits(network))
        }
    }
}

impl Network {
    /// Tells whether an address lies in it; IPv4 inside IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }
}

fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits));
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or_default()))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits));
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask.unwrap_or_default()))
        }
    }
}

/// The networks of load balancers that state their clients' addresses.
#[derive(Debug, Clone, Default)]
pub struct Fronts {
    networks: Vec<Network>,
    /// Headers being read.
    reading: Arc<AtomicUsize>,
}

impl Fronts {
    /// Believes these networks and nobody else.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self {
            networks,
            reading: Arc::default(),
        }
    }

    /// Tells whether a peer is a front.
    pub(super) fn has(&self, peer: SocketAddr) -> bool {
        let mut networks = self.networks.iter();
        networks.any(|network| network.contains(peer.ip()))
    }

    /// Takes a place among the headers that are read at once; `None` when there are too many.
    pub(super) fn begin(&self) -> Option<Reading> {
        let reading = Reading(Arc::clone(&self.reading));
        let before = self.reading.fetch_add(1, Ordering::Relaxed);
        (before < PROXY_HEADERS_AT_ONCE).then_some(reading)
    }
}

/// A header that is being read.
#[derive(Debug)]
pub(super) struct Reading(Arc<AtomicUsize>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads the header of a front and not one byte more. Returns the client's address, or the front's
/// own where it speaks for itself.
///
/// # Errors
/// [`BadHeader`] for anything else, and for a connection that ends.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    front: SocketAddr,
) -> Result<IpAddr, BadHeader> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await?;
    let mut whole = prefix.to_vec();
    whole.resize(PREFIX_BYTES.saturating_add(header::rest_bytes(prefix)?), 0);
    let rest = whole.get_mut(PREFIX_BYTES..).unwrap_or_default();
    stream.read_exact(rest).await?;
    Ok(match header::origin(&whole)? {
        Origin::Client(address) => address,
        Origin::Front => front.ip(),
    })
}

/// No header that can be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadHeader {
    /// What it says.
    #[error(transparent)]
    Malformed(#[from] header::Malformed),
    /// The connection.
    #[error("the connection ended in its header")]
    Ended(#[from] std::io::Error),
}
