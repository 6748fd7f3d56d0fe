use super::{Running, admission, admit, copy, id, item, pinned, tenant, writer_signer, written};
use crate::durable::{Durable, OpenError};
use crate::exchange::ExchangeLimits;
use crate::fixtures::{delta, mailbox_signer, report, snapshot, snapshot_of};
use crate::mailbox::lane::Slot;
use crate::mailbox::{Chunk, Lanes, MailboxLimits};
use crate::server::{Host as _, Mailbox};
use crate::store::{
    Batch, Durable as Committed, KeyRange, MemoryStore, Record, Store, StoreError, Table,
};
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::id::{Digest, Plane};
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::trust::Trust;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A store that dies at one of its commits: before it, or behind it without having said so.
#[derive(Debug)]
struct DyingStore {
    inner: MemoryStore,
    commits_left: AtomicUsize,
    keeps_last: bool,
}

impl Store for DyingStore {
    fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let left = self.commits_left.load(Ordering::SeqCst);
        if left > 0 {
            self.commits_left.store(left - 1, Ordering::SeqCst);
            return self.inner.commit(batch);
        }
        if self.keeps_last {
            let _unsaid = self.inner.commit(batch)?;
        }
        Err(StoreError::Closed)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn range(&self, table: Table, keys: &KeyRange, max: usize) -> Result<Vec<Record>, StoreError> {
        self.inner.range(table, keys, max)
    }

