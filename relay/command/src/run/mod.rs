//! `postern-relay run`: server, admin socket, health address, and the one loop that decides.
//!
//! ```text
//!  signals --+
//!  orders  --+--> loop (a turn each 200 ms): reload, drain, certificate, watchdog, stop, upgrade
//!  time    --+
//! ```
//!
//! Everything that an operator could have got wrong is checked before the first port is opened.
//! Refuses to run where the audit log cannot be written.

mod notify;
mod reload;
mod signals;
mod start;
#[cfg(test)]
mod tests;
mod upgrade;

use crate::admin::{Desk, DrainStanding, Order, Response};
use crate::config::{Limit, LogOverride, RelayConfig};
use crate::drain::{Drain, Phase, Window};
use crate::handover::{Predecessor, Successor};
use crate::health::{Health, Moment};
use crate::limits::{MINUTE_MS, TURN};
use crate::operable::{Leaving, Operable};
use crate::telemetry::{LevelHandle, Rates};
use notify::Notify;
use postern_console::clock;
use postern_console::exit::CommandError;
use postern_relay::store::StoreError;
use reload::{Reloaded, Reloader};
use signals::{Signals, Told};
use start::Started;
use std::sync::Arc;
use tokio::time::MissedTickBehavior;
use upgrade::Upgrade;

/// What a turn of the loop found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Go on.
    On,
    /// The process shall end.
    End,
    /// The next process shall be started.
    Prepare,
    /// The next process shall go on.
    HandOver,
    /// A commit has failed.
    StoreFailed,
}

/// The logs of this process: what was started, and what a reload needs.
pub struct Logging {
    /// Changes the level.
    pub level: LevelHandle,
    /// How many lines each place in the code may write.
    pub rates: Rates,
    /// What the command line said.
    pub over: LogOverride,
}

/// Runs the relay until it is told to stop, or another process goes on in its place.
///
/// # Errors
/// A key, trust line, certificate or configuration that is refused, an address that is taken, an
/// audit log that cannot be written.
pub async fn run(
    config: RelayConfig,
    logging: Logging,
    predecessor: Option<Predecessor>,
) -> Result<(), CommandError> {
    let mut signals = Signals::receive()?;
    let mut started = Started::start(Arc::new(config), logging, predecessor).await?;
    let (control, queue) = (&mut started.control, &mut started.queue);
    control.notify.tell("READY=1");
    let mut failed = started.served.failed();
    let mut preparing = None;
    let mut ticks = tokio::time::interval(TURN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let turn = tokio::select! {
            told = signals.next() => control.handle_signal(told, moment()),
            order = queue.recv() => match order {
                Some(order) => control.handle_order(order, moment()),
                None => Turn::End,
            },
            prepared = upgrade::prepared(&mut preparing) => control.handle_prepared(prepared, moment()),
            _ = failed.wait_for(Option::is_some) => Turn::StoreFailed,
            _ = ticks.tick() => control.handle_tick(moment()),
        };
        match turn {
            Turn::On => {}
            Turn::End => break,
            Turn::Prepare => preparing = Some(tokio::task::spawn_blocking(Successor::prepare)),
            Turn::HandOver => return started.hand_over().await,
            // Nothing that waits can be made durable: whoever is connected finds out by the end.
            Turn::StoreFailed => {
                control.note("stop", serde_json::json!({ "by": "store" }), "done");
                return Err(store_failed(failed.borrow().as_ref()));
            }
        }
    }
    control.notify.tell("STOPPING=1");
    started.stop().await;
    // A store that does not close in order has lost nothing, and its disk wants to be looked at all the same.
    match failed.borrow().as_ref() {
        Some(failure) => Err(store_failed(Some(failure))),
        None => Ok(()),
    }
}

fn store_failed(error: Option<&StoreError>) -> CommandError {
    let reason = error.map_or_else(String::new, |error| {
        let source = std::error::Error::source(error);
        let source = source.map_or_else(String::new, |source| format!(" ({source})"));
        format!(": {error}{source}")
    });
    CommandError::store(
        "store-failed",
        format!("the store has failed{reason}"),
        "look at the disk (space, rights, errors), then start again: everything acknowledged is there",
    )
}

