//! The device's process: joins once, then carries the engine's frames and applies its state.
//!
//! ```text
//!   join line --join--> device.key, store (identity, bundles)
//!   run: engine <--answers-- routes (egress) <--frames-- engine
//!        engine --Apply--> applier (files, on_change) --Applied--> engine
//! ```
//!
//! The device never listens for the network. Refuses to run with a store or key that is not its own.

mod act;
mod agreement;
mod carry;
mod diagnose;
mod displaced;
mod filed;
mod first_way;
mod gate;
mod homing;
mod identity;
mod join;
mod leave;
mod local;
mod local_asks;
mod note;
mod patience;
mod rotation;
mod run;
mod show;
mod start;
mod status;
mod status_file;
mod stream;
#[cfg(test)]
mod tests;
mod time;
mod view;

pub use diagnose::{
    of_join_line as diagnosis_of_join_line, of_stopped as diagnosis_of_stopped,
    of_urls as diagnosis_of_urls,
};
pub use filed::{export, import, request};
pub use gate::{pause, resume};
pub use join::join;
pub use local::{Control, attempts as local_attempts, control, diagnose, status as local_status};
pub use rotation::next_file;
pub use run::run;

use crate::config::DeviceConfig;
use std::path::PathBuf;

/// Returns the files that make the folder this device: what a reset removes.
#[must_use]
pub fn files_of_life(config: &DeviceConfig) -> [PathBuf; 7] {
    [
        config.store.clone(),
        config.key.clone(),
        config.local_api.socket.clone(),
        config.dir.join("status.json"),
        gate::pause_file(&config.dir),
        leave::file(&config.dir),
        next_file(config),
    ]
}
