//! The chain of a channel and what readers see of it.

mod bounds;
mod diagram;
mod slots;

use super::{Entry, Heads, MailboxLimits, Mailboxes, Posted, SnapshotWish};
use crate::fixtures::{
    bundle, bundle_of, bundle_steps, channel_id, delta, delta_of, digest, report, report_ack,
    revision, snapshot, snapshot_of,
};
use crate::limits::ANSWER_ITEMS_BYTES_MAX;
use postern_protocol::Reject;
use postern_protocol::id::{Digest, Plane};
use postern_protocol::limits::{BODY_CHUNK_BYTES_MAX, CHAIN_DELTAS_MAX};
use postern_protocol::revision::{BundleNumber, Generation, Revision, Seq};

const FIRST: Generation = Generation::new(1);
const SECOND: Generation = Generation::new(2);

fn heads(desired: Revision) -> Heads {
    Heads {
        desired,
        acked: None,
        bundle: BundleNumber::new(0),
        actual: None,
    }
}

/// A mailbox whose chain is snapshot 5, delta 6, delta 7 in epoch 10.
fn filled() -> Mailboxes {
    let mut mailboxes = Mailboxes::default();
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(10, 5), [])
        .unwrap();
    for base in 5..7 {
        mailboxes
            .post_delta(channel_id(), FIRST, &delta(10, base, base + 1))
            .unwrap();
    }
    mailboxes
}

fn envelopes(entries: &[Entry]) -> Vec<Vec<u8>> {
    entries
        .iter()
        .map(|entry| entry.envelope.to_vec())
        .collect()
}

//= spec/postern.md#mailboxes type=test
//# From the chain a mailbox MUST send the deltas after the poll's head when the head lies on the
//# chain, nothing when it is the chain's head, and snapshot with deltas otherwise.
#[test]
fn collect_by_head_gives_exactly_what_is_newer() {
    let mailboxes = filled();
    let check = |head: Revision, expected: &[Vec<u8>]| {
        let entries = mailboxes.collect(channel_id(), &heads(head));
        assert_eq!(envelopes(&entries), expected, "{head}");
        let is_desired = |entry: &Entry| entry.plane == Some(Plane::Desired);
        assert!(entries.iter().all(is_desired));
    };
    let all = [snapshot(10, 5), delta(10, 5, 6), delta(10, 6, 7)];
    check(revision(10, 7), &[]);
    check(revision(10, 6), &all[2..]);
    check(revision(10, 5), &all[1..]);
    check(Revision::NONE, &all);
    check(revision(9, 6), &all);
    check(revision(10, 4), &all);
    // A reader ahead of a restored writer must learn of it, not sleep.
    check(revision(10, 8), &all);
    check(revision(11, 1), &all);
}

//= spec/postern.md#mailboxes type=test
//# A delta that continues the chain's head MUST be appended.
#[test]
fn post_delta_that_does_not_fit_is_refused_and_named() {
    let check = |generation: Generation, envelope: Vec<u8>, expected: Result<Posted, Reject>| {
        let mut mailboxes = filled();
        let posted = mailboxes.post_delta(channel_id(), generation, &envelope);
        assert_eq!(posted, expected);
        if posted != Ok(Posted::Kept) {
            assert_eq!(mailboxes.head(channel_id()), Some(revision(10, 7)));
        }
    };
    check(FIRST, delta(10, 7, 8), Ok(Posted::Kept));
    check(FIRST, delta(10, 7, 12), Ok(Posted::Kept));
    check(FIRST, delta(10, 6, 7), Ok(Posted::Held));
    check(FIRST, delta(10, 5, 6), Ok(Posted::Older));
    check(FIRST, delta(10, 8, 9), Err(Reject::BaseNewer));
    check(FIRST, delta(10, 6, 8), Err(Reject::BaseOlder));
    check(FIRST, delta(9, 7, 8), Err(Reject::EpochStale));
    check(FIRST, delta(11, 7, 8), Err(Reject::EpochNeedsSnapshot));
    check(SECOND, delta(10, 7, 8), Err(Reject::EpochNeedsSnapshot));
    check(
        Generation::new(0),
        delta(10, 7, 8),
        Err(Reject::GenerationStale),
    );
    check(FIRST, delta_of(10, 6, 7, 99, 4), Err(Reject::Equivocation));
    check(FIRST, snapshot(10, 8), Err(Reject::SignerRole));
    check(FIRST, vec![0x80], Err(Reject::Shape));
    check(FIRST, Vec::new(), Err(Reject::CborTruncated));
}

