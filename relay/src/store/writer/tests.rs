use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::super::limits::{GROUP_BATCHES_MAX, QUEUE_BYTES_MAX, VALUE_BYTES_MAX};
use super::super::{Durable, KeyRange, MemoryStore, Record};
use super::{Batch, Store, StoreError, Writer};
use crate::store::Table;

const ITEMS: Table = Table::new("items");

enum Step {
    Commit,
    Fail,
    Panic,
}

/// A store that reports each commit's size and then waits to be told how it ends.
struct Stepped {
    inner: MemoryStore,
    begun: Sender<usize>,
    steps: Mutex<Receiver<Step>>,
}

fn stepped() -> (Arc<Stepped>, Receiver<usize>, Sender<Step>) {
    let (begun, begun_seen) = channel();
    let (step, steps) = channel();
    let store = Arc::new(Stepped {
        inner: MemoryStore::new(),
        begun,
        steps: Mutex::new(steps),
    });
    (store, begun_seen, step)
}

impl Store for Stepped {
    fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        self.begun.send(batch.len()).unwrap();
        let step = self.steps.lock().unwrap().recv().unwrap();
        match step {
            Step::Commit => self.inner.commit(batch),
            Step::Fail => Err(StoreError::Poisoned {
                file: "stepped".to_owned(),
            }),
            Step::Panic => panic!("as told"),
        }
    }
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }
    fn range(
        &self,
        table: Table,
        keys: &KeyRange,
        records_max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.inner.range(table, keys, records_max)
    }
    fn size_bytes(&self) -> Result<u64, StoreError> {
        self.inner.size_bytes()
    }
    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

fn numbered(n: usize) -> Batch {
    let mut batch = Batch::new();
    batch.insert(ITEMS, n.to_be_bytes(), "value");
    batch
}

#[test]
fn writer_commits_the_first_at_once_and_groups_what_came_meanwhile() {
    let (store, begun, step) = stepped();
    let writer = Writer::start(store.clone(), QUEUE_BYTES_MAX).unwrap();
    let mut pending = vec![writer.submit(numbered(0)).unwrap()];
    assert_eq!(
        begun.recv().unwrap(),
        1,
        "a lone batch does not wait for others"
    );
    for n in 1..=GROUP_BATCHES_MAX + 5 {
        pending.push(writer.submit(numbered(n)).unwrap());
    }
    for expected in [GROUP_BATCHES_MAX, 5] {
        step.send(Step::Commit).unwrap();
        assert_eq!(begun.recv().unwrap(), expected);
    }
    step.send(Step::Commit).unwrap();
    for one in pending {
        let _durable = one.wait().unwrap();
    }
    let stored = store.range(ITEMS, &KeyRange::all(), usize::MAX).unwrap();
    assert_eq!(stored.len(), GROUP_BATCHES_MAX + 6);
    writer.close().unwrap();
}

#[test]
fn writer_after_a_failed_commit_acknowledges_nothing() {
    let (store, begun, step) = stepped();
    let writer = Writer::start(store.clone(), QUEUE_BYTES_MAX).unwrap();
    let failing = writer.submit(numbered(0)).unwrap();
    begun.recv().unwrap();
    let queued = writer.submit(numbered(1)).unwrap();
    step.send(Step::Fail).unwrap();
    assert!(matches!(failing.wait(), Err(StoreError::Poisoned { .. })));
    assert!(matches!(queued.wait(), Err(StoreError::Poisoned { .. })));
    assert!(matches!(
        writer.commit(numbered(2)),
        Err(StoreError::Poisoned { .. })
    ));
    assert!(matches!(writer.close(), Err(StoreError::Poisoned { .. })));
    assert_eq!(store.get(ITEMS, &1_usize.to_be_bytes()).unwrap(), None);
}

#[test]
fn writer_whose_store_panics_resolves_every_caller() {
    let (store, begun, step) = stepped();
    let writer = Writer::start(store, QUEUE_BYTES_MAX).unwrap();
    let first = writer.submit(numbered(0)).unwrap();
    begun.recv().unwrap();
    let queued = writer.submit(numbered(1)).unwrap();
    step.send(Step::Panic).unwrap();
    assert!(first.wait().is_err());
    assert!(matches!(queued.wait(), Err(StoreError::Panicked)));
    assert!(matches!(
        writer.submit(numbered(2)),
        Err(StoreError::Panicked)
    ));
}

#[test]
fn writer_with_a_full_queue_refuses_and_takes_more_once_there_is_room() {
    let (store, begun, step) = stepped();
    let writer = Writer::start(store, 2 * numbered(0).size_bytes()).unwrap();
    let first = writer.submit(numbered(0)).unwrap();
    begun.recv().unwrap();
    let second = writer.submit(numbered(1)).unwrap();
    for _ in 0..3 {
        let refused = writer.submit(numbered(2));
        assert!(
            matches!(refused, Err(StoreError::QueueFull { .. })),
            "{refused:?}"
        );
    }
    step.send(Step::Commit).unwrap();
    let _durable = first.wait().unwrap();
    let third = writer.submit(numbered(2)).unwrap();
    step.send(Step::Commit).unwrap();
    step.send(Step::Commit).unwrap();
    let _durable = (second.wait().unwrap(), third.wait().unwrap());
}

#[test]
fn writer_refuses_at_once_what_can_never_be_stored() {
    let (store, _begun, _step) = stepped();
    let writer = Writer::start(store, 1_000).unwrap();
    let mut large = Batch::new();
    large.insert(ITEMS, "key", vec![0; 1_000]);
    let mut huge = Batch::new();
    huge.insert(ITEMS, "key", vec![0; VALUE_BYTES_MAX + 1]);
    for batch in [large, huge] {
        let refused = writer.submit(batch);
        assert!(
            matches!(refused, Err(StoreError::TooLarge { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn writer_closed_commits_what_was_queued_and_refuses_more() {
    let store = Arc::new(MemoryStore::new());
    let writer = Writer::start(store.clone(), QUEUE_BYTES_MAX).unwrap();
    let pending: Vec<_> = (0..1_000)
        .map(|n| writer.submit(numbered(n)).unwrap())
        .collect();
    writer.close().unwrap();
    assert!(matches!(
        writer.submit(numbered(0)),
        Err(StoreError::Closed)
    ));
    for one in pending {
        let _durable = one.wait().unwrap();
    }
    assert_eq!(
        store
            .range(ITEMS, &KeyRange::all(), usize::MAX)
            .unwrap()
            .len(),
        1_000
    );
}

#[tokio::test]
async fn pending_awaited_resolves_to_durable() {
    let writer = Writer::start(Arc::new(MemoryStore::new()), QUEUE_BYTES_MAX).unwrap();
    let _durable = writer.submit(numbered(0)).unwrap().await.unwrap();
}
