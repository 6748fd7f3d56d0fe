//! The crash explorer: cuts the power at random instants of a workload and opens what is left.
//!
//! A seeded workload runs on a [`RecordingDisk`]. A crash state is the log of writes cut at a
//! random place: everything up to the last flush before the cut, and of the rest nothing, all, a
//! random half of the writes, or a random half of their 512-byte sectors. Half of the states are
//! cut a second time while the store recovers. Every state must open, must hold every
//! acknowledged commit, and must equal the model at exactly the commit it claims to hold.
//!
//! One `u64` seed reproduces a run. Nothing here waits, and nothing touches a real disk.

pub mod disk;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use disk::{DiskOp, RecordingDisk, apply};
use postern_relay::store::{Batch, DiskStore, KeyRange, Profile, Store, StoreError, Table};

const ITEMS: Table = Table::new("items");
const COUNTER: Table = Table::new("counter");
const COUNTER_KEY: &[u8] = b"n";
const COMMITS_PER_RUN: usize = 40;
const STATES_PER_RUN: u64 = 100;
const KEYS: u64 = 500;
const SECTOR_BYTES: usize = 512;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an exploration found.
#[derive(Debug, Default)]
pub struct Found {
    pub seed: u64,
    /// States opened, those of a second cut included.
    pub states: u64,
    pub second_cuts: u64,
    /// States that lacked an acknowledged commit, or one that an earlier opening had shown.
    pub lost: u64,
    /// States whose records differ from the model.
    pub bad: u64,
    pub unopenable: u64,
    /// Where the first failure can be found again.
    pub first_failure: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "seed {}: {} states, {} of them cut twice: {} lost, {} bad, {} unopenable",
            self.seed, self.states, self.second_cuts, self.lost, self.bad, self.unopenable
        )?;
        match &self.first_failure {
            Some(first) => write!(out, "; first: {first}"),
            None => Ok(()),
        }
    }
}

impl Found {
    pub fn failures(&self) -> u64 {
        self.lost + self.bad + self.unopenable
    }

    fn count(&mut self, failure: &Failure, place: &str) {
        match failure {
            Failure::Lost(_) => self.lost += 1,
            Failure::Bad(_) => self.bad += 1,
            Failure::Unopenable(_) => self.unopenable += 1,
        }
        self.first_failure
            .get_or_insert_with(|| format!("{place}: {failure:?}"));
    }
}

#[derive(Debug)]
enum Failure {
    Lost(String),
    Bad(String),
    Unopenable(String),
}

/// Whether the drive does what a flush promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    Honest,
    /// Reports every flush as done and does none: the explorer has to notice.
    Lying,
}

/// Opens at least `states` crash states of the store under a profile.
pub fn explore(profile: Profile, drive: Drive, seed: u64, states: u64) -> Found {
    let mut found = Found {
        seed,
        ..Found::default()
    };
    let mut run = 0;
    while found.states < states {
        let workload = Workload::record(profile, drive, Random(seed).nth(run));
        let mut random = Random(Random(seed ^ 0x5eed).nth(run));
        for _ in 0..STATES_PER_RUN {
            examine(&workload, profile, &mut random, &mut found, run);
            if found.states >= states {
                break;
            }
        }
        run += 1;
    }
    found
}

fn examine(
    workload: &Workload,
    profile: Profile,
    random: &mut Random,
    found: &mut Found,
    run: u64,
) {
    let cut = random.below(workload.events.len() + 1);
    let tail = Tail::draw(random);
    let place = format!("run {run} cut {cut} {tail:?}");
    let ops: Vec<&DiskOp> = workload.ops_before(cut);
    let image = crash(&workload.base, &ops, tail, random);
    let (acked, begun) = workload.bounds_at(cut);
    found.states += 1;
    let disk = Arc::new(RecordingDisk::holding(image.clone()));
    let (counter, recovery) = match verify(&disk, profile, &workload.models, acked, begun) {
        Ok(recovered) => recovered,
        Err(failure) => return found.count(&failure, &place),
    };
    if random.coin() {
        return;
    }
    let cut = random.below(recovery.len() + 1);
    let tail = Tail::draw(random);
    let place = format!("{place}, second cut {cut} of {} {tail:?}", recovery.len());
    let ops: Vec<&DiskOp> = recovery.iter().take(cut).collect();
    let image = crash(&image, &ops, tail, random);
    // What a completed opening has shown may have been told to the other end.
    let at_least = if cut == recovery.len() {
        counter
    } else {
        acked
    };
    found.states += 1;
    found.second_cuts += 1;
    let disk = Arc::new(RecordingDisk::holding(image));
    if let Err(failure) = verify(&disk, profile, &workload.models, at_least, begun) {
        found.count(&failure, &place);
    }
}

/// Opens a crash state; returns the commit it holds and what recovering wrote.
fn verify(
    disk: &Arc<RecordingDisk>,
    profile: Profile,
    models: &[Model],
    at_least: usize,
    at_most: usize,
) -> Result<(usize, Vec<DiskOp>), Failure> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let store = DiskStore::open_on(disk.clone(), "crash state", profile)?;
        let counter = read_counter(&store)?;
        let items = store.range(ITEMS, &KeyRange::all(), usize::MAX)?;
        // The process dies here: an orderly close writes what a crash does not.
        let recovery = disk.take_log();
        drop(store);
        Ok::<_, StoreError>((counter, items, recovery))
    }));
    let (counter, items, recovery) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return Err(Failure::Unopenable(format!("{error:?}"))),
        Err(_) => return Err(Failure::Unopenable("panic".to_owned())),
    };
    if counter < at_least {
        return Err(Failure::Lost(format!("holds {counter}, acked {at_least}")));
    }
    if counter > at_most {
        return Err(Failure::Bad(format!("holds {counter}, begun {at_most}")));
    }
    let items: Model = items
        .into_iter()
        .map(|item| (item.key, item.value))
        .collect();
    if models.get(counter) != Some(&items) {
        return Err(Failure::Bad(format!("differs from the model at {counter}")));
    }
    Ok((counter, recovery))
}

