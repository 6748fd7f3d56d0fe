//! A controller and a device in one process, over real TLS on loopback, from nothing to applied.

use crate::config::{ControllerConfig, DeviceConfig};
use crate::controller::init::{InitOptions, create};
use crate::operator::client::Client;
use crate::operator::{Request, Response, Target};
use crate::random::OsRandom;
use postern_protocol::id::{DeviceName, Tenant, Thumbprint};
use postern_protocol::join_line::JoinLine;
use postern_protocol::key::Algorithm;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path, Value};
use std::net::TcpListener;
use std::path::PathBuf;

struct World {
    folder: tempfile::TempDir,
    port: u16,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let options = InitOptions {
            dir: folder.path().join("controller"),
            listen: Some(format!("127.0.0.1:{port}").parse().unwrap()),
            urls: vec![format!("https://localhost:{port}")],
            tenants: vec![Tenant::parse("default").unwrap()],
            certificate: None,
        };
        create(&options, &mut OsRandom).unwrap();
        Self { folder, port }
    }

    fn controller(&self) -> PathBuf {
        self.folder.path().join("controller")
    }

    async fn ask(&self, request: Request) -> Response {
        let dir = self.controller();
        tokio::task::spawn_blocking(move || Client::connect(&dir).unwrap().ask(&request).unwrap())
            .await
            .unwrap()
    }

    /// Returns once the server accepts connections.
    async fn ready(&self) {
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
        while Client::connect(&self.controller()).is_err() {
            tokio::task::yield_now().await;
        }
    }

    async fn set(&self, path: &str, value: &str) -> Revision {
        let change = Change::Set(Path::parse(path).unwrap(), Value::Text(value.into()));
        let (tenant, device) = names();
        let decided = self
            .ask(Request::Decide {
                target: Target { tenant, device },
                changes: vec![change],
                base: None,
            })
            .await;
        let Response::Decided { desired, .. } = decided else {
            panic!("{decided:?}")
        };
        Revision::new(Epoch::new(desired.epoch), Seq::new(desired.seq))
    }

    async fn wait(&self, revision: Revision) -> Response {
        let (tenant, device) = names();
        self.ask(Request::Wait {
            target: Target { tenant, device },
            revision,
            timeout_ms: 60_000,
        })
        .await
    }
}

fn names() -> (Tenant, DeviceName) {
    (
        Tenant::parse("default").unwrap(),
        DeviceName::parse("press-4").unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn device_joins_and_applies_what_the_controller_decides() {
    let _log = tracing_subscriber::fmt()
        .with_test_writer()
        .with_max_level(tracing::Level::DEBUG)
        .try_init();
    let world = World::new();
    let config = ControllerConfig::load(&world.controller()).unwrap();
    let controller = tokio::spawn(crate::controller::run::run(config));
    world.ready().await;
    let (tenant, device) = names();
    let invited = world
        .ask(Request::Invite {
            target: Target { tenant, device },
        })
        .await;
    let Response::Invited { join_line } = invited else {
        panic!("{invited:?}")
    };
    let line = JoinLine::parse(&join_line).unwrap();

    let dir = world.folder.path().join("device");
    let config = DeviceConfig::load_or_create(&dir).unwrap();
    let mut astray = JoinLine::parse(&join_line).unwrap();
    astray.mailbox = Some(Thumbprint::from_bytes([9; 32]));
    // The other scenarios have Ed25519 keys.
    let key_type = Some(Algorithm::Esp256);
    let refused = crate::device::join(&config, &astray, key_type)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("mailbox-mismatch"),
        "{refused}"
    );
    let report = crate::device::join(&config, &line, key_type).await.unwrap();
    let other = crate::device::join(&config, &line, None).await.unwrap_err();
    assert_eq!(other.name, "device-joined");
    assert_eq!(report.device, "press-4");
    // Which of the two is the faster is the machine's affair.
    assert!(
        ["quic", "direct"].contains(&report.route),
        "{}",
        report.route
    );
    let running = tokio::spawn(async move { crate::device::run(&config).await });

    let mut revisions = Vec::new();
    for (path, value) in [
        ("net/ssid", "hall-A"),
        ("net/ssid", "hall-B"),
        ("line/speed", "12"),
    ] {
        let revision = world.set(path, value).await;
        let applied = world.wait(revision).await;
        assert!(matches!(applied, Response::Applied { .. }), "{applied:?}");
        revisions.push(revision);
    }
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]));
    let text = std::fs::read_to_string(dir.join("desired/current/net/ssid")).unwrap();
    assert_eq!(text, "hall-B");
    assert!(!running.is_finished() && !controller.is_finished());
    running.abort();
    controller.abort();
}

#[test]
fn store_that_cannot_be_written_is_named_with_its_cause_and_a_next_step() {
    let error = postern_relay::store::StoreError::Io {
        file: "c/controller.redb".into(),
        doing: "commit",
        source: std::io::Error::from(std::io::ErrorKind::StorageFull).into(),
    };
    let text = crate::exit::CommandError::from(error).to_string();
    let (message, next) = text.split_once('\n').unwrap();
    assert!(
        message.contains("cannot commit (no storage space)"),
        "{text}"
    );
    assert!(next.contains("look at the disk"), "{text}");
}
