//! Runs the demo as a person would, and ends it in every way in which a person might.
//!
//! It reads what the demo prints and looks for what it leaves behind. Refuses to look inside.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot run its program has to fail"
)]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A demo whose sentences can be followed.
struct Demo {
    child: Child,
    sentences: BufReader<std::process::ChildStderr>,
}

impl Demo {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = command(folder)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let sentences = BufReader::new(child.stderr.take().expect("its sentences"));
        Self { child, sentences }
    }

    /// Reads on until a step begins.
    fn follow_to(&mut self, step: &str) {
        let mut said = String::new();
        while !said.lines().any(|line| line.starts_with(step)) {
            let bytes = self.sentences.read_line(&mut said).expect("a sentence");
            assert_ne!(bytes, 0, "the demo ended before {step}:\n{said}");
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("the demo runs");
    }

    /// Waits for the end and returns the exit status and what was said last.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.sentences
            .read_to_string(&mut rest)
            .expect("its last sentences");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    // Everything that the demo leaves behind is in this folder.
    command.arg("demo").env("TMPDIR", folder);
    command
}

/// Waits until the other side has gone, politely or not; nothing is ever said on this connection.
fn is_closed(mut connection: UnixStream) -> bool {
    !matches!(connection.read(&mut [0]), Ok(1))
}

fn left_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn count_of<'j>(refused: &'j Json, reason: &str) -> Option<&'j Json> {
    let list = refused.as_array().expect("a list");
    list.iter()
        .find(|entry| entry["reason"] == reason)
        .map(|entry| &entry["count"])
}

#[test]
fn demo_converges_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(folder.path())
        .arg("--json")
        .output()
        .expect("the demo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json: Json = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["converged"], true);
    assert_eq!(json["restarts"], 1);
    assert_eq!(
        count_of(&json["refused"], "session-mac"),
        Some(&1.into()),
        "{json}"
    );
    let devices = json["devices"].as_array().expect("devices");
    let routes: Vec<_> = devices.iter().map(|device| &device["route"]).collect();
    // Which of the two direct ones is the faster is the machine's affair.
    assert!(routes[0] == "quic" || routes[0] == "direct", "{json}");
    assert_eq!(routes[1..], ["proxy", "proxy"]);
    for device in devices {
        assert_eq!(device["desired"], device["applied"]);
        assert_eq!(device["desired"]["digest"].as_str().map(str::len), Some(64));
        assert!(device["bytes_up"].as_u64() > Some(0) && device["bytes_down"].as_u64() > Some(0));
    }
    let push = &json["push_ms"];
    assert!(push["p50"].as_f64() > Some(0.0) && push["p50"].as_f64() <= push["p99"].as_f64());
    assert_eq!(left_in(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn demo_for_people_tells_every_step_and_what_comes_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(folder.path())
        .arg("--keep")
        .output()
        .expect("the demo runs");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    for expected in [
        "1/6",
        "2/6",
        "3/6",
        "4/6",
        "5/6",
        "6/6",
        "session-mac",
        "in step",
        "next:",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    // The tables follow what the devices signed, however late their status files are.
    let tables: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with(" hall-"))
        .collect();
    let last = tables.len().saturating_sub(3);
    for line in &tables[last..] {
        assert!(line.ends_with("in step"), "{line}\n{text}");
    }
    assert!(!text.contains('\x1b'), "a pipe is no terminal");
    let kept = left_in(folder.path());
    assert_eq!(kept.len(), 1);
    assert!(text.contains(&kept[0].display().to_string()), "{text}");
    let rendered =
        std::fs::read_to_string(kept[0].join("hall-b/desired/current/oven-001/setpoint-celsius"));
    assert_eq!(rendered.expect("a rendered value"), "199.5");
}

#[test]
fn demo_that_is_interrupted_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(folder.path(), &["--json"]);
    demo.follow_to("2/6");
    let controller = left_in(folder.path())
        .remove(0)
        .join("controller/controller.sock");
    let connection = UnixStream::connect(controller).expect("a running controller");
    demo.signal(Signal::INT);
    let (code, _) = demo.end();
    assert_eq!(code, Some(1));
    assert!(is_closed(connection));
    assert_eq!(left_in(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn demo_that_dies_takes_its_processes_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(folder.path(), &["--json"]);
    demo.follow_to("2/6");
    let controller = left_in(folder.path())
        .remove(0)
        .join("controller/controller.sock");
    let connection = UnixStream::connect(controller).expect("a running controller");
    demo.signal(Signal::KILL);
    // Returns only when the controller has closed its end: it died with the demo.
    assert!(is_closed(connection));
    assert_eq!(demo.end().0, None);
}

#[test]
fn demo_refuses_a_folder_that_exists() {
    let folder = tempfile::tempdir().expect("a folder");
    let existing = folder.path().to_str().expect("a path");
    let output = command(folder.path())
        .args(["--json", "--dir", existing])
        .output();
    let output = output.expect("the demo runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(folder.path().exists());
}
