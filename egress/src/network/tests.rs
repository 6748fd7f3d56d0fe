use super::*;
use crate::clock::Moment;
use crate::limits::{NETWORK_FILE_BYTES_MAX, NETWORK_NAMES_MAX};
use std::fs;

const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
";
const ROUTES6: &str = "\
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo
";
const ARP: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
10.0.0.1         0x1         0x2         AA:bb:cc:dd:ee:01     *        eth0
10.0.0.9         0x1         0x0         00:00:00:00:00:00     *        eth0
";

fn route(interface: &str, gateway: &str) -> Option<DefaultRoute> {
    Some(DefaultRoute {
        interface: interface.into(),
        gateway: gateway.into(),
    })
}

#[cfg(target_endian = "little")]
#[test]
fn default_route_is_the_one_of_the_lowest_metric() {
    assert_eq!(default_route(ROUTES), route("eth0", "10.0.0.1"));
    assert_eq!(default_route6(ROUTES6), route("eth0", "fe80::1"));
}

#[test]
fn text_without_a_default_route_has_none() {
    let check = |text: &str| {
        assert_eq!(default_route(text), None, "{text:?}");
        assert_eq!(default_route6(text), None, "{text:?}");
    };
    check("");
    check("Iface Destination");
    check("eth0 0 0 0 0 0 100 0");
    check("eth0 00000000 0100000A 0003 0 0 -1 00000000");
    check("../../etc 00000000 0100000A 0003 0 0 100 00000000");
    check(".. 00000000 0100000A 0003 0 0 100 00000000");
    check("a-name-much-too-long 00000000 0100000A 0003 0 0 100 00000000");
    check("eth0 000000000000 0100000A 0003 0 0 100 00000000");
    check("eth0 00000000 0100000A 0000 0 0 100 00000000");
    check(&"\u{1f600}".repeat(NETWORK_FILE_BYTES_MAX));
    let lo = ROUTES6.lines().last().unwrap();
    assert_eq!(default_route6(lo), None);
}

#[test]
fn route_beyond_the_bound_is_not_seen() {
    let far = format!("{}{ROUTES}", "#\n".repeat(NETWORK_FILE_BYTES_MAX));
    assert_eq!(default_route(&far), None);
}

#[test]
fn mac_is_the_gateways_own_and_known() {
    let check = |address, expected: Option<&str>| {
        assert_eq!(arp_mac(ARP, address).as_deref(), expected, "{address}");
    };
    check("10.0.0.1", Some("aa:bb:cc:dd:ee:01"));
    check("10.0.0.9", None);
    check("10.0.0.2", None);
    check("IP", None);
    assert_eq!(arp_mac("10.0.0.1 1 2 zz:bb:cc:dd:ee:01", "10.0.0.1"), None);
    assert_eq!(arp_mac("10.0.0.1", "10.0.0.1"), None);
}

#[test]
fn resolvers_are_bounded_and_the_last_search_counts() {
    let check = |text: &str, expected: &[&str]| assert_eq!(resolvers(text).names, expected);
    check("", &[]);
    check("# nameserver 1.1.1.1\noptions rotate\nnameserver", &[]);
    check(
        "nameserver 10.0.0.1\nsearch a.test\nnameserver FE80::1\nsearch Corp.test b.test",
        &["10.0.0.1", "fe80::1", "corp.test", "b.test"],
    );
    let long = format!("nameserver {}", "x".repeat(300));
    check(&long, &[]);
    let many = "nameserver 10.0.0.1\n".repeat(500);
    assert_eq!(resolvers(&many).names.len(), NETWORK_NAMES_MAX);
}

fn signs() -> Signs {
    Signs {
        route: route("eth0", "10.0.0.1"),
        kind: (1, false),
        gateway_mac: "aa:bb:cc:dd:ee:01".into(),
        resolvers: resolvers("nameserver 10.0.0.1"),
        proxy: "none".into(),
    }
}

