//! The command as an operator meets it: real processes, files and sockets.
//!
//! Each test has a folder and ports of its own. Refuses to look inside the program.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod changes;
mod support;
mod upgrade;

use serde_json::Value as Json;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use support::{Site, command, trust_line, with_input};

fn mode(site: &Site, name: &str) -> u32 {
    let found = fs::metadata(site.dir().join(name)).expect("a file");
    found.mode() & 0o777
}

#[test]
fn init_makes_a_private_folder_that_checks_well() {
    let site = Site::make();
    assert_eq!(mode(&site, ""), 0o700);
    for name in ["mailbox.key", "tls/server.key", "trust.line", "relay.toml"] {
        assert_eq!(mode(&site, name), 0o600, "{name}");
    }
    let check = site.ask(&["check", "--json"]);
    let json = check.json();
    let errors: Vec<&Json> = json["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .collect();
    let is_error = |finding: &&&Json| finding["weight"] == "error";
    // A machine that tests run on may be small or allow few files; the rest has to be well.
    let about = ["memory", "files"];
    let found: Vec<_> = errors.iter().filter(is_error).collect();
    assert!(
        found
            .iter()
            .all(|finding| about.contains(&finding["about"].as_str().expect("text"))),
        "{found:?}"
    );
    let line = site.ask(&["line"]);
    assert!(line.out.starts_with("postern-relay1:"));
    assert_eq!(
        site.ask(&["line", "--json"]).json()["relay_line"],
        line.out.trim()
    );
}

#[test]
fn init_refuses_what_it_cannot_use_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("relay");
    let dir = dir.to_str().expect("UTF-8");
    let line = trust_line(1, &["default"]);
    let cut = &line[..line.len() - 20];
    let url = "https://relay.example:8443";
    let check = |url: &str, input: &str, code: i32, words: &str| {
        let ended = with_input(&["init", "--dir", dir, "--url", url], input);
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.err.contains(words), "{words}: {ended:?}");
        assert!(ended.err.contains("next: "), "{ended:?}");
        assert!(!folder.path().join("relay").exists(), "{words}");
    };
    check(url, "", 3, "there is no trust line");
    check(url, "hello", 3, "does not begin with postern-trust1:");
    check(url, cut, 3, "standard input");
    check(
        "http://relay.example",
        &line,
        2,
        "--url http://relay.example",
    );
    let ended = with_input(&["init", "--dir", dir], &line);
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[test]
fn init_twice_is_refused() {
    let site = Site::make();
    let before = fs::read(site.dir().join("mailbox.key")).expect("a key");
    let ended = site.init();
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("stands here already"), "{ended:?}");
    assert_eq!(
        fs::read(site.dir().join("mailbox.key")).expect("a key"),
        before
    );
}

