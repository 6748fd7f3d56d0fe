use super::{Running, id, tenant};
use crate::fixtures::{
    delta, delta_of, evidence, heartbeat, report, report_ack, snapshot, snapshot_of,
};
use crate::mailbox::Chunk;
use crate::server::Host as _;
use postern_protocol::Reject;
use postern_protocol::id::{Digest, Plane};

const QUOTA: u64 = 1 << 20;

fn whole(body: &[u8]) -> Chunk {
    Chunk {
        digest: Digest::of(body),
        size: body.len() as u64,
        offset: 0,
        bytes: body.to_vec(),
    }
}

#[tokio::test]
async fn posts_of_a_device_are_collected_by_arrival_and_the_newest_of_a_slot_only() {
    let relay = Running::with_quota(QUOTA);
    for envelope in [snapshot(1, 1), report(1, 1), delta(1, 1, 2), report(1, 2)] {
        relay.post(envelope).await.unwrap();
    }
    let all = [(1, snapshot(1, 1)), (3, delta(1, 1, 2)), (4, report(1, 2))];
    assert_eq!(relay.arrivals(0), all);
    assert_eq!(relay.arrivals(1), all[1..]);
    assert_eq!(relay.arrivals(4), []);
    assert_eq!(relay.durable.account(tenant()).arrivals, 4);
}

#[tokio::test]
async fn duplicates_and_older_posts_are_answered_and_take_no_number() {
    let relay = Running::with_quota(QUOTA);
    for envelope in [snapshot(1, 5), report(2, 3), delta(1, 5, 6)] {
        relay.post(envelope).await.unwrap();
    }
    let before = relay.arrivals(0);
    for envelope in [
        snapshot(1, 4),
        snapshot(1, 5),
        delta(1, 5, 6),
        report(2, 3),
        report(1, 9),
    ] {
        assert_eq!(relay.post(envelope).await.map(|_| ()), Ok(()));
    }
    assert_eq!(relay.arrivals(0), before);
}

#[tokio::test]
async fn posts_that_contradict_or_do_not_belong_are_refused_by_name() {
    let relay = Running::with_quota(QUOTA);
    for envelope in [snapshot(1, 5), delta(1, 5, 6)] {
        relay.post(envelope).await.unwrap();
    }
    let cases = [
        (delta_of(1, 5, 6, 99, 4), Reject::Equivocation),
        (snapshot_of(1, 6, 99, &[]), Reject::Equivocation),
        (delta(1, 7, 8), Reject::BaseNewer),
        (delta(2, 6, 7), Reject::EpochNeedsSnapshot),
        (report_ack(1, 1), Reject::SignerRole),
        (Vec::new(), Reject::CborTruncated),
    ];
    for (envelope, reject) in cases {
        assert_eq!(relay.post(envelope).await, Err(reject));
    }
    let other = super::domain_channel("press-2").id();
    let posted = relay
        .host
        .posted(other, Some(Plane::Actual), snapshot(1, 7));
    assert_eq!(posted.await, Err(Reject::NotAdmitted));
    let wrong_plane = relay
        .host
        .posted(id(), Some(Plane::Desired), snapshot(1, 7));
    assert_eq!(wrong_plane.await, Err(Reject::PlaneMismatch));
    assert_eq!(relay.arrivals(0).len(), 2);
}

#[tokio::test]
async fn snapshot_is_collected_once_its_bodies_are_here_and_not_before() {
    let relay = Running::with_quota(QUOTA);
    relay.post(snapshot(1, 1)).await.unwrap();
    let bodies = [vec![1; 40_000], vec![2; 10]];
    let envelope = snapshot_of(1, 2, 2, &bodies);
    let taken = relay.post(envelope.clone()).await.unwrap();
    let wanted: Vec<_> = taken
        .wanted
        .iter()
        .map(|one| (one.digest, one.offset))
        .collect();
    let mut expected: Vec<_> = bodies.iter().map(|body| (Digest::of(body), 0)).collect();
    expected.sort_unstable();
    assert_eq!(wanted, expected);
    assert_eq!(relay.arrivals(0), [(1, snapshot(1, 1))]);
    let mut first = whole(&bodies[0]);
    first.bytes.truncate(30_000);
    let taken = relay
        .host
        .put(id(), Plane::Actual, vec![first])
        .await
        .unwrap();
    let missing = taken
        .wanted
        .iter()
        .find(|one| one.digest == Digest::of(&bodies[0]));
    assert_eq!(missing.unwrap().offset, 30_000);
    let rest = Chunk {
        offset: 30_000,
        bytes: bodies[0][30_000..].to_vec(),
        ..whole(&bodies[0])
    };
    let chunks = vec![rest, whole(&bodies[1])];
    let taken = relay.host.put(id(), Plane::Actual, chunks).await.unwrap();
    assert_eq!(taken.wanted, []);
    let arrived = relay.arrivals(1);
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].1, envelope);
}

