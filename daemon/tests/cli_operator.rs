//! The real binary as an operator meets it: help, init, refusals.
//!
//! Nothing here opens a port.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn postern(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postern"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that must fail with `code`, and returns what stands on standard error.
fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = postern(folder, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    error
}

/// Runs a command that must fail with `code` and name an error, a next step and `words`.
fn check(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let error = refused(folder, arguments, code);
    assert!(error.starts_with("error: "), "{error}");
    assert!(error.contains("\n  next: "), "{error}");
    for word in words {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = postern(folder.path(), &["controller", "init", "--dir", "c"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

#[test]
fn help_fits_one_screen_and_names_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let help = text(&postern(folder.path(), &["--help"]).stdout);
    assert!(help.lines().count() <= 40, "{help}");
    assert!(
        help.lines().all(|line| line.chars().count() <= 100),
        "{help}"
    );
    for word in [
        "postern demo",
        "Exit codes",
        "controller",
        "device",
        "desired",
        "status",
        "inspect",
    ] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn help_of_every_command_shows_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 30] = [
        &["controller", "init"],
        &["controller", "run"],
        &["controller", "invite"],
        &["device", "join"],
        &["device", "run"],
        &["device", "status"],
        &["device", "pause"],
        &["device", "resume"],
        &["device", "rotate-key"],
        &["device", "leave"],
        &["device", "reset"],
        &["desired", "set"],
        &["desired", "put"],
        &["desired", "get"],
        &["desired", "rm"],
        &["desired", "apply"],
        &["status"],
        &["demo"],
        &["actual", "get"],
        &["diff"],
        &["intent"],
        &["pause"],
        &["resume"],
        &["recover"],
        &["evidence"],
        &["controller", "remove"],
        &["controller", "withdraw"],
        &["controller", "backup"],
        &["controller", "restore"],
        &["controller", "metrics"],
    ];
    for command in commands {
        let arguments = [command, &["--help"]].concat();
        let output = postern(folder.path(), &arguments);
        assert!(output.status.success());
        assert!(
            text(&output.stdout).contains("Example: postern"),
            "{command:?}"
        );
    }
}

#[test]
fn init_makes_private_files_and_names_the_next_commands() {
    let folder = tempfile::tempdir().unwrap();
    let output = postern(
        folder.path(),
        &[
            "controller",
            "init",
            "--dir",
            "c",
            "--tenant",
            "a",
            "--tenant",
            "b",
        ],
    );
    let printed = text(&output.stdout);
    assert!(
        printed.contains("postern controller run --dir c"),
        "{printed}"
    );
    assert!(printed.contains("postern controller invite NAME --dir c"));
    assert!(printed.contains("offline"));
    let c = folder.path().join("c");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&c), 0o700);
    for file in [
        "root.key",
        "recovery.key",
        "writer-a.key",
        "writer-b.key",
        "mailbox.key",
        "tls/server.key",
    ] {
        assert_eq!(mode(&c.join(file)), 0o600, "{file}");
    }
    for file in [
        "tls/ca.crt",
        "tls/server.crt",
        "bundles/1.cbor",
        "controller.toml",
    ] {
        assert!(c.join(file).exists(), "{file}");
    }
}

#[test]
fn init_prints_no_secret() {
    let folder = made();
    let key = fs::read_to_string(folder.path().join("c/root.key")).unwrap();
    let seed = key.trim().rsplit(' ').next().unwrap();
    let again = postern(
        folder.path(),
        &["controller", "init", "--dir", "other", "--json"],
    );
    assert!(!text(&again.stdout).contains("postern-key-1"));
    let configuration = fs::read_to_string(folder.path().join("c/controller.toml")).unwrap();
    assert!(!configuration.contains(seed));
}

#[test]
fn init_refuses_to_overwrite() {
    let folder = made();
    let before = fs::read(folder.path().join("c/root.key")).unwrap();
    check(
        folder.path(),
        &["controller", "init", "--dir", "c"],
        3,
        &["controller.toml", "another folder"],
    );
    assert_eq!(fs::read(folder.path().join("c/root.key")).unwrap(), before);
    let part = folder.path().join("part");
    fs::create_dir(&part).unwrap();
    fs::write(part.join("writer-default.key"), "x").unwrap();
    check(
        folder.path(),
        &["controller", "init", "--dir", "part"],
        3,
        &["writer-default.key"],
    );
    assert_eq!(fs::read_dir(&part).unwrap().count(), 1);
}

