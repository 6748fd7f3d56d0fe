//! What is stored: the shapes of the records that devices, controllers and mailboxes commit.
//!
//! Each shape draws its next batch from the records that are there, and can judge records alone:
//! a head never stands without its values, cursors are in order, numbers have no gap. The model
//! is a second judge: it knows every batch, so records have to equal it exactly.

mod controller;
mod device;
mod mailbox;

use std::collections::BTreeMap;
use std::fmt;

use postern_relay::store::{Batch, DiskStore, KeyRange, Store, StoreError, Table};

use super::random::Random;

const BATCHES: Table = Table::new("batches");
const BATCH_KEY: &[u8] = b"n";

/// Every record, by table and key.
pub type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Whose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Device,
    Controller,
    Mailbox,
}

/// A batch under construction, and the records as they are once it is stored.
#[derive(Debug)]
pub struct Draft {
    pub model: Model,
    changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Shape {
    pub const ALL: [Self; 3] = [Self::Device, Self::Controller, Self::Mailbox];

    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device-records",
            Self::Controller => "controller-records",
            Self::Mailbox => "mailbox-records",
        }
    }

    /// Draws the nth batch.
    pub fn draft(self, model: &Model, n: usize, random: &mut Random) -> Draft {
        let mut draft = Draft {
            model: model.clone(),
            changes: Vec::new(),
        };
        match self {
            Self::Device => device::draw(&mut draft, random),
            Self::Controller => controller::draw(&mut draft, random),
            Self::Mailbox => mailbox::draw(&mut draft, random),
        }
        draft.insert(BATCHES, BATCH_KEY, numbers(&[n as u64]));
        draft
    }

    /// Judges records without knowing which batches made them.
    pub fn judge(self, records: &Model) -> Result<(), String> {
        match self {
            Self::Device => device::judge(records),
            Self::Controller => controller::judge(records),
            Self::Mailbox => mailbox::judge(records),
        }
    }

    /// Reads everything back, with the number of the newest batch.
    pub fn read(self, store: &DiskStore) -> Result<(usize, Model), StoreError> {
        let tables = match self {
            Self::Device => device::TABLES,
            Self::Controller => controller::TABLES,
            Self::Mailbox => mailbox::TABLES,
        };
        let mut model = Model::new();
        for table in tables.iter().chain([&BATCHES]) {
            for record in store.range(*table, &KeyRange::all(), usize::MAX)? {
                model.insert((*table, record.key), record.value);
            }
        }
        let [n] = numbers_at(&model, BATCHES, BATCH_KEY).unwrap_or_default();
        Ok((n as usize, model))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Draft {
    fn insert(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.model.insert((table, key.to_vec()), value.clone());
        self.changes.push((table, key.to_vec(), Some(value)));
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        self.model.remove(&(table, key.to_vec()));
        self.changes.push((table, key.to_vec(), None));
    }

    /// Returns the batch.
    pub fn batch(&self) -> Batch {
        self.part(0, self.changes.len())
    }

    /// Returns the batch as two, which no driver may do.
    pub fn danger_split(&self) -> [Batch; 2] {
        let middle = self.changes.len() / 2;
        [self.part(0, middle), self.part(middle, self.changes.len())]
    }

    fn part(&self, from: usize, to: usize) -> Batch {
        let mut batch = Batch::new();
        for (table, key, value) in &self.changes[from..to] {
            match value {
                Some(value) => batch.insert(*table, key.clone(), value.clone()),
                None => batch.remove(*table, key.clone()),
            };
        }
        batch
    }
}

/// Mostly small, sometimes over several pages.
fn value(random: &mut Random) -> Vec<u8> {
    let length = match random.below(16) {
        0 => random.below(20_000),
        _ => random.below(400),
    };
    random.bytes(length)
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

fn read_numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    if bytes.len() != 8 * N {
        return None;
    }
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks(8)) {
        *number = u64::from_be_bytes(bytes.try_into().ok()?);
    }
    Some(numbers)
}

fn numbers_at<const N: usize>(model: &Model, table: Table, key: &[u8]) -> Option<[u64; N]>
where
    [u64; N]: Default,
{
    read_numbers(model.get(&(table, key.to_vec()))?)
}

/// The records of a table whose key begins so.
fn under<'a>(
    model: &'a Model,
    table: Table,
    prefix: &'a [u8],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    model
        .range((table, prefix.to_vec())..)
        .take_while(move |((of, key), _)| *of == table && key.starts_with(prefix))
        .map(|((_, key), value)| (key.as_slice(), value.as_slice()))
}

/// A digest over the records of a table whose key begins so; a checksum is enough for a test.
fn digest(model: &Model, table: Table, prefix: &[u8]) -> u64 {
    let crc = under(model, table, prefix).fold(0, |crc, (key, value)| {
        let lengths = numbers(&[key.len() as u64, value.len() as u64]);
        [&lengths[..], key, value]
            .into_iter()
            .fold(crc, crc32c::crc32c_append)
    });
    u64::from(crc)
}

fn require(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}
