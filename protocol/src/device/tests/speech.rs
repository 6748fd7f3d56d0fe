//! What the controller and the mailbox of a lone device say in these tests, and how its posts are read.

use crate::envelope::{Header, ReceivedEnvelope};
use crate::frame::{Answer, DownFrame, FrameType, Hints, Item, Wanted};
use crate::id::{Digest, Nonce, Plane, StartId};
use crate::kind::MessageKind;
use crate::message::{Evidence, EvidenceCode, Heartbeat, Proof};
use crate::record::Table;
use crate::revision::Revision;
use crate::state::{Change, Path, State, Value};
use crate::testing::{Answering, Lone, posted};
use alloc::vec;
use alloc::vec::Vec;

pub(super) const START: StartId = StartId::from_bytes([5; 8]);

/// A heartbeat of the controller's first start.
pub(super) fn heartbeat(
    lone: &Lone,
    uptime_ms: u64,
    other: Revision,
    echo: Option<Nonce>,
) -> Vec<u8> {
    let payload = Heartbeat {
        start: START,
        uptime_ms,
        other,
        echo,
        ask: None,
    };
    seal_heartbeat(lone, &payload, 1)
}

pub(super) fn seal_heartbeat(lone: &Lone, payload: &Heartbeat, bundle: u64) -> Vec<u8> {
    let kind = MessageKind::Heartbeat;
    lone.seal_message(kind, Revision::NONE, bundle, None, payload.encode())
}

/// The newest heartbeat that the device posted.
pub(super) fn said(lone: &Lone) -> Heartbeat {
    let newest = lone.heartbeats.last().unwrap();
    let received = ReceivedEnvelope::parse(newest).unwrap();
    Heartbeat::decode(received.unverified_payload()).unwrap()
}

/// Lets the controller repeat the device's nonce. Returns its uptime then.
pub(super) fn anchor(lone: &mut Lone) -> u64 {
    let echo = said(lone).ask;
    let beat = heartbeat(lone, 1_000_000, Revision::NONE, echo);
    lone.serve(&[beat]);
    1_000_000
}

/// Lets the controller's heartbeat name `held` as the actual head that it accepted.
pub(super) fn acknowledge_actual(lone: &mut Lone, held: Revision) {
    lone.run(1);
    let uptime_ms = 2_000_000 + lone.now_ms;
    let beat = heartbeat(lone, uptime_ms, held, None);
    lone.serve(&[beat]);
}

pub(super) fn header(envelope: &[u8]) -> Header {
    *ReceivedEnvelope::parse(envelope)
        .unwrap()
        .unverified_header()
}

/// Takes the oldest post of a kind; posts of other kinds before it are answered with nothing.
pub(super) fn post_of(lone: &mut Lone, kind: MessageKind) -> Option<(Answering, Vec<u8>)> {
    while let Some(post) = lone.request(FrameType::Post) {
        let envelope = posted(&post.frame).remove(0);
        if header(&envelope).kind == kind {
            return Some((post, envelope));
        }
        lone.answer(&post, &[]);
    }
    None
}

pub(super) fn answer_hints(lone: &mut Lone, to: &Answering, hints: Hints) {
    let answer = Answer {
        hints,
        items: vec![],
    };
    let frame = lone.seal(to.counter, &DownFrame::Answer(answer));
    lone.answer_raw(to.exchange, &frame);
}

pub(super) fn wanted(state: &State) -> Hints {
    let wanted = state.section_digests().map(|(_, digest)| Wanted {
        digest: *digest,
        offset: 0,
    });
    Hints {
        wanted: wanted.collect(),
        ..Hints::default()
    }
}

pub(super) fn serve_item(lone: &mut Lone, plane: Option<Plane>, envelope: &[u8]) {
    let poll = lone.paced_poll();
    lone.answer_items(&poll, vec![Item { plane, envelope }]);
}

/// Evidence of the controller about the actual plane.
pub(super) fn evidence(
    lone: &Lone,
    code: EvidenceCode,
    held: Revision,
    state: &State,
    proof: &Proof<'_>,
) -> Vec<u8> {
    let table = (code == EvidenceCode::WriterBehind).then(|| state.section_table());
    let payload = Evidence {
        code,
        table,
        proofs: vec![*proof],
    };
    let kind = MessageKind::Evidence;
    lone.seal_message(kind, held, 0, Some(*state.root()), payload.encode())
}

pub(super) fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

pub(super) fn set(text: &str, value: u64) -> Change {
    Change::Set(path(text), Value::Int(value.into()))
}

/// Lets the application write one value of the actual plane.
pub(super) fn write(lone: &mut Lone, text: &str, value: u64) {
    lone.input(crate::device::Input::WriteActual {
        ticket: value,
        changes: vec![set(text, value)],
    });
}

pub(super) fn digest_of(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

/// What a device stored under a key.
pub(super) fn stored(lone: &Lone, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    let mut rows = lone.node.store.rows();
    let is_it = |row: &(Table, &[u8], &[u8])| row.0 == table && row.1 == key;
    rows.find(is_it).map(|(_, _, value)| value.to_vec())
}
