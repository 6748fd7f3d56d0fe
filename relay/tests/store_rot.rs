//! Every single bit of a small store, flipped at rest: found and named, or without effect; never other data.
//!
//! Three ways to open it: as a device does (every page is checked), as controller and relay do (checked once at start, then
//! a server's settings), and with a server's settings alone, which check every value and no page. Over damage to its own
//! pages the engine may then end the process, or not find records: other data is never served, and the check at the next
//! start has to name each of these flips. Flips are tried in processes of their own; it is a program without the test
//! harness, because it starts itself again.
//!
//! ```text
//! cargo test -p postern-relay --test store_rot           some thousand bits
//! POSTERN_FLIPS_EVERY=1 ...                              every bit
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod store_explorer;

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write, stdout};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use postern_relay::store::{Batch, DiskStore, KeyRange, Profile, Record, Store, StoreError, Table};
use store_explorer::disk::RecordingDisk;
use store_explorer::image::Image;

const ITEMS: Table = Table::new("items");
/// One in so many bits is flipped where the environment asks for no other number; prime, so that every place is met.
const EVERY: usize = 23;
/// A flip that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first argument of a process that flips.
const FLIP: &str = "flip";
const NAME: &str = "store_with_any_bit_flipped_is_refused_or_whole";

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Device,
    Server,
    Unchecked,
}

/// What became of a flip; one byte on the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The store does not open, with an error that names the file.
    Refused,
    /// It opens, and reading or committing is refused with such an error.
    Failed,
    Harmless,
    /// It opens and lacks records.
    Vanished,
    ServedOther,
    /// Refused with an error that is not about damage.
    Misnamed,
    /// The process ended.
    Ended,
    Hung,
}

impl Opening {
    const ALL: [Self; 3] = [Self::Device, Self::Server, Self::Unchecked];

    fn profile(self) -> Profile {
        match self {
            Self::Device => Profile::Device,
            Self::Server | Self::Unchecked => Profile::Server,
        }
    }

    fn open(self, disk: &Arc<RecordingDisk>) -> Result<DiskStore, StoreError> {
        if self == Self::Server {
            DiskStore::open_on(disk.clone(), "flipped", Profile::Device)?.close()?;
        }
        DiskStore::open_on(disk.clone(), "flipped", self.profile())
    }

    /// Opens, reads, commits and reads again, as a process would.
    fn judge(self, flipped: Image, records: &[Record]) -> Outcome {
        let disk = Arc::new(RecordingDisk::holding(flipped));
        let store = match self.open(&disk) {
            Ok(store) => store,
            Err(error) => return named(&error, Outcome::Refused),
        };
        let read = || store.range(ITEMS, &KeyRange::between([], "z"), usize::MAX);
        let found = match read() {
            Ok(found) => found,
            Err(error) => return named(&error, Outcome::Failed),
        };
        if found != records {
            return compare(&found, records);
        }
        let mut batch = Batch::new();
        batch.insert(ITEMS, "z", vec![7; 5_000]);
        match store.commit(batch).and_then(|_durable| read()) {
            Ok(found) if found == records => Outcome::Harmless,
            Ok(found) => compare(&found, records),
            Err(error) => named(&error, Outcome::Failed),
        }
    }
}

fn compare(found: &[Record], records: &[Record]) -> Outcome {
    if found.iter().all(|one| records.contains(one)) {
        Outcome::Vanished
    } else {
        Outcome::ServedOther
    }
}

fn named(error: &StoreError, outcome: Outcome) -> Outcome {
    let is_named = error.to_string().contains("flipped");
    match error {
        StoreError::DamagedFile { .. }
        | StoreError::Damaged { .. }
        | StoreError::NotAStore { .. }
        | StoreError::Newer { .. }
        | StoreError::Io { .. }
            if is_named =>
        {
            outcome
        }
        StoreError::DamagedFile { .. }
        | StoreError::Damaged { .. }
        | StoreError::NotAStore { .. }
        | StoreError::Newer { .. }
        | StoreError::Io { .. }
        | StoreError::Locked { .. }
        | StoreError::Poisoned { .. }
        | StoreError::Panicked
        | StoreError::Closed
        | StoreError::TooLarge { .. }
        | StoreError::QueueFull { .. } => Outcome::Misnamed,
    }
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Refused,
        Self::Failed,
        Self::Harmless,
        Self::Vanished,
        Self::ServedOther,
        Self::Misnamed,
        Self::Ended,
        Self::Hung,
    ];

    fn of(byte: u8) -> Self {
        Self::ALL[usize::from(byte - b'a')]
    }

    fn byte(self) -> u8 {
        let place = Self::ALL.iter().position(|one| *one == self);
        b'a' + u8::try_from(place.unwrap()).unwrap()
    }
}

fn small_store(profile: Profile) -> (Image, Vec<Record>) {
    let disk = Arc::new(RecordingDisk::default());
    let store = DiskStore::open_on(disk.clone(), "small", profile).unwrap();
    for half in 0..2_u32 {
        let mut batch = Batch::new();
        for n in 0..3 {
            let n = half * 3 + n;
            batch.insert(ITEMS, n.to_be_bytes(), format!("value {n}"));
        }
        let _durable = store.commit(batch).unwrap();
    }
    let records = store.range(ITEMS, &KeyRange::all(), usize::MAX).unwrap();
    store.close().unwrap();
    (disk.image(), records)
}