/// Reads both clocks.
fn moment() -> Moment {
    Moment {
        mono_ms: clock::mono_ms(),
        unix_s: clock::unix_s(),
    }
}

/// What the process is letting go for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// An operator asked; the process goes on afterwards.
    Operator,
    /// It was told to stop; it ends afterwards.
    Stop,
    /// Another process goes on afterwards.
    Upgrade,
}

/// The loop's state. Pure but for what it tells the relay and the log.
struct Control {
    relay: Arc<dyn Operable>,
    health: Arc<Health>,
    desk: Arc<Desk>,
    reloader: Reloader,
    rates: Rates,
    notify: Notify,
    drain: Option<(Drain, Why)>,
    upgrade: Upgrade,
    next_minute_ms: u64,
    next_watchdog_ms: u64,
}

impl Control {
    fn new(
        relay: Arc<dyn Operable>,
        health: Arc<Health>,
        desk: Arc<Desk>,
        reloader: Reloader,
        rates: Rates,
        notify: Notify,
    ) -> Self {
        Self {
            relay,
            health,
            desk,
            reloader,
            rates,
            notify,
            drain: None,
            upgrade: Upgrade::None,
            next_minute_ms: 0,
            next_watchdog_ms: 0,
        }
    }

    fn handle_signal(&mut self, told: Told, now: Moment) -> Turn {
        match told {
            Told::Reload => {
                self.note("reload", serde_json::json!({ "by": "SIGHUP" }), "asked");
                let outcome = match self.reload(now) {
                    Ok(_) => "done",
                    Err(_) => "refused",
                };
                self.note("reload", serde_json::json!({ "by": "SIGHUP" }), outcome);
                Turn::On
            }
            Told::Stop if matches!(self.drain, Some((_, Why::Stop))) => {
                tracing::warn!("told to stop a second time: stopping at once");
                Turn::End
            }
            Told::Stop => {
                self.note("drain", serde_json::json!({ "by": "SIGTERM" }), "asked");
                self.notify.tell("STOPPING=1");
                self.dismiss("told to stop");
                self.begin_drain(self.short_window(), Why::Stop, now);
                self.handle_tick(now)
            }
        }
    }

    fn handle_order(&mut self, order: Order, now: Moment) -> Turn {
        let (reply, response) = match order {
            Order::Drain { within_ms, reply } => (reply, self.drain_for_operator(within_ms, now)),
            Order::Undrain { reply } => (reply, self.undrain()),
            Order::Reload { reply } => (reply, self.reload_for_operator(now)),
            Order::Upgrade { reply } => return self.begin_upgrade(reply),
        };
        // Whoever asked may have gone away; what was asked is done all the same.
        let _ = reply.send(response);
        Turn::On
    }

    fn handle_tick(&mut self, now: Moment) -> Turn {
        self.health.turn(now);
        if now.mono_ms >= self.next_minute_ms {
            self.next_minute_ms = now.mono_ms.saturating_add(MINUTE_MS);
            self.rates.say_left_out();
            if self.reloader.look_at_certificate() {
                self.note("certificate", serde_json::json!({ "by": "change" }), "done");
            }
        }
        if self.notify.watchdog_ms > 0 && now.mono_ms >= self.next_watchdog_ms {
            // The relay's own locks are part of being alive.
            let _ = self.relay.standing();
            self.notify.tell("WATCHDOG=1");
            self.next_watchdog_ms = now.mono_ms.saturating_add(self.notify.watchdog_ms);
        }
        self.drain_on(now)
    }

    /// The window of a process that ends or hands over.
    fn short_window(&self) -> Window {
        let limits = &self.reloader.config().limits;
        Window {
            announce_ms: 0,
            within_ms: limits.of(Limit::StopWithinS).saturating_mul(1_000),
            grace_ms: 0,
        }
    }

