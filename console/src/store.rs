//! What an operator is told about a store that refuses: its own remedy, or the disk.
//!
//! Refuses to hide the machine's reason behind ours.

use crate::exit::CommandError;
use postern_protocol::record::RecordError;
use postern_relay::store::StoreError;

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let name = match &error {
            StoreError::Newer { .. } => "store-newer",
            StoreError::NotAStore { .. } => "store-not-a-store",
            StoreError::DamagedFile { .. } | StoreError::Damaged { .. } => "store-damaged",
            StoreError::Locked { .. } => "store-locked",
            StoreError::Io { .. } => "store-io",
            StoreError::Poisoned { .. }
            | StoreError::Panicked
            | StoreError::Closed
            | StoreError::TooLarge { .. }
            | StoreError::QueueFull { .. } => "store-failed",
        };
        let text = error.to_string();
        // An error that begins with the machine's own reason has no remedy behind a colon.
        let remedy = match &error {
            StoreError::Io { .. } | StoreError::TooLarge { .. } | StoreError::QueueFull { .. } => {
                None
            }
            StoreError::Newer { .. }
            | StoreError::NotAStore { .. }
            | StoreError::DamagedFile { .. }
            | StoreError::Damaged { .. }
            | StoreError::Locked { .. }
            | StoreError::Poisoned { .. }
            | StoreError::Panicked
            | StoreError::Closed => text.split_once(": "),
        };
        let (message, next) = remedy.unwrap_or((
            &text,
            "look at the disk (space, rights, errors), then start again",
        ));
        let source = std::error::Error::source(&error).map(|source| format!(" ({source})"));
        Self::store(
            name,
            format!("{message}{}", source.unwrap_or_default()),
            next,
        )
    }
}

impl CommandError {
    /// Names a store whose record checks out but cannot be understood.
    #[must_use]
    pub fn from_record(store: &std::path::Path, error: &RecordError) -> Self {
        Self::store(
            "store-damaged",
            format!("store {}: {error}", store.display()),
            "keep a copy of the file, then restore a backup or move it away to start a new store",
        )
    }
}