/// The bits of all bytes that an opening reads; what is never read cannot change anything.
fn bits(opening: Opening, image: &Image, every: usize) -> Vec<usize> {
    let disk = Arc::new(RecordingDisk::holding(image.clone()));
    let store = opening.open(&disk).unwrap();
    let _records = store.range(ITEMS, &KeyRange::all(), usize::MAX).unwrap();
    let mut batch = Batch::new();
    batch.insert(ITEMS, "z", vec![7; 5_000]);
    let _durable = store.commit(batch).unwrap();
    let read = disk.bytes_read();
    let bits = (0..image.length() * 8).filter(|bit| read.get(bit / 8) == Some(&true));
    bits.step_by(every).collect()
}

/// Is a process that flips one bit after the other, and says what became of each.
fn flip(opening: Opening, from: usize, every: usize) {
    let (image, records) = small_store(opening.profile());
    // The engine panics on some damage, which the store contains; a backtrace of each is noise.
    std::panic::set_hook(Box::new(|_| {}));
    for bit in bits(opening, &image, every).into_iter().skip(from) {
        let outcome = opening.judge(with_flipped(&image, bit), &records);
        let mut out = stdout();
        out.write_all(&[outcome.byte()]).unwrap();
        out.flush().unwrap();
    }
}

/// Flips all bits of one opening; returns how often each outcome came, and the bits of those that are no good.
fn flip_all(opening: Opening, every: usize) -> BTreeMap<Outcome, Vec<usize>> {
    let (image, _) = small_store(opening.profile());
    let bits = bits(opening, &image, every);
    let mut found: BTreeMap<Outcome, Vec<usize>> = BTreeMap::new();
    let mut done = 0;
    while done < bits.len() {
        let (mut child, outcomes) = start(opening, done, every);
        let mut last = None;
        while done < bits.len() && last.is_none() {
            let outcome = match outcomes.recv_timeout(PATIENCE) {
                Ok(byte) => Outcome::of(byte),
                Err(RecvTimeoutError::Timeout) => Outcome::Hung,
                Err(RecvTimeoutError::Disconnected) => Outcome::Ended,
            };
            if matches!(outcome, Outcome::Hung | Outcome::Ended) {
                last = Some(outcome);
            }
            found.entry(outcome).or_default().push(bits[done]);
            done += 1;
        }
        // It may have ended already.
        drop(child.kill());
        child.wait().unwrap();
    }
    found
}

fn start(opening: Opening, from: usize, every: usize) -> (Child, Receiver<u8>) {
    let number = Opening::ALL.iter().position(|one| *one == opening);
    let words = [number.unwrap(), from, every].map(|number| number.to_string());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(FLIP)
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (tell, outcomes) = channel();
    thread::spawn(move || {
        for byte in BufReader::new(out).bytes().map_while(Result::ok) {
            if tell.send(byte).is_err() {
                return;
            }
        }
    });
    (child, outcomes)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn every() -> usize {
    let asked = std::env::var("POSTERN_FLIPS_EVERY").ok();
    asked.map_or(EVERY, |text| text.parse().unwrap())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(FLIP) => {
            let numbers = arguments[1..].iter().map(|word| word.parse().unwrap());
            let numbers: Vec<usize> = numbers.collect();
            flip(Opening::ALL[numbers[0]], numbers[1], numbers[2]);
            return ExitCode::SUCCESS;
        }
        // What the harness would be told: a filter, or to list.
        Some("--list") => return ExitCode::SUCCESS,
        Some(filter) if !filter.starts_with('-') && !NAME.contains(filter) => {
            return ExitCode::SUCCESS;
        }
        Some(_) | None => {}
    }
    let mut good = true;
    thread::scope(|scope| {
        let all =
            Opening::ALL.map(|opening| scope.spawn(move || (opening, flip_all(opening, every()))));
        for one in all {
            let (opening, found) = one.join().unwrap();
            good &= report(opening, &found);
        }
    });
    println!("{NAME} ... {}", if good { "ok" } else { "FAILED" });
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn report(opening: Opening, found: &BTreeMap<Outcome, Vec<usize>>) -> bool {
    let flips: usize = found.values().map(Vec::len).sum();
    let counts: Vec<String> = found
        .iter()
        .map(|(outcome, bits)| format!("{} {outcome:?}", bits.len()))
        .collect();
    println!("{opening:?}: {flips} bits flipped: {}", counts.join(", "));
    let mut good = flips > 0 && found.contains_key(&Outcome::Refused);
    for (outcome, bits) in found {
        let is_good = match outcome {
            Outcome::Refused | Outcome::Failed | Outcome::Harmless => true,
            Outcome::Vanished | Outcome::Ended => {
                opening == Opening::Unchecked
                    && bits.iter().all(|bit| is_found_at_the_next_start(*bit))
            }
            Outcome::ServedOther | Outcome::Misnamed | Outcome::Hung => false,
        };
        if !is_good {
            let first = &bits[..bits.len().min(20)];
            println!("{opening:?} {outcome:?}: bits {first:?}");
            good = false;
        }
    }
    good
}

/// Whether the check at the next start names the damage of a server's store.
fn is_found_at_the_next_start(bit: usize) -> bool {
    let (image, _) = small_store(Opening::Unchecked.profile());
    let disk = Arc::new(RecordingDisk::holding(with_flipped(&image, bit)));
    let checked = DiskStore::open_on(disk, "flipped", Profile::Device);
    checked.is_err_and(|error| named(&error, Outcome::Refused) == Outcome::Refused)
}

fn with_flipped(image: &Image, bit: usize) -> Image {
    let mut byte = [0];
    assert!(image.read(bit / 8, &mut byte));
    let mut flipped = image.clone();
    flipped.write(bit / 8, &[byte[0] ^ 1 << (bit % 8)]);
    flipped
}