    fn size_bytes(&self) -> Result<u64, StoreError> {
        self.inner.size_bytes()
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn lanes(relay: &Running) -> Lanes {
    relay.mailbox.lock().exchanges.mailboxes.lanes(id())
}

/// What a device brings, in its order.
enum Step {
    Post(Vec<u8>),
    Put(Vec<u8>),
    Read(u64),
    Deliver(Option<Plane>, Vec<u8>),
    DeliverBody(Vec<u8>),
}

fn steps() -> Vec<Step> {
    let bodies = [vec![1; 3_000], vec![2; 9]];
    vec![
        Step::Post(snapshot_of(1, 1, 1, &bodies)),
        Step::Put(bodies[0].clone()),
        Step::Put(bodies[1].clone()),
        Step::Post(delta(1, 1, 2)),
        Step::Post(report(1, 1)),
        Step::Read(2),
        Step::Post(delta(1, 2, 3)),
        Step::Post(report(1, 2)),
        Step::Post(snapshot(2, 1)),
        Step::Post(delta(2, 1, 2)),
        Step::Deliver(
            Some(Plane::Desired),
            written(MessageKind::Snapshot, [1, 1, 0], table(&bodies[1])),
        ),
        Step::DeliverBody(bodies[1].clone()),
        Step::Deliver(
            Some(Plane::Desired),
            written(MessageKind::Delta, [1, 2, 1], vec![0x80]),
        ),
        Step::Deliver(
            Some(Plane::Desired),
            written(MessageKind::ReportAck, [1, 2, 0], vec![0x80]),
        ),
        Step::Deliver(None, admitted_anew()),
    ]
}

/// The payload of a snapshot with one section.
fn table(body: &[u8]) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.array(2).map(1).text("a");
    payload.bytes(Digest::of(body).as_bytes()).array(0);
    payload.into_bytes()
}

/// The admission under the next number, with another quota.
fn admitted_anew() -> Vec<u8> {
    let held = admission("press-1", 1 << 20);
    let document = postern_protocol::admission::Admission {
        device: held.channel.device,
        status: postern_protocol::admission::AdmissionStatus::Admitted,
        incarnation: held.incarnation,
        keys: held.keys,
        quota_bytes: 2 << 20,
        bundle: held.bundle,
    };
    let revision = Revision::new(Epoch::new(1), Seq::new(2));
    let (root, tenant) = (held.channel.root, held.channel.tenant);
    let sealed = document.seal(revision, root, &tenant, &writer_signer());
    sealed.unwrap().into_bytes()
}

fn whole(body: &[u8]) -> Chunk {
    Chunk {
        digest: Digest::of(body),
        size: body.len() as u64,
        offset: 0,
        bytes: body.to_vec(),
    }
}

/// Takes a step; true when it was acknowledged.
async fn take(relay: &Running, step: &Step) -> bool {
    match step {
        Step::Post(envelope) => relay.post(envelope.clone()).await.is_ok(),
        Step::Put(body) => {
            let put = relay.host.put(id(), Plane::Actual, vec![whole(body)]);
            put.await.is_ok()
        }
        Step::Read(cursor) => {
            relay.acknowledge(*cursor).await;
            true
        }
        Step::Deliver(plane, envelope) => {
            let items = vec![item(*plane, envelope.clone())];
            let delivered = relay.host.delivered(tenant(), items).await;
            delivered.is_ok_and(|delivered| delivered.refused.is_empty())
        }
        Step::DeliverBody(body) => {
            let chunks = vec![whole(body)];
            let host = &relay.host;
            let delivered = host.delivered_bodies(tenant(), id(), Plane::Desired, chunks);
            delivered.await.is_ok()
        }
    }
}

#[tokio::test]
async fn relay_killed_at_any_commit_recovers_everything_that_it_acknowledged() {
    for keeps_last in [false, true] {
        for commits in 1..=steps().len() + 1 {
            let inner = MemoryStore::new();
            admit(&inner, &admission("press-1", 1 << 20));
            let store = Arc::new(DyingStore {
                inner,
                commits_left: AtomicUsize::new(commits),
                keeps_last,
            });
            let relay = Running::open(store.clone());
            // What stands after each acknowledged step is what the next process has to find.
            let mut acknowledged = lanes(&relay);
            let mut taken = 0;
            for step in &steps() {
                if !take(&relay, step).await {
                    break;
                }
                acknowledged = lanes(&relay);
                taken += 1;
            }
            assert!(taken >= commits - 1 || taken == steps().len(), "{commits}");
            let epoch = relay.durable.epoch();
            relay.durable.close();
            let again = Running::open(Arc::new(copy(&store.inner)));
            assert_eq!(again.durable.epoch(), epoch);
            if !keeps_last {
                assert_eq!(lanes(&again), acknowledged, "{commits} commits");
            }
            // Whatever was or was not acknowledged, the device repeats it and nothing is lost.
            for step in steps().iter().skip(taken) {
                assert!(take(&again, step).await, "{commits} commits");
            }
            let mut all: Vec<Vec<u8>> = again.arrivals(0).into_iter().map(|it| it.1).collect();
            all.sort();
            let mut expected = vec![report(1, 2), snapshot(2, 1), delta(2, 1, 2)];
            expected.sort();
            assert_eq!(all, expected, "{commits} commits");
            let desired = lanes(&again).desired;
            let head = desired.head().map(|head| head.revision);
            assert_eq!(head, Some(Revision::new(Epoch::new(1), Seq::new(2))));
            assert!(desired.envelope(Slot::Ack).is_some());
            assert_eq!(again.durable.admissions()[0].1.quota_bytes, 2 << 20);
        }
    }
}

#[tokio::test]
async fn failed_commit_acknowledges_nothing_from_then_on_and_says_so() {
    let inner = MemoryStore::new();
    admit(&inner, &admission("press-1", 1 << 20));
    let store = Arc::new(DyingStore {
        inner,
        commits_left: AtomicUsize::new(2),
        keeps_last: false,
    });
    let relay = Running::open(store);
    let mut failed = relay.durable.failed();
    assert!(relay.post(snapshot(1, 1)).await.is_ok());
    assert_eq!(relay.post(delta(1, 1, 2)).await, Err(Reject::Overloaded));
    assert!(failed.wait_for(Option::is_some).await.is_ok());
    assert_eq!(relay.post(report(1, 1)).await, Err(Reject::Overloaded));
    assert_eq!(
        relay.arrivals(0),
        [(1, snapshot(1, 1))],
        "nothing else is shown"
    );
}

#[tokio::test]
async fn arrival_numbers_are_never_given_twice_across_restarts() {
    let store = Arc::new(MemoryStore::new());
    admit(store.as_ref(), &admission("press-1", 1 << 20));
    let mut highest = 0;
    for start in 1..=3 {
        let relay = Running::open(Arc::new(copy(store.as_ref())));
        relay.post(report(start, 1)).await.unwrap();
        let arrival = relay.durable.account(tenant()).arrivals;
        assert!(arrival > highest || start == 1);
        highest = arrival;
        let after = copy_running(&relay, store.as_ref()).await;
        let again = Running::open(Arc::new(after));
        again.post(report(start, 2)).await.unwrap();
        assert_eq!(again.durable.account(tenant()).arrivals, highest + 1);
        highest = 0;
    }
}

/// A store as a relay over a copy of `store` would have left it after the same posts.
async fn copy_running(relay: &Running, store: &dyn Store) -> MemoryStore {
    let copied = Arc::new(copy(store));
    let other = Running::open(copied.clone());
    for (_, envelope) in relay.arrivals(0) {
        other.post(envelope).await.unwrap();
    }
    copy(copied.as_ref())
}

fn open(store: MemoryStore, pinned: Trust) -> Result<Durable, OpenError> {
    let mailbox = Mailbox::new(mailbox_signer(), ExchangeLimits::default()).unwrap();
    let limits = MailboxLimits::default();
    Durable::open(Arc::new(store), pinned, &[], mailbox, limits)
}

#[test]
fn store_of_another_domain_or_with_foreign_records_is_refused() {
    let store = MemoryStore::new();
    admit(&store, &admission("press-1", 1));
    let other = postern_protocol::id::Thumbprint::from_bytes([9; 32]);
    let refused = open(copy(&store), Trust::new(other, other));
    assert!(matches!(
        refused.unwrap_err(),
        OpenError::Bundle {
            reject: Reject::BundleRoot
        }
    ));
    for table in [super::super::lanes::LANES, super::super::ADMISSIONS] {
        let store = copy(&store);
        let mut batch = Batch::new();
        batch.insert(table, [1; 20], [2; 3]);
        let _durable = store.commit(batch).unwrap();
        let refused = open(store, pinned());
        assert!(matches!(refused.unwrap_err(), OpenError::Malformed { .. }));
    }
}
