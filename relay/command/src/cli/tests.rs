use super::Cli;
use super::act::parse_seconds;
use super::look::shown;
use super::table::{Column, age, bytes, table};
use super::top::Frame;
use crate::admin::Status;
use crate::audit::End;
use crate::health::Check;
use crate::operable::Operable as _;
use crate::operable::memory::InMemory;
use clap::CommandFactory as _;

fn status() -> Box<Status> {
    let relay = InMemory::with(&[("plant-1", &["press-1"])]);
    Box::new(Status {
        version: "0.1.0".into(),
        uptime_s: 90,
        pid: 7,
        listen: "0.0.0.0:8443".into(),
        urls: vec!["https://relay.example".into()],
        is_ready: true,
        checks: Vec::new(),
        drain: None,
        relay: relay.standing(),
        audit: End {
            n: 3,
            hash: "c".repeat(64),
        },
    })
}

#[test]
fn command_line_is_consistent_and_every_command_shows_an_example() {
    let command = Cli::command();
    command.clone().debug_assert();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let about = sub.get_long_about().expect("a long text").to_string();
        assert!(
            about.contains("Example: postern-relay "),
            "{}",
            sub.get_name()
        );
    }
}

#[test]
fn time_is_read_with_and_without_a_unit() {
    for (text, seconds) in [
        ("120", 120),
        ("120s", 120),
        ("2m", 120),
        ("3600s", 3_600),
        ("60m", 3_600),
    ] {
        assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
    }
    for text in [
        "",
        "s",
        "0",
        "0s",
        "-1",
        "1h",
        "3601",
        "61m",
        "1.5m",
        "99999999999999999999",
    ] {
        assert!(parse_seconds(text).is_err(), "{text}");
    }
}

#[test]
fn table_aligns_and_shows_no_control_characters() {
    let rows = [
        vec!["a\u{1b}[2Jb".to_owned(), "7".to_owned()],
        vec!["long".to_owned(), "1234".to_owned()],
    ];
    let text = table(&[Column::Text("NAME"), Column::Number("N")], &rows);
    assert_eq!(text, "NAME       N\na?[2Jb     7\nlong    1234\n");
}

#[test]
fn numbers_are_shortened_for_people() {
    for (number, text) in [
        (0, "0"),
        (1_023, "1023"),
        (1_024, "1.0K"),
        (1_572_864, "1.5M"),
        (1 << 30, "1.0G"),
    ] {
        assert_eq!(bytes(number), text);
    }
    for (seconds, text) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7_200, "2h"),
        (172_800, "2d"),
    ] {
        assert_eq!(age(seconds), text);
    }
}

#[test]
fn status_that_is_not_ready_says_why() {
    let mut status = status();
    assert!(shown(&status).starts_with("relay      ready; up 90s"));
    status.is_ready = false;
    status.checks = vec![Check {
        name: "store".into(),
        is_well: false,
        reason: "the disk is full".into(),
    }];
    assert!(shown(&status).starts_with("relay      NOT READY: store (the disk is full);"));
}

#[test]
fn top_shows_rates_between_two_frames() {
    let relay = InMemory::with(&[("plant-1", &["press-1"]), ("plant-2", &["mill"])]);
    let counter = |polls: u64, rejected: u64| {
        format!(
            "# TYPE postern_exchanges_total counter\npostern_exchanges_total{{kind=\"poll\"}} {polls}\n\
             postern_envelopes_rejected_total{{reason=\"session-mac\"}} {rejected}\n"
        )
    };
    let before = Frame::of(1_000, status(), relay.tenants(), &counter(100, 5));
    let mut tenants = relay.tenants();
    tenants[1].arrivals += 30;
    let now = Frame::of(3_000, status(), tenants, &counter(700, 6));
    let text = now.to_text(&before);
    assert!(text.contains("exchanges  poll 300.0/s\n"), "{text}");
    assert!(text.contains("refused    session-mac 0.5/s\n"), "{text}");
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("plant"))
        .collect();
    assert!(
        rows[0].starts_with("plant-2") && rows[0].contains("15.0"),
        "{rows:?}"
    );
    let json = now.to_json(&before);
    assert_eq!(json["exchanges_per_10_s"]["poll"], 3_000);
    assert_eq!(json["tenants"][1]["arrived_per_10_s"], 150);
}

#[test]
fn top_after_a_restart_of_the_relay_shows_no_negative_rates() {
    let relay = InMemory::with(&[("plant-1", &["press-1"])]);
    let text = |count: u64| format!("postern_exchanges_total{{kind=\"poll\"}} {count}\n");
    let before = Frame::of(1_000, status(), relay.tenants(), &text(1_000));
    let now = Frame::of(2_000, status(), relay.tenants(), &text(3));
    assert!(now.to_text(&before).contains("exchanges  none\n"));
}
