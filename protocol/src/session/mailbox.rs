//! The mailbox's side: answers asks and hellos without memory, then serves a small session.
//!
//! Checks stand in order of cost: shape, admission, challenge, signature, key agreement, digest.
//! Refuses to let a hello change anything but the table's pending place of its own channel.

use super::greeter::Admitted;
use super::keys::{SessionKeys, Transcript, ephemeral_public};
use super::replay::ReplayWindow;
use super::window::EphemeralWindows;
use crate::cbor::{Writer, decode_all};
use crate::envelope::{Draft, Expected, ReceivedEnvelope};
use crate::frame::{Direction, DownFrame, PlainFrame, SessionFrame, UpFrame, seal_down};
use crate::id::{Challenge, ChannelId, Digest, MailboxId, SessionId, TenantId, Thumbprint};
use crate::key::Signer;
use crate::kind::{MessageKind, Role};
use crate::limits::{KEY_CANDIDATES_MAX, MAILBOX_KEYS_MAX, SESSION_AGE_S_MAX};
use crate::reject::Reject;
use crate::revision::BundleNumber;
use crate::signed_time::SignedTime;
use alloc::vec::Vec;

/// A hello whose shape is right and whose signature nobody has looked at.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedHello<'a> {
    channel: ChannelId,
    envelope: ReceivedEnvelope<'a>,
    challenge: Challenge,
    device_ephemeral: [u8; 32],
}

impl<'a> ReceivedHello<'a> {
    /// Reads a hello frame. # Errors: a frame, envelope or CBOR reject; `shape`; `signer-role` for another kind.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Reject> {
        let PlainFrame::Hello { channel, hello } = PlainFrame::decode(frame, Direction::Up)? else {
            return Err(Reject::Shape);
        };
        let envelope = ReceivedEnvelope::parse(hello)?;
        if envelope.unverified_header().kind != MessageKind::SessionHello {
            return Err(Reject::SignerRole);
        }
        let (challenge, device_ephemeral) = decode_all(envelope.unverified_payload(), |reader| {
            reader.array_of(2)?;
            let challenge = Challenge::from_bytes(reader.bytes_of()?);
            Ok((challenge, reader.bytes_of()?))
        })?;
        Ok(Self {
            channel,
            envelope,
            challenge,
            device_ephemeral,
        })
    }

    /// Selects the candidates among devices; identifies nobody.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Selects the candidates among writers, by the same 16 bytes; identifies nobody.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        TenantId::from_bytes(*self.channel.as_bytes())
    }

    /// Selects the candidates among mailboxes, by the same 16 bytes; identifies nobody.
    #[must_use]
    pub const fn mailbox(&self) -> MailboxId {
        MailboxId::from_bytes(*self.channel.as_bytes())
    }

    /// The transcript hash that the hello claims: finds the session of the same hello sent twice.
    #[must_use]
    pub const fn unverified_transcript(&self) -> Option<Digest> {
        self.envelope.unverified_header().digest
    }

    /// The challenge that the hello claims to answer.
    #[must_use]
    pub const fn unverified_challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Verifies the hello against one ephemeral seed of the mailbox, whose challenge it answers.
    ///
    /// # Errors
    /// `not-admitted` without candidates, an envelope reject, `key-revoked`, `digest-mismatch`, `ephemeral-invalid`.
    pub fn verify(
        &self,
        mailbox: Thumbprint,
        ephemeral_seed: &[u8; 32],
        candidates: &[Admitted<'_>],
        revoked: impl Fn(&Thumbprint) -> bool,
    ) -> Result<AgreedHello, Reject> {
        let candidate = find_signer(self, candidates, revoked)?;
        let transcript = self
            .transcript(mailbox, ephemeral_public(ephemeral_seed))
            .digest();
        //= spec/postern.md#hello
        //# Both ends MUST verify the other's signature and recompute the transcript, else
        //# `digest-mismatch`.
        if self.unverified_transcript() != Some(transcript) {
            return Err(Reject::DigestMismatch);
        }
        let keys = SessionKeys::agree(ephemeral_seed, &self.device_ephemeral, &transcript)?;
        Ok(AgreedHello {
            candidate,
            transcript,
            keys,
        })
    }

    /// What both ends should have signed, when this mailbox key was named in the challenge.
    fn transcript(&self, mailbox: Thumbprint, mailbox_ephemeral: [u8; 32]) -> Transcript {
        Transcript {
            mailbox,
            challenge: self.challenge,
            device_ephemeral: self.device_ephemeral,
            mailbox_ephemeral,
            channel: self.channel,
        }
    }
}

/// What a verified hello agrees on.
#[derive(Debug)]
pub struct AgreedHello {
    /// Which of the candidates greeted.
    pub candidate: usize,
    /// The transcript hash.
    pub transcript: Digest,
    /// The keys of the session.
    pub keys: SessionKeys,
}

