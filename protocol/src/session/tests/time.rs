//! The time in a welcome: it comes back with the session, and no other handshake's welcome brings one.

use super::*;
use crate::signed_time::SignedTime;

fn stated(session: &ClientSession) -> Option<u64> {
    session.time().map(SignedTime::unix_s)
}

fn transcript_of(hello: &[u8]) -> Digest {
    let hello = ReceivedHello::parse(hello).unwrap();
    hello.unverified_transcript().unwrap()
}

#[test]
fn time_of_the_welcome_is_that_of_the_session() {
    let mut world = World::new();
    assert_eq!(stated(&world.connect(1)), Some(1_795_000_000));
}

#[test]
fn mailbox_without_a_clock_states_no_time() {
    let world = World::new();
    let (greeting, hello) = world.greet(&world.challenge(1), &[1; 32]).unwrap();
    let hello = ReceivedHello::parse(&hello).unwrap();
    let admitted = Admitted::device(&world.channel, INCARNATION, world.device.public_key());
    let without = MailboxHandshake {
        time: None,
        ..world.mailbox()
    };
    let id = SessionId::from_bytes([1; 4]);
    let welcomed = without.handle_hello(&hello, &[admitted], |_| false, id, 0);
    let session = greeting
        .handle_welcome(&welcomed.unwrap().frame, 0)
        .unwrap();
    assert_eq!(stated(&session), None);
}

//= spec/freshness.md#signed-time type=test
//# A device MUST take a time only from an answer that verifies, and never one before its release.
#[test]
fn time_of_another_handshake_or_signer_is_refused() {
    let world = World::new();
    let (first, hello) = world.greet(&world.challenge(1), &[1; 32]).unwrap();
    let recorded = world.welcome(&hello, 1).unwrap().frame;
    assert!(first.handle_welcome(&recorded, 0).is_ok());
    // The same device, the same mailbox, the same challenge: only the ephemeral key is new.
    let (later, _) = world.greet(&world.challenge(1), &[2; 32]).unwrap();
    let replayed = later.handle_welcome(&recorded, 0);
    assert_eq!(replayed.err(), Some(Reject::DigestMismatch));

    let (greeting, hello) = world.greet(&world.challenge(3), &[3; 32]).unwrap();
    let mut payload = Writer::new();
    payload.array(4).bytes(&[7; 4]).uint(1).uint(60).uint(1);
    let stranger = MemorySigner::from_seed(&[77; 32]);
    let forged = world.seal(
        MessageKind::SessionWelcome,
        &transcript_of(&hello),
        payload,
        &stranger,
    );
    let forged = PlainFrame::Welcome {
        welcome: forged.as_bytes(),
    };
    let refused = greeting.handle_welcome(&forged.encode().unwrap(), 0);
    assert_eq!(refused.err(), Some(Reject::KeyUnknown));
}

//= spec/freshness.md#signed-time type=test
//# A stated time MUST be 1 to 253402300799 seconds since 1970, else `shape`.
#[test]
fn time_outside_the_range_is_no_welcome() {
    let world = World::new();
    let cases: [&[u64]; 4] = [&[0], &[253_402_300_800], &[u64::MAX], &[1, 1]];
    for times in cases {
        let (greeting, hello) = world.greet(&world.challenge(1), &[1; 32]).unwrap();
        let mut payload = Writer::new();
        payload
            .array(3 + times.len())
            .bytes(&[7; 4])
            .uint(1)
            .uint(60);
        for time in times {
            payload.uint(*time);
        }
        let welcome = world.seal(
            MessageKind::SessionWelcome,
            &transcript_of(&hello),
            payload,
            &world.mailbox,
        );
        let welcome = PlainFrame::Welcome {
            welcome: welcome.as_bytes(),
        };
        let refused = greeting.handle_welcome(&welcome.encode().unwrap(), 0);
        assert_eq!(refused.err(), Some(Reject::Shape), "{times:?}");
    }
}
