//! The greeting side: a handshake whose phases hold only their own data, then a session.
//!
//! The same for a device, a writer and a mailbox: [`Identity`] says who greets.
//!
//! A transition consumes its phase: a handshake that failed is started anew with a fresh seed.
//! Refuses a mailbox that the bundle does not name, before it signs anything for it.

use super::greeter::{Greeter, Identity};
use super::keys::{SessionKeys, Transcript, ephemeral_public};
use crate::cbor::{Writer, decode_all};
use crate::envelope::{Draft, Expected, Header, ReceivedEnvelope};
use crate::frame::{
    Direction, DownFrame, PlainFrame, SessionFrame, StreamAnswer, StreamIndex, UpFrame, seal_up,
};
use crate::id::{Channel, Digest, Incarnation, SessionId, Tenant, Thumbprint};
use crate::key::PublicKey;
use crate::kind::{MessageKind, Role};
use crate::limits::{COUNTER_MAX, SESSION_AGE_S_MAX};
use crate::message::read_session_age;
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Seq};
use crate::signed_time::SignedTime;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Counter from which a session should be replaced before it is exhausted. Arbitrary.
const COUNTER_RENEW: u64 = COUNTER_MAX - 1_024;
const _: () = assert!(COUNTER_RENEW == 64_511);

/// An ask is under way.
#[derive(Debug)]
pub struct Asking(());

/// A hello is under way.
#[derive(Debug)]
pub struct Greeting {
    mailbox: PublicKey,
    greeter: Owned,
    transcript: Digest,
    keys: SessionKeys,
}

/// A [`Greeter`] that outlives the call.
#[derive(Debug)]
enum Owned {
    Device(Box<Channel>, Incarnation),
    Writer(Thumbprint, Tenant),
    Mailbox(Thumbprint, Thumbprint),
}

impl From<Greeter<'_>> for Owned {
    fn from(greeter: Greeter<'_>) -> Self {
        match greeter {
            Greeter::Device {
                channel,
                incarnation,
            } => Self::Device(Box::new(channel.clone()), incarnation),
            Greeter::Writer { root, tenant } => Self::Writer(root, tenant.clone()),
            Greeter::Mailbox { root, mailbox } => Self::Mailbox(root, mailbox),
        }
    }
}

impl Owned {
    fn lend(&self) -> Greeter<'_> {
        match self {
            Self::Device(channel, incarnation) => Greeter::Device {
                channel,
                incarnation: *incarnation,
            },
            Self::Writer(root, tenant) => Greeter::Writer {
                root: *root,
                tenant,
            },
            Self::Mailbox(root, mailbox) => Greeter::Mailbox {
                root: *root,
                mailbox: *mailbox,
            },
        }
    }
}

impl Asking {
    /// Begins a handshake and returns the ask frame, which names the bundle that its sender holds.
    ///
    /// # Errors
    /// None that can occur; the type is that of every encoder.
    pub fn start(bundle: BundleNumber) -> Result<(Self, Vec<u8>), Reject> {
        let bundle = (bundle.number() > 0).then_some(bundle);
        Ok((Self(()), PlainFrame::Ask { bundle }.encode()?))
    }

