//! The controller role: decides desired state, signs it, and believes only what devices sign.
//!
//! ```text
//!  Invite -> member (no key) -- Enrol --> member (key, incarnation) -- Decide --> delta, delta, ...
//!                                            every start opens an epoch with a snapshot
//! ```
//!
//! One engine serves all tenants and devices of a trust domain. Drain [`Controller::poll_output`]
//! after every input; outputs are ordered and [`Output::Persist`] is a barrier: nothing behind it
//! may leave the process before it is durable. Refuses to know transports, devices' secrets, time.

mod actual;
mod admissions;
mod ahead;
mod bundle;
mod decide;
mod encryption;
mod enrol;
mod epochs;
mod evidence;
mod file;
mod hearing;
mod heartbeat;
mod inbound;
mod intents;
mod io;
mod lives;
mod member;
mod receipts;
mod records;
mod recovery;
mod reports;
mod rotation;
#[cfg(test)]
mod tests;
mod timers;

pub use admissions::Withdrawn;
pub use enrol::Invitation;
pub use evidence::EvidenceHeld;
pub use hearing::Unsettled;
pub use io::{Ack, Event, Input, Output, Post, Take, Ticket};
pub use member::{Cloned, IntentShown, Member, ReportHeld};
pub use recovery::Behind;

use crate::context::{Keyring, Now, Random};
use crate::id::{Channel, ChannelId, DeviceName, Tenant, Thumbprint, TokenId};
use crate::record::{RecordError, Table, Write};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Seq};
use crate::trust::Trust;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use heartbeat::Beat;
use timers::Timers;

/// What the controller is given with every input.
pub struct Context<'a> {
    /// The moment.
    pub now: Now,
    /// Random bytes.
    pub random: &'a mut dyn Random,
    /// The writer keys.
    pub keys: &'a dyn Keyring,
}

/// The controller's engine.
#[derive(Debug)]
pub struct Controller {
    trust: Trust,
    /// The epoch in which new members begin.
    epoch: Epoch,
    /// The highest epoch that was opened here or shown by any device; the next is above it.
    highest: Epoch,
    /// True from a restore until every device was heard: the store may not be the newest.
    is_restored: bool,
    members: BTreeMap<ChannelId, Member>,
    invitations: BTreeMap<TokenId, Invitation>,
    /// Devices that are gone, by channel: mailboxes may not have heard of it.
    withdrawn: BTreeMap<ChannelId, Withdrawn>,
    /// The number of the last admission; each start opens an epoch for the next.
    admissions: Seq,
    /// The request of the one mailbox that is being filled, while it is.
    refilling: Option<Ticket>,
    beat: Beat,
    timers: Timers,
    outputs: VecDeque<Output>,
}

impl Controller {
    const fn new(trust: Trust) -> Self {
        Self {
            trust,
            epoch: Epoch::new(0),
            highest: Epoch::new(0),
            is_restored: false,
            members: BTreeMap::new(),
            invitations: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            admissions: admissions::NO_ADMISSION,
            refilling: None,
            beat: Beat::NONE,
            timers: Timers::NONE,
            outputs: VecDeque::new(),
        }
    }

