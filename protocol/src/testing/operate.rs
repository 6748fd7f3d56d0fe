//! What operators do in the simulator: invite, decide, restart the controller, compare.

use super::World;
use super::campaign::Trick;
use super::handled::Handled;
use super::heads::TORN;
use super::node::{ControllerNode, DeviceNode, DiskFault};
use super::oracle::Invariant;
use super::store::MemoryStore;
use super::world::Step;
use crate::context::draw;
use crate::controller::{self, Output, Ticket};
use crate::device::Identity;
use crate::enrol::{EnrolRequest, Enrolling, JoinSecret, accept_enrolled};
use crate::id::{ChannelId, Incarnation, TokenId};
use crate::key::{MemorySigner, Signer as _};
use crate::record::Write;
use crate::reject::Reject;
use crate::state::{Change, Path, Value};
use alloc::vec::Vec;

/// Events of each engine that are kept over a peace. Arbitrary.
const EVENTS_KEPT: usize = 256;
/// The controller among those whose power is cut.
const CONTROLLER: usize = usize::MAX;

impl World {
    /// Gives the controller an input and carries out what it asks for.
    pub fn control(&mut self, input: controller::Input<'_>) {
        if self.is_controller_down {
            return;
        }
        self.inputs += 1;
        let about = channel_of(&input);
        let (is_of_revoked, said) = (self.is_of_revoked(&input), self.controller.events.len());
        self.controller
            .input(self.now_ms, &mut self.dice, &self.keys, input);
        let mut wanted = Vec::new();
        let mut outputs = 0;
        while let Some(output) = self.controller.engine.poll_output() {
            outputs += 1;
            if !self.perform_control(output, &mut wanted) {
                return self.lose_controller();
            }
        }
        if is_of_revoked {
            self.watch_refused(said);
        }
        self.watch_controller(outputs, about);
        self.arm_controller();
        for channel in wanted {
            self.control(controller::Input::SnapshotWanted { channel });
        }
    }

    /// Returns false when the controller died.
    fn perform_control(&mut self, output: Output, wanted: &mut Vec<ChannelId>) -> bool {
        match output {
            Output::Persist(writes) => {
                return self.commit_control(&writes);
            }
            Output::Admit {
                channel,
                incarnation,
                key,
                next,
            } => {
                let id = channel.id();
                let next = next.map(|next| *next);
                if self.mailbox.admit(channel, incarnation, key, next) {
                    self.note_emptied(id);
                }
            }
            Output::Evict { channel } => {
                self.note_emptied(channel);
                if self.trick != Some(Trick::KeepEvicted) {
                    self.mailbox.evict(channel);
                }
            }
            Output::Wanted { wanted, .. } => self.wanted.extend(wanted),
            Output::ActualHeld { channel, revision } => {
                self.mailbox.set_actual_held(channel, revision);
            }
            Output::Post {
                channel,
                generation,
                post,
            } => {
                self.watch_post(channel, generation, &post);
                if self.mailbox.is_serving(channel) {
                    self.note_kept(channel, generation, &post);
                }
                if self.mailbox.take(channel, generation, post, self.now_ms) {
                    self.note_gap(channel);
                    wanted.push(channel);
                }
                self.watch_kept(channel);
            }
            // The simulator has no mailbox that loses its store alone.
            Output::Refill { .. } => {}
            Output::Answer { ticket, frame } => {
                self.answers.insert(ticket, frame);
            }
            Output::PostBundle { steps } => {
                if self.trick != Some(Trick::StaleBundles) {
                    self.mailbox.show_bundles(steps);
                }
            }
            Output::Event(event) => {
                self.watch_event(&event);
                self.controller.events.push(event);
            }
        }
        true
    }

    /// Makes a commit of the controller durable. Returns false when the controller died of it.
    fn commit_control(&mut self, writes: &[Write]) -> bool {
        let mut tears = self.tears(CONTROLLER);
        let committed = match DiskFault::strike(&mut self.controller_disk, self.now_ms) {
            Some(_) if self.trick == Some(Trick::GoOnWithoutDisk) => return true,
            Some(is_full) => self.controller.fail(writes, is_full, &mut tears),
            None => self.controller.commit(writes, &mut tears),
        };
        self.expect_true(Invariant::Atomic, committed.is_ok(), TORN);
        self.note_revoked();
        committed.unwrap_or(false)
    }

    /// The mailbox is started anew: of what it took nothing may be gone.
    pub(super) fn restart_mailbox(&mut self) {
        self.mailbox.restart();
        if self.trick == Some(Trick::LoseLetters) {
            self.mailbox.lose();
        }
        for device in 0..self.devices.len() {
            if let Some(channel) = self.devices.get(device).map(|node| node.channel) {
                self.watch_kept(channel);
            }
        }
    }

