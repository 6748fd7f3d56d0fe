//! A controller that only dials out, a relay, and devices that only dial out: folders and processes.
//!
//! Controller and devices are the real binary; the relay runs in this process, from the library that
//! `postern-relay` runs. Refuses to be part of anything but tests.

use crate::gate::Gate;
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::trust_line::{RelayLine, TrustLine};
use postern_relay::exchange::{ExchangeLimits, MailboxKeys};
use postern_relay::server::{ServerConfig, ServerLimits};
use postern_relay::{Relay, RelayConfig};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Looks at something that takes its time, each a millisecond or more. Generous.
const LOOKS_MAX: usize = 60_000;
/// Lines of each log that a failure shows.
const LOG_LINES: usize = 40;
/// Milliseconds that connections of a relay get when it stops.
const GRACE_MS: u64 = 200;

/// Everything of one trust domain; ends with it.
pub struct Site {
    pub folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    relay: Option<Relay>,
    /// The one beside it, if there is one.
    second: Option<Relay>,
    address: SocketAddr,
    tls: Tls,
    trust: TrustLine,
    gate: Option<Gate>,
    processes: Vec<(String, Child)>,
    _alone: MutexGuard<'static, ()>,
}

/// One site at a time: a process that another test starts holds our files until it runs, their locks with them.
static ALONE: Mutex<()> = Mutex::new(());

struct Tls {
    chain: String,
    key: String,
    ca: Vec<u8>,
    ca_pem: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
        if std::thread::panicking() {
            self.tell_logs();
        }
    }
}

fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    let words = line.split(' ').filter(|word| !word.is_empty());
    command.args(words).current_dir(folder).env_clear();
    command
}

fn relay_key() -> MemorySigner {
    MemorySigner::from_seed(&[77; 32])
}

