//! One engine with its store, as a driver holds them. A crash is: drop the engine, keep the store.

use super::clock::Clock;
use super::keys::{Dice, TestKeys, signer};
use super::store::MemoryStore;
use crate::cbor::Reader;
use crate::context::Now;
use crate::controller::{self, Controller};
use crate::device::{self, Device, Event, ExchangeId, Identity, Settings};
use crate::key::{MemorySigner, Signer as _};
use crate::record::{Table, Write};
use crate::revision::{Epoch, Generation, Revision, Seq};
use crate::state::Path;
use crate::trust::Trust;
use alloc::string::String;
use alloc::vec::Vec;

/// When a process dies: at its nth commit from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Commits that still succeed.
    pub after_commits: usize,
    /// True when the next commit is lost too, false when only what follows it is.
    pub is_lost: bool,
}

impl Crash {
    /// Counts a commit. `Some(is_lost)` when the process dies of it.
    fn strike(crash: &mut Option<Self>) -> Option<bool> {
        let pending = crash.as_mut()?;
        if pending.after_commits > 0 {
            pending.after_commits -= 1;
            return None;
        }
        crash.take().map(|crash| crash.is_lost)
    }
}

/// What a driver of this world does wrong on purpose, to see whether somebody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Lets messages leave before what is behind them is durable.
    SendBeforePersist,
    /// Loses the marks of intents.
    ForgetMarks,
    /// Starts from the store of an earlier moment.
    StaleStore,
}

/// A device.
#[derive(Debug)]
pub struct DeviceNode {
    /// Who it is.
    pub identity: Identity,
    /// Its key.
    pub signer: MemorySigner,
    /// The name of its key, for a copy of the unit.
    pub key_name: String,
    /// The name of the key that it asked for.
    pub next_key: Option<String>,
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
    /// Every action that it was told to run: the intent, its value, and whether it was a retry.
    pub acts: Vec<(Path, u64, bool)>,
    /// Exchanges that it started.
    pub exchanges: usize,
    /// True when an action whose end is not known is not run again.
    pub is_at_most_once: bool,
    /// True for a second unit with the store of another, which nothing of this world waits for.
    pub is_copy: bool,
    /// Its clocks.
    pub clock: Clock,
    /// The moment of the world until which it is suspended.
    pub asleep_until_ms: u64,
    /// What its driver does wrong.
    pub sabotage: Option<Sabotage>,
    /// Writes that were not made durable in time.
    pub(super) unsaved: Vec<Write>,
    /// The store at an earlier moment.
    pub(super) earlier: MemoryStore,
    pub(super) poll: Option<ExchangeId>,
    pub(super) durable: Durable,
    pub(super) timer_ms: Option<u64>,
    pub(super) failed_connects: u32,
}

/// The heads that a store holds: none of them may ever go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Durable {
    pub(super) desired: Option<(Generation, Revision)>,
    pub(super) actual: Option<Revision>,
    pub(super) report: Option<Revision>,
}

impl Durable {
    fn is_from(&self, before: &Self) -> bool {
        self.desired >= before.desired
            && self.actual >= before.actual
            && self.report >= before.report
    }
}

impl DeviceNode {
    /// Prepares a device that is down and holds nothing.
    #[must_use]
    pub fn new(identity: Identity, signer: MemorySigner, joined: Trust) -> Self {
        Self {
            identity,
            signer,
            key_name: String::new(),
            next_key: None,
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
            is_at_most_once: false,
            is_copy: false,
            clock: Clock::RIGHT,
            asleep_until_ms: 0,
            sabotage: None,
            unsaved: Vec::new(),
            earlier: MemoryStore::default(),
            poll: None,
            durable: Durable::default(),
            timer_ms: None,
            failed_connects: 0,
        }
    }

