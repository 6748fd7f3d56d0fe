use std::net::{Ipv4Addr, TcpListener};

use super::*;
use crate::Folder;

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script);
    command
}

#[test]
fn process_that_prints_a_line_is_waited_for() {
    let folder = Folder::new().unwrap();
    let mut process = Process::start(
        "sh",
        shell("echo starting; echo ready on 7 >&2; exec cat"),
        folder.path(),
    )
    .unwrap();
    assert_eq!(process.wait_for_line("ready").unwrap(), "ready on 7");
}

#[test]
fn process_that_ends_early_is_an_error_with_its_output() {
    let folder = Folder::new().unwrap();
    let mut process =
        Process::start("sh", shell("echo bad config >&2; exit 3"), folder.path()).unwrap();
    let error = process.wait_for_line("ready").unwrap_err().to_string();
    assert!(
        error.contains("bad config") && error.contains('3'),
        "{error}"
    );
}

#[test]
fn process_without_listener_that_ends_is_an_error() {
    let folder = Folder::new().unwrap();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let mut process = Process::start("sh", shell("exit 0"), folder.path()).unwrap();
    assert!(matches!(
        process.wait_for_port(free),
        Err(LabError::Ended { .. })
    ));
}

#[test]
fn process_killed_reports_the_signal_once() {
    let folder = Folder::new().unwrap();
    let mut process =
        Process::start_with_input("sh", shell("exec tail -f /dev/null"), folder.path(), b"x")
            .unwrap();
    process.kill_9().unwrap();
    process.kill_9().unwrap();
    let status = process.poll_end().unwrap().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9)
    );
}

#[test]
fn process_terminated_may_end_in_its_own_way() {
    let folder = Folder::new().unwrap();
    let script = "trap 'exit 7' TERM; echo ready; while :; do read -r line < fifo || true; done";
    let mut command = shell(&format!("mkfifo fifo; {script}"));
    command.current_dir(folder.path());
    let mut process = Process::start("sh", command, folder.path()).unwrap();
    process.wait_for_line("ready").unwrap();
    assert_eq!(process.terminate().unwrap().code(), Some(7));
}

#[test]
fn process_run_to_its_end_returns_only_its_own_output() {
    let folder = Folder::new().unwrap();
    Process::run("sh", shell("echo first"), folder.path(), b"").unwrap();
    let finished = Process::run(
        "sh",
        shell("cat; echo no >&2; exit 2"),
        folder.path(),
        b"line\n",
    )
    .unwrap();
    assert_eq!(
        (finished.stdout.as_str(), finished.stderr.as_str()),
        ("line\n", "no\n")
    );
    assert_eq!(finished.status.code(), Some(2));
}

#[test]
fn program_that_does_not_exist_is_an_error() {
    let folder = Folder::new().unwrap();
    let error =
        Process::start("ghost", Command::new("/nonexistent/ghost"), folder.path()).unwrap_err();
    assert!(matches!(error, LabError::Io { .. }));
}

#[test]
fn output_quoted_in_errors_is_cut_at_a_character() {
    let check = |length: usize| {
        let text = "é".repeat(length);
        let cut = tail(&text);
        assert!(
            cut.len() <= EVIDENCE_BYTES_MAX && text.ends_with(cut),
            "{length}"
        );
    };
    for length in [0, 1, 2_047, 2_048, 2_049, 9_999] {
        check(length);
    }
    assert!(tail(&format!("x{}", "é".repeat(3_000))).len() <= EVIDENCE_BYTES_MAX);
}
