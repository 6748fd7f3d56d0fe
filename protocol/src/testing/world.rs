//! The simulator: a controller, a mailbox and devices under one virtual clock and one seed.
//!
//! The driver's part is kept as small as honesty allows: it makes durable, carries, applies,
//! waits. After every input it drains and checks what must always hold; `serve.rs` is the hop
//! between devices and controller, `operate.rs` what operators do.

use super::agenda::Agenda;
use super::campaign::Trick;
use super::handled::HeldPoll;
use super::heads::TORN;
use super::hop::Hop;
use super::keys::{Dice, Signing, TestKeys};
use super::mailbox::TestMailbox;
use super::node::{ControllerNode, DeviceNode, DiskFault};
use super::oracle::{Invariant, Oracle};
use super::sabotage::Sabotage;
use super::store::MemoryStore;
use super::wire::{Faults, Trace, Wire};
use crate::controller::{self, Ticket};
use crate::device::{ActOutcome, Applied, ExchangeId, Input};
use crate::frame::Wanted;
use crate::state::Path;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Inputs of one virtual minute that each device, and the controller, may cause. Arbitrary: far more
/// than a device that fetches its largest state without a pause.
const STORM_INPUTS: u64 = 1_000;

/// Makes the mailbox of a world; its newest key is the one that the bundle names.
pub type MakeHop = dyn Fn(&TestKeys, Dice) -> Box<dyn Hop> + Sync;

/// Something that is going to happen to a life of a device.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame, and whether it is one that no honest end made.
    Request(ExchangeId, Vec<u8>, bool),
    Answer(ExchangeId, Vec<u8>, bool),
    Failed(ExchangeId),
    Expire(ExchangeId),
    Hold,
    Connect,
    Timer(u64),
    Synced,
    Applied(Applied),
    Acted(Path, u64),
    Restart,
    ControllerTimer(u64),
    StartController,
}

/// A number of a later registry, in the place of an answer, or as the reason for which a post is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Novel {
    Refused,
    Reason,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) device: usize,
    pub(super) life: u64,
    pub(super) exchange: ExchangeId,
    pub(super) held: HeldPoll,
    /// True while the device is asked for its plane now and then.
    pub(super) is_asked: bool,
}

impl Waiting {
    /// Tells whether it is this poll of this life.
    pub(super) fn is(&self, device: usize, life: u64, exchange: ExchangeId) -> bool {
        (self.device, self.life, self.exchange) == (device, life, exchange)
    }
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
    pub mailbox: Box<dyn Hop>,
    /// The devices.
    pub devices: Vec<DeviceNode>,
    /// Answers of the controller to operators and enrolling devices.
    pub answers: BTreeMap<Ticket, Vec<u8>>,
    /// What was carried so far, as one number: the same seed gives the same.
    pub trace: Trace,
    /// Who watches that nothing happens which must not, if anybody does.
    pub oracle: Option<Oracle>,
    /// What controller or mailbox do wrong on purpose.
    pub trick: Option<Trick>,
    /// Things that happened.
    pub steps_done: u64,
    /// Inputs that engines were given.
    pub inputs: u64,
    pub(super) tickets: u64,
    /// The dice of the network: other faults leave everything else as it was.
    pub(super) weather: Dice,
    /// What power cuts leave follows from it.
    tears: u64,
    /// Devices whose mailbox says next what only a later version has a name for, and where.
    pub(super) novel: BTreeMap<usize, Novel>,
    pub(super) up: Wire,
    pub(super) down: Wire,
    pub(super) wanted: Vec<Wanted>,
    /// The virtual minute at hand, and the inputs before it.
    minute: (u64, u64),
    pub(super) is_controller_down: bool,
    /// What the controller's disk does next.
    pub controller_disk: Option<DiskFault>,
    /// True while a device that waits is asked for its plane now and then.
    pub(super) is_asking: bool,
    pub(super) steps: Agenda,
    pub(super) waiting: Vec<Waiting>,
}

