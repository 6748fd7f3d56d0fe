//! Races over real sockets on loopback: who wins, who never does, and what a required proxy forbids.

mod mailbox;
mod streams;

use super::*;
use mailbox::{Behaviour, Site};
use postern_egress::{FileSettings, ProxySettings, Route, Trust, Variables};
use postern_protocol::frame::PlainFrame;
use postern_protocol::id::Challenge;
use std::net::TcpListener;

const OURS: Thumbprint = Thumbprint::from_bytes([1; 32]);
const OTHER: Thumbprint = Thumbprint::from_bytes([2; 32]);

fn challenge_of(mailbox: Thumbprint) -> Vec<u8> {
    let frame = PlainFrame::Challenge {
        challenge: Challenge::from_bytes([1; 16]),
        ephemeral: [2; 32],
        mailbox,
    };
    frame.encode().unwrap()
}

fn refusal() -> Vec<u8> {
    let frame = PlainFrame::Refused {
        code: postern_protocol::Reject::Overloaded.code(),
        retry_ms: None,
    };
    frame.encode().unwrap()
}

struct Scene {
    folder: tempfile::TempDir,
    routes: Routes,
}

/// Routes to these mailboxes, in their order; `proxy` is required where there is one.
fn scene(boxes: &[&Site], proxy: Option<&str>) -> Scene {
    scene_up_to(Duration::from_secs(5), boxes, proxy)
}

/// The same with another longest hold.
fn scene_up_to(hold_ceiling: Duration, boxes: &[&Site], proxy: Option<&str>) -> Scene {
    scene_in(tempfile::tempdir().unwrap(), hold_ceiling, boxes, proxy)
}

/// The same in a folder that an earlier process may have left.
fn scene_in(
    folder: tempfile::TempDir,
    hold_ceiling: Duration,
    boxes: &[&Site],
    proxy: Option<&str>,
) -> Scene {
    let settings = FileSettings {
        file: folder.path().join("device.toml"),
        url: proxy.map(str::to_owned),
        no_proxy: None,
        secret_file: None,
        mode: None,
        ..FileSettings::default()
    };
    let settings = ProxySettings::resolve(&settings, &Variables::default()).unwrap();
    let pem: String = boxes.iter().map(|one| one.pem.as_str()).collect();
    let pem = Some(pem.as_str()).filter(|pem| !pem.is_empty());
    let trust = Trust::new(Vec::new(), pem).unwrap();
    let dialer = Dialer::new(settings, Arc::new(trust), "postern-test").unwrap();
    let urls: Vec<_> = boxes.iter().map(|one| vec![one.url()]).collect();
    let addresses = Address::of_all(urls.iter().map(Vec::as_slice));
    let whereabouts = Whereabouts::open(folder.path(), "none".into());
    let routes = Routes::new(dialer, whereabouts, &addresses, hold_ceiling).unwrap();
    Scene { folder, routes }
}

impl Scene {
    async fn race(&mut self) -> Result<Won, Vec<(WayId, Loss)>> {
        let ask = PlainFrame::Ask { bundle: None }.encode().unwrap();
        let raced = self.routes.race(ask, vec![OURS]).run().await;
        self.routes.handle_raced(raced).unwrap()
    }

    /// Races and uses the winner; returns its URL.
    async fn winner(&mut self) -> String {
        let won = self.race().await.unwrap_or_else(|_| panic!("nobody won"));
        assert_eq!(won.frame, challenge_of(OURS));
        self.routes.handle_won(won.way);
        self.routes.current_url().unwrap().to_owned()
    }

    async fn loss(&mut self) -> Vec<&'static str> {
        let Err(failures) = self.race().await else {
            panic!("somebody won");
        };
        failures.iter().map(|(_, loss)| loss.code()).collect()
    }
}

