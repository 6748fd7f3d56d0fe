//! A relay that goes on in another process: sessions and sockets with it, and what ends there.
//!
//! Both lives run in this process, one after the other. Refuses nothing by itself: the two relays do.

use super::site::{Place, delta, refusal, report, snapshot};
use postern_protocol::Reject;
use postern_protocol::frame::{Item, Poll, UpFrame};
use postern_protocol::id::Plane;
use postern_protocol::kind::Role;
use postern_protocol::revision::{BundleNumber, Revision};
use postern_relay::{HandedSessions, Handover, NotSessions};

const UNKNOWN: u16 = Reject::SessionUnknown.code();

#[tokio::test]
async fn sessions_go_on_at_the_same_address_without_a_hello() {
    let place = Place::new();
    let running = place.start();
    let mut writer = running.writer(1).await;
    running.admit(&mut writer).await;
    let mut device = running.device(2).await;
    let refused = running
        .post(&mut device, &[snapshot(Role::Device, 1, &[])])
        .await;
    assert_eq!(refused, Vec::new());
    let address = running.relay.local_address();
    let handover = running.hand_over().await;
    let (running, sessions) = place.take_over(handover, 0);
    assert_eq!((running.relay.local_address(), sessions), (address, 2));
    let refused = running.post(&mut device, &[delta(Role::Device, 2)]).await;
    assert_eq!(refused, Vec::new());
    let (_, collected) = running.collect(&mut writer, 0, (0, 0)).await;
    let numbers: Vec<u64> = collected.iter().map(|(arrival, _)| *arrival).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn frame_that_was_answered_before_is_a_replay_afterwards() {
    let place = Place::new();
    let running = place.start();
    let mut writer = running.writer(1).await;
    running.admit(&mut writer).await;
    let mut device = running.device(2).await;
    let envelope = report(1);
    let item = Item {
        plane: Some(Plane::Actual),
        envelope: &envelope,
    };
    let sealed = device.seal_request(&UpFrame::Post(vec![item])).unwrap();
    let _answer = running.exchange(sealed.bytes.clone()).await;
    let handover = running.hand_over().await;
    let (running, _) = place.take_over(handover, 0);
    let answer = running.exchange(sealed.bytes).await;
    assert_eq!(refusal(&answer), Some(Reject::SessionReplay.code()));
}

/// Hands over what `change` makes of it, after `gone_ms`, and expects no session to go on.
async fn check(change: impl FnOnce(&mut Handover), gone_ms: u64) {
    let place = Place::new();
    let running = place.start();
    let mut writer = running.writer(1).await;
    running.admit(&mut writer).await;
    let mut session = running.device(2).await;
    assert_eq!(running.post(&mut session, &[report(1)]).await, Vec::new());
    let mut handover = running.hand_over().await;
    change(&mut handover);
    let (running, sessions) = place.take_over(handover, gone_ms);
    assert_eq!(sessions, 0);
    let refused = running.ask(&mut session, &poll()).await;
    assert_eq!(refused.map(|_| ()), Err(UNKNOWN));
    // And it is back with one greeting.
    let _again = running.device(3).await;
}

fn poll() -> UpFrame<'static> {
    UpFrame::Poll(Poll {
        hold_s: 0,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: Revision::NONE,
        actual: None,
        receipt: None,
    })
}

#[tokio::test]
async fn sessions_that_were_not_sent_do_not_go_on() {
    check(|handover| handover.sessions = None, 0).await;
}

#[tokio::test]
async fn sessions_whose_time_is_over_do_not_go_on() {
    check(|_| (), 86_400_000).await;
}

#[tokio::test]
async fn sessions_of_another_bundle_store_or_key_do_not_go_on() {
    // Genesis, store, bundle and mailbox key stand behind the magic.
    for place in [18, 50, 58, 66] {
        let spoil = |handover: &mut Handover| {
            let sessions = handover.sessions.take().unwrap();
            let mut bytes = sessions.danger_bytes().to_vec();
            bytes[place] ^= 1;
            handover.sessions = Some(HandedSessions::from_bytes(&bytes).unwrap());
        };
        check(spoil, 0).await;
    }
}

#[tokio::test]
async fn sessions_of_those_who_are_not_served_do_not_go_on() {
    // Another channel and another tenant, by the first byte of their ids.
    let rename = |handover: &mut Handover| {
        let sessions = handover.sessions.take().unwrap();
        let mut bytes = sessions.danger_bytes().to_vec();
        let row = 1 + 16 + 118;
        bytes[106 + 1] ^= 1;
        bytes[106 + row + 1] ^= 1;
        handover.sessions = Some(HandedSessions::from_bytes(&bytes).unwrap());
    };
    check(rename, 0).await;
}

#[tokio::test]
async fn bytes_of_another_layout_are_no_sessions() {
    let place = Place::new();
    let running = place.start();
    let _writer = running.writer(1).await;
    let mut writer = running.writer(2).await;
    running.admit(&mut writer).await;
    let sessions = running.hand_over().await.sessions.unwrap();
    assert_eq!((sessions.len(), sessions.is_empty()), (1, false));
    let whole = sessions.danger_bytes().to_vec();
    assert!(HandedSessions::from_bytes(&whole).is_ok());
    let check = |bytes: &[u8]| {
        let refused = HandedSessions::from_bytes(bytes).map(|_| ());
        assert_eq!(refused, Err(NotSessions));
    };
    (0..whole.len()).for_each(|cut| check(&whole[..cut]));
    check(&[&whole[..], &[0]].concat());
    for (place, value) in [(17, b'2'), (105, 2), (106, 9)] {
        let mut other = whole.clone();
        other[place] = value;
        check(&other);
    }
}
