use super::{start, start_with};
use crate::fixtures::{answer, channel_id, poll, post, report, report_ack};
use crate::limits::HOST_ANSWER_MS_MAX;
use crate::server::answer::Answerer;
use crate::server::host_queue::{Caller, HostQueue};
use crate::server::tests::client::{ROUTE, refusal};
use crate::server::{Host, ServerLimits};
use hyper::StatusCode;
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::revision::Revision;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

/// An enrol frame whose request is any envelope.
pub(super) fn enrol() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.raw(&[16]).bytes(&[1; 8]).bytes(&[2; 32]);
    writer.raw(&report(1, 1));
    writer.into_bytes()
}

//= spec/postern.md#post type=test
//# A mailbox MUST commit an item durably before it answers.
#[tokio::test]
async fn report_is_answered_only_after_the_host_is_durable() {
    let mut running = start();
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    let request = post(&mut session, &[report(1, 1)]);
    let mut exchange = pin!(client.exchange(request.bytes));
    let seen = tokio::select! {
        _ = &mut exchange => panic!("answered before it was durable"),
        seen = running.seen.recv() => seen.unwrap(),
    };
    assert_eq!(seen, report(1, 1));
    poll_fn(|context| {
        assert!(exchange.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    running.durable.add_permits(1);
    let frame = exchange.await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.refused.is_empty());
}

#[tokio::test]
async fn report_of_a_client_that_hangs_up_is_still_taken() {
    let mut running = start();
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    let request = post(&mut session, &[report(1, 1)]);
    let task = tokio::spawn(async move { client.exchange(request.bytes).await });
    assert!(running.seen.recv().await.is_some());
    task.abort();
    running.durable.add_permits(1);
    while running.durable.available_permits() != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn report_that_the_host_never_takes_is_overloaded_in_the_end() {
    let running = start();
    let (seen, _kept) = tokio::sync::mpsc::unbounded_channel();
    let host = super::TestHost {
        durable: running.durable.clone(),
        seen,
        refusal: None,
        unavailable_ms: Arc::default(),
    };
    let answerer = running.server.shared.service.answerer.clone();
    let deadline = crate::server::clock::after_ms(HOST_ANSWER_MS_MAX);
    let host: Arc<dyn Host> = Arc::new(host);
    let answerer = Answerer { host, ..answerer };
    let taken = answerer
        .ask_host(Caller::Nobody, deadline, |host| {
            host.posted(channel_id(), None, report(1, 1))
        })
        .await;
    assert_eq!(taken, Err(Reject::Overloaded));
    let full = Answerer {
        host_queue: Arc::new(HostQueue::new(0, 0)),
        ..answerer
    };
    let taken = full
        .ask_host(Caller::Nobody, deadline, |host| host.enrol(Vec::new()))
        .await;
    assert_eq!(taken, Err(Reject::Overloaded));
}

//= spec/postern.md#post type=test
//# An item that is refused MUST be named by its index and reject code in hint 4.
#[tokio::test]
async fn report_that_the_host_refuses_is_named_by_its_index() {
    let running = start_with(ServerLimits::default(), Some(Reject::Quota));
    running.durable.add_permits(9);
    let mut client = running.site.h2().await;
    let mut session = client.open(1).await;
    let request = post(&mut session, &[report_ack(1, 1), report(1, 1)]);
    let frame = client.exchange(request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    let codes: Vec<_> = hints
        .refused
        .iter()
        .map(|refusal| (refusal.index, refusal.code))
        .collect();
    let expected = [(0, Reject::SignerRole.code()), (1, Reject::Quota.code())];
    assert_eq!(codes, expected);
    assert!(hints.retry_ms.is_some());
    let metrics = running.mailbox.metrics();
    assert_eq!(metrics.rejects(Reject::Quota), 1);
    assert_eq!(metrics.rejects(Reject::SignerRole), 1);
}

#[tokio::test]
async fn enrolment_is_answered_by_the_host() {
    let running = start();
    let mut client = running.site.h1().await;
    assert_eq!(client.exchange(enrol()).await, enrol());
}

#[tokio::test]
async fn enrolment_that_the_host_refuses_is_refused_by_name() {
    let running = start_with(ServerLimits::default(), Some(Reject::TokenUsed));
    let mut client = running.site.h1().await;
    let frame = client.exchange(enrol()).await;
    assert_eq!(refusal(&frame), Reject::TokenUsed.code());
    assert_eq!(running.mailbox.metrics().rejects(Reject::TokenUsed), 1);
}

//= spec/postern.md#http-binding type=test
//# A server whose store takes nothing now SHOULD answer a post, put, deliver or deliver-bodies with
//# status 503.
#[tokio::test]
async fn post_is_answered_with_503_while_the_store_takes_nothing_and_a_poll_is_not() {
    let running = start();
    running.durable.add_permits(9);
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    running.unavailable_ms.store(9_000, Ordering::SeqCst);
    let request = post(&mut session, &[report(1, 1)]);
    let answered = client.try_post(ROUTE, request.bytes.clone()).await.unwrap();
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    let retry_s = answered.retry_after.unwrap();
    assert!((9..=27).contains(&retry_s), "{retry_s}");
    let polled = poll(&mut session, 0, Revision::NONE);
    let frame = client.exchange(polled.bytes).await;
    assert!(answer(&session, polled.counter, &frame).items.is_empty());
    running.unavailable_ms.store(0, Ordering::SeqCst);
    // The session did not see it: the same request is no replay.
    let frame = client.exchange(request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.refused.is_empty());
}
