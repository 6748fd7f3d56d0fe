//! Clocks that are wrong by decades: what a certificate's period means to them.
//!
//! The clocks are numbers; whoever states the time here stands for a verified answer, whose proof is the
//! protocol's business. Scenario A26.

use crate::origin::{Act, Origin, answer};
use crate::site::{LIMITS, Site, outcome, require, url};
use bytes::Bytes;
use postern_egress::{
    Client, ProxySettings, Reading, Route, TimeKeeper, TimeSource, TlsClock, TransportError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const IN_1970_S: u64 = 86_400;
const IN_2020_S: u64 = 1_577_923_200;
const IN_2040_S: u64 = 2_208_988_800;
/// 2026-11-28, which nobody's clock says.
const TODAY_S: u64 = 1_795_824_000;

#[derive(Debug, Default)]
struct Clocks {
    wall_s: AtomicU64,
    mono_ms: AtomicU64,
}

impl TimeSource for Clocks {
    fn read(&self) -> Reading {
        Reading {
            wall_s: self.wall_s.load(Ordering::SeqCst),
            mono_ms: self.mono_ms.load(Ordering::SeqCst),
        }
    }
}

/// A device whose clock says `wall_s`, in its first life.
struct Device {
    clocks: Arc<Clocks>,
    keeper: Arc<TimeKeeper>,
}

impl Device {
    fn at(wall_s: u64) -> Self {
        let clocks = Arc::new(Clocks::default());
        clocks.wall_s.store(wall_s, Ordering::SeqCst);
        let source = Arc::clone(&clocks) as Arc<dyn TimeSource>;
        let keeper = Arc::new(TimeKeeper::new(TlsClock::new(None), source));
        Self { clocks, keeper }
    }

    fn client(&self, site: &Site, origin: &Origin) -> Client {
        let dialer = site.dialer_by(ProxySettings::Off, Arc::clone(&self.keeper));
        let target = url(origin.address.port());
        dialer.client(&target, Route::Direct).unwrap()
    }
}

/// An origin whose certificate is valid between two months, (year, month) each.
async fn origin(site: &Site, from: (i32, u8), until: (i32, u8)) -> Origin {
    let config = site.ca.serve_between(&["controller.test"], from, until);
    Origin::http1(config, vec![Act::Answer(answer("200 OK", "", "pong"))]).await
}

async fn relaxed(client: &Client) -> Result<Bytes, TransportError> {
    let answer = client.exchange_for_time(Bytes::from_static(b"ping"), LIMITS);
    answer.await.map(|answer| answer.body)
}

async fn relaxed_code(client: &Client) -> Option<&'static str> {
    relaxed(client).await.err().map(|error| error.code())
}

async fn connects_and_is_strict_afterwards(wall_s: u64) {
    let site = Site::new();
    let valid = origin(&site, (2026, 6), (2027, 6)).await;
    let expired = origin(&site, (2026, 6), (2026, 9)).await;
    let device = Device::at(wall_s);
    let client = device.client(&site, &valid);

    assert_eq!(outcome(&client).await, Err("PST-S03"));
    assert_eq!(relaxed(&client).await.unwrap(), "pong");
    assert_eq!(outcome(&client).await, Err("PST-S03"), "a question alone");
    client.prove_time(TODAY_S).await.unwrap();
    assert_eq!(device.keeper.take(TODAY_S), Ok(true));

    assert_eq!(outcome(&client).await.as_deref(), Ok("pong"));
    let late = device.client(&site, &expired);
    assert_eq!(outcome(&late).await, Err("PST-S03"));
    assert_eq!(relaxed_code(&late).await, Some("PST-S03"));
    assert_eq!(expired.requests(), 0);
}

#[tokio::test]
async fn a26_clock_at_1970_connects_and_is_strict_afterwards() {
    connects_and_is_strict_afterwards(IN_1970_S).await;
}

#[tokio::test]
async fn a26_clock_at_2020_connects_and_is_strict_afterwards() {
    connects_and_is_strict_afterwards(IN_2020_S).await;
}

#[tokio::test]
async fn a26_clock_at_2040_connects_and_is_strict_afterwards() {
    connects_and_is_strict_afterwards(IN_2040_S).await;
}

//= spec/freshness.md#signed-time type=test
//# A device MUST NOT relax anything but the period: an unknown issuer, another name, a broken signature
//# and a period that ended before the floor are refused as ever.
#[tokio::test]
async fn a26_unknown_issuer_and_wrong_name_are_refused_at_any_clock() {
    let site = Site::new();
    let stranger = crate::pki::Ca::new("Somebody's CA");
    let script = || vec![Act::Answer(answer("200 OK", "", "pong"))];
    let (from, until) = ((2026, 6), (2027, 6));
    let unknown = stranger.serve_between(&["controller.test"], from, until);
    let unknown = Origin::http1(unknown, script()).await;
    let named = site.ca.serve_between(&["other.test"], from, until);
    let named = Origin::http1(named, script()).await;
    let ended = origin(&site, (2025, 1), (2025, 12)).await;
    for wall_s in [IN_1970_S, IN_2020_S, TODAY_S, IN_2040_S] {
        let device = Device::at(wall_s);
        for (origin, code) in [
            (&unknown, "PST-S01"),
            (&named, "PST-S02"),
            (&ended, "PST-S03"),
        ] {
            let client = device.client(&site, origin);
            assert_eq!(relaxed_code(&client).await, Some(code), "{wall_s}");
            let proved = client.prove_time(TODAY_S).await;
            assert_eq!(
                proved.err().map(|error| error.code()),
                Some(code),
                "{wall_s}"
            );
            assert_eq!(origin.requests(), 0);
        }
    }
}

