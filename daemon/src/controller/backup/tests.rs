use super::archive::{Archive, ArchiveError, ArchivedRecord, MAGIC};
use super::restore::restore;
use super::write;
use crate::config::ControllerConfig;
use crate::controller::init::{InitOptions, create};
use crate::random::OsRandom;
use postern_protocol::id::Tenant;
use postern_protocol::record::Table;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

fn archive() -> Archive {
    Archive {
        about: b"{}".to_vec(),
        files: vec![("tls/a".into(), vec![1, 2]), ("b".into(), Vec::new())],
        records: vec![ArchivedRecord {
            table: Table::ALL[0],
            key: vec![0, 1, 0],
            value: vec![9; 300],
        }],
    }
}

#[test]
fn archive_survives_its_bytes() {
    assert_eq!(Archive::decode(&archive().encode()), Ok(archive()));
    let empty = Archive::default();
    assert_eq!(Archive::decode(&empty.encode()), Ok(empty));
}

#[test]
fn archive_with_any_flipped_bit_or_cut_is_refused() {
    let good = archive().encode();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(Archive::decode(&bytes).is_err(), "{at}");
        assert!(Archive::decode(&good[..at]).is_err(), "{at}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(Archive::decode(&longer), Err(ArchiveError::Damaged));
}

#[test]
fn archive_of_another_kind_or_version_is_named() {
    let check = |bytes: &[u8], expected| assert_eq!(Archive::decode(bytes), Err(expected));
    check(b"", ArchiveError::NotABackup);
    check(b"PK\x03\x04", ArchiveError::NotABackup);
    check(b"postern-controller-backup 2\n", ArchiveError::Version);
    check(MAGIC, ArchiveError::Damaged);
}

#[test]
fn archive_whose_file_would_leave_the_folder_is_refused() {
    for name in ["../a", "/a", "a/../b", "a//b", ".", "", "a\\b", "a\0b"] {
        let mut archive = archive();
        archive.files[0].0 = name.into();
        let decoded = Archive::decode(&archive.encode());
        assert!(matches!(decoded, Err(ArchiveError::Malformed(_))), "{name}");
    }
}

fn made(folder: &Path) -> ControllerConfig {
    let dir = folder.join("c");
    let options = InitOptions {
        dir: dir.clone(),
        listen: Some("127.0.0.1:8443".parse().unwrap()),
        urls: Vec::new(),
        tenants: vec![Tenant::parse("default").unwrap()],
        certificate: None,
    };
    create(&options, &mut OsRandom).unwrap();
    ControllerConfig::load(&dir).unwrap()
}

fn backed_up(folder: &Path) -> (ControllerConfig, PathBuf) {
    let config = made(folder);
    let file = folder.join("backup");
    write(&config, &[], &file).unwrap();
    (config, file)
}

#[test]
fn backup_is_private_holds_no_root_key_and_restores() {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = backed_up(folder.path());
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let bytes = fs::read(&file).unwrap();
    let holds = |name: &str| {
        let key = fs::read(config.dir.join(name)).unwrap();
        bytes.windows(key.len()).any(|window| window == key)
    };
    assert!(holds("writer-default.key") && holds("mailbox.key") && holds("tls/server.key"));
    assert!(!holds("root.key") && !holds("recovery.key"));
    let restored = folder.path().join("r");
    restore(&file, &restored).unwrap();
    for name in ["controller.toml", "mailbox.key", "bundles/1.cbor"] {
        let same = fs::read(config.dir.join(name)).unwrap();
        assert_eq!(fs::read(restored.join(name)).unwrap(), same, "{name}");
    }
    assert!(restored.join("controller.redb").exists());
}

#[test]
fn backup_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = backed_up(folder.path());
    let before = fs::read(&file).unwrap();
    let error = write(&config, &[], &file).unwrap_err();
    assert_eq!(error.name, "backup-exists");
    assert_eq!(fs::read(&file).unwrap(), before);
    let absent = folder.path().join("absent/backup");
    assert_eq!(
        write(&config, &[], &absent).unwrap_err().name,
        "backup-unwritable"
    );
}

#[test]
fn restore_into_what_exists_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = backed_up(folder.path());
    let error = restore(&file, &config.dir).unwrap_err();
    assert_eq!(error.name, "restore-exists");
}

/// Changes a backup, keeps its digest right, and expects that nothing is restored.
fn check_refused(change: impl FnOnce(&mut Archive)) {
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = backed_up(folder.path());
    let mut archive = Archive::decode(&fs::read(&file).unwrap()).unwrap();
    change(&mut archive);
    fs::write(&file, archive.encode()).unwrap();
    let dir = folder.path().join("r");
    assert!(restore(&file, &dir).is_err());
    assert!(!dir.exists());
}

#[test]
fn restore_verifies_everything_before_it_writes() {
    check_refused(|archive| archive.files.retain(|(name, _)| name != "controller.toml"));
    check_refused(|archive| archive.files.retain(|(name, _)| name != "mailbox.key"));
    check_refused(|archive| {
        archive
            .files
            .retain(|(name, _)| name != "writer-default.key")
    });
    check_refused(|archive| archive.files.retain(|(name, _)| name != "bundles/1.cbor"));
    check_refused(|archive| archive.about = b"null".to_vec());
    check_refused(|archive| {
        archive.records.push(ArchivedRecord {
            table: Table::ALL[0],
            key: vec![1],
            value: vec![0xff],
        });
    });
    check_refused(|archive| {
        for (name, content) in &mut archive.files {
            if name == "bundles/1.cbor" {
                content[40] ^= 1;
            }
        }
    });
}