    /// Rebuilds the engine from its records. `trust` was verified from bundle 1 on; bundles of a higher number
    /// in the records are taken up too.
    ///
    /// # Errors
    /// [`RecordError`] naming the record that cannot be read.
    pub fn restore<'a>(
        trust: Trust,
        records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
    ) -> Result<Self, RecordError> {
        records::restore(trust, records)
    }

    /// Takes one input. Afterwards drain [`Controller::poll_output`].
    pub fn handle_input(&mut self, context: &mut Context<'_>, input: Input<'_>) {
        match input {
            Input::Start => self.start(context),
            Input::Received {
                channel,
                envelope,
                is_live,
            } => self.receive(context, channel, envelope, is_live),
            Input::Put {
                channel,
                plane,
                chunks,
            } => self.put(context, channel, plane, chunks),
            Input::Enrol { ticket, frame } => self.enrol(context, ticket, frame),
            Input::SnapshotWanted { channel } => self.post_snapshot(context, channel),
            Input::Refill { ticket, channel } => self.refill(context, ticket, channel),
            Input::HeartbeatWanted { channel } => {
                self.heartbeat_wanted(channel);
                self.settle(context, channel);
            }
            Input::Bundle {
                ticket,
                envelope,
                is_urgent,
            } => self.take_bundle(context, ticket, envelope, is_urgent),
            Input::Timeout => self.handle_timeout(context),
            input @ (Input::Invite { .. }
            | Input::Withdraw { .. }
            | Input::Decide { .. }
            | Input::Intend { .. }
            | Input::Encrypt { .. }
            | Input::Remove { .. }
            | Input::Resolve { .. }) => self.handle_operator(context, input),
        }
    }

    /// Takes what an operator asks for.
    fn handle_operator(&mut self, context: &mut Context<'_>, input: Input<'_>) {
        match input {
            Input::Invite {
                ticket,
                tenant,
                device,
                token,
                secret,
                expires_unix_s,
            } => {
                let invitation = Invitation {
                    tenant,
                    device,
                    secret,
                    expires_unix_s,
                    used_by: None,
                };
                self.invite(context, ticket, token, invitation);
            }
            Input::Withdraw { ticket, token } => self.withdraw(ticket, token),
            Input::Decide {
                ticket,
                tenant,
                device,
                changes,
            } => self.decide(context, ticket, &tenant, &device, &changes),
            Input::Intend {
                ticket,
                tenant,
                device,
                path,
            } => self.intend(context, ticket, &tenant, &device, path),
            Input::Encrypt {
                ticket,
                tenant,
                device,
            } => self.encrypt(context, ticket, &tenant, &device),
            Input::Remove {
                ticket,
                tenant,
                device,
            } => self.remove(context, ticket, &tenant, &device),
            Input::Resolve {
                ticket,
                tenant,
                device,
                take,
            } => self.resolve(context, ticket, &tenant, &device, take),
            Input::Start
            | Input::Received { .. }
            | Input::Put { .. }
            | Input::Enrol { .. }
            | Input::SnapshotWanted { .. }
            | Input::Refill { .. }
            | Input::HeartbeatWanted { .. }
            | Input::Bundle { .. }
            | Input::Timeout => {}
        }
    }

    /// The moment, in the driver's milliseconds, at which [`Input::Timeout`] is due, if any.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.timers.next_ms()
    }

    /// Takes the next output, in order. `None` when the input is fully drained.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Looks at one member.
    #[must_use]
    pub fn member(&self, tenant: &Tenant, device: &DeviceName) -> Option<&Member> {
        self.members.get(&self.channel(tenant, device).id())
    }

    /// Looks at the member of a channel.
    #[must_use]
    pub fn member_of(&self, channel: ChannelId) -> Option<&Member> {
        self.members.get(&channel)
    }

    /// Looks at every member, in the order of their channel ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The keys that count now.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Open and used invitations, by token.
    pub fn invitations(&self) -> impl Iterator<Item = (TokenId, &Invitation)> {
        self.invitations.iter().map(|(token, one)| (*token, one))
    }

    /// The lowest bundle that an enrolled device named since this start; `None` while one of them
    /// has named none. Mailbox keys that a lower bundle lists must still be answered with.
    #[must_use]
    pub fn lowest_bundle(&self) -> Option<BundleNumber> {
        let enrolled = self.members.values().filter(|one| one.is_enrolled());
        let named: Option<Vec<BundleNumber>> = enrolled.map(|one| one.pulse.bundle).collect();
        named?
            .into_iter()
            .min()
            .or_else(|| Some(self.trust.number()))
    }

    /// The epoch in which new members begin: the one that this start opened, or one after it.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn root(&self) -> Thumbprint {
        self.trust.root()
    }

    fn channel(&self, tenant: &Tenant, device: &DeviceName) -> Channel {
        Channel {
            root: self.root(),
            tenant: tenant.clone(),
            device: device.clone(),
        }
    }

    fn persist(&mut self, writes: Vec<Write>) {
        self.outputs.push_back(Output::Persist(writes));
    }

    fn post(&mut self, channel: ChannelId, post: Post) {
        let member = self.members.get(&channel);
        let withdrawn = self.withdrawn.get(&channel);
        let names = member.map(|member| &member.channel);
        let Some(names) = names.or_else(|| withdrawn.map(Withdrawn::channel)) else {
            return;
        };
        let writer = self.trust.writer(&names.tenant);
        let generation = match (member, writer) {
            (Some(member), _) => member.head.generation,
            (None, Some((generation, _))) => generation,
            (None, None) => return,
        };
        let post = admissions::addressed(self.refilling, channel, generation, post);
        self.outputs.push_back(post);
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn refuse(&mut self, ticket: Ticket, reject: Reject) {
        self.event(Event::Refused { ticket, reject });
    }
}
