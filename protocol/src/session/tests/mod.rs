//! Both ends of a hello and the sessions that come of it.

mod forged;
mod greeters;
mod handover;
mod keys;
mod need;
mod table;
mod time;

use super::*;
use crate::cbor::Writer;
use crate::envelope::{Binding, Draft, SealedEnvelope};
use crate::frame::{Answer, Direction, DownFrame, PlainFrame, Poll, UpFrame};
use crate::id::Digest;
use crate::id::{Channel, DeviceName, Incarnation, SessionId, Tenant, Thumbprint};
use crate::key::{MemorySigner, PublicKey, Signer as _};
use crate::kind::MessageKind;
use crate::reject::Reject;
use crate::revision::{BundleNumber, Revision};
use crate::signed_time::SignedTime;
use alloc::vec::Vec;

const INCARNATION: Incarnation = Incarnation::from_bytes([5; 16]);
const SEED: [u8; 32] = [11; 32];

struct World {
    device: MemorySigner,
    mailbox: MemorySigner,
    channel: Channel,
    windows: EphemeralWindows,
    sessions: Sessions<u8>,
}

impl World {
    fn new() -> Self {
        Self {
            device: MemorySigner::from_seed(&[1; 32]),
            mailbox: MemorySigner::from_seed(&[2; 32]),
            channel: channel("press-7"),
            windows: EphemeralWindows::new([3; 32], 0),
            sessions: Sessions::new(8),
        }
    }

    fn mailbox(&self) -> MailboxHandshake<'_> {
        MailboxHandshake {
            windows: &self.windows,
            keys: Vec::from([MailboxKey::only(&self.mailbox)]),
            bundle: BundleNumber::new(4),
            age_max_s: 3_600,
            time: SignedTime::new(1_795_000_000),
        }
    }

    fn challenge(&self, nonce: u8) -> Vec<u8> {
        let (_, ask) = Asking::start(BundleNumber::new(1)).unwrap();
        self.mailbox().answer_ask(&ask, [nonce; 8]).unwrap()
    }

    fn greet(&self, challenge: &[u8], seed: &[u8; 32]) -> Result<(Greeting, Vec<u8>), Reject> {
        let (asking, _) = Asking::start(BundleNumber::new(1))?;
        let device = Identity::device(&self.channel, INCARNATION, &self.device);
        asking.handle_challenge(challenge, [self.mailbox.public_key()], device, seed)
    }

    fn welcome_for(
        &self,
        hello: &[u8],
        key: &PublicKey,
        id: u8,
        now_ms: u64,
    ) -> Result<Welcomed, Reject> {
        let admitted = Admitted::device(&self.channel, INCARNATION, key);
        let hello = ReceivedHello::parse(hello)?;
        let id = SessionId::from_bytes([id; 4]);
        self.mailbox()
            .handle_hello(&hello, &[admitted], |_| false, id, now_ms)
    }

    fn welcome(&self, hello: &[u8], id: u8) -> Result<Welcomed, Reject> {
        self.welcome_for(hello, self.device.public_key(), id, 0)
    }

    /// Signs a hello or welcome that no end of ours would write.
    fn seal(
        &self,
        kind: MessageKind,
        transcript: &Digest,
        payload: Writer,
        signer: &MemorySigner,
    ) -> SealedEnvelope {
        let draft = Draft {
            header: client::header(kind, *transcript),
            payload: payload.into_bytes(),
        };
        let binding = Binding::Device {
            channel: &self.channel,
            incarnation: INCARNATION,
        };
        let role = kind.signer_for(None).unwrap();
        draft.seal(role, binding, signer).unwrap()
    }

    /// Runs a whole handshake and leaves the session pending.
    fn connect(&mut self, id: u8) -> ClientSession {
        let (greeting, hello) = self.greet(&self.challenge(id), &[id; 32]).unwrap();
        let welcomed = self.welcome(&hello, id).unwrap();
        self.sessions.offer(1, welcomed.pending, 0).unwrap();
        greeting.handle_welcome(&welcomed.frame, 0).unwrap()
    }
}

