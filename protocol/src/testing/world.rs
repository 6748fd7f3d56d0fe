//! The simulator: a controller, a mailbox and devices under one virtual clock and one seed.
//!
//! The driver's part is kept as small as honesty allows: it makes durable, carries, applies,
//! waits. After every input it drains and checks what must always hold.

use super::keys::{Dice, TestKeys, signer};
use super::mailbox::{Handled, HeldPoll, Reply, TestMailbox};
use super::node::{ControllerNode, DeviceNode};
use super::store::MemoryStore;
use super::wire::{Faults, Wire};
use crate::controller::{self, Ticket};
use crate::device::{ActOutcome, Applied, Event, Exchange, ExchangeId, Input, Output};
use crate::frame::{Hints, PlainFrame, Wanted};
use crate::state::Path;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Seconds that every poll may be held.
const HOLD_S: u64 = 55;
/// Milliseconds that an application takes.
const APPLY_MS: u64 = 20;

/// Something that is going to happen to a life of a device.
#[derive(Debug)]
enum Step {
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
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) device: usize,
    life: u64,
    exchange: ExchangeId,
    held: HeldPoll,
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
    pub(super) tickets: u64,
    /// The bodies that the controller wants of what it was just given.
    pub(super) wanted: Vec<Wanted>,
    up: Wire,
    down: Wire,
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
            tickets: 0,
            wanted: Vec::new(),
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
        node.restore();
        let life = node.life;
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

    fn schedule(&mut self, in_ms: u64, device: usize, life: u64, step: Step) {
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
            if self.wake_controller(at_ms.min(end_ms)) {
                continue;
            }
            if at_ms > end_ms {
                break;
            }
            self.now_ms = at_ms;
            if let Some((device, life, step)) = self.steps.remove(&(at_ms, order)) {
                self.step(device, life, step);
            }
        }
        self.now_ms = end_ms;
    }

    /// Wakes the controller when its moment comes by `until_ms`. Returns true when it did.
    fn wake_controller(&mut self, until_ms: u64) -> bool {
        let due_ms = self.controller.engine.poll_timeout();
        let Some(due_ms) = due_ms.filter(|due_ms| *due_ms <= until_ms) else {
            return false;
        };
        self.now_ms = self.now_ms.max(due_ms);
        self.control(controller::Input::Timeout);
        let next_ms = self.controller.engine.poll_timeout();
        assert!(
            next_ms.is_none_or(|next_ms| next_ms > self.now_ms),
            "a drained controller wants to be woken in the past: a busy loop"
        );
        true
    }

    fn step(&mut self, device: usize, life: u64, step: Step) {
        if let Step::Request(exchange, frame) = &step {
            return self.serve(device, life, *exchange, frame);
        }
        if let Step::Restart = step {
            return self.restart(device);
        }
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        if node.life != life || node.engine.is_none() {
            return;
        }
        match step {
            Step::Request(..) | Step::Restart => {}
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
            Step::Acted(path, value) => {
                let outcome = ActOutcome::Finished {
                    status: 0,
                    output: "done".into(),
                };
                self.input(
                    device,
                    Input::Acted {
                        path,
                        value,
                        outcome,
                    },
                );
            }
        }
    }

    /// Gives a device one input and carries out what it asks for.
    pub fn input(&mut self, device: usize, input: Input<'_>) {
        let is_timeout = matches!(input, Input::Timeout);
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        node.input(self.now_ms, &mut self.dice, input);
        let life = node.life;
        while let Some(output) = self.next_output(device) {
            if !self.perform(device, life, output) {
                self.schedule(1_500, device, life, Step::Restart);
                return;
            }
        }
        self.arm_timer(device, life, is_timeout);
    }

    fn next_output(&mut self, device: usize) -> Option<Output> {
        let engine = self.devices.get_mut(device)?.engine.as_mut()?;
        engine.poll_output()
    }

    fn arm_timer(&mut self, device: usize, life: u64, is_timeout: bool) {
        let now_ms = self.now_ms;
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        let due_ms = node
            .engine
            .as_ref()
            .and_then(|engine| engine.poll_timeout());
        assert!(
            !is_timeout || due_ms.is_none_or(|due_ms| due_ms > now_ms),
            "a drained engine wants to be woken in the past: a busy loop"
        );
        node.timer_ms = due_ms;
        if let Some(due_ms) = due_ms {
            let in_ms = due_ms.saturating_sub(now_ms);
            self.schedule(in_ms, device, life, Step::Timer(due_ms));
        }
    }

    /// Returns false when the device died.
    fn perform(&mut self, device: usize, life: u64, output: Output) -> bool {
        let Some(node) = self.devices.get_mut(device) else {
            return false;
        };
        match output {
            Output::Persist(writes) => return node.commit(&writes),
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
            Event::Answered { .. }
            | Event::Accepted { .. }
            | Event::Applied(_)
            | Event::ReportAcknowledged { .. }
            | Event::BundleAccepted { .. }
            | Event::Rejected { .. }
            | Event::HeldBack { .. }
            | Event::ActualWritten { .. }
            | Event::ActualRefused { .. }
            | Event::ActualAcknowledged { .. }
            | Event::IntentNoted { .. }
            | Event::Anchored
            | Event::FreshnessChanged { .. }
            | Event::KeyConfirmed { .. }
            | Event::Left
            | Event::EvidencePosted { .. }
            | Event::RefusedByMailbox { .. } => None,
        };
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
        let copies = self.up.carry(&self.faults, &mut self.dice, &exchange.frame);
        for (in_ms, frame) in copies {
            self.schedule(in_ms, device, life, Step::Request(exchange.id, frame));
        }
    }

    fn answer(&mut self, device: usize, life: u64, exchange: ExchangeId, frame: &[u8]) {
        let copies = self.down.carry(&self.faults, &mut self.dice, frame);
        for (in_ms, frame) in copies {
            self.schedule(in_ms, device, life, Step::Answer(exchange, frame));
        }
    }

    fn serve(&mut self, device: usize, life: u64, exchange: ExchangeId, frame: &[u8]) {
        match self.mailbox.handle(frame, self.now_ms) {
            Ok(Handled::Answer(answer)) => self.answer(device, life, exchange, &answer),
            Ok(Handled::Held(held)) => {
                let hold_ms = u64::from(held.hold_s) * 1_000;
                self.schedule(hold_ms, device, life, Step::Expire(exchange));
                self.waiting.push(Waiting {
                    device,
                    life,
                    exchange,
                    held,
                });
            }
            Ok(Handled::Posted(channel, envelopes, reply)) => {
                let hints = self.hand_over(channel, &envelopes);
                self.reply(device, life, exchange, reply, hints);
            }
            Ok(Handled::Put(channel, plane, chunks, reply)) => {
                let hints = self.hand_bodies(channel, plane, &chunks);
                self.reply(device, life, exchange, reply, hints);
            }
            Ok(Handled::SnapshotWanted(channel, answer)) => {
                self.control(controller::Input::SnapshotWanted { channel });
                self.answer(device, life, exchange, &answer);
            }
            Ok(Handled::Enrol(_)) => {}
            Err(reject) => {
                let refused = PlainFrame::Refused {
                    code: reject.code(),
                    retry_ms: None,
                };
                if let Ok(refused) = refused.encode() {
                    self.answer(device, life, exchange, &refused);
                }
            }
        }
    }

    fn reply(
        &mut self,
        device: usize,
        life: u64,
        exchange: ExchangeId,
        reply: Reply,
        hints: Hints,
    ) {
        if let Ok(answer) = self.mailbox.reply(reply, hints) {
            self.answer(device, life, exchange, &answer);
        }
    }

    fn expire(&mut self, device: usize, life: u64, exchange: ExchangeId) {
        let is_it =
            |one: &Waiting| (one.device, one.life, one.exchange) == (device, life, exchange);
        let Some(at) = self.waiting.iter().position(is_it) else {
            return;
        };
        let waiting = self.waiting.remove(at);
        let channel = waiting.held.channel;
        self.control(controller::Input::HeartbeatWanted { channel });
        if let Ok(Some(answer)) = self.mailbox.release(&waiting.held, true) {
            self.answer(device, life, exchange, &answer);
        }
    }

    /// Answers the held polls for which something is newer now.
    fn release_polls(&mut self) {
        let mut answers = Vec::new();
        let mailbox = &mut self.mailbox;
        self.waiting
            .retain(|one| match mailbox.release(&one.held, false) {
                Ok(None) => true,
                Ok(Some(answer)) => {
                    answers.push((one.device, one.life, one.exchange, answer));
                    false
                }
                Err(_) => false,
            });
        for (device, life, exchange, answer) in answers {
            self.answer(device, life, exchange, &answer);
        }
    }
}
