use super::client::refusal;
use super::posts::enrol;
use super::start;
use crate::fixtures::{answer, channel_id, post, report, snapshot_of};
use crate::limits::{HOST_CALLS_AT_ONCE, KNOCKS_AT_ONCE, OUT_AT_ONCE};
use crate::metrics::{Metrics, Shed};
use crate::server::clock::{Clock, after_ms};
use crate::server::host_queue::{Caller, HostQueue, Place};
use postern_protocol::Reject;
use postern_protocol::frame::{UpFrame, Wanted};
use postern_protocol::id::{Digest, Plane};
use postern_protocol::revision::Generation;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Lets virtual time pass.
async fn pass(ms: u64) {
    tokio::time::advance(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn queue_with_room_lets_in_at_once() {
    let (queue, metrics, clock) = (HostQueue::new(2, 0), Metrics::default(), Clock::new());
    let first = queue
        .enter(Caller::Nobody, clock, &metrics, after_ms(100))
        .await;
    let second = queue
        .enter(Caller::Nobody, clock, &metrics, after_ms(100))
        .await;
    assert!(first.is_ok() && second.is_ok());
    let third = queue
        .enter(Caller::Nobody, clock, &metrics, after_ms(100))
        .await;
    assert_eq!(third.unwrap_err(), Reject::Overloaded);
    assert_eq!(metrics.sheds(Shed::QueueFull), 1);
    drop(first);
    let fourth = queue
        .enter(Caller::Nobody, clock, &metrics, after_ms(100))
        .await;
    assert!(fourth.is_ok());
}

#[tokio::test(start_paused = true)]
async fn queue_that_never_moves_sends_away_at_the_deadline() {
    let (queue, metrics, clock) = (HostQueue::new(0, 1), Metrics::default(), Clock::new());
    let entered = queue
        .enter(Caller::Nobody, clock, &metrics, after_ms(100))
        .await;
    assert_eq!(entered.unwrap_err(), Reject::Overloaded);
    assert_eq!(metrics.sheds(Shed::QueueDelay), 1);
}

#[tokio::test(start_paused = true)]
async fn queue_that_stands_sheds_those_who_waited() {
    let queue = Arc::new(HostQueue::new(1, 9));
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::new());
    let first = queue
        .enter(Caller::Nobody, clock, &metrics, after_ms(9_000))
        .await
        .unwrap();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (queue, metrics) = (Arc::clone(&queue), Arc::clone(&metrics));
        let entering = async move {
            queue
                .enter(Caller::Nobody, clock, &metrics, after_ms(9_000))
                .await
        };
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
    assert!(
        queue
            .enter(Caller::Nobody, clock, &metrics, after_ms(0))
            .await
            .is_ok()
    );
}

/// Takes every place of a queue.
async fn fill(queue: &HostQueue, places: usize) -> Vec<Place> {
    let (metrics, clock) = (Metrics::default(), Clock::new());
    let mut taken = Vec::new();
    for _ in 0..places {
        let entered = queue
            .enter(Caller::Nobody, clock, &metrics, after_ms(9_000))
            .await;
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

fn tenant(name: &str) -> Caller {
    Caller::Tenant(postern_protocol::id::Tenant::parse(name).unwrap())
}

/// Fills every place and every seat of a tenant, while others are seen; returns its places and those who wait.
async fn flood(
    queue: &Arc<HostQueue>,
    clock: Clock,
    calls: usize,
) -> (
    Vec<Place>,
    Vec<tokio::task::JoinHandle<Result<Place, Reject>>>,
) {
    let metrics = Metrics::default();
    let mut waiting = Vec::new();
    let mut places = Vec::new();
    for _ in 0..calls {
        let (queue, entering) = (Arc::clone(queue), after_ms(9_000));
        let call = async move {
            let metrics = Metrics::default();
            queue
                .enter(tenant("flood"), clock, &metrics, entering)
                .await
        };
        let mut task = tokio::spawn(call);
        tokio::task::yield_now().await;
        match (&mut task).now_or_pending().await {
            Some(Ok(place)) => places.push(place),
            Some(Err(_)) => {}
            None => waiting.push(task),
        }
    }
    drop(metrics);
    (places, waiting)
}

/// What a task has answered by now, if it has.
trait NowOrPending<T> {
    async fn now_or_pending(self) -> Option<T>;
}

impl<T> NowOrPending<T> for &mut tokio::task::JoinHandle<T> {
    async fn now_or_pending(self) -> Option<T> {
        if self.is_finished() {
            return Some(self.await.unwrap());
        }
        None
    }
}

#[tokio::test(start_paused = true)]
async fn tenant_that_floods_waits_for_itself_and_others_come_in_at_once() {
    let queue = Arc::new(HostQueue::new(32, 40));
    let (metrics, clock) = (Metrics::default(), Clock::new());
    for quiet in ["one", "two", "three"] {
        let entered = queue
            .enter(tenant(quiet), clock, &metrics, after_ms(1))
            .await;
        assert!(entered.is_ok());
    }
    let (places, waiting) = flood(&queue, clock, 100).await;
    assert_eq!(
        places.len(),
        8,
        "a quarter of the places: four lines are seen"
    );
    assert_eq!(waiting.len(), 10, "and a quarter of the seats");
    for quiet in ["one", "two", "three"] {
        let entered = queue
            .enter(tenant(quiet), clock, &metrics, after_ms(1))
            .await;
        assert!(entered.is_ok(), "{quiet}");
    }
    drop(places);
    for task in waiting.into_iter().take(8) {
        assert!(task.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn tenant_that_is_alone_has_every_place() {
    let queue = Arc::new(HostQueue::new(32, 40));
    let clock = Clock::new();
    let (places, waiting) = flood(&queue, clock, 100).await;
    assert_eq!((places.len(), waiting.len()), (32, 40));
    for task in waiting {
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn place_for_somebody_who_left_goes_to_the_next_in_turn() {
    let queue = Arc::new(HostQueue::new(1, 9));
    let clock = Clock::new();
    let (places, mut waiting) = flood(&queue, clock, 4).await;
    assert_eq!((places.len(), waiting.len()), (1, 3));
    waiting.remove(0).abort();
    tokio::task::yield_now().await;
    drop(places);
    assert!(waiting.remove(0).await.unwrap().is_ok());
}

/// A device that fetches a body of this many bytes over a connection of its own; ends when it has it.
async fn fetch(client: &mut super::client::Client, bytes: usize) -> usize {
    let body = vec![0xa7; bytes];
    let mut session = client.open(1).await;
    let wanted = Wanted {
        digest: Digest::of(&body),
        offset: 0,
    };
    let frame = UpFrame::Fetch {
        plane: Plane::Desired,
        wanted: vec![wanted],
    };
    let request = session.seal_request(&frame).unwrap();
    client.exchange(request.bytes).await.len()
}

#[tokio::test]
async fn large_answer_waits_for_its_turn_on_the_way_out_and_a_small_one_does_not() {
    for (bytes, waits) in [(100, false), (9_000, true)] {
        let running = start();
        let body = vec![0xa7; bytes];
        let state = snapshot_of(1, 1, 1, std::slice::from_ref(&body));
        let posted =
            running
                .mailbox
                .post_snapshot(channel_id(), Generation::new(1), &state, [body]);
        posted.unwrap();
        let queue = &running.server.shared.service.answerer.out_queue;
        let mut places = fill(queue, OUT_AT_ONCE).await;
        let mut client = running.site.h1().await;
        let mut fetching = pin!(fetch(&mut client, bytes));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut fetching).await;
        assert_eq!(early.is_err(), waits, "{bytes} bytes");
        places.pop();
        if waits {
            assert!(fetching.await > bytes);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn patient_queue_sends_nobody_away_for_his_wait() {
    let queue = Arc::new(HostQueue::patient(1, 9));
    let clock = Clock::new();
    let (places, waiting) = flood(&queue, clock, 3).await;
    pass(5_000).await;
    drop(places);
    for task in waiting {
        assert!(task.await.unwrap().is_ok());
        pass(5_000).await;
    }
}
