//! What comes first: durable before posted, answered or acknowledged; a snapshot before any delta.

use crate::context::Now;
use crate::controller::{Context, Input, Output, Post, Ticket};
use crate::device::Identity;
use crate::enrol::{EnrolRequest, JoinSecret};
use crate::envelope::{Binding, Draft, Header, ReceivedEnvelope};
use crate::frame::{Direction, PlainFrame};
use crate::id::{Digest, Incarnation, TokenId};
use crate::kind::{MessageKind, Role};
use crate::message::Report;
use crate::revision::{Revision, Seq};
use crate::state::{Change, Path, Value};
use crate::testing::{ControllerNode, World, at, signer};
use alloc::vec;
use alloc::vec::Vec;

/// Gives one input and returns everything that the engine asks for, in order.
fn outputs(world: &mut World, input: Input<'_>) -> Vec<Output> {
    let engine = &mut world.controller.engine;
    let mut context = Context {
        now: Now {
            mono_ms: world.now_ms,
            unix_s: None,
        },
        random: &mut world.dice,
        keys: &world.keys,
    };
    engine.handle_input(&mut context, input);
    core::iter::from_fn(|| engine.poll_output()).collect()
}

/// The place of the first output that `is_it` picks. # Panics: when there is none.
fn place(outputs: &[Output], is_it: impl Fn(&Output) -> bool) -> usize {
    let found = outputs.iter().position(is_it);
    found.unwrap_or_else(|| panic!("not among {outputs:?}"))
}

const fn is_persist(output: &Output) -> bool {
    matches!(output, Output::Persist(_))
}

const fn is_post(output: &Output) -> bool {
    matches!(output, Output::Post { .. })
}

const fn is_answer(output: &Output) -> bool {
    matches!(output, Output::Answer { .. })
}

/// The headers of what is posted, in order.
fn posted(outputs: &[Output]) -> Vec<Header> {
    let envelope = |output: &Output| match output {
        Output::Post { post, .. } => match post {
            Post::Delta { envelope }
            | Post::Snapshot { envelope, .. }
            | Post::ReportAck { envelope }
            | Post::Heartbeat { envelope }
            | Post::Evidence { envelope }
            | Post::PlaneKey { envelope }
            | Post::EnrolAnswer { envelope } => Some(envelope.clone()),
            // For mailboxes; no device ever sees it.
            Post::Admission { .. } => None,
        },
        Output::Persist(_)
        | Output::Admit { .. }
        | Output::Evict { .. }
        | Output::Wanted { .. }
        | Output::ActualHeld { .. }
        | Output::PostBundle { .. }
        | Output::Answer { .. }
        | Output::Refill { .. }
        | Output::Event(_) => None,
    };
    let header = |bytes: Vec<u8>| *ReceivedEnvelope::parse(&bytes).unwrap().unverified_header();
    outputs.iter().filter_map(envelope).map(header).collect()
}

fn decide(world: &mut World, value: u64) -> Vec<Output> {
    let channel = world.devices[0].identity.channel.clone();
    let change = Change::Set(Path::parse("a/x").unwrap(), Value::Int(value.into()));
    let input = Input::Decide {
        ticket: Ticket(900),
        tenant: channel.tenant,
        device: channel.device,
        changes: vec![change],
    };
    outputs(world, input)
}

//= spec/postern.md#revisions type=test
//# A writer MUST persist a revision before it sends it.
#[test]
fn decision_is_durable_before_it_is_posted() {
    let mut world = World::with_devices(1, &["press-7"]);
    let outputs = decide(&mut world, 1);
    assert!(place(&outputs, is_persist) < place(&outputs, is_post));
    let kinds: Vec<_> = posted(&outputs).iter().map(|header| header.kind).collect();
    assert_eq!(kinds, [MessageKind::Delta]);
}

//= spec/postern.md#epochs type=test
//# A writer MUST begin an epoch with a snapshot.
#[test]
fn epoch_begins_with_a_snapshot() {
    let mut world = World::with_devices(1, &["press-7"]);
    decide(&mut world, 1);
    let store = world.controller.store.clone();
    world.controller = ControllerNode::restore(&world.keys, store);
    let outputs = outputs(&mut world, Input::Start);
    assert!(place(&outputs, is_persist) < place(&outputs, is_post));
    let epoch = world.controller.engine.epoch();
    let first = posted(&outputs)[0];
    assert_eq!((first.kind, first.epoch), (MessageKind::Snapshot, epoch));
    assert_eq!(first.seq, Seq::new(1));
    let next = posted(&decide(&mut world, 2))[0];
    assert_eq!((next.kind, next.epoch), (MessageKind::Delta, epoch));
}

//= spec/postern.md#revisions type=test
//# A writer MUST NOT change seq for re-signing, re-encoding, resending, another key of the same
//# generation, or another transport.
#[test]
fn snapshot_signed_again_keeps_its_number() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    let channel = world.devices[0].identity.channel.id();
    let head = *world.member(0).head();
    for _ in 0..3 {
        let outputs = outputs(&mut world, Input::SnapshotWanted { channel });
        let header = posted(&outputs)[0];
        assert_eq!(Revision::new(header.epoch, header.seq), head.revision);
        assert_eq!(header.digest, Some(head.digest));
    }
    assert_eq!(*world.member(0).head(), head);
}

/// Makes what the engine asked for durable, as its driver does, and returns what leaves then.
fn commit(world: &mut World, outputs: &[Output]) -> Vec<Header> {
    for output in outputs {
        if let Output::Persist(writes) = output {
            world.controller.store.commit(writes);
        }
    }
    posted(outputs)
}

