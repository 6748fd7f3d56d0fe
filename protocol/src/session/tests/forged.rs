//! Hellos and welcomes that no end of ours would write, and what selects without identifying.

use super::super::{Admitted, Asking, Identity, MailboxHandshake, ReceivedHello, Transcript};
use super::{INCARNATION, SEED, World, channel, poll};
use crate::cbor::Writer;
use crate::frame::{Direction, PlainFrame};
use crate::id::SessionId;
use crate::key::{MemorySigner, Signer as _};
use crate::kind::MessageKind;
use crate::reject::Reject;
use crate::revision::BundleNumber;

//= spec/postern.md#channel type=test
//# A channel id MUST NOT be used as the identity of a channel: it only selects one.
#[test]
fn hello_selected_by_channel_id_is_verified_for_the_whole_channel() {
    let world = World::new();
    let (_, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    let other = channel("press-8");
    let admitted = [&other, &world.channel]
        .map(|channel| Admitted::device(channel, INCARNATION, world.device.public_key()));
    let parsed = ReceivedHello::parse(&hello).unwrap();
    let id = SessionId::from_bytes([1; 4]);
    let handled = |admitted: &[Admitted<'_>]| {
        let mailbox = world.mailbox();
        let welcomed = mailbox.handle_hello(&parsed, admitted, |_| false, id, 0);
        welcomed.map(|welcomed| welcomed.candidate)
    };
    assert_eq!(handled(&admitted), Ok(1));
    assert_eq!(handled(&admitted[..1]), Err(Reject::SignatureInvalid));
}

//= spec/postern.md#hello type=test
//# Both ends MUST refuse an all-zero shared secret with `ephemeral-invalid`.
#[test]
fn hello_with_a_zero_ephemeral_is_refused() {
    let world = World::new();
    let Ok(PlainFrame::Challenge {
        challenge, mailbox, ..
    }) = PlainFrame::decode(&world.challenge(1), Direction::Down)
    else {
        panic!("a challenge");
    };
    let transcript = Transcript {
        mailbox,
        challenge,
        device_ephemeral: [0; 32],
        mailbox_ephemeral: *world.windows.current().public(),
        channel: world.channel.id(),
    };
    let mut payload = Writer::new();
    payload.array(2).bytes(challenge.as_bytes()).bytes(&[0; 32]);
    let hello = world.seal(
        MessageKind::SessionHello,
        &transcript.digest(),
        payload,
        &world.device,
    );
    let frame = PlainFrame::Hello {
        channel: world.channel.id(),
        hello: hello.as_bytes(),
    };
    let refused = world.welcome(&frame.encode().unwrap(), 1).map(|_| ());
    assert_eq!(refused, Err(Reject::EphemeralInvalid));
}

//= spec/postern.md#hello type=test
//# A device MUST verify the welcome with the mailbox key that the bundle lists under the
//# challenge's thumbprint.
#[test]
fn welcome_signed_by_another_mailbox_of_the_bundle_is_refused() {
    let world = World::new();
    let other = MemorySigner::from_seed(&[77; 32]);
    let (asking, _) = Asking::start(BundleNumber::new(1)).unwrap();
    let device = Identity::device(&world.channel, INCARNATION, &world.device);
    let listed = [world.mailbox.public_key(), other.public_key()];
    let (greeting, hello) = asking
        .handle_challenge(&world.challenge(1), listed, device, &SEED)
        .unwrap();
    let transcript = ReceivedHello::parse(&hello)
        .unwrap()
        .unverified_transcript();
    let mut payload = Writer::new();
    payload.array(3).bytes(&[1; 4]).uint(4).uint(60);
    let welcome = world.seal(
        MessageKind::SessionWelcome,
        &transcript.unwrap(),
        payload,
        &other,
    );
    let frame = PlainFrame::Welcome {
        welcome: welcome.as_bytes(),
    };
    let refused = greeting.handle_welcome(&frame.encode().unwrap(), 0);
    assert_eq!(refused.map(|_| ()), Err(Reject::KeyUnknown));
}

//= spec/postern.md#sessions type=test
//# A mailbox MUST end a session at the age that its welcome names, which is at most 86400 s.
#[test]
fn session_longer_than_a_day_is_cut_to_a_day() {
    let mut world = World::new();
    let (greeting, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    let admitted = Admitted::device(&world.channel, INCARNATION, world.device.public_key());
    let parsed = ReceivedHello::parse(&hello).unwrap();
    let mailbox = MailboxHandshake {
        age_max_s: u64::MAX,
        time: None,
        ..world.mailbox()
    };
    let id = SessionId::from_bytes([1; 4]);
    let welcomed = mailbox.handle_hello(&parsed, &[admitted], |_| false, id, 0);
    let welcomed = welcomed.unwrap();
    let mut client = greeting.handle_welcome(&welcomed.frame, 0).unwrap();
    world.sessions.offer(1, welcomed.pending, 0).unwrap();
    let request = client.seal_request(&poll()).unwrap();
    world.sessions.open(&request.bytes, 0).unwrap();
    assert!(client.is_over(86_400_000) && !client.is_over(86_399_999));
    assert!(world.sessions.expire(86_399_999).is_empty());
    assert_eq!(world.sessions.expire(86_400_000), [client.id()]);
}
