//! Runs the published transcripts in which time or order decides: freshness, intents, clones.
//!
//! Freshness goes through the watch that both roles use, intents through a device, clones through a
//! controller. A step that the vector does not explain is a failure.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot read its vectors has to fail"
)]

#[expect(dead_code, reason = "the other runners use what this one does not")]
mod support;

use postern_protocol::Reject;
use postern_protocol::controller::{self, Input};
use postern_protocol::device::{self, ActOutcome};
use postern_protocol::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope};
use postern_protocol::freshness::{FreshnessWatch, Heard, Hearing};
use postern_protocol::id::{Channel, DeviceName, Incarnation, Nonce, Plane, Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::message::{Heartbeat, IntentOutcome, Report};
use postern_protocol::revision::{BundleNumber, Epoch, Revision, Seq};
use postern_protocol::state::{Path, State, Value};
use postern_protocol::testing::{Lone, World, at};
use serde_json::{Value as Json, json};
use support::{bytes, files, text, uint};

const EPOCH: u64 = 100;

fn rows<'a>(json: &'a Json, member: &str) -> &'a [Json] {
    json[member].as_array().expect("a list")
}

fn flag(json: &Json, member: &str) -> bool {
    json[member].as_bool().expect("true or false")
}

/// Runs every step of every transcript of an operation. # Panics: with the step that differs.
fn replay(operation: &str, mut run: impl FnMut(&str, &[Json], &Json)) {
    let mut count = 0;
    for (_, document) in files() {
        if document["operation"] == operation {
            for test in rows(&document, "tests") {
                run(text(test, "name"), rows(test, "steps"), test);
                count += 1;
            }
        }
    }
    assert!(count > 0, "{operation} has no vector");
}

/// The reject of a step, if it must be refused.
fn wanted(step: &Json) -> Option<&str> {
    step.get("error").map(|_| text(step, "error"))
}

/// What a reader knows before it verifies a heartbeat of a transcript.
struct Reader {
    channel: Channel,
    incarnation: Incarnation,
    key: PublicKey,
    expected: Expected,
}

impl Reader {
    fn new(test: &Json) -> Self {
        let root = bytes(test, "root").try_into().expect("32 bytes");
        let incarnation = bytes(test, "incarnation").try_into().expect("16 bytes");
        let (role, plane) = match text(test, "role") {
            "writer" => (Role::Writer, Plane::Desired),
            "device" => (Role::Device, Plane::Actual),
            other => panic!("{other} writes no plane"),
        };
        Self {
            channel: Channel {
                root: Thumbprint::from_bytes(root),
                tenant: Tenant::parse(text(test, "tenant")).expect("a tenant"),
                device: DeviceName::parse(text(test, "device")).expect("a device"),
            },
            incarnation: Incarnation::from_bytes(incarnation),
            key: PublicKey::from_bytes(&bytes(test, "public_key")).expect("a key"),
            expected: Expected {
                role,
                plane: Some(plane),
            },
        }
    }

