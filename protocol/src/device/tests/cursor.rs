//! What the controller's word about the actual plane does to its head, its offer and its lineage.

use super::speech::{
    acknowledge_actual, anchor, digest_of, evidence, header, post_of, serve_item, write,
};
use crate::Reject;
use crate::device::actual::check_table;
use crate::encryption::{DigestKey, Digester};
use crate::id::{MessageId, Plane};
use crate::kind::MessageKind;
use crate::message::{EvidenceCode, Proof, Snapshot};
use crate::revision::{Epoch, Revision, Seq};
use crate::state::{Path, State, Value};
use crate::testing::{Lone, at, numbers};
use alloc::vec::Vec;

fn head(lone: &Lone) -> Revision {
    let engine = lone.node.engine.as_ref().unwrap();
    engine.actual_head().unwrap().revision
}

/// A device that wrote twice, with nothing acknowledged.
fn written() -> Lone {
    let mut lone = Lone::new();
    lone.connect();
    lone.take_reports();
    anchor(&mut lone);
    write(&mut lone, "net/mtu", 1);
    write(&mut lone, "net/mtu", 2);
    lone
}

/// Starts the device again so often; returns the heads that it had before.
fn restarted(lone: &mut Lone, times: usize) -> Vec<Revision> {
    let mut heads = Vec::new();
    for _ in 0..times {
        heads.push(head(lone));
        lone.restart();
    }
    lone.connect();
    lone.take_reports();
    anchor(lone);
    heads
}

/// The ends of epochs that the device names in its next snapshot, which is posted again after a minute.
fn lineage(lone: &mut Lone) -> Vec<Revision> {
    lone.run(61_000);
    let (_, envelope) = post_of(lone, MessageKind::Snapshot).unwrap();
    let received = crate::envelope::ReceivedEnvelope::parse(&envelope).unwrap();
    let epoch = header(&envelope).epoch;
    let snapshot = Snapshot::decode(received.unverified_payload(), epoch).unwrap();
    let entries = snapshot.lineage.entries().iter();
    entries.map(|entry| entry.last).collect()
}

#[test]
fn epochs_before_the_acknowledged_one_are_forgotten_for_good() {
    let mut lone = written();
    restarted(&mut lone, 3);
    let held = head(&lone);
    acknowledge_actual(&mut lone, held);
    // Kept with the next report.
    lone.bring(&numbers(&[("a/x", 1)]), at(100, 1));
    restarted(&mut lone, 1);
    assert_eq!(lineage(&mut lone), [held]);
}

#[test]
fn epochs_before_an_older_one_that_is_held_are_forgotten_and_it_is_kept() {
    let mut lone = written();
    let heads = restarted(&mut lone, 3);
    lone.run(10_000);
    acknowledge_actual(&mut lone, heads[1]);
    lone.bring(&numbers(&[("a/x", 1)]), at(100, 1));
    let last = head(&lone);
    restarted(&mut lone, 1);
    assert_eq!(lineage(&mut lone), [heads[1], heads[2], last]);
}

#[test]
fn nothing_held_leaves_every_epoch_in_the_lineage() {
    let mut lone = written();
    let heads = restarted(&mut lone, 3);
    lone.run(10_000);
    acknowledge_actual(&mut lone, Revision::NONE);
    assert_eq!(lineage(&mut lone), heads);
}

/// Lets a proven heartbeat name a head beside the own one; tells whether a further epoch was opened.
fn opens(held: impl Fn(Revision) -> Revision) -> bool {
    let mut lone = written();
    restarted(&mut lone, 1);
    write(&mut lone, "net/mtu", 3);
    let own = head(&lone);
    assert_eq!(own.seq, Seq::new(2));
    lone.run(10_000);
    acknowledge_actual(&mut lone, held(own));
    head(&lone).epoch > own.epoch
}

#[test]
fn only_a_head_above_the_own_one_opens_a_further_epoch() {
    let epoch = |own: Revision, by: i64| {
        let number = own.epoch.number().checked_add_signed(by).unwrap();
        Epoch::new(number)
    };
    assert!(opens(|own| Revision::new(own.epoch, Seq::new(3))));
    assert!(opens(|own| Revision::new(epoch(own, 1), Seq::new(1))));
    assert!(!opens(|own| own));
    assert!(!opens(|own| Revision::new(own.epoch, Seq::new(1))));
    assert!(!opens(|own| Revision::new(epoch(own, -1), Seq::new(9))));
    assert!(!opens(|_| Revision::NONE));
}

