//! The system's files about its routes and resolvers, as text. Pure; every input is bounded.
//!
//! A line that is not understood is left out. Refuses to fail: a fingerprint is a hint.

use crate::limits::{NETWORK_FILE_BYTES_MAX, NETWORK_LINES_MAX, NETWORK_NAMES_MAX};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest name that counts, in bytes: a domain name's.
const NAME_BYTES_MAX: usize = 255;
/// Flag of a route that is up and of one by a gateway (`RTF_UP`, `RTF_GATEWAY`).
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;

/// A default route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The interface, such as `eth0`.
    pub interface: String,
    /// The gateway's address; of a route without one, as a tunnel has it, the unspecified one.
    pub gateway: String,
}

/// What `/etc/resolv.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolvers {
    /// Resolvers, then search domains, each in their order.
    pub names: Vec<String>,
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut end = text.len().min(NETWORK_FILE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let bounded = text.get(..end).unwrap_or_default();
    bounded.lines().take(NETWORK_LINES_MAX)
}

/// Finds the default route of the lowest metric in `/proc/net/route`.
#[must_use]
pub fn default_route(text: &str) -> Option<DefaultRoute> {
    let routes = lines(text).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let interface = fields.next().and_then(interface)?;
        let destination = hex(fields.next()?)?;
        let gateway = hex(fields.next()?)?;
        let flags = hex(fields.next()?)?;
        let metric: u32 = fields.nth(2)?.parse().ok()?;
        let mask = hex(fields.next()?)?;
        let is_default = destination == 0 && mask == 0 && flags & UP != 0;
        // Written in the machine's own byte order.
        let gateway = Ipv4Addr::from(gateway.to_ne_bytes()).to_string();
        is_default.then_some((metric, DefaultRoute { interface, gateway }))
    });
    let best = routes.min_by_key(|(metric, _)| *metric);
    best.map(|(_, route)| route)
}

/// Finds the default route of the lowest metric in `/proc/net/ipv6_route`.
#[must_use]
pub fn default_route6(text: &str) -> Option<DefaultRoute> {
    let routes = lines(text).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
        let [
            destination,
            length,
            _source,
            _source_length,
            gateway,
            metric,
            _references,
            _uses,
            flags,
            name,
        ] = fields.as_slice()
        else {
            return None;
        };
        let is_default = u128::from_str_radix(destination, 16).ok()? == 0 && hex(length)? == 0;
        let flags = hex(flags)?;
        // The kernel lists an unreachable default of its own; that one has no gateway.
        if !is_default || flags & (UP | GATEWAY) != UP | GATEWAY {
            return None;
        }
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?).to_string();
        let interface = interface(name)?;
        Some((hex(metric)?, DefaultRoute { interface, gateway }))
    });
    let best = routes.min_by_key(|(metric, _)| *metric);
    best.map(|(_, route)| route)
}

/// Finds the MAC of an address in `/proc/net/arp`.
#[must_use]
pub fn arp_mac(text: &str, address: &str) -> Option<String> {
    lines(text).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is_its = fields.next()? == address;
        let mac = fields.nth(2)?;
        let octets = mac.split(':');
        let is_mac = mac.len() == 17
            && octets.clone().count() == 6
            && octets.clone().all(|octet| hex(octet).is_some());
        // All zero: asked for, not answered yet.
        let is_known = is_mac && mac.bytes().any(|byte| !matches!(byte, b'0' | b':'));
        (is_its && is_known).then(|| mac.to_ascii_lowercase())
    })
}

/// Reads resolvers and search domains of `/etc/resolv.conf`.
#[must_use]
pub fn resolvers(text: &str) -> Resolvers {
    let mut servers = Vec::new();
    let mut domains = Vec::new();
    for line in lines(text) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => servers.extend(words.next().and_then(name)),
            // The last line counts, as for the resolver.
            Some("search" | "domain") => domains = words.filter_map(name).collect(),
            Some(_) | None => {}
        }
    }
    servers.truncate(NETWORK_NAMES_MAX);
    domains.truncate(NETWORK_NAMES_MAX);
    servers.append(&mut domains);
    Resolvers { names: servers }
}

fn name(word: &str) -> Option<String> {
    (word.len() <= NAME_BYTES_MAX).then(|| word.to_ascii_lowercase())
}

/// An interface's name is part of a path: nothing but what the kernel allows and a folder cannot be.
fn interface(word: &str) -> Option<String> {
    let is_plain = (1..16).contains(&word.len())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/')
        && !word.starts_with('.');
    is_plain.then(|| word.to_owned())
}

fn hex(word: &str) -> Option<u32> {
    let is_hex = (1..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(word, 16).ok()).flatten()
}
