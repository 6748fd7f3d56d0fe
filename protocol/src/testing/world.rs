//! The simulator: a controller, a mailbox and devices under one virtual clock and one seed.
//!
//! The driver's part is kept as small as honesty allows: it makes durable, carries, applies,
//! waits. After every input it drains and checks what must always hold; `serve.rs` is the hop
//! between devices and controller, `operate.rs` what operators do.

use super::keys::{Dice, TestKeys, signer};
use super::mailbox::{HeldPoll, TestMailbox};
use super::node::{ControllerNode, DeviceNode};
use super::oracle::{Invariant, Oracle};
use super::store::MemoryStore;
use super::wire::{Faults, Trace, Wire};
use crate::controller::{self, Ticket};
use crate::device::{ActOutcome, Applied, Event, Exchange, ExchangeId, Input, Output};
use crate::frame::Wanted;
use crate::state::Path;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Seconds that every poll may be held.
const HOLD_S: u64 = 55;
/// Milliseconds that an application takes.
const APPLY_MS: u64 = 20;

/// Inputs of one virtual minute that each device, and the controller, may cause. Arbitrary: far more
/// than a device that fetches its largest state without a pause.
const STORM_INPUTS: u64 = 1_000;

/// Something that is going to happen to a life of a device.
#[derive(Debug)]
pub(super) enum Step {
    Request(ExchangeId, Vec<u8>),
    Answer(ExchangeId, Vec<u8>),
    Failed(ExchangeId),
    Expire(ExchangeId),
    Hold,
    Connect,
    Timer(u64),
    Applied(Applied),
    Acted(Path, u64),
    Restart,
    ControllerTimer(u64),
    StartController,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) device: usize,
    pub(super) life: u64,
    pub(super) exchange: ExchangeId,
    pub(super) held: HeldPoll,
}

/// A fleet in memory.
#[derive(Debug)]
pub struct World {
    /// Milliseconds since it began.
    pub now_ms: u64,
    /// The dice of everything.
    pub dice: Dice,
    /// What the network does from now on.
    pub faults: Faults,
    /// The keys of the trust domain.
    pub keys: TestKeys,
    /// The controller.
    pub controller: ControllerNode,
    /// The mailbox.
    pub mailbox: TestMailbox,
    /// The devices.
    pub devices: Vec<DeviceNode>,
    /// Answers of the controller to operators and enrolling devices.
    pub answers: BTreeMap<Ticket, Vec<u8>>,
    /// What was carried so far, as one number: the same seed gives the same.
    pub trace: Trace,
    /// Who watches that nothing happens which must not, if anybody does.
    pub oracle: Option<Oracle>,
    /// Inputs that engines were given.
    pub inputs: u64,
    pub(super) tickets: u64,
    /// The dice of the network: other faults leave everything else as it was.
    weather: Dice,
    up: Wire,
    down: Wire,
    pub(super) wanted: Vec<Wanted>,
    /// The virtual minute at hand, and the inputs before it.
    minute: (u64, u64),
    pub(super) is_controller_down: bool,
    steps: BTreeMap<(u64, u64), (usize, u64, Step)>,
    order: u64,
    pub(super) waiting: Vec<Waiting>,
}

