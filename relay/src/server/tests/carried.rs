use super::{Running, start};
use crate::fixtures::{
    answer, channel_id, evidence, heartbeat, poll, poll_for_ack, poll_of, post, put, report,
    report_ack, revision, snapshot,
};
use crate::mailbox::Posted;
use crate::server::tests::client::{Client, refusal};
use crate::server::tests::holds::{FIRST, fill, hold_poll};
use postern_protocol::Reject;
use postern_protocol::id::Plane;
use postern_protocol::revision::Revision;
use postern_protocol::session::{ClientSession, Request};
use tokio::task::JoinHandle;

/// Sends a request that waits for the host, and returns once the host has seen it.
async fn begin(running: &mut Running, request: Request) -> (u16, JoinHandle<Vec<u8>>) {
    let mut client = running.site.h1().await;
    let task = tokio::spawn(async move { client.exchange(request.bytes).await });
    running.seen.recv().await.unwrap();
    (request.counter, task)
}

async fn opened(running: &Running) -> (Client, ClientSession) {
    let mut client = running.site.h1().await;
    let session = client.open(1).await;
    (client, session)
}

fn envelopes(session: &ClientSession, counter: u16, frame: &[u8]) -> Vec<Vec<u8>> {
    let items = answer(session, counter, frame).items;
    items.iter().map(|item| item.envelope.to_vec()).collect()
}

#[tokio::test]
async fn acknowledgement_comes_with_the_post_and_wakes_no_poll() {
    let mut running = start();
    fill(&running.mailbox);
    let (client, mut session) = opened(&running).await;
    let request = poll_for_ack(&mut session, 300, revision(1, 1));
    let (_, poll) = hold_poll(&running.mailbox, client, request).await;
    let request = post(&mut session, &[report(1, 1)]);
    let (counter, task) = begin(&mut running, request).await;
    let posted = running
        .mailbox
        .post_report_ack(channel_id(), &report_ack(1, 1));
    assert_eq!(posted, Ok(Posted::Kept));
    running.durable.add_permits(1);
    let frame = task.await.unwrap();
    assert_eq!(envelopes(&session, counter, &frame), [report_ack(1, 1)]);
    assert_eq!(running.mailbox.metrics().holds(), 1);
    poll.abort();
}

#[tokio::test]
async fn acknowledgement_of_a_client_that_hung_up_wakes_its_poll() {
    let mut running = start();
    fill(&running.mailbox);
    let (client, mut session) = opened(&running).await;
    let request = poll_for_ack(&mut session, 300, revision(1, 1));
    let (counter, poll) = hold_poll(&running.mailbox, client, request).await;
    let request = post(&mut session, &[report(1, 1)]);
    let (_, task) = begin(&mut running, request).await;
    let acknowledged = running
        .mailbox
        .post_report_ack(channel_id(), &report_ack(1, 1));
    assert_eq!(acknowledged, Ok(Posted::Kept));
    task.abort();
    let frame = poll.await.unwrap();
    assert_eq!(envelopes(&session, counter, &frame), [report_ack(1, 1)]);
}

#[tokio::test]
async fn acknowledgement_does_not_wake_a_poll_that_asks_for_none() {
    let running = start();
    fill(&running.mailbox);
    let (client, mut session) = opened(&running).await;
    let request = poll(&mut session, 300, revision(1, 1));
    let (_, poll) = hold_poll(&running.mailbox, client, request).await;
    let kept = running
        .mailbox
        .post_report_ack(channel_id(), &report_ack(1, 1));
    assert_eq!(kept, Ok(Posted::Kept));
    assert_eq!(running.mailbox.metrics().holds(), 1);
    poll.abort();
}

#[tokio::test]
async fn heartbeat_wakes_a_poll_only_when_its_device_waits_for_it() {
    let running = start();
    fill(&running.mailbox);
    let (client, mut session) = opened(&running).await;
    let request = poll(&mut session, 300, revision(1, 1));
    let (counter, poll) = hold_poll(&running.mailbox, client, request).await;
    let mailbox = &running.mailbox;
    assert!(
        mailbox
            .post_heartbeat(channel_id(), &heartbeat(1), false)
            .is_ok()
    );
    assert_eq!(mailbox.metrics().holds(), 1);
    assert!(
        mailbox
            .post_heartbeat(channel_id(), &heartbeat(2), true)
            .is_ok()
    );
    let frame = poll.await.unwrap();
    assert_eq!(envelopes(&session, counter, &frame), [heartbeat(2)]);
}

