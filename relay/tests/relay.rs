//! A whole relay over TLS on loopback: devices post and writers collect, writers deliver and
//! devices poll, across restarts; and what a relay, a foreign tenant or an old key cannot do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod relay_site;

use postern_protocol::Reject;
use postern_protocol::admission::AdmissionStatus;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::frame::{Poll, UpFrame, Wanted};
use postern_protocol::id::{Digest, Incarnation, Plane};
use postern_protocol::key::Signer as _;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{BundleNumber, Generation, Knock, Revision};
use postern_protocol::session::Identity;
use postern_protocol::trust::Writership;
use relay_site::{
    LIFE, Place, admission, channel, content, delta, device, first_bundle, genesis, mailbox,
    next_bundle, open_answer, open_bodies, report, seal, seal_by, signer, snapshot, tenant, whole,
    writer,
};

const DESIRED: Option<Plane> = Some(Plane::Desired);

#[tokio::test]
async fn device_posts_and_writer_collects_across_a_restart() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    let posts = [
        snapshot(Role::Device, 1, &[]),
        delta(Role::Device, 2),
        report(1),
    ];
    assert_eq!(relay.post(&mut device, &posts).await, []);
    let (store, entries) = relay.collect(&mut writer, 0, (0, 0)).await;
    let expected: Vec<(u64, Vec<u8>)> = (1..).zip(posts.clone()).collect();
    assert_eq!(entries, expected);
    let (_, rest) = relay.collect(&mut writer, 0, (store, 2)).await;
    assert_eq!(rest, expected[2..]);
    relay.relay.shutdown(100).await;

    let relay = place.start();
    let mut writer = relay.writer(3).await;
    let (again, entries) = relay.collect(&mut writer, 0, (store, 0)).await;
    assert_eq!((again, entries), (store, expected.clone()));
    let mut device = relay.device(4).await;
    assert_eq!(relay.post(&mut device, &[report(2), report(1)]).await, []);
    let (_, entries) = relay.collect(&mut writer, 0, (store, 3)).await;
    assert_eq!(entries, [(4, report(2))]);
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn writer_delivers_and_device_polls_across_a_restart() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let id = Some(channel().id());
    let bodies = [vec![0xa0; 9_000], vec![0xa1]];
    let state = snapshot(Role::Writer, 1, &bodies);
    let ack = seal(Role::Writer, MessageKind::ReportAck, [1, 1, 0], vec![0x80]);
    let items = [
        (None, None, first_bundle()),
        (id, DESIRED, state.clone()),
        (id, DESIRED, ack.clone()),
    ];
    assert_eq!(relay.deliver(&mut writer, &items).await, (Vec::new(), 2));
    let mut device = relay.device(2).await;
    assert_eq!(
        relay.poll(&mut device).await,
        std::slice::from_ref(&ack),
        "the state is not whole"
    );
    let frame = UpFrame::DeliverBodies {
        channel: channel().id(),
        plane: Plane::Desired,
        chunks: bodies.iter().map(|body| whole(body)).collect(),
    };
    let (counter, answer) = relay.ask(&mut writer, &frame).await.unwrap();
    let hints = open_answer(&writer, counter, &answer).hints;
    assert_eq!(hints.bodies_wanted.len(), 0);
    let change = (id, DESIRED, delta(Role::Writer, 2));
    assert_eq!(relay.deliver(&mut writer, &[change]).await, (Vec::new(), 0));
    relay.relay.shutdown(100).await;

    let relay = place.start();
    let mut device = relay.device(3).await;
    let expected = [state, delta(Role::Writer, 2), ack];
    assert_eq!(relay.poll(&mut device).await, expected);
    let wanted = Wanted {
        digest: Digest::of(&bodies[0]),
        offset: 0,
    };
    let frame = UpFrame::Fetch {
        plane: Plane::Desired,
        wanted: vec![wanted],
    };
    let (counter, answer) = relay.ask(&mut device, &frame).await.unwrap();
    assert_eq!(open_bodies(&device, counter, &answer), [whole(&bodies[0])]);
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn held_collect_wakes_for_a_post_and_held_poll_for_a_delivery() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    let (store, _) = relay.collect(&mut writer, 0, (0, 0)).await;
    let waiting = relay.collect(&mut writer, 300, (store, 0));
    let posts = [report(1)];
    let posting = relay.post(&mut device, &posts);
    let ((_, entries), refused) = tokio::join!(waiting, posting);
    assert_eq!((entries, refused), (vec![(1, report(1))], Vec::new()));
    let poll = UpFrame::Poll(Poll {
        hold_s: 300,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: Revision::NONE,
        actual: None,
    });
    let polling = relay.ask(&mut device, &poll);
    let state = [(
        Some(channel().id()),
        DESIRED,
        snapshot(Role::Writer, 1, &[]),
    )];
    let delivering = relay.deliver(&mut writer, &state);
    let (polled, _) = tokio::join!(polling, delivering);
    let (counter, answer) = polled.unwrap();
    let items = open_answer(&device, counter, &answer).items;
    assert_eq!(items.len(), 1);
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn writer_fetches_the_bodies_of_its_own_devices_only() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    let body = vec![3; 500];
    let state = snapshot(Role::Device, 1, std::slice::from_ref(&body));
    assert_eq!(
        relay.post(&mut device, std::slice::from_ref(&state)).await,
        []
    );
    let put = UpFrame::Put {
        plane: Plane::Actual,
        chunks: vec![whole(&body)],
    };
    relay.ask(&mut device, &put).await.unwrap();
    let (_, entries) = relay.collect(&mut writer, 0, (0, 0)).await;
    assert_eq!(entries.last().map(|last| &last.1), Some(&state));
    let fetch = UpFrame::FetchBodies {
        channel: channel().id(),
        plane: Plane::Actual,
        wanted: vec![Wanted {
            digest: Digest::of(&body),
            offset: 0,
        }],
    };
    let (counter, answer) = relay.ask(&mut writer, &fetch).await.unwrap();
    assert_eq!(open_bodies(&writer, counter, &answer), [whole(&body)]);
    let mut other = relay.other_writer(3).await;
    let refused = relay.ask(&mut other, &fetch).await;
    assert_eq!(refused.map(|_| ()), Err(Reject::NotAdmitted.code()));
    assert_eq!(relay.collect(&mut other, 0, (0, 0)).await.1, []);
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn deliveries_that_a_writer_may_not_make_are_refused_by_name() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    let id = Some(channel().id());
    let before = relay
        .deliver(&mut writer, &[(id, DESIRED, delta(Role::Writer, 2))])
        .await;
    assert_eq!(before.0, [(0, Reject::NotAdmitted.code())]);
    relay.admit(&mut writer).await;
    let stranger = seal_by(
        &signer(9),
        Role::Writer,
        MessageKind::ReportAck,
        [1, 1, 0],
        vec![0x80],
    );
    let another_place = postern_protocol::id::ChannelId::from_bytes([1; 16]);
    let items = [
        (id, DESIRED, stranger),
        (id, Some(Plane::Actual), snapshot(Role::Writer, 1, &[])),
        (id, Some(Plane::Actual), report(1)),
        (id, None, admission(1, |one| one.quota_bytes = 1)),
        (Some(another_place), None, admission(2, |_| {})),
        (None, None, admission(2, |_| {})),
        (id, DESIRED, delta(Role::Writer, 2)),
    ];
    let (refused, _) = relay.deliver(&mut writer, &items).await;
    let expected = [
        Reject::KeyUnknown,
        Reject::PlaneMismatch,
        Reject::SignerRole,
        Reject::Equivocation,
        Reject::NotAdmitted,
        Reject::SignerRole,
        Reject::NothingStored,
    ];
    let expected: Vec<(u32, u16)> = (0..).zip(expected.map(Reject::code)).collect();
    assert_eq!(refused, expected);
    let mut other = relay.other_writer(2).await;
    let foreign = [
        (id, DESIRED, snapshot(Role::Writer, 1, &[])),
        (id, None, admission(3, |_| {})),
    ];
    let (refused, _) = relay.deliver(&mut other, &foreign).await;
    let codes = [Reject::NotAdmitted.code(), Reject::KeyUnknown.code()];
    assert_eq!(refused, (0..).zip(codes).collect::<Vec<_>>());
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn withdrawn_device_is_closed_and_a_new_life_begins_with_nothing() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    let id = Some(channel().id());
    let withdrawal = admission(2, |one| one.status = AdmissionStatus::Withdrawn);
    assert_eq!(
        relay
            .deliver(&mut writer, &[(id, None, withdrawal)])
            .await
            .0,
        []
    );
    let poll = UpFrame::Poll(Poll {
        hold_s: 0,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: Revision::NONE,
        actual: None,
    });
    let closed = relay.ask(&mut device, &poll).await;
    assert_eq!(closed.map(|_| ()), Err(Reject::SessionUnknown.code()));
    let refused = relay.try_device(3).await.map(|_| ());
    assert_eq!(refused, Err(Reject::NotAdmitted.code()));
    let stale = relay
        .deliver(&mut writer, &[(id, None, admission(1, |_| {}))])
        .await;
    assert_eq!(stale.0, [(0, Reject::AdmissionStale.code())]);
    let next = admission(3, |one| one.incarnation = Incarnation::from_bytes([8; 16]));
    assert_eq!(relay.deliver(&mut writer, &[(id, None, next)]).await.0, []);
    let old_life = relay.try_device(4).await.map(|_| ());
    assert_eq!(old_life, Err(Reject::SignatureInvalid.code()));
    assert_eq!(relay.collect(&mut writer, 0, (0, 0)).await.1, []);
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn writer_whose_key_a_bundle_replaced_is_closed_and_refused() {
    let place = Place::new();
    let relay = place.start();
    let mut old = relay.writer(1).await;
    relay.admit(&mut old).await;
    let mut next = content();
    let writership = Writership {
        generation: Generation::new(2),
        key: signer(14).public_key().clone(),
    };
    next.writers.insert(tenant("acme"), writership);
    next.revoked.insert(writer().public_key().thumbprint());
    let forged = next.seal(None, genesis(), &signer(9)).unwrap().into_bytes();
    let items = [(None, None, forged), (None, None, next_bundle(&next))];
    let frame = relay_site_deliver(&items);
    // The session ends with the bundle that ends its key: the delivery is taken all the same.
    let _cut = relay.ask(&mut old, &frame).await;
    let again = relay.ask(&mut old, &frame).await.map(|_| ());
    assert_eq!(again, Err(Reject::SessionUnknown.code()));
    let (name, key) = (tenant("acme"), writer());
    let identity = Identity::writer(genesis(), &name, &key);
    let refused = relay.try_open(identity, 2).await.map(|_| ());
    assert_eq!(refused, Err(Reject::KeyUnknown.code()));
    let key = signer(14);
    let identity = Identity::writer(genesis(), &name, &key);
    let mut new = relay.try_open(identity, 3).await.unwrap();
    assert_eq!(new.bundle(), BundleNumber::new(2));
    assert_eq!(relay.collect(&mut new, 0, (0, 0)).await.1, []);
    assert_eq!(relay.relay.stats().bundle, BundleNumber::new(2));
    relay.relay.shutdown(100).await;
}

