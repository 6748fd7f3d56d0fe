//! Limits of devices and tenants, the memory budget, and places of connections.

use super::client::{Client, ROUTE, refusal, refused};
use super::posts::enrol;
use super::{Running, start, start_with};
use crate::budget::Pool;
use crate::fixtures::{answer, ask, channel_id, poll, post, put, report, revision};
use crate::limiter::{Guard, Rate};
use crate::limits::KNOCK_BYTES_MAX;
use crate::metrics::{ConnectionRefusal, HttpRefusal, Shed};
use crate::server::tests::holds::{fill, hold_poll};
use crate::server::{ServerLimits, memory};
use hyper::StatusCode;
use postern_protocol::Reject;
use postern_protocol::id::Plane;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A rate that gives `burst` and then nothing while a test runs.
const fn only(burst: u32) -> Rate {
    Rate { burst, per_s: 1 }
}

/// Makes this share of the memory used, in percent.
fn press(running: &Running, percent: usize) {
    let answerer = &running.server.shared.service.answerer;
    let bytes = answerer.budget.bytes_max() / 100 * percent;
    answerer.budget.tell(Pool::Mailboxes, bytes);
}

fn assert_later(frame: &[u8], expected: Reject) {
    let (code, retry_ms) = refused(frame);
    assert_eq!(code, expected.code());
    assert!(retry_ms.is_some_and(|retry_ms| retry_ms >= 1));
}

#[tokio::test]
async fn enrolment_larger_than_a_knock_never_reaches_the_host() {
    let running = start();
    let mut client = running.site.h1().await;
    let mut frame = enrol();
    frame.resize(KNOCK_BYTES_MAX + 1, 0);
    assert_eq!(
        refusal(&client.exchange(frame).await),
        Reject::Oversize.code()
    );
    assert_eq!(client.exchange(enrol()).await, enrol());
}

