//! Brings the application to a revision: renders the state as files, then runs the command.
//!
//! ```text
//!  render_dir/current            --> .postern/gen-<epoch>-<seq>-<n>   (one rename switches)
//!  render_dir/current/a/b/c      the value of the path a/b/c
//!  render_dir/.postern/settled   --> the last generation that the command took
//! ```
//!
//! Text and bytes are written as they are, other scalars as JSON text, references as a JSON object.
//! New files have mode 0644 and new folders 0755; modes that the administrator changed are kept for
//! paths that stay. Readers that resolve `current` once see one whole revision. Refuses to follow
//! symlinks below the folder, to show half a revision, to run the command through a shell.

mod command;
mod content;
mod folder;
mod generation;
mod tail;
#[cfg(test)]
mod tests;

pub(crate) use content::RESERVED_SECTIONS;

use command::Finished;
use folder::{Folder, Rendered};
use postern_protocol::device::Applied;
use postern_protocol::id::Digest;
use postern_protocol::limits::RESULT_OUTPUT_BYTES_MAX;
use postern_protocol::revision::Revision;
use postern_protocol::state::State;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The command ran longer than its time limit and was ended.
pub(crate) const STATUS_TIME_LIMIT: i64 = -1;
/// The command could not be started.
pub(crate) const STATUS_NOT_STARTED: i64 = -2;
/// The files could not be written; the last good revision stays in place.
pub(crate) const STATUS_NOT_RENDERED: i64 = -3;
/// A newer revision came before this one was done; nothing is known about it.
pub(crate) const STATUS_SUPERSEDED: i64 = -4;
/// A signal ended the command: this minus the signal's number.
pub(crate) const STATUS_SIGNAL: i64 = -100;

/// What runs after each rendered revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnChange {
    /// Program and arguments; run directly, not by a shell.
    pub(crate) command: Vec<String>,
    /// After this the command's process group gets SIGTERM, and SIGKILL 2 s later.
    pub(crate) time_limit: Duration,
}

/// Where the state goes and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplierSettings {
    /// Folder that shows the state below `current`; made when it is absent.
    pub(crate) render_dir: PathBuf,
    /// What to run, if anything.
    pub(crate) on_change: Option<OnChange>,
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
    /// above. The output is the end of what the command printed, or why rendering failed.
    pub(crate) async fn apply(&self, revision: Revision, digest: Digest, state: State) -> Applied {
        let settings = Arc::clone(&self.settings);
        let rendering = tokio::task::spawn_blocking(move || render(&settings, revision, &state));
        let (status, output) = match rendering.await {
            Ok(Ok(rendered)) => self.tell(revision, &digest, rendered).await,
            Ok(Err(error)) => {
                tracing::warn!(reason = %error, source = %error.source, "state is not rendered");
                (STATUS_NOT_RENDERED, explain(&error))
            }
            Err(error) => (STATUS_NOT_RENDERED, format!("rendering ended: {error}")),
        };
        Applied {
            revision,
            status,
            output: tail::end_of(&output, RESULT_OUTPUT_BYTES_MAX).to_owned(),
        }
    }

    async fn tell(&self, revision: Revision, digest: &Digest, rendered: Rendered) -> (i64, String) {
        let Some(on_change) = &self.settings.on_change else {
            return (0, String::new());
        };
        let request = command::Request {
            revision,
            digest,
            folder: &rendered.folder,
            changes: &rendered.changes,
        };
        let Finished { status, output } = command::run(on_change, &request).await;
        if status == 0 {
            let settings = Arc::clone(&self.settings);
            let settling = tokio::task::spawn_blocking(move || {
                Folder::open(&settings.render_dir)?.settle(&rendered.generation)
            });
            if let Ok(Err(error)) = settling.await {
                // The next command is told of more changes than it needs, never of fewer.
                tracing::debug!(reason = %error, source = %error.source, "generation is not marked as settled");
            }
        }
        (status, output)
    }
}

fn render(
    settings: &ApplierSettings,
    revision: Revision,
    state: &State,
) -> Result<Rendered, RenderError> {
    let files = content::files_of(state);
    Folder::create(&settings.render_dir)?.render(revision, &files)
}

fn explain(error: &RenderError) -> String {
    format!("{error}: {}", error.source)
}
