use super::notify::Notify;
use super::reload::Reloader;
use super::signals::Told;
use super::{Control, Turn};
use crate::admin::{Desk, Order, Response};
use crate::audit::Audit;
use crate::check::read_certificate;
use crate::config::{LogOverride, RelayConfig};
use crate::drain::Phase;
use crate::health::{Health, Moment};
use crate::make::{self, Options};
use crate::operable::Operable;
use crate::operable::memory::InMemory;
use crate::telemetry::{LevelHandle, Rates};
use postern_console::random::OsRandom;
use postern_protocol::id::Tenant;
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::revision::Generation;
use postern_protocol::trust::{BundleContent, Mailbox, Writership};
use postern_protocol::trust_line::TrustLine;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

const BEGIN_S: u64 = 1_795_831_800;

/// The loop of a process, turned by hand in virtual time.
struct Hand {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    relay: Arc<InMemory>,
    health: Arc<Health>,
    control: Control,
}

fn at(ms: u64) -> Moment {
    Moment {
        mono_ms: ms,
        unix_s: Some(BEGIN_S + ms / 1_000),
    }
}

fn trust() -> String {
    let [root, recovery, mailbox, writer] =
        [1, 2, 3, 4].map(|seed| MemorySigner::from_seed(&[seed; 32]));
    let writer = Writership {
        generation: Generation::new(1),
        key: writer.public_key().clone(),
    };
    let content = BundleContent {
        root: root.public_key().clone(),
        recovery: recovery.public_key().clone(),
        writers: BTreeMap::from([(Tenant::parse("plant-1").unwrap(), writer)]),
        mailboxes: vec![Mailbox {
            key: mailbox.public_key().clone(),
            urls: vec!["https://controller.example".into()],
        }],
        revoked: BTreeSet::new(),
    };
    let genesis = root.public_key().thumbprint();
    let bundle = content.seal(None, genesis, &root).unwrap();
    let line = TrustLine {
        root: genesis,
        recovery: recovery.public_key().thumbprint(),
        bundles: vec![bundle.as_bytes().to_vec()],
    };
    line.text().unwrap()
}

fn hand(held: usize) -> Hand {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("relay");
    let options = Options {
        dir: dir.clone(),
        listen: "127.0.0.1:1".parse().unwrap(),
        admin_listen: "127.0.0.1:2".parse().unwrap(),
        urls: vec!["https://relay.example".into()],
        certificate: None,
        upstream: None,
        trust: trust(),
    };
    make::create(&options, &mut OsRandom).unwrap();
    let config = Arc::new(RelayConfig::load(&dir).unwrap());
    let certificate = read_certificate(&config).unwrap();
    let relay = Arc::new(InMemory::holding(held));
    let shared: Arc<dyn Operable> = relay.clone();
    let health = Arc::new(Health::new(Arc::clone(&shared), at(0)));
    let (orders, _) = mpsc::channel(1);
    let audit = Audit::open(&config.audit, Some(BEGIN_S)).unwrap();
    let desk = Desk::new(
        Arc::clone(&shared),
        Arc::clone(&health),
        audit,
        Arc::clone(&config),
        orders,
    );
    let level = LevelHandle::none();
    let over = LogOverride::default();
    let reloader = Reloader::new(
        config,
        &certificate,
        Arc::clone(&shared),
        Arc::clone(&health),
        level,
        over,
    );
    let control = Control::new(
        shared,
        Arc::clone(&health),
        Arc::new(desk),
        reloader,
        Rates::new(1),
        Notify::none(),
    );
    Hand {
        _folder: folder,
        dir,
        relay,
        health,
        control,
    }
}

impl Hand {
    fn order(
        &mut self,
        order: impl FnOnce(oneshot::Sender<Response>) -> Order,
        ms: u64,
    ) -> Response {
        let (reply, mut answer) = oneshot::channel();
        assert_eq!(self.control.handle_order(order(reply), at(ms)), Turn::On);
        answer.try_recv().unwrap()
    }

