//! The operations in which time or order decides: freshness and intents.
//!
//! Freshness goes through the watch that both roles use, intents through a device that reads files.

use crate::engine::{Draws, Node};
use crate::published::{self, signer};
use crate::request::{
    Fault, Given, Outputs, array, bytes, flag, key, member, place, present, rows, scenario, text,
    uint, wrong,
};
use crate::typed;
use postern_protocol::Reject;
use postern_protocol::device::{ActOutcome, Applied, Event, Identity, Input};
use postern_protocol::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope};
use postern_protocol::frame::{PlainFrame, body_frames};
use postern_protocol::freshness::{FreshnessWatch, Heard, Hearing};
use postern_protocol::id::{Digest, Incarnation, Nonce, Plane};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::message::{Heartbeat, IntentOutcome, Snapshot};
use postern_protocol::revision::{BundleNumber, Epoch, Lineage, Seq};
use postern_protocol::state::{Path, State, Value};
use serde_json::{Value as Json, json};

/// The epoch of the revisions that intents ride on. Arbitrary.
const EPOCH: u64 = 100;

fn hear(request: &Json, key: &PublicKey, cose: &[u8]) -> Result<Heard, Fault> {
    let (channel, incarnation) = place(request)?;
    let (role, plane) = match text(request, "role")? {
        "writer" => (Role::Writer, Plane::Desired),
        "device" => (Role::Device, Plane::Actual),
        _ => return Err(wrong("the role writes no plane")),
    };
    let binding = Binding::Device {
        channel: &channel,
        incarnation,
    };
    let expected = Expected {
        role,
        plane: Some(plane),
    };
    let received = ReceivedEnvelope::parse_tagged(cose)?;
    let verified = received.verify(expected, binding, [key], |_| false)?;
    let heartbeat = Heartbeat::decode(verified.payload())?;
    Ok(Heard {
        start: heartbeat.start,
        uptime_ms: heartbeat.uptime_ms,
        bundle: BundleNumber::new(verified.header().base.number()),
        echo: heartbeat.echo,
    })
}

/// Heartbeats over time.
pub(crate) fn freshness(request: &Json) -> Given {
    let key = key(request, "public_key")?;
    let mut watch = FreshnessWatch::new(uint(request, "max_age_ms")?);
    scenario(request, |step| {
        let at_ms = uint(step, "at_ms")?;
        if step.get("ask").is_some() {
            watch.ask(Nonce::from_bytes(array(step, "ask")?), at_ms);
        }
        let mut outputs = Outputs::new();
        let mut refusal = None;
        if step.get("heartbeat").is_some() {
            match hear(request, &key, &bytes(step, "heartbeat")?) {
                Ok(heard) => {
                    let word = match watch.hear(&heard, at_ms) {
                        Hearing::Anchored => "anchored",
                        Hearing::Later => "later",
                        Hearing::Unproven => "unproven",
                    };
                    outputs.insert("hearing".into(), word.into());
                }
                Err(Fault::Refused(reject)) => refusal = Some(reject),
                Err(fault) => return Err(fault),
            }
        }
        outputs.insert("stale".into(), watch.is_stale(at_ms).into());
        match refusal {
            Some(reject) => Err(Fault::RefusedWith(reject, outputs)),
            None => Ok(outputs),
        }
    })
}

/// A device of the published keys that is started and trusts bundle 1.
fn device() -> Result<Node, Fault> {
    let (trust, _) = published::trust()?;
    let identity = Identity {
        channel: published::channel()?,
        incarnation: Incarnation::from_bytes(published::INCARNATION),
    };
    let mut node = Node::new(
        identity,
        signer("device-a"),
        trust,
        Draws::new(vec![], vec![]),
    )?;
    node.input(Input::Start);
    Ok(node)
}

/// Gives a signed decision to the device as a file, and lets its application end well.
fn decide(node: &mut Node, header: Header, payload: Vec<u8>, bodies: &State) -> Result<(), Fault> {
    let identity = node.identity().clone();
    let binding = Binding::Device {
        channel: &identity.channel,
        incarnation: identity.incarnation,
    };
    let sealed = Draft { header, payload }.seal(Role::Writer, binding, &signer("writer"))?;
    let channel = identity.channel.id();
    let posted = PlainFrame::Posted {
        channel,
        plane: Some(Plane::Desired),
        envelope: sealed.as_bytes(),
    };
    node.input(Input::Filed {
        frame: &posted.encode()?,
    });
    for frame in body_frames(channel, Plane::Desired, bodies.bodies())? {
        node.input(Input::Filed { frame: &frame });
    }
    while let Some(revision) = node.outbox.applies.pop() {
        node.outbox.applies.clear();
        node.input(Input::Applied(Applied {
            revision,
            status: 0,
            output: String::new(),
        }));
    }
    Ok(())
}

