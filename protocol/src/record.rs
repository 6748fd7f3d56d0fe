//! What an engine asks its driver to make durable: writes to named tables, in one commit.
//!
//! The engine never reads back while it runs; it is rebuilt from the tables at start. Values are
//! deterministic CBOR. Refuses to know how they are stored or checked at rest.

use crate::cbor::{Reader, decode_all};
use crate::reject::Reject;
use alloc::string::String;
use alloc::vec::Vec;

/// A table of an engine's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Who this store belongs to.
    Identity,
    /// Bundle envelopes by number.
    Bundles,
    /// Heads of planes.
    Heads,
    /// Values of the desired plane by path.
    Values,
    /// Report numbers, cursors and lists.
    Reports,
    /// The devices of a controller.
    Members,
    /// Open and used invitations.
    Invitations,
    /// Values of the actual plane by path.
    Actual,
    /// What was taken and done of the intents, by path.
    Intents,
    /// Evidence received, by message.
    Evidence,
    /// The newest accepted envelope of each plane.
    Envelopes,
    /// Devices that are gone, as long as a mailbox may not have heard of it.
    Withdrawn,
    /// How far each mailbox in a process of its own was collected, by its key and the tenant.
    Relays,
    /// The secrets of encrypted channels.
    PlaneKeys,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 14] = [
        Self::Identity,
        Self::Bundles,
        Self::Heads,
        Self::Values,
        Self::Reports,
        Self::Members,
        Self::Invitations,
        Self::Actual,
        Self::Intents,
        Self::Evidence,
        Self::Envelopes,
        Self::Withdrawn,
        Self::Relays,
        Self::PlaneKeys,
    ];

    /// Returns the table's name at rest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Bundles => "bundles",
            Self::Heads => "heads",
            Self::Values => "values",
            Self::Reports => "reports",
            Self::Members => "members",
            Self::Invitations => "invitations",
            Self::Actual => "actual",
            Self::Intents => "intents",
            Self::Evidence => "evidence",
            Self::Envelopes => "envelopes",
            Self::Withdrawn => "withdrawn",
            Self::Relays => "relays",
            Self::PlaneKeys => "plane-keys",
        }
    }
}

/// One insertion (`Some`) or removal (`None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub table: Table,
    /// Under which key.
    pub key: Vec<u8>,
    /// What, or `None` to remove.
    pub value: Option<Vec<u8>>,
}

/// A stored record that cannot be read: the store is damaged or of another make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// The table's name.
    pub table: &'static str,
    /// The key, as far as it can be shown.
    pub key: String,
    /// What the reader found.
    pub reject: Reject,
}

impl core::fmt::Display for RecordError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "record {:?} of table {} cannot be read ({})",
            self.key, self.table, self.reject
        )
    }
}

impl core::error::Error for RecordError {}

/// Reads back what an engine wrote.
///
/// # Errors
/// [`RecordError`] naming table and key.
pub fn read<'a, T>(
    table: Table,
    key: &[u8],
    value: &'a [u8],
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, Reject>,
) -> Result<T, RecordError> {
    decode_all(value, decode).map_err(|reject| damaged(table, key, reject))
}

/// Names a record that cannot be read.
#[must_use]
pub fn damaged(table: Table, key: &[u8], reject: Reject) -> RecordError {
    RecordError {
        table: table.as_str(),
        key: String::from_utf8_lossy(key).into_owned(),
        reject,
    }
}
