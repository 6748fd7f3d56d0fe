//! Where devices stand, before a new writer key counts for them.
//!
//! ```text
//!  restored --> nobody heard --live report, heartbeat--> heard --of our epoch--> followed --all of them--> mark is gone
//!                     '-- the trust has a higher generation: nothing is posted until heard
//! ```
//!
//! Heard is not enough: whoever kept what a lost life signed can still bring a device forward in an earlier
//! epoch, and cannot once it followed into ours.
//!
//! A higher generation counts without a look at the lineage, so a restored controller must not use
//! one before it knows what a device holds. Refuses to count files as hearing: they may be old.

use super::member::Member;
use super::{Context, Controller, Event, Take, Ticket, records};
use crate::id::{ChannelId, Tenant};
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{Generation, Revision, Seq};
use crate::trust::Trust;
use alloc::vec::Vec;

/// Why a device would lose what it holds without anybody seeing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsettled {
    /// It showed a head that this store does not know, and no history was chosen yet.
    Behind,
    /// This store was restored, and the device did not show since the start that it followed into our epoch.
    Unheard,
}

impl Controller {
    /// What a restore adds to the records of a backup: this store may not be the newest.
    #[must_use]
    pub fn mark_restored() -> Write {
        records::restored()
    }

    /// The devices of a tenant that would lose decisions unseen if its writer key changed now.
    pub fn unsettled(&self, tenant: &Tenant) -> impl Iterator<Item = (&Member, Unsettled)> {
        let enrolled = self
            .members
            .values()
            .filter(move |member| member.is_enrolled() && member.channel.tenant == *tenant);
        enrolled.filter_map(|member| Some((member, self.unsettled_as(member)?)))
    }

    fn unsettled_as(&self, member: &Member) -> Option<Unsettled> {
        if member.is_behind() {
            Some(Unsettled::Behind)
        } else if self.is_restored && !has_followed(member) {
            Some(Unsettled::Unheard)
        } else {
            None
        }
    }

    /// True when the next trust changes the writer key of a device that is not settled.
    pub(super) fn would_lose(&self, next: &Trust) -> bool {
        let tenants = self.members.values().map(|member| &member.channel.tenant);
        let mut changed = tenants.filter(|tenant| self.trust.writer(tenant) != next.writer(tenant));
        changed.any(|tenant| self.unsettled(tenant).next().is_some())
    }

    /// The generation in which a member goes on at a start, and whether it has to wait for being heard.
    pub(super) fn generation_at_start(&self, member: &Member) -> (Generation, bool) {
        let held = member.head.generation;
        let writer = self.trust.writer(&member.channel.tenant);
        let newest = writer.map_or(held, |(generation, _)| generation);
        //= spec/lives.md#rotation
        //# A restored controller MUST post no state under a generation that its store did not know
        //# to a device before that device shows in a session or beside an echo of the controller's
        //# nonce a head that the controller knows, or its operator chose.
        let is_withheld = self.is_restored && member.is_enrolled() && newest > held;
        (if is_withheld { held } else { newest }, is_withheld)
    }

    /// A device said in a session of its own where it stands, or begins a life without a past.
    pub(super) fn hear(&mut self, context: &mut Context<'_>, channel: ChannelId, head: Revision) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        member.pulse.heard = member.pulse.heard.max(Some(head));
        if member.pulse.is_withheld && !member.is_behind() {
            self.release(context, channel);
        }
        let mut enrolled = self.members.values().filter(|member| member.is_enrolled());
        let is_settled = |member: &Member| has_followed(member) && !member.pulse.is_withheld;
        if self.is_restored && enrolled.all(is_settled) {
            self.is_restored = false;
            self.persist(Vec::from([records::not_restored()]));
        }
    }

    /// Goes on in the generation of the newest bundle.
    fn release(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let epoch = self.further_epoch(context);
        let highest = self.highest;
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let writer = self.trust.writer(&member.channel.tenant);
        let generation = writer.map_or(member.head.generation, |(generation, _)| generation);
        member.pulse.is_withheld = false;
        member.open_epoch(epoch, generation);
        let writes = Vec::from([records::epoch(highest), records::member(member)]);
        self.persist(writes);
        self.post_snapshot(context, channel);
    }

    /// Takes an operator's word that a device shall lose what only it holds, and never showed.
    ///
    /// # Errors
    /// `not-admitted`; `nothing-stored` when nothing is withheld from it.
    pub(super) fn overrule(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        channel: ChannelId,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        self.signer(context, &member.channel.tenant)?;
        if !member.pulse.is_withheld || !member.is_behind() {
            return Err(Reject::NothingStored);
        }
        let shown = member.shown();
        let known = member.history().known(shown);
        let first = known.map_or(0, |known| known.last.seq.number());
        // The epoch that follows lies above everything that the device showed.
        if let Some(write) = self.note_shown(shown.epoch) {
            self.persist(Vec::from([write]));
        }
        self.release(context, channel);
        self.event(Event::Recovered {
            ticket: Some(ticket),
            channel,
            epoch: shown.epoch,
            first: Seq::new(first.saturating_add(1)),
            last: shown.seq,
            take: Take::Controller,
        });
        Ok(())
    }
}

/// True when the device showed a head of the present epoch: nothing older reaches it any more. A life that began
/// since the restore has no earlier epoch.
fn has_followed(member: &Member) -> bool {
    let present = member.head.revision.epoch;
    let is_first = member.lineage.is_empty();
    let heard = member.pulse.heard;
    heard.is_some_and(|heard| is_first || heard.epoch == present)
}
