//! The table of sessions: who makes room, when one ends, and the counters within it.

use super::*;
use crate::frame::{SessionFrame, seal_up};

fn pending(id: u8) -> PendingSession {
    let digest = Digest::of(&[id]);
    let keys = SessionKeys::agree(&SEED, &ephemeral_public(&[id; 32]), &digest).unwrap();
    let id = SessionId::from_bytes([id; 4]);
    PendingSession::new(ServerSession::new(id, keys, digest, 10_000_000))
}

#[test]
fn full_table_drops_the_oldest_pending_only() {
    let mut world = World::new();
    world.sessions = Sessions::new(3);
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    world.sessions.open(&request.bytes, 0).unwrap();
    for id in 2..20 {
        world.sessions.offer(id, pending(id), 0).unwrap();
        assert!(world.sessions.len() <= 3);
    }
    assert!(
        world
            .sessions
            .session(SessionId::from_bytes([19; 4]))
            .is_some()
    );
    assert!(
        world
            .sessions
            .session(SessionId::from_bytes([17; 4]))
            .is_none()
    );
    assert_eq!(world.sessions.confirmed(&1), Some(client.id()));
}

#[test]
fn table_full_of_confirmed_sessions_refuses_newcomers() {
    let mut world = World::new();
    world.sessions = Sessions::new(1);
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    world.sessions.open(&request.bytes, 0).unwrap();
    assert_eq!(
        world.sessions.offer(2, pending(2), 0),
        Err(Reject::Overloaded)
    );
    let taken = pending(1);
    //= spec/postern.md#hello type=test
    //# A mailbox MUST choose a session id that no live session has.
    assert_eq!(world.sessions.offer(2, taken, 0), Err(Reject::Overloaded));
}

//= spec/postern.md#sessions type=test
//# A receiver MUST refuse a session id that it does not hold with `session-unknown`.
//= spec/postern.md#sessions type=test
//# A mailbox MUST end a session at the age that its welcome names, which is at most 86400 s.
//= spec/postern.md#hello type=test
//# A mailbox MUST forget a session whose first frame has not come 60 s after the welcome.
#[test]
fn session_past_its_time_is_unknown() {
    let mut world = World::new();
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    let late = world.sessions.open(&request.bytes, 60_000).map(|_| ());
    assert_eq!(late, Err(Reject::SessionUnknown));
    assert!(world.sessions.is_empty());
    let mut client = world.connect(2);
    let request = client.seal_request(&poll()).unwrap();
    world.sessions.open(&request.bytes, 0).unwrap();
    assert!(world.sessions.expire(3_599_999).is_empty());
    assert_eq!(world.sessions.expire(3_600_000), [client.id()]);
    assert!(client.is_over(3_600_000) && !client.is_over(3_599_999));
    assert!(client.is_renewal_due(2_700_000));
}

#[test]
fn removed_owner_leaves_no_session() {
    let mut world = World::new();
    let client = world.connect(1);
    assert!(!world.sessions.is_empty() && world.sessions.is_owner(&1));
    assert_eq!(world.sessions.remove_owner(&1), [client.id()]);
    assert!(world.sessions.is_empty() && world.sessions.remove_owner(&1).is_empty());
    assert!(!world.sessions.is_owner(&1));
}

#[test]
fn session_under_the_id_of_another_is_refused_whatever_else_is_alike() {
    let mut world = World::new();
    world.sessions.offer(1, pending(1), 0).unwrap();
    assert_eq!(world.sessions.offer(1, pending(1), 0), Ok(()));
    // The same hello under another owner, then another hello of the same owner.
    let overloaded = Err(Reject::Overloaded);
    assert_eq!(world.sessions.offer(2, pending(1), 0), overloaded);
    let mut other = pending(2);
    other.0.id = SessionId::from_bytes([1; 4]);
    assert_eq!(world.sessions.offer(1, other, 0), overloaded);
    assert_eq!(world.sessions.len(), 1);
}

