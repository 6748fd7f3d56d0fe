//! Receipts on their way to a device: each session is woken once, and answers bring them until a poll
//! names them.

use super::{answer, channel_id, delta, open, post, report, revision, step, with_snapshot};
use crate::exchange::{Exchanges, Step};
use crate::fixtures::{channel, mailbox_signer, snapshot_of};
use crate::limits::ANSWER_ITEMS_BYTES_MAX;
use crate::mailbox::Stamp;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{Poll, UpFrame};
use postern_protocol::id::{MessageId, TenantId};
use postern_protocol::receipt::Receipt;
use postern_protocol::revision::{BundleNumber, Generation, ReceiptNumber, Seq, StoreEpoch};
use postern_protocol::session::ClientSession;

const STORE: u64 = 77;

fn receipt(number: u64) -> Vec<u8> {
    let receipt = Receipt {
        store: StoreEpoch::new(STORE),
        number: Seq::new(number),
        message: MessageId::from_bytes([6; 32]),
        channel: channel_id(),
        code: 118,
    };
    let sealed = receipt.seal(channel().root, &channel().tenant, mailbox_signer().as_ref());
    sealed.unwrap().into_bytes()
}

/// Shows a receipt as a commit does; tells whether the device may have news.
fn put(exchanges: &mut Exchanges, number: u64) -> bool {
    let mailboxes = &mut exchanges.mailboxes;
    let mut lanes = mailboxes.lanes(channel_id());
    let envelope = receipt(number);
    let received = ReceivedEnvelope::parse(&envelope).unwrap();
    lanes
        .desired
        .keep_receipt(&received, Stamp::default(), true);
    let tenant = TenantId::of(channel().root, &channel().tenant);
    mailboxes.install(channel_id(), tenant, lanes, 0).letters
}

fn named(store: u64, number: u64) -> Option<ReceiptNumber> {
    Some(ReceiptNumber {
        store: StoreEpoch::new(store),
        number: Seq::new(number),
    })
}

/// Polls, naming a receipt; returns the envelopes, whether the poll was held, and what may go.
fn idle(
    exchanges: &mut Exchanges,
    session: &mut ClientSession,
    receipt: Option<ReceiptNumber>,
) -> (Vec<Vec<u8>>, bool, Option<ReceiptNumber>) {
    let poll = Poll {
        hold_s: 60,
        bundle: BundleNumber::new(0),
        acked: None,
        desired: revision(1, 1),
        actual: None,
        receipt,
    };
    let request = session.seal_request(&UpFrame::Poll(poll)).unwrap();
    let handled = exchanges.handle_frame(&request.bytes, 0).unwrap();
    let (frame, was_held) = match handled.step {
        Step::Answer(frame) => (frame, false),
        Step::Hold(held) => {
            assert!(!exchanges.has_news(&held));
            let frame = exchanges.release(&held, held.until_ms, None).unwrap();
            (frame, true)
        }
        other @ (Step::Limited(..)
        | Step::Stream(_)
        | Step::Post(_)
        | Step::Put(_)
        | Step::Writer(_)) => {
            panic!("{other:?}")
        }
    };
    let items = answer(session, request.counter, &frame).items;
    let items = items.iter().map(|item| item.envelope.to_vec());
    (items.collect(), was_held, handled.receipt)
}

//= spec/relays.md#receipt type=test
//# A mailbox MUST give a device the receipt that it holds for it with each answer to a poll or a post
//# that has room for it, until a poll names it.
//= spec/relays.md#receipt type=test
//# A mailbox MUST answer a poll because of a receipt alone at most once in a session.
#[test]
fn receipt_wakes_a_session_once_and_rides_on_answers_until_it_is_named() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    assert!(put(&mut exchanges, 5));
    let at_once = idle(&mut exchanges, &mut session, None);
    assert_eq!(at_once, (vec![receipt(5)], false, None));
    for _ in 0..3 {
        let later = idle(&mut exchanges, &mut session, None);
        assert_eq!(later, (vec![receipt(5)], true, None));
    }
    let request = post(&mut session, &[report(1, 1)]);
    let Step::Post(posted) = step(&mut exchanges, &request.bytes, 0) else {
        panic!("not a post");
    };
    let frame = exchanges.answer_post(&posted, &[], &[], false, None);
    let frame = frame.unwrap();
    let items = answer(&session, request.counter, &frame).items;
    assert_eq!(items[0].envelope, receipt(5));
    exchanges.end_post(channel_id());
    let is_named = idle(&mut exchanges, &mut session, named(STORE, 5));
    assert_eq!(is_named, (vec![], true, named(STORE, 5)));
    let after = idle(&mut exchanges, &mut session, None);
    assert_eq!(after, (vec![], true, None));
}

#[test]
fn new_session_and_newer_receipt_wake_once_more() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    put(&mut exchanges, 5);
    assert!(!idle(&mut exchanges, &mut session, None).1);
    let mut session = open(&mut exchanges, 2);
    let again = idle(&mut exchanges, &mut session, None);
    assert_eq!(again, (vec![receipt(5)], false, None));
    put(&mut exchanges, 6);
    let newer = idle(&mut exchanges, &mut session, None);
    assert_eq!(newer, (vec![receipt(6)], false, None));
}

#[test]
fn receipt_that_another_store_or_an_older_number_names_stays() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    put(&mut exchanges, 5);
    for other in [named(STORE, 4), named(STORE + 1, 9), named(STORE - 1, 9)] {
        let (items, _, may_go) = idle(&mut exchanges, &mut session, other);
        assert_eq!((items, may_go), (vec![receipt(5)], None));
    }
    // The word for the former receipt says nothing about the next one.
    idle(&mut exchanges, &mut session, named(STORE, 5));
    put(&mut exchanges, 6);
    let next = idle(&mut exchanges, &mut session, named(STORE, 5));
    assert_eq!(next, (vec![receipt(6)], false, None));
}

#[test]
fn word_for_a_receipt_that_nobody_gave_ends_nothing() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let nothing = idle(&mut exchanges, &mut session, named(STORE, u64::MAX));
    assert_eq!(nothing, (vec![], true, None));
}

#[test]
fn receipt_that_does_not_fit_waits_for_the_next_answer() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let room = ANSWER_ITEMS_BYTES_MAX - delta(1, 1, 2).len();
    let large = crate::fixtures::delta_of(1, 1, 2, 2, room - 100);
    let first = Generation::new(1);
    let posted = exchanges
        .mailboxes
        .post_delta(channel_id(), first, &large)
        .map(|_| ());
    assert_eq!(posted, Ok(()));
    put(&mut exchanges, 5);
    let full = idle(&mut exchanges, &mut session, None);
    assert_eq!(full, (vec![large], false, None));
    let snapshot = snapshot_of(1, 3, 3, &[]);
    let mailboxes = &mut exchanges.mailboxes;
    mailboxes
        .post_snapshot(channel_id(), first, &snapshot, [])
        .unwrap();
    let (items, ..) = idle(&mut exchanges, &mut session, None);
    assert_eq!(items, [snapshot, receipt(5)]);
}
