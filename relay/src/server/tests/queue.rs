use super::client::refusal;
use super::posts::enrol;
use super::start;
use crate::fixtures::{answer, post, report};
use crate::limits::{HOST_CALLS_AT_ONCE, KNOCKS_AT_ONCE};
use crate::metrics::{Metrics, Shed};
use crate::server::clock::{Clock, after_ms};
use crate::server::host_queue::HostQueue;
use postern_protocol::Reject;
use std::sync::Arc;
use std::time::Duration;

/// Lets virtual time pass.
async fn pass(ms: u64) {
    tokio::time::advance(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn queue_with_room_lets_in_at_once() {
    let (queue, metrics, clock) = (HostQueue::new(2, 0), Metrics::default(), Clock::new());
    let first = queue.enter(clock, &metrics, after_ms(100)).await;
    let second = queue.enter(clock, &metrics, after_ms(100)).await;
    assert!(first.is_ok() && second.is_ok());
    let third = queue.enter(clock, &metrics, after_ms(100)).await;
    assert_eq!(third.unwrap_err(), Reject::Overloaded);
    assert_eq!(metrics.sheds(Shed::QueueFull), 1);
    drop(first);
    let fourth = queue.enter(clock, &metrics, after_ms(100)).await;
    assert!(fourth.is_ok());
}

#[tokio::test(start_paused = true)]
async fn queue_that_never_moves_sends_away_at_the_deadline() {
    let (queue, metrics, clock) = (HostQueue::new(0, 1), Metrics::default(), Clock::new());
    let entered = queue.enter(clock, &metrics, after_ms(100)).await;
    assert_eq!(entered.unwrap_err(), Reject::Overloaded);
    assert_eq!(metrics.sheds(Shed::QueueDelay), 1);
}

#[tokio::test(start_paused = true)]
async fn queue_that_stands_sheds_those_who_waited() {
    let queue = Arc::new(HostQueue::new(1, 9));
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::new());
    let first = queue.enter(clock, &metrics, after_ms(9_000)).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (queue, metrics) = (Arc::clone(&queue), Arc::clone(&metrics));
        let entering = async move { queue.enter(clock, &metrics, after_ms(9_000)).await };
        tasks.push(tokio::spawn(entering));
        tokio::task::yield_now().await;
    }
    let mut tasks = tasks.into_iter();
    pass(140).await;
    drop(first);
    // One interval was slow as a whole; the second one knows it.
    let second = tasks.next().unwrap().await.unwrap().unwrap();
    pass(110).await;
    drop(second);
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap_err(), Reject::Overloaded);
    }
    assert_eq!(metrics.sheds(Shed::QueueDelay), 2);
    assert!(queue.enter(clock, &metrics, after_ms(0)).await.is_ok());
}

/// Takes every place of a queue.
async fn fill(queue: &HostQueue, places: usize) -> Vec<tokio::sync::OwnedSemaphorePermit> {
    let (metrics, clock) = (Metrics::default(), Clock::new());
    let mut taken = Vec::new();
    for _ in 0..places {
        let entered = queue.enter(clock, &metrics, after_ms(9_000)).await;
        taken.push(entered.unwrap());
    }
    taken
}

#[tokio::test]
async fn enrolments_that_wait_leave_devices_their_places() {
    let running = start();
    running.durable.add_permits(1);
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    let answerer = &running.server.shared.service.answerer;
    let places = fill(&answerer.knock_queue, KNOCKS_AT_ONCE).await;
    assert_eq!(
        refusal(&client.exchange(enrol()).await),
        Reject::Overloaded.code()
    );
    let request = post(&mut session, &[report(1, 1)]);
    let frame = client.exchange(request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.refused.is_empty());
    drop(places);
    assert_eq!(client.exchange(enrol()).await, enrol());
}

#[tokio::test]
async fn devices_that_wait_leave_enrolments_their_places() {
    let running = start();
    let mut client = running.site.h1().await;
    let answerer = &running.server.shared.service.answerer;
    let _places = fill(&answerer.host_queue, HOST_CALLS_AT_ONCE).await;
    assert_eq!(client.exchange(enrol()).await, enrol());
}
