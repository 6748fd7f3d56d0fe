//! Bodies of the fuzz targets: plain functions over bytes, also called by ordinary tests.
//!
//! Each states what must hold for every input, most of all: what is accepted is written back as
//! the very same bytes. They refuse to return anything: a finding is a panic.

mod controller;
mod records;
mod script;
mod writer_link;

pub use controller::controller_engine;
pub use records::records;
pub use writer_link::writer_link;

use super::{Lone, Signing, TestKeys, at, numbers};
use crate::Reject;
use crate::cbor::{self, Kind, Reader, Writer};
use crate::envelope::{Draft, ReceivedEnvelope, TAG_SIGN1, skip_envelope};
use crate::frame::{
    Answer, Direction, DownFrame, FileFrames, FrameKey, FrameType, Item, PlainFrame, SessionFrame,
    seal_down, seal_up,
};
use crate::id::{Digest, Plane};
use crate::join_line::JoinLine;
use crate::message::{Evidence, Heartbeat, Report, Snapshot};
use crate::revision::Epoch;
use crate::state::{Change, DeltaView, Edit, Path, State, Value};
use crate::trust::{BundleContent, Trust};
use crate::trust_line::{RelayLine, TrustLine};
use alloc::string::ToString as _;
use alloc::vec::Vec;
use script::steps;

/// Accepted CBOR is written back as the same bytes.
pub fn cbor(input: &[u8]) {
    if cbor::check(input).is_err() {
        return;
    }
    let mut reader = Reader::new(input);
    let mut writer = Writer::new();
    let copied = copy(&mut reader, &mut writer);
    assert_eq!(copied, Ok(()), "what was checked can be read");
    assert_eq!(writer.as_bytes(), input, "one meaning, one encoding");
}

fn copy(reader: &mut Reader<'_>, writer: &mut Writer) -> Result<(), Reject> {
    match reader.peek()? {
        Kind::Uint => writer.uint(reader.uint()?),
        Kind::Nint => {
            let value = i64::try_from(reader.int()?).map_err(|_| Reject::CborIntegerRange)?;
            writer.int(value)
        }
        Kind::Bytes => writer.bytes(reader.bytes()?),
        Kind::Text => writer.text(reader.text()?),
        Kind::Array => {
            let length = reader.array()?;
            writer.array(length);
            return (0..length).try_for_each(|_| copy(reader, writer));
        }
        Kind::Map => {
            let entries = reader.map()?;
            writer.map(entries);
            return (0..entries * 2).try_for_each(|_| copy(reader, writer));
        }
        Kind::Bool => writer.bool(reader.bool()?),
        Kind::Null => {
            reader.null()?;
            writer.null()
        }
        Kind::Float => writer.float(reader.float()?),
        Kind::Refused => return Err(Reject::CborSimple),
    };
    Ok(())
}

/// An envelope that is taken is strict CBOR, with or without its tag, and seals again.
pub fn envelope(input: &[u8]) {
    let Ok(received) = ReceivedEnvelope::parse(input) else {
        return;
    };
    assert_eq!(cbor::check(input), Ok(()));
    let mut reader = Reader::new(input);
    assert_eq!(skip_envelope(&mut reader), Ok(input));
    let mut tagged = Vec::from([TAG_SIGN1]);
    tagged.extend_from_slice(input);
    let again = ReceivedEnvelope::parse_tagged(&tagged).map(|again| *again.unverified_header());
    assert_eq!(again, Ok(*received.unverified_header()));
    let draft = Draft {
        header: *received.unverified_header(),
        payload: received.unverified_payload().to_vec(),
    };
    let keys = TestKeys::new();
    let channel = keys.channel("press-7");
    let binding = crate::envelope::Binding::Device {
        channel: &channel,
        incarnation: TestKeys::incarnation(),
    };
    for (role, _) in draft.header.kind.rows() {
        let Ok(sealed) = draft.seal(*role, binding, &keys.writer) else {
            continue;
        };
        let header = ReceivedEnvelope::parse(sealed.as_bytes()).map(|it| *it.unverified_header());
        assert_eq!(header, Ok(draft.header));
    }
}

/// A frame that is read is written back as the same bytes, unless a hint in it was clamped.
pub fn frame(input: &[u8]) {
    for direction in [Direction::Up, Direction::Down, Direction::File] {
        if let Ok(frame) = PlainFrame::decode(input, direction) {
            let bytes = frame.encode().unwrap_or_default();
            if frame.frame_type() != FrameType::Refused {
                assert_eq!(bytes, input, "one meaning, one encoding");
            }
            assert_eq!(PlainFrame::decode(&bytes, direction), Ok(frame));
        }
        if let Ok(split) = SessionFrame::split(input, direction) {
            session_frame(input, &split);
        }
    }
}

