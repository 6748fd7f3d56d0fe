//! What every store does, run over every backend.
//!
//! Another engine must pass them before it is used. Refuses to know which backend it runs on.
#![expect(clippy::unwrap_used, reason = "a test")]

mod store_explorer;

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_relay::store::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use postern_relay::store::{
    Batch, DiskStore, KeyRange, MemoryStore, Profile, Record, Store, StoreError, Table,
};
use store_explorer::disk::{DiskOp, RecordingDisk};
use store_explorer::random::Random;
use store_explorer::records::{Model, Shape};

const A: Table = Table::new("a");
const B: Table = Table::new("ab");
const STEPS: usize = 300;

fn each_backend(check: impl Fn(&dyn Store)) {
    check(&MemoryStore::new());
    for profile in [Profile::Device, Profile::Server] {
        check(&on(&Arc::default(), profile));
    }
}

fn on(disk: &Arc<RecordingDisk>, profile: Profile) -> DiskStore {
    DiskStore::open_on(disk.clone(), "conformance", profile).unwrap()
}

fn put(store: &dyn Store, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.insert(table, key, value);
    let _durable = store.commit(batch).unwrap();
}

fn keys(store: &dyn Store, table: Table, range: &KeyRange, records_max: usize) -> Vec<Vec<u8>> {
    let records = store.range(table, range, records_max).unwrap();
    records.into_iter().map(|record| record.key).collect()
}

#[test]
fn store_under_a_random_workload_equals_the_model() {
    each_backend(|store| {
        let mut random = Random(7);
        let mut model: BTreeMap<(Table, Vec<u8>), Vec<u8>> = BTreeMap::new();
        for _ in 0..STEPS {
            let mut batch = Batch::new();
            for _ in 0..random.below(6) {
                let table = [A, B][random.below(2)];
                let key = vec![random.below(40) as u8; random.below(3)];
                if random.below(3) == 0 {
                    model.remove(&(table, key.clone()));
                    batch.remove(table, key);
                } else {
                    let value = vec![random.below(256) as u8; random.below(900)];
                    model.insert((table, key.clone()), value.clone());
                    batch.insert(table, key, value);
                }
            }
            let _durable = store.commit(batch).unwrap();
        }
        for table in [A, B] {
            let expected: Vec<Record> = model
                .iter()
                .filter(|((of, _), _)| *of == table)
                .map(|((_, key), value)| Record {
                    key: key.clone(),
                    value: value.clone(),
                })
                .collect();
            assert_eq!(
                store.range(table, &KeyRange::all(), usize::MAX).unwrap(),
                expected
            );
            for record in expected {
                assert_eq!(store.get(table, &record.key).unwrap(), Some(record.value));
            }
        }
    });
}

#[test]
fn range_with_bounds_returns_exactly_what_lies_between() {
    each_backend(|store| {
        for key in [&b""[..], b"a", b"a\0", b"ab", b"b", b"\xff", b"\xff\xff"] {
            put(store, A, key, key);
        }
        put(store, B, b"other", b"other");
        let check = |range: KeyRange, limit: usize, expected: &[&[u8]]| {
            assert_eq!(keys(store, A, &range, limit), expected, "{range:?}");
        };
        check(KeyRange::all(), 3, &[b"", b"a", b"a\0"]);
        check(KeyRange::all(), 0, &[]);
        check(KeyRange::starting_at("b"), 9, &[b"b", b"\xff", b"\xff\xff"]);
        check(KeyRange::after("a"), 2, &[b"a\0", b"ab"]);
        check(KeyRange::between("a", "b"), 9, &[b"a", b"a\0", b"ab"]);
        check(KeyRange::between("b", "a"), 9, &[]);
        check(KeyRange::between("a", "a"), 9, &[]);
        check(KeyRange::prefix("a"), 9, &[b"a", b"a\0", b"ab"]);
        check(KeyRange::prefix([0xff]), 9, &[b"\xff", b"\xff\xff"]);
        check(KeyRange::after("a").ending_before("b"), 9, &[b"a\0", b"ab"]);
        check(KeyRange::prefix("zz"), 9, &[]);
    });
}

#[test]
fn get_of_what_is_not_there_returns_none() {
    each_backend(|store| {
        put(store, A, b"key", b"value");
        for (table, key) in [(B, &b"key"[..]), (A, b"ke"), (A, b"key\0"), (A, b"")] {
            assert_eq!(store.get(table, key).unwrap(), None);
        }
    });
}

#[test]
fn batch_applies_in_order_and_later_changes_win() {
    each_backend(|store| {
        let mut batch = Batch::new();
        batch.insert(A, "1", "x").insert(A, "1", "y").remove(A, "2");
        batch.insert(A, "2", "z").insert(A, "3", "w").remove(A, "3");
        let _durable = store.commit(batch).unwrap();
        assert_eq!(store.get(A, b"1").unwrap(), Some(b"y".to_vec()));
        assert_eq!(store.get(A, b"2").unwrap(), Some(b"z".to_vec()));
        assert_eq!(store.get(A, b"3").unwrap(), None);
    });
}

