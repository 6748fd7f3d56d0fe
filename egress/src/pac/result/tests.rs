use super::*;
use Skipped as S;

fn target() -> Authority {
    Authority {
        host: Host::parse("controller.test").unwrap(),
        port: 443,
    }
}

fn shown(result: &PacResult) -> Vec<String> {
    let each = result.entries.iter().map(|entry| match entry {
        PacEntry::Direct => "direct".to_owned(),
        PacEntry::Proxy(url) => url.to_string(),
    });
    each.collect()
}

/// Checks the ways of a text, and why entries were left out.
fn check(text: &str, entries: &[&str], skipped: &[Skipped]) {
    let result = PacResult::parse(text, &target());
    assert_eq!(shown(&result), entries, "{text:?}");
    let why: Vec<Skipped> = result.skipped.iter().map(|(_, why)| *why).collect();
    assert_eq!(why, skipped, "{text:?}");
}

#[test]
fn a23_ways_keep_their_order() {
    check(
        "PROXY a:1; HTTPS b:2; DIRECT",
        &["http://a:1", "https://b:2", "direct"],
        &[],
    );
    check("DIRECT; PROXY a:1", &["direct", "http://a:1"], &[]);
    check("proxy a:1;https b", &["http://a:1", "https://b:443"], &[]);
    check("PROXY a", &["http://a:80"], &[]);
    check("HTTP a:8080", &["http://a:8080"], &[]);
    check(
        "  PROXY \t a:1 ;; ; DIRECT ;",
        &["http://a:1", "direct"],
        &[],
    );
    check("PROXY [::1]:3128", &["http://[::1]:3128"], &[]);
    check("PROXY A.Corp.Test.:1", &["http://a.corp.test:1"], &[]);
    check("PROXY a:1\n; DIRECT\r\n", &["http://a:1", "direct"], &[]);
    // Two schemes on one port are two ways.
    check("PROXY a:1; HTTPS a:1", &["http://a:1", "https://a:1"], &[]);
}

#[test]
fn a23_socks_is_what_the_proxy_values_support() {
    let supported = ProxyUrl::parse("socks5h://c:1080").map(|url| url.to_string());
    for text in ["SOCKS c", "SOCKS5 c:1080", "socks5 C"] {
        match &supported {
            Ok(url) => check(text, &[url], &[]),
            Err(_unsupported) => check(text, &[], &[S::Unsupported]),
        }
    }
    check(
        "SOCKS4 c:1; QUIC d:1",
        &[],
        &[S::Unsupported, S::Unsupported],
    );
}

#[test]
fn a23_malformed_entries_are_left_out_and_never_direct() {
    check("", &[], &[]);
    check(";;;", &[], &[]);
    check("PROXY", &[], &[S::Place]);
    check("PROXY :1", &[], &[S::Place]);
    check("PROXY a:0", &[], &[S::Place]);
    check("PROXY a:65536", &[], &[S::Place]);
    check("PROXY a:x", &[], &[S::Place]);
    check("PROXY a b", &[], &[S::Place]);
    check("PROXY a:1,b:2", &[], &[S::Place]);
    check("PROXY http://a:1", &[], &[S::Place]);
    check("PROXY a:1/x", &[], &[S::Place]);
    check("PROXY user:pass@a:1", &[], &[S::Place]);
    check("PROXY 127.1:1", &[], &[S::Place]);
    check("PROXY \u{e4}:1", &[], &[S::Place]);
    check("DIRECT a:1", &[], &[S::Place]);
    check("DIRECTLY", &[], &[S::Kind]);
    check("a:1", &[], &[S::Kind]);
    check("http://a:1", &[], &[S::Kind]);
    check("null", &[], &[S::Kind]);
    check("PROXY a:1 PROXY b:1", &[], &[S::Place]);
    check("PROXY x y; PROXY a:1", &["http://a:1"], &[S::Place]);
}

#[test]
fn a23_loops_and_repetitions_are_left_out() {
    check(
        "PROXY controller.test:443; DIRECT",
        &["direct"],
        &[S::Target],
    );
    check("HTTPS Controller.Test.", &[], &[S::Target]);
    check(
        "PROXY controller.test:80",
        &["http://controller.test:80"],
        &[],
    );
    check("PROXY a:1; PROXY A:1", &["http://a:1"], &[S::Twice]);
    check("DIRECT; DIRECT", &["direct"], &[S::Twice]);
}

#[test]
fn a23_endless_answers_are_cut_at_whole_entries() {
    let many: String = (1..=100_000).map(|n| format!("PROXY p{n}:1;")).collect();
    let result = PacResult::parse(&many, &target());
    let first: Vec<String> = (1..=PAC_ENTRIES_MAX)
        .map(|n| format!("http://p{n}:1"))
        .collect();
    assert_eq!(shown(&result), first);
    assert_eq!(result.skipped.last().unwrap().1, S::Rest);
    let garbage = "x;".repeat(100_000);
    let result = PacResult::parse(&garbage, &target());
    assert!(result.entries.is_empty());
    assert_eq!(result.skipped.len(), PAC_ENTRIES_READ_MAX + 1);
    // The last host would be cut in the middle: it must not be another one.
    let filler = " ".repeat(PAC_RESULT_BYTES_MAX - 20);
    let cut = format!("PROXY a:1;{filler}PROXY proxy.corp.test:1");
    check(&cut, &["http://a:1"], &[S::Rest]);
    check(&"\u{e4}".repeat(PAC_RESULT_BYTES_MAX), &[], &[S::Rest]);
}