    fn hear(&self, cose: &[u8]) -> Result<Heard, Reject> {
        let binding = Binding::Device {
            channel: &self.channel,
            incarnation: self.incarnation,
        };
        let received = ReceivedEnvelope::parse_tagged(cose)?;
        let verified = received.verify(self.expected, binding, [&self.key], |_| false)?;
        let heartbeat = Heartbeat::decode(verified.payload())?;
        Ok(Heard {
            start: heartbeat.start,
            uptime_ms: heartbeat.uptime_ms,
            bundle: BundleNumber::new(verified.header().base.number()),
            echo: heartbeat.echo,
        })
    }
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST anchor only on the echo of an own nonce of this boot, at the moment when the
//# nonce was sent.
//= spec/freshness.md#heartbeat type=test
//# A later heartbeat MUST move the measured time of the writer only with the anchored start id
//# and a higher uptime.
#[test]
fn heartbeats_over_time_agree_with_their_vectors() {
    replay("freshness.watch", |name, steps, test| {
        let reader = Reader::new(test);
        let mut watch = FreshnessWatch::new(uint(test, "max_age_ms"));
        for (place, step) in steps.iter().enumerate() {
            let at_ms = uint(step, "at_ms");
            if step.get("ask").is_some() {
                let nonce = bytes(step, "ask").try_into().expect("16 bytes");
                watch.ask(Nonce::from_bytes(nonce), at_ms);
            }
            if step.get("heartbeat").is_some() {
                let heard = reader.hear(&bytes(step, "heartbeat"));
                let reject = heard.as_ref().err().map(|reject| reject.as_str());
                assert_eq!(reject, wanted(step), "{name} {place}");
                if let Ok(heard) = heard {
                    let word = match watch.hear(&heard, at_ms) {
                        Hearing::Anchored => "anchored",
                        Hearing::Later => "later",
                        Hearing::Unproven => "unproven",
                    };
                    assert_eq!(word, text(step, "hearing"), "{name} {place}");
                }
            }
            assert_eq!(watch.is_stale(at_ms), flag(step, "stale"), "{name} {place}");
        }
    });
}

/// The state of a step: its intents, and a value that makes every step a decision.
fn state_of(step: &Json, place: usize) -> State {
    let intents = step["intents"].as_object().expect("intents").iter();
    let mut entries: Vec<(Path, Value)> = intents
        .map(|(path, value)| {
            let value = support::value(value).expect("a value");
            (Path::parse(path).expect("a path"), value)
        })
        .collect();
    let place = u64::try_from(place).expect("small");
    entries.push((
        Path::parse("a/x").expect("a path"),
        Value::Int(place.into()),
    ));
    State::from_entries(entries).expect("a state")
}

/// Actions that began since `seen`, each ended now, by path.
fn take_actions(lone: &mut Lone, seen: &mut usize) -> Json {
    let mut actions: Vec<(Path, u64)> = Vec::new();
    while let Some((path, value, _)) = lone.node.acts.get(*seen).cloned() {
        *seen += 1;
        actions.push((path.clone(), value));
        let outcome = ActOutcome::Finished {
            status: 0,
            output: String::new(),
        };
        lone.input(device::Input::Acted {
            path,
            value,
            outcome,
        });
    }
    actions.sort();
    let shown = actions
        .iter()
        .map(|(path, value)| json!([path.as_str(), value]));
    Json::Array(shown.collect())
}

/// What was noted since `seen` but ends of actions, by path.
fn take_notes(lone: &Lone, seen: &mut usize) -> Json {
    let mut notes = Vec::new();
    for event in lone.node.events.iter().skip(*seen) {
        if let device::Event::IntentNoted { note } = event
            && !matches!(note.outcome, IntentOutcome::Finished { .. })
        {
            notes.push((note.path.clone(), note.value, note.outcome.number()));
        }
    }
    *seen = lone.node.events.len();
    notes.sort();
    let shown = notes.iter();
    let shown = shown.map(|(path, value, outcome)| json!([path.as_str(), value, outcome]));
    Json::Array(shown.collect())
}

//= spec/planes.md#intents type=test
//# A device MUST note a greater jump, a lower value and a value that is no unsigned integer once
//# for each path and value, and do nothing else.
//= spec/planes.md#intents type=test
//# A device MUST NOT keep marks of more than 64 paths; further ones have the outcome 6.
#[test]
fn intents_over_revisions_agree_with_their_vectors() {
    replay("intent.take", |name, steps, _| {
        let mut before = state_of(&steps[0], 0);
        let mut lone = Lone::holding(&before, at(EPOCH, 1));
        let (mut acts, mut events) = (0, 0);
        for (place, step) in steps.iter().enumerate() {
            if flag(step, "restart") {
                lone.restart();
                lone.connect();
                events = lone.node.events.len();
            }
            let after = state_of(step, place);
            if place > 0 {
                let base = u64::try_from(place).expect("small");
                let delta = lone.seal_step(&before, &after, base, at(EPOCH, base + 1));
                lone.serve(&[delta]);
            }
            lone.apply(0, "");
            let actions = take_actions(&mut lone, &mut acts);
            let notes = take_notes(&lone, &mut events);
            assert_eq!(actions, step["actions"], "{name} {place}");
            assert_eq!(notes, step["notes"], "{name} {place}");
            before = after;
        }
    });
}

/// Seals a report of the device; its content is told apart by what it received.
fn report(world: &World, step: &Json) -> Vec<u8> {
    let node = &world.devices[0];
    let reached = Revision::new(Epoch::new(1), Seq::new(uint(step, "content") + 1));
    let report = Report {
        received: reached,
        ..Report::default()
    };
    let draft = Draft {
        header: Header {
            kind: MessageKind::Report,
            epoch: Epoch::new(uint(step, "epoch")),
            seq: Seq::new(uint(step, "rseq")),
            base: Seq::new(0),
            digest: None,
        },
        payload: report.encode(),
    };
    let binding = Binding::Device {
        channel: &node.identity.channel,
        incarnation: node.identity.incarnation,
    };
    let sealed = draft.seal(Role::Device, binding, &node.signer);
    sealed.expect("it fits").into_bytes()
}

//= spec/lives.md#clones type=test
//# A controller MUST show two devices under one key when a report inside a live session has a
//# lower epoch than the one held, or its number and other content.
#[test]
fn reports_of_two_units_agree_with_their_vectors() {
    replay("clone.show", |name, steps, _| {
        let mut world = World::new(1);
        world.enrol("press-7");
        for (place, step) in steps.iter().enumerate() {
            let envelope = report(&world, step);
            let seen = world.controller.events.len();
            let channel = world.devices[0].identity.channel.id();
            world.control(Input::Received {
                channel,
                envelope: &envelope,
                is_live: flag(step, "live"),
            });
            let (mut outcome, mut reject) = ("duplicate", None);
            for event in &world.controller.events[seen..] {
                if let controller::Event::Rejected { reject: why, .. } = event {
                    (outcome, reject) = ("refuse", Some(why.as_str()));
                } else if matches!(event, controller::Event::Reported { .. }) {
                    outcome = "accept";
                }
            }
            assert_eq!(reject, wanted(step), "{name} {place}");
            assert_eq!(outcome, text(step, "outcome"), "{name} {place}");
            let is_cloned = world.member(0).is_cloned();
            assert_eq!(is_cloned, flag(step, "cloned"), "{name} {place}");
        }
    });
}
