//! The attacks that the protocol's rules answer, each under the name of what the attacker does.
//!
//! Each holds the key or the place that the attacker has, no more. Refuses to break in by private calls.

#![expect(
    clippy::expect_used,
    reason = "tests name what they expect and fail where it is not"
)]

#[path = "attacks/way.rs"]
mod way;

use postern_protocol::Reject;
use postern_protocol::controller::{self, Input};
use postern_protocol::device::{self, Event, Identity};
use postern_protocol::enrol::JoinSecret;
use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::frame::{Answer, DownFrame, FrameType, Item, PlainFrame, check_exchange};
use postern_protocol::id::{Challenge, Incarnation, Plane, TokenId};
use postern_protocol::key::Signer as _;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::message::{Report, Snapshot};
use postern_protocol::revision::{Epoch, Lineage, LineageEntry, Seq};
use postern_protocol::state::{Change, Path, State};
use postern_protocol::testing::{DeviceNode, Lone, World, at, numbers, signer};

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

fn holding_five() -> Lone {
    Lone::holding(&state(1), at(EPOCH, 5))
}

/// Seals a snapshot of `state` for another place than the device's, with a writer's key.
fn snapshot_for(lone: &Lone, binding: Binding<'_>, key: &str, kind: MessageKind) -> Vec<u8> {
    let wanted = state(9);
    let payload = Snapshot {
        table: wanted.section_table(),
        lineage: Lineage::default(),
    };
    let header = Header {
        kind,
        epoch: Epoch::new(EPOCH),
        seq: Seq::new(9),
        base: Seq::new(0),
        digest: Some(*wanted.root()),
    };
    let payload = payload.encode();
    let draft = Draft { header, payload };
    assert_eq!(lone.node.identity.channel.root, lone.keys.domain());
    let sealed = draft
        .seal(Role::Writer, binding, &signer(key))
        .expect("it fits");
    sealed.into_bytes()
}

fn serve_bundle(lone: &mut Lone, envelope: &[u8]) {
    let poll = lone.paced_poll();
    let plane = None;
    lone.answer_items(&poll, vec![Item { plane, envelope }]);
}

/// Serves one envelope and expects exactly this refusal and no change.
fn refuses(lone: &mut Lone, envelope: &[u8], reject: Reject) {
    let (head, commits) = (lone.node.head(), lone.node.store.commits());
    lone.serve(&[envelope.to_vec()]);
    assert_eq!(lone.rejects().last(), Some(&reject));
    assert_eq!(
        (lone.node.head(), lone.node.store.commits()),
        (head, commits)
    );
    assert!(lone.request(FrameType::Fetch).is_none());
}

//= spec/postern.md#incarnation type=test
//# A device MUST NOT accept an envelope of an earlier incarnation of itself.
#[test]
fn snapshot_of_an_earlier_incarnation_replayed_after_a_reset() {
    let mut lone = Lone::new();
    lone.connect();
    lone.take_reports();
    let channel = lone.node.identity.channel.clone();
    let binding = Binding::Device {
        channel: &channel,
        incarnation: Incarnation::from_bytes([0x0d; 16]),
    };
    let old = snapshot_for(&lone, binding, "writer", MessageKind::Snapshot);
    refuses(&mut lone, &old, Reject::SignatureInvalid);
}

#[test]
fn snapshot_of_another_device_or_trust_domain_replayed() {
    let mut lone = holding_five();
    let mut elsewhere = lone.node.identity.channel.clone();
    elsewhere.root = signer("stranger").public_key().thumbprint();
    for channel in [lone.keys.channel("press-8"), elsewhere] {
        let binding = Binding::Device {
            channel: &channel,
            incarnation: lone.node.identity.incarnation,
        };
        let foreign = snapshot_for(&lone, binding, "writer", MessageKind::Snapshot);
        refuses(&mut lone, &foreign, Reject::SignatureInvalid);
    }
}