fn session_frame(input: &[u8], split: &SessionFrame<'_>) {
    let Ok(body) = split.danger_unverified_body() else {
        return;
    };
    let key = FrameKey::from_bytes([7; 32]);
    let reopen = |sealed: &[u8], direction| {
        let counter = SessionFrame::split(sealed, direction)
            .and_then(|again| again.verify(&key).map(|body| body.counter()));
        assert_eq!(counter, Ok(body.counter()));
    };
    if let Ok(up) = body.decode_up() {
        let sealed = seal_up(&key, split.session(), body.counter(), &up).unwrap_or_default();
        reopen(&sealed, Direction::Up);
        assert_eq!(without_tag(&sealed), without_tag(input));
    }
    if let Ok(down) = body.decode_down() {
        let sealed = seal_down(&key, split.session(), body.counter(), &down).unwrap_or_default();
        reopen(&sealed, Direction::Down);
        let again = SessionFrame::split(&sealed, Direction::Down)
            .and_then(|again| again.danger_unverified_body());
        assert_eq!(again.and_then(|body| body.decode_down()), Ok(down));
    }
}

fn without_tag(frame: &[u8]) -> &[u8] {
    let end = frame.len().saturating_sub(8);
    frame.get(..end).unwrap_or_default()
}

/// A delta is one encoding; applying it agrees with making the same changes by hand.
pub fn delta_apply(input: &[u8]) {
    let Ok(view) = DeltaView::decode(input) else {
        return;
    };
    let Ok(delta) = view.to_delta() else {
        unreachable!("a view was checked")
    };
    assert_eq!(delta.encode(), input);
    let base = texts_and_numbers();
    let removals = delta.remove().iter().cloned().map(Change::Remove);
    let sets = delta.set().iter().cloned();
    // An edit by hand is a set of what it makes.
    let edits: Result<Vec<_>, Reject> = delta
        .edit()
        .iter()
        .map(|(path, edit)| {
            let before = base.value(path.as_str()).ok_or(Reject::EditBase)?;
            Ok((path.clone(), edit.as_view().apply(before)?))
        })
        .collect();
    let by_hand = edits.and_then(|edits| {
        let sets = sets.chain(edits);
        let changes: Vec<_> = removals
            .chain(sets.map(|(path, value)| Change::Set(path, value)))
            .collect();
        base.change(&changes)
    });
    let root = match &by_hand {
        Ok(Some((next, _))) => *next.root(),
        Ok(None) => *base.root(),
        Err(_) => Digest::from_bytes([0; 32]),
    };
    let applied = base.apply_view(&view, &root);
    assert_eq!(applied.is_ok(), by_hand.is_ok());
    if let Ok(applied) = applied {
        let entries = applied
            .iter()
            .map(|(path, value)| (path.clone(), value.clone()));
        let rebuilt = State::from_entries(entries);
        assert_eq!(rebuilt.map(|state| *state.root()), Ok(*applied.root()));
    }
}

fn texts_and_numbers() -> State {
    let base = numbers(&[("a/x", 1), ("b/y/z", 2), ("c", 3), ("net/mtu", 1_500)]);
    let Ok(path) = Path::parse("note") else {
        unreachable!("a path")
    };
    let note = Change::Set(path, Value::Text("x".into()));
    match base.change(&[note]) {
        Ok(Some((state, _))) => state,
        Ok(None) | Err(_) => base,
    }
}

/// A heartbeat that is read is one encoding.
pub fn heartbeat(input: &[u8]) {
    if let Ok(heartbeat) = Heartbeat::decode(input) {
        assert_eq!(heartbeat.encode(), input);
    }
}

/// Evidence that is read is one encoding; what is shortened fits and is read again.
pub fn evidence(input: &[u8]) {
    if let Ok(mut evidence) = Evidence::decode(input) {
        assert_eq!(evidence.encode(), input);
        evidence.shorten();
        assert!(Evidence::decode(&evidence.encode()).is_ok());
    }
}

/// A file falls into frames that are read and written back as the same bytes.
pub fn file(input: &[u8]) {
    let mut frames = FileFrames::new(input);
    let mut bytes = 0;
    while let Some(Ok(frame)) = frames.next() {
        bytes += frame.len();
        assert_eq!(frames.position(), bytes);
        if let Ok(read) = PlainFrame::decode(frame, Direction::File) {
            assert_eq!(read.encode().as_deref(), Ok(frame));
        }
    }
    assert!(frames.position() <= input.len());
}