#[test]
fn pending_session_that_goes_leaves_the_confirmed_one_to_its_owner() {
    let mut world = World::new();
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    world.sessions.open(&request.bytes, 0).unwrap();
    for newer in [pending(2), pending(3)] {
        world.sessions.offer(1, newer, 0).unwrap();
    }
    // The second took the place of the first.
    assert_eq!(world.sessions.len(), 2);
    assert_eq!(world.sessions.confirmed(&1), Some(client.id()));
    // Its time to be confirmed is over, the older session's is not.
    let ended = world.sessions.expire(60_000);
    assert_eq!(ended, [SessionId::from_bytes([3; 4])]);
    assert_eq!(world.sessions.confirmed(&1), Some(client.id()));
    let again = client.seal_request(&poll()).unwrap();
    assert!(world.sessions.open(&again.bytes, 60_000).is_ok());
}

#[test]
fn confirmed_session_that_ends_leaves_the_pending_one_to_its_owner() {
    let mut world = World::new();
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    world.sessions.open(&request.bytes, 0).unwrap();
    world.sessions.offer(1, pending(2), 3_599_999).unwrap();
    assert_eq!(world.sessions.expire(3_600_000), [client.id()]);
    assert_eq!(world.sessions.confirmed(&1), None);
    assert!(world.sessions.is_owner(&1));
    let left = world.sessions.remove_owner(&1);
    assert_eq!(left, [SessionId::from_bytes([2; 4])]);
}

//= spec/postern.md#sessions type=test
//# A device MUST use each counter of a session once, ascending, and open a new session before it
//# runs out of them.
#[test]
fn counters_run_out_and_never_wrap() {
    let mut world = World::new();
    let mut client = world.connect(1);
    for sent in 1..=65_535 {
        let request = client.seal_request(&poll()).unwrap();
        assert_eq!(request.counter, sent);
        // Time for a new session while this one still serves.
        assert_eq!(client.is_renewal_due(0), sent >= 64_511, "{sent}");
    }
    assert!(client.is_over(0));
    assert_eq!(client.seal_request(&poll()), Err(Reject::CounterExhausted));
}

//= spec/postern.md#sessions type=test
//# A mailbox MUST count a counter that it took as seen, also when it refuses the body.
#[test]
fn counter_of_a_request_whose_body_is_refused_is_seen() {
    let digest = Digest::of(&[1]);
    let keys = SessionKeys::agree(&SEED, &ephemeral_public(&[1; 32]), &digest).unwrap();
    let id = SessionId::from_bytes([1; 4]);
    let mut session = ServerSession::new(id, keys.clone(), digest, 10_000_000);
    let mut open = |bytes: &[u8]| {
        let frame = SessionFrame::split(bytes, Direction::Up)?;
        session.open(&frame).map(|(counter, _)| counter)
    };
    let request = |counter| seal_up(&keys.up, id, counter, &poll()).unwrap();
    // A body that ends too soon, under a tag that verifies.
    let mut refused = request(9);
    refused.truncate(refused.len() - 9);
    refused.extend(keys.up.tag(&refused));
    assert_eq!(open(&refused), Err(Reject::CborTruncated));
    assert_eq!(open(&request(9)), Err(Reject::SessionReplay));
    assert_eq!(open(&refused), Err(Reject::SessionReplay));
    assert_eq!(open(&request(10)), Ok(10));
}

//= spec/postern.md#sessions type=test
//# A mailbox MUST refuse with `session-replay` a counter that it has seen or that lies 64 or more
//# below the highest.
#[test]
fn replay_window_takes_each_counter_once() {
    let cases: &[(&[u16], Result<(), Reject>)] = &[
        (&[1, 2, 3], Ok(())),
        (&[100, 37], Ok(())),
        (&[65_535, 65_472], Ok(())),
        (&[0], Err(Reject::CounterExhausted)),
        (&[1, 1], Err(Reject::SessionReplay)),
        (&[100, 36], Err(Reject::SessionReplay)),
        (&[100, 37, 37], Err(Reject::SessionReplay)),
        (&[1, 65, 1], Err(Reject::SessionReplay)),
        // Within the window, what was seen goes along and what was not does not.
        (&[1, 2, 1], Err(Reject::SessionReplay)),
        (&[1, 10, 1], Err(Reject::SessionReplay)),
        (&[1, 64, 1], Err(Reject::SessionReplay)),
        (&[1, 10, 2, 9, 11], Ok(())),
        (&[65_535, 1], Err(Reject::SessionReplay)),
    ];
    for (counters, expected) in cases {
        let mut window = ReplayWindow::new();
        let result = counters
            .iter()
            .try_for_each(|counter| window.take(*counter));
        assert_eq!(result, *expected, "{counters:?}");
    }
}
