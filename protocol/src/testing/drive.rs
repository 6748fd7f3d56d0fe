//! The driver of a device in the simulator: inputs go in, outputs are carried out in their order.
//!
//! ```text
//!  input --> engine --> Persist --(fsync)--> durable --> everything that came after it
//! ```
//!
//! Refuses to reorder: what follows a commit waits for it, unless the driver is sabotaged.

use super::World;
use super::heads::TORN;
use super::oracle::Invariant;
use super::sabotage::Sabotage;
use super::world::Step;
use crate::device::{Applied, Event, ExchangeId, Input, Output};

/// Milliseconds that an application takes.
const APPLY_MS: u64 = 20;

impl World {
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
            if !self.carry_out(device, life, output) {
                return;
            }
        }
        self.arm_timer(device, life, is_timeout);
        self.watch_device(device, outputs);
    }

    /// Gives a device an answer. What no honest end made changes nothing that is durable.
    pub(super) fn take_answer(
        &mut self,
        device: usize,
        exchange: ExchangeId,
        frame: &[u8],
        is_forged: bool,
    ) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        node.open.remove(&exchange);
        let before = (node.store.commits(), node.head());
        let looked = self.look_at_answer(device, frame);
        self.input(device, Input::Answer { exchange, frame });
        if let Some(looked) = looked {
            self.watch_answer(device, looked);
        }
        let Some(node) = self.devices.get(device).filter(|_| is_forged) else {
            return;
        };
        let is_inert = node.engine.is_none() || before == (node.store.commits(), node.head());
        let detail = "what nobody sealed changed a device";
        self.expect_true(Invariant::Forgery, is_inert, detail);
    }

    /// Carries an output out, or lets it wait for the commit before it. Returns false when the device died.
    fn carry_out(&mut self, device: usize, life: u64, output: Output) -> bool {
        let Some(node) = self.devices.get_mut(device) else {
            return false;
        };
        if node.is_busy() {
            node.pending.push_back(output);
            return true;
        }
        if node.fsync_ms > 0 && matches!(output, Output::Persist(_)) {
            let fsync_ms = node.fsync_ms;
            node.pending.push_back(output);
            self.schedule(fsync_ms, device, life, Step::Synced);
            return true;
        }
        let is_alive = self.perform(device, life, output);
        if !is_alive {
            self.schedule(1_500, device, life, Step::Restart);
        }
        is_alive
    }

    /// A commit that took its time is durable now: what waited for it leaves.
    pub(super) fn finish_commit(&mut self, device: usize, life: u64) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        let mut waiting = core::mem::take(&mut node.pending);
        if let Some(commit) = waiting.pop_front()
            && !self.perform(device, life, commit)
        {
            self.schedule(1_500, device, life, Step::Restart);
            return;
        }
        for output in waiting {
            if !self.carry_out(device, life, output) {
                return;
            }
        }
        self.watch_device(device, 0);
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
        let is_armed = node.timer_ms == due_ms;
        node.timer_ms = due_ms;
        let in_ms = due_ms.map(|due_ms| node.clock.until(self.now_ms, due_ms));
        let is_later = !is_timeout || due_ms.is_none_or(|due_ms| due_ms > mono_ms);
        self.expect_true(
            Invariant::BusyLoop,
            is_later,
            "a drained device wants to be woken in the past",
        );
        if let (Some(due_ms), Some(in_ms), false) = (due_ms, in_ms, is_armed) {
            self.schedule(in_ms, device, life, Step::Timer(due_ms));
        }
    }

    /// Returns false when the device died.
    fn perform(&mut self, device: usize, life: u64, output: Output) -> bool {
        let mut tears = self.tears(device);
        let Some(node) = self.devices.get_mut(device) else {
            return false;
        };
        match output {
            Output::Persist(writes) => {
                let committed = node.commit_at(&writes, self.now_ms, Some(&mut tears));
                let detail = committed.err().unwrap_or("");
                let invariant = if detail == TORN {
                    Invariant::Atomic
                } else {
                    Invariant::HeadsForward
                };
                self.expect_true(invariant, detail.is_empty(), detail);
                return committed.unwrap_or(true);
            }
            Output::Exchange(exchange) => self.send(device, life, exchange),
            Output::Apply { revision } => {
                if node.sabotage == Some(Sabotage::SkipAfterFailure)
                    && node
                        .events
                        .iter()
                        .any(|event| matches!(event, Event::Applied(one) if one.status != 0))
                {
                    return true;
                }
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
                let times = 1 + usize::from(node.sabotage == Some(Sabotage::ActTwice));
                for _ in 0..times {
                    let Some(node) = self.devices.get_mut(device) else {
                        return false;
                    };
                    node.acts.push((path.clone(), value, is_retry));
                    self.watch_act(device, &path, value, is_retry);
                }
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
                let is_patient = node.sabotage != Some(Sabotage::NoPause);
                Some(if *is_empty && is_patient { 1_000 } else { 0 })
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
}
