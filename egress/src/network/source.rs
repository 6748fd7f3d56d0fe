//! Reads the signs of the present network from the system's files.
//!
//! A file that is missing or cannot be read says nothing. Refuses to write, and to follow a name that
//! is no interface's.

use super::parse::{DefaultRoute, arp_mac, default_route, default_route6, resolvers};
use super::{NetworkId, Signs};
use crate::limits::NETWORK_FILE_BYTES_MAX;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

/// Reads the signs below `root`, which is `/` but for tests. `proxy` is the word for the proxy setting.
#[must_use]
pub fn signs(root: &Path, proxy: &str) -> Signs {
    let route = default_route(&text(&root.join("proc/net/route")))
        .or_else(|| default_route6(&text(&root.join("proc/net/ipv6_route"))));
    let gateway_mac = route.as_ref().and_then(|DefaultRoute { gateway, .. }| {
        arp_mac(&text(&root.join("proc/net/arp")), gateway)
    });
    let kind = route.as_ref().map_or((0, false), |route| {
        let folder = root.join("sys/class/net").join(&route.interface);
        let kind = text(&folder.join("type"));
        (
            kind.trim().parse().unwrap_or_default(),
            folder.join("wireless").exists(),
        )
    });
    Signs {
        route,
        kind,
        gateway_mac: gateway_mac.unwrap_or_default(),
        resolvers: resolvers(&text(&root.join("etc/resolv.conf"))),
        proxy: proxy.to_owned(),
    }
}

/// Finds this machine's address on its default route. No packet is sent: the kernel names the address that one to
/// a documentation address (RFC 5737, RFC 3849) would have.
#[must_use]
pub fn own_address(signs: &Signs) -> Option<IpAddr> {
    let gateway: IpAddr = signs.route.as_ref()?.gateway.parse().ok()?;
    let (own, far): (IpAddr, IpAddr) = match gateway {
        IpAddr::V4(_) => (
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(192, 0, 2, 1).into(),
        ),
        IpAddr::V6(_) => (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        ),
    };
    let socket = UdpSocket::bind((own, 0)).ok()?;
    // The port of "discard".
    socket.connect((far, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// Names the network that this machine is in.
#[must_use]
pub fn present(proxy: &str) -> NetworkId {
    signs(Path::new("/"), proxy).id()
}

fn text(file: &Path) -> String {
    let Ok(file) = File::open(file) else {
        return String::new();
    };
    let mut bytes = Vec::new();
    let bound = u64::try_from(NETWORK_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let _unreadable = file.take(bound).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