    /// Rebuilds the engine from the store. Returns what it found to be gone, if anything is.
    /// # Panics: when the store does not read back.
    pub fn restore(&mut self) -> Option<&'static str> {
        self.unsaved.clear();
        if self.sabotage == Some(Sabotage::StaleStore) && self.life > 0 {
            self.store = self.earlier.clone();
        }
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
        let engine = engine.with_agreement(super::keys::agreement());
        self.take_confirmed_key(&engine);
        let held = Durable {
            desired: engine.head().map(|head| (head.generation, head.revision)),
            actual: engine.actual_head().map(|head| head.revision),
            report: Some(engine.report_number()).filter(|_| self.durable.report.is_some()),
        };
        let is_whole = held.is_from(&self.durable);
        self.durable = held;
        self.life += 1;
        (self.poll, self.timer_ms) = (None, None);
        self.engine = Some(engine);
        (!is_whole).then_some("a head that was durable is lost")
    }

    /// Signs with the next key once the controller confirmed it.
    fn take_confirmed_key(&mut self, engine: &Device) {
        let confirmed = engine.confirmed_key();
        let next = self.next_key.as_deref().map(signer);
        if next.is_some_and(|next| Some(&next.public_key().thumbprint()) == confirmed) {
            self.confirm_key();
        }
    }

    /// Takes the word that the next key counts.
    pub(super) fn confirm_key(&mut self) {
        if let Some(name) = self.next_key.take() {
            self.signer = signer(&name);
            self.key_name = name;
        }
    }

    /// What its clocks show at a moment of the world.
    #[must_use]
    pub fn now(&self, world_ms: u64) -> Now {
        self.clock.read(world_ms)
    }

    /// Gives the engine one input. The caller drains.
    pub(super) fn input(&mut self, now_ms: u64, dice: &mut Dice, input: device::Input<'_>) {
        let unsaved = core::mem::take(&mut self.unsaved);
        if !unsaved.is_empty() {
            self.make_durable(&unsaved);
        }
        let now = self.now(now_ms);
        let Some(engine) = &mut self.engine else {
            return;
        };
        let mut context = device::Context {
            now,
            random: dice,
            signer: &self.signer,
        };
        engine.handle_input(&mut context, input);
    }

    /// Makes a commit durable, unless the device dies of it. Returns false when it died.
    pub(super) fn commit(&mut self, writes: &[Write]) -> Result<bool, &'static str> {
        if let Some(is_lost) = Crash::strike(&mut self.crash) {
            self.engine = None;
            if !is_lost && self.sabotage != Some(Sabotage::SendBeforePersist) {
                self.make_durable(writes);
            }
            return Ok(false);
        }
        if self.sabotage == Some(Sabotage::SendBeforePersist) {
            self.unsaved.extend(writes.iter().cloned());
            return Ok(true);
        }
        if self.make_durable(writes) {
            Ok(true)
        } else {
            Err("a durable head went back")
        }
    }

    fn make_durable(&mut self, writes: &[Write]) -> bool {
        if self.store.commits().is_multiple_of(8) {
            self.earlier = self.store.clone();
        }
        let is_kept = |write: &&Write| {
            self.sabotage != Some(Sabotage::ForgetMarks) || write.table != Table::Intents
        };
        let writes: Vec<Write> = writes.iter().filter(is_kept).cloned().collect();
        self.store.commit(&writes);
        let held = self.stored();
        let is_forward = held.is_from(&self.durable);
        self.durable = held;
        is_forward
    }

    /// The heads as the store holds them: the engine may be ahead of what it asked to persist.
    fn stored(&self) -> Durable {
        let mut held = Durable::default();
        for (table, key, value) in self.store.rows() {
            let mut reader = Reader::new(value);
            let Ok(_) = reader.array() else { continue };
            let mut number = || reader.uint().unwrap_or(0);
            match (table, key) {
                (Table::Heads, b"desired") => {
                    let generation = Generation::new(number());
                    let epoch = Epoch::new(number());
                    held.desired = Some((generation, Revision::new(epoch, Seq::new(number()))));
                }
                (Table::Heads, b"actual") => {
                    reader.array().unwrap_or(0);
                    let mut number = || reader.uint().unwrap_or(0);
                    let epoch = Epoch::new(number());
                    held.actual = Some(Revision::new(epoch, Seq::new(number())));
                }
                (Table::Reports, b"reporter") => {
                    let epoch = Epoch::new(number());
                    held.report = Some(Revision::new(epoch, Seq::new(number())));
                }
                _ => {}
            }
        }
        held
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
    /// When it dies next.
    pub crash: Option<Crash>,
    pub(super) timer_ms: Option<u64>,
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
            crash: None,
            timer_ms: None,
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

    /// Makes a commit durable. Returns false when the controller died of it.
    pub(super) fn commit(&mut self, writes: &[Write]) -> bool {
        let struck = Crash::strike(&mut self.crash);
        if struck != Some(true) {
            self.store.commit(writes);
        }
        struck.is_none()
    }
}

/// The moment of a virtual clock, which started in 2026.
pub(super) fn now(now_ms: u64) -> Now {
    Clock::RIGHT.read(now_ms)
}
