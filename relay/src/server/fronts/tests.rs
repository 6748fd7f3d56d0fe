//! Headers of fronts: what they say, and everything that nobody should believe.

use super::header::{Malformed, Origin, PREFIX_BYTES, origin, rest_bytes};
use super::{Fronts, Network, NotNetwork, read};
use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_HEADERS_AT_ONCE};
use std::net::{IpAddr, SocketAddr};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// Source and target over IPv4, and more.
fn v4(additions: &[u8]) -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0xc0, 0x01, 0x20, 0xfb];
    header(0x21, 0x11, &[&addresses, additions].concat())
}

fn v6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    let target = [0; 16];
    header(
        0x21,
        0x21,
        &[&source.octets()[..], &target, &[0; 4]].concat(),
    )
}

fn addition(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// A header whose checksum is right, with another addition behind it.
fn summed() -> Vec<u8> {
    let behind = addition(0x04, &[0; 5]);
    let mut whole = v4(&[addition(0x03, &[0; 4]), behind].concat());
    let sum = crc32c::crc32c(&whole).to_be_bytes();
    let at = PREFIX_BYTES + 12 + 3;
    whole[at..at + 4].copy_from_slice(&sum);
    whole
}

fn client(address: &str) -> Result<Origin, Malformed> {
    Ok(Origin::Client(address.parse().unwrap()))
}

#[test]
fn header_states_the_client_or_the_front_itself() {
    assert_eq!(origin(&v4(&[])), client("203.0.113.7"));
    assert_eq!(
        origin(&v4(&addition(0x02, b"relay.example"))),
        client("203.0.113.7")
    );
    assert_eq!(origin(&summed()), client("203.0.113.7"));
    assert_eq!(origin(&v6("2001:db8::7")), client("2001:db8::7"));
    assert_eq!(origin(&v6("::ffff:203.0.113.7")), client("203.0.113.7"));
    for own in [
        header(0x20, 0x00, &[]),
        header(0x20, 0x11, &[0; 12]),
        header(0x21, 0x00, b"anything"),
    ] {
        assert_eq!(origin(&own), Ok(Origin::Front));
    }
}

#[test]
fn header_that_cannot_be_believed_is_refused() {
    let mut wrong = vec![
        b"PROXY TCP4 203.0.113.7 10.0.0.1 49153 8443\r\n".to_vec(),
        header(0x11, 0x11, &[1; 12]),
        header(0x22, 0x11, &[1; 12]),
        // UDP, Unix, a half family, and addresses that are too short.
        header(0x21, 0x12, &[1; 12]),
        header(0x21, 0x31, &[1; 216]),
        header(0x21, 0x10, &[1; 12]),
        header(0x21, 0x11, &[1; 11]),
        header(0x21, 0x21, &[1; 35]),
        // Nobody's address and everybody's.
        header(0x21, 0x11, &[0; 12]),
        header(0x21, 0x11, &[224; 12]),
        v6("::"),
        v6("ff02::1"),
        // Additions beyond the end, cut off, and a checksum of another length, twice, or wrong.
        v4(&[0x04]),
        v4(&[0x04, 0, 9, 1]),
        v4(&addition(0x03, &[0; 3])),
        v4(&addition(0x03, &[0; 4])),
        header(0x21, 0x11, &vec![1; PROXY_HEADER_BYTES_MAX + 1]),
    ];
    let twice = [addition(0x03, &[0; 4]), addition(0x03, &[0; 4])].concat();
    wrong.push(v4(&twice));
    for bytes in wrong {
        assert_eq!(origin(&bytes), Err(Malformed), "{bytes:?}");
    }
}

#[test]
fn header_that_is_cut_or_longer_than_it_says_is_refused() {
    for whole in [v4(&[]), summed(), v6("2001:db8::7")] {
        for cut in 0..whole.len() {
            assert_eq!(origin(&whole[..cut]), Err(Malformed), "{cut}");
        }
        assert_eq!(origin(&[&whole[..], &[0]].concat()), Err(Malformed));
    }
}

#[test]
fn checksum_shows_every_flipped_bit() {
    let whole = summed();
    let kind = PREFIX_BYTES + 12;
    // An addition of another kind is no checksum, and none is asked for.
    for bit in (0..whole.len() * 8).filter(|bit| bit / 8 != kind) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Two commands and families look at no address, and so at no checksum.
        let found = origin(&flipped);
        assert!(
            found == Err(Malformed) || found == Ok(Origin::Front),
            "{bit}"
        );
    }
}