fn relay_site_deliver(
    items: &[(
        Option<postern_protocol::id::ChannelId>,
        Option<Plane>,
        Vec<u8>,
    )],
) -> UpFrame<'_> {
    let deliveries =
        items.iter().map(
            |(channel, plane, envelope)| postern_protocol::frame::Delivery {
                channel: *channel,
                item: postern_protocol::frame::Item {
                    plane: *plane,
                    envelope,
                },
            },
        );
    UpFrame::Deliver(deliveries.collect())
}

#[tokio::test]
async fn frames_of_the_other_end_are_refused_in_a_session() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    let collect = UpFrame::Collect(postern_protocol::frame::Collect {
        hold_s: 0,
        store: postern_protocol::revision::StoreEpoch::new(0),
        cursor: postern_protocol::revision::ArrivalNumber::new(0),
    });
    let wrong = Err(Reject::SessionRole.code());
    assert_eq!(relay.ask(&mut device, &collect).await.map(|_| ()), wrong);
    let need = UpFrame::Need {
        plane: Plane::Desired,
        held: Revision::NONE,
    };
    assert_eq!(relay.ask(&mut writer, &need).await.map(|_| ()), wrong);
    // Neither key opens the other's kind of session.
    let (name, key) = (tenant("acme"), device_key());
    let identity = Identity::writer(genesis(), &name, &key);
    let refused = relay.try_open(identity, 5).await.map(|_| ());
    assert_eq!(refused, Err(Reject::KeyUnknown.code()));
    relay.relay.shutdown(100).await;
}

