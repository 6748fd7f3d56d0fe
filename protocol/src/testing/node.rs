//! One engine with its store, as a driver holds them. A crash is: drop the engine, keep the store.

use super::clock::Clock;
use super::heads::{Durable, TORN, WENT_BACK, read_heads};
use super::keys::{Dice, Signing, TestKeys};
use super::sabotage::Sabotage;
use super::store::MemoryStore;
use super::way::Way;
use crate::context::Now;
use crate::controller::{self, Controller};
use crate::device::{self, Device, Event, ExchangeId, Identity, Output, Settings};
use crate::id::ChannelId;
use crate::key::{MemorySigner, Signer as _};
use crate::record::{Table, Write};
use crate::revision::{BundleNumber, Generation, Revision};
use crate::state::Path;
use crate::trust::Trust;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

/// Seconds that a poll may be held unless somebody says otherwise.
const HOLD_S: u64 = 55;

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

/// When the controller's disk begins to refuse writes, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFault {
    /// Commits that still succeed.
    pub after_commits: usize,
    /// The moment of the world from which on it takes writes again.
    pub until_ms: u64,
    /// True for a full disk, which takes nothing of a commit; false for an error, after which any part may be there.
    pub is_full: bool,
}

impl DiskFault {
    /// Counts a commit. `Some(is_full)` when it fails.
    pub(super) fn strike(fault: &mut Option<Self>, now_ms: u64) -> Option<bool> {
        let pending = fault.as_mut()?;
        if now_ms >= pending.until_ms {
            *fault = None;
            return None;
        }
        if pending.after_commits > 0 {
            pending.after_commits -= 1;
            return None;
        }
        Some(pending.is_full)
    }
}

/// A device.
#[derive(Debug)]
pub struct DeviceNode {
    /// Who it is.
    pub identity: Identity,
    /// Its channel as frames name it.
    pub channel: ChannelId,
    /// Its key.
    pub signer: MemorySigner,
    /// How it signs.
    pub signing: Signing,
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
    /// Seconds that each of its polls may be held.
    pub hold_s: u64,
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
    /// Milliseconds that a commit takes: until then nothing that follows it leaves.
    pub fsync_ms: u64,
    /// The moment of the world until which every commit fails.
    pub disk_fails_until_ms: u64,
    /// True when they fail for want of room, of which the disk then has nothing; false for an error, after which it
    /// may have any part.
    pub is_disk_full: bool,
    /// What waits for a commit; the commit comes first.
    pub(super) pending: VecDeque<Output>,
    /// Exchanges that nobody has answered yet.
    pub(super) open: BTreeSet<ExchangeId>,
    /// Who sits between it and the mailbox.
    pub(super) way: Way,
    /// The newest head that the oracle has seen of this life.
    pub(super) watched: Option<(Generation, Revision)>,
    pub(super) poll: Option<ExchangeId>,
    pub(super) durable: Durable,
    pub(super) timer_ms: Option<u64>,
    pub(super) failed_connects: u32,
}

impl DeviceNode {
    /// Prepares a device that is down and holds nothing.
    #[must_use]
    pub fn new(identity: Identity, signer: MemorySigner, joined: Trust) -> Self {
        Self {
            channel: identity.channel.id(),
            identity,
            signer,
            signing: Signing::Real,
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
            hold_s: HOLD_S,
            exchanges: 0,
            is_at_most_once: false,
            is_copy: false,
            clock: Clock::RIGHT,
            asleep_until_ms: 0,
            sabotage: None,
            unsaved: Vec::new(),
            earlier: MemoryStore::default(),
            fsync_ms: 0,
            disk_fails_until_ms: 0,
            is_disk_full: false,
            pending: VecDeque::new(),
            open: BTreeSet::new(),
            way: Way::default(),
            watched: None,
            poll: None,
            durable: Durable::default(),
            timer_ms: None,
            failed_connects: 0,
        }
    }

