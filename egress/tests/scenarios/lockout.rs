//! A rejected proxy password across restarts of the process.
//!
//! The proxy's record is the witness: how often credentials were shown. Scenario A06.

use crate::origin::{self, Origin, answer};
use crate::proxy::{Act, OK, Proxy, challenge};
use crate::site::{Site, outcome, url};
use postern_egress::clock::Moment;
use postern_egress::lockout::record::Uptime;
use postern_egress::{DialerError, LockoutMemory, Route};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A device's folder and its clock, which outlive the process.
#[derive(Debug, Default)]
struct Memory {
    record: Mutex<Option<Vec<u8>>>,
    minutes: AtomicU64,
    is_full: Mutex<bool>,
}

impl LockoutMemory for Memory {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.record.lock().unwrap().clone())
    }

    fn save(&self, record: &[u8]) -> io::Result<()> {
        if *self.is_full.lock().unwrap() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *self.record.lock().unwrap() = Some(record.to_vec());
        Ok(())
    }

    fn uptime(&self) -> Uptime {
        Uptime {
            boot: Some([1; 16]),
            moment: Moment::from_millis(self.minutes.load(Ordering::SeqCst) * 60_000),
        }
    }

    fn salt(&self) -> [u8; 32] {
        [5; 32]
    }
}

struct Scene {
    site: Site,
    _origin: Origin,
    proxy: Proxy,
    memory: Arc<Memory>,
}

impl Scene {
    /// A proxy that knows `alice:s3cret`; a correct password is answered only when `answers`.
    async fn new(answers: bool) -> Self {
        let site = Site::new();
        let config = site.ca.serve(&["controller.test"], &[b"http/1.1"]);
        let pong = origin::Act::Answer(answer("200 OK", "", "pong"));
        let origin = Origin::http1(config, vec![pong]).await;
        let inside = origin.address;
        let proxy = Proxy::start(move |_, head| {
            let is_right = head.contains("Proxy-Authorization: Basic YWxpY2U6czNjcmV0\r\n");
            match (is_right, answers) {
                (true, true) => Act::Tunnel(OK.to_vec(), inside),
                (true, false) => Act::Silence,
                (false, _) => Act::Answer(challenge()),
            }
        })
        .await;
        Self {
            site,
            _origin: origin,
            proxy,
            memory: Arc::default(),
        }
    }

    /// One life of a process with this password: connects once.
    async fn live(&self, password: &str) -> Result<String, &'static str> {
        let secret = self.site.file("secret", &format!("alice:{password}\n"));
        let memory = Arc::clone(&self.memory);
        let dialer = self
            .site
            .proxied(&format!("http://{}", self.proxy.address), Some(secret))
            .with_lockout_memory(memory)
            .unwrap();
        outcome(&dialer.client(&url(443), Route::Proxy(0)).unwrap()).await
    }

    fn pass(&self, minutes: u64) {
        self.memory.minutes.fetch_add(minutes, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a06_crash_loop_shows_a_wrong_password_once() {
    let scene = Scene::new(true).await;
    for _ in 0..5 {
        assert_eq!(scene.live("wrong").await, Err("PST-P03"));
        assert_eq!(scene.proxy.authorized(), 1);
        scene.pass(2);
    }
    scene.pass(5);
    assert_eq!(scene.live("wrong").await, Err("PST-P03"));
    assert_eq!(scene.proxy.authorized(), 2, "one try after 15 minutes");
    scene.pass(59);
    assert_eq!(scene.live("wrong").await, Err("PST-P03"));
    assert_eq!(scene.proxy.authorized(), 2, "the next after an hour");
}

#[tokio::test]
async fn a06_corrected_password_is_tried_at_once_after_a_restart_and_then_unasked() {
    let scene = Scene::new(true).await;
    assert_eq!(scene.live("wrong").await, Err("PST-P03"));
    assert_eq!(scene.live("s3cret").await, Ok("pong".to_owned()));
    let asked = scene.proxy.heads().len();
    assert_eq!(scene.live("s3cret").await, Ok("pong".to_owned()));
    assert_eq!(scene.proxy.heads().len(), asked + 1, "no challenge");
    assert_eq!(scene.live("wrong").await, Err("PST-P03"));
    assert_eq!(scene.proxy.authorized(), 3, "the wrong one is still locked");
}

#[tokio::test]
async fn a06_damaged_record_locks_every_password_for_15_minutes() {
    for damage in [&b""[..], b"postern proxy-lockout 1\n", &[0xff; 9000]] {
        let scene = Scene::new(true).await;
        *scene.memory.record.lock().unwrap() = Some(damage.to_vec());
        for _ in 0..3 {
            assert_eq!(scene.live("s3cret").await, Err("PST-P03"));
            scene.pass(5);
        }
        assert_eq!(scene.proxy.authorized(), 0);
        assert_eq!(scene.live("s3cret").await, Ok("pong".to_owned()));
    }
}

#[tokio::test]
async fn a06_process_killed_during_a_try_starts_locked() {
    let scene = Scene::new(false).await;
    let secret = scene.site.file("secret", "alice:s3cret\n");
    let proxy = format!("http://{}", scene.proxy.address);
    let dialer = scene.site.proxied(&proxy, Some(secret));
    let memory = Arc::clone(&scene.memory);
    let dialer = dialer.with_lockout_memory(memory).unwrap();
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    let task = tokio::spawn(async move { outcome(&client).await });
    while scene.proxy.authorized() == 0 {
        tokio::task::yield_now().await;
    }
    // What a killed process leaves behind: the record as it stands while the proxy thinks.
    let left = scene.memory.record.lock().unwrap().clone();
    task.abort();
    drop(task.await);
    *scene.memory.record.lock().unwrap() = left;
    assert_eq!(scene.live("s3cret").await, Err("PST-P03"));
    assert_eq!(scene.proxy.authorized(), 1);
}

#[tokio::test]
async fn record_that_cannot_be_written_keeps_the_password_at_home() {
    let scene = Scene::new(true).await;
    let secret = scene.site.file("secret", "alice:s3cret\n");
    let proxy = format!("http://{}", scene.proxy.address);
    let dialer = || scene.site.proxied(&proxy, Some(secret.clone()));
    let memory = || Arc::clone(&scene.memory) as Arc<dyn LockoutMemory>;
    let ready = dialer().with_lockout_memory(memory()).unwrap();
    *scene.memory.is_full.lock().unwrap() = true;
    let client = ready.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&client).await, Err("PST-C05"));
    assert_eq!(scene.proxy.authorized(), 0);
    let refused = dialer().with_lockout_memory(memory()).unwrap_err();
    assert_eq!(
        refused,
        DialerError::LockoutRecord(io::ErrorKind::StorageFull)
    );
}

#[tokio::test]
async fn record_shows_neither_name_nor_password_nor_proxy() {
    let scene = Scene::new(true).await;
    assert_eq!(scene.live("wrong").await, Err("PST-P03"));
    let record = scene.memory.record.lock().unwrap().clone().unwrap();
    let text = String::from_utf8(record).unwrap();
    for secret in ["alice", "wrong", "YWxpY2U6", "127.0.0.1"] {
        assert!(!text.contains(secret), "{text}");
    }
}