//= spec/postern.md#planes type=test
//# Two writers MUST NOT write one plane.
#[test]
fn desired_state_signed_by_device_mailbox_root_or_stranger() {
    for key in ["press-7", "mailbox", "root", "recovery", "stranger"] {
        let mut lone = holding_five();
        let identity = lone.node.identity.clone();
        let binding = Binding::Device {
            channel: &identity.channel,
            incarnation: identity.incarnation,
        };
        let forged = snapshot_for(&lone, binding, key, MessageKind::Snapshot);
        refuses(&mut lone, &forged, Reject::KeyUnknown);
    }
}

#[test]
fn kind_changed_under_the_signature() {
    let mut lone = holding_five();
    let mut envelope = lone.seal_snapshot(&state(9), at(EPOCH, 9), vec![]);
    // The kind is the first number behind the label -65537 and the head of its array.
    let label = [0x3a, 0x00, 0x01, 0x00, 0x00, 0x85];
    let found = envelope.windows(6).position(|window| window == label);
    envelope[found.expect("the label") + 6] = 0;
    lone.serve(&[envelope]);
    assert!(matches!(
        lone.rejects()[..],
        [Reject::HeaderNumbers | Reject::SignatureInvalid]
    ));
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

//= spec/postern.md#incarnation type=test
//# A controller MUST NOT accept an envelope of a device's earlier incarnation.
#[test]
fn reports_of_a_scrapped_unit_replayed_after_a_reset() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.run(5_000);
    let old = world.devices.remove(0);
    world.enrol("press-7");
    world.run(5_000);
    let draft = Draft {
        header: Header {
            kind: MessageKind::Report,
            epoch: Epoch::new(u64::MAX),
            seq: Seq::new(1),
            base: Seq::new(0),
            digest: None,
        },
        payload: Report::default().encode(),
    };
    let binding = Binding::Device {
        channel: &old.identity.channel,
        incarnation: old.identity.incarnation,
    };
    let report = draft
        .seal(Role::Device, binding, &old.signer)
        .expect("it fits");
    let before = world.controller.store.clone();
    world.control(Input::Received {
        channel: old.identity.channel.id(),
        envelope: report.as_bytes(),
        is_live: true,
    });
    assert_eq!(world.controller.store, before);
}

#[test]
fn thief_of_a_writer_key_rotates_first() {
    let mut lone = holding_five();
    let own = lone.keys.trust();
    let content = own.held().expect("bundle 1").content().clone();
    let forged = content
        .seal(own.held(), lone.keys.domain(), &signer("writer"))
        .expect("it fits");
    serve_bundle(&mut lone, forged.as_bytes());
    assert!(matches!(
        lone.rejects()[..],
        [Reject::BundleRoot | Reject::KeyUnknown]
    ));
    let number = lone.node.engine.as_ref().unwrap().trust().number();
    assert_eq!(number.number(), 1);
}

//= spec/postern.md#bundle type=test
//# A device MUST check envelopes against the highest bundle it holds.
#[test]
fn relay_withholds_a_revocation() {
    let mut lone = holding_five();
    let stolen = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.keys.rotate_writer("writer-2", 2);
    let fresh = lone.seal_snapshot(&state(3), at(EPOCH + 1, 1), vec![]);
    lone.serve(&[fresh]);
    assert_eq!(lone.rejects(), [Reject::KeyUnknown], "and nothing is lost:");
    lone.serve(&[stolen]);
    assert_eq!(
        lone.node.head(),
        Some(at(EPOCH, 6)),
        "the old key still counts here"
    );
    let bundle = lone.keys.bundles[1].clone();
    serve_bundle(&mut lone, &bundle);
    let fresh = lone.seal_snapshot(&state(3), at(EPOCH, 1), vec![]);
    lone.serve(&[fresh]);
    lone.serve_bodies(&state(3));
    assert_eq!(
        lone.node.head(),
        Some(at(EPOCH, 1)),
        "the bundle outranks it"
    );
}

