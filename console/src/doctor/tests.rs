use super::*;

fn hop(stage: &str, code: Option<&str>) -> HopReport {
    HopReport {
        stage: stage.into(),
        place: "controller.test:443".into(),
        is_ok: code.is_none(),
        is_tried: true,
        took_us: 1_234,
        evidence: "seen".into(),
        code: code.map(str::to_owned),
        what: code.map(|_| "it broke".into()),
        next: code.map(|_| "mend it".into()),
    }
}

fn way(route: &str, state: State, hops: Vec<HopReport>) -> WayReport {
    WayReport {
        route: route.into(),
        proxy: None,
        state,
        reason: None,
        answerer: None,
        is_intercepted: false,
        issuer: None,
        unknown_issuer: None,
        took_ms: 5,
        hops,
    }
}

fn target(url: &str, ways: Vec<WayReport>) -> TargetReport {
    TargetReport {
        url: url.into(),
        why: "m.test:443: direct (no proxy is configured)".into(),
        unusable: None,
        ways,
    }
}

fn works() -> WayReport {
    way("direct", State::Works, vec![hop("answer", None)])
}

fn fails() -> WayReport {
    let hops = vec![hop("lookup", None), hop("tcp", Some("PST-T02"))];
    way("direct", State::Fails, hops)
}

#[test]
fn verdict_is_ok_only_when_the_first_mailbox_is_reached() {
    let check = |ways: Vec<WayReport>, expected: Outcome, code: Option<&str>| {
        let mut targets = Vec::new();
        for (at, way) in ways.into_iter().enumerate() {
            targets.push(target(&format!("https://m{at}.test"), vec![way]));
        }
        let verdict = Verdict::of(&targets);
        assert_eq!((verdict.state, verdict.code.as_deref()), (expected, code));
    };
    check(vec![works()], Outcome::Ok, None);
    check(vec![works(), fails()], Outcome::Ok, None);
    check(vec![fails(), works()], Outcome::Degraded, Some("PST-T02"));
    check(vec![fails(), fails()], Outcome::Down, Some("PST-T02"));
    check(vec![], Outcome::Down, None);
    check(
        vec![way("quic", State::Skipped, vec![])],
        Outcome::Down,
        None,
    );
}

#[test]
fn verdict_names_the_way_that_came_farthest() {
    let early = way("direct", State::Fails, vec![hop("tcp", Some("PST-T02"))]);
    let hops = vec![hop("tcp", None), hop("tunnel", Some("PST-P01"))];
    let late = way("proxy", State::Fails, hops);
    let verdict = Verdict::of(&[target("https://m.test", vec![early, late])]);
    assert_eq!(verdict.code.as_deref(), Some("PST-P01"));
}

#[test]
fn verdict_names_quic_only_where_nothing_else_was_tried() {
    let quic = |hops| way("quic", State::Fails, hops);
    let far = || quic(vec![hop("lookup", None), hop("quic", Some("PST-U03"))]);
    let near = way("direct", State::Fails, vec![hop("tcp", Some("PST-T01"))]);
    let check = |ways: Vec<WayReport>, expected: &str| {
        let verdict = Verdict::of(&[target("https://m.test", ways)]);
        assert_eq!(verdict.code.as_deref(), Some(expected));
    };
    check(vec![near.clone(), far()], "PST-T01");
    check(vec![far(), near], "PST-T01");
    check(vec![far()], "PST-U03");
}

#[test]
fn tree_shows_each_step_with_what_to_do_next() {
    let ways = vec![fails(), works()];
    let targets = vec![target("https://m.test", ways)];
    let report = Report {
        version: "1".into(),
        by: "this command".into(),
        unix_s: None,
        network: NetworkReport::default(),
        clock: ClockReport::default(),
        hold: None,
        settings: Settings {
            proxy: None,
            source: None,
            mode: "off".into(),
            has_credentials: false,
            extra_ca_files: vec![],
        },
        verdict: Verdict::of(&targets),
        targets,
    };
    let expected = "\
How this machine reaches its mailbox, the server of Postern: over HTTPS or QUIC, always from here to there.

network  no default route: interface, address and gateway are unknown
clock    1970-01-01T00:00:00Z by this machine; no mailbox has confirmed it yet
proxy    none: neither device.toml nor the environment names one
hold     how long a request may wait here is unknown: no device runs that has learnt it

https://m.test
ways: direct (no proxy is configured)
├─ direct  FAILS  PST-T02
│  ├─ ok   lookup    controller.test:443            1.2 ms  seen
│  └─ FAIL tcp       controller.test:443            1.2 ms  PST-T02 it broke
│           next: mend it
└─ direct  works  5 ms
   └─ ok   answer    controller.test:443            1.2 ms  seen

ok  https://m.test is reached directly
";
    assert_eq!(report.tree(false), expected);
    let json = serde_json::to_string(&report).unwrap();
    let again: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(again, report);
}

