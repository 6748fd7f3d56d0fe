//! One engine with its store, as a driver holds them. A crash is: drop the engine, keep the store.

use super::keys::{Dice, TestKeys};
use super::store::MemoryStore;
use crate::cbor::Reader;
use crate::context::Now;
use crate::controller::{self, Controller};
use crate::device::{self, Device, Event, ExchangeId, Identity, Settings};
use crate::key::MemorySigner;
use crate::record::Table;
use crate::revision::{Epoch, Generation, Revision, Seq};
use crate::state::Path;
use crate::trust::Trust;
use alloc::vec::Vec;

/// When a device dies: at its nth commit from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Commits that still succeed.
    pub after_commits: usize,
    /// True when the next commit is lost too, false when only what follows it is.
    pub is_lost: bool,
}

/// A device.
#[derive(Debug)]
pub struct DeviceNode {
    /// Who it is.
    pub identity: Identity,
    /// Its key.
    pub signer: MemorySigner,
    /// What survives a crash.
    pub store: MemoryStore,
    /// The trust that it joined with; bundles in the store extend it.
    pub joined: Trust,
    /// `None` while it is down.
    pub engine: Option<Device>,
    /// How often it was started.
    pub life: u64,
    /// When it dies next.
    pub crash: Option<Crash>,
    /// Applications that fail from now on.
    pub failures: usize,
    /// Everything that it said.
    pub events: Vec<Event>,
    /// Every revision that its application was brought to, in order.
    pub applied: Vec<Revision>,
    /// Every action that it started: the intent, its value, and whether it was a retry.
    pub acts: Vec<(Path, u64, bool)>,
    /// Exchanges that it started.
    pub exchanges: usize,
    pub(super) poll: Option<ExchangeId>,
    pub(super) durable: Option<(Generation, Revision)>,
    pub(super) timer_ms: Option<u64>,
    pub(super) failed_connects: u32,
}

impl DeviceNode {
    /// Prepares a device that is down and holds nothing.
    #[must_use]
    pub fn new(identity: Identity, signer: MemorySigner, joined: Trust) -> Self {
        Self {
            identity,
            signer,
            store: MemoryStore::default(),
            joined,
            engine: None,
            life: 0,
            crash: None,
            failures: 0,
            events: Vec::new(),
            applied: Vec::new(),
            acts: Vec::new(),
            exchanges: 0,
            poll: None,
            durable: None,
            timer_ms: None,
            failed_connects: 0,
        }
    }

    /// Rebuilds the engine from the store. # Panics: when the store does not read back.
    pub fn restore(&mut self) {
        let bundles: Vec<Vec<u8>> = self
            .store
            .rows()
            .filter(|(table, _, _)| *table == Table::Bundles)
            .map(|(_, _, value)| value.to_vec())
            .collect();
        let trust = bundles.iter().fold(self.joined.clone(), |trust, bundle| {
            trust.offer(bundle).unwrap_or(trust)
        });
        let settings = Settings::default();
        let engine = Device::restore(self.identity.clone(), trust, settings, self.store.rows());
        let Ok(engine) = engine else {
            unreachable!("a store holds what an engine wrote: {engine:?}");
        };
        let held = engine.head().map(|head| (head.generation, head.revision));
        assert!(
            held >= self.durable,
            "a revision that was durable is lost: {held:?} after {:?}",
            self.durable
        );
        self.life += 1;
        (self.poll, self.timer_ms) = (None, None);
        self.engine = Some(engine);
    }

    /// Gives the engine one input. The caller drains.
    pub(super) fn input(&mut self, now_ms: u64, dice: &mut Dice, input: device::Input<'_>) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        let mut context = device::Context {
            now: now(now_ms),
            random: dice,
            signer: &self.signer,
        };
        engine.handle_input(&mut context, input);
    }

    /// Makes a commit durable, unless the device dies of it. Returns false when it died.
    pub(super) fn commit(&mut self, writes: &[crate::record::Write]) -> bool {
        if let Some(crash) = &mut self.crash {
            let is_last = crash.after_commits == 0;
            crash.after_commits = crash.after_commits.saturating_sub(1);
            if is_last {
                let is_lost = crash.is_lost;
                self.crash = None;
                if !is_lost {
                    self.make_durable(writes);
                }
                self.engine = None;
                return false;
            }
        }
        self.make_durable(writes);
        true
    }

    fn make_durable(&mut self, writes: &[crate::record::Write]) {
        self.store.commit(writes);
        let held = self.stored_head();
        assert!(held >= self.durable, "a head went backwards");
        self.durable = held;
    }

    /// The head as the store holds it: the engine may be ahead of what it asked to persist.
    fn stored_head(&self) -> Option<(Generation, Revision)> {
        let mut rows = self.store.rows();
        let is_desired = |table, key: &[u8]| table == Table::Heads && key == b"desired";
        let (_, _, value) = rows.find(|(table, key, _)| is_desired(*table, key))?;
        let mut reader = Reader::new(value);
        reader.array().ok()?;
        let generation = Generation::new(reader.uint().ok()?);
        let epoch = Epoch::new(reader.uint().ok()?);
        let revision = Revision::new(epoch, Seq::new(reader.uint().ok()?));
        Some((generation, revision))
    }

    /// What the engine accepted.
    #[must_use]
    pub fn head(&self) -> Option<Revision> {
        let head = self.engine.as_ref().and_then(Device::head);
        head.map(|head| head.revision)
    }
}

/// The controller.
#[derive(Debug)]
pub struct ControllerNode {
    /// What survives a restart.
    pub store: MemoryStore,
    /// The engine.
    pub engine: Controller,
    /// Everything that it said.
    pub events: Vec<controller::Event>,
}

impl ControllerNode {
    /// Builds the engine from a store. # Panics: when the store does not read back.
    #[must_use]
    pub fn restore(keys: &TestKeys, store: MemoryStore) -> Self {
        let engine = Controller::restore(keys.trust(), keys.bundles.clone(), store.rows());
        let Ok(engine) = engine else {
            unreachable!("a store holds what an engine wrote: {engine:?}");
        };
        Self {
            store,
            engine,
            events: Vec::new(),
        }
    }

    /// Gives the engine one input. The caller drains.
    pub fn input(
        &mut self,
        now_ms: u64,
        dice: &mut Dice,
        keys: &TestKeys,
        input: controller::Input<'_>,
    ) {
        let mut context = controller::Context {
            now: now(now_ms),
            random: dice,
            keys,
        };
        self.engine.handle_input(&mut context, input);
    }
}

/// The moment of a virtual clock, which started in 2026.
pub(super) const fn now(now_ms: u64) -> Now {
    Now {
        mono_ms: now_ms,
        unix_s: Some(1_790_000_000 + now_ms / 1_000),
    }
}