#[test]
fn bytes_of_chance_are_judged_without_a_fault_and_within_the_bound() {
    let mut state = 0x2026_1128_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    let mut believed = 0;
    for round in 0..20_000 {
        let length = usize::from(next()) % 96;
        let mut rest: Vec<u8> = (0..length).map(|_| next()).collect();
        let commands = [0x20, 0x21, next()];
        let families = [0x11, 0x21, 0x00, next()];
        let (command, family) = (commands[round % 3], families[round % 4]);
        if round % 5 == 0 {
            rest.truncate(12);
        }
        let bytes = header(command, family, &rest);
        let prefix: [u8; PREFIX_BYTES] = bytes[..PREFIX_BYTES].try_into().unwrap();
        if let Ok(length) = rest_bytes(prefix) {
            assert!(length <= PROXY_HEADER_BYTES_MAX);
        }
        believed += usize::from(origin(&bytes).is_ok());
    }
    assert!(believed > 100, "{believed}: the corpus reaches nothing");
}

#[tokio::test]
async fn reader_takes_the_header_and_leaves_what_follows() {
    let front: SocketAddr = "10.0.0.9:40000".parse().unwrap();
    let bytes = [v4(&[]), b"hello".to_vec()].concat();
    let mut rest = &bytes[..];
    let address = read(&mut rest, front).await.unwrap();
    assert_eq!(address, "203.0.113.7".parse::<IpAddr>().unwrap());
    assert_eq!(rest, b"hello");
    let own = header(0x20, 0x00, &[]);
    assert_eq!(read(&mut &own[..], front).await.unwrap(), front.ip());
    let cut = v4(&[]);
    assert!(read(&mut &cut[..20], front).await.is_err());
    assert!(
        read(&mut &b"\x16\x03\x01 a TLS hello"[..], front)
            .await
            .is_err()
    );
}

fn network(text: &str) -> Result<Network, NotNetwork> {
    text.parse()
}

#[test]
fn networks_are_read_strictly_and_contain_what_they_say() {
    let check = |text: &str, inside: &str, outside: &str| {
        let network = network(text).unwrap();
        assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
        assert!(
            !network.contains(outside.parse().unwrap()),
            "{text} {outside}"
        );
    };
    check("10.0.0.0/24", "10.0.0.255", "10.0.1.0");
    check("10.0.0.7", "10.0.0.7", "10.0.0.8");
    check("10.0.0.0/8", "::ffff:10.9.9.9", "::10.9.9.9");
    check("128.0.0.0/1", "255.255.255.255", "127.255.255.255");
    check("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::");
    check("::1", "::1", "127.0.0.1");
    for text in [
        "",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0/24",
        "::/129",
        "example/8",
    ] {
        assert_eq!(network(text), Err(NotNetwork::Form), "{text}");
    }
    for text in ["0.0.0.0/0", "::/0", "10.0.0.0/0"] {
        assert_eq!(network(text), Err(NotNetwork::Everybody), "{text}");
    }
    let meant = network("10.0.0.0/8").unwrap();
    assert_eq!(network("10.0.0.5/8"), Err(NotNetwork::Bits(meant)));
}

#[test]
fn headers_that_are_read_at_once_are_bounded() {
    let fronts = Fronts::new(vec![network("10.0.0.0/8").unwrap()]);
    let mut reading: Vec<_> = (0..PROXY_HEADERS_AT_ONCE).map(|_| fronts.begin()).collect();
    assert!(reading.iter().all(Option::is_some));
    assert!(fronts.begin().is_none());
    reading.pop();
    assert!(fronts.begin().is_some());
    assert!(Fronts::default().begin().is_some());
}