#[test]
fn post_delta_before_any_snapshot_is_refused_and_nothing_kept() {
    let mut mailboxes = Mailboxes::default();
    let posted = mailboxes.post_delta(channel_id(), FIRST, &delta(10, 5, 6));
    assert_eq!(posted, Err(Reject::NothingStored));
    assert_eq!(mailboxes.bytes(), 0);
    assert_eq!(
        mailboxes.wants_snapshot(channel_id()),
        Some(SnapshotWish::NothingHeld)
    );
}

//= spec/postern.md#mailboxes type=test
//# A snapshot that ranks above the chain's head as (generation, epoch, seq) MUST replace the chain.
#[test]
fn post_snapshot_replaces_only_what_it_outranks() {
    let check = |generation: Generation, envelope: Vec<u8>, expected, head| {
        let mut mailboxes = filled();
        let posted = mailboxes.post_snapshot(channel_id(), generation, &envelope, []);
        assert_eq!(posted, expected);
        assert_eq!(mailboxes.head(channel_id()), Some(head));
    };
    let unchanged = revision(10, 7);
    check(FIRST, snapshot(10, 9), Ok(Posted::Kept), revision(10, 9));
    check(FIRST, snapshot(11, 1), Ok(Posted::Kept), revision(11, 1));
    check(SECOND, snapshot(3, 1), Ok(Posted::Kept), revision(3, 1));
    check(FIRST, snapshot(10, 7), Ok(Posted::Kept), unchanged);
    check(FIRST, snapshot(10, 6), Ok(Posted::Older), unchanged);
    check(FIRST, snapshot(9, 99), Ok(Posted::Older), unchanged);
    check(
        Generation::new(0),
        snapshot(99, 99),
        Ok(Posted::Older),
        unchanged,
    );
    check(
        FIRST,
        snapshot_of(10, 7, 99, &[]),
        Err(Reject::Equivocation),
        unchanged,
    );
    check(FIRST, delta(10, 7, 8), Err(Reject::SignerRole), unchanged);
    check(FIRST, report(10, 8), Err(Reject::SignerRole), unchanged);
}

//= spec/postern.md#mailboxes type=test
//# A snapshot MUST NOT be replaced by a delta.
#[test]
fn snapshot_of_the_head_compacts_and_a_delta_never_replaces_it() {
    let mut mailboxes = filled();
    mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(10, 7), [])
        .unwrap();
    let posted = mailboxes.post_delta(channel_id(), FIRST, &delta(10, 6, 7));
    assert_eq!(posted, Ok(Posted::Held));
    let entries = mailboxes.collect(channel_id(), &heads(Revision::NONE));
    assert_eq!(envelopes(&entries), [snapshot(10, 7)]);
    let again = mailboxes.post_snapshot(channel_id(), FIRST, &snapshot(10, 7), []);
    assert_eq!(again, Ok(Posted::Held));
}

//= spec/postern.md#mailboxes type=test
//# A mailbox MUST hold every body that a snapshot in its chain names.
//= spec/postern.md#mailboxes type=test
//# A mailbox MUST NOT drop the last entry that a recipient could use for one that it cannot prove
//# acceptable.
#[test]
fn snapshot_without_all_bodies_is_refused_and_the_chain_stays() {
    let bodies = [vec![0xa0], vec![1; 40_000], vec![2; 70_000]];
    let mut mailboxes = filled();
    let check = |mailboxes: &mut Mailboxes, named: &[Vec<u8>], given: Vec<Vec<u8>>, expected| {
        let envelope = snapshot_of(10, 8, 8, named);
        let posted = mailboxes.post_snapshot(channel_id(), FIRST, &envelope, given);
        assert_eq!(posted, expected);
    };
    let missing = Err(Reject::BodyMismatch);
    check(&mut mailboxes, &bodies[..1], vec![], missing);
    check(&mut mailboxes, &bodies[..1], vec![vec![0xa1]], missing);
    check(
        &mut mailboxes,
        &bodies[..2],
        vec![bodies[0].clone()],
        missing,
    );
    let oversize = Err(Reject::SectionOversize);
    check(&mut mailboxes, &bodies, bodies.to_vec(), oversize);
    assert_eq!(mailboxes.head(channel_id()), Some(revision(10, 7)));
    let all = vec![bodies[0].clone(), bodies[1].clone()];
    check(&mut mailboxes, &bodies[..2], all, Ok(Posted::Kept));
}

