//! What each end brings reaches the other: posts, deliveries, bodies, enrolments, held requests.
//!
//! Each on loopback, over HTTPS or both doors, and where it is kept, across a restart.

use super::site::{
    Door, Place, Running, channel, delta, first_bundle, open_answer, open_bodies, open_collected,
    report, seal, snapshot, whole,
};
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::frame::{Collect, Entry, Poll, UpFrame, Wanted};
use postern_protocol::id::{Digest, Plane};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{ArrivalNumber, BundleNumber, Knock, Revision, StoreEpoch};
use postern_protocol::session::ClientSession;
use postern_relay::server::ServerLimits;

const DESIRED: Option<Plane> = Some(Plane::Desired);

#[tokio::test]
async fn device_posts_and_writer_collects_across_a_restart() {
    for door in [Door::Https, Door::Quic] {
        check_posts(&Place::with(door, ServerLimits::default())).await;
    }
}

async fn check_posts(place: &Place) {
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
        receipt: None,
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
async fn enrolment_is_shown_to_writers_and_its_answer_reaches_the_device() {
    for door in [Door::Https, Door::Quic] {
        let place = Place::with(door, ServerLimits::default());
        check_enrolment(place.start()).await;
    }
}

/// What an answer of the session refuses: a writer believes no other, and goes on behind it.
async fn refused_in_session(
    relay: &Running,
    writer: &mut ClientSession,
    frame: &UpFrame<'_>,
) -> Vec<(u32, u16)> {
    let (counter, answer) = relay.ask(writer, frame).await.unwrap();
    let refused = open_answer(writer, counter, &answer).hints.refused;
    refused.iter().map(|one| (one.index, one.code)).collect()
}

async fn check_enrolment(relay: Running) {
    let mut writer = relay.writer(1).await;
    let mut request = Writer::new();
    request.raw(&[16]).bytes(&[1; 8]).bytes(&[2; 32]);
    request.raw(&report(1));
    let frame = request.into_bytes();
    let mut enrolled = Writer::new();
    enrolled.raw(&[17]).array(1).raw(&first_bundle());
    enrolled.raw(&report(1));
    let enrolled = enrolled.into_bytes();
    let knocking = relay.exchange(frame.clone());
    let answering = async {
        let collect = UpFrame::Collect(Collect {
            hold_s: 300,
            store: StoreEpoch::new(relay.relay.stats().epoch),
            cursor: ArrivalNumber::new(0),
        });
        let (counter, answer) = relay.ask(&mut writer, &collect).await.unwrap();
        let collected = open_collected(&writer, counter, &answer);
        let Entry::Knock { knock, frame, .. } = collected.entries[0] else {
            panic!("{collected:?}")
        };
        let seen = (knock, frame.to_vec());
        let unknown = UpFrame::DeliverEnrolled {
            knock: Knock::new(seen.0.number() + 1),
            enrolled: &enrolled,
        };
        let refused = refused_in_session(&relay, &mut writer, &unknown).await;
        assert_eq!(refused, [(0, Reject::KnockUnknown.code())]);
        let wrong = UpFrame::DeliverEnrolled {
            knock: seen.0,
            enrolled: &seen.1,
        };
        let refused = refused_in_session(&relay, &mut writer, &wrong).await;
        assert_eq!(refused, [(0, Reject::FrameDirection.code())]);
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
