//! `postern device run`: the loop around the device's engine.
//!
//! One task owns the engine; exchanges, applications and pauses run beside it and come back as
//! happenings. `Persist` is committed before anything behind it is looked at. A store that fails
//! ends the process: a supervisor restarts it and the engine resumes from what is durable.

use super::identity::{Stage, StoredIdentity};
use super::routes::{Carrier, Routes, random};
use super::status::StatusFile;
use crate::applier::{Applier, ApplierSettings, OnChange};
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::records::Loaded;
use crate::{clock, keys, records};
use postern_egress::TransportError;
use postern_egress::backoff::Backoff;
use postern_egress::hold::{Hold, HoldEnd, Next};
use postern_protocol::device::{
    Applied, Context, Device, Event, Exchange, ExchangeId, Input, Output,
};
use postern_protocol::frame::frame_type;
use postern_protocol::key::MemorySigner;
use postern_protocol::record::Table;
use postern_protocol::reject::Reject;
use postern_protocol::trust::Trust;
use postern_relay::store::{DiskStore, Profile, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Happenings that may wait for the loop; at most two exchanges, one application and their pauses exist.
const HAPPENINGS_MAX: usize = 16;

/// What comes back to the loop.
enum Happening {
    Carried {
        id: ExchangeId,
        way: usize,
        result: Result<(Vec<u8>, Duration), TransportError>,
    },
    Applied(Applied),
    ConnectDue,
    FailureDue(ExchangeId),
    PollDue,
}

/// A poll that was granted to the engine: how long, and which ladder asked for it.
#[derive(Clone, Copy)]
struct Grant {
    hold: Option<Hold>,
    exchange: Option<ExchangeId>,
}

struct Driver {
    engine: Device,
    signer: MemorySigner,
    store: Arc<DiskStore>,
    routes: Routes,
    applier: Arc<Applier>,
    backoff: Backoff,
    grant: Option<Grant>,
    answered: Option<(ExchangeId, bool)>,
    /// True while a failure is told to the engine whose pause is already over.
    has_paused: bool,
    status: StatusFile,
    sender: mpsc::Sender<Happening>,
}

/// Runs the device until it is told to stop.
///
/// # Errors
/// A configuration, key or store that is refused at start; a store that fails later.
pub async fn run(config: &DeviceConfig) -> Result<(), CommandError> {
    let (sender, mut receiver) = mpsc::channel(HAPPENINGS_MAX);
    let mut driver = start(config, sender)?;
    tracing::info!(
        device = driver.engine.identity().channel.device.as_str(),
        routes = driver.routes.len(),
        "device started"
    );
    driver.feed(Input::Start)?;
    driver.feed(Input::Connect)?;
    driver.grant_poll()?;
    let mut stop = std::pin::pin!(crate::signals::stop());
    loop {
        let timeout = driver.timeout();
        tokio::select! {
            () = &mut stop => break,
            () = tokio::time::sleep(timeout.unwrap_or(Duration::from_secs(3_600))), if timeout.is_some() => {
                driver.feed(Input::Timeout)?;
            }
            happening = receiver.recv() => {
                let Some(happening) = happening else { break };
                driver.handle(happening)?;
            }
        }
        driver.grant_poll()?;
        driver.write_status();
    }
    tracing::info!("device stopped");
    driver.store.close().map_err(CommandError::from)
}

fn start(config: &DeviceConfig, sender: mpsc::Sender<Happening>) -> Result<Driver, CommandError> {
    let store = Arc::new(DiskStore::open(&config.store, Profile::Device)?);
    let records = records::load(store.as_ref())?;
    let stored = StoredIdentity::find(records::lend(&records), Stage::Confirmed)
        .map_err(|error| CommandError::from_record(&config.store, &error))?
        .ok_or_else(|| not_joined(config))?;
    let signer = keys::read(&config.key, keys::KeyRole::Device)?;
    let trust = trust_of(config, &stored, &records)?;
    let routes = super::join::routes(config, &stored.urls, stored.tls_ca.as_deref())?;
    let engine = Device::restore(stored.identity, trust, records::lend(&records))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    Ok(Driver {
        engine,
        signer,
        store,
        routes,
        applier: Arc::new(Applier::new(applier_settings(config))),
        backoff: Backoff::new(),
        grant: None,
        answered: None,
        has_paused: false,
        status: StatusFile::new(config.dir.join("status.json")),
        sender,
    })
}

fn applier_settings(config: &DeviceConfig) -> ApplierSettings {
    let on_change = config.on_change.as_ref().map(|on_change| OnChange {
        command: on_change.command.clone(),
        time_limit: Duration::from_secs(on_change.time_limit_s),
    });
    ApplierSettings {
        render_dir: config.render_folder.clone(),
        on_change,
    }
}

fn not_joined(config: &DeviceConfig) -> CommandError {
    CommandError::configuration(
        "device-not-joined",
        format!(
            "the device in {} has not joined a controller",
            config.dir.display()
        ),
        format!(
            "postern device join --dir {} < join-line.txt",
            config.dir.display()
        ),
    )
}

fn trust_of(
    config: &DeviceConfig,
    stored: &StoredIdentity,
    records: &[Loaded],
) -> Result<Trust, CommandError> {
    let bundles = records
        .iter()
        .filter(|record| record.table == Table::Bundles);
    let chain = bundles.map(|record| record.value.as_slice());
    Trust::from_chain(stored.identity.channel.root, stored.recovery, chain).map_err(|reject| {
        CommandError::store(
            reject.as_str(),
            format!(
                "{}: the stored bundles do not verify: {reject}",
                config.store.display()
            ),
            "remove the folder and join again with a new join line",
        )
    })
}

impl Driver {
    fn timeout(&self) -> Option<Duration> {
        let at = self.engine.poll_timeout()?;
        Some(Duration::from_millis(at.saturating_sub(clock::mono_ms())))
    }

    /// Gives the engine one input and does everything that it asks for, in order.
    fn feed(&mut self, input: Input<'_>) -> Result<(), CommandError> {
        let mut random = OsRandom;
        let mut context = Context {
            now: clock::now(),
            random: &mut random,
            signer: &self.signer,
        };
        self.engine.handle_input(&mut context, input);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(writes) => {
                    let _durable = records::commit(self.store.as_ref(), writes)?;
                    self.status.count_commit();
                }
                Output::Exchange(exchange) => self.carry(exchange),
                Output::Apply { revision } => self.apply(revision),
                Output::Reconnect => self.connect_later(),
                Output::Event(event) => self.note(event),
            }
        }
        Ok(())
    }

    /// Lets the next poll start when none is granted or under way.
    fn grant_poll(&mut self) -> Result<(), CommandError> {
        if self.grant.is_some() {
            return Ok(());
        }
        match self.routes.next_poll() {
            Some(Next::Hold(hold)) => {
                self.grant = Some(Grant {
                    hold: Some(hold),
                    exchange: None,
                });
                self.feed(Input::Hold {
                    seconds: hold.asked().as_secs(),
                })
            }
            Some(Next::Poll { pause }) => {
                self.grant = Some(Grant {
                    hold: None,
                    exchange: None,
                });
                self.later(pause, Happening::PollDue);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn handle(&mut self, happening: Happening) -> Result<(), CommandError> {
        match happening {
            Happening::Carried { id, way, result } => self.handle_carried(id, way, result),
            Happening::Applied(applied) => self.feed(Input::Applied(applied)),
            Happening::ConnectDue => self.feed(Input::Connect),
            Happening::FailureDue(id) => {
                self.has_paused = true;
                let fed = self.feed(Input::Failed { exchange: id });
                self.has_paused = false;
                fed
            }
            Happening::PollDue => self.feed(Input::Hold { seconds: 0 }),
        }
    }

    fn handle_carried(
        &mut self,
        id: ExchangeId,
        way: usize,
        result: Result<(Vec<u8>, Duration), TransportError>,
    ) -> Result<(), CommandError> {
        let (frame, age) = match result {
            Ok(carried) => carried,
            Err(error) => {
                tracing::warn!(%error, code = error.code(), transport = self.routes.name_of(way), "exchange failed");
                self.fail(id, way, error.hold_end(), error.retry_after_s());
                self.status.note_failure(error.code());
                return Ok(());
            }
        };
        if frame_type(&frame).is_err() {
            // A block page, a captive portal, an empty body: something else answers for the mailbox.
            tracing::warn!(
                reason = Reject::NotPostern.as_str(),
                bytes = frame.len(),
                "answer is not from a mailbox"
            );
            self.status.count_reject(Reject::NotPostern);
            self.fail(id, way, HoldEnd::Other, None);
            return Ok(());
        }
        self.answered = None;
        self.feed(Input::Answer {
            exchange: id,
            frame: &frame,
        })?;
        match self.answered.take() {
            Some((answered, is_empty)) if answered == id => {
                self.backoff.reset();
                let end = if is_empty {
                    HoldEnd::Answered { age }
                } else {
                    HoldEnd::Carried
                };
                self.end_grant(id, way, end);
            }
            Some(_) | None => self.end_grant(id, way, HoldEnd::Other),
        }
        Ok(())
    }

    /// Ends a failed exchange after a pause, and goes on to the next way.
    fn fail(&mut self, id: ExchangeId, way: usize, end: HoldEnd, retry_after_s: Option<u64>) {
        self.end_grant(id, way, end);
        self.routes.advance_from(way);
        let pause = self.backoff.pause_after_failure(random(), retry_after_s);
        self.later(pause, Happening::FailureDue(id));
    }

    fn end_grant(&mut self, id: ExchangeId, way: usize, end: HoldEnd) {
        let Some(grant) = self.grant.filter(|grant| grant.exchange == Some(id)) else {
            return;
        };
        self.grant = None;
        if let Some(hold) = grant.hold {
            self.routes.end_hold(way, hold, end);
        }
    }

    fn carry(&mut self, exchange: Exchange) {
        let hold = exchange.hold_s.map(Duration::from_secs);
        let Some(carrier) = self.routes.carrier(hold) else {
            return;
        };
        if exchange.hold_s.is_some()
            && let Some(grant) = &mut self.grant
        {
            grant.exchange = Some(exchange.id);
        }
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let Carrier { way, .. } = carrier;
            let result = carrier.carry(exchange.frame).await;
            let _closed = sender
                .send(Happening::Carried {
                    id: exchange.id,
                    way,
                    result,
                })
                .await;
        });
    }

    fn apply(&mut self, revision: postern_protocol::revision::Revision) {
        let state = self.engine.state().clone();
        let applier = Arc::clone(&self.applier);
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let applied = applier.apply(revision, *state.root(), state).await;
            let _closed = sender.send(Happening::Applied(applied)).await;
        });
    }

    fn connect_later(&mut self) {
        // A poll of the ended session may still be held far away; it no longer counts.
        self.grant.take_if(|grant| grant.exchange.is_some());
        let pause = if self.has_paused {
            Duration::ZERO
        } else {
            self.backoff.pause_after_failure(random(), None)
        };
        self.later(pause, Happening::ConnectDue);
    }

    fn later(&self, pause: Duration, happening: Happening) {
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            tokio::time::sleep(pause).await;
            let _closed = sender.send(happening).await;
        });
    }

    fn note(&mut self, event: Event) {
        let device = self.engine.identity().channel.device.as_str().to_owned();
        match event {
            Event::Connected => {
                tracing::info!(
                    device,
                    transport = self.routes.current_name(),
                    "session open"
                );
            }
            Event::Answered { exchange, is_empty } => {
                tracing::trace!(device, exchange = exchange.0, is_empty, "answer verified");
                self.answered = Some((exchange, is_empty));
            }
            Event::Accepted {
                revision,
                kind,
                bytes,
            } => {
                let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
                tracing::info!(device, epoch, seq, kind = kind.as_str(), bytes, "accepted");
            }
            Event::Applied(applied) => {
                let (epoch, seq) = (
                    applied.revision.epoch.number(),
                    applied.revision.seq.number(),
                );
                let (status, output) = (applied.status, applied.output);
                if status == 0 {
                    tracing::info!(device, epoch, seq, "applied");
                } else {
                    tracing::warn!(device, epoch, seq, status, output, "applying failed");
                }
            }
            Event::ReportAcknowledged { rseq } => {
                tracing::debug!(device, rseq, "report acknowledged")
            }
            Event::BundleAccepted { number } => {
                tracing::info!(device, bundle = number.number(), "bundle accepted");
            }
            Event::Rejected { reject } => {
                tracing::warn!(device, reason = reject.as_str(), "rejected");
                self.status.count_reject(reject);
            }
            Event::RefusedByMailbox { reject } => {
                let reason = reject.map_or("unknown", Reject::as_str);
                tracing::warn!(device, reason, "refused by the mailbox");
                self.status.count_refusal(reason);
            }
        }
    }

    fn write_status(&mut self) {
        self.status.write(
            &self.engine,
            self.routes.current_name(),
            self.routes.bytes(),
        );
    }
}
