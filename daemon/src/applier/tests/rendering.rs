use super::{Site, names_of};
use crate::applier::STATUS_NOT_RENDERED;
use postern_protocol::id::Digest;
use postern_protocol::state::{Finite, Reference, Value};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::test;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

#[test]
async fn state_of_every_value_becomes_files() {
    let site = Site::new(None);
    let reference = Value::Reference(Reference {
        digest: Digest::from_bytes([0xab; 32]),
        size_bytes: 3,
        media_type: "a/b".into(),
    });
    let digest = "ab".repeat(32);
    let cases = [
        ("null", Value::Null, "null".to_owned()),
        ("on", Value::Bool(true), "true".to_owned()),
        ("n/int", Value::Int((-3_i64).into()), "-3".to_owned()),
        ("n/most", Value::Int(u64::MAX.into()), u64::MAX.to_string()),
        (
            "n/float",
            Value::Float(Finite::new(3.0).expect("finite")),
            "3.0".to_owned(),
        ),
        (
            "t/deep/text",
            Value::Text("null\n".into()),
            "null\n".to_owned(),
        ),
        ("t/none", Value::Text(String::new()), String::new()),
        (
            "t/bytes",
            Value::Bytes(b"\x01\x02".to_vec()),
            "\u{1}\u{2}".to_owned(),
        ),
        (
            "r",
            reference,
            format!(r#"{{"digest":"{digest}","media_type":"a/b","size_bytes":3}}"#),
        ),
    ];
    let entries = cases.iter().map(|(path, value, _)| (*path, value.clone()));
    let applied = site.apply_values(1, entries).await;
    assert_eq!((applied.status, applied.output.as_str()), (0, ""));
    for (path, _, text) in &cases {
        assert_eq!(site.text(path), *text, "{path}");
        assert_eq!(mode_of(&site.current().join(path)), 0o644, "{path}");
    }
    assert_eq!(mode_of(&site.current().join("t/deep")), 0o755);
    assert_eq!(names_of(&site.current()), ["n", "null", "on", "r", "t"]);
}

#[test]
async fn next_revision_replaces_adds_and_removes() {
    let site = Site::new(None);
    site.apply(1, &[("a/b", "1"), ("a/c", "1"), ("gone/x/y", "1")])
        .await;
    site.apply(
        2,
        &[("a/b", "2"), ("a/c", "1"), ("gone/z", "2"), ("new", "2")],
    )
    .await;
    assert_eq!(
        (site.text("a/b"), site.text("a/c")),
        ("2".into(), "1".into())
    );
    assert_eq!(names_of(&site.current()), ["a", "gone", "new"]);
    assert_eq!(names_of(&site.current().join("gone")), ["z"]);
    site.apply(3, &[("gone", "a file now")]).await;
    assert_eq!(names_of(&site.current()), ["gone"]);
    assert_eq!(site.generations(), ["gen-7-2-1", "gen-7-3-1"]);
    site.apply(4, &[]).await;
    assert_eq!(names_of(&site.current()), [""; 0]);
}

#[test]
async fn same_revision_again_changes_nothing() {
    let site = Site::new(None);
    site.apply(1, &[("a/b", "1")]).await;
    let before = fs::metadata(site.current()).expect("a folder").ino();
    site.apply(1, &[("a/b", "1")]).await;
    assert_eq!(
        fs::metadata(site.current()).expect("a folder").ino(),
        before
    );
    fs::write(site.current().join("a/b"), "edited").expect("a file");
    site.apply(1, &[("a/b", "1")]).await;
    assert_eq!(site.text("a/b"), "1");
}

#[test]
async fn modes_and_unchanged_files_are_kept() {
    let site = Site::new(None);
    site.apply(1, &[("a/same", "1"), ("a/other", "1"), ("b", "1")])
        .await;
    for (path, mode) in [
        ("a/same", 0o600),
        ("a/other", 0o640),
        ("a", 0o700),
        ("", 0o711),
    ] {
        let path = site.current().join(path);
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("our file");
    }
    let same = fs::metadata(site.current().join("a/same"))
        .expect("a file")
        .ino();
    site.apply(
        2,
        &[("a/same", "1"), ("a/other", "2"), ("b", "1"), ("c", "2")],
    )
    .await;
    for (path, mode) in [
        ("a/same", 0o600),
        ("a/other", 0o640),
        ("a", 0o700),
        ("", 0o711),
        ("c", 0o644),
    ] {
        assert_eq!(mode_of(&site.current().join(path)), mode, "{path}");
    }
    let again = fs::metadata(site.current().join("a/same")).expect("a file");
    assert_eq!(again.ino(), same);
}

#[test]
async fn failed_rendering_keeps_the_last_good_revision() {
    let site = Site::new(None);
    site.apply(1, &[("a", "1")]).await;
    // A file stands where the next generation's folder must be built.
    let blocker = site.root().join(".postern/new-7-2");
    let (long, value) = ("x".repeat(255), Value::Null);
    fs::write(&blocker, "").expect("a file");
    let blocked = site
        .apply_values(2, [(long.as_str(), value)].into_iter())
        .await;
    assert_eq!(blocked.status, STATUS_NOT_RENDERED);
    assert!(
        blocked.output.contains("cannot remove") && blocked.output.contains("new-7-2"),
        "{}",
        blocked.output
    );
    assert_eq!(site.text("a"), "1");
    fs::remove_file(&blocker).expect("our file");
    assert_eq!(site.apply(2, &[("a", "2")]).await.status, 0);
    assert_eq!(site.text("a"), "2");
}

#[test]
async fn folder_that_cannot_be_made_is_refused() {
    let site = Site::new(None);
    fs::write(site.root(), "a file").expect("a file");
    let applied = site.apply(1, &[("a", "1")]).await;
    assert_eq!(applied.status, STATUS_NOT_RENDERED);
    assert!(applied.output.contains("make folder"), "{}", applied.output);
}

#[test]
async fn current_that_is_no_symlink_is_refused() {
    for is_folder in [true, false] {
        let site = Site::new(Some("echo never > \"$0\""));
        fs::create_dir_all(site.root()).expect("a folder");
        match is_folder {
            true => fs::create_dir(site.current()).expect("a folder"),
            false => fs::write(site.current(), "precious").expect("a file"),
        }
        let applied = site.apply(1, &[("a", "1")]).await;
        assert_eq!(applied.status, STATUS_NOT_RENDERED);
        assert!(
            applied.output.contains("move it away"),
            "{}",
            applied.output
        );
        assert!(!site.current().is_symlink());
    }
}

#[test]
async fn planted_symlinks_are_never_followed() {
    let site = Site::new(None);
    let outside = site.outside("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("f"), "1").expect("a file");
    site.apply(1, &[("a/f", "1"), ("g", "1")]).await;
    fs::remove_dir_all(site.current().join("a")).expect("our folder");
    fs::remove_file(site.current().join("g")).expect("our file");
    symlink(&outside, site.current().join("a")).expect("a symlink");
    symlink(outside.join("f"), site.current().join("g")).expect("a symlink");
    site.apply(2, &[("a/f", "1"), ("g", "1")]).await;
    assert!(!site.current().join("a").is_symlink() && !site.current().join("g").is_symlink());
    site.apply(3, &[("a/f", "3"), ("g", "3")]).await;
    assert_eq!(
        fs::read_to_string(outside.join("f")).expect("untouched"),
        "1"
    );
    assert_eq!(names_of(&outside), ["f"]);
}

#[test]
async fn inner_folder_that_is_a_symlink_is_refused() {
    let site = Site::new(None);
    let outside = site.outside("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::create_dir(site.root()).expect("a folder");
    symlink(&outside, site.root().join(".postern")).expect("a symlink");
    let applied = site.apply(1, &[("a", "1")]).await;
    assert_eq!(applied.status, STATUS_NOT_RENDERED);
    assert_eq!(names_of(&outside), [""; 0]);
}

#[test]
async fn current_that_names_a_foreign_folder_is_replaced() {
    for target in [
        "/",
        "..",
        ".postern",
        ".postern/../..",
        "gen-7-1-1",
        ".postern/gen-7-01-1",
    ] {
        let site = Site::new(None);
        fs::create_dir(site.root()).expect("a folder");
        symlink(target, site.current()).expect("a symlink");
        assert_eq!(site.apply(2, &[("a", "1")]).await.status, 0, "{target}");
        let link = fs::read_link(site.current()).expect("a symlink");
        assert_eq!(link, Path::new(".postern/gen-7-2-1"), "{target}");
    }
}

#[test]
async fn leftovers_of_a_crash_are_removed() {
    let site = Site::new(None);
    site.apply(1, &[("a", "1")]).await;
    let inner = site.root().join(".postern");
    fs::create_dir_all(inner.join("new-7-2/x/y")).expect("a folder");
    fs::write(inner.join("new-7-2/x/y/z"), "half").expect("a file");
    fs::create_dir_all(inner.join("gen-7-9-1/a")).expect("a folder");
    symlink("gen-7-9-1", inner.join("link")).expect("a symlink");
    assert_eq!(site.apply(2, &[("a", "2")]).await.status, 0);
    assert_eq!(names_of(&inner), ["gen-7-1-1", "gen-7-2-1"]);
}

/// A reader that resolves the folder once sees only files of one revision.
fn read_until(folder: &Path, is_over: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !is_over.load(Ordering::Acquire) {
        fs::symlink_metadata(folder).expect("the switch is one rename: always there");
        // Resolving takes several steps; two newer revisions may come between them.
        let Ok(opened) = fs::canonicalize(folder) else {
            continue;
        };
        let texts: Vec<_> = ["a", "b/c", "b/d", "e"]
            .iter()
            .map(|path| fs::read_to_string(opened.join(path)))
            .collect();
        // The folder is gone only when two newer revisions replaced it meanwhile.
        let whole: Result<Vec<_>, _> = texts.into_iter().collect();
        if let Ok(whole) = whole {
            assert!(
                whole.iter().all(|text| *text == whole[0]),
                "a mix: {whole:?}"
            );
            rounds += 1;
        }
    }
    rounds
}

#[test]
async fn reader_beside_the_writer_never_sees_a_mix() {
    let site = Site::new(None);
    let paths = ["a", "b/c", "b/d", "e"];
    site.apply(1, &paths.map(|path| (path, "1"))).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (folder, flag) = (site.current(), Arc::clone(&is_over));
    let reader = std::thread::spawn(move || read_until(&folder, &flag));
    for seq in 2..=60 {
        let text = seq.to_string();
        let applied = site
            .apply(seq, &paths.map(|path| (path, text.as_str())))
            .await;
        assert_eq!(applied.status, 0, "{}", applied.output);
    }
    is_over.store(true, Ordering::Release);
    reader.join().expect("never a mix");
    assert_eq!(site.text("e"), "60");
}