#[tokio::test]
async fn enrolments_beyond_their_rate_come_later_and_hellos_do_not() {
    let limits = ServerLimits {
        knocks: only(1),
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let mut client = running.site.h1().await;
    assert_eq!(client.exchange(enrol()).await, enrol());
    let late = client.try_post(ROUTE, enrol()).await.unwrap();
    assert_eq!(late.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(late.retry_after.is_some());
    client.open(1).await;
    assert_eq!(running.mailbox.metrics().limits_hit(Guard::Knocks), 1);
}

async fn check_device_limit(limits: ServerLimits, guard: Guard) {
    let running = start_with(limits, None);
    running.durable.add_permits(9);
    fill(&running.mailbox);
    let mut client = running.site.h2().await;
    let mut session = client.open(1).await;
    let request = post(&mut session, &[report(1, 1)]);
    let frame = client.exchange(request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.refused.is_empty());
    for _ in 0..2 {
        let request = post(&mut session, &[report(1, 1)]);
        assert_later(&client.exchange(request.bytes).await, Reject::Overloaded);
    }
    let request = poll(&mut session, 300, revision(1, 1));
    assert_later(&client.exchange(request.bytes).await, Reject::Overloaded);
    let metrics = running.mailbox.metrics();
    assert_eq!(metrics.limits_hit(guard), 3, "{guard:?}");
    assert_eq!(metrics.holds(), 0);
}

#[tokio::test]
async fn device_beyond_a_limit_is_told_to_come_later() {
    let limits = ServerLimits {
        device_messages: only(1),
        ..ServerLimits::default()
    };
    check_device_limit(limits, Guard::DeviceMessages).await;
    let limits = ServerLimits {
        device_bytes: only(1),
        ..ServerLimits::default()
    };
    check_device_limit(limits, Guard::DeviceBytes).await;
}

#[tokio::test]
async fn tenant_beyond_a_limit_is_told_to_come_later() {
    let limits = ServerLimits {
        tenant_messages: only(1),
        ..ServerLimits::default()
    };
    check_device_limit(limits, Guard::TenantMessages).await;
    let limits = ServerLimits {
        tenant_bytes: only(1),
        ..ServerLimits::default()
    };
    check_device_limit(limits, Guard::TenantBytes).await;
}

#[tokio::test]
async fn memory_that_fills_sheds_bulk_only() {
    let running = start();
    running.durable.add_permits(9);
    fill(&running.mailbox);
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    press(&running, 75);
    let request = put(&mut session, Plane::Actual, &[1]);
    assert_later(&client.exchange(request.bytes).await, Reject::Overloaded);
    let request = poll(&mut session, 0, revision(1, 1));
    let frame = client.exchange(request.bytes).await;
    assert!(answer(&session, request.counter, &frame).items.is_empty());
    // No heartbeat was asked for.
    assert_eq!(running.durable.available_permits(), 9);
    client.open(2).await;
    assert_eq!(running.mailbox.metrics().sheds(Shed::Bulk), 1);
}

#[tokio::test]
async fn memory_nearly_full_lets_nobody_new_in() {
    let running = start();
    fill(&running.mailbox);
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    press(&running, 90);
    assert_later(&client.exchange(ask()).await, Reject::Overloaded);
    assert_later(&client.exchange(enrol()).await, Reject::Overloaded);
    let request = poll(&mut session, 0, revision(1, 1));
    let frame = client.exchange(request.bytes).await;
    assert!(answer(&session, request.counter, &frame).items.is_empty());
    assert!(running.site.try_tls(b"h2").await.is_err());
    let metrics = running.mailbox.metrics();
    assert_eq!(metrics.sheds(Shed::Newcomer), 2);
    let pressed = ConnectionRefusal::Pressure;
    assert_eq!(metrics.connections_refused(pressed), 1);
}

#[tokio::test]
async fn memory_full_ends_the_sessions_of_the_largest_tenant() {
    let limits = ServerLimits {
        budget_bytes_max: 600_000,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    fill(&running.mailbox);
    let mut session = running.site.h1().await.open(1).await;
    let client = running.site.h1().await;
    let request = poll(&mut session, 300, revision(1, 1));
    let (_, held) = hold_poll(&running.mailbox, client, request).await;
    let answerer = &running.server.shared.service.answerer;
    memory::look(answerer);
    assert_eq!(running.mailbox.sessions(), 1);
    let memory = answerer.budget.take_owed(Pool::Answers, 600_000);
    memory::look(answerer);
    assert_eq!(running.mailbox.sessions(), 0);
    assert_eq!(refusal(&held.await.unwrap()), Reject::SessionUnknown.code());
    assert_eq!(running.mailbox.metrics().sheds(Shed::LargestTenant), 1);
    drop(memory);
    while running.mailbox.metrics().connections() != 0 {
        tokio::task::yield_now().await;
    }
    assert!(running.mailbox.head(channel_id()).is_some());
}

#[tokio::test]
async fn connections_that_prove_nothing_are_few_of_a_source() {
    let limits = ServerLimits {
        source_unproven_max: 2,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    fill(&running.mailbox);
    let mut first = running.site.h1().await;
    let _second = running.site.h1().await;
    assert!(running.site.try_tls(b"h2").await.is_err());
    let mut session = first.open(1).await;
    let request = poll(&mut session, 0, revision(1, 1));
    running.durable.add_permits(1);
    first.exchange(request.bytes).await;
    let _third = running.site.h1().await;
    assert!(running.site.try_tls(b"h2").await.is_err());
    let unproven = ConnectionRefusal::SourceUnproven;
    assert_eq!(running.mailbox.metrics().connections_refused(unproven), 2);
}

/// One exchange of the session on this connection.
async fn speak(client: &mut Client, session: &mut postern_protocol::session::ClientSession) {
    let request = poll(session, 0, revision(1, 1));
    let frame = client.exchange(request.bytes).await;
    answer(session, request.counter, &frame);
}

#[tokio::test]
async fn device_with_newer_connections_loses_its_oldest() {
    let running = start();
    running.durable.add_permits(99);
    fill(&running.mailbox);
    let mut oldest = running.site.h2().await;
    let mut session = oldest.open(1).await;
    speak(&mut oldest, &mut session).await;
    for _ in 0..2 {
        let mut newer = running.site.h1().await;
        speak(&mut newer, &mut session).await;
        // It stays open, as a connection that a device forgot.
        std::mem::forget(newer);
    }
    while running.mailbox.metrics().connections() != 2 {
        tokio::task::yield_now().await;
    }
    assert!(oldest.try_post(ROUTE, ask()).await.is_err());
    assert_eq!(running.mailbox.metrics().sheds(Shed::OlderConnection), 1);
}

#[tokio::test(start_paused = true)]
async fn head_that_drips_is_cut_where_a_pause_is_not() {
    let limits = ServerLimits::default();
    let activity = crate::server::activity::Activity::new();
    drop(activity.begin());
    let (mut near, far) = tokio::io::duplex(64);
    let mut heard = crate::server::activity::Heard::new(far, Some(activity.clone()));
    let started = tokio::time::Instant::now();
    let over = activity.over(&limits);
    let drip = async {
        tokio::time::advance(std::time::Duration::from_millis(limits.idle_ms_max / 2)).await;
        for _ in 0..9 {
            near.write_all(b"P").await.unwrap();
            heard.read_u8().await.unwrap();
            tokio::time::sleep_until(crate::server::clock::after_ms(3_000)).await;
        }
    };
    let ended = tokio::select! {
        ended = over => ended,
        () = drip => panic!("nobody cut it"),
    };
    assert_eq!(ended, crate::server::activity::Over::HeadSlow);
    let expected = limits.idle_ms_max / 2 + limits.header_ms_max;
    assert_eq!(started.elapsed().as_millis(), u128::from(expected));
}

#[tokio::test]
async fn head_that_is_slow_or_never_comes_is_counted() {
    let limits = ServerLimits {
        header_ms_max: 20,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    for (alpn, head) in [
        (&b"http/1.1"[..], &b"P"[..]),
        (b"http/1.1", b""),
        (b"h2", b""),
    ] {
        let mut stream = running.site.tls(alpn).await;
        stream.write_all(head).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    let slow = HttpRefusal::HeadSlow;
    assert_eq!(running.mailbox.metrics().problems(slow), 3);
}

#[tokio::test(start_paused = true)]
async fn body_has_a_deadline_however_fast_it_is() {
    let limits = ServerLimits::default();
    let started = tokio::time::Instant::now();
    let check = |bytes: usize, expected_ms: u128| {
        let deadline = crate::server::http::body_deadline(started, bytes, &limits);
        assert_eq!((deadline - started).as_millis(), expected_ms);
    };
    check(0, 5_000);
    check(1_024, 6_000);
    check(48 << 10, 53_000);
    check(1 << 20, 60_000);
}
