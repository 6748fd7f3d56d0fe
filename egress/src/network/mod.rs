//! Which network this machine is in, as far as its own system tells: a hash, never an address.
//!
//! ```text
//!   /proc/net/route, ipv6_route --gateway, interface--> /proc/net/arp --its MAC--> hash --> NetworkId
//!   /sys/class/net/<interface>  --kind-----------------------------------------------^
//!   /etc/resolv.conf --resolvers, search domains-------------------------------------^
//! ```
//!
//! Parsing is pure and bounded; only [`source`] reads files. Refuses to ask the network anything, and to
//! take what it says for authority: the worst that a lie gets is another way's head start.

mod parse;
pub mod source;
mod watch;

pub use parse::{DefaultRoute, Resolvers, arp_mac, default_route, default_route6, resolvers};
pub use watch::Watch;

use sha2::{Digest as _, Sha256};
use std::fmt::{self, Display, Formatter};

/// Names a network. Equal for the same gateway behind the same kind of interface with the same resolvers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub [u8; 16]);

impl NetworkId {
    /// The machine has no default route.
    pub const NONE: Self = Self([0; 16]);
}

impl Display for NetworkId {
    /// The first 4 bytes, in hex: enough to tell networks of one device apart.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Everything that tells networks apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// The default route, IPv4 before IPv6.
    pub route: Option<DefaultRoute>,
    /// What kind of interface it leaves by, as the kernel numbers them (1 is Ethernet), and whether it is wireless.
    pub kind: (u32, bool),
    /// The MAC of the gateway, as the system writes it; empty where it is not known.
    pub gateway_mac: String,
    /// Resolvers and search domains.
    pub resolvers: Resolvers,
    /// Where the proxy setting comes from, and a word for which it is.
    pub proxy: String,
}

impl Signs {
    /// Says what kind of interface the default route leaves by; `None` where the system does not tell.
    #[must_use]
    pub const fn kind_name(&self) -> Option<&'static str> {
        // The numbers are the kernel's (`if_arp.h`).
        match self.kind {
            (0, _) => None,
            (_, true) | (801..=803, false) => Some("wireless"),
            (1, false) => Some("Ethernet"),
            (512, false) => Some("PPP"),
            (519, false) => Some("cellular"),
            (768 | 769 | 776 | 778 | 65_534, false) => Some("tunnel"),
            (772, false) => Some("loopback"),
            (_other, false) => Some("another kind"),
        }
    }

    /// Returns the name of the network.
    #[must_use]
    pub fn id(&self) -> NetworkId {
        let Some(route) = &self.route else {
            return NetworkId::NONE;
        };
        let mut hash = Sha256::new();
        hash.update(b"postern network 1\0");
        hash.update(self.kind.0.to_be_bytes());
        hash.update([u8::from(self.kind.1)]);
        let texts = [&route.gateway, &self.gateway_mac, &self.proxy].into_iter();
        let names = self.resolvers.names.iter();
        for text in texts.chain(names) {
            // Each text with its length: no two lists hash alike.
            hash.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        }
        let digest = <[u8; 32]>::from(hash.finalize());
        let (id, _rest) = digest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        NetworkId(*id)
    }
}

#[cfg(test)]
mod tests;
