//! What the driver shows to the local API: the newest state of everything, never a lock on the engine.
//!
//! Readers clone two `Arc`s; however many of them wait, the engine's loop does the same work.
//! Refuses to be a second truth: the driver replaces it after each turn.

use super::status::{Shown, Status};
use postern_protocol::state::{Path, State};
use std::sync::Arc;

/// One moment of the device.
#[derive(Debug, Clone)]
pub struct View {
    /// How it is.
    pub status: Status,
    /// What it should be.
    pub desired: Arc<State>,
    /// What the application says it is.
    pub actual: Arc<State>,
    /// The revision of that, if it was ever written.
    pub actual_head: Option<Shown>,
    /// Intents that have fired.
    pub intents: Vec<Intent>,
}

/// An intent and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// `intent/<verb>`.
    pub path: Path,
    /// The value that fired last.
    pub taken: u64,
    /// The value that was done last.
    pub done: u64,
    /// Whether a command of `device.toml` does it; otherwise it is the application's.
    pub is_configured: bool,
}

impl Intent {
    /// Returns the path without its section.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.path
            .as_str()
            .split_once('/')
            .map_or("", |(_, verb)| verb)
    }
}
