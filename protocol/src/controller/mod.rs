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

mod decide;
mod enrol;
mod io;
mod member;
mod records;
mod reports;
#[cfg(test)]
mod tests;

pub use io::{Ack, Event, Input, Output, Post, Take, Ticket};
pub use member::{Member, ReportHeld};

use crate::context::{Keyring, Now, Random};
use crate::id::{Channel, ChannelId, DeviceName, Tenant, Thumbprint, TokenId};
use crate::record::{RecordError, Table, Write};
use crate::reject::Reject;
use crate::revision::Epoch;
use crate::trust::Trust;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use enrol::Invitation;

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
    bundles: Vec<Vec<u8>>,
    epoch: Epoch,
    /// The highest epoch that any device showed; the next start opens one above it.
    shown: Epoch,
    members: BTreeMap<ChannelId, Member>,
    invitations: BTreeMap<TokenId, Invitation>,
    outputs: VecDeque<Output>,
}

impl Controller {
    /// Rebuilds the engine from its records. `bundles` are the envelopes from number 1 on that
    /// `trust` was verified by.
    ///
    /// # Errors
    /// [`RecordError`] naming the record that cannot be read.
    pub fn restore<'a>(
        trust: Trust,
        bundles: Vec<Vec<u8>>,
        records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
    ) -> Result<Self, RecordError> {
        records::restore(trust, bundles, records)
    }

    /// Takes one input. Afterwards drain [`Controller::poll_output`].
    pub fn handle_input(&mut self, context: &mut Context<'_>, input: Input<'_>) {
        match input {
            Input::Start => self.start(context),
            Input::Received {
                channel,
                envelope,
                is_live: _,
            } => self.receive(context, channel, envelope),
            Input::Enrol { ticket, frame } => self.enrol(context, ticket, frame),
            Input::SnapshotWanted { channel } => self.post_snapshot(context, channel),
            Input::Bundle { ticket, .. } => self.refuse(ticket, Reject::BundleStale),
            Input::Put { .. } | Input::HeartbeatWanted { .. } | Input::Timeout => {}
            input @ (Input::Invite { .. }
            | Input::Withdraw { .. }
            | Input::Decide { .. }
            | Input::Intend { .. }
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
                expires_unix_s: _,
            } => self.invite(ticket, tenant, device, token, secret),
            Input::Decide {
                ticket,
                tenant,
                device,
                changes,
            } => self.decide(context, ticket, &tenant, &device, &changes),
            Input::Withdraw { ticket, .. }
            | Input::Intend { ticket, .. }
            | Input::Remove { ticket, .. }
            | Input::Resolve { ticket, .. } => self.refuse(ticket, Reject::NotAdmitted),
            Input::Start
            | Input::Received { .. }
            | Input::Put { .. }
            | Input::Enrol { .. }
            | Input::SnapshotWanted { .. }
            | Input::HeartbeatWanted { .. }
            | Input::Bundle { .. }
            | Input::Timeout => {}
        }
    }

    /// The moment, in the driver's milliseconds, at which [`Input::Timeout`] is due, if any.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<u64> {
        None
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

    /// The epoch that this start opened.
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
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        let generation = member.head.generation;
        self.outputs.push_back(Output::Post {
            channel,
            generation,
            post,
        });
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn refuse(&mut self, ticket: Ticket, reject: Reject) {
        self.event(Event::Refused { ticket, reject });
    }
}
