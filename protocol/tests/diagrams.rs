//! Draws `spec/diagrams.md` out of the functions that decide, and compares it with what stands there.
//!
//! `POSTERN_DIAGRAMS=write` writes the page anew. Refuses a second description of anything: each arrow is an answer of
//! the code.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a diagram that cannot be drawn has to fail"
)]

#[path = "diagrams/page.rs"]
mod page;
#[path = "diagrams/sessions.rs"]
mod sessions;
#[path = "diagrams/states.rs"]
mod states;
#[path = "diagrams/tree.rs"]
mod tree;

use page::Section;
use postern_protocol::id::{Digest, MessageId};
use postern_protocol::message::{ReportHead, accept_report};
use postern_protocol::revision::{
    Arrival, Epoch, Generation, Head, History, Lineage, LineageEntry, Outcome, Revision, Seq,
    accept, ended,
};
use tree::{Case, Question, draw};

/// What stands above the sections.
const HEAD: &str = "# Postern: diagrams\nNot normative, and not written by hand: `POSTERN_DIAGRAMS=write cargo test -p postern-protocol -p postern-relay diagram` asks the code for every case and draws the answers. A question that changes no answer, and an event that changes no state, is left out.\n\n## ";

/// Titles of sections that tests inside of this package and of the relay draw.
const ELSEWHERE: [&str; 6] = [
    "A snapshot or delta comes to a mailbox",
    "The desired plane of a device",
    "A device and its application",
    "The actual plane of a device",
    "The streams of a device",
    "What a controller has for a mailbox",
];

/// Numbers below, at and above the one that is held.
const AROUND: [u64; 3] = [9, 10, 11];

const fn head(generation: u64, epoch: u64, seq: u64, content: u8) -> Head {
    Head {
        generation: Generation::new(generation),
        revision: Revision::new(Epoch::new(epoch), Seq::new(seq)),
        digest: Digest::from_bytes([content; 32]),
    }
}

fn shown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Accept => "accept".to_owned(),
        Outcome::Apply => "apply".to_owned(),
        Outcome::Duplicate => "duplicate: acknowledge again".to_owned(),
        Outcome::Older => "older: drop, acknowledge again".to_owned(),
        Outcome::Need(reject) => format!("need: {}", reject.as_str()),
        Outcome::Refuse(reject) => format!("refuse: {}", reject.as_str()),
    }
}

const ARRIVAL: [Question; 9] = [
    ("stored", &["nothing", "a head"]),
    ("generation", &["lower", "equal", "higher"]),
    ("epoch", &["lower", "equal", "higher"]),
    ("is the epoch frozen", &["no", "yes"]),
    ("seq", &["lower", "equal", "higher"]),
    ("digest", &["equal", "other"]),
    ("kind", &["delta", "snapshot"]),
    ("base", &["below stored seq", "stored seq", "above"]),
    ("lineage", &["covers stored", "does not"]),
];

fn judge_arrival(case: Case<'_>) -> String {
    let held = head(10, 10, 10, 1);
    let stored = (case[0] == 1).then_some(&held);
    let content = if case[5] == 0 { 1 } else { 2 };
    let incoming = head(AROUND[case[1]], AROUND[case[2]], AROUND[case[4]], content);
    let frozen = (case[3] == 1).then_some(held.revision.epoch);
    let entries = if case[8] == 0 {
        vec![ended(&held)]
    } else {
        Vec::new()
    };
    let lineage = Lineage::new(entries, Epoch::new(99)).expect("a lineage");
    let arrival = match case[6] {
        0 => Arrival::Delta {
            base: Seq::new(AROUND[case[7]]),
        },
        _ => Arrival::Snapshot { lineage: &lineage },
    };
    shown(accept(stored, frozen, &incoming, arrival))
}

const SHOWN: [Question; 4] = [
    ("head in the newest report", &["none", "not above", "above"]),
    (
        "epoch",
        &[
            "before the lineage",
            "in the lineage",
            "in a gap of it",
            "the present one",
            "above",
        ],
    ),
    ("seq", &["lower", "equal", "higher"]),
    ("digest", &["equal", "other"]),
];

