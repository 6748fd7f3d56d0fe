use super::*;

fn check(list: &str, host: &str, port: u16, expected: bool) {
    let target = Authority {
        host: Host::parse(host).unwrap(),
        port,
    };
    let list_parsed = NoProxy::parse(list).unwrap();
    assert_eq!(
        list_parsed.matches(&target),
        expected,
        "{list:?} against {host}:{port}"
    );
}

#[test]
fn a22_no_proxy_decides_exactly_like_the_table() {
    let rows: &[(&str, &str, u16, bool)] = &[
        ("", "a.example", 443, false),
        (",; ,", "a.example", 443, false),
        ("*", "a.example", 443, true),
        ("*", "10.0.0.1", 443, true),
        ("*:443", "a.example", 443, true),
        ("*:443", "a.example", 444, false),
        ("example", "example", 443, true),
        ("example", "a.example", 443, true),
        ("example", "xexample", 443, false),
        ("example", "example.org", 443, false),
        (".example", "a.example", 443, true),
        (".example", "example", 443, true),
        (".example", "xexample", 443, false),
        ("*.example", "a.example", 443, true),
        ("*.example", "a.b.example", 443, true),
        ("*.example", "example", 443, false),
        ("*.example", "xexample", 443, false),
        ("EXAMPLE.", "A.Example.", 443, true),
        ("a.example", "b.example", 443, false),
        ("a.example b.example", "b.example", 443, true),
        ("a.example,b.example", "b.example", 443, true),
        ("a.example;b.example", "b.example", 443, true),
        ("a.example,\t b.example\n", "b.example", 443, true),
        ("host:443", "host", 443, true),
        ("host:443", "host", 8443, false),
        ("host:443", "a.host", 443, true),
        ("*.host:8443", "a.host", 8443, true),
        ("*.host:8443", "a.host", 443, false),
        ("10.1.2.3", "10.1.2.3", 443, true),
        ("10.1.2.3", "10.1.2.30", 443, false),
        ("10.1.2.3:443", "10.1.2.3", 443, true),
        ("10.1.2.3:443", "10.1.2.3", 80, false),
        ("10.0.0.0/8", "10.255.0.1", 443, true),
        ("10.0.0.0/8", "11.0.0.1", 443, false),
        ("10.1.2.3/8", "10.255.0.1", 443, true),
        ("0.0.0.0/0", "1.2.3.4", 443, true),
        ("0.0.0.0/0", "[::1]", 443, false),
        ("10.0.0.0/32", "10.0.0.0", 443, true),
        ("10.0.0.0/32", "10.0.0.1", 443, false),
        ("10.0.0.0/8", "a.example", 443, false),
        ("10.0.0.1", "10.0.0.1.example", 443, false),
        ("[::1]", "[::1]", 443, true),
        ("::1", "[0:0:0:0:0:0:0:1]", 443, true),
        ("[::1]:443", "[::1]", 443, true),
        ("[::1]:443", "[::1]", 444, false),
        ("fd00::/8", "[fdab::1]", 443, true),
        ("fd00::/8", "[fe80::1]", 443, false),
        ("::/0", "[2001:db8::1]", 443, true),
        ("::ffff:10.0.0.1", "10.0.0.1", 443, true),
        ("10.0.0.1", "[::ffff:10.0.0.1]", 443, true),
        ("localhost", "127.0.0.1", 443, false),
        ("127.0.0.1", "localhost", 443, false),
    ];
    for (list, host, port, expected) in rows {
        check(list, host, *port, *expected);
    }
}

#[test]
fn a22_no_proxy_entries_that_are_not_understood_are_errors() {
    use EntryError as E;
    let rows: &[(&str, E)] = &[
        ("a.*.example", E::Star),
        ("**", E::Star),
        ("*example", E::Star),
        ("host:", E::Port),
        ("host:0", E::Port),
        ("host:x", E::Port),
        ("host:70000", E::Port),
        ("10.0.0.0/33", E::Network),
        ("10.0.0.0/", E::Network),
        ("10.0.0.0/+8", E::Network),
        ("example/8", E::Network),
        ("fd00::/129", E::Network),
        ("http://host", E::Url),
        ("10.0.0", E::Host(HostError::Number)),
        ("*.10.0.0.1", E::Host(HostError::Number)),
        (".", E::Host(HostError::Empty)),
        ("..example", E::Host(HostError::Label)),
        ("<local>", E::Host(HostError::Character)),
        ("[fe80::1%eth0]", E::Host(HostError::Brackets)),
    ];
    for (list, reason) in rows {
        let expected = NoProxyError::Entry {
            entry: Foreign::new(list.as_bytes()),
            reason: *reason,
        };
        assert_eq!(NoProxy::parse(list), Err(expected.clone()), "{list:?}");
        let behind_good = format!("good.example, {list}");
        assert_eq!(
            NoProxy::parse(&behind_good),
            Err(expected),
            "{behind_good:?}"
        );
    }
}

#[test]
fn endless_list_is_refused() {
    let list = "a,".repeat(NO_PROXY_ENTRIES_MAX + 1);
    assert_eq!(NoProxy::parse(&list), Err(NoProxyError::Long));
}