    /// Rebuilds the engine from the store. Returns what it found to be gone, if anything is; a store that does not
    /// read back leaves it down.
    pub fn restore(&mut self) -> Option<&'static str> {
        self.unsaved.clear();
        if self.sabotage == Some(Sabotage::StaleStore) && self.life > 0 {
            self.store = self.earlier.clone();
        }
        let sabotage = self.sabotage;
        let is_kept = |table| !sabotage.is_some_and(|one| one.forgets(table));
        let bundles: Vec<Vec<u8>> = self
            .store
            .rows()
            .filter(|(table, _, _)| is_kept(*table))
            .filter(|(table, _, _)| *table == Table::Bundles)
            .map(|(_, _, value)| value.to_vec())
            .collect();
        let trust = bundles.iter().fold(self.joined.clone(), |trust, bundle| {
            trust.offer(bundle).unwrap_or(trust)
        });
        let settings = Settings::default();
        let bundle = trust.number();
        let rows = self.store.rows().filter(|(table, _, _)| is_kept(*table));
        let engine = Device::restore(self.identity.clone(), trust, settings, rows);
        let Ok(engine) = engine else {
            self.engine = None;
            return Some("the store holds what no engine wrote");
        };
        let engine = engine.with_agreement(super::keys::agreement());
        self.take_confirmed_key(&engine);
        let held = Durable {
            desired: engine.head().map(|head| (head.generation, head.revision)),
            actual: engine.actual_head().map(|head| head.revision),
            report: Some(engine.report_number()).filter(|_| self.durable.report.is_some()),
            bundle,
        };
        let is_whole = held.is_from(&self.durable);
        self.durable = held;
        self.life += 1;
        (self.poll, self.timer_ms) = (None, None);
        self.pending.clear();
        self.open.clear();
        self.engine = Some(engine);
        (!is_whole).then_some("a head that was durable is lost")
    }

    /// Signs with the next key once the controller confirmed it.
    fn take_confirmed_key(&mut self, engine: &Device) {
        let confirmed = engine.confirmed_key();
        let next = self.next_key.as_deref();
        let next = next.map(|name| self.signing.signer(name));
        if next.is_some_and(|next| Some(&next.public_key().thumbprint()) == confirmed) {
            self.confirm_key();
        }
    }

    /// Takes the word that the next key counts.
    pub(super) fn confirm_key(&mut self) {
        if let Some(name) = self.next_key.take() {
            self.signer = self.signing.signer(&name);
            self.key_name = name;
        }
    }

    /// What its clocks show at a moment of the world.
    #[must_use]
    pub fn now(&self, world_ms: u64) -> Now {
        let mut now = self.clock.read(world_ms);
        if self.sabotage == Some(Sabotage::WallForTimers) {
            now.mono_ms = now.unix_s.map_or(now.mono_ms, |unix_s| unix_s * 1_000);
        }
        now
    }

    /// True while a commit is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Puts its store on a disk that can be torn.
    pub(super) fn lay_on_disk(&mut self) {
        let flaw = self.sabotage.and_then(Sabotage::flaw);
        self.store.lay_on_disk(flaw);
    }

    /// Stops it, as a power cut does: of a commit under way the disk has any part. Returns false when a
    /// restart would read a part.
    pub(super) fn cut(&mut self, dice: &mut Dice) -> bool {
        self.engine = None;
        let in_flight = match self.pending.pop_front() {
            Some(Output::Persist(writes)) => writes,
            Some(_) | None => Vec::new(),
        };
        self.pending.clear();
        self.store.cut(&in_flight, dice)
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
        self.commit_at(writes, 0, None)
    }

    /// The same at a moment of the world; a commit that is lost may be torn, by dice.
    pub(super) fn commit_at(
        &mut self,
        writes: &[Write],
        now_ms: u64,
        dice: Option<&mut Dice>,
    ) -> Result<bool, &'static str> {
        if now_ms < self.disk_fails_until_ms {
            if self.sabotage == Some(Sabotage::GoOnAfterError) {
                return Ok(true);
            }
            self.engine = None;
            return self.fail(writes, dice);
        }
        if let Some(is_lost) = Crash::strike(&mut self.crash) {
            self.engine = None;
            if !is_lost && self.sabotage != Some(Sabotage::SendBeforePersist) {
                self.make_durable(writes);
            }
            let in_flight = if is_lost { writes } else { &[] };
            let is_whole = dice.is_none_or(|dice| self.store.cut(in_flight, dice));
            return if is_whole { Ok(false) } else { Err(TORN) };
        }
        if self.sabotage == Some(Sabotage::SendBeforePersist) {
            self.unsaved.extend(writes.iter().cloned());
            return Ok(true);
        }
        if self.sabotage == Some(Sabotage::ActBeforePersist)
            && writes.iter().any(|write| write.table == Table::Intents)
        {
            self.unsaved.extend(writes.iter().cloned());
            return Ok(true);
        }
        if self.make_durable(writes) {
            Ok(true)
        } else {
            Err(WENT_BACK)
        }
    }

    /// A write fails: of the commit the disk has any part, or nothing when it is full.
    fn fail(&mut self, writes: &[Write], dice: Option<&mut Dice>) -> Result<bool, &'static str> {
        let in_flight = if self.is_disk_full { &[] } else { writes };
        let is_whole = dice.is_none_or(|dice| self.store.cut(in_flight, dice));
        if is_whole { Ok(false) } else { Err(TORN) }
    }

    fn make_durable(&mut self, writes: &[Write]) -> bool {
        if self.sabotage == Some(Sabotage::StaleStore) && self.store.commits().is_multiple_of(8) {
            self.earlier = self.store.clone();
        }
        let is_kept = |write: &&Write| {
            self.sabotage != Some(Sabotage::ForgetMarks) || write.table != Table::Intents
        };
        let writes: Vec<Write> = writes.iter().filter(is_kept).cloned().collect();
        self.store.commit(&writes);
        let held = read_heads(self.durable, &writes);
        let is_forward = held.is_from(&self.durable);
        self.durable = held;
        is_forward
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
    /// Its clocks. The boot clock of a controller is right.
    pub clock: Clock,
    /// The highest bundle that is durable.
    pub(super) bundle: BundleNumber,
    pub(super) timer_ms: Option<u64>,
}