/// One key of a mailbox, and the bundles that list it.
#[derive(Clone, Copy)]
pub struct MailboxKey<'a> {
    /// The key.
    pub signer: &'a dyn Signer,
    /// The first bundle that lists it.
    pub first: BundleNumber,
    /// The last bundle that lists it; for a key still listed, the largest number.
    pub last: BundleNumber,
}

impl<'a> MailboxKey<'a> {
    /// A key that every bundle lists.
    #[must_use]
    pub const fn only(signer: &'a dyn Signer) -> Self {
        Self {
            signer,
            first: BundleNumber::new(1),
            last: BundleNumber::new(u64::MAX),
        }
    }

    fn is_listed_by(&self, bundle: BundleNumber) -> bool {
        (self.first..=self.last).contains(&bundle)
    }

    fn thumbprint(&self) -> Thumbprint {
        self.signer.public_key().thumbprint()
    }
}

/// Answers asks and hellos; everything it needs is lent by the caller.
#[derive(Clone)]
pub struct MailboxHandshake<'a> {
    /// The ephemeral keys.
    pub windows: &'a EphemeralWindows,
    /// The mailbox's keys, the newest first; at most `MAILBOX_KEYS_MAX` are used.
    pub keys: Vec<MailboxKey<'a>>,
    /// The bundle held, told in the welcome.
    pub bundle: BundleNumber,
    /// Life of a session in seconds, at most `SESSION_AGE_S_MAX`.
    pub age_max_s: u64,
    /// What the mailbox believes the time to be; `None` where it does not know.
    pub time: Option<SignedTime>,
}

/// The answer to a hello that verified.
#[derive(Debug)]
pub struct Welcomed {
    /// The welcome frame.
    pub frame: Vec<u8>,
    /// Which of the candidates greeted.
    pub candidate: usize,
    /// To be given to the table before the frame is sent.
    pub pending: PendingSession,
}

impl MailboxHandshake<'_> {
    /// Answers an ask with a challenge; `nonce` is 8 bytes that do not repeat within a window.
    ///
    /// # Errors
    /// A frame reject, `shape` for another frame, `mailbox-mismatch` without a key.
    pub fn answer_ask(&self, frame: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, Reject> {
        let PlainFrame::Ask { bundle } = PlainFrame::decode(frame, Direction::Up)? else {
            return Err(Reject::Shape);
        };
        let key = self.key_for(bundle).ok_or(Reject::MailboxMismatch)?;
        let window = self.windows.current();
        PlainFrame::Challenge {
            challenge: window.challenge(nonce),
            ephemeral: *window.public(),
            mailbox: key.thumbprint(),
        }
        .encode()
    }

    /// The keys that are used.
    fn keys(&self) -> impl Iterator<Item = &MailboxKey<'_>> {
        self.keys.iter().take(MAILBOX_KEYS_MAX)
    }

    //= spec/postern.md#hello
    //# A mailbox MUST challenge with the newest of its keys that the bundle of the ask lists, and
    //# else with its newest.
    /// The newest key that the asker's bundle lists, else the newest of all.
    fn key_for(&self, asked: Option<BundleNumber>) -> Option<&MailboxKey<'_>> {
        let listed = |asked| self.keys().find(|key| key.is_listed_by(asked));
        asked.and_then(listed).or_else(|| self.keys().next())
    }

    /// The key whose transcript the hello signs; a hello that signs none fails with the newest.
    fn key_of(&self, hello: &ReceivedHello<'_>, ephemeral: [u8; 32]) -> Option<&MailboxKey<'_>> {
        let is_signed = |key: &&MailboxKey<'_>| {
            let transcript = hello.transcript(key.thumbprint(), ephemeral).digest();
            hello.unverified_transcript() == Some(transcript)
        };
        let signed = if self.keys.len() > 1 {
            self.keys().find(is_signed)
        } else {
            None
        };
        signed.or_else(|| self.keys().next())
    }

    /// Verifies a hello and answers it with a welcome.
    ///
    /// `candidates` are whom the hello's id selects among those that are admitted, at most 4. `session` is
    /// [`Sessions::find_same`](super::Sessions::find_same) of this hello, else 4 fresh random bytes.
    ///
    /// # Errors
    /// `not-admitted`, `challenge-unknown`, `mailbox-mismatch` without a key, an envelope reject, `key-revoked`, `ephemeral-invalid`, `digest-mismatch`.
    pub fn handle_hello(
        &self,
        hello: &ReceivedHello<'_>,
        candidates: &[Admitted<'_>],
        revoked: impl Fn(&Thumbprint) -> bool,
        session: SessionId,
        now_ms: u64,
    ) -> Result<Welcomed, Reject> {
        if candidates.is_empty() {
            //= spec/postern.md#hello
            //# A mailbox MUST refuse a channel that it does not serve with `not-admitted`.
            return Err(Reject::NotAdmitted);
        }
        let window = self
            .windows
            //= spec/postern.md#hello
            //# A mailbox MUST refuse with `challenge-unknown` a challenge that it did not issue
            //# under an ephemeral key that it still has.
            .find(&hello.challenge, now_ms)
            .ok_or(Reject::ChallengeUnknown)?;
        let key = self
            .key_of(hello, *window.public())
            .ok_or(Reject::MailboxMismatch)?;
        let agreed = hello.verify(key.thumbprint(), window.secret(), candidates, revoked)?;
        //= spec/postern.md#sessions
        //# A mailbox MUST end a session at the age that its welcome names, which is at most 86400
        //# s.
        let age_max_s = self.age_max_s.min(SESSION_AGE_S_MAX);
        let admitted = candidates
            .get(agreed.candidate)
            .ok_or(Reject::NotAdmitted)?;
        let frame =
            self.seal_welcome(key.signer, admitted, agreed.transcript, session, age_max_s)?;
        let expires_ms = now_ms.saturating_add(age_max_s.saturating_mul(1_000));
        let session = ServerSession::new(session, agreed.keys, agreed.transcript, expires_ms);
        Ok(Welcomed {
            frame,
            candidate: agreed.candidate,
            pending: PendingSession::new(session),
        })
    }

    fn seal_welcome(
        &self,
        signer: &dyn Signer,
        admitted: &Admitted<'_>,
        transcript: Digest,
        session: SessionId,
        age_max_s: u64,
    ) -> Result<Vec<u8>, Reject> {
        let mut payload = Writer::new();
        payload
            .array(if self.time.is_some() { 4 } else { 3 })
            .bytes(session.as_bytes())
            .uint(self.bundle.number())
            .uint(age_max_s);
        SignedTime::write_last(&mut payload, self.time);
        let draft = Draft {
            header: super::client::header(MessageKind::SessionWelcome, transcript),
            payload: payload.into_bytes(),
        };
        let welcome = draft.seal(Role::Mailbox, admitted.greeter.binding(), signer)?;
        PlainFrame::Welcome {
            welcome: welcome.as_bytes(),
        }
        .encode()
    }
}

