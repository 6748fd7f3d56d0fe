//! Brings the application to a revision: renders the state as files, then runs the command.
//!
//! ```text
//!  render_dir/current            --> .postern/gen-<epoch>-<seq>-<n>   (one rename switches)
//!  render_dir/current/a/b/c      the value of the path a/b/c
//!  render_dir/.postern/settled   --> the last generation that the command took
//! ```
//!
//! Text and bytes are written as they are, other scalars as JSON text, references as a JSON object.
//! The command gets `{"epoch","seq","digest","folder","changed":[paths],"removed":[paths]}` at least
//! once a revision and tells repetitions by (epoch, seq); changes are against the last revision that
//! it took with status 0, so that a failure or a crash hides none.
//! New files have mode 0644 and new folders 0755; modes that the administrator changed are kept for
//! paths that stay. Readers that resolve `current` once see one whole revision. Refuses to follow
//! symlinks below the folder, to show half a revision, to run the command through a shell.

mod command;
mod content;
mod folder;
mod generation;
mod journal;
mod tail;
#[cfg(test)]
mod tests;
mod trial;

pub(crate) use command::{Call, Finished, Program, run};
pub(crate) use content::RESERVED_SECTIONS;
pub(crate) use generation::Owning;
pub(crate) use tail::end_of;

use folder::{Folder, Rendered};
use journal::Journal;
use postern_protocol::device::Applied;
use postern_protocol::id::Digest;
use postern_protocol::limits::RESULT_OUTPUT_BYTES_MAX;
use postern_protocol::revision::Revision;
use postern_protocol::state::State;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The command ran longer than its time limit and was ended.
pub(crate) const STATUS_TIME_LIMIT: i64 = -1;
/// The command could not be started.
pub(crate) const STATUS_NOT_STARTED: i64 = -2;
/// The files could not be written; the last good revision stays in place.
pub(crate) const STATUS_NOT_RENDERED: i64 = -3;
/// A newer revision came before this one was done; nothing is known about it.
pub(crate) const STATUS_SUPERSEDED: i64 = -4;
/// The revision did not come through its trial; the last good one is back.
pub(crate) const STATUS_REVERTED: i64 = -5;
/// A signal ended the command: this minus the signal's number.
pub(crate) const STATUS_SIGNAL: i64 = -100;

/// When a rendered revision counts as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confirm {
    /// How long it must do well.
    pub(crate) soak: Duration,
    /// Exits with 0 while all is well.
    pub(crate) health: Option<Program>,
    /// Between two runs of it.
    pub(crate) interval: Duration,
    /// Failures in a row that are too many, at least 1.
    pub(crate) failures: u64,
}

/// Where the state goes and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplierSettings {
    /// Folder that shows the state below `current`; made when it is absent.
    pub(crate) render_dir: PathBuf,
    /// What to run, if anything.
    pub(crate) on_change: Option<Program>,
    /// Whether and how a revision is on trial first.
    pub(crate) confirm: Option<Confirm>,
    /// Whose the files are.
    pub(crate) owning: Owning,
}

impl ApplierSettings {
    fn folder(&self) -> Result<Folder, RenderError> {
        Folder::create(&self.render_dir, self.owning)
    }
}

/// Renders revisions into one folder and tells one command. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Applier {
    settings: Arc<ApplierSettings>,
}

/// A failed step of rendering.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub(crate) struct RenderError {
    /// What was tried.
    action: &'static str,
    /// The file or folder.
    path: PathBuf,
    /// What the system said.
    #[source]
    source: std::io::Error,
}

impl RenderError {
    fn new(action: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self {
            action,
            path: path.into(),
            source: source.into(),
        }
    }
}

impl Applier {
    /// Takes the settings; touches nothing yet.
    #[must_use]
    pub(crate) fn new(settings: ApplierSettings) -> Self {
        Self {
            settings: Arc::new(settings),
        }
    }

    /// Makes the folder show `state` and runs the command.
    ///
    /// The same revision may come again: the folder stays as it is and the command runs again.
    /// Status 0 means done, above 0 is the command's exit status; negative values are the constants
    /// above. The output is the end of what the command printed, or why rendering failed. `newest`
    /// is the newest accepted revision: it cuts a trial short.
    pub(crate) async fn apply(
        &self,
        revision: Revision,
        digest: Digest,
        state: State,
        mut newest: watch::Receiver<Revision>,
    ) -> Applied {
        let settings = Arc::clone(&self.settings);
        let applied = match &settings.confirm {
            Some(confirm) => {
                self.apply_on_trial(confirm, revision, digest, state, &mut newest)
                    .await
            }
            None => self.apply_at_once(revision, &digest, state).await,
        };
        let (status, output) = applied.unwrap_or_else(|error| {
            tracing::warn!(reason = %error, source = %error.source, "state is not rendered");
            (STATUS_NOT_RENDERED, explain(&error))
        });
        let output = match status {
            // A cause begins with what happened; what a command printed ends with it.
            STATUS_REVERTED => tail::start_of(&output, RESULT_OUTPUT_BYTES_MAX),
            _ => end_of(&output, RESULT_OUTPUT_BYTES_MAX),
        };
        Applied {
            revision,
            status,
            output: output.to_owned(),
        }
    }

    async fn apply_at_once(
        &self,
        revision: Revision,
        digest: &Digest,
        state: State,
    ) -> Result<(i64, String), RenderError> {
        let rendering = self.blocking(move |settings| {
            let folder = settings.folder()?;
            Journal::remove(&folder)?;
            folder.render(revision, &content::files_of(&state))
        });
        let rendered = rendering.await?;
        Ok(self
            .tell(revision, Some(&digest.to_string()), rendered)
            .await)
    }

    /// Does something with files beside the tasks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ApplierSettings) -> Result<T, RenderError> + Send + 'static,
    ) -> Result<T, RenderError> {
        let settings = Arc::clone(&self.settings);
        let ended = tokio::task::spawn_blocking(move || work(&settings)).await;
        ended.unwrap_or_else(|error| {
            let source = std::io::Error::other(error.to_string());
            Err(RenderError::new(
                "render into",
                &self.settings.render_dir,
                source,
            ))
        })
    }

    async fn tell(
        &self,
        revision: Revision,
        digest: Option<&str>,
        rendered: Rendered,
    ) -> (i64, String) {
        let Some(on_change) = &self.settings.on_change else {
            return (0, String::new());
        };
        let mut variables = trial::variables(revision);
        variables.push(("POSTERN_FOLDER", rendered.folder.clone().into()));
        let input = serde_json::json!({
            "epoch": revision.epoch.number(),
            "seq": revision.seq.number(),
            "digest": digest,
            "folder": rendered.folder.to_string_lossy(),
            "changed": rendered.changes.changed,
            "removed": rendered.changes.removed,
        });
        let Finished { status, output } = run(on_change, &Call { variables, input }).await;
        if status == 0 {
            let settling = self.blocking(move |settings| {
                Folder::open(&settings.render_dir, settings.owning)?.settle(&rendered.generation)
            });
            if let Err(error) = settling.await {
                // The next command is told of more changes than it needs, never of fewer.
                tracing::debug!(reason = %error, source = %error.source, "generation is not marked as settled");
            }
        }
        (status, output)
    }
}

fn explain(error: &RenderError) -> String {
    format!("{error}: {}", error.source)
}
