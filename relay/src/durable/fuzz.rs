//! What must hold for whatever records a relay finds: one plain function for the fuzzer and for the tests.
//!
//! Refuses to repair: a record that was not written here stops the start, by its table.

use super::lanes::{LANES, difference, load};
use super::ledger::{load_accounts, load_admissions, load_quotas};
use crate::fuzz::steps;
use crate::handover::HandedSessions;
use crate::mailbox::Lanes;
use crate::store::{Batch, KeyRange, MemoryStore, Record, Store as _};
use postern_protocol::id::Thumbprint;

/// The longest key of a lane's record, in bytes.
const KEY_BYTES_MAX: usize = 64;

/// Steps with records: what is read is written back and read again as the same.
pub(crate) fn records(input: &[u8]) {
    let mut lanes = Vec::new();
    for (selector, chunk) in steps(input) {
        let (key, value) = chunk.split_at(chunk.len().min(usize::from(selector >> 1)));
        let record = Record {
            key: key.to_vec(),
            value: value.to_vec(),
        };
        if selector % 2 == 0 && key.len() <= KEY_BYTES_MAX {
            lanes.push(record.clone());
        }
        let records = [record];
        let root = Thumbprint::from_bytes([1; 32]);
        if let Ok(admissions) = load_admissions(root, &records) {
            assert_eq!(admissions.len(), 1, "one record, one admission");
        }
        let _ = load_accounts(&records);
        let _ = load_quotas(&records);
        if let Ok(sessions) = HandedSessions::from_bytes(chunk) {
            assert_eq!(*sessions.danger_bytes(), chunk, "two forms of one handover");
        }
    }
    lanes.sort_by(|one, other| one.key.cmp(&other.key));
    lanes.dedup_by(|one, other| one.key == other.key);
    read_again(lanes);
}

/// Lanes that were put together from records are stored as records that are put together to the same lanes.
fn read_again(records: Vec<Record>) {
    let Ok(all) = load(records) else {
        return;
    };
    let (store, mut batch) = (MemoryStore::new(), Batch::new());
    for (channel, lanes) in &all {
        difference(*channel, &Lanes::default(), lanes, &mut batch);
    }
    // More than one commit may hold is no finding.
    if store.commit(batch).is_err() {
        return;
    }
    let written = store.range(LANES, &KeyRange::all(), usize::MAX);
    let again = load(written.unwrap_or_default());
    let kept = all
        .into_iter()
        .filter(|(_, lanes)| *lanes != Lanes::default());
    assert_eq!(
        again.ok(),
        Some(kept.collect()),
        "lanes read back otherwise"
    );
}