    fn begin_drain(&mut self, window: Window, why: Why, now: Moment) {
        tracing::info!(within_ms = window.within_ms, "draining");
        self.drain = Some((Drain::begin(window, now.mono_ms), why));
        // Who hands over is connected to all the while: a load balancer has to go nowhere.
        self.health.set_draining(why != Why::Upgrade);
    }

    fn end_drain(&mut self) {
        self.drain = None;
        self.relay.set_leaving(None);
        self.health.set_draining(false);
        self.desk.set_drain(None);
        tracing::info!("taking devices again");
    }

    /// Does what the drain asks for now.
    fn drain_on(&mut self, now: Moment) -> Turn {
        self.look_at_successor();
        let Some((drain, why)) = &mut self.drain else {
            return Turn::On;
        };
        let due = drain.poll_due(now.mono_ms, self.relay.held());
        // Who stops or hands over is back in a moment; who drains is not.
        let moves = *why == Why::Operator;
        let leaving = due.retry_ms.map(|retry_ms| Leaving { retry_ms, moves });
        self.relay.set_leaving(leaving);
        if due.release > 0 {
            self.relay.release(due.release);
        }
        self.desk.set_drain(Some(standing(drain, now.mono_ms)));
        // Who stops waits for those that are held, and for nobody else.
        let is_done = due.phase == Phase::Over || self.relay.held() == 0;
        match *why {
            Why::Stop if is_done => Turn::End,
            Why::Upgrade if is_done => Turn::HandOver,
            Why::Stop | Why::Upgrade | Why::Operator => Turn::On,
        }
    }

    fn drain_for_operator(&mut self, within_ms: Option<u64>, now: Moment) -> Response {
        let is_ending = matches!(self.drain, Some((_, Why::Stop | Why::Upgrade)));
        if !is_ending {
            let limits = &self.reloader.config().limits;
            let ms = |limit| limits.of(limit).saturating_mul(1_000);
            let window = Window {
                announce_ms: ms(Limit::DrainAnnounceS),
                within_ms: within_ms.unwrap_or_else(|| ms(Limit::DrainWithinS)),
                grace_ms: ms(Limit::DrainGraceS),
            };
            self.begin_drain(window, Why::Operator, now);
            self.drain_on(now);
        }
        match &self.drain {
            Some((drain, _)) => Response::Draining {
                drain: standing(drain, now.mono_ms),
            },
            None => unreachable!("a drain has just begun, or one was under way"),
        }
    }

    fn undrain(&mut self) -> Response {
        match self.drain {
            Some((_, Why::Stop)) => stopping().into(),
            Some((_, Why::Operator | Why::Upgrade)) => {
                self.dismiss("somebody said undrain");
                self.end_drain();
                Response::Undrained { changed: true }
            }
            None => Response::Undrained { changed: false },
        }
    }

    fn reload(&mut self, now: Moment) -> Result<Reloaded, CommandError> {
        let micros = now.mono_ms.saturating_mul(1_000);
        self.notify
            .tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        let result = self.reloader.reload();
        self.desk.set_config(Arc::clone(self.reloader.config()));
        self.notify.tell("READY=1");
        result
    }

    fn reload_for_operator(&mut self, now: Moment) -> Response {
        match self.reload(now) {
            Ok(done) => Response::Reloaded {
                changed: done.changed,
                needs_restart: done.needs_restart,
                certificate: true,
            },
            Err(error) => error.into(),
        }
    }

    fn note(&self, op: &str, detail: serde_json::Value, outcome: &str) {
        if let Err(error) = self.desk.note(op, detail, outcome) {
            tracing::error!(op, reason = %error.message, "the audit log cannot be written");
        }
    }
}

fn stopping() -> CommandError {
    CommandError::failure(
        "relay-stopping",
        "the relay is stopping and does not take devices again",
        "start it with `postern-relay run`",
    )
}

fn standing(drain: &Drain, now_ms: u64) -> DrainStanding {
    DrainStanding {
        phase: drain.phase(now_ms),
        told: drain.told() as u64,
        left_ms: drain.left_ms(now_ms),
    }
}
