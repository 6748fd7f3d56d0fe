use super::{read, read_or_make};
use crate::random::OsRandom;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn check_refused(text: &str, mode: u32, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quic.key");
    write(&path, text, mode);
    let error = read_or_make(&path, &mut OsRandom).unwrap_err();
    assert_eq!(error.name, "quic-key");
    assert!(error.message.contains(words), "{}", error.message);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn secret_is_made_once_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quic.key");
    assert!(read(&path).unwrap().is_none());
    let made = read_or_make(&path, &mut OsRandom).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = read_or_make(&path, &mut OsRandom).unwrap();
    assert_eq!(made.as_bytes(), again.as_bytes());
}

#[test]
fn secret_that_others_may_read_is_refused() {
    let text = format!("postern-quic-1 {}\n", "ab".repeat(32));
    check_refused(&text, 0o640, "others may read");
}

#[test]
fn file_without_a_secret_is_refused_and_stays() {
    for text in [
        String::new(),
        format!("postern-key-1 {}\n", "ab".repeat(32)),
        format!("postern-quic-1 {}\n", "ab".repeat(31)),
        format!("postern-quic-1 {}\n", "ab".repeat(33)),
        format!("postern-quic-1 {}\n", "+a".repeat(32)),
    ] {
        check_refused(&text, 0o600, "no QUIC secret");
    }
}