#[test]
fn batch_with_one_oversized_part_changes_nothing_and_the_store_goes_on() {
    let check = |key_bytes: usize, value_bytes: usize, what: &str| {
        each_backend(|store| {
            let mut batch = Batch::new();
            batch.insert(A, "small", "small");
            batch.insert(A, vec![1; key_bytes], vec![1; value_bytes]);
            match store.commit(batch) {
                Err(StoreError::TooLarge { what: found, .. }) => assert_eq!(found, what),
                other => unreachable!("{other:?}"),
            }
            assert_eq!(store.get(A, b"small").unwrap(), None);
            put(store, A, b"small", b"small");
        });
    };
    check(KEY_BYTES_MAX + 1, 1, "key");
    check(1, VALUE_BYTES_MAX + 1, "value");
}

#[test]
fn value_of_several_megabytes_and_longest_key_come_back_whole() {
    each_backend(|store| {
        let value: Vec<u8> = (0..3_000_001_u32).map(|n| n as u8).collect();
        put(store, A, &[0xff; KEY_BYTES_MAX], &value);
        assert_eq!(store.get(A, &[0xff; KEY_BYTES_MAX]).unwrap(), Some(value));
        assert!(store.size_bytes().unwrap() > 3_000_000);
    });
}

#[test]
fn store_after_close_refuses_everything() {
    each_backend(|store| {
        put(store, A, b"key", b"value");
        store.close().unwrap();
        store.close().unwrap();
        assert!(matches!(store.get(A, b"key"), Err(StoreError::Closed)));
        assert!(matches!(
            store.commit(Batch::new()),
            Err(StoreError::Closed)
        ));
        assert!(matches!(store.size_bytes(), Err(StoreError::Closed)));
        let all = store.range(A, &KeyRange::all(), 1);
        assert!(matches!(all, Err(StoreError::Closed)));
        let none = store.range(A, &KeyRange::between("b", "a"), 1);
        assert!(matches!(none, Ok(ref empty) if empty.is_empty()) || none.is_err());
    });
}

#[test]
fn store_reopened_holds_what_was_committed() {
    for profile in [Profile::Device, Profile::Server] {
        let disk = Arc::default();
        for n in 0..20_u8 {
            let store = on(&disk, profile);
            assert_eq!(keys(&store, A, &KeyRange::all(), 99).len(), usize::from(n));
            put(&store, A, &[n], &[n; 500]);
            if n % 2 == 0 {
                store.close().unwrap();
            }
        }
    }
}

/// Splits the changes of one commit at its flushes, those that make a longer file durable apart;
/// returns the groups and how often the file grew.
fn groups(log: &[DiskOp], mut length: usize) -> (Vec<Vec<DiskOp>>, usize) {
    let mut groups = vec![Vec::new()];
    let mut growths = 0;
    let mut log = log.iter().peekable();
    while let Some(op) = log.next() {
        match op {
            DiskOp::SetLength(longer) if *longer > length => {
                length = *longer;
                growths += 1;
                let next = log.next();
                assert_eq!(
                    next,
                    Some(&DiskOp::Flush),
                    "nothing is written into new room first"
                );
            }
            DiskOp::Write { .. } | DiskOp::SetLength(_) => {
                groups.last_mut().unwrap().push(op.clone());
            }
            DiskOp::Flush => groups.push(Vec::new()),
        }
    }
    (groups, growths)
}

/// Holds one commit against the flushes of its profile; returns how often the file grew.
fn check_flushes(profile: Profile, disk: &RecordingDisk, commit: impl FnOnce()) -> usize {
    disk.take_log();
    let (length, before) = (disk.image().length(), disk.flushes());
    commit();
    let (groups, growths) = groups(&disk.take_log(), length);
    let expected = if profile == Profile::Device { 1 } else { 2 };
    let flushes = (disk.flushes() - before) as usize;
    assert_eq!(flushes, expected + growths, "{profile:?}: {groups:?}");
    let (after, flushed) = groups.split_last().unwrap();
    let only_cut = after.iter().all(|op| matches!(op, DiskOp::SetLength(_)));
    assert!(
        only_cut,
        "{profile:?}: written behind the last flush: {after:?}"
    );
    let header = |op: &DiskOp| matches!(op, DiskOp::Write { offset: 0, .. });
    let published = flushed.last().unwrap();
    assert!(published.iter().any(header), "{profile:?}: {published:?}");
    assert!(profile == Profile::Device || published.len() == 1);
    growths
}

#[test]
fn commit_flushes_once_or_twice_and_once_more_for_each_growth_of_the_file() {
    for profile in [Profile::Device, Profile::Server] {
        for shape in Shape::ALL {
            let disk = Arc::default();
            let store = on(&disk, profile);
            let mut random = Random(11);
            let (mut model, mut growths) = (Model::new(), 0);
            for n in 1..=200 {
                let draft = shape.draft(&model, n, &mut random);
                growths += check_flushes(profile, &disk, || {
                    let _durable = store.commit(draft.batch()).unwrap();
                });
                model = draft.model;
            }
            println!("{profile:?} {shape}: 200 commits, the file grew {growths} times");
            assert!(growths > 0 || shape != Shape::Mailbox, "{profile:?}");
        }
    }
}

#[test]
fn commit_of_an_empty_batch_flushes_nothing() {
    for profile in [Profile::Device, Profile::Server] {
        let disk = Arc::default();
        let store = on(&disk, profile);
        let before = disk.flushes();
        let _durable = store.commit(Batch::new()).unwrap();
        assert_eq!(disk.flushes(), before);
    }
}
