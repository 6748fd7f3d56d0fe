//! Sessions that go on in another process, and those that do not.

use super::*;

/// A world in which one session was confirmed, its client, and the frame that confirmed it.
fn confirmed() -> (World, ClientSession, Vec<u8>) {
    let mut world = World::new();
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    world.sessions.open(&request.bytes, 0).unwrap();
    (world, client, request.bytes)
}

fn hand_over(world: &mut World, gone_ms: u64) -> Result<(), Reject> {
    let handed = world.sessions.take_confirmed(0);
    let mut next = Sessions::new(8);
    let adopted = handed
        .iter()
        .try_for_each(|(owner, session)| next.adopt(*owner, session, gone_ms, 0));
    world.sessions = next;
    adopted
}

#[test]
fn session_handed_over_goes_on_with_its_keys() {
    let (mut world, mut client, _) = confirmed();
    assert_eq!(hand_over(&mut world, 5), Ok(()));
    let request = client.seal_request(&poll()).unwrap();
    let opened = world.sessions.open(&request.bytes, 0).unwrap();
    assert_eq!((opened.owner, opened.counter), (1, 2));
    assert_eq!(opened.displaced, None);
    let session = world.sessions.session(opened.session).unwrap();
    let answer = session.seal_answer(opened.counter, &idle()).unwrap();
    assert_eq!(client.open_answer(request.counter, &answer), Ok(idle()));
}

#[test]
fn frame_taken_before_a_handover_is_a_replay_after_it() {
    let (mut world, mut client, first) = confirmed();
    let late = client.seal_request(&poll()).unwrap();
    for _ in 0..70 {
        let request = client.seal_request(&poll()).unwrap();
        world.sessions.open(&request.bytes, 0).unwrap();
    }
    assert_eq!(hand_over(&mut world, 0), Ok(()));
    for frame in [&first, &late.bytes] {
        let refused = world.sessions.open(frame, 0).map(|_| ());
        assert_eq!(refused, Err(Reject::SessionReplay));
    }
}

#[test]
fn session_given_away_is_unknown_where_it_was() {
    let (mut world, mut client, _) = confirmed();
    let handed = world.sessions.take_confirmed(0);
    assert_eq!((handed.len(), world.sessions.len()), (1, 0));
    let request = client.seal_request(&poll()).unwrap();
    let refused = world.sessions.open(&request.bytes, 0).map(|_| ());
    assert_eq!(refused, Err(Reject::SessionUnknown));
}

#[test]
fn session_that_nobody_confirmed_is_not_handed_over() {
    let mut world = World::new();
    let _client = world.connect(1);
    assert!(world.sessions.take_confirmed(0).is_empty());
    assert!(world.sessions.is_empty());
}

//= spec/postern.md#sessions type=test
//# A mailbox MUST end a session at the age that its welcome names, which is at most 86400 s.
#[test]
fn session_ends_at_its_age_whoever_holds_it() {
    let (mut world, _, _) = confirmed();
    assert_eq!(
        hand_over(&mut world, 3_600_000),
        Err(Reject::SessionUnknown)
    );
    let (mut world, mut client, _) = confirmed();
    assert_eq!(hand_over(&mut world, 3_599_999), Ok(()));
    let request = client.seal_request(&poll()).unwrap();
    let refused = world.sessions.open(&request.bytes, 1).map(|_| ());
    assert_eq!(refused, Err(Reject::SessionUnknown));
    let (mut world, _, _) = confirmed();
    assert!(world.sessions.take_confirmed(3_600_000).is_empty());
}

#[test]
fn session_carried_as_bytes_goes_on_and_shows_no_key() {
    let (mut world, mut client, _) = confirmed();
    let handed = world.sessions.take_confirmed(0);
    assert_eq!(alloc::format!("{:?}", handed[0].1), "HandedSession(..)");
    let carried = HandedSession::from_bytes(*handed[0].1.danger_bytes());
    assert_eq!(world.sessions.adopt(1, &carried, 0, 0), Ok(()));
    let request = client.seal_request(&poll()).unwrap();
    assert!(world.sessions.open(&request.bytes, 0).is_ok());
}

#[test]
fn session_of_the_longest_life_is_taken_and_of_a_longer_one_refused() {
    let (mut world, _, _) = confirmed();
    let handed = world.sessions.take_confirmed(0);
    for (left_ms, expected) in [(86_400_000_u64, Ok(())), (86_400_001, Err(Reject::Shape))] {
        let mut bytes = *handed[0].1.danger_bytes();
        bytes[110..118].copy_from_slice(&left_ms.to_be_bytes());
        let changed = HandedSession::from_bytes(bytes);
        let adopted = Sessions::new(8).adopt(1_u8, &changed, 0, 0);
        assert_eq!(adopted, expected, "{left_ms}");
    }
}

/// Changes the bytes of a session and expects them to be refused.
fn check(change: impl FnOnce(&mut [u8; HANDED_SESSION_BYTES]), expected: Reject) {
    let (mut world, _, _) = confirmed();
    let handed = world.sessions.take_confirmed(0);
    let mut bytes = *handed[0].1.danger_bytes();
    change(&mut bytes);
    let changed = HandedSession::from_bytes(bytes);
    let refused = Sessions::new(8).adopt(1_u8, &changed, 0, 0);
    assert_eq!(refused, Err(expected));
}

#[test]
fn session_that_cannot_have_been_confirmed_is_refused() {
    // The highest counter, its bit, and the time left.
    check(|bytes| bytes[100..102].fill(0), Reject::Shape);
    check(|bytes| bytes[109] &= 0xfe, Reject::Shape);
    check(|bytes| bytes[110..118].fill(0xff), Reject::Shape);
    check(|bytes| bytes[110..118].fill(0), Reject::SessionUnknown);
}

#[test]
fn session_beside_another_of_its_owner_or_id_is_refused() {
    let (mut world, _, _) = confirmed();
    let handed = world.sessions.take_confirmed(0);
    let session = &handed[0].1;
    let mut next = Sessions::new(2);
    assert_eq!(next.adopt(1_u8, session, 0, 0), Ok(()));
    assert_eq!(next.adopt(1, session, 0, 0), Err(Reject::Overloaded));
    assert_eq!(next.adopt(2, session, 0, 0), Err(Reject::Overloaded));
    let full = Sessions::new(0).adopt(1_u8, session, 0, 0);
    assert_eq!(full, Err(Reject::Overloaded));
}