    fn is_ready(&self) -> bool {
        self.health.checks().iter().all(|check| check.is_well)
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let file = self.dir.join(name);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        fs::write(file, text.replacen(from, to, 1)).unwrap();
    }
}

fn drain(reply: oneshot::Sender<Response>) -> Order {
    Order::Drain {
        within_ms: Some(100_000),
        reply,
    }
}

#[test]
fn ordered_drain_goes_through_its_phases_and_the_process_goes_on() {
    let mut hand = hand(1_000);
    hand.control.handle_tick(at(0));
    assert!(hand.is_ready());
    let Response::Draining { drain: standing } = hand.order(drain, 0) else {
        panic!("no drain");
    };
    assert_eq!((standing.phase, standing.told), (Phase::Announce, 0));
    assert!(!hand.is_ready());
    assert_eq!(hand.relay.leaving(), None);
    for ms in (0..=110_000).step_by(200) {
        assert_eq!(hand.control.handle_tick(at(ms)), Turn::On);
        if ms == 55_000 {
            assert_eq!(hand.relay.held(), 500);
            assert_eq!(hand.relay.leaving().unwrap().retry_ms, 55_000);
        }
    }
    assert_eq!(hand.relay.held(), 0);
    assert!(!hand.is_ready());
    let undrained = hand.order(|reply| Order::Undrain { reply }, 120_000);
    assert_eq!(undrained, Response::Undrained { changed: true });
    assert!(hand.is_ready());
    assert_eq!(hand.relay.leaving(), None);
}

#[test]
fn undrain_before_the_first_hint_lets_nobody_go() {
    let mut hand = hand(10);
    hand.order(drain, 0);
    hand.control.handle_tick(at(4_000));
    hand.order(|reply| Order::Undrain { reply }, 4_100);
    for ms in (4_200..200_000).step_by(200) {
        hand.control.handle_tick(at(ms));
    }
    assert_eq!(hand.relay.held(), 10);
    let again = hand.order(|reply| Order::Undrain { reply }, 200_000);
    assert_eq!(again, Response::Undrained { changed: false });
}

#[test]
fn told_to_stop_drains_for_a_short_while_then_ends() {
    let mut hand = hand(100);
    assert_eq!(hand.control.handle_signal(Told::Stop, at(0)), Turn::On);
    assert!(!hand.is_ready());
    assert_eq!(hand.control.handle_tick(at(5_000)), Turn::On);
    assert_eq!(hand.relay.held(), 50);
    assert_eq!(hand.control.handle_tick(at(9_900)), Turn::On);
    assert_eq!(hand.relay.held(), 1);
    assert_eq!(hand.control.handle_tick(at(10_000)), Turn::End);
    assert_eq!(hand.relay.held(), 0);
}

#[test]
fn told_to_stop_with_nobody_held_ends_at_once() {
    let mut hand = hand(0);
    assert_eq!(hand.control.handle_signal(Told::Stop, at(0)), Turn::End);
}

#[test]
fn told_to_stop_twice_ends_at_once() {
    let mut hand = hand(100);
    assert_eq!(hand.control.handle_signal(Told::Stop, at(0)), Turn::On);
    assert_eq!(hand.control.handle_signal(Told::Stop, at(1)), Turn::End);
}

#[test]
fn stop_during_an_ordered_drain_takes_over_and_is_not_undone() {
    let mut hand = hand(100);
    hand.order(drain, 0);
    assert_eq!(hand.control.handle_signal(Told::Stop, at(1_000)), Turn::On);
    let undrained = hand.order(|reply| Order::Undrain { reply }, 2_000);
    assert!(matches!(undrained, Response::Error { name, .. } if name == "relay-stopping"));
    let Response::Draining { .. } = hand.order(drain, 3_000) else {
        panic!("the stop goes on");
    };
    assert_eq!(hand.control.handle_tick(at(11_000)), Turn::End);
}