#[tokio::test]
async fn evidence_wakes_its_device_until_the_head_moves() {
    let running = start();
    fill(&running.mailbox);
    let mailbox = &running.mailbox;
    mailbox.set_actual_head(channel_id(), revision(4, 1));
    let (client, mut session) = opened(&running).await;
    let request = poll_of(&mut session, 300, revision(1, 1), Some(revision(4, 1)));
    let (counter, poll) = hold_poll(mailbox, client, request).await;
    assert!(mailbox.post_evidence(channel_id(), &evidence(4, 1)).is_ok());
    let frame = poll.await.unwrap();
    assert_eq!(envelopes(&session, counter, &frame), [evidence(4, 1)]);
    mailbox.set_actual_head(channel_id(), revision(5, 1));
    let mut client = running.site.h1().await;
    let request = poll_of(&mut session, 0, revision(1, 1), Some(revision(5, 1)));
    let counter = request.counter;
    let frame = client.exchange(request.bytes).await;
    assert!(envelopes(&session, counter, &frame).is_empty());
}

/// SQ-22: a device that is ahead of a restored server slept in its hold and never learned of it.
#[tokio::test]
async fn sq22_device_ahead_of_a_restored_server_is_answered_at_once() {
    let running = start();
    fill(&running.mailbox);
    let (mut client, mut session) = opened(&running).await;
    let request = poll(&mut session, 300, revision(1, 9));
    let frame = client.exchange(request.bytes).await;
    let found = envelopes(&session, request.counter, &frame);
    assert_eq!(found, [snapshot(1, 1)]);
    let request = poll_of(&mut session, 300, revision(1, 1), Some(revision(4, 9)));
    let frame = client.exchange(request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert_eq!(hints.need, [Plane::Actual]);
    assert_eq!(running.mailbox.metrics().holds(), 0);
}

#[tokio::test]
async fn put_is_answered_with_what_the_host_still_wants() {
    let mut running = start();
    let (_, mut session) = opened(&running).await;
    let request = put(&mut session, Plane::Actual, b"body");
    let (counter, task) = begin(&mut running, request).await;
    running.durable.add_permits(1);
    let frame = task.await.unwrap();
    let wanted = answer(&session, counter, &frame).hints.wanted;
    assert_eq!(wanted, [super::missing()]);
}

#[tokio::test]
async fn put_that_the_host_refuses_is_refused_by_name() {
    let running = super::start_with(super::ServerLimits::default(), Some(Reject::NotAdmitted));
    running.durable.add_permits(1);
    let (mut client, mut session) = opened(&running).await;
    let request = put(&mut session, Plane::Actual, b"body");
    let frame = client.exchange(request.bytes).await;
    assert_eq!(refusal(&frame), Reject::NotAdmitted.code());
    assert_eq!(running.mailbox.metrics().rejects(Reject::NotAdmitted), 1);
}

#[tokio::test]
async fn heartbeat_beyond_the_quota_is_refused_and_counted() {
    let running = start();
    let mailbox = &running.mailbox;
    let other = super::quota_of(100);
    for (mailbox, is_kept) in [(mailbox, true), (&other, false)] {
        let posted = mailbox.post_heartbeat(channel_id(), &heartbeat(1), true);
        assert_eq!(posted.is_ok(), is_kept);
        assert_eq!(
            mailbox.metrics().rejects(Reject::Quota),
            u64::from(!is_kept)
        );
    }
}

#[tokio::test]
async fn idle_answer_waits_for_the_heartbeat_that_it_asked_for() {
    let mut running = start();
    let posted = running
        .mailbox
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 1), []);
    assert_eq!(posted, Ok(Posted::Kept));
    let (_, mut session) = opened(&running).await;
    let request = poll(&mut session, 1, revision(1, 1));
    let (counter, task) = begin(&mut running, request).await;
    let mailbox = running.mailbox.clone();
    assert!(
        mailbox
            .post_heartbeat(channel_id(), &heartbeat(1), false)
            .is_ok()
    );
    running.durable.add_permits(1);
    let frame = task.await.unwrap();
    assert_eq!(envelopes(&session, counter, &frame), [heartbeat(1)]);
}

#[tokio::test]
async fn evicted_device_is_refused_from_then_on() {
    let running = start();
    fill(&running.mailbox);
    let (client, mut session) = opened(&running).await;
    let request = poll(&mut session, 300, revision(1, 1));
    let (_, poll) = hold_poll(&running.mailbox, client, request).await;
    running.mailbox.evict(channel_id());
    let frame = poll.await.unwrap();
    assert_eq!(refusal(&frame), Reject::SessionUnknown.code());
    assert_eq!(running.mailbox.head(channel_id()), None);
    assert_eq!(running.mailbox.sessions(), 0);
}

#[tokio::test]
async fn poll_without_hold_is_answered_at_once() {
    let running = start();
    let (mut client, mut session) = opened(&running).await;
    running.durable.add_permits(1);
    let request = poll(&mut session, 0, Revision::NONE);
    let frame = client.exchange(request.bytes).await;
    assert!(envelopes(&session, request.counter, &frame).is_empty());
    assert_eq!(running.mailbox.metrics().holds(), 0);
}
