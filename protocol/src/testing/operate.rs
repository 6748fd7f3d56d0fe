//! What operators do in the simulator: invite, decide, restart the controller, compare.

use super::World;
use super::mailbox::{Handled, OwnedChunk};
use super::node::{ControllerNode, DeviceNode};
use super::store::MemoryStore;
use crate::context::draw;
use crate::controller::{self, Ticket};
use crate::device::Identity;
use crate::enrol::{EnrolRequest, Enrolling, JoinSecret, accept_enrolled};
use crate::frame::{Hints, Refusal};
use crate::id::{ChannelId, Incarnation, Plane, TokenId};
use crate::key::Signer as _;
use crate::reject::Reject;
use crate::state::{Change, Path, Value};
use crate::testing::signer;
use alloc::vec::Vec;

impl World {
    /// Gives the controller an input and carries out what it asks for.
    pub fn control(&mut self, input: controller::Input<'_>) {
        self.controller
            .input(self.now_ms, &mut self.dice, &self.keys, input);
        let mut wanted = Vec::new();
        while let Some(output) = self.controller.engine.poll_output() {
            match output {
                controller::Output::Persist(writes) => self.controller.store.commit(&writes),
                controller::Output::Admit {
                    channel,
                    incarnation,
                    key,
                    next: _,
                } => self.mailbox.admit(channel, incarnation, key),
                controller::Output::Post {
                    channel,
                    generation,
                    post,
                } => {
                    if self.mailbox.take(channel, generation, post) {
                        wanted.push(channel);
                    }
                }
                controller::Output::Answer { ticket, frame } => {
                    self.answers.insert(ticket, frame);
                }
                controller::Output::Evict { .. } => {}
                controller::Output::Wanted { wanted, .. } => self.wanted = wanted,
                controller::Output::ActualHeld { channel, revision } => {
                    self.mailbox.set_actual_head(channel, revision);
                }
                controller::Output::PostBundle { envelope } => self.mailbox.bundles.push(envelope),
                controller::Output::Event(event) => self.controller.events.push(event),
            }
        }
        for channel in wanted {
            self.control(controller::Input::SnapshotWanted { channel });
        }
    }

    /// Gives the controller what a device posted. Returns what the answer says about it.
    pub(super) fn hand_over(&mut self, channel: ChannelId, envelopes: &[Vec<u8>]) -> Hints {
        self.wanted.clear();
        let mut refused = Vec::new();
        for (index, envelope) in envelopes.iter().enumerate() {
            let before = self.controller.events.len();
            self.control(controller::Input::Received {
                channel,
                envelope,
                is_live: true,
            });
            let said = self.controller.events.get(before..).unwrap_or_default();
            let codes = said.iter().filter_map(|event| {
                if let controller::Event::Rejected { reject, .. } = event {
                    return Some(reject.code());
                }
                None
            });
            refused.extend(codes.take(1).map(|code| Refusal {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                code,
            }));
        }
        let wanted = core::mem::take(&mut self.wanted);
        Hints {
            wanted,
            refused,
            ..Hints::default()
        }
    }

    /// Gives the controller bodies that a device put. Returns what the answer says about them.
    pub(super) fn hand_bodies(
        &mut self,
        channel: ChannelId,
        plane: Plane,
        chunks: &[OwnedChunk],
    ) -> Hints {
        self.wanted.clear();
        let chunks: Vec<_> = chunks.iter().map(OwnedChunk::as_body_chunk).collect();
        self.control(controller::Input::Put {
            channel,
            plane,
            chunks: &chunks,
        });
        Hints {
            wanted: core::mem::take(&mut self.wanted),
            ..Hints::default()
        }
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
            node.durable = None;
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
        let identity = Identity {
            channel: self.keys.channel(name),
            incarnation: Incarnation::from_bytes(draw(&mut self.dice)),
        };
        let key = signer(name);
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
        let trust = self.join(&identity, &key, token, &secret);
        let Ok(trust) = trust else {
            unreachable!("an open invitation admits: {trust:?}");
        };
        self.devices.push(DeviceNode::new(identity, key, trust));
        let device = self.devices.len() - 1;
        self.restart(device);
        device
    }

    /// Runs the whole enrolment of a key. # Errors: what either end refuses.
    pub fn join(
        &mut self,
        identity: &Identity,
        key: &crate::key::MemorySigner,
        token: TokenId,
        secret: &JoinSecret,
    ) -> Result<crate::trust::Trust, Reject> {
        let request = EnrolRequest {
            token,
            device: identity.channel.device.clone(),
            incarnation: identity.incarnation,
            nonce: draw(&mut self.dice),
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

    /// Drops the controller and starts it again from `store`, or from its own.
    pub fn restart_controller(&mut self, store: Option<MemoryStore>) {
        let store = store.unwrap_or_else(|| self.controller.store.clone());
        self.controller = ControllerNode::restore(&self.keys, store);
        self.mailbox.bundles.clone_from(&self.keys.bundles);
        self.control(controller::Input::Start);
    }

    /// The device's member at the controller. # Panics: when it was never invited.
    #[must_use]
    pub fn member(&self, device: usize) -> &controller::Member {
        let channel = self
            .devices
            .get(device)
            .map(|node| node.identity.channel.id());
        let member = channel.and_then(|channel| self.controller.engine.member_of(channel));
        let Some(member) = member else {
            unreachable!("every device of the world was enrolled")
        };
        member
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
