use super::{start, start_with};
use crate::fixtures::{answer, bundle, bundle_steps, channel_id, delta, poll, revision, snapshot};
use crate::mailbox::Posted;
use crate::server::tests::client::{Client, refusal};
use crate::server::{Event, Mailbox, ServerLimits};
use postern_protocol::Reject;
use postern_protocol::revision::Generation;
use postern_protocol::session::{ClientSession, Request};
use tokio::task::JoinHandle;

pub(super) const FIRST: Generation = Generation::new(1);

pub(super) fn fill(mailbox: &Mailbox) {
    let posted = mailbox.post_snapshot(channel_id(), FIRST, &snapshot(1, 1), []);
    assert_eq!(posted, Ok(Posted::Kept));
}

/// Sends a poll that will be held, and returns once it is.
async fn hold(
    mailbox: &Mailbox,
    client: Client,
    session: &mut ClientSession,
) -> (u16, JoinHandle<Vec<u8>>) {
    hold_poll(mailbox, client, poll(session, 300, revision(1, 1))).await
}

/// As [`hold`], with a poll of the caller's.
pub(super) async fn hold_poll(
    mailbox: &Mailbox,
    mut client: Client,
    request: Request,
) -> (u16, JoinHandle<Vec<u8>>) {
    let before = held_so_far(mailbox);
    let task = tokio::spawn(async move { client.exchange(request.bytes).await });
    while held_so_far(mailbox) == before {
        tokio::task::yield_now().await;
    }
    (request.counter, task)
}

fn held_so_far(mailbox: &Mailbox) -> u64 {
    let samples = mailbox.snapshot();
    let held = samples
        .iter()
        .find(|sample| sample.name == "postern_holds_total");
    held.unwrap().value
}

//= spec/postern.md#poll type=test
//# A mailbox MUST answer at once when it has anything newer for the poll, except where the next
//# rule lets it wait.
#[tokio::test]
async fn held_poll_released_by_a_post_brings_it() {
    for is_h2 in [false, true] {
        let running = start();
        fill(&running.mailbox);
        let mut client = running.site.client(is_h2).await;
        let mut session = client.open(1).await;
        let (counter, task) = hold(&running.mailbox, client, &mut session).await;
        let posted = running
            .mailbox
            .post_delta(channel_id(), FIRST, &delta(1, 1, 2));
        assert_eq!(posted, Ok(Posted::Kept));
        let frame = task.await.unwrap();
        let items = answer(&session, counter, &frame).items;
        assert_eq!(items[0].envelope, delta(1, 1, 2));
        assert_eq!(running.mailbox.metrics().holds(), 0);
    }
}

#[tokio::test]
async fn held_poll_released_by_a_bundle_brings_it() {
    let running = start();
    fill(&running.mailbox);
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    let (counter, task) = hold(&running.mailbox, client, &mut session).await;
    running
        .mailbox
        .show_bundles(&bundle_steps(&[bundle(1)]))
        .unwrap();
    let frame = task.await.unwrap();
    assert_eq!(answer(&session, counter, &frame).items.len(), 1);
}

//= spec/postern.md#poll type=test
//# A mailbox MUST answer a held poll at the latest after hold_s seconds.
#[tokio::test]
async fn held_poll_at_its_end_is_answered_without_items() {
    let running = start();
    fill(&running.mailbox);
    running.durable.add_permits(1);
    let mut client = running.site.h2().await;
    let mut session = client.open(1).await;
    let request = poll(&mut session, 1, revision(1, 1));
    let frame = client.exchange(request.bytes).await;
    let answer = answer(&session, request.counter, &frame);
    assert!(answer.items.is_empty());
    assert_eq!(answer.hints.retry_ms, None);
    assert_eq!(held_so_far(&running.mailbox), 1);
}

//= spec/postern.md#mailboxes type=test
//# A mailbox SHOULD hold one poll per session and answer an older one at once when a newer comes.
#[tokio::test]
async fn newer_poll_of_the_session_ends_the_older() {
    let running = start();
    fill(&running.mailbox);
    let mut session = running.site.h1().await.open(1).await;
    let client = running.site.h1().await;
    let (first, older) = hold(&running.mailbox, client, &mut session).await;
    let client = running.site.h1().await;
    let (_, newer) = hold(&running.mailbox, client, &mut session).await;
    let frame = older.await.unwrap();
    assert!(answer(&session, first, &frame).items.is_empty());
    assert_eq!(running.mailbox.metrics().holds(), 1);
    newer.abort();
}

#[tokio::test]
async fn displaced_session_has_its_held_poll_refused() {
    let running = start();
    fill(&running.mailbox);
    let mut events = running.mailbox.events();
    let mut session = running.site.h1().await.open(1).await;
    let client = running.site.h1().await;
    let (_, older) = hold(&running.mailbox, client, &mut session).await;
    let mut client = running.site.h1().await;
    let mut newer = client.open(2).await;
    let request = poll(&mut newer, 0, revision(1, 1));
    client.exchange(request.bytes).await;
    let frame = older.await.unwrap();
    assert_eq!(refusal(&frame), Reject::SessionUnknown.code());
    let mut has_displaced = false;
    while let Ok(event) = events.try_recv() {
        has_displaced |= matches!(event, Event::Displaced { .. });
    }
    assert!(has_displaced);
}

#[tokio::test]
async fn hung_up_client_gives_its_hold_back() {
    let running = start();
    fill(&running.mailbox);
    let mut session = running.site.h1().await.open(1).await;
    let client = running.site.h1().await;
    let (_, task) = hold(&running.mailbox, client, &mut session).await;
    task.abort();
    while running.mailbox.metrics().holds() != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn poll_beyond_the_holds_is_answered_with_a_retry_hint() {
    let limits = ServerLimits {
        holds_max: 0,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    fill(&running.mailbox);
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    let request = poll(&mut session, 300, revision(1, 1));
    let frame = client.exchange(request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.retry_ms.is_some());
}

#[tokio::test]
async fn shutdown_answers_held_polls_with_a_retry_hint() {
    let running = start();
    fill(&running.mailbox);
    let mut session = running.site.h2().await.open(1).await;
    let client = running.site.h2().await;
    let (counter, task) = hold(&running.mailbox, client, &mut session).await;
    running.server.shutdown(10_000).await;
    let frame = task.await.unwrap();
    let hints = answer(&session, counter, &frame).hints;
    assert!(hints.retry_ms.is_some());
    assert!(running.site.try_tls(b"h2").await.is_err());
    assert_eq!(running.mailbox.metrics().connections(), 0);
}

#[tokio::test]
async fn closed_session_has_its_held_poll_refused() {
    let running = start();
    fill(&running.mailbox);
    let mut session = running.site.h1().await.open(1).await;
    let client = running.site.h1().await;
    let (_, task) = hold(&running.mailbox, client, &mut session).await;
    running.mailbox.close_sessions(channel_id());
    let frame = task.await.unwrap();
    assert_eq!(refusal(&frame), Reject::SessionUnknown.code());
    assert!(running.mailbox.head(channel_id()).is_some());
}