#[test]
fn snapshot_may_leave_out_bodies_that_are_held() {
    let bodies = [vec![0xa0], vec![0xa1, 0x00, 0x00]];
    let mut mailboxes = Mailboxes::default();
    mailboxes
        .post_snapshot(
            channel_id(),
            FIRST,
            &snapshot_of(1, 1, 1, &bodies[..1]),
            bodies[..1].to_vec(),
        )
        .unwrap();
    let posted = mailboxes.post_snapshot(
        channel_id(),
        FIRST,
        &snapshot_of(1, 2, 2, &bodies),
        bodies[1..].to_vec(),
    );
    assert_eq!(posted, Ok(Posted::Kept));
    let wanted = [(Digest::of(&bodies[0]), 0), (Digest::of(&bodies[1]), 0)];
    assert_eq!(
        mailboxes
            .bodies(channel_id(), Plane::Desired, &wanted)
            .len(),
        2
    );
}

//= spec/postern.md#bodies type=test
//# A mailbox MUST leave out a digest that it does not hold, and chunks that do not fit into the
//# frame.
#[test]
fn bodies_by_offset_fit_a_frame_and_leave_out_what_is_not_there() {
    let bodies = [vec![1; 65_536], vec![2; 10]];
    let mut mailboxes = Mailboxes::default();
    let envelope = snapshot_of(1, 1, 1, &bodies);
    mailboxes
        .post_snapshot(channel_id(), FIRST, &envelope, bodies.to_vec())
        .unwrap();
    let (large, small) = (Digest::of(&bodies[0]), Digest::of(&bodies[1]));
    let check = |wanted: &[(Digest, u64)], expected: &[(Digest, u64, usize)]| {
        let chunks = mailboxes.bodies(channel_id(), Plane::Desired, wanted);
        let found: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.digest, chunk.offset, chunk.bytes.len()))
            .collect();
        assert_eq!(found, expected);
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        assert!(bytes <= ANSWER_ITEMS_BYTES_MAX);
    };
    check(&[(large, 0)], &[(large, 0, BODY_CHUNK_BYTES_MAX)]);
    check(&[(large, 65_535)], &[(large, 65_535, 1)]);
    check(&[(large, 65_536)], &[]);
    check(&[(large, u64::MAX)], &[]);
    check(&[(digest(99), 0), (small, 4)], &[(small, 4, 6)]);
    let rest = ANSWER_ITEMS_BYTES_MAX - BODY_CHUNK_BYTES_MAX - 2 * 56;
    let both = [(large, 0, BODY_CHUNK_BYTES_MAX), (large, 32_768, rest)];
    check(&[(large, 0), (large, 32_768), (small, 0)], &both);
}

//= spec/postern.md#need type=test
//# A mailbox MUST NOT serve more than one need of a plane in 5 s, else `need-limited`.
#[test]
fn need_twice_within_its_interval_is_limited_per_plane() {
    let mut mailboxes = filled();
    let mut check = |plane, now_ms, expected: Result<usize, Reject>| {
        let served = mailboxes.need(channel_id(), plane, now_ms);
        assert_eq!(served.map(|entries| entries.len()), expected, "{now_ms}");
    };
    check(Plane::Desired, 1_000, Ok(3));
    check(Plane::Desired, 1_001, Err(Reject::NeedLimited));
    check(Plane::Desired, 5_999, Err(Reject::NeedLimited));
    check(Plane::Actual, 2_000, Ok(0));
    check(Plane::Actual, 2_001, Err(Reject::NeedLimited));
    check(Plane::Desired, 6_000, Ok(3));
}

#[test]
fn mailboxes_of_other_channels_never_mix() {
    let mailboxes = filled();
    let other = crate::fixtures::named_channel("press-2").id();
    assert!(mailboxes.collect(other, &heads(Revision::NONE)).is_empty());
    assert!(
        mailboxes
            .bodies(other, Plane::Desired, &[(digest(1), 0)])
            .is_empty()
    );
    assert_eq!(mailboxes.head(other), None);
}

//= spec/postern.md#bodies type=test
//# `size` MUST be the length of the whole body.
//= spec/postern.md#bodies type=test
//# A chunk MUST hold 1 to 32768 bytes of the body from the offset that it names, else `shape`.
#[test]
fn chunk_names_the_length_of_the_whole_body() {
    let body = vec![1; 65_536];
    let mut mailboxes = Mailboxes::default();
    let envelope = snapshot_of(1, 1, 1, std::slice::from_ref(&body));
    mailboxes
        .post_snapshot(channel_id(), FIRST, &envelope, [body.clone()])
        .unwrap();
    for offset in [0, 1, 32_768, 65_535] {
        let wanted = [(Digest::of(&body), offset)];
        let chunks = mailboxes.bodies(channel_id(), Plane::Desired, &wanted);
        assert_eq!((chunks[0].size, chunks[0].offset), (65_536, offset));
        assert!((1..=BODY_CHUNK_BYTES_MAX).contains(&chunks[0].bytes.len()));
    }
}