#[tokio::test]
async fn bodies_that_are_not_named_or_wrong_are_refused() {
    let relay = Running::with_quota(QUOTA);
    let body = vec![1; 100];
    relay
        .post(snapshot_of(1, 1, 1, std::slice::from_ref(&body)))
        .await
        .unwrap();
    let wrong = Chunk {
        bytes: vec![9; 100],
        ..whole(&body)
    };
    for chunk in [wrong, whole(&[7; 5])] {
        let taken = relay
            .host
            .put(id(), Plane::Actual, vec![chunk])
            .await
            .unwrap();
        assert_eq!(
            taken.wanted.len(),
            1,
            "the body is wanted from its start again"
        );
        assert_eq!(taken.wanted[0].offset, 0);
    }
    let half = |bytes: &[u8], offset: usize| Chunk {
        offset: offset as u64,
        bytes: bytes[offset..offset + 50].to_vec(),
        ..whole(&body)
    };
    let chunks = vec![half(&[9; 100], 0), half(&body, 50)];
    let taken = relay.host.put(id(), Plane::Actual, chunks).await.unwrap();
    assert_eq!(taken.wanted[0].offset, 0, "half of it was wrong");
    let mut oversize = whole(&body);
    oversize.size = 70_000;
    let refused = relay.host.put(id(), Plane::Actual, vec![oversize]).await;
    assert_eq!(refused, Err(Reject::SectionOversize));
    assert_eq!(relay.arrivals(0), []);
}

#[tokio::test]
async fn acknowledged_letters_go_and_states_stay_as_long_as_there_is_room() {
    let relay = Running::with_quota(QUOTA);
    for envelope in [snapshot(1, 1), evidence(1, 1), heartbeat(1), report(1, 1)] {
        let plane = match envelope == evidence(1, 1) {
            true => Plane::Desired,
            false => Plane::Actual,
        };
        let posted = relay.host.posted(id(), Some(plane), envelope);
        posted.await.unwrap();
    }
    assert_eq!(relay.arrivals(0).len(), 4);
    relay.acknowledge(4).await;
    let kept = [(1, snapshot(1, 1)), (3, heartbeat(1)), (4, report(1, 1))];
    assert_eq!(
        relay.arrivals(0),
        kept,
        "a restored controller reads them again"
    );
    assert_eq!(relay.durable.account(tenant()).cursor, 4);
}

//= spec/relays.md#collect type=test
//# A relay that is asked behind a cursor above the last arrival that it counted MUST take a new store
//# epoch for that tenant.
#[tokio::test]
async fn cursor_beyond_what_came_begins_another_epoch_of_the_tenant_only() {
    let relay = Running::with_quota(QUOTA);
    relay.post(snapshot(1, 1)).await.unwrap();
    let began = relay.durable.ledger().epoch_of(tenant());
    relay.acknowledge(1).await;
    relay.acknowledge(0).await;
    assert_eq!(
        relay.durable.account(tenant()).cursor,
        1,
        "a cursor never goes back"
    );
    assert_eq!(relay.durable.ledger().epoch_of(tenant()), began);
    relay.acknowledge(2).await;
    let ledger = relay.durable.ledger();
    assert_eq!(ledger.epoch_of(tenant()).number(), 77);
    let other = postern_protocol::id::TenantId::from_bytes([1; 16]);
    assert_eq!(
        (ledger.epoch_of(other), ledger.epoch),
        (began, began.number())
    );
    drop(ledger);
    assert_eq!(relay.durable.account(tenant()).cursor, 0);
    assert_eq!(
        relay.arrivals(0),
        [(1, snapshot(1, 1))],
        "everything is read anew"
    );
}

//= spec/postern.md#post type=test
//# A mailbox without room MUST refuse with `quota` and leave what it holds in place.
#[tokio::test]
async fn full_mailbox_refuses_and_takes_more_once_it_was_read() {
    let relay = Running::with_quota(3_000);
    relay.post(snapshot(1, 1)).await.unwrap();
    relay.post(delta_of(1, 1, 2, 2, 2_000)).await.unwrap();
    let next = delta_of(1, 2, 3, 3, 2_000);
    assert_eq!(relay.post(next.clone()).await, Err(Reject::Quota));
    assert_eq!(relay.arrivals(0).len(), 2);
    let is_wanted = || {
        let state = relay.mailbox.lock();
        state.exchanges.mailboxes.is_actual_wanted(id())
    };
    assert!(!is_wanted());
    relay.acknowledge(2).await;
    assert!(is_wanted(), "the next answer asks the device for its state");
    relay.post(next.clone()).await.unwrap();
    assert_eq!(relay.arrivals(2), [(3, next)]);
    let older = relay.post(delta_of(1, 1, 2, 2, 2_000)).await;
    assert_eq!(older.map(|_| ()), Ok(()), "the mark of what was read stays");
}
