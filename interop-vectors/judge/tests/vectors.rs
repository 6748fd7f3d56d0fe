//! Every published vector through the operation of its file: result, reject and each output.
//!
//! One test a topic. Beside what the judge answers stands what no request tells it: bytes that come out the
//! same again, tags of a published session. An operation without a test or without vectors is a failure, never
//! a skip.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read its vectors has to fail"
)]

#[path = "vectors/difference.rs"]
mod difference;
#[path = "vectors/published.rs"]
mod published;

use difference::difference;
use postern_judge::{operations, reply};
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, FrameKey, SessionFrame, frame_type};
use published::{array, bytes, files, flags, tests_of, text};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

const ACCEPTANCE: &[&str] = &["admission.compare", "report.accept", "revision.accept"];
const CLONES: &[&str] = &["clone.show"];
const CONVERSATIONS: &[&str] = &["engine.step"];
const ENCRYPTION: &[&str] = &["encryption.digest", "encryption.open", "plane-key.open"];
const ENROLMENT: &[&str] = &["enrol.answer", "enrol.request", "enrol.rotation"];
const ENVELOPES: &[&str] = &["sign1.verify"];
const EVIDENCE: &[&str] = &["evidence.verify"];
const FRAMES: &[&str] = &["bytes", "exchange.answer", "file.read", "frame.parse"];
const FRESHNESS: &[&str] = &["freshness.watch"];
const INTENTS: &[&str] = &["intent.take"];
const ITEMS: &[&str] = &["cbor.check"];
const NAMES: &[&str] = &["channel.id", "greeter.id", "key.thumbprint"];
const SESSIONS: &[&str] = &[
    "need.limit",
    "session.challenge",
    "session.derive",
    "session.down",
    "session.greeting",
    "session.hello",
    "session.stream",
    "session.switch",
    "session.up",
    "session.welcome",
];
const SIGNATURES: &[&str] = &["ed25519.verify", "esp256.verify"];
const STATES: &[&str] = &["body.check", "state.apply", "state.digest"];
const TRUST: &[&str] = &["bundle.accept", "line.read"];

/// The operations of every test below.
const ALL: &[&[&str]] = &[
    ACCEPTANCE,
    CLONES,
    CONVERSATIONS,
    ENCRYPTION,
    ENROLMENT,
    ENVELOPES,
    EVIDENCE,
    FRAMES,
    FRESHNESS,
    INTENTS,
    ITEMS,
    NAMES,
    SESSIONS,
    SIGNATURES,
    STATES,
    TRUST,
];

fn ask(operation: &str, test: &Json) -> Json {
    let mut request = test.clone();
    request["op"] = operation.into();
    reply(&request)
}

/// Asks every vector of some operations, and `more` of what was answered.
///
/// # Panics
/// With every vector that differs, and for an operation without one.
fn check_more(operations: &[&str], more: impl Fn(&Json, &Json) -> Result<(), String>) {
    let mut failures = Vec::new();
    for operation in operations {
        let tests = tests_of(operation);
        assert!(!tests.is_empty(), "{operation} has no vector");
        for test in tests {
            let given = ask(operation, &test);
            let agrees = difference(&test, &given).and_then(|()| more(&test, &given));
            if let Err(why) = agrees {
                failures.push(format!("{operation} {}: {why:.1500}", text(&test, "name")));
            }
        }
    }
    let count = failures.len();
    assert!(
        failures.is_empty(),
        "{}\n{count} differ",
        failures.join("\n")
    );
}

fn check(operations: &[&str]) {
    check_more(operations, |_, _| Ok(()));
}

fn is_valid(given: &Json) -> bool {
    given["result"] == "valid"
}

#[test]
fn every_operation_has_vectors_and_a_test() {
    let files = files();
    let published: BTreeSet<&str> = files.iter().map(|file| text(file, "operation")).collect();
    let tested: Vec<&str> = ALL.concat();
    let once: BTreeSet<&str> = tested.iter().copied().collect();
    assert_eq!(published, once);
    assert_eq!(once.len(), tested.len(), "one test each");
    // The key check under another name.
    let known: BTreeSet<&str> = operations().filter(|name| *name != "key.check").collect();
    assert_eq!(published, known);
}

#[test]
fn items_agree_with_their_vectors() {
    check(ITEMS);
}

#[test]
fn keys_and_ids_agree_with_their_vectors() {
    check(NAMES);
}

//= spec/postern.md#keys type=test
//# A verifier MUST NOT accept a signature because a batch that contains it verified.
//= spec/postern.md#keys type=test
//# A verifier MUST use the strict, cofactorless verification that refuses a non-canonical S and a
//# small-order R.
//= spec/postern.md#keys type=test
//# An ESP256 signature MUST be r ‖ s, 32 bytes each, over SHA-256, with r and s in 1..n-1; a high s
//# counts.
#[test]
fn signatures_agree_with_their_vectors() {
    check(SIGNATURES);
}

//= spec/encryption.md#encrypted-snapshot type=test
//# All rows of a table MUST have one form, else `shape`.
//= spec/encryption.md#encrypted-snapshot type=test
//# A snapshot with a key generation MUST have no readable row, and one without it no
//# encrypted row, else `shape`.
#[test]
fn envelopes_agree_with_their_vectors_and_seal_the_same_again() {
    check_more(ENVELOPES, |test, given| {
        if !is_valid(given) {
            return Ok(());
        }
        let (mut wanted, mut again) = (bytes(test, "cose"), bytes(given, "sealed"));
        assert_eq!(wanted.remove(0), 0xd2, "tag 18");
        if flags(test).contains(&"other-signature") {
            // All but the signature, which ends both.
            let [wanted_end, again_end] = [&wanted, &again].map(|it| it.len() - 64);
            wanted.truncate(wanted_end);
            again.truncate(again_end);
        }
        let is_same = wanted == again;
        is_same.then_some(()).ok_or("sealed otherwise".into())
    });
}

