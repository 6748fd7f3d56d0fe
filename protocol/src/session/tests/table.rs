//! The table of sessions: who makes room, when one ends, and the counters within it.

use super::*;

fn pending(id: u8) -> PendingSession {
    let digest = Digest::of(&[id]);
    let keys = SessionKeys::agree(&SEED, &ephemeral_public(&[id; 32]), &digest).unwrap();
    let id = SessionId::from_bytes([id; 4]);
    PendingSession::new(ServerSession::new(id, keys, digest, 1_000_000))
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
    assert_eq!(world.sessions.remove_owner(&1), [client.id()]);
    assert!(world.sessions.is_empty() && world.sessions.remove_owner(&1).is_empty());
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