fn second_key() -> MemorySigner {
    MemorySigner::from_seed(&[78; 32])
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

/// A CA and a certificate of it for `localhost`.
fn tls() -> Tls {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    Tls {
        chain: leaf.pem(),
        key: key.serialize_pem(),
        ca: ca_certificate.der().to_vec(),
        ca_pem: ca_certificate.pem(),
    }
}

impl Site {
    /// Makes controller and relay, and starts both. `init` is what `controller init` is told beside its folder.
    pub fn start(init: &str) -> Self {
        Self::with(tokio::runtime::Runtime::new().unwrap(), None, init)
    }

    fn with(runtime: tokio::runtime::Runtime, gate: Option<Gate>, init: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let made = command(folder.path(), &format!("controller init --dir c {init}"));
        finish(made, "");
        let line = finish(command(folder.path(), "controller trust --dir c"), "");
        let mut site = Self {
            folder,
            runtime,
            relay: None,
            second: None,
            address: free_address(),
            tls: tls(),
            trust: TrustLine::parse(&line).unwrap(),
            gate,
            processes: Vec::new(),
            _alone: alone,
        };
        site.start_relay("relay.redb");
        site.list_relay(&relay_key(), site.address);
        site.run("controller", "controller run --dir c", "controller ready");
        site
    }

    /// Starts a controller that listens behind a way that can be cut. Devices trust the relay's TLS too.
    pub fn behind_a_gate() -> Self {
        let listen = free_address();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let gate = runtime.block_on(Gate::open(listen));
        let url = format!("https://localhost:{}", gate.port());
        Self::with(
            runtime,
            Some(gate),
            &format!("--listen {listen} --url {url}"),
        )
    }

    /// Cuts the way to the controller.
    pub fn close_gate(&self) {
        self.gate.as_ref().unwrap().close();
    }

    /// Looks again and again until something is so.
    pub fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..LOOKS_MAX {
            if is_so(self) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{what}: not within {LOOKS_MAX} looks");
    }

    /// Writes a value of the actual state through the local API of a running device.
    pub fn put_actual(&self, device: &str, resource: &str, value: &str) {
        let socket = self.folder.path().join(device).join("local.sock");
        let mut stream = UnixStream::connect(socket).unwrap();
        let request = format!(
            "PUT {resource} HTTP/1.1\r\nHost: device\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{value}",
            value.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// What the processes said last, for people who look at a failure.
    fn tell_logs(&self) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read_to_string(&file).unwrap();
                let lines: Vec<_> = log.lines().collect();
                let last = lines.len().saturating_sub(LOG_LINES);
                println!("--- {}\n{}", file.display(), lines[last..].join("\n"));
            }
        }
    }

    /// Names a relay in the next bundle, behind those that it lists.
    fn list_relay(&self, key: &MemorySigner, address: SocketAddr) {
        let line = RelayLine {
            key: key.public_key().clone(),
            urls: vec![format!("https://localhost:{}", address.port())],
            tls_ca: Some(self.tls.ca.clone()),
        };
        let add = command(self.folder.path(), "controller relay add --dir c");
        finish(add, &line.text().unwrap());
    }

    /// Starts another relay beside the first; the next bundle names it behind that.
    pub fn add_second_relay(&mut self) {
        let address = free_address();
        self.second = Some(self.make_relay("second.redb", second_key(), address));
        self.list_relay(&second_key(), address);
    }

    /// Starts the relay on a store, which may be a new one.
    pub fn start_relay(&mut self, store: &str) {
        self.relay = Some(self.make_relay(store, relay_key(), self.address));
    }

    fn make_relay(&self, store: &str, key: MemorySigner, address: SocketAddr) -> Relay {
        let config = RelayConfig {
            store: self.folder.path().join(store),
            genesis: self.trust.root,
            recovery: self.trust.recovery,
            bundles: self.trust.bundles.clone(),
            keys: MailboxKeys::one(Arc::new(key)),
            limits: ExchangeLimits::default(),
            server: ServerConfig {
                listen: address,
                prefix: String::new(),
                certificate_pem: self.tls.chain.clone().into_bytes(),
                key_pem: self.tls.key.clone().into_bytes(),
                quic: None,
                limits: ServerLimits::default(),
            },
        };
        let _inside = self.runtime.enter();
        Relay::start(config).unwrap()
    }

    pub fn second(&self) -> &Relay {
        self.second.as_ref().unwrap()
    }

    pub fn stop_relay(&mut self) {
        let relay = self.relay.take().unwrap();
        self.runtime.block_on(relay.shutdown(GRACE_MS));
    }

    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().unwrap()
    }

    /// Starts a process and waits until it says `ready`.
    pub fn run(&mut self, name: &str, line: &str, ready: &str) {
        let mut child = command(self.folder.path(), line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let is_ready = lines.any(|line| {
            let line = line.unwrap_or_default();
            let is_ready = line.contains(ready);
            said.push(line);
            is_ready
        });
        assert!(is_ready, "{name} ended before it was ready: {said:#?}");
        let mut log =
            std::fs::File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        writeln!(log, "{}", said.join("\n")).unwrap();
        // Whoever writes must have a reader.
        let _drain = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _full = writeln!(log, "{line}");
            }
        });
        self.processes.push((name.to_owned(), child));
    }

    /// Ends a process at once.
    pub fn kill(&mut self, name: &str) {
        let place = self.processes.iter().position(|(held, _)| held == name);
        let (_, mut child) = self.processes.remove(place.unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Invites a device, joins it, and starts it. Returns the join line, which is used up.
    pub fn join(&mut self, name: &str) -> String {
        let line = self.must(&format!("controller invite {name} --dir c"));
        self.make_folder(name);
        let joined = command(self.folder.path(), &format!("device join --dir {name}"));
        finish(joined, &line);
        self.run(name, &format!("device run --dir {name}"), "session open");
        line
    }

    /// Joins a device that is refused. Returns what it said.
    pub fn join_refused(&self, name: &str, line: &str) -> String {
        self.make_folder(name);
        let join = command(self.folder.path(), &format!("device join --dir {name}"));
        let output = with_input(join, line);
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The folder of a device, which trusts the TLS of the relay.
    fn make_folder(&self, name: &str) {
        let dir = self.folder.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("relay-ca.pem"), &self.tls.ca_pem).unwrap();
        std::fs::write(
            dir.join("device.toml"),
            "extra_ca_files = [\"relay-ca.pem\"]\n",
        )
        .unwrap();
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub fn must(&self, line: &str) -> String {
        finish(command(self.folder.path(), line), "")
    }

    /// Runs a command and returns what came of it.
    pub fn ask(&self, line: &str) -> Output {
        let mut command = command(self.folder.path(), line);
        command.stdin(Stdio::null()).output().unwrap()
    }
}

/// Runs a command that must succeed, with this on its standard input, and returns its standard output.
fn finish(command: Command, input: &str) -> String {
    let name = format!("{command:?}");
    let output = with_input(command, input);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command to its end, with this on its standard input.
fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}
