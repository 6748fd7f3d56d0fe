//! PAC scripts in the real program: each evaluation in a process of its own, and a device that joins by what a script names.
//!
//! Here stand the scripts that no engine stops from inside. Listens on loopback only.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use postern_egress::pac::{Evaluate, LookupRule, Lookups, PacFault, ProcessEvaluator, Question};
use postern_egress::{Lookup, Resolve};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

const PROGRAM: &str = env!("CARGO_BIN_EXE_postern");

/// Knows one name.
#[derive(Debug)]
struct Names;

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move {
            match name {
                "known.test" => Ok(vec![SocketAddr::from(([10, 0, 0, 7], port))]),
                _unknown => Err(std::io::ErrorKind::NotFound.into()),
            }
        })
    }
}

async fn asked(evaluator: &ProcessEvaluator, script: &str) -> Result<String, PacFault> {
    let question = Question {
        script: Arc::from(script),
        url: "https://controller.test/".to_owned(),
        host: "controller.test".to_owned(),
        own: vec![[10, 0, 0, 1].into()],
        now_ms: None,
    };
    let lookups = Lookups::new(Arc::new(Names), LookupRule::All);
    evaluator.evaluate(question, lookups).await
}

fn evaluator() -> ProcessEvaluator {
    ProcessEvaluator::new(PathBuf::from(PROGRAM), vec!["pac-child".into()])
}

/// Runs the body of `FindProxyForURL`.
async fn body(body: &str) -> Result<String, PacFault> {
    let script = format!("function FindProxyForURL(url, host) {{ {body} }}");
    asked(&evaluator(), &script).await
}

#[tokio::test]
async fn a23_script_answers_from_its_process() {
    let check = async |script: &str, expected: &str| {
        assert_eq!(body(script).await.as_deref(), Ok(expected), "{script}");
    };
    check("return 'PROXY a:1; DIRECT'", "PROXY a:1; DIRECT").await;
    check(
        "return url + host",
        "https://controller.test/controller.test",
    )
    .await;
    check("return '' + dnsResolve('known.test')", "10.0.0.7").await;
    check("return '' + dnsResolve('unknown.test')", "null").await;
    check("return '' + dnsResolve('x\\nlookup known.test')", "null").await;
    check("return myIpAddress()", "10.0.0.1").await;
    check("return 'a\\n\\u00e4'", "a\n\u{e4}").await;
    let many = body("return 'PROXY a:1;'.repeat(100000)").await.unwrap();
    assert!(many.starts_with("PROXY a:1;") && many.len() < 20_000);
    let large = format!("//{}\nreturn 'DIRECT'", "\u{e4}".repeat(500_000));
    check(&large, "DIRECT").await;
}

#[tokio::test]
async fn a23_hostile_scripts_end_and_leave_this_process_alone() {
    for (script, codes) in [
        ("for (;;) {}", &["PST-P24"][..]),
        (
            "while (true) { try { for (;;) {} } catch (e) {} }",
            &["PST-P24"],
        ),
        (
            "return /^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')",
            &["PST-P24"],
        ),
        (
            "var a = []; for (;;) a.push(new Array(1000).fill(1))",
            &["PST-P24"],
        ),
        ("return 'x'.repeat(1 << 29)", &["PST-P24"]),
        (
            "function f() { return f() + 1 } return '' + f()",
            &["PST-P23"],
        ),
        ("throw new Error('x')", &["PST-P23"]),
        ("return 7", &["PST-P23"]),
        // The engine never looks at its clock in these: only the parent ends them.
        (
            "return new Array(4294967295).join('x')",
            &["PST-P24", "PST-P26"],
        ),
        (
            "return '' + new Array(100000000).sort()",
            &["PST-P24", "PST-P26"],
        ),
    ] {
        let fault = body(script).await.unwrap_err();
        assert!(
            codes.contains(&fault.code()),
            "{script}: {} {fault}",
            fault.code()
        );
    }
    let after = body("return 'DIRECT'").await;
    assert_eq!(after.as_deref(), Ok("DIRECT"));
}

