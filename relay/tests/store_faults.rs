//! What the store does with failing disks, damaged files and files that are not its own.
//!
//! After the first failed commit nothing more may be acknowledged.
#![expect(clippy::unwrap_used, reason = "a test")]

mod store_explorer;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use postern_relay::store::limits::{QUEUE_BYTES_MAX, SCHEMA_VERSION};
use postern_relay::store::{
    Batch, DiskStore, KeyRange, Profile, Record, Store, StoreError, Table, Writer,
};
use store_explorer::disk::RecordingDisk;

const ITEMS: Table = Table::new("items");
const PROFILES: [Profile; 2] = [Profile::Device, Profile::Server];

fn numbered(n: u32) -> Batch {
    let mut batch = Batch::new();
    batch.insert(ITEMS, n.to_be_bytes(), format!("value {n}"));
    batch
}

fn count(store: &dyn Store) -> usize {
    store
        .range(ITEMS, &KeyRange::all(), usize::MAX)
        .unwrap()
        .len()
}

#[test]
fn store_whose_nth_flush_fails_acknowledges_nothing_afterwards() {
    for profile in PROFILES {
        for nth in 0..8 {
            let disk = Arc::new(RecordingDisk::default());
            let store = Arc::new(DiskStore::open_on(disk.clone(), "faulty", profile).unwrap());
            let writer = Writer::start(store.clone(), QUEUE_BYTES_MAX).unwrap();
            disk.fail_flushes_from(disk.flushes() + nth);
            let acked = (0..20)
                .filter(|n| writer.commit(numbered(*n)).is_ok())
                .count();
            let flushes_each = if profile == Profile::Device { 1 } else { 2 };
            assert_eq!(acked as u64, nth / flushes_each, "{profile:?} {nth}");
            assert!(writer.submit(numbered(99)).is_err());
            assert!(matches!(
                store.commit(numbered(99)),
                Err(StoreError::Poisoned { .. })
            ));
            drop((writer, store));
            let reopened = Arc::new(RecordingDisk::holding(disk.image()));
            let store = DiskStore::open_on(reopened, "faulty", profile).unwrap();
            assert!(count(&store) >= acked);
        }
    }
}

#[test]
fn store_that_stopped_refuses_although_the_disk_works_again() {
    let disk = Arc::new(RecordingDisk::default());
    let store = DiskStore::open_on(disk.clone(), "faulty", Profile::Device).unwrap();
    disk.fail_flushes_from(disk.flushes());
    assert!(store.commit(numbered(1)).is_err());
    disk.fail_flushes_from(u64::MAX);
    let refused = store.commit(numbered(2));
    assert!(
        matches!(refused, Err(StoreError::Poisoned { .. })),
        "{refused:?}"
    );
}

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

#[test]
fn new_store_file_is_its_owners_alone_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::write(folder.path().join("store.new"), "half a store").unwrap();
    let store = DiskStore::open(&path, Profile::Device).unwrap();
    let _durable = store.commit(numbered(1)).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!folder.path().join("store.new").exists());
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = DiskStore::open(&path, Profile::Device).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(count(&store), 1);
}

#[test]
fn store_opened_twice_refuses_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = DiskStore::open(&path, Profile::Server).unwrap();
    let second = DiskStore::open(&path, Profile::Server);
    assert!(
        matches!(second, Err(StoreError::Locked { .. })),
        "{second:?}"
    );
    store.close().unwrap();
    assert!(DiskStore::open(&path, Profile::Server).is_ok());
}

#[test]
fn file_that_is_no_store_is_refused_and_left_alone() {
    let check = |content: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, content).unwrap();
        for profile in PROFILES {
            match DiskStore::open(&path, profile) {
                Err(error @ StoreError::NotAStore { .. }) => {
                    assert!(error.to_string().contains("notes.txt"), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(fs::read(&path).unwrap(), content);
    };
    check(b"");
    check(b"redb");
    check(b"a shopping list, longer than any magic number");
    check(&[0; 8192]);
}

#[test]
fn database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    drop(redb::Database::create(&path).unwrap());
    for profile in PROFILES {
        let opened = DiskStore::open(&path, profile);
        assert!(
            matches!(opened, Err(StoreError::NotAStore { .. })),
            "{opened:?}"
        );
    }
}

#[test]
fn store_cut_short_is_refused_with_its_name_and_a_remedy() {
    let (image, _) = small_store(Profile::Device);
    for profile in PROFILES {
        for length in [64, 4096, image.len() / 2] {
            let disk = Arc::new(RecordingDisk::holding(image[..length].to_vec()));
            match DiskStore::open_on(disk, "/var/lib/postern/store", profile) {
                Err(error @ StoreError::DamagedFile { .. }) => {
                    let text = error.to_string();
                    assert!(text.contains("/var/lib/postern/store is damaged"), "{text}");
                    assert!(text.contains("restore a backup"), "{text}");
                }
                other => panic!("{profile:?} {length}: {other:?}"),
            }
        }
    }
}

#[test]
fn store_of_a_missing_folder_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let opened = DiskStore::open(&folder.path().join("none/store"), Profile::Device);
    match opened {
        Err(error @ StoreError::Io { .. }) => assert!(error.to_string().contains("none/store")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn schema_version_supported_is_the_first() {
    // A second version needs a migration and a test that opens a store of the first.
    assert_eq!(SCHEMA_VERSION, 1);
}
