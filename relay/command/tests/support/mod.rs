//! A relay as a process, in a folder that removes itself, and the trust line that it is made from.
//!
//! Tests see what an operator sees: output, exit codes, files, sockets. Refuses to wait for time to
//! pass: it looks for what has to come and yields between looks.

use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::revision::Generation;
use postern_protocol::trust::{BundleContent, Mailbox, Writership};
use postern_protocol::trust_line::TrustLine;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Returns the trust line of a trust domain with these tenants.
pub(crate) fn trust_line(seed: u8, tenants: &[&str]) -> String {
    let root = MemorySigner::from_seed(&[seed; 32]);
    let recovery = MemorySigner::from_seed(&[seed + 1; 32]);
    let writer = MemorySigner::from_seed(&[seed + 2; 32]);
    let writership = || Writership {
        generation: Generation::new(1),
        key: writer.public_key().clone(),
    };
    let names = tenants.iter().map(|name| name.parse_tenant());
    let content = BundleContent {
        root: root.public_key().clone(),
        recovery: recovery.public_key().clone(),
        writers: names
            .map(|name| (name, writership()))
            .collect::<BTreeMap<_, _>>(),
        mailboxes: vec![Mailbox {
            key: MemorySigner::from_seed(&[seed + 3; 32])
                .public_key()
                .clone(),
            urls: vec!["https://controller.example:8443".into()],
        }],
        revoked: BTreeSet::new(),
    };
    let genesis = root.public_key().thumbprint();
    let bundle = content.seal(None, genesis, &root).expect("a bundle");
    let line = TrustLine {
        root: genesis,
        recovery: recovery.public_key().thumbprint(),
        bundles: vec![bundle.as_bytes().to_vec()],
    };
    line.text().expect("a line")
}

trait ParseTenant {
    fn parse_tenant(&self) -> postern_protocol::id::Tenant;
}

impl ParseTenant for &str {
    fn parse_tenant(&self) -> postern_protocol::id::Tenant {
        postern_protocol::id::Tenant::parse(self).expect("a tenant")
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// The command with these words.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-relay"));
    command.args(words).env_remove("POSTERN_RELAY_DIR");
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    command
}

/// Runs a command to its end, with a text on standard input.
pub(crate) fn with_input(words: &[&str], input: &str) -> Ended {
    let mut child = command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that refuses its arguments does not read.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Ended::of(child.wait_with_output().expect("an end"))
}

/// A relay's folder with ports of its own.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Site {
    /// Makes a folder by `init`.
    pub(crate) fn make() -> Self {
        Self::make_from(&trust_line(1, &["plant-1", "plant-2"]))
    }

    /// As [`Self::make`], from a trust line.
    pub(crate) fn make_from(trust: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
            listen: free_address(),
            admin: free_address(),
        };
        let ended = site.init_from(trust);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.starts_with("postern-relay1:"), "{ended:?}");
        site
    }

    pub(crate) fn init(&self) -> Ended {
        self.init_from(&trust_line(1, &["plant-1", "plant-2"]))
    }

    fn init_from(&self, trust: &str) -> Ended {
        let (listen, admin) = (self.listen.to_string(), self.admin.to_string());
        let url = format!("https://localhost:{}", self.listen.port());
        let dir = self.dir();
        let words = [
            "init",
            "--dir",
            text(&dir),
            "--url",
            &url,
            "--listen",
            &listen,
            "--admin-listen",
            &admin,
        ];
        with_input(&words, trust)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("relay")
    }

    /// Runs a command about this folder to its end.
    pub(crate) fn ask(&self, words: &[&str]) -> Ended {
        let output = command(words).arg("--dir").arg(self.dir()).output();
        Ended::of(output.expect("the command"))
    }

    /// Changes relay.toml.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let file = self.dir().join("relay.toml");
        let before = std::fs::read_to_string(&file).expect("a file");
        assert!(before.contains(from), "{from} is not in the file");
        std::fs::write(&file, before.replacen(from, to, 1)).expect("written");
    }

    /// Starts the relay and returns once it answers.
    pub(crate) fn start(&self) -> Running<'_> {
        self.start_with(&mut command(&["run", "--log-format", "json"]))
    }

    pub(crate) fn start_with(&self, command: &mut Command) -> Running<'_> {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        let child = command
            .arg("--dir")
            .arg(self.dir())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the relay");
        let mut running = Running { site: self, child };
        while self.ask(&["status", "--json"]).code != 0 {
            assert!(
                running.child.try_wait().expect("a state").is_none(),
                "{}",
                self.log()
            );
        }
        running
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// Asks the health address; returns status line and body.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.admin).expect("the health address");
        let request = format!("GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.lines().next().unwrap_or_default();
        (status.to_owned(), body.to_owned())
    }
}

/// A relay that runs; killed when the test forgets it.
pub(crate) struct Running<'s> {
    site: &'s Site,
    pub(crate) child: Child,
}

impl Running<'_> {
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.child.wait().expect("an end").code()
    }

    /// Looks until the audit log holds these words; fails when the relay ends before.
    pub(crate) fn wait_for_audit(&mut self, words: &str) {
        let file = self.site.dir().join("audit.log");
        while !std::fs::read_to_string(&file)
            .expect("a log")
            .contains(words)
        {
            let ended = self.child.try_wait().expect("a state");
            assert!(ended.is_none(), "{words}: {}", self.site.log());
            std::thread::yield_now();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