#[tokio::test]
async fn a01_direct_way_wins_and_is_remembered_for_the_next_process() {
    let mailbox = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let mut scene = scene(&[&mailbox], None);
    assert_eq!(scene.winner().await, mailbox.url());
    assert_eq!(scene.routes.current_name(), "direct");
    let used = scene.routes.used().unwrap().key;
    scene.routes.whereabouts.note_good(used);
    let Scene { folder, routes } = scene;
    drop(routes);
    let again = Whereabouts::open(folder.path(), "none".into());
    assert_eq!(again.hints().last_good, Some(used));
}

#[tokio::test]
async fn a03_way_that_hangs_loses_against_a_relay_and_is_cancelled() {
    let hangs = Site::open(Behaviour::Hang).await;
    let relay = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let mut scene = scene(&[&hangs, &relay], None);
    let started_ms = clock::mono_ms();
    assert_eq!(scene.winner().await, relay.url());
    let took = Duration::from_millis(clock::mono_ms() - started_ms);
    // The relay waits its three seconds; the five of the hanging handshake and more are not waited for.
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn way_that_fails_at_once_does_not_make_the_relay_wait() {
    let refuses = Site::closed();
    let relay = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let mut scene = scene(&[&refuses, &relay], None);
    let started_ms = clock::mono_ms();
    assert_eq!(scene.winner().await, relay.url());
    assert!(clock::mono_ms() - started_ms < 3_000);
}

#[tokio::test]
async fn a11_block_page_and_strangers_never_win() {
    for (answer, code) in [
        (b"<html>blocked</html>".to_vec(), "PST-A01"),
        (Vec::new(), "PST-A01"),
        (challenge_of(OTHER), "PST-A02"),
        (refusal(), "PST-A03"),
    ] {
        let stranger = Site::open(Behaviour::Answer(answer)).await;
        let mut alone = scene(&[&stranger], None);
        assert_eq!(alone.loss().await, [code]);
        let mailbox = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
        let mut both = scene(&[&stranger, &mailbox], None);
        assert_eq!(both.winner().await, mailbox.url());
    }
}

#[tokio::test]
async fn a27_portal_is_reported_and_what_it_hid_wins_once_it_opens() {
    let portal = Site::open(Behaviour::Answer(b"<html>accept our terms</html>".to_vec())).await;
    let mut scene = scene(&[&portal], None);
    for _ in 0..10 {
        assert_eq!(scene.loss().await, ["PST-A01"]);
        let pause = scene.routes.handle_lost();
        assert!(pause <= Duration::from_secs(5), "{pause:?}");
    }
    let error = scene.routes.ladder.facts(moment()).next().unwrap();
    assert_eq!(error.last_error, Some("PST-A01"));
    portal.behave(Behaviour::Answer(challenge_of(OURS)));
    assert_eq!(scene.winner().await, portal.url());
}

#[tokio::test]
async fn a28_required_proxy_that_is_down_leaves_not_one_packet_to_the_target() {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let target = Site::at(trap.local_addr().unwrap());
    let proxy = Site::closed();
    let address = proxy.address();
    let mut scene = scene(&[&target], Some(&format!("http://{address}")));
    for _ in 0..5 {
        assert_eq!(scene.loss().await, ["PST-T01"]);
        scene.routes.handle_lost();
        assert_eq!(scene.routes.poll_probes().len(), 0);
    }
    let seen = trap.accept().map_err(|error| error.kind());
    assert_eq!(seen.err(), Some(std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a29_mailbox_that_asks_for_patience_is_left_by_nobody() {
    let busy = Site::open(Behaviour::Status(429)).await;
    let mut scene = scene(&[&busy], None);
    let carrier = scene.routes.carrier(b"x", None).unwrap();
    scene.routes.ladder.handle_won(moment(), carrier.sent.way);
    for _ in 0..5 {
        let carrier = scene.routes.carrier(b"x", None).unwrap();
        let error = carrier.carry(b"x".to_vec()).await.unwrap_err();
        assert_eq!(error.status(), Some(429));
        assert_eq!(error.retry_after_s(), Some(7));
        assert_eq!(
            scene.routes.handle_failure(carrier.sent, &error),
            Ruling::Stay
        );
    }
}

#[tokio::test]
async fn end_of_a_race_that_is_not_the_newest_counts_for_nothing() {
    let mailbox = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let mut scene = scene(&[&mailbox], None);
    let ask = PlainFrame::Ask { bundle: None }.encode().unwrap();
    let older = scene.routes.race(ask.clone(), vec![OURS]);
    let newer = scene.routes.race(ask, vec![OURS]);
    assert!(scene.routes.handle_raced(older.run().await).is_none());
    assert!(scene.routes.handle_raced(newer.run().await).is_some());
}

#[tokio::test]
async fn replacement_of_a_broken_way_is_found_and_counted() {
    let first = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let second = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let mut scene = scene(&[&first, &second], None);
    assert_eq!(scene.winner().await, first.url());
    first.behave(Behaviour::Answer(b"<html>".to_vec()));
    let mut rulings = Vec::new();
    for _ in 0..2 {
        let carrier = scene.routes.carrier(b"x", None).unwrap();
        rulings.push(scene.routes.handle_no_mailbox(carrier.sent));
    }
    assert_eq!(rulings, [Ruling::Stay, Ruling::Leave]);
    let raced = scene.routes.race_for_replacement().run().await;
    let Some(Ok(won)) = scene.routes.handle_raced(raced) else {
        panic!("nobody won");
    };
    assert_eq!(scene.routes.handle_won(won.way), Change::Mailbox);
    assert_eq!(scene.routes.current_url(), Some(second.url().as_str()));
    let facts = scene.routes.facts();
    let switches: Vec<_> = facts.switches.iter().collect();
    assert_eq!(
        switches,
        [
            ("direct", "relay-direct", "failed", 1),
            ("none", "direct", "raced", 1)
        ]
    );
    let better = facts.better.as_ref().and_then(|better| better.last_error);
    assert_eq!(better, Some("PST-A01"));
    // Both mailboxes are reached for the same reason, which is told once and without their names.
    assert_eq!(*facts.explained, ["direct (no proxy is configured)"]);
    assert_eq!(facts.states[&("direct", "failed")], 1);
    assert_eq!(facts.states[&("relay-direct", "used")], 1);
    assert!(!facts.to_json().to_string().contains("127.0.0.1"));
}

fn cut_with(status: u16, sent_for: Duration) -> TransportError {
    TransportError {
        route: Route::Direct,
        hop: "controller.test:443".into(),
        fault: postern_egress::Fault::Status {
            status,
            retry_after_s: None,
            excerpt: postern_egress::Foreign::default(),
            body: Vec::new().into(),
        },
        sent_for: Some(sent_for),
    }
}

#[tokio::test]
async fn hold_facts_name_the_status_that_taught_the_cap() {
    let mailbox = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let mut scene = scene_up_to(Duration::from_secs(25), &[&mailbox], None);
    assert_eq!(scene.routes.hold_facts(), None, "no way is in use");
    scene.winner().await;
    for _ in 0..2 {
        let Some(Next::Hold(hold)) = scene.routes.next_poll() else {
            panic!("no hold");
        };
        let sent = scene.routes.carrier(b"x", Some(hold.asked())).unwrap().sent;
        let error = cut_with(504, Duration::from_millis(20_100));
        scene.routes.note_failure(sent, &error);
        scene.routes.end_hold(sent.way, hold, error.hold_end());
    }
    let facts = scene.routes.facts();
    assert_eq!(facts.hold_ends, [("cut", 2)].into());
    let hold = facts.hold.unwrap();
    assert_eq!(
        (hold.rung_s, hold.cap_s, hold.ceiling_s),
        (12, Some(12), 25)
    );
    let taught = hold.taught_by.as_deref();
    assert_eq!(taught, Some("cut after 20.1 s, twice, with status 504"));
}
