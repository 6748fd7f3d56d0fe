//! Replays the corpora of the fuzz targets: what was found once stays found.
//!
//! Refuses to search: beside each file it tries one cut and one turned bit, the same ones each time.

#![expect(
    clippy::expect_used,
    reason = "a corpus that cannot be read has to fail"
)]

// It cannot stand in the crate: the product never links the readers of others.
#[expect(
    clippy::panic,
    unreachable_pub,
    reason = "a finding is a panic, and it is public where targets call it"
)]
#[path = "../../fuzz/src/differential.rs"]
mod differential;

use postern_protocol::testing::{Dice, fuzz};
use std::fs;
use std::path::PathBuf;

/// Runs a target over its corpus, and over each file cut short and with one bit turned.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut dice = Dice::new(target.len() as u64);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let content = fs::read(entry.expect("an entry").path()).expect("a file");
        run(&content);
        let cut = usize::try_from(dice.below(content.len() as u64 + 1)).expect("small");
        run(content.get(..cut).unwrap_or_default());
        let mut turned = content.clone();
        if let Some(byte) = turned.get_mut(cut) {
            *byte ^= 1 << dice.below(8);
        }
        run(&turned);
        count += 1;
    }
    assert!((1..=60).contains(&count), "{target} has {count} files");
}

#[test]
fn cbor_corpus_holds() {
    replay("cbor", fuzz::cbor);
}

#[test]
fn envelope_corpus_holds() {
    replay("envelope", fuzz::envelope);
}

#[test]
fn differential_corpus_holds() {
    replay("differential", differential::differential);
}

#[test]
fn frame_corpus_holds() {
    replay("frame", fuzz::frame);
}

#[test]
fn delta_corpus_holds() {
    replay("delta_apply", fuzz::delta_apply);
}

#[test]
fn snapshot_corpus_holds() {
    replay("snapshot", fuzz::snapshot);
}

#[test]
fn report_corpus_holds() {
    replay("report", fuzz::report);
}

#[test]
fn join_line_corpus_holds() {
    replay("join_line", fuzz::join_line);
}

#[test]
fn bundle_corpus_holds() {
    replay("bundle", fuzz::bundle);
}

#[test]
fn device_corpus_holds() {
    replay("device_engine", fuzz::device_engine);
}

#[test]
fn heartbeat_corpus_holds() {
    replay("heartbeat", fuzz::heartbeat);
}

#[test]
fn evidence_corpus_holds() {
    replay("evidence", fuzz::evidence);
}

#[test]
fn file_corpus_holds() {
    replay("file", fuzz::file);
}

#[test]
fn edit_corpus_holds() {
    replay("edit_between", fuzz::edit_between);
}

#[test]
fn trust_line_corpus_holds() {
    replay("trust_line", fuzz::trust_line);
}

#[test]
fn controller_corpus_holds() {
    replay("controller_engine", fuzz::controller_engine);
}

#[test]
fn writer_link_corpus_holds() {
    replay("writer_link", fuzz::writer_link);
}

#[test]
fn records_corpus_holds() {
    replay("records", fuzz::records);
}