//= spec/freshness.md#signed-time type=test
//# A device MUST take a time that came over such a connection only after a handshake that is strict at
//# that time has succeeded.
#[tokio::test]
async fn a26_time_outside_the_certificate_is_not_proven() {
    let site = Site::new();
    let origin = origin(&site, (2026, 6), (2027, 6)).await;
    let client = Device::at(IN_1970_S).client(&site, &origin);
    for stated_s in [1, IN_1970_S, IN_2020_S, IN_2040_S, u64::MAX >> 8] {
        let error = client.prove_time(stated_s).await.unwrap_err();
        assert_eq!(error.code(), "PST-S03", "{stated_s}");
    }
}

//= spec/freshness.md#signed-time type=test
//# A device MUST take nothing but the time from what comes over such a connection, and close it.
#[tokio::test]
async fn a26_relaxed_connection_is_not_used_again() {
    let site = Site::new();
    let origin = origin(&site, (2026, 6), (2027, 6)).await;
    let client = Device::at(IN_2040_S).client(&site, &origin);
    for connections in 1..=2 {
        assert_eq!(relaxed(&client).await.unwrap(), "pong");
        assert_eq!(origin.connections(), connections);
        assert_eq!(outcome(&client).await, Err("PST-S03"));
        assert_eq!(origin.requests(), connections);
    }
    assert_eq!(client.period(), None, "it is no connection of this client");
}

/// At the floor the certificate was valid; in truth it has expired. A ticket of the earlier session must not help.
#[tokio::test]
async fn a26_certificate_that_was_let_in_at_the_floor_is_refused_once_time_is_known() {
    let site = Site::new();
    let origin = origin(&site, (2025, 6), (2026, 3)).await;
    let device = Device::at(IN_1970_S);
    let client = device.client(&site, &origin);
    assert_eq!(outcome(&client).await.as_deref(), Ok("pong"));
    assert!(
        client
            .period()
            .is_some_and(|period| !period.contains(TODAY_S))
    );
    assert_eq!(device.keeper.take(TODAY_S), Ok(true));
    client.close_kept();
    assert_eq!(outcome(&client).await, Err("PST-S03"));
}

#[tokio::test]
async fn a26_clock_that_jumps_while_running_changes_nothing() {
    let site = Site::new();
    let origin = origin(&site, (2026, 6), (2027, 6)).await;
    let device = Device::at(TODAY_S);
    let client = device.client(&site, &origin);
    let _jump = device.keeper.take(TODAY_S).unwrap();
    for wall_s in [IN_2040_S, 0, IN_2020_S, TODAY_S] {
        device.clocks.wall_s.store(wall_s, Ordering::SeqCst);
        client.close_kept();
        assert_eq!(outcome(&client).await.as_deref(), Ok("pong"), "{wall_s}");
    }
    // A year without a clock that jumps: now the certificate has expired.
    let year_ms = 365 * 86_400_000;
    device.clocks.mono_ms.store(year_ms, Ordering::SeqCst);
    client.close_kept();
    assert_eq!(outcome(&client).await, Err("PST-S03"));
}

#[tokio::test]
async fn a26_fault_names_clock_floor_and_period() {
    let site = Site::new();
    let origin = origin(&site, (2026, 6), (2027, 6)).await;
    let client = Device::at(IN_1970_S).client(&site, &origin);
    let error = crate::site::exchange(&client).await.unwrap_err();
    assert!(error.is_period());
    let text = error.to_string();
    for part in [
        "PST-S03",
        "CN=Postern Test CA",
        "valid 2026-06-01T00:00:00Z to 2027-06-01T00:00:00Z",
        "checked at 2026-01-01T00:00:00Z",
        "clock says 1970-01-02T00:00:00Z",
        "at least 2026-01-01T00:00:00Z",
        "set this machine's clock",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

//= spec/freshness.md#signed-time type=test
//# A device MUST NOT relax the period of a proxy's certificate.
#[tokio::test]
async fn a26_proxy_certificate_is_never_relaxed() {
    let site = Site::new();
    let config = site.ca.serve_between(&["proxy.test"], (2026, 6), (2027, 6));
    let proxy = Origin::http1(config, vec![Act::Close]).await;
    let settings = require(
        &format!("https://proxy.test:{}", proxy.address.port()),
        None,
    );
    let device = Device::at(IN_2040_S);
    let dialer = site.dialer_by(settings, Arc::clone(&device.keeper));
    let client = dialer.client(&url(1), Route::Proxy(0)).unwrap();
    let error = relaxed(&client).await.unwrap_err();
    assert_eq!(error.code(), "PST-S03");
    assert!(!error.is_period());
    assert_eq!(proxy.requests(), 0);
}
