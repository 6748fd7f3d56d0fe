//! A disk with a volatile cache below a store: a log of commits in two slots, cut off at any sector.
//!
//! ```text
//!  commit --> frame --> cache --sync--> platter      crash: each sector of the cache is there, or not
//!                                                    open: newest whole snapshot, then whole frames
//! ```
//!
//! It models what a power cut leaves, not misdirected writes. Refuses to know what a row means.

#[cfg(test)]
mod tests;

use super::keys::Dice;
use super::store::Rows;
use super::wire::mix_words;
use crate::record::{Table, Write};
use alloc::vec::Vec;

/// Bytes that a drive writes whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Bytes of log after which the other slot gets a snapshot, or four times as much as the last one was. Arbitrary: a
/// few hundred commits.
const LOG_BYTES_MAX: usize = 65_536;
/// Bytes of a frame before its payload: length, generation, number and checksum.
const HEAD_BYTES: usize = 28;

/// What is done wrong below the store on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskFlaw {
    /// Nothing reaches the platter before the log is long.
    NoSync,
    /// A frame counts whose end is missing.
    NoChecksum,
}

/// Two slots of a log, and what was not flushed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    slots: [Vec<u8>; 2],
    /// Slot, offset and bytes of what a power cut may lose.
    cache: Vec<(usize, usize, Vec<u8>)>,
    current: usize,
    length: usize,
    /// Bytes of the snapshot with which the log in use began.
    snapshot: usize,
    generation: u64,
    number: u64,
    pub(super) flaw: Option<DiskFlaw>,
}

impl Disk {
    /// Formats a disk that holds these rows.
    pub(super) fn holding(rows: &Rows) -> Self {
        let mut disk = Self {
            slots: [Vec::new(), Vec::new()],
            cache: Vec::new(),
            current: 1,
            length: 0,
            snapshot: 0,
            generation: 0,
            number: 0,
            flaw: None,
        };
        disk.compact(rows);
        disk
    }

    /// Appends a commit without a flush.
    pub(super) fn write(&mut self, writes: &[Write]) {
        self.number += 1;
        let mut payload = Vec::new();
        for write in writes {
            put_row(
                &mut payload,
                write.table,
                &write.key,
                write.value.as_deref(),
            );
        }
        self.append(&payload);
    }

    /// Makes a commit durable; `rows` is what the store holds with it.
    pub(super) fn commit(&mut self, writes: &[Write], rows: &Rows) {
        self.write(writes);
        if self.flaw != Some(DiskFlaw::NoSync) {
            self.sync();
        }
        if self.length > LOG_BYTES_MAX.max(4 * self.snapshot) {
            self.compact(rows);
        }
    }

