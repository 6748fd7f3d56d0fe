use super::super::limits::{KNOCK_BYTES_MAX, KNOCKS_BURST};
use super::{Running, bundles, tenant};
use crate::fixtures::report;
use crate::mailbox::Arrival;
use crate::server::Host as _;
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::revision::Knock;

/// An enrol frame whose request is any envelope.
fn enrol(mark: u8) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.raw(&[16]).bytes(&[mark; 8]).bytes(&[2; 32]);
    writer.raw(&report(1, 1));
    writer.into_bytes()
}

fn enrolled() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.raw(&[17]).array(1).raw(&bundles()[0]);
    writer.raw(&report(1, 1));
    writer.into_bytes()
}

fn knocks(relay: &Running) -> Vec<Knock> {
    let collected = relay.collect(0).into_iter();
    let knocks = collected.filter_map(|entry| match entry.what {
        Arrival::Knock { knock, .. } => Some(knock),
        Arrival::Envelope { .. } => None,
    });
    knocks.collect()
}

#[tokio::test(start_paused = true)]
async fn enrolment_without_an_answer_is_pending_and_comes_again_as_the_same_knock() {
    let relay = Running::with_quota(1_000);
    for _ in 0..3 {
        let answer = relay.host.enrol(enrol(1)).await;
        assert_eq!(answer, Err(Reject::EnrolPending));
        // The thread works in real time: what it was given before is done when this returns.
        relay.acknowledge(0).await;
        assert_eq!(knocks(&relay).len(), 1);
    }
    let knock = knocks(&relay)[0];
    let taken = relay.host.enrolled(tenant(), knock, enrolled()).await;
    assert_eq!(taken, Ok(()));
    assert_eq!(knocks(&relay), []);
    assert_eq!(relay.host.enrol(enrol(1)).await, Ok(enrolled()));
    let later = relay.host.enrolled(tenant(), knock, enrolled()).await;
    assert_eq!(
        later,
        Ok(()),
        "a controller that repeats itself is no fault"
    );
}

#[tokio::test(start_paused = true)]
async fn enrolments_that_are_none_too_large_or_too_many_are_refused() {
    let relay = Running::with_quota(1_000);
    let mut large = enrol(1);
    large.resize(KNOCK_BYTES_MAX + 1, 0);
    assert_eq!(relay.host.enrol(large).await, Err(Reject::Oversize));
    assert_eq!(
        relay.host.enrol(enrolled()).await,
        Err(Reject::FrameDirection)
    );
    assert_eq!(relay.host.enrol(Vec::new()).await, Err(Reject::Shape));
    let unknown = relay.host.enrolled(tenant(), Knock::new(1), enrolled());
    assert_eq!(unknown.await, Err(Reject::KnockUnknown));
    let mut waiting: Vec<_> = (0..)
        .take(KNOCKS_BURST as usize)
        .map(|mark| relay.host.enrol(enrol(mark)))
        .collect();
    let beyond = relay.host.enrol(enrol(255));
    assert_eq!(beyond.await, Err(Reject::Overloaded));
    assert_eq!(waiting.remove(0).await, Err(Reject::EnrolPending));
    relay.acknowledge(0).await;
    assert_eq!(knocks(&relay).len(), KNOCKS_BURST as usize);
    assert_eq!(
        relay.durable.account(tenant()).arrivals,
        u64::from(KNOCKS_BURST)
    );
}