    /// Takes the challenge frame and returns the hello frame.
    ///
    /// `mailboxes` are the keys of the bundle that may answer here; naming only the one that was
    /// dialled is strictest.
    ///
    /// `ephemeral_seed` is 32 fresh random bytes, used for this handshake only.
    ///
    /// # Errors
    /// A frame reject; `shape` for another frame; `mailbox-mismatch`; `ephemeral-invalid`.
    pub fn handle_challenge<'k>(
        self,
        frame: &[u8],
        mailboxes: impl IntoIterator<Item = &'k PublicKey>,
        identity: Identity<'_>,
        ephemeral_seed: &[u8; 32],
    ) -> Result<(Greeting, Vec<u8>), Reject> {
        let PlainFrame::Challenge {
            challenge,
            ephemeral,
            mailbox: named,
        } = PlainFrame::decode(frame, Direction::Down)?
        else {
            return Err(Reject::Shape);
        };
        let mailbox = mailboxes
            .into_iter()
            //= spec/postern.md#hello
            //# A device MUST refuse a challenge whose mailbox thumbprint its bundle does not list
            //# with `mailbox-mismatch`.
            .find(|key| key.thumbprint() == named)
            .ok_or(Reject::MailboxMismatch)?;
        let channel = identity.greeter.id();
        let device_ephemeral = ephemeral_public(ephemeral_seed);
        let transcript = Transcript {
            mailbox: named,
            challenge,
            device_ephemeral,
            mailbox_ephemeral: ephemeral,
            channel,
        }
        .digest();
        let keys = SessionKeys::agree(ephemeral_seed, &ephemeral, &transcript)?;
        let mut payload = Writer::new();
        payload
            .array(2)
            .bytes(challenge.as_bytes())
            .bytes(&device_ephemeral);
        let draft = Draft {
            header: header(MessageKind::SessionHello, transcript),
            payload: payload.into_bytes(),
        };
        let (role, binding) = (identity.greeter.role(), identity.greeter.binding());
        let hello = draft.seal(role, binding, identity.signer)?;
        let frame = PlainFrame::Hello {
            channel,
            hello: hello.as_bytes(),
        }
        .encode()?;
        let greeting = Greeting {
            mailbox: mailbox.clone(),
            greeter: identity.greeter.into(),
            transcript,
            keys,
        };
        Ok((greeting, frame))
    }
}

impl Greeting {
    /// The mailbox that is greeted; the welcome proves it.
    #[must_use]
    pub fn mailbox(&self) -> Thumbprint {
        self.mailbox.thumbprint()
    }

    /// Takes the welcome frame and opens the session. `now_ms` is of the caller's monotonic clock.
    ///
    /// # Errors
    /// A frame or envelope reject; `shape` for another frame; `key-unknown` and
    /// `signature-invalid` for another signer; `digest-mismatch` for another handshake's welcome.
    pub fn handle_welcome(self, frame: &[u8], now_ms: u64) -> Result<ClientSession, Reject> {
        let PlainFrame::Welcome { welcome } = PlainFrame::decode(frame, Direction::Down)? else {
            return Err(Reject::Shape);
        };
        let received = ReceivedEnvelope::parse(welcome)?;
        // A mailbox signs hellos too.
        if received.unverified_header().kind != MessageKind::SessionWelcome {
            return Err(Reject::SignerRole);
        }
        let expected = Expected {
            role: Role::Mailbox,
            plane: None,
        };
        let binding = self.greeter.lend().binding();
        let verified =
            //= spec/postern.md#hello
            //# A device MUST verify the welcome with the mailbox key that the bundle lists under
            //# the challenge's thumbprint.
            received
                .verify(expected, binding, [&self.mailbox], |_| false)?;
        let (id, bundle, age_s, time) = decode_all(verified.payload(), |reader| {
            let has_time = SignedTime::read_array(reader, 3)?;
            let id = SessionId::from_bytes(reader.bytes_of()?);
            let (bundle, age_s) = (BundleNumber::new(reader.uint()?), read_session_age(reader)?);
            let time = SignedTime::read_last(reader, has_time)?;
            Ok((id, bundle, age_s, time))
        })?;
        //= spec/postern.md#hello
        //# Both ends MUST verify the other's signature and recompute the transcript, else
        //# `digest-mismatch`.
        if verified.header().digest != Some(self.transcript) {
            return Err(Reject::DigestMismatch);
        }
        let session = ClientSession::new(id, self.keys, bundle, age_s, now_ms);
        Ok(ClientSession { time, ..session })
    }
}

/// The header of a hello or welcome.
pub(super) fn header(kind: MessageKind, transcript: Digest) -> Header {
    Header {
        kind,
        epoch: Epoch::new(0),
        seq: Seq::new(0),
        base: Seq::new(0),
        digest: Some(transcript),
    }
}

