use super::Cli;
use super::apply;
use super::device_status::{attempts_page, page};
use super::status::table;
use crate::operator::DeviceStatus;
use clap::{CommandFactory as _, Parser as _};
use postern_protocol::state::Value;
use serde_json::json;
use std::fs;

#[test]
fn command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn command_line_that_is_wrong_is_refused() {
    let cases: [&[&str]; 14] = [
        &[],
        &["controler"],
        &["controller"],
        &["controller", "invite"],
        &["controller", "invite", "Hall 1"],
        &["controller", "invite", "hall-1", "--tenant", "T"],
        &["controller", "init", "--listen", "8443"],
        &["controller", "init", "--cert", "a.pem"],
        &["device", "join", "postern1:secret"],
        &["desired", "set", "hall-1", "/a", "1"],
        &["desired", "set", "hall-1", "a", "1", "--string", "--file"],
        &["desired", "set", "hall-1", "a", "1", "--wait", "0"],
        &["desired", "rm", "hall-1"],
        &["desired", "apply", "hall-1"],
    ];
    for arguments in cases {
        let line = std::iter::once(&"postern").chain(arguments);
        assert!(Cli::try_parse_from(line).is_err(), "{arguments:?}");
    }
}

fn device(name: &str, enrolled: bool, converged: bool, status: i64) -> DeviceStatus {
    serde_json::from_value(json!({
        "name": name, "tenant": "default", "enrolled": enrolled,
        "desired": { "epoch": 9, "seq": 3, "digest": "ab".repeat(32) },
        "received": { "epoch": 9, "seq": 3 }, "accepted": { "epoch": 9, "seq": 3 },
        "applied": { "epoch": 9, "seq": 2 }, "applied_digest": "cd".repeat(32),
        "stale": false, "heard_ms_ago": null, "actual": null, "behind": null, "cloned": null,
        "paused": false, "frozen": false, "left": false, "revoked": false, "evidence": 0, "intents": {},
        "converged": converged, "rejects": [],
        "results": [{ "epoch": 9, "seq": 3, "status": status, "output": "bad \u{1b}[31mvalue\nmore" }],
    }))
    .unwrap()
}

#[test]
fn table_has_aligned_columns_and_no_control_characters() {
    let devices = [
        device("a", false, false, 0),
        device("hall-2-with-a-long-name", true, true, 0),
        device("c", true, false, 1),
        device("d", true, false, 0),
    ];
    let text = table(&devices, false);
    let lines: Vec<_> = text.lines().collect();
    let column = lines[0].find("STATE").unwrap();
    for (line, phase) in lines[1..]
        .iter()
        .zip(["invited", "converged", "failing", "behind"])
    {
        assert!(line[column..].starts_with(phase), "{text}");
    }
    assert!(!text.contains('\u{1b}'));
    assert!(!text.contains("more"));
}

#[test]
fn device_whose_key_is_revoked_is_not_shown_as_converged() {
    let mut device = device("press-4", true, true, 0);
    device.revoked = true;
    let text = table(&[device], false);
    assert!(
        text.contains("revoked") && !text.contains("converged"),
        "{text}"
    );
}

#[test]
fn table_shows_no_number_of_an_earlier_epoch() {
    let mut device = device("press-4", true, false, 0);
    device.applied.epoch -= 1;
    let text = table(&[device], false);
    assert!(text.contains("earlier cdcdcdcd"), "{text}");
}

#[test]
fn table_without_devices_names_the_next_step() {
    assert!(table(&[], true).contains("postern controller invite"));
}

#[test]
fn folder_gives_a_value_for_each_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/text"), "hi\n").unwrap();
    fs::write(folder.path().join("bytes"), b"\xff").unwrap();
    let named = apply::read(folder.path()).unwrap();
    let found: Vec<_> = named
        .iter()
        .map(|(path, value)| (path.as_str(), value.clone()))
        .collect();
    let text = Value::Text("hi\n".into());
    assert_eq!(
        found,
        [("a/b/text", text), ("bytes", Value::Bytes(vec![255]))]
    );
}

