//! What is on trial, what was good and what was refused: one small file beside the generations.
//!
//! Replaced whole and durable before the step that it announces, so that a process that ends at any
//! point finds out what it was about to do. Refuses to guess: a journal that cannot be read stops
//! applying until somebody looks.

use super::RenderError;
use super::folder::{Folder, GenerationName};
use postern_protocol::id::Digest;
use postern_protocol::revision::{Epoch, Revision, Seq};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};

const JOURNAL: &str = "journal.json";
const NEXT: &str = "journal.next";

/// Everything that outlives a process; absent members are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    /// What came through its trial last.
    #[serde(default)]
    pub(super) good: Option<Mark>,
    /// What is on trial now.
    #[serde(default)]
    pub(super) trial: Option<Trial>,
    /// What did not come through.
    #[serde(default)]
    pub(super) refused: Option<Refused>,
}

/// A generation and the digest of its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    generation: String,
    /// Unknown for what was shown before there were trials.
    pub(super) digest: Option<String>,
}

impl Mark {
    /// Marks a generation.
    pub(super) fn new(name: &GenerationName, digest: Option<&Digest>) -> Self {
        Self {
            generation: name.text(),
            digest: digest.map(ToString::to_string),
        }
    }

    /// Returns the generation, unless the mark was damaged.
    pub(super) fn name(&self) -> Option<GenerationName> {
        GenerationName::parse(&self.generation)
    }

    /// Tells whether this is that revision with that content.
    pub(super) fn is(&self, revision: Revision, digest: &Digest) -> bool {
        self.name().is_some_and(|name| name.revision() == revision)
            && self.digest.as_deref() == Some(digest.to_string().as_str())
    }
}

/// A generation on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    pub(super) mark: Mark,
    /// How often its trial began.
    pub(super) starts: u32,
}

/// A revision that did not come through its trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refused {
    epoch: u64,
    seq: u64,
    digest: String,
    /// What the report says.
    pub(super) cause: String,
    /// Whether the files of the good revision are back and its command took them.
    pub(super) is_reverted: bool,
}

impl Refused {
    /// Notes a revision that is about to be reverted.
    pub(super) fn new(revision: Revision, digest: &Digest, cause: String) -> Self {
        Self {
            epoch: revision.epoch.number(),
            seq: revision.seq.number(),
            digest: digest.to_string(),
            cause,
            is_reverted: false,
        }
    }

    /// Tells whether this is that revision with that content.
    pub(super) fn is(&self, revision: Revision, digest: &Digest) -> bool {
        let own = Revision::new(Epoch::new(self.epoch), Seq::new(self.seq));
        own == revision && self.digest == digest.to_string()
    }
}

impl Journal {
    /// Reads the journal of a folder; an absent one is empty. # Errors: it cannot be read.
    pub(super) fn read(folder: &Folder) -> Result<Self, RenderError> {
        let path = folder.inner_path(JOURNAL);
        let failed = |error: io::Error| RenderError::new("read", &path, error);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let text = format!("{error}; remove the file to begin without trials");
                failed(io::Error::other(text))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Replaces the journal of a folder, durably. # Errors: the system's refusals.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), RenderError> {
        let (path, next) = (folder.inner_path(JOURNAL), folder.inner_path(NEXT));
        let written = || -> io::Result<()> {
            let mut file = File::create(&next)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&next, &path)?;
            Ok(rustix::fs::fsync(&folder.inner)?)
        };
        written().map_err(|error| RenderError::new("write", &path, error))
    }

    /// Removes the journal of a folder where there are no trials. # Errors: the system's refusals.
    pub(super) fn remove(folder: &Folder) -> Result<(), RenderError> {
        let path = folder.inner_path(JOURNAL);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(RenderError::new("remove", &path, error)),
        }
    }
}