/// Spoils a folder and expects an error of `check` with a remedy.
fn check(spoil: &dyn Fn(&Site), about: &str, words: &str) {
    let site = Site::make();
    spoil(&site);
    let ended = site.ask(&["check", "--json"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let json = ended.json();
    let rows = json["findings"].as_array().expect("findings");
    let row = rows
        .iter()
        .find(|row| row["about"] == about)
        .expect("a finding");
    assert_eq!(row["weight"], "error", "{row}");
    assert!(
        row["found"].as_str().expect("text").contains(words),
        "{row}"
    );
    assert_ne!(row["next"], "", "{row}");
}

fn spoil(site: &Site, name: &str, content: &str) {
    fs::write(site.dir().join(name), content).expect("written");
}

#[test]
fn check_finds_what_others_may_read() {
    let chmod = |site: &Site, name: &str, mode: u32| {
        fs::set_permissions(site.dir().join(name), fs::Permissions::from_mode(mode)).expect("mode");
    };
    check(
        &|site| chmod(site, "mailbox.key", 0o644),
        "mailbox-key",
        "mode 0644",
    );
    check(
        &|site| chmod(site, "tls/server.key", 0o644),
        "tls-key",
        "everybody may read",
    );
    check(
        &|site| chmod(site, "", 0o755),
        "folder",
        "others may look into it",
    );
}

#[test]
fn check_finds_each_spoilt_file_with_its_remedy() {
    let other = trust_line(9, &["default"]);
    let trust = "not of the trust domain";
    check(&|site| spoil(site, "trust.line", &other), "trust", trust);
    let store = |site: &Site| spoil(site, "relay.redb", "no store");
    check(&store, "store", "relay.redb");
    let audit = |site: &Site| spoil(site, "audit.log", "no chain\n");
    check(&audit, "audit", "is no entry");
    let chain = |site: &Site| spoil(site, "tls/server.crt", "no PEM");
    check(&chain, "certificate", "server.crt");
    let name = |site: &Site| site.edit("urls = [\"https://localhost", "urls = [\"https://relay");
    check(&name, "certificate-names", "does not name relay");
}

#[test]
fn check_finds_addresses_that_are_taken() {
    let site = Site::make();
    let taken = TcpListener::bind(site.listen).expect("a port");
    let ended = site.ask(&["check"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let words = format!("{} cannot be listened on", site.listen);
    assert!(ended.out.contains(&words), "{ended:?}");
    drop(taken);
    let run = TcpListener::bind(site.admin).expect("a port");
    let ended = site.ask(&["run"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("correct admin.listen"), "{ended:?}");
    drop(run);
}

/// Gives a relay a QUIC door on the port number of its HTTPS one.
fn open_quic(site: &Site) {
    let key = format!("listen = \"{}\"", site.listen);
    site.edit("# listen = \"none\"", &key);
}

#[test]
fn quic_door_is_opened_with_a_secret_that_stays() {
    let site = Site::make();
    open_quic(&site);
    assert!(site.ask(&["check"]).out.contains("quic.key: will be made"));
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut running = site.start();
        let status = site.ask(&["status", "--json"]).json()["status"].clone();
        assert_eq!(status["relay"]["quic"], site.listen.to_string(), "{status}");
        assert_eq!(status["relay"]["pressure"], "calm", "{status}");
        assert!(UdpSocket::bind(site.listen).is_err());
        let (_, metrics) = site.get("/metrics");
        assert!(metrics.contains("postern_quic_attempts_total{result=\"begun\"} 0"));
        running.signal("-TERM");
        assert_eq!(running.end(), Some(0));
        assert_eq!(mode(&site, "quic.key"), 0o600);
        kept.push(fs::read(site.dir().join("quic.key")).expect("a secret"));
    }
    assert_eq!(kept[0], kept[1]);
}

#[test]
fn quic_door_that_cannot_be_opened_stops_the_start() {
    let site = Site::make();
    open_quic(&site);
    let taken = UdpSocket::bind(site.listen).expect("a port");
    let found = format!("{} cannot be listened on", site.listen);
    assert!(site.ask(&["check"]).out.contains(&found));
    let ended = site.ask(&["run"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("quic.listen"), "{ended:?}");
    drop(taken);
    spoil(&site, "quic.key", "no secret");
    let ended = site.ask(&["run"]);
    assert!(ended.err.contains("no QUIC secret"), "{ended:?}");
}

#[test]
fn check_names_file_line_and_the_key_that_was_meant() {
    let site = Site::make();
    site.edit("# connections_max = ", "conections_max = ");
    let ended = site.ask(&["check"]);
    assert_eq!(ended.code, 3);
    let words = "`server.conections_max` is no key of this file; did you mean `connections_max`?";
    assert!(ended.err.contains(words), "{ended:?}");
    assert!(ended.err.contains("relay.toml:"), "{ended:?}");
}

#[test]
fn commands_without_a_relay_say_so_and_what_to_do() {
    let site = Site::make();
    for words in [
        &["status"][..],
        &["tenants"],
        &["mailboxes"],
        &["sessions"],
        &["quota", "plant-1"],
        &["disconnect", "plant-1"],
        &["drain"],
        &["undrain"],
        &["reload"],
        &["limits"],
        &["metrics"],
        &["top", "--once"],
    ] {
        let ended = site.ask(words);
        assert_eq!(ended.code, 4, "{words:?}: {ended:?}");
        assert!(ended.err.contains("postern-relay run --dir"), "{ended:?}");
    }
    let missing = command(&["status", "--json", "--dir", "/nonexistent"])
        .output()
        .expect("ended");
    assert_eq!(missing.status.code(), Some(3));
    let json: Json = serde_json::from_slice(&missing.stdout).expect("JSON");
    assert_eq!(json["error"]["name"], "relay-missing");
}

#[test]
fn relay_runs_shows_itself_and_stops() {
    let site = Site::make();
    let mut running = site.start();
    let json = site.ask(&["status", "--json"]).json();
    assert_eq!(json["answer"], "status");
    assert_eq!(json["status"]["is_ready"], true, "{json}");
    assert_eq!(json["status"]["relay"]["bundle"], 1);
    let tenants = site.ask(&["tenants"]);
    assert!(
        tenants.out.contains("plant-1") && tenants.out.contains("plant-2"),
        "{tenants:?}"
    );
    assert_eq!(site.get("/livez").0, "HTTP/1.1 200 OK");
    assert_eq!(site.get("/readyz").0, "HTTP/1.1 200 OK");
    assert_eq!(site.get("/").0, "HTTP/1.1 404 Not Found");
    let (_, metrics) = site.get("/metrics");
    assert!(metrics.contains("postern_relay_ready 1\n"), "{metrics}");
    assert_eq!(mode(&site, "relay.sock"), 0o600);
    let second = site.ask(&["run"]);
    assert_eq!(
        (
            second.code,
            second.err.contains("runs in this folder already")
        ),
        (1, true)
    );
    running.signal("-TERM");
    // Nobody is held, so nobody is waited for.
    assert_eq!(running.end(), Some(0));
    assert!(!site.dir().join("relay.sock").exists());
    assert!(
        site.log()
            .lines()
            .all(|line| line.starts_with('{') || line.starts_with("relay ready"))
    );
}

#[test]
fn drain_is_seen_by_readiness_and_undrain_ends_it() {
    let site = Site::make();
    let _running = site.start();
    let drain = site.ask(&["drain", "--within", "1s", "--json"]);
    assert_eq!(drain.json()["drain"]["phase"], "announce", "{drain:?}");
    assert_eq!(site.get("/readyz").0, "HTTP/1.1 503 Service Unavailable");
    assert!(
        site.get("/readyz")
            .1
            .contains("drain failed: the relay drains")
    );
    assert_eq!(site.get("/livez").0, "HTTP/1.1 200 OK");
    let ready = |site: &Site| site.ask(&["status", "--json"]).json()["status"]["is_ready"].clone();
    assert_eq!(ready(&site), false);
    assert_eq!(site.ask(&["undrain", "--json"]).json()["changed"], true);
    assert_eq!(site.ask(&["undrain", "--json"]).json()["changed"], false);
    assert_eq!(ready(&site), true);
}

#[test]
fn drain_with_wait_returns_when_nobody_is_held() {
    let site = Site::make();
    site.edit("# announce_s = 5", "announce_s = 0");
    site.edit("# grace_s = 5", "grace_s = 0");
    let _running = site.start();
    let drain = site.ask(&["drain", "--within", "1s", "--wait"]);
    assert!(drain.out.starts_with("drained: 0 polls"), "{drain:?}");
}

#[test]
fn reload_takes_all_or_nothing_and_says_what_needs_a_restart() {
    let site = Site::make();
    let mut running = site.start();
    site.edit("# within_s = 120", "within_s = 60");
    site.edit("# connections_max = 20000", "connections_max = 100");
    let json = site.ask(&["reload", "--json"]).json();
    assert_eq!(json["changed"][0]["key"], "drain.within_s", "{json}");
    assert_eq!(json["needs_restart"][0]["key"], "server.connections_max");
    let limits = site.ask(&["limits", "--json"]).json();
    assert_eq!(limits["limits"]["drain.within_s"], "60");
    assert_eq!(limits["limits"]["server.connections_max"], "20000");
    site.edit("within_s = 60", "within_s = 61\ngracious_s = 1");
    let refused = site.ask(&["reload"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(
        refused.err.contains("`drain.gracious_s` is no key"),
        "{refused:?}"
    );
    running.signal("-HUP");
    running.wait_for_audit("{\"by\":\"SIGHUP\"},\"outcome\":\"refused\"");
    assert!(
        site.log()
            .contains("refused configuration; the old one goes on")
    );
    let limits = site.ask(&["limits", "--json"]).json();
    assert_eq!(limits["limits"]["drain.within_s"], "60");
    site.edit("within_s = 61\ngracious_s = 1", "within_s = 62");
    running.signal("-HUP");
    running.wait_for_audit("{\"by\":\"SIGHUP\"},\"outcome\":\"done\"");
    let limits = site.ask(&["limits", "--json"]).json();
    assert_eq!(limits["limits"]["drain.within_s"], "62");
}

#[test]
fn reload_with_a_key_that_does_not_fit_keeps_the_old_certificate() {
    let site = Site::make();
    let _running = site.start();
    let other = Site::make();
    let key = fs::read(other.dir().join("tls/server.key")).expect("a key");
    fs::write(site.dir().join("tls/server.key"), key).expect("written");
    let refused = site.ask(&["reload"]);
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("do not fit"), "{refused:?}");
    let chain = fs::read(other.dir().join("tls/server.crt")).expect("a chain");
    fs::write(site.dir().join("tls/server.crt"), chain).expect("written");
    let taken = site.ask(&["reload"]);
    assert_eq!(taken.code, 0, "{taken:?}");
}

#[test]
fn top_once_is_plain_text_and_json_is_json() {
    let site = Site::make();
    let _running = site.start();
    let top = site.ask(&["top", "--once"]);
    assert!(
        top.out.contains("plant-1") && top.out.contains("ARRIVED/s"),
        "{top:?}"
    );
    assert!(!top.out.contains('\u{1b}'));
    let json = site.ask(&["top", "--once", "--json"]).json();
    assert_eq!(json["tenants"][0]["tenant"]["tenant"], "plant-1");
}

#[test]
fn service_manager_is_told_readiness_life_and_end() {
    let site = Site::make();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout");
    let mut told = command(&["run"]);
    told.env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000");
    let running = site.start_with(&mut told);
    let mut buffer = [0; 256];
    let mut next = || {
        let bytes = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..bytes]).into_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!(next(), "WATCHDOG=1");
    assert_eq!(next(), "WATCHDOG=1");
    running.signal("-TERM");
    while next() != "STOPPING=1" {}
}

#[test]
fn relay_killed_without_warning_comes_back_with_its_store() {
    let site = Site::make();
    let epoch = |site: &Site| {
        let json = site.ask(&["status", "--json"]).json();
        json["status"]["relay"]["store_epoch"]
            .as_u64()
            .expect("a number")
    };
    let first = site.start();
    let made = epoch(&site);
    assert_ne!(made, 0);
    drop(first);
    assert!(site.dir().join("relay.sock").exists());
    let check = site.ask(&["check"]);
    assert!(check.out.contains("relay.redb: sound"), "{check:?}");
    let _second = site.start();
    assert_eq!(epoch(&site), made);
    let check = site.ask(&["check"]);
    assert!(
        check.out.contains("a relay runs in this folder"),
        "{check:?}"
    );
}

#[test]
fn store_of_another_trust_domain_is_refused() {
    let (site, other) = (Site::make(), Site::make());
    drop(other.start());
    let line = trust_line(9, &["default"]);
    let foreign = Site::make_from(&line);
    fs::copy(
        other.dir().join("relay.redb"),
        foreign.dir().join("relay.redb"),
    )
    .expect("a copy");
    let ended = foreign.ask(&["run"]);
    assert_ne!(ended.code, 0, "{ended:?}");
    assert!(ended.err.contains("next: "), "{ended:?}");
    drop(site);
}
