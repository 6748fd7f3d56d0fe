//! A site without any network, with the real binary: a device joins, learns and reports by files
//! alone, and every file that is not for it, not whole, not new or not signed is refused.
//!
//! The walk-through is the one of `daemon/FILES.md`. The devices of these tests have a proxy that does
//! not run as their only way.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use serde_json::Value as Json;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A controller in a folder of its own; ends with it.
struct Site {
    folder: tempfile::TempDir,
    controller: Child,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ended = self.controller.kill();
        let _reaped = self.controller.wait();
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.args(arguments).current_dir(folder).env_clear();
    command
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap().to_string();
        drop(free);
        let init = ["controller", "init", "--dir", "c", "--listen", &listen];
        let made = command(folder.path(), &init).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let controller = run(
            folder.path(),
            &["controller", "run", "--dir", "c"],
            "controller ready",
        );
        Self { folder, controller }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ask(&self, line: &str) -> Output {
        let words: Vec<_> = line.split(' ').collect();
        let mut command = command(self.folder.path(), &words);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed, and returns its standard output.
    fn must(&self, line: &str) -> String {
        let output = self.ask(line);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with `code`, and returns its first line of JSON and its errors.
    fn refused(&self, line: &str, code: i32) -> (Json, String) {
        let output = self.ask(line);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {error}");
        let text = String::from_utf8(output.stdout).unwrap();
        let first = text.lines().next().unwrap_or_default();
        (serde_json::from_str(first).unwrap_or_default(), error)
    }

    fn invite(&self, name: &str) -> String {
        self.must(&format!("controller invite {name} --dir c"))
    }

    /// Asks to join by file. Returns the join line.
    fn request(&self, name: &str) -> String {
        let line = self.invite(name);
        self.join_to(&line, name, &format!("{name}.request"));
        line
    }

    fn join_to(&self, line: &str, dir: &str, file: &str) {
        let words = ["device", "join", "--to-file", file, "--dir", dir];
        let mut child = command(self.folder.path(), &words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Joins a device by files, up to the answer that it has not read yet.
    fn answered(&self, name: &str) {
        self.request(name);
        self.must(&format!("bundle import {name}.request --dir c"));
        self.must(&format!("desired set {name} fan/speed 3 --dir c"));
        self.must(&format!("bundle export {name} --dir c"));
    }

    fn status(&self, name: &str) -> Json {
        let text = self.must(&format!("status {name} --json --dir c"));
        let status: Json = serde_json::from_str(&text).unwrap();
        status["devices"][0].clone()
    }

    /// A device that refuses a file holds exactly what it held.
    fn check_refused(&self, device: &str, file: &str, name: &str) {
        let (_, error) = self.refused(&format!("bundle import {file} --device {device}"), 3);
        assert!(error.contains("error: "), "{error}");
        let line = format!("bundle import {file} --device {device} --json");
        let output = self.ask(&line);
        let text = String::from_utf8(output.stdout).unwrap();
        let last: Json = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["error"]["name"], name, "{text}");
    }
}

/// Starts a process and waits until it says `ready`.
fn run(folder: &Path, arguments: &[&str], ready: &str) -> Child {
    let mut child = command(folder, arguments)
        // A proxy that nobody runs: no device reaches its controller.
        .env("https_proxy", "http://127.0.0.1:1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let is_ready = lines.any(|line| line.unwrap_or_default().contains(ready));
    assert!(is_ready, "{arguments:?} ended before it was ready");
    // Whoever writes must have a reader.
    let _drain = std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Runs a device until it has applied what it holds.
fn apply(site: &Site, device: &str) {
    // What the folder holds is applied; no packet leaves, nor would one come through.
    let no_way = "[proxy]\nurl = \"http://127.0.0.1:1\"\nmode = \"require\"\n";
    fs::write(site.path(device).join("device.toml"), no_way).unwrap();
    let words = ["device", "run", "--dir", device];
    let child = run(site.folder.path(), &words, "applied");
    stop(child);
}

/// Ends a device as a supervisor does: what it was doing is durable afterwards.
fn stop(mut child: Child) {
    let id = child.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(told.success());
    assert!(child.wait().unwrap().success());
}

/// Every run of 32 bytes that a key file or a join line holds as a secret.
fn secrets(site: &Site, line: &str) -> Vec<Vec<u8>> {
    use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
    let map = line.trim().strip_prefix("postern1:").unwrap();
    let map = Base64UrlUnpadded::decode_vec(map).unwrap();
    let at = map
        .windows(3)
        .rposition(|part| part == [7, 0x58, 32])
        .unwrap();
    let mut found = vec![map[at + 3..at + 35].to_vec()];
    for key in ["hall-1/device.key", "c/root.key", "c/recovery.key"] {
        let text = fs::read_to_string(site.path(key)).unwrap();
        let seed = text.split_whitespace().nth(2).unwrap();
        found.push(
            Base64::decode_vec(seed)
                .or_else(|_| Base64UrlUnpadded::decode_vec(seed))
                .unwrap(),
        );
        found.push(seed.as_bytes().to_vec());
    }
    found
}

#[test]
fn device_without_a_network_joins_applies_and_reports_by_files() {
    let site = Site::start();
    let line = site.request("hall-1");
    site.must("bundle import hall-1.request --dir c");
    site.must("desired set hall-1 fan/speed 3 --dir c");
    site.must("bundle export hall-1 --dir c");
    let shown = site.must("bundle import hall-1.down --device hall-1");
    assert!(shown.contains("joined; the device holds"), "{shown}");
    apply(&site, "hall-1");
    let rendered = fs::read_to_string(site.path("hall-1/desired/current/fan/speed")).unwrap();
    assert_eq!(rendered, "3");
    site.must("bundle export --device hall-1");
    assert_eq!(site.status("hall-1")["converged"], false);
    site.must("bundle import device.up --dir c");
    assert_eq!(site.status("hall-1")["converged"], true);
    for name in ["hall-1.request", "hall-1.down", "device.up"] {
        let bytes = fs::read(site.path(name)).unwrap();
        let mode = fs::metadata(site.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for secret in secrets(&site, &line) {
            let is_there = bytes.windows(secret.len()).any(|part| part == secret);
            assert!(!is_there, "{name} holds a secret");
        }
        site.must(&format!("inspect {name}"));
    }
}

#[test]
fn second_round_brings_the_next_decision() {
    let site = Site::start();
    site.answered("hall-1");
    site.must("bundle import hall-1.down --device hall-1");
    apply(&site, "hall-1");
    site.must("bundle export --device hall-1");
    site.must("bundle import device.up --dir c");
    site.must("desired set hall-1 fan/speed 4 --dir c");
    site.must("bundle export hall-1 --dir c --force");
    site.must("bundle import hall-1.down --device hall-1");
    apply(&site, "hall-1");
    site.must("bundle export --device hall-1 --force");
    site.must("bundle import device.up --dir c");
    assert_eq!(site.status("hall-1")["converged"], true);
}

#[test]
fn file_that_is_read_again_changes_nothing() {
    let site = Site::start();
    site.answered("hall-1");
    site.must("bundle import hall-1.down --device hall-1");
    let store = fs::read(site.path("hall-1/store.redb")).ok();
    let text = site.must("bundle import hall-1.down --device hall-1 --json");
    let shown: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&shown["taken"], &shown["refused"]),
        (&0.into(), &0.into()),
        "{shown}"
    );
    assert_eq!(fs::read(site.path("hall-1/store.redb")).ok(), store);
}

#[test]
fn request_is_the_same_until_it_is_answered() {
    let site = Site::start();
    let line = site.request("hall-1");
    site.join_to(&line, "hall-1", "again.request");
    let read = |name| fs::read(site.path(name)).unwrap();
    assert_eq!(read("hall-1.request"), read("again.request"));
    let (_, error) = site.refused("device run --dir hall-1", 3);
    assert!(error.contains("has not joined"), "{error}");
}

#[test]
fn file_that_is_broken_anywhere_is_refused_whole() {
    let site = Site::start();
    site.answered("hall-1");
    let good = fs::read(site.path("hall-1.down")).unwrap();
    for (at, name) in [
        (good.len() / 3, "cbor-truncated"),
        (good.len() - 1, "cbor-truncated"),
    ] {
        fs::write(site.path("bad"), &good[..at]).unwrap();
        site.check_refused("hall-1", "bad", name);
    }
    for at in [40, good.len() / 2, good.len() - 10] {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        fs::write(site.path("bad"), flipped).unwrap();
        site.refused("bundle import bad --device hall-1", 3);
    }
    site.refused("device run --dir hall-1", 3);
    site.must("bundle import hall-1.down --device hall-1");
}

#[test]
fn file_that_is_older_is_refused_and_changes_nothing() {
    let site = Site::start();
    site.answered("hall-1");
    fs::rename(site.path("hall-1.down"), site.path("old")).unwrap();
    site.must("desired set hall-1 fan/speed 4 --dir c");
    site.must("bundle export hall-1 --dir c");
    site.must("bundle import hall-1.down --device hall-1");
    site.check_refused("hall-1", "old", "file-older");
    apply(&site, "hall-1");
    let rendered = fs::read_to_string(site.path("hall-1/desired/current/fan/speed")).unwrap();
    assert_eq!(rendered, "4");
}

#[test]
fn file_for_another_device_life_or_domain_is_refused() {
    let (site, other) = (Site::start(), Site::start());
    site.answered("hall-1");
    site.answered("hall-2");
    site.check_refused("hall-1", "hall-2.down", "signature-invalid");
    other.answered("hall-1");
    fs::copy(other.path("hall-1.down"), site.path("foreign")).unwrap();
    site.check_refused("hall-1", "foreign", "bundle-root");
    site.must("bundle import hall-1.down --device hall-1");
    site.check_refused("hall-1", "hall-2.down", "not-admitted");
    // A new life of the name: what was written for the former one is for nobody.
    let line = site.invite("hall-1");
    site.join_to(&line, "next", "next.request");
    site.check_refused("next", "hall-1.down", "signature-invalid");
}

#[test]
fn file_in_the_wrong_direction_is_refused() {
    let site = Site::start();
    site.answered("hall-1");
    site.check_refused("hall-1", "hall-1.request", "enrol-answer-mismatch");
    site.must("bundle import hall-1.down --device hall-1");
    site.check_refused("hall-1", "hall-1.request", "frame-direction");
    let (shown, error) = site.refused("bundle import hall-1.down --dir c --json", 5);
    assert!(error.contains("frame-direction"), "{error}");
    assert_eq!(shown["frames"][0]["outcome"], "refused");
    assert_eq!(shown["taken"], 0);
}

#[test]
fn frames_in_another_order_are_refused() {
    let site = Site::start();
    site.answered("hall-1");
    let good = fs::read(site.path("hall-1.down")).unwrap();
    let text = site.must("inspect hall-1.down --json");
    let shown: Json = serde_json::from_str(&text).unwrap();
    let first = shown["posted"][0]["frame_bytes"].as_u64().unwrap();
    let (head, rest) = good.split_at(usize::try_from(first).unwrap());
    fs::write(site.path("bad"), [rest, head].concat()).unwrap();
    site.check_refused("hall-1", "bad", "enrol-answer-mismatch");
}

#[test]
fn huge_empty_and_absent_files_are_refused_by_name() {
    let site = Site::start();
    site.answered("hall-1");
    let huge = fs::File::create(site.path("huge")).unwrap();
    huge.set_len((64 << 20) + 1).unwrap();
    fs::write(site.path("empty"), "").unwrap();
    for (file, name) in [
        ("huge", "oversize"),
        ("empty", "file-empty"),
        ("none", "file-unreadable"),
        ("c", "file-unreadable"),
    ] {
        site.check_refused("hall-1", file, name);
        let (_, error) = site.refused(&format!("bundle import {file} --dir c"), 3);
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn request_that_proves_no_invitation_is_refused_by_the_controller() {
    let (site, other) = (Site::start(), Site::start());
    other.request("hall-1");
    fs::copy(other.path("hall-1.request"), site.path("foreign")).unwrap();
    let (_, error) = site.refused("bundle import foreign --dir c", 5);
    assert!(error.contains("token-unknown"), "{error}");
    let (_, error) = site.refused("bundle export hall-1 --dir c", 5);
    assert!(error.contains("not joined"), "{error}");
}

#[test]
fn written_file_is_not_written_over_without_force() {
    let site = Site::start();
    site.answered("hall-1");
    let (_, error) = site.refused("bundle export hall-1 --dir c", 3);
    assert!(error.contains("--force"), "{error}");
    site.must("bundle export hall-1 --dir c --force");
}

#[test]
fn running_device_is_not_touched() {
    let site = Site::start();
    site.answered("hall-1");
    site.must("bundle import hall-1.down --device hall-1");
    let child = run(
        site.folder.path(),
        &["device", "run", "--dir", "hall-1"],
        "applied",
    );
    for line in [
        "bundle import hall-1.down --device hall-1",
        "bundle export --device hall-1",
    ] {
        let (_, error) = site.refused(line, 7);
        assert!(error.contains("stop it"), "{error}");
    }
    stop(child);
}
