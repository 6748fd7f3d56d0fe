//! How much a mailbox takes and gives: chains, quotas, memory, and the bytes of one answer.

use super::*;

//= spec/postern.md#mailboxes type=test
//# A mailbox MUST refuse a delta that would make more than 64 deltas or 131072 bytes of deltas in a
//# chain with `quota`, which asks its writer for a snapshot.
#[test]
fn chain_beyond_its_bounds_refuses_and_asks_for_a_snapshot() {
    let mut mailboxes = Mailboxes::default();
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 1), [])
        .unwrap();
    assert_eq!(mailboxes.wants_snapshot(channel_id()), None);
    for seq in 1..=CHAIN_DELTAS_MAX as u64 {
        mailboxes
            .post_delta(channel_id(), FIRST, &delta(1, seq, seq + 1))
            .unwrap();
    }
    let long = Some(SnapshotWish::ChainLong);
    assert_eq!(mailboxes.wants_snapshot(channel_id()), long);
    let next = delta(1, 65, 66);
    let posted = mailboxes.post_delta(channel_id(), FIRST, &next);
    assert_eq!(posted, Err(Reject::Quota));
    let gap = Some(SnapshotWish::Gap);
    assert_eq!(mailboxes.wants_snapshot(channel_id()), gap);
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 66), [])
        .unwrap();
    assert_eq!(mailboxes.wants_snapshot(channel_id()), None);
}

//= spec/postern.md#mailboxes type=test
//# A mailbox MUST refuse a delta that would make more than 64 deltas or 131072 bytes of deltas in a
//# chain with `quota`, which asks its writer for a snapshot.
#[test]
fn chain_with_large_deltas_refuses_by_bytes() {
    let mut mailboxes = Mailboxes::default();
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 1), [])
        .unwrap();
    for seq in 1..4 {
        let large = delta_of(1, seq, seq + 1, seq, 32_000);
        mailboxes.post_delta(channel_id(), FIRST, &large).unwrap();
    }
    let over = delta_of(1, 4, 5, 5, 40_000);
    let posted = mailboxes.post_delta(channel_id(), FIRST, &over);
    assert_eq!(posted, Err(Reject::Quota));
    assert_eq!(mailboxes.head(channel_id()), Some(revision(1, 4)));
}

//= spec/postern.md#mailboxes type=test
//# A mailbox MUST answer a poll with bundles that lead from the poll's number to the newest,
//# ascending, then the chain, then the slots, as much as fits into one frame.
#[test]
fn collect_beyond_a_frame_stops_in_order_and_the_next_poll_continues() {
    let mut mailboxes = Mailboxes::default();
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 1), [])
        .unwrap();
    for seq in 1..4 {
        let large = delta_of(1, seq, seq + 1, seq, 20_000);
        mailboxes.post_delta(channel_id(), FIRST, &large).unwrap();
    }
    mailboxes
        .post_report_ack(channel_id(), &report_ack(1, 1))
        .unwrap();
    let mut poll = heads(revision(1, 1));
    poll.acked = Some(Seq::new(0));
    assert_eq!(mailboxes.collect(channel_id(), &poll).len(), 2);
    poll.desired = revision(1, 3);
    let entries = mailboxes.collect(channel_id(), &poll);
    assert_eq!(
        envelopes(&entries),
        [delta_of(1, 3, 4, 3, 20_000), report_ack(1, 1)]
    );
}

//= spec/postern.md#post type=test
//# A mailbox without room MUST refuse with `quota` and leave what it holds in place.
#[test]
fn mailbox_over_quota_refuses_and_keeps_what_it_has() {
    let limits = MailboxLimits {
        bytes_max: 2_000,
        ..MailboxLimits::default()
    };
    let mut mailboxes = Mailboxes::new(limits);
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 1), [])
        .unwrap();
    let before = mailboxes.bytes();
    let body = vec![vec![0; 2_000]];
    let large = snapshot_of(1, 2, 2, &body);
    let refused = mailboxes.post_snapshot(channel_id(), FIRST, &large, body);
    assert_eq!(refused, Err(Reject::Quota));
    let large = delta_of(1, 1, 2, 2, 2_000);
    let refused = mailboxes.post_delta(channel_id(), FIRST, &large);
    assert_eq!(refused, Err(Reject::Quota));
    assert_eq!(mailboxes.bytes(), before);
    assert_eq!(mailboxes.head(channel_id()), Some(revision(1, 1)));
}

#[test]
fn mailboxes_over_their_memory_refuse_growth_but_let_go() {
    let limits = MailboxLimits {
        total_bytes_max: 400,
        ..MailboxLimits::default()
    };
    let mut mailboxes = Mailboxes::new(limits);
    let other = crate::fixtures::named_channel("press-2").id();
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 1), [])
        .unwrap();
    let refused = mailboxes.post_snapshot(other, FIRST, &large_snapshot(), [large_body()]);
    assert_eq!(refused, Err(Reject::Overloaded));
    assert_eq!(mailboxes.head(other), None);
    mailboxes.remove(channel_id());
    assert_eq!(mailboxes.bytes(), 0);
    assert_eq!(mailboxes.head(channel_id()), None);
}

fn large_body() -> Vec<u8> {
    vec![0; 300]
}

fn large_snapshot() -> Vec<u8> {
    snapshot_of(1, 1, 1, &[large_body()])
}
