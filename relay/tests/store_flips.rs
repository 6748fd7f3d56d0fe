//! A store with one flipped bit is refused, fails or is harmless: it never serves other data.
//!
//! A bit of each byte is tried, with the settings of a device and with those of a server.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod store_explorer;

use std::sync::Arc;

use postern_relay::store::{Batch, DiskStore, KeyRange, Profile, Record, Store, StoreError, Table};
use store_explorer::disk::RecordingDisk;
use store_explorer::image::Image;

const ITEMS: Table = Table::new("items");
/// Bits flipped of each byte read, a different one from byte to byte; 8 is every bit. All 231,936
/// flips of the device's store were refused or harmless (November 2026, redb 4.5.0, 90 s).
const BITS_PER_BYTE: usize = 1;
const PAGE_BYTES: usize = 4096;
/// Of the bytes read at a checked start, one in so many is flipped; prime, so that every place of
/// a record is met. Set to 1, all 62,080 were
/// refused or harmless (November 2026).
const CHECKED_EVERY: usize = 11;

fn small_store(profile: Profile) -> (Vec<u8>, Vec<Record>) {
    let disk = Arc::new(RecordingDisk::default());
    let store = DiskStore::open_on(disk.clone(), "small", profile).unwrap();
    let mut batch = Batch::new();
    for n in 0..6_u32 {
        batch.insert(ITEMS, n.to_be_bytes(), format!("value {n}"));
    }
    let _durable = store.commit(batch).unwrap();
    let records = store.range(ITEMS, &KeyRange::all(), usize::MAX).unwrap();
    store.close().unwrap();
    (disk.image().to_bytes(), records)
}

/// What became of a store with one flipped bit.
#[derive(Debug, Default)]
struct Flips {
    refused: u64,
    failed: u64,
    harmless: u64,
    vanished: u64,
    served_other: Vec<usize>,
}

fn read_all(disk: Arc<RecordingDisk>, profile: Profile) -> Result<Vec<Record>, Option<StoreError>> {
    let store = DiskStore::open_on(disk, "flipped", profile).map_err(|_| None)?;
    store
        .range(ITEMS, &KeyRange::all(), usize::MAX)
        .map_err(Some)
}

/// The engine panics on some damage, which the store contains; a backtrace of each is noise.
fn without_panic_output<T>(run: impl FnOnce() -> T) -> T {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = run();
    std::panic::set_hook(before);
    outcome
}

/// Flips bits of everything the store reads; what is never read cannot change anything.
///
/// On a server the structure is not checked on open, and damage to the engine's own pages may
/// end the process; there, the pages that hold records are flipped.
fn flip_bits(profile: Profile) -> Flips {
    let (image, records) = small_store(profile);
    let whole = Image::from(image.clone());
    let disk = Arc::new(RecordingDisk::holding(whole.clone()));
    assert_eq!(
        read_all(disk.clone(), profile).ok().as_ref(),
        Some(&records)
    );
    let read = disk.bytes_read();
    let holds_records = |place: usize| {
        let page = &image[place / PAGE_BYTES * PAGE_BYTES..][..PAGE_BYTES];
        page.windows(5).any(|bytes| bytes == b"value")
    };
    let places = (0..image.len()).filter(|place| match profile {
        Profile::Device => read.get(*place) == Some(&true),
        Profile::Server => read.get(*place) == Some(&true) && holds_records(*place),
    });
    let mut flips = Flips::default();
    for place in places {
        for nth in 0..BITS_PER_BYTE {
            let bit = (place + nth) % 8;
            let mut flipped = whole.clone();
            flipped.write(place, &[image[place] ^ 1 << bit]);
            match read_all(Arc::new(RecordingDisk::holding(flipped)), profile) {
                Err(None) => flips.refused += 1,
                Err(Some(_)) => flips.failed += 1,
                Ok(found) if found == records => flips.harmless += 1,
                Ok(found) if found.iter().all(|one| records.contains(one)) => flips.vanished += 1,
                Ok(_) => flips.served_other.push(place * 8 + bit),
            }
        }
    }
    println!(
        "{profile:?}: {} of {} bytes are read; {} refused, {} failed, {} harmless, {} vanished",
        read.iter().filter(|read| **read).count(),
        image.len(),
        flips.refused,
        flips.failed,
        flips.harmless,
        flips.vanished
    );
    flips
}

#[test]
fn device_store_with_a_bit_flipped_never_serves_other_data() {
    let flips = without_panic_output(|| flip_bits(Profile::Device));
    assert_eq!(flips.served_other, Vec::<usize>::new());
    assert_eq!(
        flips.vanished, 0,
        "the integrity check sees a record that vanished"
    );
    assert!(flips.refused > 0);
}

#[test]
fn server_store_with_a_bit_flipped_never_serves_other_data() {
    let flips = without_panic_output(|| flip_bits(Profile::Server));
    assert_eq!(flips.served_other, Vec::<usize>::new());
    assert!(flips.refused + flips.failed > 0);
}

/// Opens as a controller does at start: the whole file is checked, then the server's settings.
fn open_checked(disk: &Arc<RecordingDisk>) -> Result<DiskStore, StoreError> {
    DiskStore::open_on(disk.clone(), "flipped", Profile::Device)?.close()?;
    DiskStore::open_on(disk.clone(), "flipped", Profile::Server)
}

/// Returns whether a flip is refused; panics where it is neither refused nor harmless.
fn is_refused(flipped: Image, records: &[Record]) -> bool {
    let disk = Arc::new(RecordingDisk::holding(flipped));
    let Ok(store) = open_checked(&disk) else {
        return true;
    };
    let read = || store.range(ITEMS, &KeyRange::all(), usize::MAX).unwrap();
    assert_eq!(read(), records);
    // A damaged list of free pages would let the next commit write over what is in use.
    let mut batch = Batch::new();
    batch.insert(ITEMS, "z", vec![7; 5_000]);
    let _durable = store.commit(batch).unwrap();
    assert_eq!(read()[..records.len()], *records);
    false
}

#[test]
fn server_store_checked_at_start_is_refused_or_whole_with_any_bit_flipped() {
    let (whole, records) = small_store(Profile::Server);
    let whole = Image::from(whole);
    let disk = Arc::new(RecordingDisk::holding(whole.clone()));
    drop(open_checked(&disk).unwrap());
    let read = disk.bytes_read();
    let places = (0..whole.length()).filter(|place| read.get(*place) == Some(&true));
    let mut refused = 0;
    let mut flips = 0;
    without_panic_output(|| {
        for place in places.step_by(CHECKED_EVERY) {
            let mut byte = [0];
            assert!(whole.read(place, &mut byte));
            let mut flipped = whole.clone();
            flipped.write(place, &[byte[0] ^ 1 << (flips % 8)]);
            refused += usize::from(is_refused(flipped, &records));
            flips += 1;
        }
    });
    println!("checked at start: {flips} flips, {refused} refused, the others harmless");
    assert!(refused > 0);
}
