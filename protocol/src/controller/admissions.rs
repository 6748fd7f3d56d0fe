//! Admissions: what mailboxes in processes of their own are told of each device, until they hear otherwise.
//!
//! ```text
//!  start, enrolment, next key, removal, next writer key --> sealed under the next number --> every mailbox
//!  a mailbox with an empty store --Refill--> admission, snapshot, acks --> that mailbox alone
//! ```
//!
//! Each start opens an epoch, so that numbers need not be kept. Refuses to forget a withdrawal with the
//! device: a mailbox that was away still serves it.

use super::member::Enrolled;
use super::{Context, Controller, Event, Member, Output, Post, Ticket, records};
use crate::admission::{Admission, AdmissionStatus};
use crate::id::{Channel, ChannelId, Incarnation};
use crate::key::PublicKey;
use crate::limits::{ADMISSION_QUOTA_BYTES, WITHDRAWN_MAX};
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{Generation, Revision, Seq};
use crate::trust::Trust;
use alloc::vec::Vec;

/// A device that mailboxes shall serve no more, as long as one of them may not have heard of it.
#[derive(Debug, Clone)]
pub struct Withdrawn {
    pub(super) channel: Channel,
    pub(super) incarnation: Incarnation,
    pub(super) key: PublicKey,
    /// Ascends: the lowest is forgotten first.
    pub(super) serial: u64,
}

impl Withdrawn {
    /// The device's names.
    #[must_use]
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Controller {
    /// Devices that were withdrawn and not enrolled again, in the order of their channel ids.
    pub fn withdrawn(&self) -> impl Iterator<Item = &Withdrawn> {
        self.withdrawn.values()
    }

    /// Seals what mailboxes shall know of a device now, under the next number, and posts it.
    pub(super) fn post_admission(&mut self, context: &Context<'_>, id: ChannelId) {
        let admission = match (self.members.get(&id), self.withdrawn.get(&id)) {
            (Some(member), _) if member.enrolled.is_some() => self.admission_of(member),
            (_, Some(withdrawn)) => Some(self.withdrawal_of(withdrawn)),
            (Some(_) | None, None) => None,
        };
        let Some((channel, admission)) = admission else {
            return;
        };
        match self.seal_admission(context, &channel, &admission) {
            Ok(envelope) => self.post(id, Post::Admission { envelope }),
            // Another controller writes for the tenant: its word counts, not ours.
            Err(Reject::KeyUnknown) => {}
            Err(reject) => self.event(Event::Rejected {
                channel: id,
                reject,
            }),
        }
    }

    /// Seals again what mailboxes were told of devices that are gone.
    pub(super) fn post_withdrawals(&mut self, context: &Context<'_>) {
        let gone: Vec<ChannelId> = self.withdrawn.keys().copied().collect();
        for channel in gone {
            self.post_admission(context, channel);
        }
    }

    /// Seals again what mailboxes were told of devices that are gone, where the writer key is another than before.
    pub(super) fn post_withdrawals_of(&mut self, context: &Context<'_>, before: &Trust) {
        let of_changed = |one: &&Withdrawn| {
            let tenant = &one.channel.tenant;
            before.writer(tenant) != self.trust.writer(tenant)
        };
        let gone = self.withdrawn.values().filter(of_changed);
        let gone: Vec<ChannelId> = gone.map(|one| one.channel.id()).collect();
        for channel in gone {
            self.post_admission(context, channel);
        }
    }

    fn admission_of(&self, member: &Member) -> Option<(Channel, Admission)> {
        let enrolled = member.enrolled.as_ref()?;
        let is_served = !member.has_left && !self.trust.is_revoked(&enrolled.key.thumbprint());
        let status = if is_served {
            AdmissionStatus::Admitted
        } else {
            AdmissionStatus::Withdrawn
        };
        let admission = Admission {
            device: member.channel.device.clone(),
            status,
            incarnation: enrolled.incarnation,
            keys: enrolled.keys().cloned().collect(),
            quota_bytes: ADMISSION_QUOTA_BYTES,
            bundle: self.trust.number(),
        };
        Some((member.channel.clone(), admission))
    }

    fn withdrawal_of(&self, withdrawn: &Withdrawn) -> (Channel, Admission) {
        let admission = Admission {
            device: withdrawn.channel.device.clone(),
            status: AdmissionStatus::Withdrawn,
            incarnation: withdrawn.incarnation,
            keys: Vec::from([withdrawn.key.clone()]),
            quota_bytes: 0,
            bundle: self.trust.number(),
        };
        (withdrawn.channel.clone(), admission)
    }

    fn seal_admission(
        &mut self,
        context: &Context<'_>,
        channel: &Channel,
        admission: &Admission,
    ) -> Result<Vec<u8>, Reject> {
        let signer = self.signer(context, &channel.tenant)?;
        //= spec/relays.md#admission
        //# A writer MUST give each admission of a channel a higher place than the one before.
        let number = self.admissions.next().ok_or(Reject::HeaderNumbers)?;
        let revision = Revision::new(self.epoch, number);
        let sealed = admission.seal(revision, channel.root, &channel.tenant, signer)?;
        self.admissions = number;
        Ok(sealed.into_bytes())
    }

    /// Remembers that a device is gone. Returns what must become durable with it.
    pub(super) fn note_withdrawn(&mut self, channel: &Channel, enrolled: &Enrolled) -> Vec<Write> {
        let serials = self.withdrawn.values().map(|one| one.serial);
        let withdrawn = Withdrawn {
            channel: channel.clone(),
            incarnation: enrolled.incarnation,
            key: enrolled.key.clone(),
            serial: serials.max().unwrap_or(0).saturating_add(1),
        };
        let mut writes = Vec::from([records::withdrawn(&withdrawn)]);
        self.withdrawn.insert(channel.id(), withdrawn);
        while self.withdrawn.len() > WITHDRAWN_MAX {
            let oldest = self.withdrawn.values().min_by_key(|one| one.serial);
            let Some(oldest) = oldest.map(|one| one.channel.id()) else {
                break;
            };
            writes.extend(self.forget_withdrawn(oldest));
        }
        writes
    }

    /// The name is enrolled again, or others pushed it out.
    pub(super) fn forget_withdrawn(&mut self, channel: ChannelId) -> Option<Write> {
        let withdrawn = self.withdrawn.remove(&channel)?;
        Some(records::not_withdrawn(&withdrawn))
    }

    /// Hands one mailbox everything of a channel that it may lack.
    pub(super) fn refill(&mut self, context: &mut Context<'_>, ticket: Ticket, channel: ChannelId) {
        let is_known = self.members.contains_key(&channel) || self.withdrawn.contains_key(&channel);
        if !is_known {
            return self.refuse(ticket, Reject::NotAdmitted);
        }
        self.refilling = Some(ticket);
        self.post_admission(context, channel);
        let is_served = self.members.get(&channel).is_some_and(Member::is_enrolled);
        if is_served {
            self.post_key_answer(context, channel);
            self.post_snapshot(context, channel);
            self.post_ack(context, channel);
        }
        self.refilling = None;
        self.event(Event::Refilled { ticket, channel });
    }
}

/// Before the first admission.
pub(super) const NO_ADMISSION: Seq = Seq::new(0);

/// Where a post goes: to every mailbox, or to the one that is being filled.
pub(super) const fn addressed(
    refilling: Option<Ticket>,
    channel: ChannelId,
    generation: Generation,
    post: Post,
) -> Output {
    match refilling {
        Some(ticket) => Output::Refill {
            ticket,
            channel,
            generation,
            post,
        },
        None => Output::Post {
            channel,
            generation,
            post,
        },
    }
}