#[test]
fn every_sign_but_the_interfaces_name_makes_another_network() {
    let same = Signs {
        route: route("eth7", "10.0.0.1"),
        ..signs()
    };
    assert_eq!(same.id(), signs().id());
    let others = [
        Signs {
            route: route("eth0", "10.0.0.2"),
            ..signs()
        },
        Signs {
            kind: (1, true),
            ..signs()
        },
        Signs {
            kind: (2, false),
            ..signs()
        },
        Signs {
            gateway_mac: "aa:bb:cc:dd:ee:02".into(),
            ..signs()
        },
        Signs {
            resolvers: resolvers("nameserver 10.0.0.2"),
            ..signs()
        },
        Signs {
            proxy: "environment".into(),
            ..signs()
        },
    ];
    for other in others {
        assert_ne!(other.id(), signs().id(), "{other:?}");
        assert_ne!(other.id(), NetworkId::NONE);
    }
    let nowhere = Signs {
        route: None,
        ..signs()
    };
    assert_eq!(nowhere.id(), NetworkId::NONE);
}

#[test]
fn network_shows_no_address() {
    let shown = signs().id().to_string();
    assert_eq!(shown.len(), 8);
    assert!(!shown.contains("10.0"));
}

#[test]
fn system_without_files_is_in_no_network() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(source::signs(folder.path(), "none").id(), NetworkId::NONE);
}

#[cfg(target_endian = "little")]
#[test]
fn signs_come_from_the_systems_files() {
    let folder = tempfile::tempdir().unwrap();
    let put = |file: &str, text: &str| {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    put("proc/net/route", ROUTES);
    put("proc/net/arp", ARP);
    put("sys/class/net/eth0/type", "1\n");
    put("etc/resolv.conf", "nameserver 10.0.0.1\n");
    assert_eq!(source::signs(folder.path(), "none"), signs());
    put("sys/class/net/eth0/wireless/link", "");
    assert_eq!(source::signs(folder.path(), "none").kind, (1, true));
}

fn ms(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

#[test]
fn other_network_counts_once_seen_for_a_second() {
    let other = Signs {
        route: route("eth0", "10.9.9.9"),
        ..signs()
    };
    let mut watch = Watch::new(ms(0), signs());
    assert_eq!(watch.due(), ms(30_000));
    assert!(!watch.handle_signs(ms(30_000), other.clone()));
    assert_eq!(watch.due(), ms(31_000));
    assert!(!watch.handle_signs(ms(30_999), other.clone()));
    assert_eq!(watch.id(), signs().id());
    assert!(watch.handle_signs(ms(31_000), other.clone()));
    assert_eq!(watch.id(), other.id());
    assert!(!watch.handle_signs(ms(61_000), other));
}

#[test]
fn change_that_passes_within_a_second_is_none() {
    let other = Signs {
        route: None,
        ..signs()
    };
    let mut watch = Watch::new(ms(0), signs());
    for round in 0..10 {
        assert!(!watch.handle_signs(ms(round * 2_000), other.clone()));
        assert!(!watch.handle_signs(ms(round * 2_000 + 1_000), signs()));
    }
    assert_eq!(watch.id(), signs().id());
}

#[test]
fn gateway_whose_mac_is_not_known_for_a_moment_is_the_same() {
    let unknown = Signs {
        gateway_mac: String::new(),
        ..signs()
    };
    let mut watch = Watch::new(ms(0), signs());
    for second in 1..100 {
        assert!(!watch.handle_signs(ms(second * 1_000), unknown.clone()));
        assert_eq!(watch.id(), signs().id());
    }
    let mut watch = Watch::new(ms(0), unknown);
    assert!(!watch.handle_signs(ms(1_000), signs()));
    assert_eq!(watch.id(), signs().id(), "the same network, named better");
    let other = Signs {
        gateway_mac: "aa:bb:cc:dd:ee:09".into(),
        ..signs()
    };
    assert!(!watch.handle_signs(ms(2_000), other.clone()));
    assert!(watch.handle_signs(ms(3_000), other));
}