impl ControllerNode {
    /// Builds the engine from a store. # Panics: when the store does not read back.
    #[must_use]
    pub fn restore(keys: &TestKeys, store: MemoryStore) -> Self {
        let engine = Controller::restore(keys.trust(), store.rows());
        let Ok(engine) = engine else {
            unreachable!("a store holds what an engine wrote: {engine:?}");
        };
        Self {
            store,
            bundle: engine.trust().number(),
            engine,
            events: Vec::new(),
            crash: None,
            clock: Clock::RIGHT,
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
            now: self.clock.read(now_ms),
            random: dice,
            keys,
        };
        self.engine.handle_input(&mut context, input);
    }

    /// Makes a commit durable; one that is lost may be torn, by dice. Returns false when the controller died of it.
    /// # Errors: what a restart would read is a part of it.
    pub(super) fn commit(
        &mut self,
        writes: &[Write],
        dice: &mut Dice,
    ) -> Result<bool, &'static str> {
        let struck = Crash::strike(&mut self.crash);
        if struck == Some(true) {
            let is_whole = self.store.cut(writes, dice);
            return if is_whole { Ok(false) } else { Err(TORN) };
        }
        self.store.commit(writes);
        let held = Durable {
            bundle: self.bundle,
            ..Durable::default()
        };
        self.bundle = read_heads(held, writes).bundle;
        Ok(struck.is_none())
    }

    /// A write fails: of the commit the disk has any part, or nothing when it is full.
    /// # Errors: what a restart would read is a part of it.
    pub(super) fn fail(
        &mut self,
        writes: &[Write],
        is_full: bool,
        dice: &mut Dice,
    ) -> Result<bool, &'static str> {
        let in_flight = if is_full { &[] } else { writes };
        let is_whole = self.store.cut(in_flight, dice);
        if is_whole { Ok(false) } else { Err(TORN) }
    }
}

/// The moment of a virtual clock, which started in 2026.
pub(super) fn now(now_ms: u64) -> Now {
    Clock::RIGHT.read(now_ms)
}