fn device_key() -> postern_protocol::key::MemorySigner {
    device()
}

#[tokio::test]
async fn enrolment_is_shown_to_writers_and_its_answer_reaches_the_device() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    let mut request = postern_protocol::cbor::Writer::new();
    request.raw(&[16]).bytes(&[1; 8]).bytes(&[2; 32]);
    request.raw(&report(1));
    let frame = request.into_bytes();
    let mut enrolled = postern_protocol::cbor::Writer::new();
    enrolled.raw(&[17]).array(1).raw(&first_bundle());
    enrolled.raw(&report(1));
    let enrolled = enrolled.into_bytes();
    let knocking = relay.exchange(frame.clone());
    let answering = async {
        let collect = UpFrame::Collect(postern_protocol::frame::Collect {
            hold_s: 300,
            store: postern_protocol::revision::StoreEpoch::new(relay.relay.stats().epoch),
            cursor: postern_protocol::revision::ArrivalNumber::new(0),
        });
        let (counter, answer) = relay.ask(&mut writer, &collect).await.unwrap();
        let collected = relay_site::open_collected(&writer, counter, &answer);
        let postern_protocol::frame::Entry::Knock { knock, frame, .. } = collected.entries[0]
        else {
            panic!("{collected:?}")
        };
        let seen = (knock, frame.to_vec());
        let unknown = UpFrame::DeliverEnrolled {
            knock: Knock::new(seen.0.number() + 1),
            enrolled: &enrolled,
        };
        let refused = relay.ask(&mut writer, &unknown).await.map(|_| ());
        assert_eq!(refused, Err(Reject::KnockUnknown.code()));
        let wrong = UpFrame::DeliverEnrolled {
            knock: seen.0,
            enrolled: &seen.1,
        };
        assert!(relay.ask(&mut writer, &wrong).await.is_err());
        let right = UpFrame::DeliverEnrolled {
            knock: seen.0,
            enrolled: &enrolled,
        };
        relay.ask(&mut writer, &right).await.unwrap();
        seen.1
    };
    let (answer, seen) = tokio::join!(knocking, answering);
    assert_eq!((&answer, &seen), (&enrolled, &frame));
    assert_eq!(
        relay.exchange(frame).await,
        enrolled,
        "the same frame finds its answer"
    );
    assert_eq!(relay.collect(&mut writer, 0, (0, 0)).await.1, []);
    relay.relay.shutdown(100).await;
}