fn judge_shown(case: Case<'_>) -> String {
    let lineage = [20, 40].map(|epoch| LineageEntry {
        last: Revision::new(Epoch::new(epoch), Seq::new(10)),
        digest: Digest::from_bytes([1; 32]),
    });
    let epoch = [10, 20, 30, 50, 60][case[1]];
    let content = if case[3] == 0 { 1 } else { 2 };
    let device = head(1, epoch, AROUND[case[2]], content);
    let newest = [
        None,
        Some(Epoch::new(epoch - 1)),
        Some(Epoch::new(epoch + 1)),
    ][case[0]];
    let history = History {
        head: head(1, 50, 10, 1),
        lineage: &lineage,
        contested: None,
        reported: newest.map(|epoch| Revision::new(epoch, Seq::new(1))),
    };
    format!("{:?}", history.standing(&device)).to_lowercase()
}

const REPORT: [Question; 3] = [
    ("held", &["nothing", "a report"]),
    ("number", &["lower", "equal", "higher"]),
    ("message id", &["equal", "other"]),
];

fn judge_report(case: Case<'_>) -> String {
    let report = |rseq, id| ReportHead {
        number: Revision::new(Epoch::new(1), Seq::new(rseq)),
        message_id: MessageId::from_bytes([id; 32]),
    };
    let held = report(10, 0);
    let id = u8::try_from(case[2]).expect("0 or 1");
    let stored = (case[0] == 1).then_some(&held);
    shown(accept_report(stored, &report(AROUND[case[1]], id)))
}

/// The sections of this test; those of `device/tests/diagram.rs` and of the relay stand behind them.
fn sections() -> [Section; 5] {
    [
        (
            "A delta or snapshot arrives",
            "`accept` in `protocol/src/revision/mod.rs`, for #acceptance",
            draw(&ARRIVAL, &judge_arrival),
        ),
        (
            "A device shows a head in evidence",
            "`History::standing` in `protocol/src/revision/history.rs`, for #recovery: what is known is followed, what is passed is refused with `epoch-stale`, news is collected",
            draw(&SHOWN, &judge_shown),
        ),
        (
            "A report arrives",
            "`accept_report` in `protocol/src/message/report_order.rs`, for #reports-and-acks",
            draw(&REPORT, &judge_report),
        ),
        (
            "A device or writer and its mailbox",
            "`Link` in `protocol/src/session/link.rs`, which devices and writers share, for #hello",
            states::draw(&sessions::LINK_EVENTS, &sessions::play_link),
        ),
        (
            "What a mailbox holds of one device or writer",
            "`Sessions` in `protocol/src/session/table.rs`, for #sessions and #hello",
            states::draw(&sessions::OWNER_EVENTS, &sessions::play_owner),
        ),
    ]
}

#[test]
fn diagrams_are_what_the_code_answers() {
    page::check(env!("CARGO_MANIFEST_DIR"), &sections());
}

#[test]
fn page_has_the_sections_of_its_tests_and_no_other() {
    let page = page::read(env!("CARGO_MANIFEST_DIR"));
    assert!(page.starts_with(HEAD));
    let titles: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let own = sections().map(|(title, ..)| title);
    assert_eq!(titles, [&own[..], &ELSEWHERE].concat());
}

#[test]
fn event_that_changes_nothing_is_not_drawn() {
    let play = |row: &[usize]| if row.contains(&1) { "on" } else { "off" }.to_owned();
    let drawing = states::draw(&["idle", "real"], &play);
    assert!(
        !drawing.contains("idle") && drawing.contains("s0 --> s1: real"),
        "{drawing}"
    );
}

#[test]
fn question_that_changes_nothing_is_not_drawn() {
    let questions: [Question; 2] = [("idle", &["a", "b"]), ("real", &["c", "d"])];
    let drawing = draw(&questions, &|case| case[1].to_string());
    assert!(
        !drawing.contains("idle") && drawing.contains("real"),
        "{drawing}"
    );
}
