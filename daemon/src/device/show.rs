//! What this device shows of itself after each turn: the view of the local API and `status.json`; and its gate.
//!
//! Refuses to copy a state that did not change.

use super::gate::{self, Gate};
use super::run::Driver;
use super::status::{Status, Surroundings};
use super::view::View;
use crate::applier::STATUS_SUPERSEDED;
use crate::clock;
use crate::exit::CommandError;
use postern_protocol::device::{Applied, Device, Input};
use postern_protocol::revision::Revision;
use postern_protocol::state::State;
use std::sync::Arc;

impl Driver {
    /// Shows this moment.
    pub(super) fn show(&mut self) {
        let status = Status::of(&self.engine, &self.surroundings());
        self.status_file.write(&status);
        let engine = &self.engine;
        self.view.send_if_modified(|view| {
            let is_news = view.status != status;
            if view.status.accepted != status.accepted {
                view.desired = Arc::new(engine.state().clone());
            }
            view.status = status;
            is_news
        });
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            counts: &self.counts,
            failure: self.failure.as_ref(),
            gate: self.gate,
            route: self.routes.current_name(),
            is_connected: self.is_connected,
            bytes: self.routes.bytes(),
        }
    }

    /// Decides anew whether changes may reach the application.
    pub(super) fn look_at_gate(&mut self) -> Result<(), CommandError> {
        self.decide_gate();
        let Some(revision) = self.kept_back.take_if(|_| self.gate.is_open()) else {
            return Ok(());
        };
        let newest = self.engine.head().map(|head| head.revision);
        if newest.is_none_or(|newest| newest == revision) {
            self.apply(revision);
            return Ok(());
        }
        self.feed(Input::Applied(Applied {
            revision,
            status: STATUS_SUPERSEDED,
            output: "a newer revision came while applying was not allowed".into(),
        }))
    }

    /// Applies a revision, or keeps it until the gate opens.
    pub(super) fn apply_or_keep_back(&mut self, revision: Revision) {
        self.decide_gate();
        if self.gate.is_open() {
            self.apply(revision);
        } else {
            self.kept_back = Some(revision);
        }
    }

    fn decide_gate(&mut self) {
        let is_paused_here = gate::is_paused(&self.config.dir);
        let is_in_window = self.config.apply.windows.contains(clock::unix_s());
        let gate = Gate::of(is_paused_here, self.engine.state(), is_in_window);
        if gate != self.gate {
            tracing::info!(reason = gate.as_str(), "applying is allowed or not");
            self.gate = gate;
        }
    }
}

/// Looks at a device before its first turn.
pub(super) fn view_of(engine: &Device, around: &Surroundings<'_>) -> View {
    View {
        status: Status::of(engine, around),
        desired: Arc::new(engine.state().clone()),
        actual: Arc::new(State::empty()),
        actual_head: None,
        intents: Vec::new(),
    }
}
