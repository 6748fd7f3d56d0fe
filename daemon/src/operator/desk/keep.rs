//! Backups of a running controller: the records between two commits, and the files beside them.
//!
//! The engine's thread only copies; writing happens beside it. Refuses to overwrite any file.

use super::Desk;
use crate::controller::backup;
use crate::controller::work::Work;
use crate::exit::CommandError;
use crate::operator::response::Response;
use std::path::PathBuf;
use std::sync::Arc;

impl Desk {
    pub(super) async fn back_up(&self, file: PathBuf) -> Result<Response, CommandError> {
        // Files come after the records: a bundle that comes in between is one that the next start finds.
        let records = self.send(Work::Copy).await??;
        let config = Arc::clone(&self.config);
        let written = tokio::task::spawn_blocking(move || backup::write(&config, &records, &file));
        let backup = written.await.map_err(|_| super::stopping())??;
        Ok(Response::BackedUp { backup })
    }
}