impl World {
    /// Starts a controller and a mailbox.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_signing(seed, Signing::Real)
    }

    /// Starts a controller and a mailbox whose keys, and those of all devices, sign in this way.
    #[must_use]
    pub fn with_signing(seed: u64, signing: Signing) -> Self {
        Self::with_mailbox(seed, signing, &move |keys, dice| {
            Box::new(TestMailbox::new(
                signing.signer("mailbox"),
                keys.bundles.clone(),
                dice,
            ))
        })
    }

    /// The same with a mailbox that is made here.
    #[must_use]
    pub fn with_mailbox(seed: u64, signing: Signing, make: &MakeHop) -> Self {
        let mut dice = Dice::new(seed).signing(signing);
        let keys = TestKeys::with(signing);
        let mailbox_dice = Dice::new(dice.draw()).signing(signing);
        let weather = Dice::new(dice.draw());
        let tears = dice.clone().draw();
        let mailbox = make(&keys, mailbox_dice);
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
            trick: None,
            steps_done: 0,
            inputs: 0,
            tickets: 0,
            weather,
            tears,
            wanted: Vec::new(),
            minute: (0, 0),
            is_controller_down: false,
            controller_disk: None,
            is_asking: false,
            novel: BTreeMap::new(),
            up: Wire::default(),
            down: Wire::default(),
            steps: Agenda::default(),
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
        let mut tears = self.tears(device);
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        let is_whole = node.cut(&mut tears);
        let found = node.restore();
        let life = node.life;
        self.expect_true(Invariant::Atomic, is_whole, TORN);
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
        let mut tears = self.tears(device);
        if let Some(node) = self.devices.get_mut(device) {
            let is_whole = node.cut(&mut tears);
            self.expect_true(Invariant::Atomic, is_whole, TORN);
        }
    }

    /// The dice of a power cut now. They follow from seed, place and moment alone: whatever else is left out of a
    /// plan, this store is torn in the same way.
    pub(super) fn tears(&self, place: usize) -> Dice {
        let place = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let moment = self.now_ms.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Dice::new(self.tears ^ place ^ moment.rotate_left(17))
    }

    pub(super) fn schedule(&mut self, in_ms: u64, device: usize, life: u64, step: Step) {
        let at_ms = self.now_ms.saturating_add(in_ms);
        self.steps.insert(at_ms, (device, life, step));
    }

    /// Lets `ms` milliseconds pass.
    pub fn run(&mut self, ms: u64) {
        let end_ms = self.now_ms.saturating_add(ms);
        loop {
            self.release_polls();
            let Some(at_ms) = self.steps.next_ms().filter(|at_ms| *at_ms <= end_ms) else {
                break;
            };
            self.now_ms = at_ms;
            let Some((device, life, step)) = self.steps.pop() else {
                break;
            };
            if self.is_void(device, life, &step) {
                continue;
            }
            self.step(device, life, step);
            self.steps_done += 1;
            if self.is_storm() {
                break;
            }
        }
        self.now_ms = end_ms;
    }

    /// Tells whether what would happen did not wait for its moment: nothing happens then, nor is it counted.
    fn is_void(&self, device: usize, life: u64, step: &Step) -> bool {
        if let Step::ControllerTimer(at_ms) = step {
            return self.controller.timer_ms != Some(*at_ms);
        }
        let node = self.devices.get(device).filter(|node| node.life == life);
        match (step, node) {
            (Step::Failed(exchange), Some(node)) => !node.open.contains(exchange),
            (Step::Timer(at_ms), Some(node)) => node.timer_ms != Some(*at_ms),
            (Step::Expire(exchange), Some(_)) => !self.is_waiting(device, life, *exchange),
            (Step::Failed(_) | Step::Timer(_) | Step::Expire(_), None) => true,
            (
                Step::Request(..)
                | Step::Answer(..)
                | Step::Hold
                | Step::Connect
                | Step::Synced
                | Step::Applied(_)
                | Step::Acted(..)
                | Step::Restart
                | Step::ControllerTimer(_)
                | Step::StartController,
                _,
            ) => false,
        }
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
        if let Step::Request(exchange, frame, is_forged) = &step {
            return self.serve(device, life, *exchange, frame, *is_forged);
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
            | Step::Synced
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
            let step = if let Step::Answer(exchange, ..) = step {
                Step::Failed(exchange)
            } else {
                step
            };
            return self.schedule(in_ms, device, life, step);
        }
        if node.is_busy() && !matches!(step, Step::Synced) {
            // Who waits for the disk hears nothing meanwhile.
            let in_ms = node.fsync_ms.max(1);
            return self.schedule(in_ms, device, life, step);
        }
        match step {
            Step::Request(..)
            | Step::Restart
            | Step::ControllerTimer(_)
            | Step::StartController => {}
            Step::Answer(exchange, frame, is_forged) => {
                self.take_answer(device, exchange, &frame, is_forged);
            }
            Step::Synced => self.finish_commit(device, life),
            Step::Failed(exchange) => {
                if !node.open.remove(&exchange) {
                    return;
                }
                if node.poll == Some(exchange) {
                    node.poll = None;
                    self.schedule(1_000, device, life, Step::Hold);
                }
                self.input(device, Input::Failed { exchange });
            }
            Step::Expire(exchange) => self.expire(device, life, exchange),
            Step::Hold => {
                let is_patient = node.sabotage != Some(Sabotage::NoPause);
                let seconds = if is_patient { node.hold_s } else { 0 };
                self.input(device, Input::Hold { seconds });
            }
            Step::Connect => self.input(device, Input::Connect),
            Step::Timer(at_ms) => {
                if node.timer_ms == Some(at_ms) {
                    node.timer_ms = None;
                    self.input(device, Input::Timeout);
                }
            }
            Step::Applied(applied) => {
                self.end_application(device, applied);
            }
            Step::Acted(path, value) => self.end_action(device, path, value),
        }
    }

    fn end_application(&mut self, device: usize, mut applied: Applied) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        if applied.status == 0 {
            node.applied.push(applied.revision);
        } else if node.sabotage == Some(Sabotage::FailureAsSuccess) {
            applied.status = 0;
        }
        self.input(device, Input::Applied(applied));
    }

    fn end_action(&mut self, device: usize, path: Path, value: u64) {
        let Some(node) = self.devices.get(device) else {
            return;
        };
        if node.sabotage == Some(Sabotage::ForgetEnds) {
            return;
        }
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
}
