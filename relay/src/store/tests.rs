use super::disk::{Disk, FileDisk};
use super::limits::{LOCK_TRIES_MAX, SCHEMA_VERSION};
use super::{Batch, DiskStore, Profile, Store, StoreError, Table, frame};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const ITEMS: Table = Table::new("items");

/// Writes a schema record as another version would, then opens the store again.
fn open_with_schema(version: &[u8]) -> Result<DiskStore, StoreError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = DiskStore::open(&path, Profile::Device).unwrap();
    let mut batch = Batch::new();
    batch.insert(Table::META, "schema", version);
    drop(store.commit(batch).unwrap());
    store.close().unwrap();
    DiskStore::open(&path, Profile::Device)
}

#[test]
fn store_of_a_newer_schema_is_refused_with_both_versions_and_the_next_step() {
    for newer in [SCHEMA_VERSION + 1, u32::MAX] {
        let error = open_with_schema(&newer.to_be_bytes()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found, .. } if found == newer));
        let text = error.to_string();
        for part in [
            "store",
            &newer.to_string(),
            "up to schema 1",
            "run the version",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn store_with_a_senseless_schema_is_damaged() {
    for version in [&b""[..], b"1", &[0; 4], &[0; 5]] {
        let error = open_with_schema(version).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    }
}

#[test]
fn store_of_this_schema_opens() {
    assert!(open_with_schema(&SCHEMA_VERSION.to_be_bytes()).is_ok());
}

/// A file as a disk, without a lock, so that a test can write below the store.
#[derive(Debug)]
struct Below(File);

impl Disk for Below {
    fn length_bytes(&self) -> std::io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(out, offset)
    }
    fn set_length(&self, length_bytes: u64) -> std::io::Result<()> {
        self.0.set_len(length_bytes)
    }
    fn write(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn record_that_fails_its_check_is_named_and_stops_the_store() {
    let file = tempfile::tempfile().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Below(file.try_clone().unwrap()));
    let store = DiskStore::open_on(disk.clone(), "below", Profile::Server).unwrap();
    let mut batch = Batch::new();
    batch.insert(ITEMS, [0xab, 0xcd], "precious");
    drop(store.commit(batch).unwrap());
    store.close().unwrap();
    drop(store);
    let mut image = vec![0; usize::try_from(disk.length_bytes().unwrap()).unwrap()];
    disk.read(0, &mut image).unwrap();
    let sealed = frame::seal(&frame::engine_key(ITEMS, &[0xab, 0xcd]), b"precious");
    for place in 0..image.len() - sealed.len() {
        if image[place..].starts_with(&sealed) {
            let last = u64::try_from(place + sealed.len() - 1).unwrap();
            disk.write(last, b"t").unwrap();
        }
    }
    let store = DiskStore::open_on(disk, "below", Profile::Server).unwrap();
    let error = store.get(ITEMS, &[0xab, 0xcd]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("table items key abcd"), "{text}");
    let refused = store.commit(Batch::new());
    assert!(
        matches!(refused, Err(StoreError::Poisoned { .. })),
        "{refused:?}"
    );
}

/// A holder that ends after so many pauses of whoever waits for it, as the child of a killed process does.
fn lock_while_held(pauses_until_free: usize) -> (Result<FileDisk, StoreError>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let holder = File::create(&path).unwrap();
    holder.try_lock().unwrap();
    let (mut holder, mut pauses) = (Some(holder), 0);
    let locked = FileDisk::lock_patiently(File::open(&path).unwrap(), &path, || {
        pauses += 1;
        if pauses == pauses_until_free {
            holder = None;
        }
    });
    (locked, pauses)
}

#[test]
fn lock_that_a_killed_process_left_to_its_child_is_waited_for() {
    for pauses in [1, 2, LOCK_TRIES_MAX - 1] {
        let (locked, waited) = lock_while_held(pauses);
        assert!(locked.is_ok(), "{locked:?}");
        assert_eq!(waited, pauses);
    }
}

#[test]
fn lock_that_stays_held_is_refused_after_bounded_tries() {
    let (locked, waited) = lock_while_held(usize::MAX);
    assert!(
        matches!(locked, Err(StoreError::Locked { .. })),
        "{locked:?}"
    );
    assert_eq!(waited, LOCK_TRIES_MAX - 1);
}
