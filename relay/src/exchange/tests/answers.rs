//! What an answer may say: items under their own plane, snapshots that are held, nothing from heads.

use super::{FIRST, exchanges, open, step, with_snapshot};
use crate::exchange::Step;
use crate::fixtures::{
    answer, bundle, bundle_steps, channel_id, delta, poll_for_ack, poll_of, report_ack, revision,
};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::UpFrame;
use postern_protocol::id::Plane;
use postern_protocol::revision::Revision;

//= spec/postern.md#frames type=test
//# A sender MUST NOT send an item whose plane is not the one of the kind.
#[test]
fn items_of_an_answer_name_a_plane_of_their_kind() {
    let mut exchanges = with_snapshot();
    let mailboxes = &mut exchanges.mailboxes;
    mailboxes.show_bundles(&bundle_steps(&[bundle(1)])).unwrap();
    mailboxes
        .post_delta(channel_id(), FIRST, &delta(1, 1, 2))
        .unwrap();
    mailboxes
        .post_report_ack(channel_id(), &report_ack(1, 1))
        .unwrap();
    let mut session = open(&mut exchanges, 1);
    let request = poll_for_ack(&mut session, 0, Revision::NONE);
    let Step::Answer(frame) = step(&mut exchanges, &request.bytes, 1) else {
        panic!("not answered");
    };
    let items = answer(&session, request.counter, &frame).items;
    assert_eq!(items.len(), 4);
    for item in items {
        let received = ReceivedEnvelope::parse(item.envelope).unwrap();
        let kind = received.unverified_header().kind;
        assert!(kind.signer_for(item.plane).is_some(), "{kind:?}");
    }
}

//= spec/postern.md#poll type=test
//# A mailbox MUST NOT take the heads in a poll as a report.
#[test]
fn heads_of_a_poll_change_nothing_that_is_held() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let before = exchanges.mailboxes.bytes();
    for head in [revision(1, 1), revision(1, 9), revision(9, 9)] {
        let request = poll_of(&mut session, 60, head, Some(head));
        let handled = exchanges.handle_frame(&request.bytes, 1).unwrap();
        assert!(matches!(handled.step, Step::Answer(_) | Step::Hold(_)));
        assert_eq!(exchanges.mailboxes.head(channel_id()), Some(revision(1, 1)));
        let actual = exchanges.mailboxes.actual_head(channel_id());
        assert_eq!(actual, Revision::NONE);
        assert_eq!(exchanges.mailboxes.bytes(), before);
    }
}

//= spec/postern.md#need type=test
//# A mailbox MUST answer a need from the snapshot it holds and never have one signed for it.
#[test]
fn need_of_a_mailbox_that_holds_nothing_is_answered_with_nothing() {
    let mut exchanges = exchanges();
    let mut session = open(&mut exchanges, 1);
    let need = UpFrame::Need {
        plane: Plane::Desired,
        held: Revision::NONE,
    };
    let request = session.seal_request(&need).unwrap();
    let Step::Answer(frame) = step(&mut exchanges, &request.bytes, 1) else {
        panic!("not answered at once");
    };
    assert!(answer(&session, request.counter, &frame).items.is_empty());
    assert_eq!(exchanges.mailboxes.bytes(), 0);
}
