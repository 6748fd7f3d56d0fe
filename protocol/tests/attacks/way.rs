//! Attacks of whoever stands on the way: what is replayed, cached, forged or cut there.
//!
//! Nobody here holds a key of the domain: such an attacker can delay and lose, and change nothing.
//! Refuses to count a lost exchange as an attack that succeeded.

use super::*;

#[test]
fn challenge_of_another_mailbox_relayed() {
    let mut lone = Lone::new();
    lone.input(device::Input::Connect);
    let ask = lone.outbox.remove(0);
    let challenge = PlainFrame::Challenge {
        challenge: Challenge::from_bytes([1; 16]),
        ephemeral: [9; 32],
        mailbox: signer("other-mailbox").public_key().thumbprint(),
    };
    lone.answer_raw(ask.id, &challenge.encode().unwrap());
    assert_eq!(lone.rejects(), [Reject::MailboxMismatch]);
    assert!(lone.outbox.is_empty(), "nothing was signed for it");
}

#[test]
fn cached_answer_served_again() {
    let mut lone = holding_five();
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    let poll = lone.paced_poll();
    let answer = Answer {
        items: vec![Item {
            plane: Some(Plane::Desired),
            envelope: &delta,
        }],
        ..Answer::default()
    };
    let cached = lone.seal(poll.counter, &DownFrame::Answer(answer));
    lone.answer_raw(poll.exchange, &cached);
    let poll = lone.paced_poll();
    lone.answer_raw(poll.exchange, &cached);
    assert_eq!(lone.rejects(), [Reject::AnswerMismatch]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 6)));
}

#[test]
fn poll_replayed_to_the_mailbox() {
    let mut lone = holding_five();
    let poll = lone.paced_poll();
    assert_eq!(lone.open_again(&poll), Err(Reject::SessionReplay));
}

#[test]
fn network_that_replays_and_repeats() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.faults.replay = 300;
    world.faults.duplicate = 300;
    for value in 0..20 {
        world.set(0, "a/x", value);
        world.run(3_000);
    }
    world.faults = Default::default();
    world.run(200_000);
    assert!(world.is_converged());
}

#[test]
fn hello_replayed_displaces_no_session() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.run(5_000);
    let node = &world.devices[0];
    let connected = |events: &[Event]| {
        let is_it = |event: &&Event| matches!(event, Event::Connected);
        events.iter().filter(is_it).count()
    };
    let before = connected(&node.events);
    for byte in 0..=255 {
        let forged = [[20, byte].as_slice(), &[0x41; 90]].concat();
        assert!(world.mailbox.handle(&forged, world.now_ms).is_err());
    }
    world.set(0, "a/x", 1);
    world.run(5_000);
    assert_eq!(connected(&world.devices[0].events), before);
    assert!(world.is_converged());
}

//= spec/postern.md#need type=test
//# A mailbox MUST honour a need only inside a session.
#[test]
fn ten_unsigned_bytes_ask_for_a_snapshot() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.run(5_000);
    for last in 0..=255 {
        let forged = [3, 1, 2, 3, 4, 1, 0, 0, 0, last, 1, 1, 1, 1, 1, 1, 1, 1];
        let handled = world.mailbox.handle(&forged, world.now_ms);
        assert_eq!(handled.map(|_| ()), Err(Reject::SessionUnknown));
    }
}

#[test]
fn acknowledgement_forged_to_lose_a_reject() {
    let mut lone = holding_five();
    let stale = lone.seal_snapshot(&state(9), at(EPOCH - 1, 9), vec![]);
    lone.serve(&[stale]);
    lone.take_reports();
    let number = lone.node.engine.as_ref().unwrap().report_number();
    let header = Header {
        kind: MessageKind::ReportAck,
        epoch: number.epoch,
        seq: number.seq,
        base: Seq::new(0),
        digest: None,
    };
    let identity = lone.node.identity.clone();
    let binding = Binding::Device {
        channel: &identity.channel,
        incarnation: identity.incarnation,
    };
    let payload = vec![0x80];
    let draft = Draft { header, payload };
    let forged = draft
        .seal(Role::Writer, binding, &signer("mailbox"))
        .expect("it fits");
    lone.serve(&[forged.into_bytes()]);
    assert_eq!(lone.rejects().last(), Some(&Reject::KeyUnknown));
    lone.run(61_000);
    assert_eq!(lone.take_reports().len(), 1);
}

#[test]
fn envelope_above_its_limit_served() {
    let mut lone = holding_five();
    let mut large = vec![0x59, 0xbd, 0x00];
    large.resize(3 + 0xbd00, 0);
    let poll = lone.paced_poll();
    let item = Item {
        plane: Some(Plane::Desired),
        envelope: &large,
    };
    let answer = Answer {
        items: vec![item],
        ..Answer::default()
    };
    let frame = lone.seal(poll.counter, &DownFrame::Answer(answer));
    lone.answer_raw(poll.exchange, &frame);
    assert_eq!(lone.rejects(), [Reject::Shape]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

#[test]
fn frame_of_an_unknown_type_or_above_its_limit_answered() {
    let mut too_large = vec![1_u8];
    too_large.resize(49_153, 0);
    for (frame, reject) in [
        (vec![0x77, 1, 2, 3], Reject::FrameUnknown),
        (too_large, Reject::Oversize),
        (vec![0; 20], Reject::FrameDirection),
    ] {
        let mut lone = holding_five();
        let poll = lone.paced_poll();
        lone.answer_raw(poll.exchange, &frame);
        assert_eq!(lone.rejects(), [reject]);
        assert_eq!(lone.reconnects, 1);
    }
}

//= spec/postern.md#http-binding type=test
//# A client MUST take a frame only from an answer with status 200, whatever its content type.
//= spec/postern.md#answer type=test
//# A device MUST NOT take an HTTP status, an empty answer or a missing item as news about state.
//= spec/postern.md#answer type=test
//# An exchange answered with something that is no frame MUST be counted as `not-postern`.
#[test]
fn proxy_answers_with_a_login_page_an_empty_200_or_a_forged_304() {
    let refused = PlainFrame::Refused {
        code: 114,
        retry_ms: None,
    };
    let frame = refused.encode().unwrap();
    assert_eq!(check_exchange(200, &frame), Err(Reject::Overloaded));
    let page = b"<!doctype html><title>Sign in</title>".as_slice();
    for (status, body) in [
        (200, page),
        (200, b""),
        (304, b""),
        (302, &frame),
        (204, &frame),
    ] {
        assert_eq!(
            check_exchange(status, body),
            Err(Reject::NotPostern),
            "{status}"
        );
    }
}