/// A request to be sent once; its answer must carry the same counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What [`ClientSession::open_answer`] wants back.
    pub counter: u16,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// The client's end of a session.
#[derive(Debug)]
pub struct ClientSession {
    id: SessionId,
    keys: SessionKeys,
    bundle: BundleNumber,
    opened_ms: u64,
    age_max_ms: u64,
    last_counter: u16,
    time: Option<SignedTime>,
}

impl ClientSession {
    /// Starts from agreed keys, with no counter used. `age_max_s` is clamped to a day.
    #[must_use]
    pub fn new(
        id: SessionId,
        keys: SessionKeys,
        bundle: BundleNumber,
        age_max_s: u64,
        now_ms: u64,
    ) -> Self {
        Self {
            id,
            keys,
            bundle,
            opened_ms: now_ms,
            age_max_ms: age_max_s.min(SESSION_AGE_S_MAX).saturating_mul(1_000),
            last_counter: 0,
            time: None,
        }
    }

    /// The session's name on the wire.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The bundle that the mailbox held at the welcome.
    #[must_use]
    pub const fn bundle(&self) -> BundleNumber {
        self.bundle
    }

    /// The time that the mailbox stated in its welcome, which answers this end's fresh ephemeral key.
    #[must_use]
    pub const fn time(&self) -> Option<SignedTime> {
        self.time
    }

    //= spec/postern.md#sessions
    //# A device MUST use each counter of a session once, ascending, and open a new session before
    //# it runs out of them.
    /// Tells whether the session has ended by age or has no counter left.
    #[must_use]
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms) >= self.age_max_ms || u64::from(self.last_counter) >= COUNTER_MAX
    }

    /// Tells whether a new handshake should begin while this session still serves: at 3/4 of its age.
    #[must_use]
    pub fn is_renewal_due(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms) >= self.age_max_ms / 4 * 3
            || u64::from(self.last_counter) >= COUNTER_RENEW
    }

    const fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.opened_ms)
    }

    /// Writes a request under the next counter.
    ///
    /// # Errors
    /// `counter-exhausted` after 65535 requests; `oversize`, `shape`, `hold-range` for a body that no peer would take.
    pub fn seal_request(&mut self, body: &UpFrame<'_>) -> Result<Request, Reject> {
        let counter = self
            .last_counter
            .checked_add(1)
            .ok_or(Reject::CounterExhausted)?;
        let bytes = seal_up(&self.keys.up, self.id, counter, body)?;
        self.last_counter = counter;
        Ok(Request { counter, bytes })
    }

    /// Reads the answer to the request with this counter.
    ///
    /// # Errors
    /// A frame reject; `session-unknown` for another session; `session-mac`; `answer-mismatch`.
    pub fn open_answer<'a>(&self, counter: u16, bytes: &'a [u8]) -> Result<DownFrame<'a>, Reject> {
        let frame = SessionFrame::split(bytes, Direction::Down)?;
        if frame.session() != self.id {
            return Err(Reject::SessionUnknown);
        }
        let body = frame.verify(&self.keys.down)?;
        //= spec/postern.md#sessions
        //# A device MUST refuse an answer whose counter is not the one of its request with
        //# `answer-mismatch`.
        if body.counter() != counter {
            return Err(Reject::AnswerMismatch);
        }
        body.decode_down()
    }

    /// Reads the next answer to the stream with this counter. What is refused moves nothing on.
    ///
    /// # Errors
    /// As [`Self::open_answer`]; `answer-mismatch` for a frame of another type; `stream-order`.
    pub fn open_stream_answer<'a>(
        &self,
        counter: u16,
        index: &mut StreamIndex,
        bytes: &'a [u8],
    ) -> Result<StreamAnswer<'a>, Reject> {
        let DownFrame::StreamAnswer(answer) = self.open_answer(counter, bytes)? else {
            return Err(Reject::AnswerMismatch);
        };
        index.take(answer.index)?;
        Ok(answer)
    }
}
