//! Test material: one trust domain, one device, and envelopes about it.
//!
//! Every envelope is signed by the device: mailboxes leave the signatures of what their host posts
//! to the host. Refuses to be part of anything but tests.

use crate::exchange::{AdmittedDevice, MailboxSigner};
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::envelope::{Binding, Draft, Header, ReceivedEnvelope, SealedEnvelope};
use postern_protocol::frame::{Answer, BodyChunk, DownFrame, Item, Poll, Stream, UpFrame};
use postern_protocol::id::{
    Channel, ChannelId, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint,
};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::{BundleNumber, Epoch, Revision, Seq};
use postern_protocol::session::{Asking, ClientSession, Greeting, Identity, Request};
use postern_protocol::trust::BundleStep;
use std::sync::Arc;

pub(crate) const INCARNATION: Incarnation = Incarnation::from_bytes([7; 16]);

pub(crate) fn named_channel(device: &str) -> Channel {
    Channel {
        root: Thumbprint::from_bytes([1; 32]),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse(device).unwrap(),
    }
}

pub(crate) fn channel() -> Channel {
    named_channel("press-1")
}

pub(crate) fn channel_id() -> ChannelId {
    channel().id()
}

pub(crate) fn device_signer() -> MemorySigner {
    MemorySigner::from_seed(&[2; 32])
}

pub(crate) fn mailbox_signer() -> MailboxSigner {
    Arc::new(MemorySigner::from_seed(&[3; 32]))
}

pub(crate) fn admitted() -> AdmittedDevice {
    AdmittedDevice {
        channel: channel(),
        incarnation: INCARNATION,
        key: device_signer().public_key().clone(),
    }
}

pub(crate) fn revision(epoch: u64, seq: u64) -> Revision {
    Revision::new(Epoch::new(epoch), Seq::new(seq))
}

/// A digest that stands for the state at a revision.
pub(crate) fn digest(mark: u64) -> Digest {
    Digest::of(&mark.to_be_bytes())
}

fn seal(kind: MessageKind, numbers: [u64; 3], digest: Option<Digest>, payload: Vec<u8>) -> Vec<u8> {
    let [epoch, seq, base] = numbers;
    let draft = Draft {
        header: Header {
            kind,
            epoch: Epoch::new(epoch),
            seq: Seq::new(seq),
            base: Seq::new(base),
            digest,
        },
        payload,
    };
    let channel = channel();
    let binding = Binding::Device {
        channel: &channel,
        incarnation: INCARNATION,
    };
    let Some((role, _)) = kind.rows().first().copied() else {
        panic!("every kind has a signer")
    };
    let sealed: SealedEnvelope = draft.seal(role, binding, &device_signer()).unwrap();
    sealed.into_bytes()
}

/// A delta whose payload has about `bytes` bytes.
pub(crate) fn delta_of(epoch: u64, base: u64, seq: u64, mark: u64, bytes: usize) -> Vec<u8> {
    let mut payload = Writer::new();
    payload
        .array(1)
        .map(1)
        .text("hall/b")
        .bytes(&vec![0; bytes]);
    let payload = payload.into_bytes();
    seal(
        MessageKind::Delta,
        [epoch, seq, base],
        Some(digest(mark)),
        payload,
    )
}

pub(crate) fn delta(epoch: u64, base: u64, seq: u64) -> Vec<u8> {
    delta_of(epoch, base, seq, seq, 4)
}

/// A snapshot whose table names these bodies.
pub(crate) fn snapshot_of(epoch: u64, seq: u64, mark: u64, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.array(2).map(bodies.len());
    for (number, body) in (0..).zip(bodies) {
        let name = char::from(b'a' + u8::try_from(number).unwrap());
        payload
            .text(&name.to_string())
            .bytes(Digest::of(body).as_bytes());
    }
    payload.array(0);
    let payload = payload.into_bytes();
    seal(
        MessageKind::Snapshot,
        [epoch, seq, 0],
        Some(digest(mark)),
        payload,
    )
}

pub(crate) fn snapshot(epoch: u64, seq: u64) -> Vec<u8> {
    snapshot_of(epoch, seq, seq, &[])
}

pub(crate) fn report_ack(epoch: u64, rseq: u64) -> Vec<u8> {
    seal(MessageKind::ReportAck, [epoch, rseq, 0], None, vec![0x80])
}

pub(crate) fn report(epoch: u64, rseq: u64) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.array(2).uint(epoch).uint(1);
    seal(
        MessageKind::Report,
        [epoch, rseq, 0],
        Some(digest(1)),
        payload.into_bytes(),
    )
}

/// A bundle of this number, with a payload of about `bytes` bytes that nobody here reads.
pub(crate) fn bundle_of(number: u64, bytes: usize) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.bytes(&vec![0; bytes]);
    let previous = (number > 1).then(|| digest(number - 1));
    seal(
        MessageKind::Bundle,
        [0, number, number - 1],
        previous,
        payload.into_bytes(),
    )
}

pub(crate) fn bundle(number: u64) -> Vec<u8> {
    bundle_of(number, 8)
}

/// Bundles that nobody here reads, each of which only the holder of the one before it accepts.
pub(crate) fn bundle_steps(envelopes: &[Vec<u8>]) -> Vec<BundleStep> {
    let number = |envelope: &[u8]| {
        let received = ReceivedEnvelope::parse(envelope).unwrap();
        received.unverified_header().seq.number()
    };
    let one = |envelope: &Vec<u8>| BundleStep {
        number: BundleNumber::new(number(envelope)),
        from: BundleNumber::new(number(envelope) - 1),
        envelope: envelope.as_slice().into(),
    };
    envelopes.iter().map(one).collect()
}

