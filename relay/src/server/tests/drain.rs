use super::holds::{fill, hold_poll};
use super::start;
use crate::fixtures::{answer, poll, revision};
use crate::limits::DRAIN_RETRY_MS_BASE;

#[tokio::test]
async fn poll_that_is_let_go_is_told_when_to_come_again() {
    let running = start();
    fill(&running.mailbox);
    let mut session = running.site.h2().await.open(1).await;
    let client = running.site.h2().await;
    let request = poll(&mut session, 300, revision(1, 1));
    let (counter, task) = hold_poll(&running.mailbox, client, request).await;
    running.mailbox.set_leaving(Some(60_000), &[]);
    // Being told of the drain alone lets nobody go.
    assert_eq!(running.mailbox.metrics().holds(), 1);
    assert_eq!(running.mailbox.release(5), 1);
    assert_eq!(running.mailbox.release(5), 0);
    let frame = task.await.unwrap();
    let retry_ms = answer(&session, counter, &frame).hints.retry_ms.unwrap();
    let spread = DRAIN_RETRY_MS_BASE..=3 * DRAIN_RETRY_MS_BASE;
    assert!(spread.contains(&(retry_ms - 60_000)), "{retry_ms}");
}

#[tokio::test]
async fn device_that_is_let_go_is_sent_elsewhere_and_one_that_stays_is_not() {
    let running = start();
    fill(&running.mailbox);
    let urls = [
        "https://a.example".to_owned(),
        "https://b.example".to_owned(),
    ];
    let mut client = running.site.h2().await;
    let mut session = client.open(1).await;
    let mut told = async |leaving: Option<u64>, urls: &[String]| {
        running.mailbox.set_leaving(leaving, urls);
        let request = poll(&mut session, 0, revision(1, 1));
        let frame = client.exchange(request.bytes).await;
        answer(&session, request.counter, &frame).hints.move_url
    };
    let first = told(Some(1_000), &urls).await;
    assert!(first.as_ref().is_some_and(|url| urls.contains(url)));
    assert_eq!(told(Some(1_000), &urls).await, first);
    assert_eq!(told(Some(1_000), &[]).await, None);
    // Whoever takes devices again sends nobody away, whatever was said.
    assert_eq!(told(None, &urls).await, None);
}

#[tokio::test]
async fn poll_during_a_drain_is_not_held_and_after_it_is() {
    let running = start();
    fill(&running.mailbox);
    running.mailbox.set_leaving(Some(1_000), &[]);
    let mut client = running.site.h2().await;
    let mut session = client.open(1).await;
    let request = poll(&mut session, 300, revision(1, 1));
    let frame = client.exchange(request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.retry_ms.unwrap() >= 1_000 + DRAIN_RETRY_MS_BASE);
    running.mailbox.set_leaving(None, &[]);
    let request = poll(&mut session, 300, revision(1, 1));
    let (counter, task) = hold_poll(&running.mailbox, client, request).await;
    running.mailbox.release(1);
    let frame = task.await.unwrap();
    assert_eq!(answer(&session, counter, &frame).hints.retry_ms, None);
}