#[test]
fn folder_with_a_file_that_is_no_value_is_refused_with_its_name() {
    let oversize = "x".repeat(32_769);
    for (name, content) in [
        ("Upper", "x"),
        ("with space", "x"),
        ("large", oversize.as_str()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("good"), "x").unwrap();
        fs::write(folder.path().join(name), content).unwrap();
        let error = apply::read(folder.path()).unwrap_err();
        assert!(error.message.contains(name), "{}", error.message);
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    assert!(apply::read(folder.path()).is_err());
    assert!(apply::read(&folder.path().join("absent")).is_err());
}

#[test]
fn json_file_gives_a_value_for_each_member() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.json");
    fs::write(&file, r#"{"a/b": 3, "c": "text", "d": {"bytes": "/w=="}}"#).unwrap();
    assert_eq!(apply::read(&file).unwrap().len(), 3);
}

#[test]
fn json_file_of_another_form_is_refused() {
    let cases = [
        "",
        "[]",
        "{",
        "{} {}",
        r#"{"a": [1]}"#,
        r#"{"a": {"b": 1}}"#,
        r#"{"A": 1}"#,
        r#"{"a": 1, "a": 2}"#,
        r#"{"a": 18446744073709551616}"#,
        r#"{"a": 1,}"#,
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.json");
    for content in cases {
        fs::write(&file, content).unwrap();
        let error = apply::read(&file).unwrap_err();
        assert!(error.message.contains("values.json"), "{content}");
    }
}

#[test]
fn device_page_says_what_keeps_it_from_converging() {
    let status = |apply: &str, failure: serde_json::Value| {
        json!({
            "name": "hall-1", "tenant": "default", "running": true, "connected": true,
            "accepted": { "epoch": 9, "seq": 3 }, "applied": { "epoch": 9, "seq": 2 },
            "digest": "ab".repeat(32), "apply": apply, "failure": failure, "stale": true,
            "route": "direct", "bytes_up": 5, "bytes_down": 20_000, "bundle": 1,
            "rejected": { "writer-behind": 2 }, "refused_by_mailbox": {}, "failures": {},
            "put_aside_by_mailbox": { "retention-expired": 1 },
            "frozen_epoch": null, "rotating": true, "bundle_behind": false,
        })
    };
    let failure =
        json!({ "epoch": 9, "seq": 3, "status": -5, "output": "reverted: \u{1b}[31mbad\nmore" });
    let text = page(&status("paused", failure));
    for words in [
        "hall-1 of tenant default, running",
        "9.2; 9.3 FAILED with status -5: reverted: [31mbad",
        "PAUSED here",
        "STALE: the controller has not answered",
        "direct, connected; 5 B up, 20 KB down",
        "2 x writer-behind",
        "put aside 1 x retention-expired",
        "a new one waits",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("FROZEN") && !text.contains("more") && !text.contains('\u{1b}'));
    let open = page(&status("open", serde_json::Value::Null));
    assert!(
        open.contains("allowed") && !open.contains("FAILED"),
        "{open}"
    );
}

#[test]
fn device_page_of_a_device_that_stopped_says_so() {
    let text = page(&json!({ "name": "hall-1", "tenant": "default", "running": false }));
    assert!(text.contains("NOT RUNNING"), "{text}");
    assert!(!text.contains("STALE"), "{text}");
}

#[test]
fn device_page_explains_its_route() {
    let status = |source: &str, ahead: serde_json::Value| {
        page(&json!({
            "name": "hall-1", "tenant": "default", "running": true, "connected": true, "route": "proxy",
            "clock_source": source, "clock_ahead_s": ahead,
            "routes": {
                "network": "7f3a0b12", "issuer": "CN=Corp\u{1b}[31m", "way": "proxy",
                "ways": [
                    {
                        "route": "direct", "mailbox": 1, "url": 2, "state": "failed",
                        "reason": "it failed\u{7} with PST-T02", "next_try_s": 30,
                    },
                    {
                        "route": "proxy", "mailbox": 1, "url": 1, "state": "used",
                        "reason": "it answered first", "next_try_s": null,
                    },
                ],
                "hold": {
                    "route": "proxy", "rung_s": 55, "cap_s": 55, "ceiling_s": 115, "is_polling": false,
                    "taught_by": "cut after 60.1 s, twice, with status 504",
                    "request_bytes_max": 49152, "answer_bytes_max": 24576,
                },
                "packet_bytes_max": 1500,
                "explained": ["http://proxy.test:3128 (source device.toml: proxy.url)"],
            },
        }))
    };
    let text = status("mailbox", json!(-7));
    for words in [
        "TLS INTERCEPTED by",
        "way       direct to mailbox 1, URL 2: not used, it failed with PST-T02, asked again in 30 s\n",
        "way       proxy to mailbox 1, URL 1: in use, it answered first\n",
        "more than 55 s does not survive: cut after 60.1 s, twice, with status 504",
        "answers above 24576 bytes do not pass (PST-L04)",
        "packets   of 1500 bytes pass",
        "ways      http://proxy.test:3128 (source device.toml: proxy.url)",
        "confirmed by a mailbox; this machine's is 7 s behind it",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let floor = status("floor", serde_json::Value::Null);
    assert!(floor.contains("clock     WRONG on this machine"), "{floor}");
    let machine = status("machine", serde_json::Value::Null);
    assert!(
        machine.contains("no mailbox has confirmed it yet"),
        "{machine}"
    );
}

#[test]
fn device_page_shows_a_dozen_ways_and_counts_the_others() {
    let way = json!({ "route": "direct", "mailbox": 3, "url": 1, "state": "ready", "reason": "r" });
    let rows = |count| {
        let ways = vec![way.clone(); count];
        let text = page(&json!({ "running": true, "routes": { "ways": ways } }));
        let rows = text.lines().filter(|line| line.starts_with("way "));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rows(0), Vec::<String>::new());
    assert_eq!(
        rows(12),
        vec!["way       direct to mailbox 3, URL 1: not used, r"; 12]
    );
    assert_eq!(rows(64).len(), 13);
    assert!(rows(64)[12].contains("52 more"));
}

#[test]
fn attempts_stand_one_a_line_with_the_step_and_the_code() {
    let attempts = json!({ "attempts": [
        { "age_ms": 61_240, "route": "quic", "stage": "quic", "code": "PST-U01", "took_ms": 3_000 },
        { "age_ms": 900, "route": "direct", "stage": "exchange", "code": null, "took_ms": 25_043 },
    ] });
    let page = attempts_page(&attempts);
    let lines: Vec<_> = page.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "61.2 s ago  quic          took    3.0 s  failed in quic with PST-U01",
            "0.9 s ago  direct        took   25.0 s  answered",
        ]
    );
    assert_eq!(attempts_page(&json!({})), "no attempt has ended yet\n");
}
