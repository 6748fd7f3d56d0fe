use super::super::knocks::{Answer, Knocks};
use super::super::limits::{KNOCK_AGE_MS_MAX, KNOCK_BYTES_MAX, KNOCK_REFUSED_MS_MAX, KNOCKS_BURST};
use super::quotas::{Two, other_tenant};
use super::{Running, bundles, tenant};
use crate::fixtures::report;
use crate::mailbox::Arrival;
use crate::server::Host as _;
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::frame::PlainFrame;
use postern_protocol::id::TenantId;
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

/// Knocks and gets no answer. The thread works in real time, so it is done before the clock moves on:
/// a commit that the clock overtakes looks like one of a disk that does not answer.
async fn knocked_in_vain(relay: &Running) {
    let waiting = relay.host.enrol(enrol(1));
    relay.acknowledge(0).await;
    assert_eq!(waiting.await, Err(Reject::EnrolPending));
}

#[tokio::test(start_paused = true)]
async fn enrolment_without_an_answer_is_pending_and_comes_again_as_the_same_knock() {
    let relay = Running::with_quota(1_000);
    for _ in 0..3 {
        knocked_in_vain(&relay).await;
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
    relay.acknowledge(0).await;
    assert_eq!(waiting.remove(0).await, Err(Reject::EnrolPending));
    assert_eq!(knocks(&relay).len(), KNOCKS_BURST as usize);
    assert_eq!(
        relay.durable.account(tenant()).arrivals,
        u64::from(KNOCKS_BURST)
    );
}

fn refused(reject: Reject) -> Vec<u8> {
    refused_code(reject.code())
}

fn refused_code(code: u16) -> Vec<u8> {
    let retry_ms = None;
    PlainFrame::Refused { code, retry_ms }.encode().unwrap()
}

/// A knock that two tenants were shown.
fn shown() -> (Knocks, Knock) {
    let mut knocks = Knocks::default();
    let (_, knock) = knocks.take(&enrol(1), 9, 2, 0).unwrap();
    let knock = knock.unwrap();
    knocks.note_shown(knock, vec![(tenant(), 1), (other_tenant(), 1)]);
    (knocks, knock)
}

/// What the device finds, should it ask again at this time.
fn found(knocks: &mut Knocks, now_ms: u64) -> Option<Answer> {
    let (answered, _) = knocks.take(&enrol(1), 10, 2, now_ms).unwrap();
    answered.borrow().clone()
}

//= spec/relays.md#knocks type=test
//# A relay MUST NOT give a device a refusal before the writer of each tenant that was shown the
//# knock has refused it.
#[test]
fn one_tenant_cannot_refuse_the_enrolments_of_another() {
    let (mut knocks, knock) = shown();
    let used = refused(Reject::TokenUsed);
    for _ in 0..2 {
        knocks
            .answer(other_tenant(), knock, used.clone(), 0)
            .unwrap();
        assert_eq!(found(&mut knocks, 0), None);
    }
    let nobody = TenantId::from_bytes([9; 16]);
    knocks.answer(nobody, knock, used, 0).unwrap();
    assert_eq!(found(&mut knocks, 0), None);
    assert_eq!(knocks.waiting(), 1);
    let own = knocks.answer(tenant(), knock, refused(Reject::TokenUnknown), 0);
    assert_eq!(own, Ok(vec![(tenant(), 1)]));
    assert_eq!(knocks.waiting(), 0);
    let told = Some(Answer::Refused(refused(Reject::TokenUsed)));
    assert_eq!(found(&mut knocks, 0), told);
}

#[test]
fn refusal_that_says_more_is_told_whoever_spoke_first() {
    for codes in [
        [Reject::TokenUnknown, Reject::EnrolMac],
        [Reject::EnrolMac, Reject::TokenUnknown],
    ] {
        let (mut knocks, knock) = shown();
        for (tenant, code) in [tenant(), other_tenant()].into_iter().zip(codes) {
            knocks.answer(tenant, knock, refused(code), 0).unwrap();
        }
        let told = Some(Answer::Refused(refused(Reject::EnrolMac)));
        assert_eq!(found(&mut knocks, 0), told);
    }
}

//= spec/relays.md#knocks type=test
//# A relay MUST give the device an enrolled frame that comes before the last refusal.
#[test]
fn enrolment_counts_whoever_refused_before_or_refuses_afterwards() {
    let (mut knocks, knock) = shown();
    let unknown = refused(Reject::TokenUnknown);
    knocks
        .answer(other_tenant(), knock, unknown.clone(), 0)
        .unwrap();
    knocks.answer(tenant(), knock, enrolled(), 0).unwrap();
    knocks
        .answer(other_tenant(), knock, unknown.clone(), 0)
        .unwrap();
    assert_eq!(found(&mut knocks, 0), Some(Answer::Enrolled(enrolled())));
    let (mut knocks, knock) = shown();
    knocks.answer(tenant(), knock, unknown.clone(), 0).unwrap();
    knocks
        .answer(other_tenant(), knock, unknown.clone(), 0)
        .unwrap();
    knocks.answer(tenant(), knock, enrolled(), 0).unwrap();
    assert_eq!(found(&mut knocks, 0), Some(Answer::Refused(unknown)));
}

//= spec/relays.md#knocks type=test
//# A relay MUST NOT answer with a refusal for longer than 60 s; the same frame is then a new knock.
#[test]
fn refusal_is_forgotten_after_a_minute_and_an_enrolment_is_not() {
    let (mut knocks, knock) = shown();
    knocks
        .answer(tenant(), knock, refused(Reject::TokenUsed), 5)
        .unwrap();
    assert_eq!(knocks.expire(KNOCK_AGE_MS_MAX - 1), []);
    knocks
        .answer(other_tenant(), knock, refused(Reject::TokenUnknown), 7)
        .unwrap();
    assert_eq!(knocks.expire(7 + KNOCK_REFUSED_MS_MAX - 1), []);
    assert!(found(&mut knocks, 7).is_some());
    assert_eq!(knocks.expire(7 + KNOCK_REFUSED_MS_MAX), []);
    let (answered, again) = knocks.take(&enrol(1), 11, 2, 7).unwrap();
    assert_eq!(
        (answered.borrow().clone(), again),
        (None, Some(Knock::new(11)))
    );
    let late = knocks.answer(tenant(), knock, enrolled(), 7);
    assert_eq!(late, Err(Reject::KnockUnknown));
    let (mut knocks, knock) = shown();
    knocks.answer(tenant(), knock, enrolled(), 7).unwrap();
    assert_eq!(knocks.expire(7 + KNOCK_REFUSED_MS_MAX), []);
    assert!(found(&mut knocks, 7).is_some());
}

//= spec/relays.md#knocks type=test
//# The frame of a deliver-enrolled MUST be an enrolled frame, or a refused frame with another code
//# than `enrol-pending`, else `shape`.
#[test]
fn frame_that_answers_no_enrolment_is_refused_and_changes_nothing() {
    let (mut knocks, knock) = shown();
    let check = |knocks: &mut Knocks, frame: Vec<u8>, expected: Reject| {
        let answered = knocks.answer(tenant(), knock, frame, 0);
        assert_eq!(answered, Err(expected));
        assert_eq!(found(knocks, 0), None);
    };
    check(&mut knocks, refused(Reject::EnrolPending), Reject::Shape);
    check(&mut knocks, enrol(1), Reject::FrameDirection);
    check(&mut knocks, Vec::new(), Reject::Shape);
    check(&mut knocks, vec![22], Reject::CborTruncated);
    let challenge = PlainFrame::Challenge {
        challenge: postern_protocol::id::Challenge::from_bytes([1; 16]),
        ephemeral: [2; 32],
        mailbox: postern_protocol::id::Thumbprint::from_bytes([3; 32]),
    };
    check(&mut knocks, challenge.encode().unwrap(), Reject::Shape);
    let unknown = knocks.answer(tenant(), Knock::new(1), enrolled(), 0);
    assert_eq!(unknown, Err(Reject::KnockUnknown));
}

#[tokio::test(start_paused = true)]
async fn device_is_told_the_refusal_as_the_mailbox_of_a_controller_would() {
    let two = Two::make();
    knocked_in_vain(&two.relay).await;
    assert_eq!(two.relay.durable.knocks(), 1);
    let knock = knocks(&two.relay)[0];
    for tenant in [tenant(), other_tenant()] {
        let frame = refused(Reject::TokenUsed);
        two.relay.host.enrolled(tenant, knock, frame).await.unwrap();
    }
    // It is no longer shown, and waits for nobody.
    assert_eq!(knocks(&two.relay), []);
    assert_eq!(two.relay.durable.knocks(), 0);
    assert_eq!(two.relay.host.enrol(enrol(1)).await, Err(Reject::TokenUsed));
}

#[tokio::test(start_paused = true)]
async fn refusal_for_a_reason_that_this_version_does_not_know_is_passed_on() {
    let relay = Running::with_quota(1_000);
    knocked_in_vain(&relay).await;
    let knock = knocks(&relay)[0];
    let frame = refused_code(60_000);
    relay
        .host
        .enrolled(tenant(), knock, frame.clone())
        .await
        .unwrap();
    assert_eq!(relay.host.enrol(enrol(1)).await, Ok(frame));
}