/// An edit between two halves of the input makes the second of the first.
pub fn edit_between(input: &[u8]) {
    let (base, later) = input.split_at(input.len() / 2);
    let (base, later) = (Value::Bytes(base.into()), Value::Bytes(later.into()));
    if let Some(edit) = Edit::between(&base, &later) {
        assert_eq!(edit.as_view().apply(&base), Ok(later));
    }
}

/// A snapshot that is read is one encoding, in the first epoch and in the last.
pub fn snapshot(input: &[u8]) {
    for epoch in [1, u64::MAX] {
        if let Ok(snapshot) = Snapshot::decode(input, Epoch::new(epoch)) {
            assert_eq!(snapshot.encode(), input);
        }
    }
}

/// A report that is read is one encoding.
pub fn report(input: &[u8]) {
    if let Ok(report) = Report::decode(input) {
        assert_eq!(report.encode(), input);
    }
}

/// A join line that is read is one text, but for white space around it; an error never shows it.
pub fn join_line(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    match JoinLine::parse(text) {
        Ok(line) => {
            let again = line.danger_text();
            assert_eq!(again.as_ref().map(|again| again.as_str()), Ok(text.trim()));
        }
        Err(error) => {
            let shows_it = text.len() > 80 && error.to_string().contains(text);
            assert!(!shows_it, "an error shows the line");
        }
    }
}

/// A trust line or relay line that is read is one text, but for white space around it; its bundles are of its domain.
pub fn trust_line(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    if let Ok(line) = TrustLine::parse(text) {
        assert_eq!(line.text().as_deref(), Ok(text.trim()));
        let root = line.trust().map(|trust| trust.root());
        assert!(root.is_err() || root == Ok(line.root), "another domain");
    }
    if let Ok(line) = RelayLine::parse(text) {
        assert_eq!(line.text().as_deref(), Ok(text.trim()));
    }
}

/// A bundle that is read is one encoding; one that nobody signed is never taken.
pub fn bundle(input: &[u8]) {
    if let Ok(content) = BundleContent::decode(input) {
        assert_eq!(content.encode(), input);
    }
    let held = TestKeys::new().trust();
    // The keys are published, and vectors hold bundles that they signed.
    if let Ok(next) = held.offer(input) {
        assert!(next.number() > held.number() && next.root() == held.root());
        let revoked = |trust: &Trust| trust.held().map(|held| held.content().revoked.clone());
        assert!(
            revoked(&next) >= revoked(&held),
            "a revocation is forgotten"
        );
        assert_eq!(
            next.steps().last().map(|step| step.envelope.as_ref()),
            Some(input)
        );
    }
    let elsewhere = TestKeys::with(Signing::Test).trust();
    assert!(elsewhere.offer(input).is_err(), "its root signed no second");
}

/// Whatever a mailbox answers, a device keeps what it holds, and waits.
pub fn device_engine(input: &[u8]) {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(100, 5));
    for (selector, chunk) in steps(input) {
        engine_step(&mut lone, selector, chunk);
    }
    assert_eq!(lone.node.head(), Some(at(100, 5)), "nobody signed a change");
    lone.run(60_000);
}

fn engine_step(lone: &mut Lone, selector: u8, chunk: &[u8]) {
    if lone.reconnects > 0 {
        lone.reconnects = 0;
        lone.outbox.clear();
        lone.connect();
    }
    match selector % 5 {
        0 => lone.run(u64::from(selector) * 100),
        1 => {
            let exchange = lone.outbox.first().map(|exchange| exchange.id);
            exchange.map_or(0, |exchange| {
                lone.answer_raw(exchange, chunk);
                1
            })
        }
        2 => {
            lone.restart();
            lone.connect();
            0
        }
        _ => {
            answer_in_session(lone, selector, chunk);
            0
        }
    };
}

/// Answers a poll with the chunk as an envelope: the mailbox is bad, not the network.
fn answer_in_session(lone: &mut Lone, selector: u8, chunk: &[u8]) {
    lone.run(6_000);
    let Some(request) = lone.poll().or_else(|| lone.request(FrameType::Post)) else {
        return;
    };
    if cbor::check(chunk).is_err() {
        return lone.answer(&request, &[]);
    }
    let plane = match selector % 3 {
        0 => None,
        1 => Some(Plane::Desired),
        _ => Some(Plane::Actual),
    };
    let item = Item {
        plane,
        envelope: chunk,
    };
    let answer = Answer {
        items: Vec::from([item]),
        ..Answer::default()
    };
    let frame = lone.seal(request.counter, &DownFrame::Answer(answer));
    lone.answer_raw(request.exchange, &frame);
}
