use super::{Asker, Audit, End, tail, verify};
use crate::limits::AUDIT_FILE_BYTES_MAX;
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

const NOW: Option<u64> = Some(1_795_831_800);

struct Folder {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    Folder { _dir: dir, path }
}

fn open(folder: &Folder) -> Audit {
    Audit::open(&folder.path, NOW).unwrap()
}

fn write(audit: &mut Audit, op: &str) -> End {
    let who = Asker {
        uid: Some(0),
        pid: Some(7),
    };
    audit
        .write(NOW, who, op, json!({"within_s": 120}), "done")
        .unwrap()
        .clone()
}

/// Writes three lines, changes the file as told, and returns what verification says.
fn check(change: impl FnOnce(String) -> String) -> String {
    let folder = folder();
    let mut audit = open(&folder);
    for op in ["drain", "undrain", "reload"] {
        write(&mut audit, op);
    }
    let text = fs::read_to_string(&folder.path).unwrap();
    fs::write(&folder.path, change(text)).unwrap();
    verify(&folder.path).map_or_else(|error| error.message, |end| format!("{} lines", end.n))
}

#[test]
fn chain_as_written_verifies_across_a_restart() {
    let folder = folder();
    let first = write(&mut open(&folder), "drain");
    let second = write(&mut open(&folder), "undrain");
    assert_eq!((first.n, second.n), (1, 2));
    assert_eq!(verify(&folder.path).unwrap(), second);
    let shown = tail(&folder.path, 1).unwrap();
    assert_eq!(shown[0]["op"], "undrain");
    assert_eq!(shown[0]["time"], "2026-11-28T02:10:00Z");
    assert_eq!(shown[0]["prev"], first.hash);
    assert_eq!(fs::metadata(&folder.path).unwrap().mode() & 0o777, 0o600);
}

/// What is done to a file, how, and what verification says then.
type Touch = (&'static str, fn(String) -> String, &'static str);

#[test]
fn chain_that_was_touched_is_refused_at_its_line() {
    let cases: [Touch; 6] = [
        ("nothing", |text| text, "3 lines"),
        (
            "a word",
            |text| text.replacen("undrain", "reload", 1),
            ":2: this line was changed",
        ),
        (
            "a line taken out",
            |text| {
                text.lines()
                    .enumerate()
                    .filter(|(at, _)| *at != 1)
                    .map(|(_, line)| format!("{line}\n"))
                    .collect()
            },
            ":2: this line does not have the next number",
        ),
        (
            "two lines swapped",
            |text| {
                let mut lines: Vec<_> = text.lines().collect();
                lines.swap(0, 1);
                lines.join("\n") + "\n"
            },
            ":1: this line does not have the next number",
        ),
        (
            "a line put in",
            |text| text.replacen('\n', "\n{}\n", 1),
            ":2: this line is no entry",
        ),
        (
            "who asked",
            |text| text.replacen("\"uid\":0", "\"uid\":1000", 1),
            ":1: this line was changed",
        ),
    ];
    for (what, change, expected) in cases {
        let found = check(change);
        assert!(found.contains(expected), "{what}: {found}");
    }
}

#[test]
fn line_torn_by_a_crash_is_removed_and_noted() {
    let folder = folder();
    write(&mut open(&folder), "drain");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(&folder.path)
        .unwrap();
    file.write_all(b"{\"n\":2,\"ti").unwrap();
    let audit = open(&folder);
    assert_eq!(audit.end().n, 2);
    assert_eq!(tail(&folder.path, 1).unwrap()[0]["op"], "torn-line-removed");
    assert_eq!(verify(&folder.path).unwrap().n, 2);
}

#[test]
fn file_with_a_foreign_last_line_is_not_continued() {
    let folder = folder();
    for content in ["hello\n", "{}\n"] {
        fs::write(&folder.path, content).unwrap();
        let error = Audit::open(&folder.path, NOW).unwrap_err();
        assert_eq!(error.name, "audit-broken");
        assert!(error.next.contains("move it away"), "{error}");
    }
}

#[test]
fn full_file_is_put_away_and_the_chain_goes_on() {
    let folder = folder();
    let mut audit = open(&folder);
    write(&mut audit, "drain");
    audit.bytes = AUDIT_FILE_BYTES_MAX;
    let second = write(&mut audit, "undrain");
    assert!(
        folder
            .path
            .with_file_name("audit.log.000000000001")
            .exists()
    );
    assert_eq!(verify(&folder.path).unwrap(), second);
    // A crash between the two: the new file is still empty.
    fs::write(&folder.path, "").unwrap();
    assert_eq!(open(&folder).end().n, 1);
}
