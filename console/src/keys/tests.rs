use super::{KeyFileError, KeyRole, create, create_of, read};
use crate::random::OsRandom;
use postern_protocol::key::{Algorithm, Signer as _};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use tempfile::TempDir;

fn key_file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("writer.key");
    (folder, path)
}

/// Writes `content` with `mode` and returns the error of reading it as a writer key.
fn refusal(content: &[u8], mode: u32) -> KeyFileError {
    let (_folder, path) = key_file();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    read(&path, KeyRole::Writer).unwrap_err()
}

#[test]
fn key_file_created_reads_back() {
    let (_folder, path) = key_file();
    let made = create(&path, KeyRole::Writer, &mut OsRandom).unwrap();
    let found = read(&path, KeyRole::Writer).unwrap();
    assert_eq!(made.public_key(), found.public_key());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn key_file_of_each_algorithm_reads_back() {
    for algorithm in Algorithm::ALL {
        let (_folder, path) = key_file();
        let made = create_of(&path, KeyRole::Writer, algorithm, &mut OsRandom).unwrap();
        let found = read(&path, KeyRole::Writer).unwrap();
        assert_eq!(found.public_key().algorithm(), algorithm);
        assert_eq!(made.public_key(), found.public_key());
    }
}

#[test]
fn key_file_of_another_algorithm_is_refused() {
    let zero = "A".repeat(43);
    for word in ["esp384", "ESP256", "esp256 esp256", "", "ed25519"] {
        let line = format!("postern-key-1 writer {} {word}\n", "B".repeat(43));
        assert!(matches!(
            refusal(line.as_bytes(), 0o600),
            KeyFileError::Shape { .. }
        ));
    }
    let line = format!("postern-key-1 writer {zero} esp256\n");
    assert!(matches!(
        refusal(line.as_bytes(), 0o600),
        KeyFileError::Shape { .. }
    ));
}

#[test]
fn key_file_that_exists_is_not_overwritten() {
    let (_folder, path) = key_file();
    fs::write(&path, "precious").unwrap();
    let error = create(&path, KeyRole::Writer, &mut OsRandom).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn key_file_readable_by_others_is_refused_with_chmod() {
    for mode in [0o640, 0o604, 0o660, 0o606, 0o644, 0o777, 0o610] {
        let line = format!("postern-key-1 writer {}\n", "A".repeat(43));
        let error = refusal(line.as_bytes(), mode);
        assert!(matches!(error, KeyFileError::Open { mode: found, .. } if found == mode));
        assert!(error.next_step().contains("chmod 600"));
    }
}

#[test]
fn key_file_of_another_role_is_refused() {
    for role in ["root", "recovery", "mailbox", "device", "Writer", ""] {
        let line = format!("postern-key-1 {role} {}\n", "A".repeat(43));
        assert!(matches!(
            refusal(line.as_bytes(), 0o600),
            KeyFileError::Role { .. }
        ));
    }
}

#[test]
fn key_file_of_another_shape_is_refused_without_showing_it() {
    let seed = "Qk".repeat(21) + "A";
    let cases = [
        String::new(),
        "\n".into(),
        seed.clone(),
        "postern-key-2 writer ".to_owned() + &seed,
        "postern-key-1".into(),
        "postern-key-1 writer".into(),
        "postern-key-1 writer ".into(),
        format!("postern-key-1 writer {seed}Qk"),
        format!("postern-key-1 writer {}", &seed[1..]),
        format!("postern-key-1 writer {seed}="),
        format!("postern-key-1 writer {seed} more"),
        format!("postern-key-1 writer {}", "+".repeat(43)),
        format!("postern-key-1 writer {seed}{}", " ".repeat(200)),
    ];
    for content in cases {
        let error = refusal(content.as_bytes(), 0o600);
        assert!(matches!(error, KeyFileError::Shape { .. }), "{content:?}");
        assert!(!error.to_string().contains("QkQk"));
    }
    let not_text = refusal(b"postern-key-1 \xff", 0o600);
    assert!(matches!(not_text, KeyFileError::Shape { .. }));
}

#[test]
fn key_file_missing_or_folder_is_refused() {
    let (folder, path) = key_file();
    let missing = read(&path, KeyRole::Root).unwrap_err();
    assert!(matches!(missing, KeyFileError::Missing { .. }));
    let is_folder = read(folder.path(), KeyRole::Root).unwrap_err();
    assert!(matches!(is_folder, KeyFileError::Shape { .. }));
}
