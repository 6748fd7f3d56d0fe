//! What stands beside the chain: acknowledgements, bundles, and the marks that are left of them.

use super::*;

//= spec/postern.md#mailboxes type=test
//# A slot MUST hold the highest envelope of its kind, in the order that the kind compares by.
//= spec/postern.md#mailboxes type=test
//# A mailbox MUST send a report-ack when the poll's acked rseq is a number below the ack's.
#[test]
fn report_ack_only_rises_and_goes_only_to_who_waits() {
    let mut mailboxes = Mailboxes::default();
    let mut post = |epoch, rseq| mailboxes.post_report_ack(channel_id(), &report_ack(epoch, rseq));
    assert_eq!(post(2, 5), Ok(Posted::Kept));
    assert_eq!(post(2, 5), Ok(Posted::Held));
    assert_eq!(post(2, 4), Ok(Posted::Older));
    assert_eq!(post(1, 9), Ok(Posted::Older));
    assert_eq!(post(2, 6), Ok(Posted::Kept));
    let wrong = mailboxes.post_report_ack(channel_id(), &report(2, 7));
    assert_eq!(wrong, Err(Reject::SignerRole));
    let check = |acked: Option<u64>, expected: usize| {
        let mut poll = heads(Revision::NONE);
        poll.acked = acked.map(Seq::new);
        let entries = mailboxes.collect(channel_id(), &poll);
        assert_eq!(entries.len(), expected, "{acked:?}");
    };
    check(None, 0);
    check(Some(6), 0);
    check(Some(7), 0);
    check(Some(5), 1);
    check(Some(0), 1);
}

//= spec/postern.md#mailboxes type=test
//# A mailbox MUST answer a poll with bundles that lead from the poll's number to the newest,
//# ascending, then the chain, then the slots, as much as fits into one frame.
#[test]
fn bundles_reach_readers_ascending_and_before_the_chain() {
    let mut mailboxes = filled();
    let steps = bundle_steps(&[bundle(1), bundle(2), bundle(3)]);
    mailboxes.show_bundles(&steps).unwrap();
    let mut poll = heads(revision(10, 6));
    poll.bundle = BundleNumber::new(1);
    let entries = mailboxes.collect(channel_id(), &poll);
    assert_eq!(envelopes(&entries), [bundle(2), bundle(3), delta(10, 6, 7)]);
    assert_eq!(entries[0].plane, None);
    poll.bundle = BundleNumber::new(3);
    assert_eq!(mailboxes.collect(channel_id(), &poll).len(), 1);
    poll.bundle = BundleNumber::new(9);
    assert_eq!(mailboxes.collect(channel_id(), &poll).len(), 1);
}

#[test]
fn bundles_that_are_older_or_too_large_do_not_replace_what_is_shown() {
    let limits = MailboxLimits {
        bundles_bytes_max: 2_000,
        ..MailboxLimits::default()
    };
    let mut mailboxes = Mailboxes::new(limits);
    let mut check = |envelopes: &[Vec<u8>], expected| {
        assert_eq!(mailboxes.show_bundles(&bundle_steps(envelopes)), expected);
    };
    check(&[bundle(4)], Ok(Posted::Kept));
    check(&[bundle(4)], Ok(Posted::Held));
    check(&[bundle(3)], Ok(Posted::Older));
    check(&[], Ok(Posted::Older));
    check(&[bundle(4), bundle_of(5, 2_000)], Err(Reject::Quota));
    check(&[bundle(4), bundle(6)], Ok(Posted::Kept));
    assert_eq!(mailboxes.bundle_number(), BundleNumber::new(6));
}

#[test]
fn bundle_that_a_later_one_makes_needless_is_shown_no_longer() {
    let mut mailboxes = filled();
    let mut shown = bundle_steps(&[bundle(1), bundle(2), bundle(5)]);
    mailboxes.show_bundles(&shown).unwrap();
    shown[2].from = BundleNumber::new(2);
    mailboxes.show_bundles(&shown).unwrap();
    let mut poll = heads(revision(10, 7));
    let mut check = |held, expected: &[Vec<u8>]| {
        poll.bundle = BundleNumber::new(held);
        let entries = mailboxes.collect(channel_id(), &poll);
        assert_eq!(envelopes(&entries), expected, "{held}");
    };
    check(0, &[bundle(1), bundle(2), bundle(5)]);
    check(1, &[bundle(2), bundle(5)]);
    for held in [2, 3, 4] {
        check(held, &[bundle(5)]);
    }
    check(5, &[]);
}

#[test]
fn bundles_beyond_a_frame_hold_the_chain_back() {
    let mut mailboxes = filled();
    let steps = bundle_steps(&[bundle_of(1, 40_000), bundle_of(2, 40_000)]);
    mailboxes.show_bundles(&steps).unwrap();
    let entries = mailboxes.collect(channel_id(), &heads(Revision::NONE));
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].plane, None);
}

//= spec/postern.md#mailboxes type=test
//# A mailbox MUST keep the high-water mark of a chain and a slot after delivery.
//= spec/postern.md#mailboxes type=test
//# A mailbox MUST NOT drop an entry because it was sent; only a higher entry or a later poll's head
//# shows that it arrived.
#[test]
fn delivery_drops_nothing_and_forgets_no_mark() {
    let mut mailboxes = filled();
    mailboxes
        .post_report_ack(channel_id(), &report_ack(3, 2))
        .unwrap();
    let mut poll = heads(Revision::NONE);
    poll.acked = Some(Seq::new(0));
    let first = envelopes(&mailboxes.collect(channel_id(), &poll));
    for _ in 0..3 {
        let again = envelopes(&mailboxes.collect(channel_id(), &poll));
        assert_eq!(again, first, "what was sent may be lost on the way");
    }
    poll.desired = revision(10, 7);
    poll.acked = Some(Seq::new(2));
    assert!(mailboxes.collect(channel_id(), &poll).is_empty());
    let older = mailboxes.post_delta(channel_id(), FIRST, &delta(10, 5, 6));
    assert_eq!(older, Ok(Posted::Older));
    let older = mailboxes.post_snapshot(channel_id(), FIRST, &snapshot(10, 6), []);
    assert_eq!(older, Ok(Posted::Older));
    let older = mailboxes.post_report_ack(channel_id(), &report_ack(3, 1));
    assert_eq!(older, Ok(Posted::Older));
    assert_eq!(mailboxes.head(channel_id()), Some(revision(10, 7)));
}