fn header(kind: MessageKind, seq: u64, digest: Digest) -> Header {
    let base = if kind == MessageKind::Delta {
        seq.saturating_sub(1)
    } else {
        0
    };
    Header {
        kind,
        epoch: Epoch::new(EPOCH),
        seq: Seq::new(seq),
        base: Seq::new(base),
        digest: Some(digest),
    }
}

/// The state of a step: its intents, and a value that makes every step a decision.
fn decided(step: &Json, place: u64) -> Result<State, Fault> {
    let intents = member(step, "intents")?.as_object();
    let intents = intents.ok_or_else(|| wrong("intents is no object"))?;
    let mut entries = Vec::new();
    for (path, value) in intents {
        entries.push((Path::parse(path)?, typed::value(value)?));
    }
    entries.push((Path::parse("a/x")?, Value::Int(place.into())));
    Ok(State::from_entries(entries)?)
}

/// An application that repeats nothing: what was under way has ended with the process.
fn interrupt(node: &mut Node) {
    while let Some((path, value)) = node.outbox.acts.pop() {
        let outcome = ActOutcome::Interrupted;
        node.input(Input::Acted {
            path,
            value,
            outcome,
        });
    }
}

/// The intents that the actual plane shows.
fn shown_intents(node: &Node) -> Json {
    let mut shown = Outputs::new();
    for (path, value) in node.engine.actual().section("intent") {
        if let Value::Int(integer) = value {
            let number = u64::try_from(integer.number()).ok();
            shown.insert(path.as_str().to_owned(), number.into());
        }
    }
    shown.into()
}

/// Actions that began, by path; each ends now, unless the process dies first.
fn take_actions(node: &mut Node, are_ended: bool) -> Json {
    let mut actions: Vec<(Path, u64)> = Vec::new();
    while let Some((path, value)) = node.outbox.acts.pop() {
        actions.push((path.clone(), value));
        if !are_ended {
            continue;
        }
        let outcome = ActOutcome::Finished {
            status: 0,
            output: String::new(),
        };
        node.input(Input::Acted {
            path,
            value,
            outcome,
        });
    }
    actions.sort();
    actions
        .iter()
        .map(|(path, value)| json!([path.as_str(), value]))
        .collect()
}

/// What was noted but ends of actions, by path.
fn take_notes(node: &mut Node) -> Json {
    let mut notes = Vec::new();
    for event in node.outbox.events.drain(..) {
        if let Event::IntentNoted { note } = event
            && !matches!(note.outcome, IntentOutcome::Finished { .. })
        {
            notes.push((note.path.clone(), note.value, note.outcome.number()));
        }
    }
    notes.sort();
    let shown = notes.iter();
    shown
        .map(|(path, value, outcome)| json!([path.as_str(), value, outcome]))
        .collect()
}

/// Intents over revisions, the first one a snapshot.
pub(crate) fn intents(request: &Json) -> Given {
    let first = rows(request, "steps")?.first();
    let mut before = decided(first.ok_or_else(|| wrong("no step"))?, 0)?;
    let mut node = device()?;
    let mut place = 0_u64;
    scenario(request, |step| {
        if flag(step, "restart")? {
            node.restart()?;
            node.outbox.events.clear();
            interrupt(&mut node);
        }
        let after = decided(step, place)?;
        if place == 0 {
            let payload = Snapshot {
                table: after.section_table(),
                lineage: Lineage::default(),
            };
            let header = header(MessageKind::Snapshot, 1, *after.root());
            decide(&mut node, header, payload.encode(), &after)?;
        } else {
            let delta = before.diff(&after).ok_or(Reject::Shape)?;
            let header = header(MessageKind::Delta, place.saturating_add(1), *after.root());
            decide(&mut node, header, delta.encode(), &State::default())?;
        }
        let are_ended = present(step, "ends").is_none() || flag(step, "ends")?;
        let actions = take_actions(&mut node, are_ended);
        let notes = take_notes(&mut node);
        before = after;
        place += 1;
        Ok(Outputs::from_iter([
            ("actions".to_owned(), actions),
            ("notes".to_owned(), notes),
            ("shown".to_owned(), shown_intents(&node)),
        ]))
    })
}
