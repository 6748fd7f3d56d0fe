//! The runner against the real judge, against a child with one bug, and against children that are none.
//!
//! A bug must show in exactly the vectors that were written against it, and nowhere else.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read a report has to fail"
)]

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const RUNNER: &str = env!("CARGO_BIN_EXE_postern-conformance");
const BROKEN: &str = env!("CARGO_BIN_EXE_postern-broken-child");

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../v1")
}

fn call(arguments: &[&str]) -> Output {
    Command::new(RUNNER)
        .args(arguments)
        .output()
        .expect("it starts")
}

/// Runs all vectors, or those of a choice, against a child. Returns exit code and report.
fn run(child: &str, more: &[&str], folder: &Path) -> (Option<i32>, Json) {
    let folder = folder.to_str().expect("a name");
    let arguments = [
        &["run", "--json", "--jobs", "2", "--cmd", child],
        more,
        &[folder],
    ]
    .concat();
    let output = call(&arguments);
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_default())
}

fn real() -> String {
    format!("'{RUNNER}' child")
}

fn broken(number: usize) -> String {
    format!("'{BROKEN}' --bug {number}")
}

/// Every vector: operation and test.
fn published() -> BTreeMap<String, (String, Json)> {
    let manifest: Json = read(&vectors().join("manifest.json"));
    let files = manifest["files"].as_array().expect("files").iter();
    let names = files.map(|row| row["file"].as_str().expect("a name"));
    let documents = names
        .filter(|name| *name != "keys.json")
        .map(|name| read(&vectors().join(name)));
    let mut found = BTreeMap::new();
    for document in documents {
        let operation = document["operation"].as_str().expect("an operation");
        for test in document["tests"].as_array().expect("tests") {
            let name = test["name"].as_str().expect("a name").to_owned();
            found.insert(name, (operation.to_owned(), test.clone()));
        }
    }
    found
}

fn read(file: &Path) -> Json {
    serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON")
}