//= spec/postern.md#channel
//# A channel id MUST NOT be used as the identity of a channel: it only selects one.
/// Finds the candidate whose key signed in its own role, and for its own place.
fn find_signer(
    hello: &ReceivedHello<'_>,
    candidates: &[Admitted<'_>],
    revoked: impl Fn(&Thumbprint) -> bool,
) -> Result<usize, Reject> {
    if candidates.is_empty() {
        return Err(Reject::NotAdmitted);
    }
    let mut refusal = Reject::KeyUnknown;
    for (place, admitted) in candidates.iter().take(KEY_CANDIDATES_MAX).enumerate() {
        let binding = admitted.greeter.binding();
        let expected = Expected {
            role: admitted.greeter.role(),
            plane: None,
        };
        match hello
            .envelope
            .verify(expected, binding, [admitted.key], &revoked)
        {
            Ok(_) => return Ok(place),
            Err(Reject::KeyUnknown) => {}
            Err(reject) => refusal = reject,
        }
    }
    Err(refusal)
}

/// A session that no frame has confirmed yet: worth nothing until one does.
#[derive(Debug)]
pub struct PendingSession(pub(super) ServerSession);

impl PendingSession {
    /// Calls a session pending.
    #[must_use]
    pub const fn new(session: ServerSession) -> Self {
        Self(session)
    }

    /// The session's name on the wire.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.0.id
    }
}

/// The mailbox's end of a session: two keys, a transcript hash, a window and two numbers, 128 bytes.
#[derive(Debug)]
pub struct ServerSession {
    pub(super) id: SessionId,
    pub(super) keys: SessionKeys,
    pub(super) transcript: Digest,
    pub(super) counters: ReplayWindow,
    pub(super) expires_ms: u64,
}

impl ServerSession {
    /// Starts from agreed keys, with no counter seen, until `expires_ms` of the caller's clock.
    #[must_use]
    pub const fn new(
        id: SessionId,
        keys: SessionKeys,
        transcript: Digest,
        expires_ms: u64,
    ) -> Self {
        Self {
            id,
            keys,
            transcript,
            counters: ReplayWindow::new(),
            expires_ms,
        }
    }

    /// The session's name on the wire.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Opens a request: tag, counter, replay, then the body.
    ///
    /// # Errors
    /// `session-unknown` for another session's frame; `session-mac`; `counter-exhausted`;
    /// `session-replay`; the body's rejects, which come from the authenticated peer itself.
    pub fn open<'a>(&mut self, frame: &SessionFrame<'a>) -> Result<(u16, UpFrame<'a>), Reject> {
        if frame.session() != self.id {
            return Err(Reject::SessionUnknown);
        }
        let body = frame.verify(&self.keys.up)?;
        //= spec/postern.md#sessions
        //# A mailbox MUST count a counter that it took as seen, also when it refuses the body.
        self.counters.take(body.counter())?;
        Ok((body.counter(), body.decode_up()?))
    }

    /// Writes the answer to the request with this counter. # Errors: `oversize`, `counter-exhausted` for 0.
    pub fn seal_answer(&self, counter: u16, answer: &DownFrame<'_>) -> Result<Vec<u8>, Reject> {
        seal_down(&self.keys.down, self.id, counter, answer)
    }
}