    /// The mailbox shows a channel everything again.
    pub(super) fn thaw(&mut self, channel: ChannelId) {
        if self.mailbox.thaw(channel, self.now_ms) {
            self.note_gap(channel);
            self.control(controller::Input::SnapshotWanted { channel });
        }
    }

    /// The controller died: its mailbox, which is part of the process, with it.
    fn lose_controller(&mut self) {
        self.is_controller_down = true;
        self.mailbox.restart();
        self.schedule(2_000, 0, 0, Step::StartController);
    }

    fn arm_controller(&mut self) {
        let due_ms = self.controller.engine.poll_timeout();
        if due_ms != self.controller.timer_ms {
            self.controller.timer_ms = due_ms;
            if let Some(due_ms) = due_ms {
                let in_ms = due_ms.saturating_sub(self.now_ms);
                self.schedule(in_ms, 0, 0, Step::ControllerTimer(due_ms));
            }
        }
    }

    pub(super) fn wake_controller(&mut self, at_ms: u64) {
        if self.controller.timer_ms != Some(at_ms) || self.is_controller_down {
            return;
        }
        self.controller.timer_ms = None;
        self.control(controller::Input::Timeout);
        let due_ms = self.controller.engine.poll_timeout();
        self.expect_true(
            Invariant::BusyLoop,
            due_ms.is_none_or(|due_ms| due_ms > self.now_ms),
            "a drained controller wants to be woken in the past",
        );
    }

    /// Lets the application of a device write one value of its actual plane.
    pub fn write_actual(&mut self, device: usize, path: &str, value: u64) {
        let Ok(path) = Path::parse(path) else {
            unreachable!("tests give valid paths")
        };
        let change = Change::Set(path, Value::Int(value.into()));
        let input = crate::device::Input::WriteActual {
            ticket: value,
            changes: Vec::from([change]),
        };
        self.input(device, input);
    }

    /// Puts an earlier copy of its store under a device, as a restored disk does, and starts it.
    pub fn put_back(&mut self, device: usize, store: MemoryStore) {
        if let Some(node) = self.devices.get_mut(device) {
            node.store = store;
            node.durable = super::heads::Durable::default();
        }
        self.restart(device);
    }

    /// Draws a ticket.
    pub const fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Invites, enrols and starts a device. Returns its place. # Panics: when that is refused.
    pub fn enrol(&mut self, name: &str) -> usize {
        let node = match self.admit_new(name, name) {
            Ok(node) => node,
            Err(reject) => unreachable!("an open invitation admits: {reject:?}"),
        };
        self.devices.push(node);
        let device = self.devices.len() - 1;
        self.restart(device);
        device
    }

    /// Throws a device's store away and enrols its name anew under this key. Returns false when
    /// that is refused, as while the controller is down.
    pub fn enrol_again(&mut self, device: usize, key_name: &str) -> bool {
        let Some(old) = self.devices.get(device) else {
            return false;
        };
        let (channel, life, clock) = (old.identity.channel.clone(), old.life, old.clock);
        let hold_s = old.hold_s;
        let is_at_most_once = old.is_at_most_once;
        let sabotage = old.sabotage;
        let Ok(node) = self.admit_new(channel.device.as_str(), key_name) else {
            return false;
        };
        if let Some(oracle) = &mut self.oracle {
            oracle.note_new_life(channel.id());
        }
        if let Some(place) = self.devices.get_mut(device) {
            let is_torn = place.store.is_on_disk();
            *place = DeviceNode {
                life,
                clock,
                hold_s,
                is_at_most_once,
                sabotage,
                ..node
            };
            if is_torn {
                place.lay_on_disk();
            }
        }
        self.restart(device);
        true
    }

    fn admit_new(&mut self, name: &str, key_name: &str) -> Result<DeviceNode, Reject> {
        let identity = Identity {
            channel: self.keys.channel(name),
            incarnation: Incarnation::from_bytes(draw(&mut self.dice)),
        };
        let token = TokenId::from_bytes(draw(&mut self.dice));
        let secret = JoinSecret::from_bytes(draw(&mut self.dice));
        let ticket = self.ticket();
        self.control(controller::Input::Invite {
            ticket,
            tenant: identity.channel.tenant.clone(),
            device: identity.channel.device.clone(),
            token,
            secret: secret.clone(),
            expires_unix_s: None,
        });
        let key = self.keys.signing.signer(key_name);
        let trust = self.join(&identity, &key, token, &secret)?;
        let mut node = DeviceNode::new(identity, key, trust);
        node.key_name = key_name.into();
        node.signing = self.keys.signing;
        Ok(node)
    }

