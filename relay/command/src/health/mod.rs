//! Whether the relay lives and whether it should be sent anybody: what `/livez` and `/readyz` say.
//!
//! ```text
//!  loop --turn--> alive?   store, drain, clock, certificate --> ready?
//! ```
//!
//! Readiness is about this machine alone: a controller that is away makes no relay unready, its devices
//! are served from what is kept. Refuses to remember anything but the last look.

#[cfg(test)]
mod tests;

use crate::limits::{CLOCK_JUMP_S_MAX, CLOCK_SUSPECT_MS, TURN_MS_MAX};
use crate::operable::Operable;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const DAY_S: u64 = 86_400;

/// One thing that readiness looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// `store`, `drain`, `clock` or `certificate`.
    pub name: String,
    /// True when it is as it should be.
    pub is_well: bool,
    /// Why not; empty when it is.
    pub reason: String,
}

/// What was read of both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since boot.
    pub mono_ms: u64,
    /// Seconds since 1970; absent while the machine's clock is not set.
    pub unix_s: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    started: Moment,
    last: Moment,
    /// When the wall clock jumped last, and how far.
    jumped: Option<(u64, u64)>,
    is_draining: bool,
    certificate_until_s: u64,
    certificate_days_min: u64,
    /// Reloads that were taken, and that were refused.
    reloads: (u64, u64),
}

/// What the loop tells and the health address shows.
pub struct Health {
    relay: Arc<dyn Operable>,
    state: Mutex<State>,
}

impl Health {
    /// Begins now.
    pub fn new(relay: Arc<dyn Operable>, now: Moment) -> Self {
        Self {
            relay,
            state: Mutex::new(State {
                started: now,
                last: now,
                jumped: None,
                is_draining: false,
                certificate_until_s: u64::MAX,
                certificate_days_min: 0,
                reloads: (0, 0),
            }),
        }
    }

    /// Takes a turn of the loop.
    pub fn turn(&self, now: Moment) {
        let mut state = self.lock();
        let jump_s = jump_s(state.last, now);
        if jump_s > CLOCK_JUMP_S_MAX {
            tracing::warn!(jump_s, "the machine's clock jumped");
            state.jumped = Some((now.mono_ms, jump_s));
        }
        state.last = now;
    }

    /// Takes whether the relay drains.
    pub fn set_draining(&self, is_draining: bool) {
        self.lock().is_draining = is_draining;
    }

    /// Takes until when the certificate counts, and how many days before that it is too late.
    pub fn set_certificate(&self, until_s: u64, days_min: u64) {
        let mut state = self.lock();
        state.certificate_until_s = until_s;
        state.certificate_days_min = days_min;
    }

    /// Counts a reload.
    pub fn count_reload(&self, is_taken: bool) {
        let mut state = self.lock();
        let count = if is_taken {
            &mut state.reloads.0
        } else {
            &mut state.reloads.1
        };
        *count = count.saturating_add(1);
    }

    /// Tells whether the loop had a turn within the last seconds.
    #[must_use]
    pub fn is_alive(&self, mono_ms: u64) -> bool {
        mono_ms.saturating_sub(self.lock().last.mono_ms) <= TURN_MS_MAX
    }

    /// Returns seconds since the start, as of the last turn.
    #[must_use]
    pub fn uptime_s(&self) -> u64 {
        let state = self.lock();
        state.last.mono_ms.saturating_sub(state.started.mono_ms) / 1_000
    }

    /// Returns seconds until the certificate ends; 0 when it has.
    #[must_use]
    pub fn certificate_left_s(&self) -> u64 {
        let state = self.lock();
        let now = state.last.unix_s.unwrap_or_default();
        state.certificate_until_s.saturating_sub(now)
    }

    /// Returns how many reloads were taken, and how many refused.
    #[must_use]
    pub fn reloads(&self) -> (u64, u64) {
        self.lock().reloads
    }

    /// Tells whether the relay drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.lock().is_draining
    }

    /// Looks at everything that readiness is about.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let state = *self.lock();
        let check = |name: &str, result: Result<(), String>| Check {
            name: name.into(),
            is_well: result.is_ok(),
            reason: result.err().unwrap_or_default(),
        };
        let drain = if state.is_draining {
            Err("the relay drains".into())
        } else {
            Ok(())
        };
        vec![
            check("store", self.relay.store_writable()),
            check("drain", drain),
            check("clock", clock(&state)),
            check("certificate", certificate(&state)),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds that the wall clock went otherwise than the monotonic one.
fn jump_s(then: Moment, now: Moment) -> u64 {
    let (Some(then_s), Some(now_s)) = (then.unix_s, now.unix_s) else {
        return 0;
    };
    let went_s = now.mono_ms.saturating_sub(then.mono_ms) / 1_000;
    then_s.saturating_add(went_s).abs_diff(now_s)
}

/// The wall clock is set and has not jumped lately. A jump may be the repair of a wrong clock, so
/// that it counts for a while only.
fn clock(state: &State) -> Result<(), String> {
    if state.last.unix_s.is_none() {
        return Err("the machine's clock is not set".into());
    }
    match state.jumped {
        Some((at_ms, jump_s)) if state.last.mono_ms.saturating_sub(at_ms) < CLOCK_SUSPECT_MS => {
            Err(format!(
                "the machine's clock jumped by {jump_s} s less than {} minutes ago",
                CLOCK_SUSPECT_MS / 60_000
            ))
        }
        Some(_) | None => Ok(()),
    }
}

fn certificate(state: &State) -> Result<(), String> {
    let Some(now_s) = state.last.unix_s else {
        // The clock's own check says so.
        return Ok(());
    };
    let left_s = state.certificate_until_s.saturating_sub(now_s);
    if left_s == 0 {
        return Err("the certificate has ended".into());
    }
    if left_s < state.certificate_days_min.saturating_mul(DAY_S) {
        return Err(format!("the certificate ends in {} hours", left_s / 3_600));
    }
    Ok(())
}