    /// Cuts the power: of what was not flushed, each sector is there or not, by dice, and the file may have
    /// grown before its bytes were written.
    pub(super) fn crash(&mut self, dice: &mut Dice) {
        let per_mille = [0, 1_000, 500, 850];
        let chosen = usize::try_from(dice.below(4)).unwrap_or(0);
        let per_mille = per_mille.get(chosen).copied().unwrap_or(0);
        for (slot, offset, bytes) in core::mem::take(&mut self.cache) {
            if dice.chance(500) {
                self.grow(slot, offset + bytes.len());
            }
            let mut at = offset;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let length = rest.len().min(SECTOR_BYTES - at % SECTOR_BYTES);
                let (sector, after) = rest.split_at(length);
                if dice.chance(per_mille) {
                    self.lay(slot, at, sector);
                }
                (at, rest) = (at + length, after);
            }
        }
    }

    /// Reads what is there, and goes on from it.
    pub(super) fn open(&mut self) -> Rows {
        let (first, second) = (self.read(0), self.read(1));
        let age = |image: &Option<Image>| image.as_ref().map(|image| image.generation);
        let newest = usize::from(age(&second) > age(&first));
        let Some(image) = (if newest == 0 { first } else { second }) else {
            unreachable!("the former slot stays until the latter is flushed")
        };
        self.current = newest;
        // What is left of a commit that was torn must not be made whole by the next one that is.
        if let Some(slot) = self.slots.get_mut(newest) {
            slot.truncate(image.length);
        }
        (self.length, self.generation, self.number) =
            (image.length, image.generation, image.number);
        image.rows
    }

    fn sync(&mut self) {
        for (slot, offset, bytes) in core::mem::take(&mut self.cache) {
            self.lay(slot, offset, &bytes);
        }
    }

    /// Writes every row into the other slot, which counts from its flush on.
    fn compact(&mut self, rows: &Rows) {
        self.sync();
        self.current = 1 - self.current;
        (self.length, self.generation) = (0, self.generation + 1);
        let mut payload = Vec::new();
        for ((table, key), value) in rows {
            put_row(&mut payload, *table, key, Some(value));
        }
        self.append(&payload);
        self.snapshot = self.length;
        self.sync();
    }

    fn append(&mut self, payload: &[u8]) {
        let mut frame = Vec::with_capacity(HEAD_BYTES + payload.len());
        frame.extend((u32::try_from(payload.len()).unwrap_or(u32::MAX)).to_be_bytes());
        frame.extend(self.generation.to_be_bytes());
        frame.extend(self.number.to_be_bytes());
        let sum = checksum(&frame, payload);
        frame.extend(sum.to_be_bytes());
        frame.extend(payload);
        let offset = self.length;
        self.length += frame.len();
        self.cache.push((self.current, offset, frame));
    }

    fn lay(&mut self, slot: usize, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.grow(slot, end);
        let slot = self.slots.get_mut(slot);
        if let Some(place) = slot.and_then(|slot| slot.get_mut(offset..end)) {
            place.copy_from_slice(bytes);
        }
    }

    fn grow(&mut self, slot: usize, length: usize) {
        if let Some(slot) = self.slots.get_mut(slot)
            && slot.len() < length
        {
            slot.resize(length, 0);
        }
    }

    /// Reads the whole frames of a slot; `None` when not even its snapshot is whole.
    fn read(&self, slot: usize) -> Option<Image> {
        let bytes = self.slots.get(slot)?;
        let mut image: Option<Image> = None;
        let mut at = 0;
        while let Some((generation, number, payload)) = self.frame(bytes, at) {
            let length = at + HEAD_BYTES + payload.len();
            let is_next = image
                .as_ref()
                .is_none_or(|held| held.generation == generation && held.number + 1 == number);
            if !is_next {
                break;
            }
            let mut rows = image.map(|held| held.rows).unwrap_or_default();
            take_rows(&mut rows, payload);
            image = Some(Image {
                rows,
                generation,
                number,
                length,
            });
            at = length;
        }
        image
    }

    fn frame<'a>(&self, bytes: &'a [u8], at: usize) -> Option<(u64, u64, &'a [u8])> {
        let head = bytes.get(at..at + HEAD_BYTES)?;
        let length = u32::from_be_bytes(head.get(..4)?.try_into().ok()?);
        let generation = u64::from_be_bytes(head.get(4..12)?.try_into().ok()?);
        let number = u64::from_be_bytes(head.get(12..20)?.try_into().ok()?);
        let sum = u64::from_be_bytes(head.get(20..28)?.try_into().ok()?);
        let start = at + HEAD_BYTES;
        let payload = bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)?;
        let is_whole = generation > 0 && sum == checksum(head.get(..20)?, payload);
        (is_whole || (self.flaw == Some(DiskFlaw::NoChecksum) && generation > 0))
            .then_some((generation, number, payload))
    }
}

#[derive(Debug)]
struct Image {
    rows: Rows,
    generation: u64,
    number: u64,
    length: usize,
}

/// Enough against tears, which nobody forges.
fn checksum(head: &[u8], payload: &[u8]) -> u64 {
    mix_words(mix_words(0xcbf2_9ce4_8422_2325, head), payload)
}

fn put_row(payload: &mut Vec<u8>, table: Table, key: &[u8], value: Option<&[u8]>) {
    payload.push(place_of(table));
    put_bytes(payload, key);
    payload.push(u8::from(value.is_some()));
    put_bytes(payload, value.unwrap_or_default());
}

fn put_bytes(payload: &mut Vec<u8>, bytes: &[u8]) {
    payload.extend((u32::try_from(bytes.len()).unwrap_or(u32::MAX)).to_be_bytes());
    payload.extend(bytes);
}

fn place_of(table: Table) -> u8 {
    let mut tables = Table::ALL.iter();
    let place = tables.position(|one| *one == table);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(0)
}

/// Applies a payload as far as it can be read: the checksum is what keeps it whole.
fn take_rows(rows: &mut Rows, payload: &[u8]) {
    let mut rest = payload;
    while let Some((table, key, value)) = take_row(&mut rest) {
        match value {
            Some(value) => rows.insert((table, key), value),
            None => rows.remove(&(table, key)),
        };
    }
}

fn take_row(rest: &mut &[u8]) -> Option<(Table, Vec<u8>, Option<Vec<u8>>)> {
    let (place, after) = rest.split_first()?;
    *rest = after;
    let table = *Table::ALL.get(usize::from(*place))?;
    let key = take_bytes(rest)?;
    let (is_some, after) = rest.split_first()?;
    *rest = after;
    let value = take_bytes(rest)?;
    Some((table, key, (*is_some == 1).then_some(value)))
}

fn take_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, after) = rest.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let (bytes, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(bytes.to_vec())
}
