use super::{Running, admission, admit, id};
use crate::fixtures::{delta, snapshot};
use crate::mailbox::{Lanes, MailboxLimits, Posted, Space, Stamp};
use crate::store::{MemoryStore, Store as _};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::Plane;
use postern_protocol::revision::Generation;
use std::sync::Arc;

const UPDATES: u64 = 1_000_000;
/// Numbers from here on take nine bytes each, so that they can be written over in place.
const FIRST: u64 = 1 << 40;

/// An envelope whose seq, and base if it is a delta, are written over: a mailbox behind a session
/// looks at no signature.
fn renumber(template: &[u8], from: &[u64], to: &[u64]) -> Vec<u8> {
    let mut bytes = template.to_vec();
    for (from, to) in from.iter().zip(to) {
        let from = from.to_be_bytes();
        let at = template.windows(8).position(|window| window == from);
        let at = at.unwrap();
        bytes[at..at + 8].copy_from_slice(&to.to_be_bytes());
    }
    bytes
}

#[test]
fn million_updates_of_one_plane_take_no_more_room_than_the_longest_chain() {
    let (limits, generation) = (MailboxLimits::default(), Generation::new(0));
    let space = Space {
        quota_bytes: 1 << 20,
        free_bytes: usize::MAX,
    };
    let whole = snapshot(1, FIRST);
    let change = delta(1, FIRST, FIRST + 1);
    let mut lanes = Lanes::default();
    let lane = lanes.of_mut(Plane::Actual);
    let (mut most_bytes, mut most_entries, mut snapshots) = (0, 0, 0);
    for number in 0..UPDATES {
        let (seq, stamp) = (
            FIRST + number,
            Stamp {
                arrival: number,
                at_s: 0,
            },
        );
        let bytes = renumber(&change, &[FIRST, FIRST + 1], &[seq - 1, seq]);
        let received = ReceivedEnvelope::parse(&bytes).unwrap();
        match lane.post_delta(&limits, space, generation, &received, stamp) {
            Ok(posted) => assert_eq!(posted, Posted::Kept),
            Err(Reject::NothingStored | Reject::Quota) => {
                let bytes = renumber(&whole, &[FIRST], &[seq]);
                let received = ReceivedEnvelope::parse(&bytes).unwrap();
                let posted = lane.post_snapshot(space, generation, &received, stamp);
                assert_eq!(posted, Ok(Posted::Kept));
                snapshots += 1;
            }
            Err(reject) => panic!("{reject}"),
        }
        let entries = lane.chain.as_ref().unwrap().arrived().count();
        most_bytes = most_bytes.max(lane.bytes());
        most_entries = most_entries.max(entries);
    }
    assert_eq!(most_entries, 65);
    assert!(most_bytes <= 65 * whole.len().max(change.len()));
    assert_eq!(snapshots, UPDATES.div_ceil(65));
}

#[tokio::test]
async fn updates_through_the_store_leave_no_records_behind() {
    let store = Arc::new(MemoryStore::new());
    admit(store.as_ref(), &admission("press-1", 1 << 20));
    let relay = Running::open(store.clone());
    let mut sizes = Vec::new();
    let whole = snapshot(1, FIRST);
    let change = delta(1, FIRST, FIRST + 1);
    for round in 0..20 {
        let begin = FIRST + round * 65;
        relay
            .post(renumber(&whole, &[FIRST], &[begin]))
            .await
            .unwrap();
        for seq in begin + 1..begin + 65 {
            let bytes = renumber(&change, &[FIRST, FIRST + 1], &[seq - 1, seq]);
            relay.post(bytes).await.unwrap();
        }
        sizes.push(store.size_bytes().unwrap());
    }
    // The clock is one record, written once it has moved.
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    assert!(most - least < 64, "{sizes:?}");
    assert_eq!(relay.arrivals(0).len(), 65);
    assert!(relay.mailbox.lock().exchanges.mailboxes.lanes(id()).bytes() < 65 * 400);
}
