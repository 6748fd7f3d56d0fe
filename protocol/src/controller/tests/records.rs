//! Records: what any released version wrote reads back, and damage is named.

use super::hand::Hand;
use crate::cbor::Writer;
use crate::controller::{Controller, Post};
use crate::envelope::ReceivedEnvelope;
use crate::id::Plane;
use crate::key::Signer as _;
use crate::record::Table;
use crate::revision::{Epoch, Revision, Seq};
use crate::state::State;
use crate::testing::{MemoryStore, TestKeys, at, numbers, signer};
use alloc::vec::Vec;

/// A member as version 0.1 wrote it, with an empty desired state at 60.4.
fn first_version(keys: &TestKeys) -> MemoryStore {
    let channel = keys.channel("press-7");
    let mut writer = Writer::new();
    writer.array(9).text("acme").text("press-7");
    writer.bytes(&[7; 16]);
    writer.bytes(signer("press-7").public_key().as_bytes());
    writer.uint(1).uint(60).uint(4);
    writer.bytes(State::empty().root().as_bytes());
    writer.array(1).array(3).uint(50).uint(9).bytes(&[1; 32]);
    let mut store = MemoryStore::default();
    let id = channel.id();
    store.overwrite(Table::Members, id.as_bytes(), Some(writer.into_bytes()));
    let mut epoch = Writer::new();
    epoch.uint(60);
    let epoch = Some(epoch.into_bytes());
    store.overwrite(Table::Identity, b"controller-epoch", epoch);
    let mut invitation = Writer::new();
    invitation.array(4).text("acme").text("press-8");
    invitation.bytes(&[5; 32]).null();
    let invitation = Some(invitation.into_bytes());
    store.overwrite(Table::Invitations, &[2; 8], invitation);
    store
}

#[test]
fn store_of_the_former_version_reads_back() {
    let keys = TestKeys::new();
    let store = first_version(&keys);
    let engine = Controller::restore(keys.trust(), store.rows()).unwrap();
    let member = engine.member_of(keys.channel("press-7").id()).unwrap();
    assert!(member.is_enrolled() && !member.has_left() && !member.is_cloned());
    let revision = member.head().revision;
    assert_eq!(
        (revision.epoch, revision.seq),
        (Epoch::new(60), Seq::new(4))
    );
    let invitations: Vec<_> = engine.invitations().collect();
    assert_eq!(invitations.len(), 1);
    assert_eq!(invitations[0].1.expires_unix_s(), None);
}

#[test]
fn store_of_the_former_version_starts_and_serves() {
    let mut hand = Hand::new();
    let store = first_version(&hand.keys);
    hand.forget();
    hand.restart(Some(store));
    assert!(hand.head().revision.epoch > Epoch::new(60));
    let epochs: Vec<_> = hand.posted_lineage().unwrap().entries().to_vec();
    assert_eq!(epochs.len(), 2);
    hand.set("a/x", 1);
    hand.restart(None);
    assert_eq!(hand.member().desired().paths_count(), 1);
}

#[test]
fn damaged_record_is_named_and_stops_the_start() {
    let hand = Hand::new();
    let id = hand.id();
    let evidence = [id.as_bytes(), &[0; 7][..]].concat();
    let cases: [(Table, &[u8]); 5] = [
        (Table::Members, id.as_bytes()),
        (Table::Reports, id.as_bytes()),
        (Table::Heads, id.as_bytes()),
        (Table::Evidence, &evidence),
        (Table::Invitations, b"short"),
    ];
    for (table, key) in cases {
        let mut store = hand.store.clone();
        store.overwrite(table, key, Some([0x80].to_vec()));
        let restored = Controller::restore(hand.keys.trust(), store.rows());
        assert_eq!(restored.map(|_| ()).unwrap_err().table, table.as_str());
    }
}

#[test]
fn rows_of_a_member_that_is_gone_say_nothing() {
    let hand = Hand::new();
    let mut store = hand.store.clone();
    for table in [Table::Reports, Table::Heads, Table::Envelopes] {
        store.overwrite(table, &[9; 16], Some([0x80].to_vec()));
    }
    assert!(Controller::restore(hand.keys.trust(), store.rows()).is_ok());
}

/// What left before a crash at any commit is still true after it.
#[test]
fn nothing_that_was_acknowledged_is_lost_at_any_commit() {
    let (one, two) = (numbers(&[("a/x", 1)]), numbers(&[("a/x", 2)]));
    for commits in 0..12 {
        let mut hand = Hand::new();
        hand.commits_left = Some(commits);
        let mut acknowledged = (Revision::NONE, Revision::NONE);
        for step in 0..8 {
            match step {
                0 => drop(hand.receive(&hand.snapshot(&one, at(50, 1), &[]))),
                1 => hand.put(Plane::Actual, &one),
                2 => drop(hand.receive(&hand.delta(&one, &two, 1, at(50, 2)))),
                7 => hand.set("a/x", 3),
                n => drop(hand.receive(&hand.report_at(at(50, n), Revision::NONE))),
            }
            hand.run(5_000);
            let beats = hand.heartbeats().into_iter().map(|beat| beat.other).max();
            acknowledged.0 = acknowledged.0.max(beats.unwrap_or(Revision::NONE));
            acknowledged.1 = acknowledged.1.max(acknowledged_report(&hand));
        }
        let member = hand.member();
        let held = member
            .actual_head()
            .map_or(Revision::NONE, |head| head.revision);
        let report = member
            .report()
            .map(|held| Revision::new(held.ack.epoch, held.ack.rseq));
        assert!(held >= acknowledged.0, "crash at commit {commits}");
        assert!(
            report.unwrap_or(Revision::NONE) >= acknowledged.1,
            "{commits}"
        );
        let again = Controller::restore(hand.keys.trust(), hand.store.rows());
        assert_eq!(
            again.unwrap().member_of(hand.id()).unwrap().head(),
            &hand.head()
        );
    }
}

fn acknowledged_report(hand: &Hand) -> Revision {
    let acks = hand.posts().into_iter().filter_map(|post| {
        let Post::ReportAck { envelope } = post else {
            return None;
        };
        let header = *ReceivedEnvelope::parse(envelope)
            .unwrap()
            .unverified_header();
        Some(Revision::new(header.epoch, header.seq))
    });
    acks.max().unwrap_or(Revision::NONE)
}