//= spec/postern.md#revisions type=test
//# A writer MUST NOT sign two different digests for one revision.
#[test]
fn numbers_signed_around_crashes_never_name_two_states() {
    let mut world = World::with_devices(1, &["press-7"]);
    let mut signed: Vec<(Revision, Option<Digest>)> = Vec::new();
    for round in 0..120 {
        let decided = decide(&mut world, round % 3);
        let headers = if round % 5 == 4 {
            // The commit is lost, and with it all that waited for it.
            let store = world.controller.store.clone();
            world.controller = ControllerNode::restore(&world.keys, store);
            let started = outputs(&mut world, Input::Start);
            commit(&mut world, &started)
        } else {
            commit(&mut world, &decided)
        };
        for header in headers.iter().filter(|it| it.digest.is_some()) {
            let named = (Revision::new(header.epoch, header.seq), header.digest);
            let contradicts = |one: &&(Revision, _)| one.0 == named.0 && one.1 != named.1;
            assert_eq!(signed.iter().find(contradicts), None, "{named:?}");
            signed.push(named);
        }
    }
    assert!(signed.len() > 80, "{}", signed.len());
}

const TOKEN: TokenId = TokenId::from_bytes([4; 8]);

/// An enrol frame for an open invitation.
fn invited(world: &mut World) -> Vec<u8> {
    let identity = Identity {
        channel: world.keys.channel("press-9"),
        incarnation: Incarnation::from_bytes([1; 16]),
    };
    let secret = JoinSecret::from_bytes([5; 32]);
    world.control(Input::Invite {
        ticket: Ticket(901),
        tenant: identity.channel.tenant.clone(),
        device: identity.channel.device.clone(),
        token: TOKEN,
        secret: secret.clone(),
        expires_unix_s: None,
    });
    let request = EnrolRequest {
        token: TOKEN,
        device: identity.channel.device,
        incarnation: identity.incarnation,
        nonce: [6; 16],
        agreement: None,
    };
    let (domain, tenant) = (world.keys.domain(), &world.keys.tenant);
    let sealed = request.seal(domain, tenant, &secret, &signer("press-9"));
    sealed.unwrap().frame
}

fn enrol(world: &mut World, frame: &[u8]) -> Vec<Output> {
    let ticket = Ticket(902);
    outputs(world, Input::Enrol { ticket, frame })
}

fn answer(outputs: &[Output]) -> Vec<u8> {
    let Output::Answer { frame, .. } = &outputs[place(outputs, is_answer)] else {
        unreachable!("the place is that of an answer")
    };
    frame.clone()
}

//= spec/postern.md#enrolment type=test
//# The controller MUST persist the enrolment before it answers.
#[test]
fn enrolment_is_durable_before_it_is_answered() {
    let mut world = World::new(1);
    let frame = invited(&mut world);
    let outputs = enrol(&mut world, &frame);
    assert!(place(&outputs, is_persist) < place(&outputs, is_answer));
}

//= spec/postern.md#enrolment type=test
//# The controller MUST answer the same key and message id again with the same enrolment.
#[test]
fn same_request_again_is_answered_with_the_same_enrolment() {
    let mut world = World::new(1);
    let frame = invited(&mut world);
    let first = answer(&enrol(&mut world, &frame));
    for _ in 0..3 {
        assert_eq!(answer(&enrol(&mut world, &frame)), first);
    }
}

//= spec/postern.md#enrolment type=test
//# Frame 17 MUST carry bundle 1 and what leads from it to the number that the answer names, ascending.
#[test]
fn enrolled_frame_carries_the_first_bundle_and_what_leads_to_the_newest() {
    let mut world = World::new(1);
    let frame = invited(&mut world);
    world.keys.push_bundle(1, &[]);
    world.keys.push_bundle(1, &[]);
    world.restart_controller(None);
    let answer = answer(&enrol(&mut world, &frame));
    let Ok(PlainFrame::Enrolled { bundles, .. }) = PlainFrame::decode(&answer, Direction::Down)
    else {
        panic!("an enrolled frame");
    };
    let numbers = bundles.iter().map(|bundle| {
        let received = ReceivedEnvelope::parse(bundle).unwrap();
        received.unverified_header().seq.number()
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 3]);
}

//= spec/postern.md#reports-and-acks type=test
//# A controller MUST persist an accepted report before it signs the report-ack.
//= spec/postern.md#reports-and-acks type=test
//# A report-ack MUST carry the epoch and rseq of the report in its header.
#[test]
fn report_is_durable_before_it_is_acknowledged_by_its_number() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.kill(0);
    let identity = world.devices[0].identity.clone();
    for (epoch, rseq) in [(50, 1), (50, 9), (51, 1)] {
        let header = Header {
            kind: MessageKind::Report,
            epoch: at(epoch, rseq).epoch,
            seq: Seq::new(rseq),
            base: Seq::new(0),
            digest: None,
        };
        let payload = Report::default().encode();
        let binding = Binding::Device {
            channel: &identity.channel,
            incarnation: identity.incarnation,
        };
        let sealed = Draft { header, payload }.seal(Role::Device, binding, &signer("press-7"));
        let envelope = sealed.unwrap().into_bytes();
        let channel = identity.channel.id();
        let input = Input::Received {
            channel,
            envelope: &envelope,
            is_live: false,
        };
        let outputs = outputs(&mut world, input);
        assert!(place(&outputs, is_persist) < place(&outputs, is_post));
        let acks = posted(&outputs);
        let named = acks.iter().map(|ack| (ack.kind, ack.epoch, ack.seq));
        let expected = (MessageKind::ReportAck, header.epoch, header.seq);
        assert_eq!(named.collect::<Vec<_>>(), [expected]);
    }
}
