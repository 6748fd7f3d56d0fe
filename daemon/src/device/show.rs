//! What this device shows of itself after each turn: the view of the local API and `status.json`; and its gate.
//!
//! Refuses to copy a state that did not change.

use super::gate::{self, Gate};
use super::run::Driver;
use super::status::{Status, Surroundings};
use super::view::{Intent, View};
use crate::clock;
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use postern_protocol::device::{Device, Input};
use std::sync::Arc;

impl Driver {
    /// Shows this moment.
    pub(super) fn show(&mut self) {
        let status = Status::of(&self.engine, &self.surroundings());
        let engine = &self.engine;
        let intents = intents_of(engine, &self.config);
        let heard_ms = heard_ms(engine);
        self.view.send_if_modified(|view| {
            let is_news = view.status != status || view.intents != intents;
            if view.status.accepted != status.accepted {
                view.desired = Arc::new(engine.state().clone());
            }
            if view.status.actual != status.actual {
                view.actual = Arc::new(engine.actual().clone());
            }
            view.status = status;
            view.intents = intents;
            view.heard_ms = heard_ms;
            is_news
        });
        // Applications first: the file is for people.
        let shown = &self.view.borrow().status;
        self.status_file.offer(shown, clock::mono_ms());
    }

    /// Leaves the last moment in the file.
    pub(super) fn show_last(&mut self) {
        self.show();
        self.status_file.write(&self.view.borrow().status);
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            counts: &self.counts,
            failure: self.failure.as_ref(),
            gate: self.gate,
            route: self.routes.current_name(),
            is_connected: self.is_connected,
            bytes: self.routes.bytes(),
            routes: self.routes.facts(),
            clock_ahead_s: self.time.ahead_s(),
            clock_source: self.routes.time().report().source(),
        }
    }

    /// Decides anew whether changes may reach the application, and does what that lets through.
    pub(super) fn look_at_gate(&mut self) -> Result<(), CommandError> {
        if self.give_gate() {
            self.drain()?;
        }
        Ok(())
    }

    /// Decides anew whether changes may reach the application; true when the engine was told.
    pub(super) fn give_gate(&mut self) -> bool {
        let is_paused_here = gate::is_paused(&self.config.dir);
        let is_in_window = self.config.apply.windows.contains(clock::unix_s());
        let gate = Gate::of(is_paused_here, self.engine.state(), is_in_window);
        if gate == self.gate {
            return false;
        }
        tracing::info!(reason = gate.as_str(), "applying is allowed or not");
        self.gate = gate;
        self.give(Input::Gate {
            is_open: gate.is_open(),
        });
        true
    }
}

/// Looks at a device before its first turn.
pub(super) fn view_of(engine: &Device, config: &DeviceConfig, around: &Surroundings<'_>) -> View {
    View {
        status: Status::of(engine, around),
        desired: Arc::new(engine.state().clone()),
        actual: Arc::new(engine.actual().clone()),
        intents: intents_of(engine, config),
        heard_ms: heard_ms(engine),
    }
}

fn intents_of(engine: &Device, config: &DeviceConfig) -> Vec<Intent> {
    let intents = engine.intents().map(|(path, taken, done)| Intent {
        path: path.clone(),
        taken,
        done,
        is_configured: config.intents.contains_key(path),
    });
    intents.collect()
}

/// Returns the moment of the newest proof that the controller lives.
fn heard_ms(engine: &Device) -> Option<u64> {
    let now = clock::now();
    let age_ms = engine.freshness(now).age_ms?;
    Some(now.mono_ms.saturating_sub(age_ms))
}
