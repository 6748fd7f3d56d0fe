//! What the driver shows to the local API: the newest state of everything, never a lock on the engine.
//!
//! Readers clone two `Arc`s; however many of them wait, the engine's loop does the same work.
//! Refuses to be a second truth: the driver replaces it after each turn.

use super::status::Status;
use crate::clock;
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
    /// Intents that have fired.
    pub intents: Vec<Intent>,
    /// The boot clock's milliseconds at the newest proof that the controller lives.
    pub heard_ms: Option<u64>,
}

impl View {
    /// Returns how old the newest proof is that the controller lives, in milliseconds.
    #[must_use]
    pub fn age_ms(&self) -> Option<u64> {
        let heard_ms = self.heard_ms?;
        Some(clock::mono_ms().saturating_sub(heard_ms))
    }

    /// Returns the status with what changes by itself.
    #[must_use]
    pub fn status_json(&self) -> serde_json::Value {
        let mut json = self.status.to_json();
        if let Some(members) = json.as_object_mut() {
            members.insert("age_ms".into(), self.age_ms().into());
        }
        json
    }
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
