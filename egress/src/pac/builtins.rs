//! The parts of the PAC functions that compute: patterns, networks, order of addresses. Pure.
//!
//! Refuses to run long: texts beyond the bounds match nothing.

use crate::limits::{PAC_GLOB_PATTERN_BYTES_MAX, PAC_GLOB_TEXT_BYTES_MAX};
use std::net::{IpAddr, Ipv4Addr};

/// `shExpMatch`: `*` and `?`, the whole text, case-sensitive. Time is the product of both lengths.
pub(crate) fn glob(text: &str, pattern: &str) -> bool {
    if text.len() > PAC_GLOB_TEXT_BYTES_MAX || pattern.len() > PAC_GLOB_PATTERN_BYTES_MAX {
        return false;
    }
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut at, mut want) = (0, 0);
    // Where the last star stood, and how much of the text it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while let Some(here) = text.get(at) {
        match pattern.get(want) {
            Some('*') => {
                star = Some((want, at));
                want += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == here => {
                at += 1;
                want += 1;
            }
            Some(_) | None => {
                let Some((place, eaten)) = star else {
                    return false;
                };
                star = Some((place, eaten + 1));
                at = eaten + 1;
                want = place + 1;
            }
        }
    }
    let rest = pattern.get(want..).unwrap_or_default();
    rest.iter().all(|wanted| *wanted == '*')
}

/// `isInNet` for addresses: both in the network that `network` and `mask` name; IPv4 only, as ever.
pub(crate) fn in_net(address: &str, network: &str, mask: &str) -> bool {
    let read = |text: &str| text.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits);
    match (read(address), read(network), read(mask)) {
        (Ok(address), Ok(network), Ok(mask)) => (address ^ network) & mask == 0,
        (_, _, _) => false,
    }
}

/// `isInNetEx` for an address: `prefix/length`, IPv4 or IPv6.
pub(crate) fn in_prefix(address: &str, prefix: &str) -> bool {
    let Some((network, length)) = prefix.trim().split_once('/') else {
        return false;
    };
    let (Ok(address), Ok(network)) = (address.parse::<IpAddr>(), network.parse::<IpAddr>()) else {
        return false;
    };
    let Ok(length) = length.parse::<u32>() else {
        return false;
    };
    let (difference, bits) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32_u32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    match bits.checked_sub(length) {
        Some(host_bits) => difference.checked_shr(host_bits).unwrap_or(0) == 0,
        None => false,
    }
}

/// `sortIpAddressList`: IPv6 before IPv4, each in order; empty when one is no address.
pub(crate) fn sort(list: &str) -> String {
    let texts = list.split(';').map(str::trim);
    let read: Result<Vec<IpAddr>, _> = texts.map(str::parse).collect();
    let Ok(mut addresses) = read else {
        return String::new();
    };
    addresses.sort_by_key(|address| (address.is_ipv4(), *address));
    join(&addresses)
}

/// Addresses as PAC functions return them.
pub(crate) fn join(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glob_matches_like_a_shell() {
        let check = |text, pattern, expected| {
            assert_eq!(glob(text, pattern), expected, "{text:?} {pattern:?}");
        };
        check("", "", true);
        check("", "*", true);
        check("a", "", false);
        check("www.corp.test", "*.corp.test", true);
        check("corp.test", "*.corp.test", false);
        check("www.corp.test.evil", "*.corp.test", false);
        check("http://a/b/c", "*/b/*", true);
        check("abc", "a?c", true);
        check("ac", "a?c", false);
        check("abc", "A?C", false);
        check("a.c", "a.c", true);
        check("abc", "a.c", false);
        check("aXbXc", "a*b*c", true);
        check("aaaaab", "*a*b", true);
        check("münchen", "m?nchen", true);
        check("a[b", "a[b", true);
    }

    #[test]
    fn glob_that_ruins_a_regular_expression_ends() {
        let text = "a".repeat(PAC_GLOB_TEXT_BYTES_MAX);
        assert!(!glob(&text, &format!("{}b", "a*".repeat(100))));
        assert!(!glob(&format!("{text}a"), "*"), "beyond the bound");
        assert!(!glob("a", &"*".repeat(PAC_GLOB_PATTERN_BYTES_MAX + 1)));
    }

    #[test]
    fn networks_hold_their_addresses_only() {
        let net = |address, network, mask, expected| {
            assert_eq!(in_net(address, network, mask), expected, "{address}");
        };
        net("10.1.2.3", "10.0.0.0", "255.0.0.0", true);
        net("11.1.2.3", "10.0.0.0", "255.0.0.0", false);
        net("10.1.2.3", "10.1.2.3", "255.255.255.255", true);
        net("1.2.3.4", "0.0.0.0", "0.0.0.0", true);
        net("::1", "0.0.0.0", "0.0.0.0", false);
        net("x", "10.0.0.0", "255.0.0.0", false);
        let prefix = |address, prefix, expected| {
            assert_eq!(
                in_prefix(address, prefix),
                expected,
                "{address} in {prefix}"
            );
        };
        prefix("10.1.2.3", "10.0.0.0/8", true);
        prefix("2001:db8::1", "2001:db8::/32", true);
        prefix("2001:db9::1", "2001:db8::/32", false);
        prefix("10.1.2.3", "::/0", false);
        prefix("10.1.2.3", "0.0.0.0/0", true);
        prefix("10.1.2.3", "10.0.0.0/33", false);
        prefix("10.1.2.3", "10.0.0.0", false);
    }

    #[test]
    fn sorted_list_has_ipv6_first_and_refuses_names() {
        assert_eq!(sort("10.0.0.2; ::1;10.0.0.1"), "::1;10.0.0.1;10.0.0.2");
        assert_eq!(sort("10.0.0.2;name"), "");
        assert_eq!(sort(""), "");
    }
}
