//! `postern device run`: the loop around the device's engine.
//!
//! One task owns the engine; exchanges, applications and pauses run beside it and come back as
//! happenings. `Persist` is committed before anything behind it is looked at. A store that fails
//! ends the process: a supervisor restarts it and the engine resumes from what is durable.

use super::displaced::Displaced;
use super::gate::Gate;
use super::homing::{Homing, Proving};
use super::leave;
use super::local::{Reply, Written};
use super::start::start;
use super::status::{Counts, Failure};
use super::status_file::StatusFile;
use super::stream::Streams;
use super::time::{TimeFault, TimeNotes};
use super::view::View;
use crate::applier::Applier;
use crate::config::{ApplyBy, DeviceConfig};
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::routes::{Brought, Raced, Routes, Sent, Sizes, StreamPiece, StreamStop, WayId};
use crate::{clock, records};
use postern_egress::TransportError;
use postern_egress::backoff::Backoff;
use postern_egress::hold::Hold;
use postern_egress::push::Flow;
use postern_protocol::device::{ActOutcome, Applied, Context, Device, ExchangeId, Input, Output};
use postern_protocol::key::MemorySigner;
use postern_protocol::revision::Revision;
use postern_protocol::signed_time::SignedTime;
use postern_protocol::state::Path as StatePath;
use postern_relay::store::{DiskStore, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Happenings that may wait for the loop: two exchanges, one application, their pauses, some actions.
/// More of them wait where they came from.
const HAPPENINGS_MAX: usize = 16;

/// How often the clock is compared with maintenance windows, which begin and end on the minute.
const WINDOW_LOOK: Duration = Duration::from_secs(20);

/// What comes back to the loop.
pub(super) enum Happening {
    Carried {
        id: ExchangeId,
        sent: Sent,
        result: Result<Brought, TransportError>,
    },
    /// One answer of a stream came.
    Streamed {
        id: ExchangeId,
        sent: Sent,
        piece: StreamPiece,
    },
    /// A stream is not read any more.
    StreamOver {
        id: ExchangeId,
        sent: Sent,
        stop: StreamStop,
    },
    /// A race ended: for this exchange, or for another way than the one in use.
    Raced(Option<ExchangeId>, Raced),
    Applied(Applied),
    Acted {
        path: StatePath,
        value: u64,
        outcome: ActOutcome,
    },
    /// What asking for the time after an exchange's failure came to.
    TimeAsked {
        id: ExchangeId,
        way: WayId,
        result: Result<SignedTime, TimeFault>,
    },
    ConnectDue,
    FailureDue(ExchangeId),
    PollDue,
    /// What a better way answered to an ask, or the code of its failure.
    Probed(WayId, Result<Vec<u8>, &'static str>),
    /// What a better way answered to a hello.
    Proven(Box<Proving>),
    /// It is time to ask the PAC script again.
    PreparationDue,
    /// The PAC script was asked; when to ask again, if that is not arranged already.
    Prepared(Option<Duration>),
}

/// A poll or stream that was granted to the engine: how long, and which ladder asked for it.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub(super) hold: Option<Hold>,
    pub(super) flow: Option<Flow>,
    pub(super) exchange: Option<ExchangeId>,
}

/// The engine and everything that one device's loop owns.
pub(super) struct Driver {
    pub(super) engine: Device,
    pub(super) signer: Arc<MemorySigner>,
    pub(super) time: TimeNotes,
    pub(super) store: Arc<DiskStore>,
    pub(super) routes: Routes,
    pub(super) homing: Homing,
    pub(super) applier: Arc<Applier>,
    pub(super) backoff: Backoff,
    pub(super) displaced: Displaced,
    pub(super) grant: Option<Grant>,
    pub(super) streams: Streams,
    /// The sizes that the engine was told.
    pub(super) told: Option<Sizes>,
    pub(super) answered: Option<(ExchangeId, bool)>,
    /// True while a failure is told to the engine whose pause is already over.
    pub(super) has_paused: bool,
    pub(super) config: DeviceConfig,
    /// The revision whose result the application owes.
    pub(super) awaited: Option<Revision>,
    /// The newest accepted revision, which cuts the trial of an older one short.
    pub(super) newest: watch::Sender<Revision>,
    pub(super) gate: Gate,
    /// Writes of the actual state that wait for the engine's word, by ticket.
    pub(super) writing: BTreeMap<u64, Reply<Written>>,
    pub(super) tickets: u64,
    /// True once the controller knows that this device leaves.
    pub(super) has_left: bool,
    pub(super) counts: Counts,
    pub(super) failure: Option<Failure>,
    /// Whether the last exchange brought a verified answer.
    pub(super) is_connected: bool,
    pub(super) status_file: StatusFile,
    pub(super) view: watch::Sender<View>,
    pub(super) sender: mpsc::Sender<Happening>,
}

/// Runs the device until it is told to stop.
///
/// # Errors
/// A configuration, key or store that is refused at start; a store that fails later.
pub async fn run(config: &DeviceConfig) -> Result<(), CommandError> {
    let (sender, mut receiver) = mpsc::channel(HAPPENINGS_MAX);
    let mut driver = start(config, sender)?;
    let mut asks = driver.open_local_api()?;
    tracing::info!(
        device = driver.engine.identity().channel.device.as_str(),
        routes = driver.routes.len(),
        "device started"
    );
    driver.prepare_first().await;
    driver.look_at_gate()?;
    driver.feed(Input::Start)?;
    driver.feed(Input::Connect)?;
    driver.grant_poll()?;
    let mut stop = std::pin::pin!(crate::signals::stop());
    while !driver.has_left {
        driver.show();
        let timeout = driver.timeout();
        tokio::select! {
            () = &mut stop => break,
            () = tokio::time::sleep(timeout.unwrap_or(Duration::from_secs(3_600))), if timeout.is_some() => {
                driver.feed(Input::Timeout)?;
            }
            Some(happening) = receiver.recv() => driver.handle(happening)?,
            Some(ask) = asks.recv() => driver.handle_ask(ask)?,
        }
        driver.look_at_routes()?;
        driver.tell_sizes()?;
        driver.look_at_gate()?;
        driver.look_at_clock();
        driver.grant_poll()?;
    }
    driver.show_last();
    driver.routes.close().await;
    // Absent already, or replaced at the next start.
    let _removed = std::fs::remove_file(&config.local_api.socket);
    if driver.has_left {
        leave::mark(&config.dir)?;
    }
    tracing::info!("device stopped");
    driver.store.close().map_err(CommandError::from)
}

impl Driver {
    fn timeout(&self) -> Option<Duration> {
        let due = [
            self.engine.poll_timeout(),
            self.streams.due_ms(),
            self.status_file.due_ms(),
            Some(self.routes.due_ms()),
        ];
        let due = due.into_iter().flatten().min();
        let due = due.map(|at| Duration::from_millis(at.saturating_sub(clock::mono_ms())));
        let windows = (!self.config.apply.windows.is_always()).then_some(WINDOW_LOOK);
        [due, windows].into_iter().flatten().min()
    }

    /// Gives the engine one input and does everything that it asks for, in order.
    pub(super) fn feed(&mut self, input: Input<'_>) -> Result<(), CommandError> {
        self.give(input);
        self.drain()
    }

    /// Does everything that the engine asks for, in order.
    pub(super) fn drain(&mut self) -> Result<(), CommandError> {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(mut writes) => {
                    writes.extend(self.time.ride_along());
                    let _durable = records::commit(self.store.as_ref(), writes)?;
                    self.counts.commits += 1;
                }
                Output::Exchange(exchange) => self.carry(exchange),
                Output::Apply { revision } => self.apply(revision),
                Output::Act {
                    path,
                    value,
                    is_retry,
                } => self.act(path, value, is_retry),
                Output::Reconnect => self.connect_later(),
                Output::Event(event) => {
                    self.note(event)?;
                    // A revision may pause the device; what stands behind it in line is then kept back.
                    self.give_gate();
                }
            }
        }
        Ok(())
    }

    /// Gives the engine one input; what it asks for stays in line.
    pub(super) fn give(&mut self, input: Input<'_>) {
        let mut random = OsRandom;
        let mut context = Context {
            now: clock::now(),
            random: &mut random,
            signer: self.signer.as_ref(),
        };
        self.engine.handle_input(&mut context, input);
    }

    pub(super) fn handle(&mut self, happening: Happening) -> Result<(), CommandError> {
        match happening {
            Happening::Carried { id, sent, result } => self.handle_carried(id, sent, result),
            Happening::Streamed { id, sent, piece } => self.handle_streamed(id, sent, &piece),
            Happening::StreamOver { id, sent, stop } => self.handle_stream_over(id, sent, stop),
            Happening::TimeAsked { id, way, result } => self.handle_time_asked(id, way, result),
            Happening::Applied(applied) => self.feed(Input::Applied(applied)),
            Happening::Acted {
                path,
                value,
                outcome,
            } => self.feed(Input::Acted {
                path,
                value,
                outcome,
            }),
            Happening::ConnectDue => self.feed(Input::Connect),
            Happening::FailureDue(id) => self.feed_failure(id),
            Happening::Raced(exchange, raced) => self.handle_raced(exchange, raced),
            Happening::Probed(way, answer) => self.handle_probed(way, &answer),
            Happening::Proven(proving) => self.handle_proven(*proving),
            Happening::PreparationDue => {
                self.prepare(true);
                Ok(())
            }
            Happening::Prepared(pause) => self.handle_prepared(pause),
            Happening::PollDue => self.feed(Input::Hold { seconds: 0 }),
        }
    }

    pub(super) fn apply(&mut self, revision: Revision) {
        if self.config.apply.by == ApplyBy::Application {
            return self.await_application(revision);
        }
        let state = self.engine.state().clone();
        let applier = Arc::clone(&self.applier);
        let newest = self.newest.subscribe();
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let applied = applier.apply(revision, *state.root(), state, newest).await;
            let _closed = sender.send(Happening::Applied(applied)).await;
        });
    }
}
