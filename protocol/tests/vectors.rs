//! Runs the published vectors of the stateless operations against this implementation.
//!
//! The vectors of frames, sessions and enrolment run in `vectors_session.rs`, transcripts over
//! time in `vectors_time.rs`. An operation that
//! nobody knows, a row without its fields or an empty folder is a failure, never a skip.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot read its vectors has to fail"
)]

mod support;

use postern_protocol::Reject;
use postern_protocol::cbor;
use postern_protocol::encryption::Digester;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::frame_type;
use postern_protocol::id::{Channel, DeviceName, Digest, MessageId, Tenant, Thumbprint};
use postern_protocol::key::{Algorithm, PublicKey};
use postern_protocol::message::{ReportHead, accept_report};
use postern_protocol::revision::{
    Arrival, Epoch, Generation, Head, Lineage, LineageEntry, Outcome, Revision, Seq, accept,
};
use postern_protocol::state::{Delta, Path, SectionName, State, Value, check_body};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use support::{bytes, encryption, files, hex_of, lives, relays, sign1, text, uint};

/// Operations that another runner covers; `engine.step` stands in `interop-vectors/judge`.
const ELSEWHERE: &[&str] = &[
    "bundle.accept",
    "clone.show",
    "engine.step",
    "enrol.answer",
    "enrol.request",
    "exchange.answer",
    "frame.parse",
    "freshness.watch",
    "intent.take",
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

/// What one vector gives: its outputs as JSON members, or a reject.
type Given = Result<Vec<(&'static str, Json)>, Reject>;

fn run(operation: &str, test: &Json) -> Option<Given> {
    Some(match operation {
        "cbor.check" => cbor::check(&bytes(test, "input")).map(|()| vec![]),
        "key.thumbprint" => thumbprint(test),
        "channel.id" => channel(test),
        "ed25519.verify" => verify(test, Algorithm::Ed25519),
        "esp256.verify" => verify(test, Algorithm::Esp256),
        "sign1.verify" => sign1::verify(test),
        "evidence.verify" => lives::evidence(test),
        "enrol.rotation" => lives::rotation(test),
        "file.read" => lives::file(test),
        "greeter.id" => relays::greeter(test),
        "admission.compare" => relays::admission(test),
        "line.read" => relays::line(test),
        "state.digest" => digest(test),
        "encryption.digest" => keyed_digest(test),
        "encryption.open" => encryption::open(test),
        "plane-key.open" => encryption::plane_key(test),
        "state.apply" => apply(test),
        "body.check" => body(test),
        "revision.accept" => acceptance(test),
        "report.accept" => report_order(test),
        "bytes" => size(test),
        _ => return None,
    })
}

fn thumbprint(test: &Json) -> Given {
    let key = PublicKey::from_bytes(&bytes(test, "public_key"))?;
    let mut writer = cbor::Writer::new();
    key.encode(&mut writer);
    Ok(vec![
        ("cose_key", hex_of(writer.as_bytes())),
        ("thumbprint", hex_of(key.thumbprint().as_bytes())),
        ("kid", hex_of(key.key_id().as_bytes())),
    ])
}

fn channel(test: &Json) -> Given {
    let root = bytes(test, "root").try_into().expect("32 bytes");
    let channel = Channel {
        root: Thumbprint::from_bytes(root),
        tenant: Tenant::parse(text(test, "tenant"))?,
        device: DeviceName::parse(text(test, "device"))?,
    };
    Ok(vec![("channel_id", hex_of(channel.id().as_bytes()))])
}

//= spec/postern.md#keys type=test
//# A verifier MUST NOT accept a signature because a batch that contains it verified.
//= spec/postern.md#keys type=test
//# A verifier MUST use the strict, cofactorless verification that refuses a non-canonical S and a
//# small-order R.
//= spec/postern.md#keys type=test
//# An ESP256 signature MUST be r ‖ s, 32 bytes each, over SHA-256, with r and s in 1..n-1; a high s
//# counts.
fn verify(test: &Json, algorithm: Algorithm) -> Given {
    let key = PublicKey::from_bytes(&bytes(test, "public_key"))?;
    if key.algorithm() != algorithm {
        return Err(Reject::KeyRefused);
    }
    key.verify(&bytes(test, "message"), &bytes(test, "signature"))
        .map(|()| vec![])
}

/// Builds the state of a test: `state` names values, `fill` describes a large one.
fn state_of(test: &Json, member: &str) -> Result<State, Reject> {
    if let Some(fill) = test.get("fill").filter(|_| test.get(member).is_none()) {
        let (sections, keys) = (uint(fill, "sections"), uint(fill, "keys"));
        let size = usize::try_from(uint(fill, "bytes")).expect("a size");
        let entries = (0..sections).flat_map(|section| {
            (0..keys).map(move |key| {
                let path = Path::parse(&format!("s{section:04}/k{key:04}")).expect("a path");
                (path, Value::Bytes(vec![0x5a; size]))
            })
        });
        return State::from_entries(entries);
    }
    let entries: Result<Vec<_>, Reject> = test[member]
        .as_object()
        .expect("a state")
        .iter()
        .map(|(path, value)| Ok((Path::parse(path)?, support::value(value)?)))
        .collect();
    State::from_entries(entries?)
}

fn described(state: &State) -> Vec<(&'static str, Json)> {
    let sections = state
        .section_digests()
        .map(|(name, digest)| (name.to_string(), hex_of(digest.as_bytes())));
    vec![
        ("digest", hex_of(state.root().as_bytes())),
        ("sections", Json::Object(sections.collect())),
    ]
}

//= spec/encryption.md#keyed-digest type=test
//# The digest of a section body and the root digest of an encrypted plane MUST be HMAC-SHA256
//# (RFC 2104) under the digest key over the bytes that #digest hashes.
fn keyed_digest(test: &Json) -> Given {
    let digester = Digester::Keyed(encryption::digest_key(test));
    let state = state_of(test, "state")?.under(digester)?;
    Ok(described(&state))
}

fn digest(test: &Json) -> Given {
    state_of(test, "state").map(|state| described(&state))
}

fn apply(test: &Json) -> Given {
    let expected = Digest::from_bytes(bytes(test, "digest").try_into().expect("32 bytes"));
    let before = state_of(test, "state").expect("a base");
    let delta = Delta::decode(&bytes(test, "delta"))?;
    let after = before.apply(&delta, &expected)?;
    assert_eq!(after, state_of(test, "after").expect("a result"));
    Ok(described(&after))
}

fn body(test: &Json) -> Given {
    let name = SectionName::parse(text(test, "section"))?;
    let digest = Digest::from_bytes(bytes(test, "digest").try_into().expect("32 bytes"));
    check_body(&name, &digest, &bytes(test, "body")).map(|()| vec![])
}

fn head(json: &Json) -> Head {
    Head {
        generation: Generation::new(
            json.get("generation")
                .map_or(1, |_| uint(json, "generation")),
        ),
        revision: Revision::new(Epoch::new(uint(json, "epoch")), Seq::new(uint(json, "seq"))),
        digest: Digest::from_bytes(bytes(json, "digest").try_into().expect("32 bytes")),
    }
}

fn acceptance(test: &Json) -> Given {
    let stored = test.get("stored").filter(|stored| !stored.is_null());
    let incoming = head(&test["incoming"]);
    let entries = test["incoming"]["lineage"]
        .as_array()
        .map_or(vec![], |rows| {
            let entry = |row: &Json| LineageEntry {
                last: Revision::new(
                    Epoch::new(row[0].as_u64().expect("an epoch")),
                    Seq::new(row[1].as_u64().expect("a seq")),
                ),
                digest: Digest::from_bytes(
                    support::unhex(row[2].as_str().expect("hex"))
                        .try_into()
                        .expect("32 bytes"),
                ),
            };
            rows.iter().map(entry).collect()
        });
    let lineage = Lineage::new(entries, incoming.revision.epoch)?;
    let arrival = match text(&test["incoming"], "kind") {
        "delta" => Arrival::Delta {
            base: Seq::new(uint(&test["incoming"], "base")),
        },
        "snapshot" => Arrival::Snapshot { lineage: &lineage },
        other => panic!("{other} is no kind"),
    };
    let stored = stored.map(head);
    let is_frozen = test["frozen"].as_bool().expect("true or false");
    let frozen = stored
        .map(|stored| stored.revision.epoch)
        .filter(|_| is_frozen);
    outcome(test, accept(stored.as_ref(), frozen, &incoming, arrival))
}

fn outcome(test: &Json, outcome: Outcome) -> Given {
    let (word, reject) = match outcome {
        Outcome::Accept => ("accept", None),
        Outcome::Apply => ("apply", None),
        Outcome::Duplicate => ("duplicate", None),
        Outcome::Older => ("older", None),
        Outcome::Need(reject) => ("need", Some(reject)),
        Outcome::Refuse(reject) => ("refuse", Some(reject)),
    };
    assert_eq!(word, text(test, "outcome"), "{}", text(test, "name"));
    reject.map_or(Ok(vec![]), Err)
}

fn report_order(test: &Json) -> Given {
    let head = |json: &Json| ReportHead {
        number: Revision::new(
            Epoch::new(uint(json, "epoch")),
            Seq::new(uint(json, "rseq")),
        ),
        message_id: MessageId::from_bytes(bytes(json, "message_id").try_into().expect("32")),
    };
    let stored = test.get("stored").filter(|stored| !stored.is_null());
    let stored = stored.map(head);
    outcome(
        test,
        accept_report(stored.as_ref(), &head(&test["incoming"])),
    )
}

fn size(test: &Json) -> Given {
    let input = bytes(test, "input");
    match text(test, "form") {
        "envelope" => ReceivedEnvelope::parse(&input).map(|_| ())?,
        "frame" => frame_type(&input).map(|_| ())?,
        other => panic!("{other} is no form"),
    }
    assert!(input.len() as u64 <= uint(test, "budget"));
    Ok(vec![("bytes", input.len().into())])
}

/// Compares what was given with what the vector says; returns a complaint.
fn compare(test: &Json, given: &Given) -> Option<String> {
    let expected = test.get("error").and_then(Json::as_str);
    match (given, expected) {
        (Ok(outputs), None) => outputs
            .iter()
            .find(|(member, output)| test.get(member).is_some_and(|known| known != output))
            .map(|(member, output)| format!("{member} is {output}")),
        (Err(reject), Some(expected)) if reject.as_str() == expected => None,
        (Ok(_), Some(expected)) => Some(format!("accepted, expected {expected}")),
        (Err(reject), _) => Some(format!("{reject}, expected {expected:?}")),
    }
}

#[test]
fn vectors_of_stateless_operations_agree() {
    let mut complaints = Vec::new();
    let (mut ran, mut unknown) = (0, BTreeSet::new());
    for (file, document) in files() {
        let operation = text(&document, "operation").to_owned();
        if ELSEWHERE.contains(&operation.as_str()) {
            continue;
        }
        for test in document["tests"].as_array().expect("tests") {
            let Some(given) = run(&operation, test) else {
                unknown.insert(format!("{file}: {operation}"));
                break;
            };
            ran += 1;
            if let Some(complaint) = compare(test, &given) {
                complaints.push(format!("{file} {}: {complaint}", text(test, "name")));
            }
        }
    }
    println!("{ran} vectors ran");
    assert!(ran > 0, "no vectors were found");
    assert!(unknown.is_empty(), "unknown operations: {unknown:?}");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_reject_has_a_vector() {
    let mut seen = BTreeSet::new();
    for (_, document) in files() {
        support::collect_errors(&document, &mut seen);
    }
    let missing: Vec<_> = Reject::ALL
        .iter()
        .map(|reject| reject.as_str())
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(missing.is_empty(), "rejects without a vector: {missing:?}");
}

#[test]
fn errors_of_vectors_are_all_in_the_registry() {
    let mut seen = BTreeSet::new();
    for (_, document) in files() {
        support::collect_errors(&document, &mut seen);
    }
    let is_known = |name: &&String| Reject::ALL.iter().all(|reject| reject.as_str() != *name);
    let unknown: Vec<_> = seen.iter().filter(is_known).collect();
    assert!(
        unknown.is_empty(),
        "errors outside the registry: {unknown:?}"
    );
}