#[test]
fn what_a_relay_signs_counts_as_nothing_that_others_sign() {
    let (channel, relay) = (channel(), mailbox());
    let binding = Binding::Device {
        channel: &channel,
        incarnation: LIFE,
    };
    for kind in MessageKind::ALL {
        for (role, plane) in kind.rows() {
            let is_own = *role == Role::Mailbox;
            let claimed = kind.check_signer(Role::Mailbox, *plane);
            assert!(is_own || claimed.is_err() || kind == MessageKind::SessionHello);
        }
    }
    // Even where it writes the header of another, its key is not the one that is expected.
    let cases = [
        (
            Role::Writer,
            MessageKind::Delta,
            [1, 2, 1],
            DESIRED,
            writer(),
        ),
        (
            Role::Writer,
            MessageKind::ReportAck,
            [1, 1, 0],
            DESIRED,
            writer(),
        ),
        (
            Role::Device,
            MessageKind::Report,
            [1, 1, 0],
            Some(Plane::Actual),
            device(),
        ),
    ];
    for (role, kind, numbers, plane, expected_key) in cases {
        let minted = seal_by(&relay, role, kind, numbers, vec![0x80]);
        let received = ReceivedEnvelope::parse(&minted).unwrap();
        let expected = Expected { role, plane };
        let verified = received.verify(expected, binding, [expected_key.public_key()], |_| false);
        assert_eq!(verified.map(|_| ()), Err(Reject::KeyUnknown));
    }
    let minted = content().seal(None, genesis(), &relay).unwrap();
    let refused = relay_site::pinned().offer(minted.as_bytes());
    assert_eq!(refused, Err(Reject::BundleRoot));
}

#[tokio::test]
async fn relay_that_lost_its_disk_says_so_by_another_store_and_is_filled_again() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    let (store, entries) = relay.collect(&mut writer, 0, (0, 0)).await;
    assert_eq!(entries.len(), 1);
    relay.relay.shutdown(100).await;
    std::fs::remove_file(place.store()).unwrap();

    let relay = place.start();
    let mut writer = relay.writer(3).await;
    let (empty, entries) = relay.collect(&mut writer, 300, (store, 1)).await;
    assert_ne!(empty, store);
    assert_eq!(entries, []);
    let refused = relay.try_device(4).await.map(|_| ());
    assert_eq!(refused, Err(Reject::NotAdmitted.code()));
    relay.admit(&mut writer).await;
    let mut device = relay.device(5).await;
    assert_eq!(relay.post(&mut device, &[report(2)]).await, []);
    let (_, entries) = relay.collect(&mut writer, 0, (empty, 0)).await;
    assert_eq!(entries, [(1, report(2))]);
    relay.relay.shutdown(100).await;
}
