//! What a relay leaves to the process that goes on in its place: open sockets and confirmed sessions.
//!
//! ```text
//!   Relay::hand_over --> sockets, sessions (secret) --pipe--> Relay::take_over
//!         '---------------- store: everything acknowledged ------^
//! ```
//!
//! A session goes on only where nothing changed between: trust domain, store, bundle and mailbox key
//! are the same, and its owner is still served. Refuses to be written to a disk or shown, and bytes
//! of another version.

use crate::exchange::Owner;
use crate::limits::SESSIONS_MAX;
use crate::server::Sockets;
use postern_protocol::id::{ChannelId, MailboxId, TenantId, Thumbprint};
use postern_protocol::revision::BundleNumber;
use postern_protocol::session::{HANDED_SESSION_BYTES, HandedSession};
use zeroize::Zeroizing;

/// What the bytes begin with; another layout takes another number.
const MAGIC: &[u8; 18] = b"postern-handover/1";
/// Bytes before the first session.
const HEAD_BYTES: usize = MAGIC.len() + 32 + 8 + 8 + 32 + 8;
/// Bytes of a session: kind and id of its owner, then itself.
const ROW_BYTES: usize = 1 + 16 + HANDED_SESSION_BYTES;
/// Most bytes of all sessions: a full table.
pub const HANDED_SESSIONS_BYTES_MAX: usize = HEAD_BYTES + SESSIONS_MAX * ROW_BYTES;

const DEVICE: u8 = 0;
const WRITER: u8 = 1;
const MAILBOX: u8 = 2;

/// What a relay leaves to the process that goes on in its place.
#[derive(Debug)]
pub struct Handover {
    /// The sockets, open all the while: connections queue in them.
    pub sockets: Sockets,
    /// The sessions; `None` where they cannot go on, and everybody greets again.
    pub sessions: Option<HandedSessions>,
}

/// Under what sessions were opened: all of it has to be the same where they go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) genesis: Thumbprint,
    pub(crate) store: u64,
    pub(crate) bundle: BundleNumber,
    pub(crate) mailbox: Thumbprint,
}

/// Confirmed sessions with their secret keys, on their way to another process.
#[derive(Debug)]
pub struct HandedSessions {
    pub(crate) standing: Standing,
    pub(crate) rows: Vec<(Owner, HandedSession)>,
}

/// Bytes that no relay of this version has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are no sessions of this version")]
pub struct NotSessions;

impl HandedSessions {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes them for a pipe between the two processes; holds secret keys.
    #[must_use]
    pub fn danger_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Never moved to a larger place, which would leave keys behind.
        let bytes_max = HEAD_BYTES.saturating_add(self.rows.len().saturating_mul(ROW_BYTES));
        let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(self.standing.genesis.as_bytes());
        bytes.extend_from_slice(&self.standing.store.to_be_bytes());
        bytes.extend_from_slice(&self.standing.bundle.number().to_be_bytes());
        bytes.extend_from_slice(self.standing.mailbox.as_bytes());
        bytes.extend_from_slice(&(self.rows.len() as u64).to_be_bytes());
        for (owner, session) in &self.rows {
            let (kind, id) = match owner {
                Owner::Device(channel) => (DEVICE, *channel.as_bytes()),
                Owner::Writer(tenant) => (WRITER, *tenant.as_bytes()),
                Owner::Mailbox(mailbox) => (MAILBOX, *mailbox.as_bytes()),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&id);
            bytes.extend_from_slice(session.danger_bytes());
        }
        bytes
    }

    /// Reads what [`Self::danger_bytes`] wrote.
    ///
    /// # Errors
    /// [`NotSessions`] for anything else, to the last byte.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotSessions> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(NotSessions)?;
        let (genesis, rest) = split(rest)?;
        let (store, rest) = split(rest)?;
        let (bundle, rest) = split(rest)?;
        let (mailbox, rest) = split(rest)?;
        let (count, rest) = split(rest)?;
        let standing = Standing {
            genesis: Thumbprint::from_bytes(genesis),
            store: u64::from_be_bytes(store),
            bundle: BundleNumber::new(u64::from_be_bytes(bundle)),
            mailbox: Thumbprint::from_bytes(mailbox),
        };
        let (found, behind) = rest.as_chunks::<ROW_BYTES>();
        let is_whole = behind.is_empty() && found.len() as u64 == u64::from_be_bytes(count);
        if !is_whole || found.len() > SESSIONS_MAX {
            return Err(NotSessions);
        }
        let rows = found.iter().map(|row| read_row(row));
        Ok(Self {
            standing,
            rows: rows.collect::<Result<_, _>>()?,
        })
    }
}

fn read_row(row: &[u8]) -> Result<(Owner, HandedSession), NotSessions> {
    let ([kind], rest) = split(row)?;
    let (id, rest) = split(rest)?;
    let owner = match kind {
        DEVICE => Owner::Device(ChannelId::from_bytes(id)),
        WRITER => Owner::Writer(TenantId::from_bytes(id)),
        MAILBOX => Owner::Mailbox(MailboxId::from_bytes(id)),
        _ => return Err(NotSessions),
    };
    let (session, _) = split(rest)?;
    Ok((owner, HandedSession::from_bytes(session)))
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), NotSessions> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(NotSessions)?;
    Ok((*taken, rest))
}
