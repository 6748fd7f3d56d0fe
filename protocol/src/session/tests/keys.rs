//! Which of its keys a mailbox answers with, while bundles with different keys are about.

use super::*;

/// The newest first: 3 is listed from bundle 5, 2 from bundle 3 to 6, 1 up to bundle 4.
fn signers() -> [MemorySigner; 3] {
    [3, 2, 1].map(|seed| MemorySigner::from_seed(&[seed; 32]))
}

fn mailbox<'a>(world: &'a World, signers: &'a [MemorySigner; 3]) -> MailboxHandshake<'a> {
    let lives = [(5, u64::MAX), (3, 6), (1, 4)];
    let keys = signers.iter().zip(lives).map(|(signer, (first, last))| {
        let (first, last) = (BundleNumber::new(first), BundleNumber::new(last));
        MailboxKey {
            signer,
            first,
            last,
        }
    });
    MailboxHandshake {
        keys: keys.collect(),
        ..world.mailbox()
    }
}

fn challenge_for(mailbox: &MailboxHandshake<'_>, bundle: u64) -> Vec<u8> {
    let (_, ask) = Asking::start(BundleNumber::new(bundle)).unwrap();
    mailbox.answer_ask(&ask, [1; 8]).unwrap()
}

fn named(challenge: &[u8]) -> Thumbprint {
    match PlainFrame::decode(challenge, Direction::Down) {
        Ok(PlainFrame::Challenge { mailbox, .. }) => mailbox,
        other => panic!("no challenge: {other:?}"),
    }
}

/// Greets with the key that a device of this bundle trusts; returns both ends.
fn greet(
    world: &World,
    mailbox: &MailboxHandshake<'_>,
    bundle: u64,
    trusted: &MemorySigner,
) -> (Greeting, Result<Welcomed, Reject>) {
    let (asking, _) = Asking::start(BundleNumber::new(bundle)).unwrap();
    let device = Identity::device(&world.channel, INCARNATION, &world.device);
    let challenge = challenge_for(mailbox, bundle);
    let (greeting, hello) = asking
        .handle_challenge(&challenge, [trusted.public_key()], device, &SEED)
        .unwrap();
    let hello = ReceivedHello::parse(&hello).unwrap();
    let admitted = Admitted::device(&world.channel, INCARNATION, world.device.public_key());
    let id = SessionId::from_bytes([1; 4]);
    let welcomed = mailbox.handle_hello(&hello, &[admitted], |_| false, id, 0);
    (greeting, welcomed)
}

#[test]
fn ask_names_the_bundle_held_and_none_before_the_first() {
    for (number, expected) in [(0, None), (1, Some(1)), (7, Some(7))] {
        let (_, ask) = Asking::start(BundleNumber::new(number)).unwrap();
        let bundle = expected.map(BundleNumber::new);
        let frame = PlainFrame::decode(&ask, Direction::Up);
        assert_eq!(frame, Ok(PlainFrame::Ask { bundle }));
    }
}

//= spec/postern.md#hello type=test
//# A mailbox MUST challenge with the newest of its keys that the bundle of the ask lists, and else
//# with its newest.
#[test]
fn mailbox_challenges_with_the_newest_key_that_the_bundle_lists() {
    let (world, signers) = (World::new(), signers());
    let mailbox = mailbox(&world, &signers);
    for (bundle, newest) in [
        (0, 0),
        (1, 2),
        (2, 2),
        (3, 1),
        (4, 1),
        (5, 0),
        (6, 0),
        (9, 0),
    ] {
        let key = named(&challenge_for(&mailbox, bundle));
        let expected = signers[newest].public_key().thumbprint();
        assert_eq!(key, expected, "bundle {bundle}");
    }
    let mut older = mailbox;
    older.keys.remove(0);
    let key = named(&challenge_for(&older, 9));
    let newest = signers[1].public_key().thumbprint();
    assert_eq!(key, newest, "a bundle that lists none");
}

#[test]
fn hello_to_any_key_of_the_mailbox_is_welcomed_with_that_key() {
    let (world, signers) = (World::new(), signers());
    let mailbox = mailbox(&world, &signers);
    for (bundle, key) in [(1, 2), (3, 1), (5, 0)] {
        let (greeting, welcomed) = greet(&world, &mailbox, bundle, &signers[key]);
        let opened = greeting.handle_welcome(&welcomed.unwrap().frame, 0);
        assert!(opened.is_ok(), "bundle {bundle}: {opened:?}");
    }
}

#[test]
fn hello_to_a_key_that_the_mailbox_gave_up_is_refused() {
    let (world, signers) = (World::new(), signers());
    let mut mailbox = mailbox(&world, &signers);
    let challenge = challenge_for(&mailbox, 1);
    mailbox.keys.truncate(2);
    let (asking, _) = Asking::start(BundleNumber::new(1)).unwrap();
    let device = Identity::device(&world.channel, INCARNATION, &world.device);
    let trusted = [signers[2].public_key()];
    let (_, hello) = asking
        .handle_challenge(&challenge, trusted, device, &SEED)
        .unwrap();
    let hello = ReceivedHello::parse(&hello).unwrap();
    let admitted = Admitted::device(&world.channel, INCARNATION, world.device.public_key());
    let id = SessionId::from_bytes([1; 4]);
    let refused = mailbox.handle_hello(&hello, &[admitted], |_| false, id, 0);
    assert_eq!(refused.map(|_| ()), Err(Reject::DigestMismatch));
    mailbox.keys.clear();
    let refused = mailbox.handle_hello(&hello, &[admitted], |_| false, id, 0);
    assert_eq!(refused.map(|_| ()), Err(Reject::MailboxMismatch));
}

#[test]
fn ephemeral_keys_are_shown_by_their_age_alone() {
    let shown = alloc::format!("{:?}", EphemeralWindows::new([0xab; 32], 17));
    let window = "EphemeralWindow { opened_ms: 17, .. }";
    assert!(shown.contains(window) && !shown.contains("171"), "{shown}");
}
