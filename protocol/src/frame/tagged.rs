//! Session frames as bytes: split before, opened after the tag verifies.
//!
//! [`VerifiedBody`] has one constructor, [`SessionFrame::verify`]. Refuses to compare tags in
//! anything but constant time, and to read a body that nobody authenticated.

use super::{Direction, DownFrame, FrameType, UpFrame, check_size, first_cbor_reject, frame_type};
use crate::cbor::{Reader, Writer};
use crate::id::SessionId;
use crate::limits::COUNTER_MAX;
use crate::reject::Reject;
use alloc::vec::Vec;
use core::fmt;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of the tag (spec: #frames).
const TAG_BYTES: usize = 8;

/// Authenticates the frames of one direction of one session; wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct FrameKey([u8; 32]);

impl FrameKey {
    /// Wraps 32 secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the secret bytes, for tests against published vectors and for a server that goes on
    /// in another process.
    #[must_use]
    pub const fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn mac(&self) -> Hmac<Sha256> {
        let Ok(mac) = Hmac::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of any length")
        };
        mac
    }

    //= spec/postern.md#sessions
    //# The tag MUST be the first 8 bytes of HMAC-SHA256(key, all bytes of the frame before the
    //# tag), with key_up for types that go up and key_down for types that go down.
    pub(crate) fn tag(&self, authenticated: &[u8]) -> [u8; TAG_BYTES] {
        let full: [u8; 32] = self
            .mac()
            .chain_update(authenticated)
            .finalize()
            .into_bytes()
            .into();
        let [a, b, c, d, e, f, g, h, ..] = full;
        [a, b, c, d, e, f, g, h]
    }

    /// Compares a tag, perhaps shortened, in constant time.
    pub(crate) fn verifies(&self, authenticated: &[u8], tag: &[u8]) -> bool {
        self.mac()
            .chain_update(authenticated)
            //= spec/postern.md#sessions
            //# A receiver MUST compare the tag in constant time and refuse another with
            //# `session-mac`.
            .verify_truncated_left(tag)
            .is_ok()
    }
}

impl fmt::Debug for FrameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameKey(..)")
    }
}

/// A session frame whose tag nobody has checked: only type and session id can be seen.
#[derive(Debug, Clone, Copy)]
pub struct SessionFrame<'a> {
    frame_type: FrameType,
    session: SessionId,
    authenticated: &'a [u8],
    body: &'a [u8],
    tag: &'a [u8],
}

/// A body that the session's key authenticates, counter first.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedBody<'a> {
    frame_type: FrameType,
    counter: u16,
    rest: &'a [u8],
}

impl<'a> SessionFrame<'a> {
    /// Splits a frame that travelled in `direction`.
    ///
    /// # Errors
    /// `oversize`, `frame-unknown`, `frame-direction`, `shape` for a frame without session or
    /// one that is too short for session id and tag.
    pub fn split(bytes: &'a [u8], direction: Direction) -> Result<Self, Reject> {
        let frame_type = frame_type(bytes)?;
        frame_type.check_direction(direction)?;
        if !frame_type.is_in_session() {
            return Err(Reject::Shape);
        }
        let (authenticated, tag) = bytes
            .len()
            .checked_sub(TAG_BYTES)
            //= spec/postern.md#frames
            //# A frame without a type byte, or a session frame without room for session id and tag,
            //# MUST be refused with `shape`.
            .and_then(|end| bytes.split_at_checked(end))
            .ok_or(Reject::Shape)?;
        let (session, body) = authenticated
            .get(1..)
            .and_then(|rest| rest.split_first_chunk::<4>())
            .ok_or(Reject::Shape)?;
        Ok(Self {
            frame_type,
            session: SessionId::from_bytes(*session),
            authenticated,
            body,
            tag,
        })
    }

    /// What the frame claims to be.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        self.frame_type
    }

    /// The session that the frame claims to belong to.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Checks the tag in constant time, then reads the counter.
    ///
    /// # Errors
    /// `session-mac`, a CBOR reject, `shape`, `counter-exhausted`.
    pub fn verify(&self, key: &FrameKey) -> Result<VerifiedBody<'a>, Reject> {
        //= spec/postern.md#sessions
        //# A receiver MUST check the tag before it reads the body.
        if !key.verifies(self.authenticated, self.tag) {
            return Err(Reject::SessionMac);
        }
        self.read_counter()
    }

    fn read_counter(&self) -> Result<VerifiedBody<'a>, Reject> {
        let mut reader = Reader::new(self.body);
        let read = reader.uint();
        let counter = read.map_err(|reject| first_cbor_reject(self.body).unwrap_or(reject))?;
        //= spec/postern.md#sessions
        //# A counter outside 1..65535 MUST be refused with `counter-exhausted`.
        if counter == 0 || counter > COUNTER_MAX {
            return Err(Reject::CounterExhausted);
        }
        Ok(VerifiedBody {
            frame_type: self.frame_type,
            counter: u16::try_from(counter).map_err(|_| Reject::CounterExhausted)?,
            rest: self.body.get(reader.position()..).unwrap_or_default(),
        })
    }

    /// Reads the body without any check of its tag: for display and for published vectors only.
    ///
    /// # Errors
    /// As [`Self::verify`], without `session-mac`.
    pub fn danger_unverified_body(&self) -> Result<VerifiedBody<'a>, Reject> {
        self.read_counter()
    }
}

impl<'a> VerifiedBody<'a> {
    /// The request's counter, 1..=65535.
    #[must_use]
    pub const fn counter(&self) -> u16 {
        self.counter
    }

    /// Reads a request. # Errors: CBOR rejects, `shape`, `hold-range`, `frame-direction`.
    pub fn decode_up(&self) -> Result<UpFrame<'a>, Reject> {
        UpFrame::decode(self.frame_type, self.rest)
    }

    /// Reads an answer. # Errors: CBOR rejects, `shape`, `frame-direction`.
    pub fn decode_down(&self) -> Result<DownFrame<'a>, Reject> {
        DownFrame::decode(self.frame_type, self.rest)
    }
}

/// Writes a request of a session.
///
/// # Errors
/// `oversize`; `shape` or `hold-range` for a body that no peer would take; `counter-exhausted` for 0.
pub fn seal_up(
    key: &FrameKey,
    session: SessionId,
    counter: u16,
    body: &UpFrame<'_>,
) -> Result<Vec<u8>, Reject> {
    body.check()?;
    seal(key, session, counter, body.frame_type(), |writer| {
        body.write(writer);
    })
}

/// Writes an answer of a session. # Errors: `oversize`, `counter-exhausted` for 0.
pub fn seal_down(
    key: &FrameKey,
    session: SessionId,
    counter: u16,
    body: &DownFrame<'_>,
) -> Result<Vec<u8>, Reject> {
    seal(key, session, counter, body.frame_type(), |writer| {
        body.write(writer);
    })
}

fn seal(
    key: &FrameKey,
    session: SessionId,
    counter: u16,
    frame_type: FrameType,
    write: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>, Reject> {
    if counter == 0 {
        return Err(Reject::CounterExhausted);
    }
    let mut writer = Writer::with_capacity(64);
    writer
        .raw(&[frame_type.number()])
        .raw(session.as_bytes())
        .uint(u64::from(counter));
    write(&mut writer);
    let tag = key.tag(writer.as_bytes());
    writer.raw(&tag);
    check_size(writer.into_bytes())
}
