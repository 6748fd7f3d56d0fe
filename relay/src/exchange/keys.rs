//! The keys under which a mailbox proves itself, and which of them a device is shown.
//!
//! A device that was away holds an old bundle and knows only the keys that it lists: for a while a
//! mailbox keeps the earlier key beside the newest. Refuses to have more than a few, or none.

use postern_protocol::id::Thumbprint;
use postern_protocol::key::Signer;
use postern_protocol::limits::MAILBOX_KEYS_MAX;
use postern_protocol::revision::BundleNumber;
use postern_protocol::session;
use std::sync::Arc;

/// Signs the welcomes of a mailbox.
pub type MailboxSigner = Arc<dyn Signer + Send + Sync>;

/// One key of a mailbox, and the bundles that list it.
#[derive(Clone)]
pub struct MailboxKey {
    /// Signs welcomes.
    pub signer: MailboxSigner,
    /// The first bundle that lists it.
    pub first: BundleNumber,
    /// The last bundle that lists it; `None` while the newest does.
    pub last: Option<BundleNumber>,
}

impl MailboxKey {
    /// A key that every bundle lists.
    #[must_use]
    pub fn lasting(signer: MailboxSigner) -> Self {
        Self {
            signer,
            first: BundleNumber::new(1),
            last: None,
        }
    }

    fn lend(&self) -> session::MailboxKey<'_> {
        session::MailboxKey {
            signer: self.signer.as_ref(),
            first: self.first,
            last: self.last.unwrap_or(BundleNumber::new(u64::MAX)),
        }
    }
}

impl std::fmt::Debug for MailboxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailboxKey")
            .field("thumbprint", &self.signer.public_key().thumbprint())
            .field("first", &self.first)
            .field("last", &self.last)
            .finish()
    }
}

/// The keys of a mailbox, at least one; the newest is the one that the highest bundle lists.
#[derive(Debug, Clone)]
pub struct MailboxKeys {
    newest: MailboxKey,
    earlier: Vec<MailboxKey>,
}

/// More keys than a mailbox keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mailbox keeps at most {MAILBOX_KEYS_MAX} keys")]
pub struct TooManyKeys;

impl MailboxKeys {
    /// Puts keys together: the newest, and earlier ones that devices may still know.
    ///
    /// # Errors
    /// [`TooManyKeys`] for more than 4 in all.
    pub fn new(newest: MailboxKey, earlier: Vec<MailboxKey>) -> Result<Self, TooManyKeys> {
        if earlier.len() >= MAILBOX_KEYS_MAX {
            return Err(TooManyKeys);
        }
        Ok(Self { newest, earlier })
    }

    /// One key that every bundle lists.
    #[must_use]
    pub fn one(signer: MailboxSigner) -> Self {
        Self {
            newest: MailboxKey::lasting(signer),
            earlier: Vec::new(),
        }
    }

    /// Returns the thumbprint of the newest key.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.newest.signer.public_key().thumbprint()
    }

    /// The newest key, to sign with.
    pub(crate) fn signer(&self) -> &MailboxSigner {
        &self.newest.signer
    }

    //= spec/lives.md#rotation
    //# A mailbox MUST keep a replaced key for asks that name a bundle which lists it.
    /// Lends every key to a handshake, the newest first.
    pub(super) fn lend(&self) -> Vec<session::MailboxKey<'_>> {
        let all = std::iter::once(&self.newest).chain(&self.earlier);
        all.map(MailboxKey::lend).collect()
    }
}