#[test]
fn later_head_than_the_offered_one_is_followed_by_a_snapshot() {
    let mut lone = written();
    let (post, first) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    lone.answer(&post, &[]);
    let offered = header(&first);
    write(&mut lone, "net/mtu", 3);
    let own = head(&lone);
    assert!(offered.seq < own.seq);
    lone.run(10_000);
    acknowledge_actual(&mut lone, own);
    assert_eq!(head(&lone), own);
    let (_, second) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    assert_eq!(header(&second).seq, own.seq);
}

/// Shows evidence about one revision; tells whether the device left its epoch for it.
fn leaves(held: Revision, state: &State, lone: &mut Lone) -> bool {
    let before = head(lone);
    let proof = Proof {
        message_id: MessageId::from_bytes([1; 32]),
        envelope: None,
    };
    let shown = evidence(lone, EvidenceCode::WriterBehind, held, state, &proof);
    serve_item(lone, Some(Plane::Actual), &shown);
    assert_eq!(lone.rejects(), []);
    head(lone).epoch > before.epoch
}

#[test]
fn evidence_about_what_the_own_history_covers_changes_nothing() {
    let (own, other) = (numbers(&[("net/mtu", 2)]), numbers(&[("z/z", 9)]));
    let mut lone = written();
    let before = restarted(&mut lone, 1)[0];
    write(&mut lone, "net/mtu", 3);
    write(&mut lone, "net/mtu", 2);
    let present = head(&lone);
    assert_eq!(present.seq, Seq::new(3));
    for (held, state) in [
        (before, &own),
        (Revision::new(before.epoch, Seq::new(1)), &other),
        (present, &own),
        (Revision::new(present.epoch, Seq::new(2)), &other),
    ] {
        assert!(!leaves(held, state, &mut lone), "{held}");
    }
    assert_eq!(head(&lone), present);
}

#[test]
fn evidence_about_what_it_does_not_cover_is_continued() {
    let (own, other) = (numbers(&[("net/mtu", 2)]), numbers(&[("z/z", 9)]));
    type Place = fn(Revision, Revision) -> Revision;
    let cases: [(Place, &State); 5] = [
        (|_, present| present, &other),
        (|_, present| Revision::new(present.epoch, Seq::new(4)), &own),
        (|before, _| before, &other),
        (|before, _| Revision::new(before.epoch, Seq::new(3)), &own),
        (
            |before, _| Revision::new(Epoch::new(before.epoch.number() - 1), Seq::new(1)),
            &own,
        ),
    ];
    for (held, state) in cases {
        let mut lone = written();
        let before = restarted(&mut lone, 1)[0];
        write(&mut lone, "net/mtu", 3);
        write(&mut lone, "net/mtu", 2);
        let held = held(before, head(&lone));
        assert!(leaves(held, state, &mut lone), "{held}");
        assert!(lineage(&mut lone).contains(&held), "{held}");
    }
}

/// A state of sections with names of these lengths.
fn wide(names: &[usize]) -> State {
    let entries = names.iter().enumerate().map(|(at, length)| {
        let name = alloc::format!("{at:03}{}", "x".repeat(length - 3));
        let path = Path::parse(&alloc::format!("{name}/k")).unwrap();
        (path, Value::Null)
    });
    State::from_entries(entries).unwrap()
}

//= spec/postern.md#digest type=test
//# A state MUST NOT hold more than 512 sections or bodies of more than 1048576 bytes in
//# sum, else `state-oversize`.
#[test]
fn table_that_leaves_no_room_for_the_longest_lineage_is_oversize() {
    let keyed = || Digester::Keyed(DigestKey::from_bytes([1; 32]));
    let oversize = Err(Reject::StateOversize);
    // An envelope of 48128 bytes, 160 of them around the payload, 3522 for the lineage: 44446. Two for the map, and for each
    // row 36 beside the name.
    let mut names = [[253; 38].as_slice(), &[250; 117]].concat();
    assert_eq!(check_table(&wide(&names)), Ok(()));
    names[154] = 251;
    assert_eq!(check_table(&wide(&names)), oversize);
    // 35 more where each row has two digests.
    let readable = wide(&[250; 139]);
    assert_eq!(check_table(&readable), Ok(()));
    assert_eq!(check_table(&readable.under(keyed()).unwrap()), oversize);
    let fitting = wide(&[250; 138]).under(keyed()).unwrap();
    assert_eq!(check_table(&fitting), Ok(()));
    assert_ne!(*readable.root(), digest_of(0));
}