fn read_counter(store: &DiskStore) -> Result<usize, StoreError> {
    let value = store.get(COUNTER, COUNTER_KEY)?;
    let bytes: Option<[u8; 8]> = value.and_then(|value| value.try_into().ok());
    Ok(bytes.map_or(0, |bytes| u64::from_be_bytes(bytes) as usize))
}

/// What becomes of the writes since the last flush.
#[derive(Clone, Copy, Debug)]
enum Tail {
    Nothing,
    All,
    Subset,
    Torn,
}

impl Tail {
    fn draw(random: &mut Random) -> Self {
        match random.below(4) {
            0 => Self::Nothing,
            1 => Self::All,
            2 => Self::Subset,
            _ => Self::Torn,
        }
    }
}

fn crash(base: &[u8], ops: &[&DiskOp], tail: Tail, random: &mut Random) -> Vec<u8> {
    let mut image = base.to_vec();
    let safe = ops
        .iter()
        .rposition(|op| matches!(op, DiskOp::Flush))
        .map_or(0, |flush| flush + 1);
    for (index, op) in ops.iter().enumerate() {
        let whole = match tail {
            _ if index < safe => true,
            Tail::Nothing => false,
            Tail::All => true,
            Tail::Subset => random.coin(),
            Tail::Torn => match op {
                DiskOp::Write { offset, bytes } => {
                    tear(&mut image, *offset, bytes, random);
                    false
                }
                DiskOp::SetLength(_) | DiskOp::Flush => random.coin(),
            },
        };
        if whole {
            apply(&mut image, op);
        }
    }
    image
}

fn tear(image: &mut Vec<u8>, offset: usize, bytes: &[u8], random: &mut Random) {
    for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
        if random.coin() {
            let write = DiskOp::Write {
                offset: offset + index * SECTOR_BYTES,
                bytes: sector.to_vec(),
            };
            apply(image, &write);
        }
    }
}

#[derive(Debug)]
enum Event {
    Begin,
    Disk(DiskOp),
    Ack,
}

/// A recorded run: the image before it, what happened, and the model after each commit.
struct Workload {
    base: Vec<u8>,
    events: Vec<Event>,
    models: Vec<Model>,
}

impl Workload {
    #[expect(clippy::panic, reason = "a workload on a sound disk cannot fail")]
    fn record(profile: Profile, drive: Drive, seed: u64) -> Self {
        let mut random = Random(seed);
        let disk = Arc::new(RecordingDisk::default());
        let store = DiskStore::open_on(disk.clone(), "workload", profile)
            .unwrap_or_else(|error| panic!("an empty disk becomes a store: {error:?}"));
        disk.take_log();
        let base = disk.image();
        let mut events = Vec::new();
        let mut models = vec![Model::new()];
        let mut model = Model::new();
        for n in 1..=COMMITS_PER_RUN {
            let batch = next_batch(&mut model, n, &mut random);
            models.push(model.clone());
            events.push(Event::Begin);
            let outcome = store.commit(batch);
            let mut log = disk.take_log();
            if drive == Drive::Lying {
                log.retain(|op| !matches!(op, DiskOp::Flush));
            }
            events.extend(log.into_iter().map(Event::Disk));
            let _durable = outcome.unwrap_or_else(|error| panic!("commit {n}: {error:?}"));
            events.push(Event::Ack);
        }
        Self {
            base,
            events,
            models,
        }
    }

    fn ops_before(&self, cut: usize) -> Vec<&DiskOp> {
        self.events
            .iter()
            .take(cut)
            .filter_map(|event| match event {
                Event::Disk(op) => Some(op),
                Event::Begin | Event::Ack => None,
            })
            .collect()
    }

    /// Returns how many commits were acknowledged and begun before the cut.
    fn bounds_at(&self, cut: usize) -> (usize, usize) {
        self.events
            .iter()
            .take(cut)
            .fold((0, 0), |(acked, begun), event| match event {
                Event::Begin => (acked, begun + 1),
                Event::Disk(_) => (acked, begun),
                Event::Ack => (acked + 1, begun),
            })
    }
}

fn next_batch(model: &mut Model, n: usize, random: &mut Random) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..=random.below(3) {
        let key = random.key();
        // Mostly small, sometimes over several pages, so that the file grows under the cut.
        let length = match random.below(16) {
            0 => random.below(20_000),
            _ => random.below(400),
        };
        let value = random.bytes(length);
        model.insert(key.clone(), value.clone());
        batch.insert(ITEMS, key, value);
    }
    if n.is_multiple_of(3) {
        let drawn = random.key();
        let key = model.range(drawn..).next().map(|(key, _)| key.clone());
        if let Some(key) = key {
            model.remove(&key);
            batch.remove(ITEMS, key);
        }
    }
    batch.insert(COUNTER, COUNTER_KEY, (n as u64).to_be_bytes());
    batch
}

/// SplitMix64: one word of state, so a seed is all there is to print.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn key(&mut self) -> Vec<u8> {
        (self.next() % KEYS).to_be_bytes().to_vec()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn nth(mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(n.wrapping_mul(0x2545_f491_4f6c_dd1d));
        self.next()
    }
}