#[test]
fn init_refuses_what_no_device_could_use() {
    let folder = tempfile::tempdir().unwrap();
    let init = ["controller", "init", "--dir", "c"];
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--listen", "0.0.0.0:8443"], 2, "--url"),
        (&["--url", "http://a.example"], 2, "http://a.example"),
        (&["--url", "https://u:p@a.example"], 2, "--url"),
        (&["--tenant", "a", "--tenant", "a"], 2, "twice"),
        (
            &["--cert", "absent.pem", "--key", "absent.pem"],
            3,
            "absent.pem",
        ),
        (&["--cert", "no.pem", "--key", "no.pem"], 3, "no.pem"),
    ];
    fs::write(folder.path().join("no.pem"), "no certificate").unwrap();
    for (more, code, word) in cases {
        check(folder.path(), &[&init, more].concat(), code, &[word]);
        assert!(!folder.path().join("c/controller.toml").exists());
        assert!(!folder.path().join("c/root.key").exists());
    }
}

#[test]
fn init_takes_the_operators_certificate() {
    let folder = made();
    let arguments = [
        "controller",
        "init",
        "--dir",
        "own",
        "--cert",
        "c/tls/server.crt",
        "--key",
        "c/tls/server.key",
    ];
    let output = postern(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!folder.path().join("own/tls/ca.crt").exists());
    let wrong = [
        "controller",
        "init",
        "--dir",
        "wrong",
        "--cert",
        "c/tls/ca.crt",
        "--key",
        "c/tls/server.key",
    ];
    check(folder.path(), &wrong, 3, &["do not fit"]);
}

#[test]
fn controller_with_damaged_configuration_is_refused_with_line_and_remedy() {
    let folder = made();
    let file = folder.path().join("c/controller.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("cert_file", "cert_fil")).unwrap();
    let words = [
        "controller.toml:",
        "`tls.cert_fil`",
        "did you mean `cert_file`",
    ];
    check(
        folder.path(),
        &["controller", "run", "--dir", "c"],
        3,
        &words,
    );
    fs::write(&file, "listen = ").unwrap();
    check(
        folder.path(),
        &["controller", "run", "--dir", "c"],
        3,
        &["controller.toml:1"],
    );
}

#[test]
fn controller_with_readable_key_is_refused_with_chmod() {
    let folder = made();
    let key = folder.path().join("c/mailbox.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    check(
        folder.path(),
        &["controller", "run", "--dir", "c"],
        3,
        &["mailbox.key", "chmod 600"],
    );
}

#[test]
fn controller_with_another_roles_key_is_refused() {
    let folder = made();
    let c = folder.path().join("c");
    fs::copy(c.join("root.key"), c.join("writer-default.key")).unwrap();
    check(
        folder.path(),
        &["controller", "run", "--dir", "c"],
        3,
        &["writer-default.key", "writer"],
    );
}

#[test]
fn operator_command_without_controller_names_what_is_missing() {
    let folder = made();
    let commands: [&[&str]; 14] = [
        &["actual", "get", "hall-1"],
        &["diff", "hall-1"],
        &["intent", "hall-1", "restart"],
        &["pause", "hall-1"],
        &["resume", "hall-1"],
        &["recover", "hall-1", "--take", "device"],
        &["evidence", "hall-1"],
        &["controller", "remove", "hall-1"],
        &["controller", "metrics"],
        &["status"],
        &["controller", "invite", "hall-1"],
        &["desired", "set", "hall-1", "a", "1"],
        &["desired", "get", "hall-1"],
        &["desired", "rm", "hall-1", "a"],
    ];
    for command in commands {
        let absent = [command, &["--dir", "nowhere"]].concat();
        check(folder.path(), &absent, 3, &["nowhere", "--dir"]);
        let stopped = [command, &["--dir", "c"]].concat();
        check(
            folder.path(),
            &stopped,
            4,
            &["postern controller run --dir c"],
        );
    }
}

#[test]
fn error_as_json_has_name_message_and_next() {
    let folder = made();
    let output = postern(folder.path(), &["status", "--dir", "c", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"]["name"], "controller-not-running");
    assert!(json["error"]["message"].is_string() && json["error"]["next"].is_string());
}

//= spec/lives.md#join-line type=test
//# A device SHOULD read the join line from standard input or a file and not from its arguments.
#[test]
fn join_refuses_lines_that_are_damaged_without_showing_them() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "",
        "\n",
        "secret-part",
        "postern1:",
        "postern1:c2VjcmV0LXBhcnQ",
        "postern2:oA",
    ] {
        fs::write(folder.path().join("line"), line).unwrap();
        let arguments = ["device", "join", "--dir", "d", "--file", "line"];
        let error = refused(folder.path(), &arguments, 3);
        assert!(error.contains("next: "), "{error}");
        assert!(!error.contains("secret-part") && !error.contains("c2VjcmV0"));
        assert!(!folder.path().join("d").exists());
    }
}

#[test]
fn device_without_folder_is_told_to_join() {
    let folder = tempfile::tempdir().unwrap();
    check(
        folder.path(),
        &["device", "run", "--dir", "d"],
        3,
        &["device.toml", "postern device join"],
    );
}

#[test]
fn value_that_is_no_scalar_is_refused_before_anything_is_asked() {
    let folder = made();
    for value in ["text", "[1]", "{\"a\":1}", "18446744073709551616", ""] {
        let arguments = ["desired", "set", "hall-1", "a", value, "--dir", "c"];
        check(folder.path(), &arguments, 2, &["--string"]);
    }
    check(
        folder.path(),
        &["desired", "put", "hall-1", "a", "--dir", "c"],
        2,
        &["`=`"],
    );
}

/// Makes a folder with a device.toml that was never joined.
fn device_folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    fs::write(folder.path().join("d/device.toml"), text).unwrap();
    folder
}