fn channel(device: &str) -> Channel {
    Channel {
        root: Thumbprint::from_bytes([9; 32]),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse(device).unwrap(),
    }
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

fn idle() -> DownFrame<'static> {
    DownFrame::Answer(Answer::default())
}

#[test]
fn handshake_opens_a_session_that_answers() {
    let mut world = World::new();
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    let opened = world.sessions.open(&request.bytes, 0).unwrap();
    assert_eq!((opened.owner, opened.counter), (1, 1));
    assert_eq!(opened.frame, poll());
    let session = world.sessions.session(opened.session).unwrap();
    let answer = session.seal_answer(opened.counter, &idle()).unwrap();
    assert_eq!(client.open_answer(request.counter, &answer), Ok(idle()));
    assert_eq!(client.bundle(), BundleNumber::new(4));
}

#[test]
fn hello_frame_has_the_stated_size() {
    let world = World::new();
    let (_, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    assert_eq!(hello.len(), 199);
}

//= spec/postern.md#hello type=test
//# A device MUST refuse a challenge whose mailbox thumbprint its bundle does not list with
//# `mailbox-mismatch`.
#[test]
fn challenge_relayed_from_another_mailbox_is_refused() {
    let world = World::new();
    let mut other = World::new();
    other.mailbox = MemorySigner::from_seed(&[77; 32]);
    let relayed = world.greet(&other.challenge(1), &SEED).map(|_| ());
    assert_eq!(relayed, Err(Reject::MailboxMismatch));
}

//= spec/postern.md#hello type=test
//# Both ends MUST verify the other's signature and recompute the transcript, else
//# `digest-mismatch`.
#[test]
fn challenge_renamed_by_a_relay_opens_nothing() {
    let world = World::new();
    let mut other = World::new();
    other.mailbox = MemorySigner::from_seed(&[77; 32]);
    other.windows = EphemeralWindows::new([78; 32], 0);
    let foreign = other.challenge(1);
    let Ok(PlainFrame::Challenge {
        challenge,
        ephemeral,
        ..
    }) = PlainFrame::decode(&foreign, Direction::Down)
    else {
        panic!("a challenge");
    };
    let mailbox = world.mailbox.public_key().thumbprint();
    let renamed = PlainFrame::Challenge {
        challenge,
        ephemeral,
        mailbox,
    };
    let (_, hello) = world.greet(&renamed.encode().unwrap(), &SEED).unwrap();
    assert_eq!(
        other.welcome(&hello, 1).map(|_| ()),
        Err(Reject::DigestMismatch)
    );
    assert_eq!(
        world.welcome(&hello, 1).map(|_| ()),
        Err(Reject::ChallengeUnknown)
    );
}

//= spec/postern.md#hello type=test
//# Both ends MUST refuse an all-zero shared secret with `ephemeral-invalid`.
#[test]
fn challenge_with_a_zero_ephemeral_is_refused() {
    let world = World::new();
    let challenge = PlainFrame::Challenge {
        challenge: crate::id::Challenge::from_bytes([0; 16]),
        ephemeral: [0; 32],
        mailbox: world.mailbox.public_key().thumbprint(),
    };
    let refused = world.greet(&challenge.encode().unwrap(), &SEED).map(|_| ());
    assert_eq!(refused, Err(Reject::EphemeralInvalid));
}

#[test]
fn handshake_given_another_frame_is_refused() {
    let world = World::new();
    let refused = PlainFrame::Refused {
        code: 114,
        retry_ms: None,
    };
    let refused = refused.encode().unwrap();
    assert_eq!(world.greet(&refused, &SEED).map(|_| ()), Err(Reject::Shape));
    let (greeting, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    let reflected = greeting.handle_welcome(&hello, 0).map(|_| ());
    assert_eq!(reflected, Err(Reject::FrameDirection));
    assert_eq!(
        world.welcome(&refused, 1).map(|_| ()),
        Err(Reject::FrameDirection)
    );
}

//= spec/postern.md#hello type=test
//# A mailbox MUST refuse a channel that it does not serve with `not-admitted`.
#[test]
fn hello_of_a_stranger_is_refused() {
    let mut world = World::new();
    let (_, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    let stranger = MemorySigner::from_seed(&[66; 32]);
    let unknown = world.welcome_for(&hello, stranger.public_key(), 1, 0);
    assert_eq!(unknown.map(|_| ()), Err(Reject::KeyUnknown));
    let parsed = ReceivedHello::parse(&hello).unwrap();
    let id = SessionId::from_bytes([1; 4]);
    let nobody = world.mailbox().handle_hello(&parsed, &[], |_| false, id, 0);
    assert_eq!(nobody.map(|_| ()), Err(Reject::NotAdmitted));
    let revoked = Admitted::device(&world.channel, INCARNATION, world.device.public_key());
    let revoked = world
        .mailbox()
        .handle_hello(&parsed, &[revoked], |_| true, id, 0);
    assert_eq!(revoked.map(|_| ()), Err(Reject::KeyRevoked));
    world.channel = channel("press-8");
    assert_eq!(
        world.welcome(&hello, 1).map(|_| ()),
        Err(Reject::SignatureInvalid)
    );
}

//= spec/postern.md#hello type=test
//# A mailbox MUST take a new ephemeral key at least every 30 s and forget each 60 s after it took
//# it.
//= spec/postern.md#hello type=test
//# A mailbox MUST refuse with `challenge-unknown` a challenge that it did not issue under an
//# ephemeral key that it still has.
#[test]
fn hello_after_its_window_is_refused() {
    let mut world = World::new();
    let (_, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    assert!(!world.windows.is_rotation_due(29_999));
    assert!(world.windows.is_rotation_due(30_000));
    world.windows.rotate([4; 32], 30_000);
    let key = world.device.public_key().clone();
    assert!(world.welcome_for(&hello, &key, 1, 60_000).is_ok());
    let late = world.welcome_for(&hello, &key, 1, 60_001).map(|_| ());
    assert_eq!(late, Err(Reject::ChallengeUnknown));
    world.windows.rotate([6; 32], 31_000);
    let gone = world.welcome_for(&hello, &key, 1, 31_000).map(|_| ());
    assert_eq!(gone, Err(Reject::ChallengeUnknown));
}

#[test]
fn hello_with_any_flipped_byte_opens_nothing() {
    let world = World::new();
    let (_, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    for place in 0..hello.len() {
        let mut bad = hello.clone();
        bad[place] ^= 1 << (place % 8);
        // The channel id only selects candidates for the caller; the transcript binds it.
        assert!(world.welcome(&bad, 1).is_err(), "byte {place}");
    }
}

//= spec/postern.md#hello type=test
//# Both ends MUST verify the other's signature and recompute the transcript, else
//# `digest-mismatch`.
#[test]
fn welcome_of_another_handshake_is_refused() {
    let world = World::new();
    let (_, older) = world.greet(&world.challenge(1), &[21; 32]).unwrap();
    let cached = world.welcome(&older, 1).unwrap().frame;
    let (greeting, _) = world.greet(&world.challenge(2), &[22; 32]).unwrap();
    let refused = greeting.handle_welcome(&cached, 0).map(|_| ());
    assert_eq!(refused, Err(Reject::DigestMismatch));
}

//= spec/postern.md#sessions type=test
//# A device MUST refuse an answer whose counter is not the one of its request with
//# `answer-mismatch`.
#[test]
fn answer_from_a_cache_is_refused() {
    let mut world = World::new();
    let mut client = world.connect(1);
    let first = client.seal_request(&poll()).unwrap();
    let opened = world.sessions.open(&first.bytes, 0).unwrap();
    let session = world.sessions.session(opened.session).unwrap();
    let answer = session.seal_answer(1, &idle()).unwrap();
    let second = client.seal_request(&poll()).unwrap();
    let cached = client.open_answer(second.counter, &answer);
    assert_eq!(cached, Err(Reject::AnswerMismatch));
    let reflected = client.open_answer(second.counter, &second.bytes);
    assert_eq!(reflected, Err(Reject::FrameDirection));
    for place in 0..answer.len() {
        let mut bad = answer.clone();
        bad[place] ^= 4;
        assert!(client.open_answer(1, &bad).is_err(), "byte {place}");
    }
}

#[test]
fn poll_replayed_is_refused() {
    let mut world = World::new();
    let mut client = world.connect(1);
    let request = client.seal_request(&poll()).unwrap();
    assert!(world.sessions.open(&request.bytes, 0).is_ok());
    for now_ms in [0, 1_000] {
        let replayed = world.sessions.open(&request.bytes, now_ms).map(|_| ());
        assert_eq!(replayed, Err(Reject::SessionReplay));
    }
}

//= spec/postern.md#sessions type=test
//# A mailbox MUST keep the older session of a channel until the first frame that verifies under the
//# new one.
//= spec/postern.md#rejects type=test
//# A peer MUST NOT be able to end a process, close another's session or change a state by what is
//# refused.
#[test]
fn hello_alone_displaces_nothing() {
    let mut world = World::new();
    let mut older = world.connect(1);
    let first = older.seal_request(&poll()).unwrap();
    world.sessions.open(&first.bytes, 0).unwrap();
    let mut newer = world.connect(2);
    let again = older.seal_request(&poll()).unwrap();
    assert!(world.sessions.open(&again.bytes, 0).is_ok());
    let mut forged = newer.seal_request(&poll()).unwrap().bytes;
    *forged.last_mut().unwrap() ^= 1;
    let refused = world.sessions.open(&forged, 0).map(|_| ());
    assert_eq!(refused, Err(Reject::SessionMac));
    assert_eq!(world.sessions.confirmed(&1), Some(older.id()));
    let confirming = newer.seal_request(&poll()).unwrap();
    let opened = world.sessions.open(&confirming.bytes, 0).unwrap();
    assert_eq!(opened.displaced, Some(older.id()));
    let late = older.seal_request(&poll()).unwrap();
    let refused = world.sessions.open(&late.bytes, 0).map(|_| ());
    assert_eq!(refused, Err(Reject::SessionUnknown));
}

//= spec/postern.md#hello type=test
//# A mailbox MUST answer the same hello again with the same session, as long as that session lives.
#[test]
fn hello_sent_twice_keeps_one_session() {
    let mut world = World::new();
    let (greeting, hello) = world.greet(&world.challenge(1), &SEED).unwrap();
    let welcomed = world.welcome(&hello, 1).unwrap();
    let id = welcomed.pending.id();
    world.sessions.offer(1, welcomed.pending, 0).unwrap();
    let parsed = ReceivedHello::parse(&hello).unwrap();
    assert_eq!(world.sessions.find_same(&1, &parsed), Some(id));
    assert_eq!(world.sessions.find_same(&2, &parsed), None);
    let again = world.welcome(&hello, 1).unwrap();
    world.sessions.offer(1, again.pending, 0).unwrap();
    assert_eq!(world.sessions.len(), 1);
    let mut client = greeting.handle_welcome(&again.frame, 0).unwrap();
    let request = client.seal_request(&poll()).unwrap();
    assert!(world.sessions.open(&request.bytes, 0).is_ok());
    let replayed = world.welcome(&hello, 1).unwrap();
    world.sessions.offer(1, replayed.pending, 0).unwrap();
    let refused = world.sessions.open(&request.bytes, 0).map(|_| ());
    assert_eq!(refused, Err(Reject::SessionReplay));
}
