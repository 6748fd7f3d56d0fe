//! The operations of sessions: handshake, frames in order, two sessions of one channel, the pace of needs.
//!
//! Whom a mailbox serves comes from the request. Refuses to draw anything: ephemerals are given.

use crate::published;
use crate::request::{
    Fault, Given, array, bytes, channel_below, given, hex, key, nothing, number, rows, scenario,
    text, thumbprint, uint, wrong,
};
use postern_protocol::Reject;
use postern_protocol::frame::{FrameKey, StreamIndex};
use postern_protocol::id::{
    Challenge, Channel, ChannelId, DeviceName, Digest, Incarnation, Plane, SessionId, Tenant,
};
use postern_protocol::key::{MemorySigner, PublicKey, Signer as _};
use postern_protocol::revision::BundleNumber;
use postern_protocol::session::{
    Admitted, AgreedHello, Asking, ClientSession, Identity, NeedLimiter, PendingSession,
    ReceivedHello, ServerSession, SessionKeys, Sessions, Transcript, ephemeral_public,
};
use serde_json::Value as Json;

/// Sessions that one scenario holds at most. Two are the most that a channel ever has.
const SESSIONS_MAX: usize = 4;

/// Seconds of a session whose age decides nothing here.
const AGE_S: u64 = 60;

fn keys_of(json: &Json) -> Result<SessionKeys, Fault> {
    Ok(SessionKeys {
        up: FrameKey::from_bytes(array(json, "key_up")?),
        down: FrameKey::from_bytes(array(json, "key_down")?),
    })
}

/// Transcript and keys of a session; both ends where both secrets are given.
pub(crate) fn derive(request: &Json) -> Given {
    let seed: [u8; 32] = array(request, "mailbox_seed")?;
    let transcript = Transcript {
        mailbox: thumbprint(request, "mailbox_thumbprint")?,
        challenge: Challenge::from_bytes(array(request, "challenge")?),
        device_ephemeral: array(request, "device_ephemeral")?,
        mailbox_ephemeral: array(request, "mailbox_ephemeral")?,
        channel: ChannelId::from_bytes(array(request, "channel_id")?),
    };
    let digest = transcript.digest();
    let keys = SessionKeys::agree(&seed, &transcript.device_ephemeral, &digest)?;
    if ephemeral_public(&seed) != transcript.mailbox_ephemeral {
        return Err(wrong("mailbox_seed is of another mailbox_ephemeral"));
    }
    if request.get("device_seed").is_some() {
        let device: [u8; 32] = array(request, "device_seed")?;
        let other = SessionKeys::agree(&device, &transcript.mailbox_ephemeral, &digest)?;
        let pairs = [(&other.up, &keys.up), (&other.down, &keys.down)];
        if pairs
            .iter()
            .any(|(one, two)| one.danger_bytes() != two.danger_bytes())
        {
            return Err(wrong("device_seed is of another device_ephemeral"));
        }
    }
    agreed(&digest, &keys)
}

fn agreed(transcript: &Digest, keys: &SessionKeys) -> Given {
    given([
        ("transcript", hex(transcript.as_bytes())),
        ("key_up", hex(keys.up.danger_bytes())),
        ("key_down", hex(keys.down.danger_bytes())),
    ])
}

/// A challenge, as a device judges it.
pub(crate) fn challenge(request: &Json) -> Given {
    let mailboxes = rows(request, "mailboxes")?
        .iter()
        .map(|row| published::key_of(row.as_str().unwrap_or_default()))
        .collect::<Result<Vec<_>, _>>()?;
    let signer = MemorySigner::from_seed(&[1; 32]);
    let channel = Channel {
        root: signer.public_key().thumbprint(),
        tenant: Tenant::parse("acme")?,
        device: DeviceName::parse("press-7")?,
    };
    let device = Identity::device(&channel, Incarnation::from_bytes([2; 16]), &signer);
    let (asking, _) = Asking::start(BundleNumber::new(0))?;
    asking.handle_challenge(&bytes(request, "frame")?, &mailboxes, device, &[3; 32])?;
    nothing()
}

/// The secret that belongs to the challenge of a hello. # Errors: `challenge-unknown`.
fn issued(request: &Json, hello: &ReceivedHello<'_>) -> Result<[u8; 32], Fault> {
    for row in rows(request, "issued")? {
        if bytes(row, "challenge")? == hello.unverified_challenge().as_bytes() {
            return array(row, "mailbox_seed");
        }
    }
    Err(Reject::ChallengeUnknown.into())
}