#[tokio::test]
async fn a23_program_that_is_no_child_is_a_fault() {
    for (program, arguments) in [
        ("/nonexistent/postern", vec!["pac-child"]),
        (PROGRAM, vec!["--version"]),
        ("/bin/sh", vec!["-c", "echo ready; echo text 99999999"]),
        ("/bin/sh", vec!["-c", "echo ready; echo text 5"]),
        ("/bin/sh", vec!["-c", "echo ready; echo exec x"]),
        ("/bin/sh", vec!["-c", "head -c 100000 /dev/zero"]),
    ] {
        let arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        let stranger = ProcessEvaluator::new(PathBuf::from(program), arguments.clone());
        let said = asked(&stranger, "function FindProxyForURL() { return 'DIRECT' }").await;
        assert_eq!(
            said.unwrap_err().code(),
            "PST-P26",
            "{program} {arguments:?}"
        );
    }
}

#[test]
fn a23_child_is_confined_before_it_reads_a_script() {
    let mut child = Command::new(PROGRAM)
        .arg("pac-child")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect::<Vec<u64>>()
    };
    assert_eq!(limit("Max open files"), [0, 0]);
    assert_eq!(limit("Max processes"), [0, 0]);
    assert_eq!(limit("Max file size"), [0, 0]);
    assert_eq!(limit("Max core file size"), [0, 0]);
    assert_eq!(limit("Max cpu time"), [2, 2]);
    assert_eq!(limit("Max address space"), [128 << 20, 128 << 20]);
    // Without a parent there is nothing to do.
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success());
}

/// A proxy that carries every CONNECT to this machine, and remembers where to.
struct Tunnel {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

fn tunnel() -> Tunnel {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || carry(client, &seen));
        }
    });
    Tunnel { address, asked }
}

fn carry(mut client: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap_or(0) == 1 {
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).unwrap();
    let place = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().push(place.clone());
    let Ok(mut server) = TcpStream::connect(place) else {
        return;
    };
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut up, &mut server));
    let _ended = std::io::copy(&mut down, &mut client);
}

fn postern(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(line.split(' '))
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(folder: &Path, line: &str, input: &str) -> Output {
    let mut child = postern(folder, line).spawn().unwrap();
    // A command that refuses its configuration does not read.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A controller on loopback; ends with the test.
struct Controller {
    folder: tempfile::TempDir,
    child: Child,
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Controller {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let place = format!("127.0.0.1:{port}");
        let init = format!("controller init --dir c --listen {place} --url https://{place}");
        let made = run(folder.path(), &init, "");
        assert!(made.status.success(), "{made:?}");
        let mut child = postern(folder.path(), "controller run --dir c")
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_ready = lines.any(|line| line.unwrap_or_default().contains("controller ready"));
        assert!(is_ready);
        // Whoever writes must have a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, child }
    }

    /// Joins a device whose `[proxy]` table is this one; returns what came of it.
    fn join(&self, name: &str, script: &str, table: &str) -> Output {
        let folder = self.folder.path();
        let invite = format!("controller invite {name} --dir c");
        let line = String::from_utf8(run(folder, &invite, "").stdout).unwrap();
        let dir = folder.join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("proxy.pac"), script).unwrap();
        std::fs::write(dir.join("device.toml"), format!("[proxy]\n{table}\n")).unwrap();
        run(folder, &format!("device join --dir {name}"), &line)
    }
}

#[test]
fn a23_device_joins_by_the_proxy_that_a_script_names() {
    let (controller, tunnel) = (Controller::start(), tunnel());
    let script = format!(
        "function FindProxyForURL(u, h) {{ return 'PROXY {}; DIRECT' }}",
        tunnel.address
    );
    let table = "pac = \"proxy.pac\"\nmode = \"require\"";
    let joined = controller.join("hall-1", &script, table);
    assert!(joined.status.success(), "{joined:?}");
    let asked = tunnel.asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|place| place.starts_with("127.0.0.1:")));
}

#[test]
fn a23_device_with_a_useless_required_script_says_why_and_does_not_join() {
    let controller = Controller::start();
    let table = "pac = \"proxy.pac\"\nmode = \"require\"";
    for (name, script, words) in [
        (
            "hall-1",
            "function FindProxyForURL() { return 'DIRECT' }",
            "PST-P25",
        ),
        (
            "hall-2",
            "function FindProxyForURL() { for (;;) {} }",
            "PST-P24",
        ),
        ("hall-3", "<html>", "PST-P22"),
    ] {
        let refused = controller.join(name, script, table);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{name}");
        assert!(error.contains(words) && error.contains("no way"), "{error}");
    }
    let joined = controller.join(
        "hall-4",
        "function FindProxyForURL() { return 'DIRECT' }",
        "pac = \"proxy.pac\"",
    );
    assert!(joined.status.success(), "{joined:?}");
}