#[test]
fn revived_old_primary_writes_on() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(5_000);
    let old = world.controller.store.clone();
    world.keys.rotate_writer("writer-2", 2);
    world.restart_controller(None);
    world.set(0, "a/x", 2);
    world.run(60_000);
    let head = world.devices[0].head();
    world.keys.writer = signer("writer");
    let revived = controller::Controller::restore(world.keys.trust_after(1), old.rows());
    world.controller.engine = revived.expect("a readable store");
    world.control(Input::Start);
    world.set(0, "a/x", 3);
    world.run(120_000);
    assert_eq!(world.devices[0].head(), head);
}

#[test]
fn inspector_enrols_its_own_key_with_the_token_it_saw() {
    let mut world = World::new(1);
    let channel = world.keys.channel("press-7");
    let token = TokenId::from_bytes([1; 8]);
    let ticket = world.ticket();
    world.control(Input::Invite {
        ticket,
        tenant: channel.tenant.clone(),
        device: channel.device.clone(),
        token,
        secret: JoinSecret::from_bytes([2; 32]),
        expires_unix_s: None,
    });
    let identity = Identity {
        channel: channel.clone(),
        incarnation: Incarnation::from_bytes([3; 16]),
    };
    let guessed = JoinSecret::from_bytes([0; 32]);
    let joined = world.join(&identity, &signer("inspector"), token, &guessed);
    assert!(joined.is_err());
    let member = world.controller.engine.member_of(channel.id()).unwrap();
    assert!(!member.is_enrolled());
}

#[test]
fn database_restored_from_110_to_100_while_the_relay_shows_only_105() {
    let mut lone = Lone::holding(&state(110), at(EPOCH, 110));
    let lineage = vec![LineageEntry {
        last: at(EPOCH, 105),
        digest: *state(105).root(),
    }];
    let snapshot = lone.seal_snapshot(&state(106), at(EPOCH + 1, 1), lineage);
    lone.serve(&[snapshot]);
    assert_eq!(lone.rejects(), [Reject::WriterBehind]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 110)));
}

#[test]
fn restored_controller_writes_before_first_contact() {
    let mut lone = Lone::holding(&state(110), at(EPOCH, 110));
    for seq in 101..=115 {
        let delta = lone.seal_step(&state(seq - 1), &state(seq + 500), seq - 1, at(EPOCH, seq));
        lone.serve(&[delta]);
    }
    let engine = lone.node.engine.as_ref().unwrap();
    assert_eq!(engine.state(), &state(110));
    assert!(lone.rejects().contains(&Reject::Equivocation));
}

#[test]
fn device_shows_an_old_head_to_get_a_permission_back() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/permission", 1);
    world.run(5_000);
    let backup = world.devices[0].store.clone();
    let path = Path::parse("a/permission").unwrap();
    world.decide(0, vec![Change::Remove(path)]);
    world.run(5_000);
    let head = *world.member(0).head();
    world.devices.remove(0);
    let identity = Identity {
        channel: world.keys.channel("press-7"),
        incarnation: Incarnation::from_bytes([7; 16]),
    };
    let mut node = DeviceNode::new(identity, signer("press-7"), world.keys.trust());
    node.store = backup;
    world.devices.push(node);
    world.run(10_000);
    assert_eq!(
        *world.member(0).head(),
        head,
        "a controller never goes back"
    );
    assert!(world.member(0).desired().is_empty());
}

#[test]
fn two_controllers_write_in_one_epoch() {
    let mut lone = holding_five();
    let first = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    let second = lone.seal_step(&state(1), &state(3), 5, at(EPOCH, 6));
    lone.serve(&[first]);
    lone.serve(&[second]);
    let third = lone.seal_step(&state(2), &state(4), 6, at(EPOCH, 7));
    lone.serve(&[third]);
    assert_eq!(lone.rejects(), [Reject::Equivocation, Reject::EpochFrozen]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 6)));
}
