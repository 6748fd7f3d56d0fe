//! A confirmed session as bytes, for a server that goes on in another process.
//!
//! ```text
//!   old process --take_confirmed--> HandedSession (secret) --pipe--> new process --adopt-->
//! ```
//!
//! The replay window goes along, so no frame that the old process took is taken again; the old
//! table forgets what it gave away. Refuses to be copied, shown or kept: a mailbox keeps the bytes in memory only.

use super::keys::SessionKeys;
use super::mailbox::ServerSession;
use super::replay::ReplayWindow;
use crate::frame::FrameKey;
use crate::id::{Digest, SessionId};
use crate::limits::SESSION_AGE_S_MAX;
use crate::reject::Reject;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a session: id, both keys, transcript, window, milliseconds left.
pub const HANDED_SESSION_BYTES: usize = 4 + 32 + 32 + 32 + 2 + 8 + 8;
const _: () = assert!(HANDED_SESSION_BYTES == 118);

/// A confirmed session on its way to another process; wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct HandedSession([u8; HANDED_SESSION_BYTES]);

impl core::fmt::Debug for HandedSession {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HandedSession(..)")
    }
}

impl HandedSession {
    /// Wraps what [`Self::danger_bytes`] gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; HANDED_SESSION_BYTES]) -> Self {
        Self(bytes)
    }

    /// The session with its secret keys: for a pipe between two processes of one server.
    #[must_use]
    pub const fn danger_bytes(&self) -> &[u8; HANDED_SESSION_BYTES] {
        &self.0
    }

    /// Packs a session at a time of the caller's clock.
    pub(super) fn pack(session: &ServerSession, now_ms: u64) -> Self {
        let (highest, seen) = session.counters.parts();
        let parts: [&[u8]; 7] = [
            session.id.as_bytes(),
            session.keys.up.danger_bytes(),
            session.keys.down.danger_bytes(),
            session.transcript.as_bytes(),
            &highest.to_be_bytes(),
            &seen.to_be_bytes(),
            &session.expires_ms.saturating_sub(now_ms).to_be_bytes(),
        ];
        let mut packed = Self([0; HANDED_SESSION_BYTES]);
        let all = parts.into_iter().flatten();
        packed
            .0
            .iter_mut()
            .zip(all)
            .for_each(|(to, from)| *to = *from);
        packed
    }

    /// Unpacks a session at a time of this process's clock, `gone_ms` after it was packed.
    ///
    /// # Errors
    /// `shape` for a session that was never used, or lives longer than any may; `session-unknown`
    /// for one whose time is over.
    pub(super) fn unpack(&self, gone_ms: u64, now_ms: u64) -> Result<ServerSession, Reject> {
        let mut rest = &self.0[..];
        let id = SessionId::from_bytes(take(&mut rest)?);
        let up = FrameKey::from_bytes(take(&mut rest)?);
        let down = FrameKey::from_bytes(take(&mut rest)?);
        let transcript = Digest::from_bytes(take(&mut rest)?);
        let highest = u16::from_be_bytes(take(&mut rest)?);
        let seen = u64::from_be_bytes(take(&mut rest)?);
        let left_ms = u64::from_be_bytes(take(&mut rest)?);
        // A confirmed session has taken a counter, and the highest counts as taken.
        if highest == 0 || seen & 1 == 0 || left_ms > SESSION_AGE_S_MAX.saturating_mul(1_000) {
            return Err(Reject::Shape);
        }
        let left_ms = left_ms.saturating_sub(gone_ms);
        if left_ms == 0 {
            return Err(Reject::SessionUnknown);
        }
        let keys = SessionKeys { up, down };
        let expires_ms = now_ms.saturating_add(left_ms);
        let mut session = ServerSession::new(id, keys, transcript, expires_ms);
        session.counters = ReplayWindow::from_parts(highest, seen);
        Ok(session)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Reject> {
    let (taken, behind) = rest.split_first_chunk::<N>().ok_or(Reject::Shape)?;
    *rest = behind;
    Ok(*taken)
}
