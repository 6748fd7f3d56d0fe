use super::*;

/// What a good value means: printed form, and the Basic header of its credentials.
type Good = (&'static str, Option<&'static str>);

fn check(value: &str, expected: Result<Good, ProxyUrlError>) {
    let actual = ProxyUrl::parse(value).map(|proxy| {
        let basic = proxy
            .secret
            .as_ref()
            .map(|secret| secret.basic().to_string());
        (proxy.to_string(), basic)
    });
    let expected = expected.map(|(url, basic)| (url.to_owned(), basic.map(str::to_owned)));
    assert_eq!(actual, expected, "{value:?}");
}

#[test]
fn a22_good_proxy_values_mean_exactly_this() {
    let rows: &[(&str, Good)] = &[
        ("http://proxy:8080", ("http://proxy:8080", None)),
        ("http://proxy:8080/", ("http://proxy:8080", None)),
        (
            "HTTP://Proxy.Corp.Test.:3128",
            ("http://proxy.corp.test:3128", None),
        ),
        ("http://proxy", ("http://proxy:80", None)),
        ("https://proxy", ("https://proxy:443", None)),
        ("https://proxy:3137", ("https://proxy:3137", None)),
        ("socks5h://proxy", ("socks5h://proxy:1080", None)),
        ("SOCKS5H://proxy:9", ("socks5h://proxy:9", None)),
        ("proxy:3128", ("http://proxy:3128", None)),
        ("10.99.2.2:3128", ("http://10.99.2.2:3128", None)),
        ("http://[::1]:3128", ("http://[::1]:3128", None)),
        ("http://[2001:DB8::1]", ("http://[2001:db8::1]:80", None)),
        ("http://u:p@proxy:1", ("http://proxy:1", Some("Basic dTpw"))),
        ("http://u@proxy:1", ("http://proxy:1", Some("Basic dTo="))),
        ("http://u:@proxy:1", ("http://proxy:1", Some("Basic dTo="))),
        ("u:p@proxy:1", ("http://proxy:1", Some("Basic dTpw"))),
        (
            "http://user:p%40ss@proxy:8080",
            ("http://proxy:8080", Some("Basic dXNlcjpwQHNz")),
        ),
        (
            "http://u:a%3Ab@proxy:1",
            ("http://proxy:1", Some("Basic dTphOmI=")),
        ),
        (
            "http://CORP%5Cu:p@proxy:1",
            ("http://proxy:1", Some("Basic Q09SUFx1OnA=")),
        ),
        (
            "http://u:%C3%BC@proxy:1",
            ("http://proxy:1", Some("Basic dTrDvA==")),
        ),
        (
            "http://u:100%25@proxy:1",
            ("http://proxy:1", Some("Basic dToxMDAl")),
        ),
        ("http://proxy:65535", ("http://proxy:65535", None)),
    ];
    for (value, good) in rows {
        check(value, Ok(*good));
    }
}

use ProxyUrlError as E;

const BAD: &[(&str, ProxyUrlError)] = &[
    ("", E::Empty),
    (" ", E::Stray),
    ("http://proxy:8080 ", E::Stray),
    (" http://proxy:8080", E::Stray),
    ("http://proxy:8080\n", E::Stray),
    ("http://pro xy:8080", E::Stray),
    ("\"http://proxy:8080\"", E::Stray),
    ("http://proxy:8080\0", E::Stray),
    ("http://proxy\u{a0}:8080", E::Stray),
    ("http://user:p@ss@proxy:8080", E::UserInfo),
    ("http://user:pa:ss@proxy:8080", E::UserInfo),
    ("http://user:pa/ss@proxy:8080", E::Path),
    ("http://user:pa?ss@proxy:8080", E::Path),
    ("http://user:pa#ss@proxy:8080", E::Path),
    ("http://proxy:8080/path", E::Path),
    ("http://proxy:8080//", E::Path),
    ("http://proxy:8080?x=1", E::Path),
    ("http:\\\\proxy:8080", E::Path),
    ("http:/proxy:8080", E::Path),
    ("http://", E::Host(HostError::Empty)),
    ("http:///", E::Host(HostError::Empty)),
    ("http://:8080", E::Host(HostError::Empty)),
    ("http:proxy:8080", E::Port),
    ("http://proxy:", E::Port),
    ("http://proxy:0", E::Port),
    ("http://proxy:65536", E::Port),
    ("http://proxy:+80", E::Port),
    ("http://proxy:80a", E::Port),
    ("http://proxy:080808", E::Port),
    ("http://::1:8080", E::Port),
    ("http://[::1]8080", E::Host(HostError::Brackets)),
    ("http://[fe80::1%25eth0]:1", E::Host(HostError::Brackets)),
    ("http://127.1:8080", E::Host(HostError::Number)),
    ("http://proxy..corp:8080", E::Host(HostError::Label)),
    ("http://*.corp:8080", E::Host(HostError::Character)),
    ("http://u:p%@proxy:1", E::Percent),
    ("http://u:p%4@proxy:1", E::Percent),
    ("http://u:p%zz@proxy:1", E::Percent),
    ("http://u:p%ff@proxy:1", E::Percent),
    ("http://u:p%0d%0aX@proxy:1", E::Secret(SecretError::Control)),
    (
        "http://u%3Ax:p@proxy:1",
        E::Secret(SecretError::ColonInUser),
    ),
    ("http://:p@proxy:1", E::Secret(SecretError::NoUser)),
    ("http://@proxy:1", E::Secret(SecretError::NoUser)),
    ("http://pröxy:8080", E::NonAscii),
    ("socks5://proxy:1080", E::LocalSocks),
    ("socks5://u:p@proxy", E::LocalSocks),
    ("SOCKS4://proxy:1080", E::OldSocks),
    ("socks4a://proxy:1080", E::OldSocks),
    ("socks://proxy:1080", E::OldSocks),
    ("socks5h://", E::Host(HostError::Empty)),
    ("ftp://proxy:8080", E::Scheme),
    ("://proxy:8080", E::Scheme),
    ("proxy", E::Bare),
    ("direct", E::Bare),
    ("DIRECT", E::Bare),
    ("none", E::Bare),
    ("proxy.corp.test", E::Bare),
];

#[test]
fn a22_bad_proxy_values_are_errors_and_never_direct() {
    for (value, error) in BAD {
        check(value, Err(*error));
    }
    check(&format!("http://{}:1", "a".repeat(3000)), Err(E::Long));
}

#[test]
fn a22_no_error_text_repeats_the_password() {
    for value in [
        "http://user:hunter2@ss@proxy:1",
        "http://user:hunter2%@proxy:1",
        "http://user:hunter2@proxy:0",
        "http://user:hunter2@proxy:1/x",
    ] {
        let error = ProxyUrl::parse(value).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{value}");
    }
}

#[test]
fn printed_proxy_shows_no_credentials() {
    let proxy = ProxyUrl::parse("http://alice:hunter2@proxy:1").unwrap();
    let printed = format!("{proxy} {proxy:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("alice"));
}