    /// Runs the whole enrolment of a key. # Errors: what either end refuses.
    pub fn join(
        &mut self,
        identity: &Identity,
        key: &MemorySigner,
        token: TokenId,
        secret: &JoinSecret,
    ) -> Result<crate::trust::Trust, Reject> {
        let request = EnrolRequest {
            token,
            device: identity.channel.device.clone(),
            incarnation: identity.incarnation,
            nonce: draw(&mut self.dice),
            agreement: Some(super::keys::agreement().public()),
        };
        let sealed = request.seal(self.keys.domain(), &self.keys.tenant, secret, key)?;
        let Handled::Enrol(frame) = self.mailbox.handle(&sealed.frame, self.now_ms)? else {
            return Err(Reject::Shape);
        };
        let ticket = self.ticket();
        self.control(controller::Input::Enrol {
            ticket,
            frame: &frame,
        });
        let answer = self.answers.remove(&ticket).ok_or(Reject::NotAdmitted)?;
        let recovery = self.keys.trust_after(1).recovery();
        let enrolling = Enrolling {
            channel: &identity.channel,
            incarnation: identity.incarnation,
            device_key: key.public_key().thumbprint(),
            request: sealed.message_id,
        };
        accept_enrolled(&answer, recovery, &enrolling).map(|(trust, _)| trust)
    }

    /// Decides one value of a device. # Panics: for a path that is no path.
    pub fn set(&mut self, device: usize, path: &str, value: u64) {
        let Ok(path) = Path::parse(path) else {
            unreachable!("tests give valid paths")
        };
        self.decide(
            device,
            Vec::from([Change::Set(path, Value::Int(value.into()))]),
        );
    }

    /// Decides changes of a device.
    pub fn decide(&mut self, device: usize, changes: Vec<Change>) {
        let ticket = self.ticket();
        let Some(node) = self.devices.get(device) else {
            return;
        };
        let channel = node.identity.channel.clone();
        self.control(controller::Input::Decide {
            ticket,
            tenant: channel.tenant,
            device: channel.device,
            changes,
        });
    }

    /// Encrypts the planes of a device, or rotates their keys.
    pub fn encrypt(&mut self, device: usize) {
        let ticket = self.ticket();
        let Some(node) = self.devices.get(device) else {
            return;
        };
        let channel = node.identity.channel.clone();
        self.control(controller::Input::Encrypt {
            ticket,
            tenant: channel.tenant,
            device: channel.device,
        });
    }

    /// Drops the controller and starts it again from `store`, which is a backup, or from its own.
    pub fn restart_controller(&mut self, store: Option<MemoryStore>) {
        let store = match store {
            Some(mut backup) => {
                backup.commit(&[controller::Controller::mark_restored()]);
                backup
            }
            None => self.controller.store.clone(),
        };
        self.is_controller_down = false;
        if let Some(oracle) = &mut self.oracle {
            oracle.note_started();
        }
        self.controller = ControllerNode::restore(&self.keys, store);
        if self.trick != Some(Trick::StaleBundles) {
            let trust = self.keys.trust();
            if self.mailbox.begin(&trust, &self.keys.bundles) {
                self.note_all_emptied();
            }
        }
        self.control(controller::Input::Start);
    }

    /// The device's member at the controller. # Panics: when it was never invited.
    #[must_use]
    pub fn member(&self, device: usize) -> &controller::Member {
        let channel = self.devices.get(device).map(|node| node.channel);
        let member = channel.and_then(|channel| self.controller.engine.member_of(channel));
        let Some(member) = member else {
            unreachable!("every device of the world was enrolled")
        };
        member
    }

    /// Drops most of what was noted for tests, so that long runs do not grow.
    pub(super) fn forget_the_past(&mut self) {
        let events = &mut self.controller.events;
        events.drain(..events.len().saturating_sub(EVENTS_KEPT));
        for node in &mut self.devices {
            let old = node.events.len().saturating_sub(EVENTS_KEPT);
            let mut place = 0;
            node.events.retain(|event| {
                place += 1;
                place > old || matches!(event, crate::device::Event::IntentNoted { .. })
            });
            let old = node.applied.len().saturating_sub(EVENTS_KEPT);
            node.applied.drain(..old);
        }
    }

    /// True when every device holds, applied and reported exactly what the controller decided.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        (0..self.devices.len()).all(|device| {
            let held = self
                .devices
                .get(device)
                .and_then(|node| node.engine.as_ref());
            let member = self.member(device);
            member.is_converged() && held.is_some_and(|held| held.state() == member.desired())
        })
    }
}

/// The channel that an input is about, where it is about one alone.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of every other input all members are looked at, whatever it is about"
)]
fn channel_of(input: &controller::Input<'_>) -> Option<ChannelId> {
    match input {
        controller::Input::Received { channel, .. }
        | controller::Input::Put { channel, .. }
        | controller::Input::HeartbeatWanted { channel }
        | controller::Input::SnapshotWanted { channel } => Some(*channel),
        _ => None,
    }
}