/// The device's end of a hello with the mailbox of [`mailbox_signer`].
pub(crate) fn greet(challenge: &[u8], seed: u8) -> (Greeting, Vec<u8>) {
    greet_knowing(challenge, seed, &mailbox_signer()).unwrap()
}

/// The device's end of a hello when its bundle lists this one mailbox key.
pub(crate) fn greet_knowing(
    challenge: &[u8],
    seed: u8,
    mailbox: &MailboxSigner,
) -> Result<(Greeting, Vec<u8>), Reject> {
    let (asking, _) = Asking::start(BundleNumber::new(0)).unwrap();
    let channel = channel();
    let signer = device_signer();
    let identity = Identity::device(&channel, INCARNATION, &signer);
    asking.handle_challenge(challenge, [mailbox.public_key()], identity, &[seed; 32])
}

pub(crate) fn ask() -> Vec<u8> {
    ask_holding(None)
}

/// An ask of a device that holds this bundle.
pub(crate) fn ask_holding(bundle: Option<BundleNumber>) -> Vec<u8> {
    Asking::start(bundle.unwrap_or_default()).unwrap().1
}

pub(crate) fn poll(session: &mut ClientSession, hold_s: u16, held: Revision) -> Request {
    poll_of(session, hold_s, held, None)
}

/// A poll that shows a head of the actual plane, too.
pub(crate) fn poll_of(
    session: &mut ClientSession,
    hold_s: u16,
    held: Revision,
    actual: Option<Revision>,
) -> Request {
    let poll = Poll {
        hold_s,
        bundle: BundleNumber::new(0),
        acked: None,
        desired: held,
        actual,
        receipt: None,
    };
    session.seal_request(&UpFrame::Poll(poll)).unwrap()
}

/// A stream with an answer each `interval_ms`; at most `frames` of them, of `pad` bytes at least.
pub(crate) fn stream(
    session: &mut ClientSession,
    terms: (u16, u16, u16),
    held: Revision,
) -> Request {
    let (interval_ms, frames, pad) = terms;
    let heads = Poll {
        hold_s: 0,
        bundle: BundleNumber::new(0),
        acked: None,
        desired: held,
        actual: None,
        receipt: None,
    };
    let stream = Stream {
        interval_ms,
        frames,
        pad,
        heads,
    };
    session.seal_request(&UpFrame::Stream(stream)).unwrap()
}

/// A poll that waits for the acknowledgement of its first report.
pub(crate) fn poll_for_ack(session: &mut ClientSession, hold_s: u16, held: Revision) -> Request {
    let poll = Poll {
        hold_s,
        bundle: BundleNumber::new(0),
        acked: Some(Seq::new(0)),
        desired: held,
        actual: None,
        receipt: None,
    };
    session.seal_request(&UpFrame::Poll(poll)).unwrap()
}

/// Brings one chunk that is a whole body.
pub(crate) fn put(session: &mut ClientSession, plane: Plane, body: &[u8]) -> Request {
    let chunk = BodyChunk {
        digest: Digest::of(body),
        size: body.len() as u64,
        offset: 0,
        bytes: body,
    };
    let chunks = vec![chunk];
    session
        .seal_request(&UpFrame::Put { plane, chunks })
        .unwrap()
}

/// A heartbeat with a payload that nobody here reads; `mark` tells one from another.
pub(crate) fn heartbeat(mark: u64) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.array(1).uint(mark);
    let payload = payload.into_bytes();
    seal(MessageKind::Heartbeat, [1, 1, 1], Some(digest(1)), payload)
}

/// Evidence about a revision of the device's own plane.
pub(crate) fn evidence(epoch: u64, seq: u64) -> Vec<u8> {
    let payload = vec![0x80];
    seal(
        MessageKind::Evidence,
        [epoch, seq, 0],
        Some(digest(seq)),
        payload,
    )
}

/// The answer to a new device key.
pub(crate) fn enrol_answer(number: u64) -> Vec<u8> {
    let numbers = [1, number, 0];
    seal(
        MessageKind::EnrolAnswer,
        numbers,
        Some(digest(number)),
        vec![0x80],
    )
}

pub(crate) fn post(session: &mut ClientSession, envelopes: &[Vec<u8>]) -> Request {
    let items = envelopes.iter().map(|envelope| Item {
        plane: Some(Plane::Actual),
        envelope,
    });
    session
        .seal_request(&UpFrame::Post(items.collect()))
        .unwrap()
}

/// Reads an answer frame of the session.
pub(crate) fn answer<'a>(session: &ClientSession, counter: u16, frame: &'a [u8]) -> Answer<'a> {
    match session.open_answer(counter, frame).unwrap() {
        DownFrame::Answer(answer) => answer,
        DownFrame::Bodies(_) | DownFrame::Collected(_) | DownFrame::StreamAnswer(_) => {
            panic!("bodies instead of an answer")
        }
    }
}

/// Reads a bodies frame of the session.
pub(crate) fn chunks<'a>(
    session: &ClientSession,
    counter: u16,
    frame: &'a [u8],
) -> Vec<BodyChunk<'a>> {
    match session.open_answer(counter, frame).unwrap() {
        DownFrame::Bodies(chunks) => chunks,
        DownFrame::Answer(_) | DownFrame::Collected(_) | DownFrame::StreamAnswer(_) => {
            panic!("an answer instead of bodies")
        }
    }
}