impl World {
    /// Starts a controller and a mailbox.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let keys = TestKeys::new();
        let mailbox_dice = Dice::new(dice.draw());
        let weather = Dice::new(dice.draw());
        let mailbox = TestMailbox::new(signer("mailbox"), keys.bundles.clone(), mailbox_dice);
        let mut world = Self {
            now_ms: 1_000,
            dice,
            faults: Faults::default(),
            controller: ControllerNode::restore(&keys, MemoryStore::default()),
            mailbox,
            keys,
            devices: Vec::new(),
            answers: BTreeMap::new(),
            trace: Trace::default(),
            oracle: None,
            inputs: 0,
            tickets: 0,
            weather,
            wanted: Vec::new(),
            minute: (0, 0),
            is_controller_down: false,
            up: Wire::default(),
            down: Wire::default(),
            steps: BTreeMap::new(),
            order: 0,
            waiting: Vec::new(),
        };
        world.control(controller::Input::Start);
        world
    }

    /// Starts a controller with `names` enrolled, started and connected.
    #[must_use]
    pub fn with_devices(seed: u64, names: &[&str]) -> Self {
        let mut world = Self::new(seed);
        for name in names {
            world.enrol(name);
        }
        world
    }

    /// Kills a device, if it lives, and starts it from its store.
    pub fn restart(&mut self, device: usize) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        let found = node.restore();
        let life = node.life;
        self.expect_true(
            Invariant::HeadsForward,
            found.is_none(),
            found.unwrap_or(""),
        );
        self.waiting.retain(|one| one.device != device);
        self.input(device, Input::Start);
        self.schedule(1, device, life, Step::Connect);
    }

    /// Kills a device; `restart` brings it back.
    pub fn kill(&mut self, device: usize) {
        if let Some(node) = self.devices.get_mut(device) {
            node.engine = None;
        }
    }

    pub(super) fn schedule(&mut self, in_ms: u64, device: usize, life: u64, step: Step) {
        self.order += 1;
        let at = (self.now_ms.saturating_add(in_ms), self.order);
        self.steps.insert(at, (device, life, step));
    }

    /// Lets `ms` milliseconds pass.
    pub fn run(&mut self, ms: u64) {
        let end_ms = self.now_ms.saturating_add(ms);
        loop {
            self.release_polls();
            let Some((&(at_ms, order), _)) = self.steps.first_key_value() else {
                break;
            };
            if at_ms > end_ms {
                break;
            }
            self.now_ms = at_ms;
            if let Some((device, life, step)) = self.steps.remove(&(at_ms, order)) {
                self.step(device, life, step);
            }
            if self.is_storm() {
                break;
            }
        }
        self.now_ms = end_ms;
    }

    /// Tells whether one virtual minute takes more inputs than any fleet of this size should.
    fn is_storm(&mut self) -> bool {
        let minute = self.now_ms / 60_000;
        if minute != self.minute.0 {
            self.minute = (minute, self.inputs);
        }
        // Tests without an oracle may write as fast as they like.
        let is_calm = self.oracle.is_none()
            || self.inputs - self.minute.1 < STORM_INPUTS * (1 + self.devices.len() as u64);
        let detail = "inputs follow each other without a pause";
        self.expect_true(Invariant::Storm, is_calm, detail);
        !is_calm
    }

    fn step(&mut self, device: usize, life: u64, step: Step) {
        if let Step::Request(exchange, frame) = &step {
            return self.serve(device, life, *exchange, frame);
        }
        match step {
            Step::Restart => self.restart(device),
            Step::ControllerTimer(at_ms) => self.wake_controller(at_ms),
            Step::StartController => self.restart_controller(None),
            Step::Request(..)
            | Step::Answer(..)
            | Step::Failed(_)
            | Step::Expire(_)
            | Step::Hold
            | Step::Connect
            | Step::Timer(_)
            | Step::Applied(_)
            | Step::Acted(..) => self.step_life(device, life, step),
        }
    }

    /// Lets something happen to one life of a device.
    fn step_life(&mut self, device: usize, life: u64, step: Step) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        if node.life != life || node.engine.is_none() {
            return;
        }
        if node.asleep_until_ms > self.now_ms {
            // What arrives while it is suspended finds a closed connection.
            let in_ms = node.asleep_until_ms - self.now_ms;
            let step = if let Step::Answer(exchange, _) = step {
                Step::Failed(exchange)
            } else {
                step
            };
            return self.schedule(in_ms, device, life, step);
        }
        match step {
            Step::Request(..)
            | Step::Restart
            | Step::ControllerTimer(_)
            | Step::StartController => {}
            Step::Answer(exchange, frame) => self.input(
                device,
                Input::Answer {
                    exchange,
                    frame: &frame,
                },
            ),
            Step::Failed(exchange) => {
                if node.poll == Some(exchange) {
                    node.poll = None;
                    self.schedule(1_000, device, life, Step::Hold);
                }
                self.input(device, Input::Failed { exchange });
            }
            Step::Expire(exchange) => self.expire(device, life, exchange),
            Step::Hold => self.input(device, Input::Hold { seconds: HOLD_S }),
            Step::Connect => self.input(device, Input::Connect),
            Step::Timer(at_ms) => {
                if node.timer_ms == Some(at_ms) {
                    node.timer_ms = None;
                    self.input(device, Input::Timeout);
                }
            }
            Step::Applied(applied) => {
                if applied.status == 0 {
                    node.applied.push(applied.revision);
                }
                self.input(device, Input::Applied(applied));
            }
            Step::Acted(path, value) => self.end_action(device, path, value),
        }
    }

    fn end_action(&mut self, device: usize, path: Path, value: u64) {
        let Some(node) = self.devices.get(device) else {
            return;
        };
        let mut last = node.acts.iter().rev();
        let act = last.find(|act| (&act.0, act.1) == (&path, value));
        let is_retry = act.is_some_and(|(_, _, is_retry)| *is_retry);
        let outcome = if node.is_at_most_once && is_retry {
            ActOutcome::Interrupted
        } else {
            ActOutcome::Finished {
                status: 0,
                output: "done".into(),
            }
        };
        let input = Input::Acted {
            path,
            value,
            outcome,
        };
        self.input(device, input);
    }

    /// Gives a device one input and carries out what it asks for.
    pub fn input(&mut self, device: usize, input: Input<'_>) {
        let is_timeout = matches!(input, Input::Timeout);
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        node.input(self.now_ms, &mut self.dice, input);
        let life = node.life;
        self.inputs += 1;
        let mut outputs = 0;
        while let Some(output) = self.next_output(device) {
            outputs += 1;
            if !self.perform(device, life, output) {
                self.schedule(1_500, device, life, Step::Restart);
                return;
            }
        }
        self.arm_timer(device, life, is_timeout);
        self.watch_device(device, outputs);
    }

    fn next_output(&mut self, device: usize) -> Option<Output> {
        let engine = self.devices.get_mut(device)?.engine.as_mut()?;
        engine.poll_output()
    }

    fn arm_timer(&mut self, device: usize, life: u64, is_timeout: bool) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        let due_ms = node
            .engine
            .as_ref()
            .and_then(|engine| engine.poll_timeout());
        let mono_ms = node.now(self.now_ms).mono_ms;
        node.timer_ms = due_ms;
        let in_ms = due_ms.map(|due_ms| node.clock.until(self.now_ms, due_ms));
        let is_later = !is_timeout || due_ms.is_none_or(|due_ms| due_ms > mono_ms);
        self.expect_true(
            Invariant::BusyLoop,
            is_later,
            "a drained device wants to be woken in the past",
        );
        if let (Some(due_ms), Some(in_ms)) = (due_ms, in_ms) {
            self.schedule(in_ms, device, life, Step::Timer(due_ms));
        }
    }

    /// Returns false when the device died.
    fn perform(&mut self, device: usize, life: u64, output: Output) -> bool {
        let Some(node) = self.devices.get_mut(device) else {
            return false;
        };
        match output {
            Output::Persist(writes) => {
                let committed = node.commit(&writes);
                let detail = committed.err().unwrap_or("");
                self.expect_true(Invariant::HeadsForward, detail.is_empty(), detail);
                return committed.unwrap_or(true);
            }
            Output::Exchange(exchange) => self.send(device, life, exchange),
            Output::Apply { revision } => {
                let status = i64::from(node.failures > 0);
                node.failures = node.failures.saturating_sub(1);
                let applied = Applied {
                    revision,
                    status,
                    output: if status == 0 { "" } else { "failed" }.into(),
                };
                self.schedule(APPLY_MS, device, life, Step::Applied(applied));
            }
            Output::Act {
                path,
                value,
                is_retry,
            } => {
                node.acts.push((path.clone(), value, is_retry));
                self.watch_act(device, &path, value, is_retry);
                self.schedule(APPLY_MS, device, life, Step::Acted(path, value));
            }
            Output::Reconnect => {
                node.poll = None;
                node.failed_connects = node.failed_connects.saturating_add(1);
                let wait_ms = 500_u64 << node.failed_connects.min(5);
                self.schedule(wait_ms, device, life, Step::Connect);
            }
            Output::Event(event) => self.note(device, life, event),
        }
        true
    }

    fn note(&mut self, device: usize, life: u64, event: Event) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        let hold_in_ms = match &event {
            Event::Connected => {
                node.failed_connects = 0;
                Some(0)
            }
            Event::Answered { exchange, is_empty } if node.poll == Some(*exchange) => {
                node.poll = None;
                Some(if *is_empty { 1_000 } else { 0 })
            }
            Event::TimeStated { .. }
            | Event::Answered { .. }
            | Event::Accepted { .. }
            | Event::Applied(_)
            | Event::ReportAcknowledged { .. }
            | Event::StreamEnded { .. }
            | Event::Streamed { .. }
            | Event::BundleAccepted { .. }
            | Event::Lost { .. }
            | Event::Receipt { .. }
            | Event::MoveAsked { .. }
            | Event::Rejected { .. }
            | Event::HeldBack { .. }
            | Event::ActualWritten { .. }
            | Event::ActualRefused { .. }
            | Event::ActualAcknowledged { .. }
            | Event::IntentNoted { .. }
            | Event::PlaneKeysTaken { .. }
            | Event::Anchored
            | Event::FreshnessChanged { .. }
            | Event::KeyConfirmed { .. }
            | Event::Left
            | Event::EvidencePosted { .. }
            | Event::RefusedByMailbox { .. } => None,
        };
        if let Event::KeyConfirmed { .. } = event {
            node.confirm_key();
        }
        node.events.push(event);
        if let Some(in_ms) = hold_in_ms {
            self.schedule(in_ms, device, life, Step::Hold);
        }
    }

    fn send(&mut self, device: usize, life: u64, exchange: Exchange) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        node.exchanges += 1;
        if exchange.hold_s.is_some() {
            node.poll = Some(exchange.id);
        }
        let limit_ms = (exchange.hold_s.unwrap_or(0) + 15) * 1_000;
        self.schedule(limit_ms, device, life, Step::Failed(exchange.id));
        let copies = self
            .up
            .carry(&self.faults, &mut self.weather, &exchange.frame);
        for (in_ms, frame) in copies {
            self.trace.add(self.now_ms, &frame);
            self.schedule(in_ms, device, life, Step::Request(exchange.id, frame));
        }
    }

    pub(super) fn answer(&mut self, device: usize, life: u64, exchange: ExchangeId, frame: &[u8]) {
        let copies = self.down.carry(&self.faults, &mut self.weather, frame);
        for (in_ms, frame) in copies {
            self.trace.add(self.now_ms, &frame);
            self.schedule(in_ms, device, life, Step::Answer(exchange, frame));
        }
    }
}
