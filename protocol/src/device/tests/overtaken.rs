//! What something newer passed on its way: applications, snapshots, offers and cursors that come late.

use super::actual::{acknowledged, connected};
use super::speech::{acknowledge_actual, answer_hints, header, post_of, wanted, write};
use crate::Reject;
use crate::device::Input;
use crate::frame::{FrameType, Hints, Refusal};
use crate::id::Plane;
use crate::kind::MessageKind;
use crate::revision::Revision;
use crate::state::State;
use crate::testing::{Lone, at, numbers};
use alloc::vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

fn report_number(lone: &Lone) -> Revision {
    lone.node.engine.as_ref().unwrap().report_number()
}

#[test]
fn application_that_ends_behind_the_newest_revision_gives_way_to_it_at_once() {
    for status in [0, 3] {
        let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
        let one = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
        let two = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
        lone.serve(&[one]);
        lone.serve(&[two]);
        assert_eq!(lone.applies, [at(EPOCH, 6)], "one at a time");
        lone.apply(status, "");
        assert_eq!(lone.applies, [at(EPOCH, 7)], "{status}");
    }
}

#[test]
fn failure_that_repeats_is_told_and_kept_once() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(3, "broken");
    let (number, commits) = (report_number(&lone), lone.node.store.commits());
    for _ in 0..3 {
        while lone.applies.is_empty() {
            lone.run(10_000);
        }
        lone.apply(3, "broken");
    }
    assert_eq!(report_number(&lone), number);
    assert_eq!(lone.node.store.commits(), commits);
}

#[test]
fn snapshot_that_deltas_reached_while_it_was_fetched_is_dropped() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let snapshot = lone.seal_snapshot(&state(3), at(EPOCH, 7), vec![]);
    let one = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    let two = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
    lone.serve(&[snapshot, one, two]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 7)));
    let (events, commits) = (lone.node.events.len(), lone.node.store.commits());
    lone.serve_bodies(&state(3));
    let is_accepted =
        |event: &crate::device::Event| matches!(event, crate::device::Event::Accepted { .. });
    assert!(!lone.node.events[events..].iter().any(is_accepted));
    assert_eq!(lone.node.store.commits(), commits);
}

fn refused(reject: Reject) -> Hints {
    Hints {
        refused: vec![Refusal {
            index: 0,
            code: reject.code(),
        }],
        ..Hints::default()
    }
}

#[test]
fn cursor_at_an_offer_that_was_replaced_asks_for_no_further_snapshot() {
    let mut lone = connected();
    write(&mut lone, "net/mtu", 1);
    let (post, first) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    write(&mut lone, "net/mtu", 2);
    answer_hints(&mut lone, &post, refused(Reject::NothingStored));
    let (post, second) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    let (first, second) = (header(&first), header(&second));
    assert_eq!((first.seq.number(), second.seq.number()), (1, 2));
    lone.answer(&post, &[]);
    lone.run(10_000);
    acknowledge_actual(&mut lone, Revision::new(first.epoch, first.seq));
    lone.run(10_000);
    assert!(post_of(&mut lone, MessageKind::Snapshot).is_none());
}

#[test]
fn cursor_that_covers_no_earlier_epoch_is_not_kept() {
    let mut lone = acknowledged();
    let engine = lone.node.engine.as_mut().unwrap();
    assert!(engine.actual.take_covered().is_none());
    let held = engine.actual_acknowledged();
    assert_ne!(held, Revision::NONE);
}

//= spec/planes.md#actual type=test
//# A device MUST post an outstanding change again 60 s after it was posted, and in each new
//# session.
#[test]
fn offer_that_waits_is_posted_as_it_was_in_a_new_session() {
    let mut lone = connected();
    write(&mut lone, "net/mtu", 1);
    let (post, first) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    lone.answer(&post, &[]);
    write(&mut lone, "net/mtu", 2);
    lone.input(Input::OtherMailbox);
    lone.connect();
    let (_, again) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    assert_eq!(again, first);
}

#[test]
fn need_hint_is_followed_once_the_offer_is_whole_at_the_mailbox() {
    let need = || Hints {
        need: vec![Plane::Actual],
        ..Hints::default()
    };
    let mut lone = connected();
    write(&mut lone, "net/mtu", 1);
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    answer_hints(&mut lone, &post, wanted(&numbers(&[("net/mtu", 1)])));
    let put = lone.request(FrameType::Put).unwrap();
    let poll = lone.paced_poll();
    answer_hints(&mut lone, &poll, need());
    answer_hints(&mut lone, &put, Hints::default());
    lone.run(6_000);
    let again = post_of(&mut lone, MessageKind::Snapshot);
    assert!(again.is_none(), "its bodies were on their way");
    let poll = lone.paced_poll();
    answer_hints(&mut lone, &poll, need());
    lone.run(6_000);
    assert!(post_of(&mut lone, MessageKind::Snapshot).is_some());
}