#[test]
fn device_commands_that_cannot_be_done_name_the_next_step() {
    let folder = device_folder("");
    let d = folder.path();
    check(
        d,
        &["device", "status", "--dir", "d"],
        3,
        &["has not run yet"],
    );
    check(
        d,
        &["device", "reset", "--dir", "d"],
        3,
        &["--yes", "postern device leave"],
    );
    check(
        d,
        &["device", "leave", "--dir", "d"],
        4,
        &["postern device run"],
    );
    check(
        d,
        &["device", "rotate-key", "--dir", "d"],
        4,
        &["postern device run"],
    );
    check(d, &["device", "pause", "--dir", "e"], 3, &["e/device.toml"]);
    check(
        d,
        &["device", "run", "--dir", "d", "--log-level", "error"],
        3,
        &["has not joined"],
    );
    fs::write(d.join("d/left"), "").unwrap();
    check(
        d,
        &["device", "run", "--dir", "d"],
        3,
        &["has left its controller", "reset"],
    );
    let refused = device_folder("[apply]\nsoak = 3\n");
    let words = ["d/device.toml:2", "apply.soak", "soak_s"];
    check(refused.path(), &["device", "run", "--dir", "d"], 3, &words);
}

#[test]
fn device_that_does_not_run_is_paused_resumed_and_reset() {
    let folder = device_folder("");
    let must = |arguments: &[&str]| {
        let output = postern(folder.path(), arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let paused = must(&["device", "pause", "--dir", "d", "--json"]);
    assert_eq!(paused.trim(), "{\"paused\":true,\"running\":false}");
    assert!(folder.path().join("d/paused").exists());
    assert!(must(&["device", "resume", "--dir", "d"]).contains("when the device runs"));
    assert!(!folder.path().join("d/paused").exists());
    fs::write(folder.path().join("d/device.key"), "x").unwrap();
    assert!(must(&["device", "reset", "--dir", "d", "--yes"]).contains("join"));
    assert!(!folder.path().join("d/device.key").exists());
    assert!(folder.path().join("d/device.toml").exists());
}