fn report(way: WayReport) -> Report {
    let targets = vec![target("https://m.test", vec![way])];
    Report {
        version: "1".into(),
        by: "this command".into(),
        unix_s: None,
        network: NetworkReport::default(),
        clock: ClockReport::default(),
        settings: Settings {
            proxy: None,
            source: None,
            mode: "off".into(),
            has_credentials: false,
            extra_ca_files: vec![],
        },
        hold: None,
        verdict: Verdict::of(&targets),
        targets,
    }
}

#[test]
fn tree_tells_a_step_that_was_not_tried_from_one_that_is_ok() {
    let untried = HopReport {
        is_tried: false,
        evidence: "not known yet".into(),
        ..hop("buffering", None)
    };
    let held_back = hop("buffering", Some("PST-L05"));
    let line = |hop: HopReport| {
        let report = report(way("proxy", State::Works, vec![hop]));
        assert_eq!(report.verdict.state, Outcome::Ok);
        let tree = report.tree(false);
        let mut lines = tree.lines().skip_while(|line| !line.contains("buffering"));
        (
            lines.next().map(str::to_owned),
            lines.next().map(str::to_owned),
        )
    };
    let (skip, below) = line(untried);
    assert!(skip.unwrap().starts_with("   └─ skip buffering "));
    assert_eq!(below.as_deref(), Some(""));
    let (fail, next) = line(held_back);
    assert!(fail.unwrap().starts_with("   └─ FAIL buffering "));
    assert!(next.unwrap().ends_with("next: mend it"));
}

fn shown(is_issuer: bool) -> IssuerReport {
    IssuerReport {
        issuer: "CN=Corp".into(),
        subject: "CN=Corp".into(),
        fingerprint: "AB:CD".into(),
        spki_sha256: "ef".into(),
        is_issuer,
        pem: "-----BEGIN CERTIFICATE-----".into(),
    }
}

#[test]
fn tree_shows_the_fingerprint_of_an_unknown_issuer_and_never_its_certificate() {
    let with = |is_issuer| {
        let hops = vec![hop("tcp", None), hop("tls", Some("PST-S01"))];
        report(WayReport {
            unknown_issuer: Some(shown(is_issuer)),
            ..way("direct", State::Fails, hops)
        })
    };
    let tree = with(true).tree(false);
    assert!(
        tree.contains("         shown: \"CN=Corp\", SHA-256 fingerprint AB:CD\n"),
        "{tree}"
    );
    assert!(!tree.contains("BEGIN"), "{tree}");
    assert_eq!(with(true).unknown_issuer(), Some(&shown(true)));
    // The server's own certificate is nothing to trust.
    assert!(
        with(false)
            .tree(false)
            .contains("shown, the server's own: ")
    );
    assert_eq!(with(false).unknown_issuer(), None);
}

#[test]
fn tree_says_which_network_and_which_clock() {
    let line = |report: &Report, title: &str| {
        let tree = report.tree(false);
        let found = tree.lines().find(|line| line.starts_with(title));
        found.unwrap_or_default().to_owned()
    };
    let mut report = report(works());
    report.network = NetworkReport {
        id: "7f3a0b12".into(),
        interface: Some("eth0".into()),
        kind: Some("Ethernet".into()),
        address: None,
        gateway: Some("10.0.0.1".into()),
        proxies_from: None,
    };
    assert_eq!(
        line(&report, "network"),
        "network  eth0 (Ethernet), address unknown, gateway 10.0.0.1, id 7f3a0b12"
    );
    report.clock.source = "mailbox".into();
    report.clock.ahead_s = Some(-9);
    assert!(
        line(&report, "clock").ends_with("confirmed by a mailbox; this machine's is 9 s behind")
    );
    report.clock.ahead_s = None;
    report.clock.source = "floor".into();
    assert!(line(&report, "clock").contains("WRONG"));
}

#[test]
fn report_of_an_older_device_is_still_read() {
    let mut json = serde_json::to_value(report(works())).unwrap();
    let members = json.as_object_mut().unwrap();
    let way = &mut members["targets"][0]["ways"][0];
    let hop = way["hops"][0].as_object_mut().unwrap();
    assert!(hop.remove("is_tried").is_some());
    let way = way.as_object_mut().unwrap();
    assert!(way.remove("unknown_issuer").is_some());
    for newer in ["network", "clock", "hold"] {
        assert!(members.remove(newer).is_some(), "{newer}");
    }
    let read: Report = serde_json::from_value(json).unwrap();
    assert_eq!(read, report(works()));
}