#[test]
fn states_agree_with_their_vectors() {
    check_more(STATES, |test, given| {
        let Some(after) = test.get("after").filter(|_| is_valid(given)) else {
            return Ok(());
        };
        let after = ask("state.digest", &json!({"state": after}));
        let members = ["digest", "sections"];
        let is_same = members.iter().all(|name| after[name] == given[name]);
        is_same.then_some(()).ok_or(format!("after is {after}"))
    });
}

//= spec/encryption.md#keyed-digest type=test
//# The digest of a section body and the root digest of an encrypted plane MUST be HMAC-SHA256
//# (RFC 2104) under the digest key over the bytes that #digest hashes.
//= spec/encryption.md#encrypted-snapshot type=test
//# A reader MUST check a stored body against the second digest of its row, decrypt it, and check
//# the body against the first, else `body-mismatch`.
#[test]
fn encryption_agrees_with_its_vectors() {
    check(ENCRYPTION);
}

/// The keys of the session that every published session frame belongs to.
fn session_keys() -> [FrameKey; 2] {
    let tests = tests_of("session.up");
    let first = tests.first().expect("a session");
    ["key_up", "key_down"].map(|name| FrameKey::from_bytes(array(first, name)))
}

//= spec/postern.md#sessions type=test
//# The tag MUST be the first 8 bytes of HMAC-SHA256(key, all bytes of the frame before the tag),
//# with key_up for types that go up and key_down for types that go down.
//= spec/postern.md#frames type=test
//# An envelope in a frame MUST be an array of a byte string, a map and two byte strings, else
//# `shape`.
//= spec/files.md#file-binding type=test
//# A reader of a file MUST refuse a frame of another type with `frame-direction`, or
//# `frame-unknown` where no frame has it, and read nothing behind it.
#[test]
fn frames_agree_with_their_vectors_and_bear_the_tag_of_their_session() {
    let [key_up, key_down] = session_keys();
    check_more(FRAMES, |test, given| {
        let is_frame = test.get("direction").is_some() || test["form"] == "frame";
        if !is_valid(given) || !is_frame {
            return Ok(());
        }
        let input = bytes(test, "input");
        let kind = frame_type(&input).expect("it was parsed");
        if !kind.is_in_session() {
            return Ok(());
        }
        let key = match kind.direction() {
            Direction::Up => &key_up,
            Direction::Down | Direction::File => &key_down,
        };
        let opened = SessionFrame::split(&input, kind.direction()).and_then(|it| it.verify(key));
        opened.map(|_| ()).map_err(|reject| reject.to_string())
    });
}

//= spec/postern.md#hello type=test
//# Both ends MUST verify the other's signature and recompute the transcript, else
//# `digest-mismatch`.
//= spec/postern.md#hello type=test
//# A device MUST refuse a welcome that names an age above 86400 s with `shape`.
//= spec/postern.md#stream type=test
//# A device MUST refuse an answer whose index is not the next one with `stream-order`.
#[test]
fn sessions_agree_with_their_vectors() {
    check(SESSIONS);
}

//= spec/lives.md#rotation type=test
//# A controller MUST check a next key as at enrolment and persist it before it answers.
#[test]
fn enrolments_agree_with_their_vectors() {
    check(ENROLMENT);
}

#[test]
fn bundles_and_lines_agree_with_their_vectors() {
    check(TRUST);
}

#[test]
fn acceptance_agrees_with_its_vectors() {
    check(ACCEPTANCE);
}

//= spec/lives.md#evidence type=test
//# A receiver MUST verify an envelope in evidence like any other before it believes it.
//= spec/lives.md#evidence type=test
//# The message id of an envelope in evidence MUST be the one beside it, else `digest-mismatch`.
#[test]
fn evidence_agrees_with_its_vectors() {
    check(EVIDENCE);
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST anchor only on the echo of an own nonce of this boot, at the moment when the
//# nonce was sent.
//= spec/freshness.md#heartbeat type=test
//# A later heartbeat MUST move the measured time of the writer only with the anchored start id
//# and a higher uptime.
#[test]
fn heartbeats_over_time_agree_with_their_vectors() {
    check(FRESHNESS);
}

//= spec/planes.md#intents type=test
//# A device MUST note a greater jump, a lower value and a value that is no unsigned integer once
//# for each path and value, and do nothing else.
//= spec/planes.md#intents type=test
//# A device MUST NOT keep marks of more than 64 paths; further ones have the outcome 6.
#[test]
fn intents_over_revisions_agree_with_their_vectors() {
    check(INTENTS);
}

//= spec/lives.md#clones type=test
//# A controller MUST show two devices under one key when a report inside a live session has a
//# lower epoch than the one held, or its number and other content.
#[test]
fn reports_of_two_units_agree_with_their_vectors() {
    check(CLONES);
}

#[test]
fn conversations_agree_with_their_vectors() {
    check(CONVERSATIONS);
}

#[test]
fn rejects_of_the_vectors_are_those_of_the_registry() {
    let mut seen = BTreeSet::new();
    for file in files() {
        published::collect_errors(file, &mut seen);
    }
    let known = Reject::ALL.iter().map(|reject| reject.as_str().to_owned());
    assert_eq!(seen, known.collect());
}