#[test]
fn process_without_a_window_stops_at_once() {
    let mut hand = hand(100);
    hand.edit("relay.toml", "# stop_within_s = 10", "stop_within_s = 0");
    hand.control.handle_signal(Told::Reload, at(0));
    assert_eq!(hand.control.handle_signal(Told::Stop, at(1)), Turn::End);
    assert_eq!(hand.relay.held(), 0);
}

#[test]
fn reload_that_fails_anywhere_changes_nothing() {
    for (name, from, to) in [
        ("relay.toml", "# within_s = 120", "within_s = 0"),
        ("relay.toml", "# within_s = 120", "wihin_s = 60"),
        (
            "relay.toml",
            "cert_file = \"tls/server.crt\"",
            "cert_file = \"tls/none.crt\"",
        ),
        ("tls/server.key", "PRIVATE", "PUBLIC"),
    ] {
        let mut hand = hand(0);
        let before = hand.control.reloader.config().clone();
        // A change that is well must not count either.
        hand.edit("relay.toml", "# announce_s = 5", "announce_s = 9");
        hand.edit(name, from, to);
        let answer = hand.order(|reply| Order::Reload { reply }, 0);
        assert!(matches!(answer, Response::Error { .. }), "{to}: {answer:?}");
        assert_eq!(hand.control.reloader.config().entries(), before.entries());
        assert_eq!(
            (hand.relay.certificates(), hand.health.reloads()),
            (0, (0, 1))
        );
    }
    let mut hand = hand(0);
    let before = hand.control.reloader.config().clone();
    hand.relay.refuse_certificates();
    hand.edit("relay.toml", "# announce_s = 5", "announce_s = 9");
    let answer = hand.order(|reply| Order::Reload { reply }, 0);
    assert!(matches!(answer, Response::Error { .. }));
    assert_eq!(hand.control.reloader.config().entries(), before.entries());
}

#[test]
fn key_that_takes_a_restart_keeps_its_value_and_is_named_each_time() {
    let mut hand = hand(0);
    hand.edit(
        "relay.toml",
        "# connections_max = 20000",
        "connections_max = 100",
    );
    for _ in 0..2 {
        let Response::Reloaded {
            changed,
            needs_restart,
            ..
        } = hand.order(|reply| Order::Reload { reply }, 0)
        else {
            panic!("not reloaded");
        };
        assert!(changed.is_empty());
        assert_eq!(needs_restart[0].key, "server.connections_max");
        assert_eq!(
            (needs_restart[0].from.as_str(), needs_restart[0].to.as_str()),
            ("20000", "100")
        );
    }
    assert_eq!(hand.relay.certificates(), 2);
}

#[test]
fn changed_certificate_is_taken_within_a_minute_and_a_half_changed_one_is_not() {
    let mut hand = hand(0);
    hand.control.handle_tick(at(0));
    assert_eq!(hand.relay.certificates(), 0);
    let other = self::hand(0);
    let newer = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    let (from, to) = (other.dir.join("tls"), hand.dir.join("tls"));
    let put = |name: &str| {
        fs::copy(from.join(name), to.join(name)).unwrap();
        // The clock of the file system may be too coarse to show a change within one test.
        let open = fs::File::options()
            .append(true)
            .open(to.join(name))
            .unwrap();
        open.set_modified(newer).unwrap();
    };
    put("server.crt");
    hand.control.handle_tick(at(60_000));
    assert_eq!(hand.relay.certificates(), 0);
    put("server.key");
    hand.control.handle_tick(at(60_200));
    assert_eq!(hand.relay.certificates(), 0);
    hand.control.handle_tick(at(120_000));
    assert_eq!(hand.relay.certificates(), 1);
    hand.control.handle_tick(at(180_000));
    assert_eq!(hand.relay.certificates(), 1);
}