fn ended(report: &Json, end: &str) -> BTreeSet<String> {
    let rows = report["vectors"].as_array().expect("vectors").iter();
    let names = rows.filter(|row| row["end"] == end);
    names
        .map(|row| row["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// Runs a bug and expects that exactly these vectors fail, each first at one of these members.
fn shows(number: usize, more: &[&str], members: &[&str], is_hit: impl Fn(&str, &Json) -> bool) {
    let (code, report) = run(&broken(number), more, &vectors());
    let hit = published()
        .into_iter()
        .filter(|(_, (operation, test))| is_hit(operation, test));
    let wanted: BTreeSet<String> = hit.map(|(name, _)| name).collect();
    assert!(!wanted.is_empty(), "bug {number} is in reach of no vector");
    assert_eq!(ended(&report, "failed"), wanted, "bug {number}");
    assert_eq!(code, Some(1));
    for row in report["vectors"].as_array().expect("vectors") {
        if row["end"] == "failed" {
            let member = row["member"].as_str().expect("a member");
            let last = member.rsplit('.').next().unwrap_or(member);
            assert!(members.contains(&last), "bug {number}: {row}");
        }
    }
}

fn is(operation: &'static str, error: &'static str) -> impl Fn(&str, &Json) -> bool {
    move |found, test| found == operation && test["error"] == error
}

#[test]
fn real_judge_passes_every_vector() {
    let (code, report) = run(&real(), &["--complete"], &vectors());
    assert_eq!(code, Some(0), "{:?}", ended(&report, "failed"));
    let count = u64::try_from(published().len()).expect("small");
    assert_eq!(report["all"]["passed"].as_u64(), Some(count));
}

#[test]
fn missed_checks_fail_the_vectors_of_that_check_alone() {
    shows(1, &[], &["result"], is("cbor.check", "cbor-not-shortest"));
    shows(
        2,
        &[],
        &["result"],
        is("sign1.verify", "algorithm-mismatch"),
    );
    shows(3, &[], &["result"], is("ed25519.verify", "key-refused"));
    shows(4, &[], &["result"], is("sign1.verify", "plane-mismatch"));
    shows(6, &[], &["result"], |operation, test| {
        is("sign1.verify", "key-revoked")(operation, test) && test.get("revoked").is_some()
    });
    shows(7, &[], &["result"], is("frame.parse", "cbor-trailing"));
    shows(8, &[], &["result"], is("revision.accept", "epoch-stale"));
}

#[test]
fn wrong_name_fails_every_vector_of_that_name() {
    shows(5, &[], &["error"], |_, test| test["error"] == "cbor-tag");
}

#[test]
fn conversation_that_forgets_shows_the_step_and_the_member() {
    shows(9, &[], &["frozen"], |operation, test| {
        let steps = test["steps"].as_array().into_iter().flatten();
        let mut frozen = steps.filter_map(|step| step["expect"].get("frozen"));
        operation == "engine.step" && frozen.any(|epoch| !epoch.is_null())
    });
}

#[test]
fn wrong_output_fails_though_the_result_agrees() {
    shows(10, &[], &["sections"], |operation, test| {
        let has_sections = test["sections"]
            .as_object()
            .is_some_and(|it| !it.is_empty());
        operation == "state.digest" && has_sections
    });
}

#[test]
fn child_that_dies_fails_what_it_was_asked_and_is_started_again() {
    shows(11, &[], &["died"], |operation, _| operation == "line.read");
}

#[test]
fn child_that_hangs_is_killed_and_started_again() {
    let more = ["--timeout-s", "1"];
    shows(12, &more, &["timeout"], |operation, _| {
        operation == "need.limit"
    });
}

#[test]
fn child_that_never_reads_is_killed_however_large_the_request() {
    let choice = "digest-state-1-mib";
    assert!(published()[choice].1.get("fill").is_some());
    let (code, report) = run(
        "sleep 60",
        &["--only", choice, "--timeout-s", "1"],
        &vectors(),
    );
    assert_eq!((code, report["all"]["passed"].as_u64()), (Some(1), Some(0)));
    let rows = report["vectors"].as_array().expect("vectors");
    assert!(
        rows.iter().all(|row| row["member"] == "timeout"),
        "{report}"
    );
}

#[test]
fn known_failures_are_no_failures_and_passes_of_them_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let known = folder.path().join("known");
    fs::write(&known, "# lines\nline-*\n\nno-such-vector # gone\n").expect("a file");
    let known = known.to_str().expect("a name");
    let only = |child: &str| {
        run(
            child,
            &["--only", "06-sessions", "--xfail", known],
            &vectors(),
        )
    };
    let (code, report) = only(&broken(11));
    let names = published();
    let lines: BTreeSet<_> = names
        .keys()
        .filter(|name| name.starts_with("line-"))
        .cloned()
        .collect();
    assert_eq!((code, ended(&report, "xfail")), (Some(0), lines.clone()));
    assert_eq!(report["strays"][0], "no-such-vector");
    let (code, report) = only(&real());
    assert_eq!((code, ended(&report, "unexpected-pass")), (Some(1), lines));
}

#[test]
fn child_that_builds_nothing_is_unsupported_and_incomplete() {
    let child = "sh -c 'while read -r line; do id=$(echo \"$line\" | sed \"s/.*\\\"id\\\":\\([0-9]*\\).*/\\1/\"); echo \"{\\\"id\\\":$id,\\\"result\\\":\\\"unsupported\\\"}\"; done'";
    let (code, report) = run(child, &["--only", "09-time"], &vectors());
    assert_eq!((code, report["all"]["passed"].as_u64()), (Some(0), Some(0)));
    let (code, _) = run(child, &["--only", "09-time", "--complete"], &vectors());
    assert_eq!(code, Some(1));
}

#[test]
fn child_that_answers_something_else_fails() {
    for child in ["echo nonsense", "true", "cat", "sh -c 'yes \"{}\"'"] {
        let (code, report) = run(child, &["--only", "08-bytes"], &vectors());
        assert_eq!(code, Some(1), "{child}");
        assert_eq!(report["all"]["failed"], 12, "{child}");
    }
}

#[test]
fn wrong_command_line_is_told_apart_from_a_failure() {
    let (real, folder) = (real(), vectors());
    let folder = folder.to_str().expect("a name");
    for arguments in [
        &["run", "--cmd", "/no/such/program", folder][..],
        &["run", "--cmd", "'a", folder],
        &["run", "--cmd", "", folder],
        &["run", "--cmd", &real, "--only", "no-such", folder],
        &["run", "--cmd", &real, "--timeout-s", "0", folder],
        &["run", "--cmd", &real, "--jobs", "0", folder],
        &["run", "--cmd", &real, "--xfail", "/no/such/file", folder],
        &["run", "--cmd", &real, "/no/such/folder"],
        &["show", "no-such-vector", folder],
        &["run", folder],
        &["walk"],
    ] {
        assert_eq!(call(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

/// Copies the smallest folder of vectors with a manifest that names it.
fn copied(folder: &Path, change: impl Fn(&mut Json, &mut Vec<u8>)) {
    let manifest = read(&vectors().join("manifest.json"));
    let rows = manifest["files"].as_array().expect("files").iter();
    let mut row = rows
        .clone()
        .find(|row| row["file"] == "08-bytes/sizes.json")
        .expect("it")
        .clone();
    let mut content = fs::read(vectors().join("08-bytes/sizes.json")).expect("a file");
    change(&mut row, &mut content);
    fs::create_dir(folder.join("08-bytes")).expect("a folder");
    fs::write(folder.join("08-bytes/sizes.json"), content).expect("a file");
    let manifest = serde_json::json!({ "files": [row] });
    fs::write(folder.join("manifest.json"), manifest.to_string()).expect("a file");
}

#[test]
fn vectors_that_are_not_those_of_the_manifest_are_not_run() {
    type Change = fn(&mut Json, &mut Vec<u8>);
    let changes: [(Change, i32); 6] = [
        (|_, _| {}, 0),
        (|_, content| content.push(b'\n'), 2),
        (|row, _| row["sha256"] = "00".into(), 2),
        (|row, _| row["count"] = 11.into(), 2),
        (|row, _| row["file"] = "../08-bytes/sizes.json".into(), 2),
        (|row, _| row["file"] = "/etc/hostname".into(), 2),
    ];
    for (change, code) in changes {
        let folder = tempfile::tempdir().expect("a folder");
        copied(folder.path(), change);
        assert_eq!(run(&real(), &[], folder.path()).0, Some(code));
    }
}

#[test]
fn junit_holds_every_vector_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.xml");
    let junit = file.to_str().expect("a name");
    run(
        &broken(11),
        &["--only", "06-sessions", "--junit", junit],
        &vectors(),
    );
    let text = fs::read_to_string(&file).expect("a report");
    let names = published();
    let manifest = read(&vectors().join("manifest.json"));
    let rows = manifest["files"].as_array().expect("files").iter();
    let rows = rows.filter(|row| row["file"].as_str().is_some_and(|it| it.starts_with("06-")));
    let count: u64 = rows.filter_map(|row| row["count"].as_u64()).sum();
    let is_there = |name: &&String| text.contains(&format!("<testcase name=\"{name}\" "));
    let found = u64::try_from(names.keys().filter(is_there).count());
    assert_eq!(found, Ok(count));
    assert!(text.contains("classname=\"line.read\"") && text.contains("<failure message=\"died"));
}

#[test]
fn list_and_show_print_what_a_child_is_asked() {
    let folder = vectors();
    let folder = folder.to_str().expect("a name");
    let listed = call(&["list", "--only", "08-bytes", folder]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 12);
    let shown = call(&["show", "frame-answer-idle", folder]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let request: Json = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(request["op"], "frame.parse");
    assert!(request.get("bytes").is_none() && request.get("input").is_some());
}