fn welcomed(
    request: &Json,
    hello: &ReceivedHello<'_>,
    candidates: &[Admitted<'_>],
) -> Result<AgreedHello, Fault> {
    if candidates.is_empty() {
        return Err(Reject::NotAdmitted.into());
    }
    let seed = issued(request, hello)?;
    let mailbox = thumbprint(request, "mailbox_thumbprint")?;
    Ok(hello.verify(mailbox, &seed, candidates, |_| false)?)
}

/// The hello of a device, as a mailbox judges it.
pub(crate) fn hello(request: &Json) -> Given {
    let frame = bytes(request, "frame")?;
    let hello = ReceivedHello::parse(&frame)?;
    let mut known: Vec<(Channel, Incarnation, PublicKey)> = Vec::new();
    for row in rows(request, "channels")? {
        if bytes(row, "channel_id")? == hello.channel().as_bytes() {
            let incarnation = Incarnation::from_bytes(array(row, "incarnation")?);
            known.push((
                channel_below(row, "root")?,
                incarnation,
                key(row, "public_key")?,
            ));
        }
    }
    let candidates: Vec<Admitted<'_>> = known
        .iter()
        .map(|(channel, incarnation, key)| Admitted::device(channel, *incarnation, key))
        .collect();
    let session = welcomed(request, &hello, &candidates)?;
    agreed(&session.transcript, &session.keys)
}

/// The hello of a writer or of another mailbox, as a mailbox judges it.
pub(crate) fn greeting(request: &Json) -> Given {
    let frame = bytes(request, "frame")?;
    let hello = ReceivedHello::parse(&frame)?;
    for row in rows(request, "greeters")? {
        let role = text(row, "role")?;
        let selects = match role {
            "writer" => *hello.tenant().as_bytes(),
            "mailbox" => *hello.mailbox().as_bytes(),
            _ => return Err(wrong("a device greets in session.hello")),
        };
        if bytes(row, "id")? != selects {
            continue;
        }
        let (root, key) = (thumbprint(row, "root")?, key(row, "public_key")?);
        let tenant = Tenant::parse(text(row, "tenant")?);
        let admitted = match &tenant {
            Ok(tenant) => Admitted::writer(root, tenant, &key),
            Err(_) => Admitted::mailbox(root, &key),
        };
        let session = welcomed(request, &hello, &[admitted])?;
        let mut outputs = agreed(&session.transcript, &session.keys)?;
        outputs.insert("greeter".into(), role.into());
        return Ok(outputs);
    }
    Err(Reject::NotAdmitted.into())
}

/// A welcome, as a device judges it.
pub(crate) fn welcome(request: &Json) -> Given {
    let mailbox = key(request, "mailbox_key")?;
    let channel = channel_below(request, "root")?;
    let signer = MemorySigner::from_seed(&[1; 32]);
    let incarnation = Incarnation::from_bytes(array(request, "incarnation")?);
    let device = Identity::device(&channel, incarnation, &signer);
    let (asking, _) = Asking::start(BundleNumber::new(0))?;
    let seed = array(request, "device_seed")?;
    let challenge = bytes(request, "challenge_frame")?;
    let (greeting, _) = asking.handle_challenge(&challenge, [&mailbox], device, &seed)?;
    let session = greeting.handle_welcome(&bytes(request, "frame")?, 0)?;
    let mut outputs = given([("session_id", hex(session.id().as_bytes()))])?;
    if let Some(time) = session.time() {
        outputs.insert("unix_s".into(), time.unix_s().into());
    }
    Ok(outputs)
}

fn pending(json: &Json, mark: u8) -> Result<PendingSession, Fault> {
    let id = SessionId::from_bytes(array(json, "session_id")?);
    let transcript = Digest::from_bytes([mark; 32]);
    Ok(PendingSession::new(ServerSession::new(
        id,
        keys_of(json)?,
        transcript,
        u64::MAX,
    )))
}

/// Frames that a mailbox receives.
pub(crate) fn up(request: &Json) -> Given {
    let mut sessions = Sessions::new(SESSIONS_MAX);
    sessions.offer((), pending(request, 1)?, 0)?;
    scenario(request, |step| {
        sessions.open(&bytes(step, "frame")?, 0)?;
        nothing()
    })
}

/// Frames that a device receives.
pub(crate) fn down(request: &Json) -> Given {
    let id = SessionId::from_bytes(array(request, "session_id")?);
    let session = ClientSession::new(id, keys_of(request)?, BundleNumber::new(1), AGE_S, 0);
    scenario(request, |step| {
        let counter = u16::try_from(uint(step, "request")?);
        let counter = counter.map_err(|_| wrong("a counter has 16 bits"))?;
        session.open_answer(counter, &bytes(step, "frame")?)?;
        nothing()
    })
}

/// Answers to one stream, in the order in which they come; nothing follows one that is refused.
pub(crate) fn stream(request: &Json) -> Given {
    let id = SessionId::from_bytes(array(request, "session_id")?);
    let session = ClientSession::new(id, keys_of(request)?, BundleNumber::new(1), AGE_S, 0);
    let short = |name| u16::try_from(uint(request, name)?).map_err(|_| wrong("16 bits at most"));
    let counter = short("request")?;
    let mut index = StreamIndex::new(short("frames")?);
    scenario(request, |step| {
        session.open_stream_answer(counter, &mut index, &bytes(step, "frame")?)?;
        nothing()
    })
}

/// Two sessions of one channel: the newer one counts from its first frame.
pub(crate) fn switch(request: &Json) -> Given {
    let part = |name: &str| {
        request
            .get(name)
            .ok_or_else(|| wrong("older or newer is missing"))
    };
    let mut sessions = Sessions::new(SESSIONS_MAX);
    sessions.offer((), pending(part("older")?, 1)?, 0)?;
    let mut newer = Some(pending(part("newer")?, 2)?);
    scenario(request, |step| {
        let opened = sessions.open(&bytes(step, "frame")?, 0).map(|_| ());
        if let Some(newer) = newer.take() {
            sessions.offer((), newer, 0)?;
        }
        opened?;
        nothing()
    })
}

/// Needs over time.
pub(crate) fn need(request: &Json) -> Given {
    let mut limiter = NeedLimiter::default();
    scenario(request, |step| {
        let plane = step.get("plane").and_then(number);
        let plane = plane.ok_or_else(|| wrong("plane is no number"))?;
        limiter.take(Plane::from_number(plane)?, uint(step, "at_ms")?)?;
        nothing()
    })
}
