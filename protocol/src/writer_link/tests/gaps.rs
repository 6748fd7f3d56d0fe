//! Gaps of a mailbox: when a snapshot is asked for, and that nothing is brought which leads nowhere.

use super::deliver::{channel, state};
use super::desk::{Desk, refused};
use crate::frame::{FrameType, Hints};
use crate::id::Plane;
use crate::kind::MessageKind;
use crate::writer_link::Input;
use alloc::vec;

//= spec/relays.md#deliver type=test
//# A writer MUST NOT sign more than one snapshot of a channel in 5 s because of what one mailbox
//# says.
#[test]
fn snapshot_is_asked_for_once_in_5_s_whatever_the_mailbox_says() {
    let mut desk = Desk::open();
    let channel = channel(&desk);
    let hint = Hints {
        snapshots_wanted: vec![(channel, Plane::Desired), (channel, Plane::Actual)],
        ..Hints::default()
    };
    for (after_ms, wanted) in [(0, 1), (1, 0), (4_998, 0), (1, 1)] {
        desk.now_ms += after_ms;
        desk.push(|desk| desk.report_ack("press-8", desk.now_ms));
        let (asked, _) = desk.delivered();
        desk.answer(asked, hint.clone());
        assert_eq!(desk.wanted().len(), wanted, "{after_ms}");
    }
    desk.now_ms += 60_000;
    desk.push(|desk| desk.snapshot("press-7", 1, &state()));
    desk.hold();
    desk.collected(7, hint, vec![]);
    assert!(desk.wanted().is_empty(), "one waits already");
}

/// Delivers what waits and has its only letter refused because the mailbox has a gap.
fn refuse_for_a_gap(desk: &mut Desk) {
    let (asked, kinds) = desk.delivered();
    assert_eq!(kinds, [MessageKind::Delta]);
    desk.answer(asked, refused(0, 68));
}

//= spec/relays.md#deliver type=test
//# A writer that holds a snapshot back for that MUST sign it once the 5 s have passed, unless a newer one went out.
#[test]
fn snapshot_that_was_wanted_too_early_is_asked_for_when_it_may_be() {
    let mut desk = Desk::open();
    desk.push(|desk| desk.delta("press-7", 1, 2));
    refuse_for_a_gap(&mut desk);
    assert_eq!(desk.wanted().len(), 1);
    desk.push(|desk| desk.snapshot("press-7", 2, &state()));
    let (asked, _) = desk.delivered();
    desk.answer(asked, Hints::default());
    desk.now_ms += 1_000;
    desk.push(|desk| desk.delta("press-7", 8, 9));
    refuse_for_a_gap(&mut desk);
    assert!(desk.wanted().is_empty(), "one was signed a second ago");
    // What comes meanwhile leads nowhere, and asks for nothing either.
    desk.push(|desk| desk.delta("press-7", 9, 10));
    assert!(!desk.has_request(FrameType::Deliver));
    assert_eq!(desk.link.poll_timeout(), Some(desk.now_ms + 4_000));
    desk.now_ms += 3_999;
    desk.input(Input::Timeout);
    assert!(desk.wanted().is_empty());
    desk.now_ms += 1;
    desk.input(Input::Timeout);
    assert_eq!(desk.wanted(), [channel(&desk)]);
    desk.now_ms += 60_000;
    desk.input(Input::Timeout);
    assert!(desk.wanted().is_empty(), "once");
}

#[test]
fn snapshot_that_went_out_meanwhile_is_not_asked_for_again() {
    let mut desk = Desk::open();
    desk.push(|desk| desk.delta("press-7", 1, 2));
    refuse_for_a_gap(&mut desk);
    desk.push(|desk| desk.snapshot("press-7", 2, &state()));
    let (asked, _) = desk.delivered();
    desk.answer(asked, Hints::default());
    desk.push(|desk| desk.delta("press-7", 8, 9));
    refuse_for_a_gap(&mut desk);
    assert_eq!(desk.wanted().len(), 1, "the first one");
    desk.push(|desk| desk.snapshot("press-7", 9, &state()));
    desk.now_ms += 5_000;
    desk.input(Input::Timeout);
    assert!(desk.wanted().is_empty());
    assert_eq!(desk.delivered().1, [MessageKind::Snapshot]);
}

#[test]
fn snapshot_before_a_gap_is_not_brought() {
    let mut desk = Desk::new();
    desk.push(|desk| desk.snapshot("press-7", 1, &state()));
    desk.push(|desk| desk.delta("press-7", 1, 2));
    desk.push(|desk| desk.delta("press-7", 5, 6));
    assert_eq!(desk.wanted(), [channel(&desk)]);
    assert_eq!(desk.link.waiting_bytes(), 0);
    desk.connect();
    assert!(!desk.has_request(FrameType::Deliver));
    desk.push(|desk| desk.snapshot("press-7", 6, &state()));
    assert_eq!(desk.delivered().1, [MessageKind::Snapshot]);
}

#[test]
fn snapshot_of_the_plane_that_devices_write_is_never_asked_for() {
    let mut desk = Desk::open();
    let channel = channel(&desk);
    for (plane, wanted) in [(Plane::Actual, 0), (Plane::Desired, 1)] {
        desk.now_ms += 10_000;
        desk.hold();
        let hints = Hints {
            snapshots_wanted: vec![(channel, plane)],
            ..Hints::default()
        };
        desk.collected(7, hints, vec![]);
        assert_eq!(desk.wanted().len(), wanted, "{plane:?}");
    }
}
