//! What stands between device and mailbox: the requests that were sent, and answers sealed to them.
//!
//! Refuses to judge a request: what a device sends is shown, not checked, but for its hello.

use super::node::Node;
use crate::request::{Fault, array, bytes, present, text, uint, wrong};
use hmac::{Hmac, KeyInit as _, Mac as _};
use postern_protocol::cbor;
use postern_protocol::device::Exchange;
use postern_protocol::frame::{
    Answer, Direction, DownFrame, FrameType, PlainFrame, SessionFrame, frame_type, seal_down,
};
use postern_protocol::id::{SessionId, Thumbprint};
use postern_protocol::key::Signer as _;
use postern_protocol::session::{Admitted, ReceivedHello, SessionKeys, ephemeral_public};
use serde_json::Value as Json;
use sha2::Sha256;
use std::collections::BTreeMap;

/// Bytes of a tag.
const TAG_BYTES: usize = 8;

/// The names of the requests that a step can answer.
const REQUESTS: &[(&str, FrameType)] = &[
    ("ask", FrameType::Ask),
    ("hello", FrameType::Hello),
    ("poll", FrameType::Poll),
    ("post", FrameType::Post),
    ("need", FrameType::Need),
    ("fetch", FrameType::Fetch),
    ("put", FrameType::Put),
];

/// Returns the name of a request.
pub(super) fn name_of(kind: FrameType) -> &'static str {
    let found = REQUESTS.iter().find(|(_, known)| *known == kind);
    found.map_or("other", |(name, _)| name)
}

/// The requests that a device sent.
#[derive(Debug, Default)]
pub(super) struct Carrier {
    /// The newest request of each type.
    newest: BTreeMap<u8, Exchange>,
    /// The mailbox that the newest challenge names, and the secret behind it.
    challenged: Option<(Thumbprint, [u8; 32])>,
    /// Keys of the newest hello, until a request shows the id of its session.
    greeted: Option<SessionKeys>,
    sessions: BTreeMap<[u8; 4], SessionKeys>,
}

impl Carrier {
    /// Keeps a request that the device sends. Returns its type.
    pub(super) fn note(&mut self, node: &Node, exchange: &Exchange) -> Result<FrameType, Fault> {
        let kind = frame_type(&exchange.frame)?;
        if kind == FrameType::Hello {
            self.greeted = Some(self.agree(node, &exchange.frame)?);
        } else if kind.is_in_session() {
            let session = *session_of(&exchange.frame)?.0.as_bytes();
            if let Some(keys) = self.greeted.take() {
                self.sessions.insert(session, keys);
            }
        }
        self.newest.insert(kind.number(), exchange.clone());
        Ok(kind)
    }

    /// Keys of the session that a hello opens, as the mailbox derives them.
    fn agree(&self, node: &Node, frame: &[u8]) -> Result<SessionKeys, Fault> {
        let unknown = || wrong("a challenge shows the public key of none of mailbox_seeds");
        let (mailbox, seed) = self.challenged.ok_or_else(unknown)?;
        let hello = ReceivedHello::parse(frame)?;
        let identity = node.identity();
        let key = node.signer().public_key();
        let admitted = Admitted::device(&identity.channel, identity.incarnation, key);
        Ok(hello.verify(mailbox, &seed, &[admitted], |_| false)?.keys)
    }

    /// Looks at an answer that is given as bytes: a challenge says which secret counts.
    pub(super) fn note_answer(&mut self, seeds: &[[u8; 32]], frame: &[u8]) {
        if let Ok(PlainFrame::Challenge {
            ephemeral, mailbox, ..
        }) = PlainFrame::decode(frame, Direction::Down)
        {
            let found = seeds
                .iter()
                .find(|seed| ephemeral_public(seed) == ephemeral);
            self.challenged = found.map(|seed| (mailbox, *seed));
        }
    }

    /// The newest request of the type that `to` names. # Errors: [`Fault::Unsupported`].
    pub(super) fn request(&self, input: &Json) -> Result<&Exchange, Fault> {
        let to = text(input, "to")?;
        let kind = REQUESTS.iter().find(|(name, _)| *name == to);
        let (_, kind) = kind.ok_or_else(|| wrong("to names no request"))?;
        let request = self.newest.get(&kind.number());
        request.ok_or_else(|| Fault::Unsupported(format!("no {to} was sent")))
    }

    /// Makes the answer of a step: bytes as they are, or sealed to the request.
    pub(super) fn answer(&self, request: &Exchange, input: &Json) -> Result<Vec<u8>, Fault> {
        if present(input, "frame").is_some() {
            return bytes(input, "frame");
        }
        let (session, counter) = session_of(&request.frame)?;
        let change = present(input, "change").unwrap_or(&Json::Null);
        let later = present(change, "later").map_or(Ok(0), |_| uint(change, "later"))?;
        let earlier = present(change, "earlier").map_or(Ok(0), |_| uint(change, "earlier"))?;
        let counter = u64::from(counter)
            .saturating_add(later)
            .saturating_sub(earlier);
        let named = match present(change, "session") {
            Some(_) => array(change, "session")?,
            None => *session.as_bytes(),
        };
        let kind = u8::try_from(uint(input, "type")?).map_err(|_| wrong("type has 8 bits"))?;
        let mut number = cbor::Writer::new();
        number.uint(counter);
        let mut frame = Vec::from([kind]);
        frame.extend_from_slice(&named);
        frame.extend_from_slice(number.as_bytes());
        frame.extend_from_slice(&bytes(input, "body")?);
        frame.extend_from_slice(&self.tag(session, &frame)?);
        if let (Some(_), Some(last)) = (present(change, "flip"), frame.last_mut()) {
            *last ^= 1;
        }
        Ok(frame)
    }

    fn keys(&self, session: SessionId) -> Result<&SessionKeys, Fault> {
        let keys = self.sessions.get(session.as_bytes());
        keys.ok_or_else(|| wrong("the keys of a session are not known"))
    }

    fn tag(&self, session: SessionId, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        let key = self.keys(session)?.down.danger_bytes();
        let mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| wrong("a key has no size"))?;
        let tag = mac.chain_update(frame).finalize().into_bytes();
        Ok(tag.into_iter().take(TAG_BYTES).collect())
    }

    /// Takes a post or a put, as a mailbox that refuses nothing does.
    pub(super) fn take_post(&self, exchange: &Exchange) -> Result<Vec<u8>, Fault> {
        let (session, counter) = session_of(&exchange.frame)?;
        let key = &self.keys(session)?.down;
        Ok(seal_down(
            key,
            session,
            counter,
            &DownFrame::Answer(Answer::default()),
        )?)
    }
}

/// The session and counter of a request.
pub(super) fn session_of(frame: &[u8]) -> Result<(SessionId, u16), Fault> {
    let split = SessionFrame::split(frame, Direction::Up)?;
    Ok((split.session(), split.danger_unverified_body()?.counter()))
}
