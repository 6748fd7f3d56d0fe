//! Power cuts at any sector: what is read back is what was there before a commit, or after it.

use super::{Disk, DiskFlaw};
use crate::record::{Table, Write};
use crate::testing::store::Rows;
use crate::testing::{Dice, MemoryStore};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// A commit of some sectors.
fn commit(number: u8) -> Vec<Write> {
    let row = |key: u8| Write {
        table: Table::Values,
        key: vec![key],
        value: Some(vec![number; 300]),
    };
    (0..4).map(row).collect()
}

/// Cuts the power during the third commit, once with each seed. Returns how often a part was read.
fn torn(flaw: Option<DiskFlaw>) -> usize {
    let cut = |seed: &u64| {
        let mut store = MemoryStore::default();
        store.lay_on_disk(flaw);
        store.commit(&commit(1));
        store.commit(&commit(2));
        !store.cut(&commit(3), &mut Dice::new(*seed))
    };
    (0..400).filter(cut).count()
}

#[test]
fn commit_that_is_torn_is_there_as_a_whole_or_not_at_all() {
    assert_eq!(torn(None), 0);
}

/// Two commits that begin differently and end alike, torn one after the other: never is the first one there.
#[test]
fn commit_that_was_lost_does_not_come_back_with_the_next() {
    let alike = |first: u8| {
        let mut writes = commit(9);
        writes[0].value = Some(vec![first; 300]);
        writes
    };
    for seed in 0..2_000 {
        let mut dice = Dice::new(seed);
        let mut store = MemoryStore::default();
        store.lay_on_disk(None);
        store.commit(&commit(1));
        assert!(store.cut(&alike(2), &mut dice), "seed {seed}");
        assert!(store.cut(&alike(3), &mut dice), "seed {seed}");
    }
}

#[test]
fn commit_that_is_torn_is_read_in_part_without_a_checksum() {
    assert!(torn(Some(DiskFlaw::NoChecksum)) > 0);
}

#[test]
fn commits_that_were_not_flushed_are_lost() {
    assert!(torn(Some(DiskFlaw::NoSync)) > 0);
}

#[test]
fn long_log_is_read_back_from_its_snapshot() {
    let mut disk = Disk::holding(&Rows::new());
    let mut rows = Rows::new();
    for number in 0..200_u8 {
        let value = format!("{number}").into_bytes().repeat(200);
        rows.insert((Table::Values, vec![number % 7]), value.clone());
        let write = Write {
            table: Table::Values,
            key: vec![number % 7],
            value: Some(value),
        };
        disk.commit(&[write], &rows);
        disk.crash(&mut Dice::new(u64::from(number)));
        assert_eq!(disk.open(), rows, "after {number}");
    }
    assert!(disk.generation > 1, "the log was never compacted");
}

#[test]
fn row_that_was_removed_stays_away() {
    let mut store = MemoryStore::default();
    store.lay_on_disk(None);
    store.commit(&commit(1));
    let gone = Write {
        table: Table::Values,
        key: vec![2],
        value: None,
    };
    store.commit(&[gone]);
    assert!(store.cut(&[], &mut Dice::new(3)));
    assert_eq!(store.row(Table::Values, &[2]), None);
    assert!(store.row(Table::Values, &[1]).is_some());
}
