//! Invitations and enrolment: a device key counts once the controller signs that it does.
//!
//! Refuses a second key for an invitation, one that expired or was taken back, and a request that does
//! not prove the invitation's secret.

use super::lives::begin_life;
use super::member::{Enrolled, Member};
use super::{Context, Controller, Event, Output, Ticket, records};
use crate::context::Now;
use crate::enrol::{EnrolAnswer, JoinSecret, ReceivedEnrolRequest, VerifiedEnrolRequest};
use crate::frame::PlainFrame;
use crate::id::{ChannelId, DeviceName, MessageId, Tenant, Thumbprint, TokenId};
use crate::limits::{ENROL_ANSWER_BYTES_MAX, FRAME_BYTES_MAX};
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{Revision, Seq};
use crate::signed_time::SignedTime;
use alloc::vec::Vec;

/// One invitation, from the operator's word to the device's answer.
#[derive(Debug)]
pub struct Invitation {
    pub(super) tenant: Tenant,
    pub(super) device: DeviceName,
    pub(super) secret: JoinSecret,
    pub(super) expires_unix_s: Option<u64>,
    pub(super) used_by: Option<Thumbprint>,
}

impl Invitation {
    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The device.
    #[must_use]
    pub const fn device(&self) -> &DeviceName {
        &self.device
    }

    /// Seconds since 1970 after which it counts no more, if it ends at all.
    #[must_use]
    pub const fn expires_unix_s(&self) -> Option<u64> {
        self.expires_unix_s
    }

    /// The key that used it.
    #[must_use]
    pub const fn used_by(&self) -> Option<&Thumbprint> {
        self.used_by.as_ref()
    }

    /// Without a clock nothing expires: the wrong way out would be to shut devices out.
    fn is_expired(&self, now: Now) -> bool {
        let expiry = self.expires_unix_s.zip(now.unix_s);
        self.used_by.is_none() && expiry.is_some_and(|(expires, unix_s)| unix_s > expires)
    }

    fn is_for(&self, tenant: &Tenant, device: &DeviceName) -> bool {
        self.tenant == *tenant && self.device == *device
    }
}

impl Controller {
    /// Opens an invitation, and the member if the name is new.
    pub(super) fn invite(
        &mut self,
        context: &Context<'_>,
        ticket: Ticket,
        token: TokenId,
        invitation: Invitation,
    ) {
        let Some((generation, _)) = self.trust.writer(&invitation.tenant) else {
            return self.refuse(ticket, Reject::KeyUnknown);
        };
        if let Err(reject) = self.check_answer_fits() {
            return self.refuse(ticket, reject);
        }
        let mut writes = self.purge_invitations(context.now);
        if self.invitations.contains_key(&token) {
            return self.refuse(ticket, Reject::TokenUsed);
        }
        let channel = self.channel(&invitation.tenant, &invitation.device);
        let id = channel.id();
        if !self.members.contains_key(&id) {
            let member = Member::new(channel, self.epoch, generation);
            writes.push(records::member(&member));
            self.members.insert(id, member);
        }
        writes.push(records::invitation(token, &invitation));
        self.invitations.insert(token, invitation);
        self.persist(writes);
        self.event(Event::Invited { ticket });
    }

    /// Takes an unused invitation back.
    pub(super) fn withdraw(&mut self, ticket: Ticket, token: TokenId) {
        match self.invitations.get(&token) {
            None => return self.refuse(ticket, Reject::TokenUnknown),
            Some(invitation) if invitation.used_by.is_some() => {
                return self.refuse(ticket, Reject::TokenUsed);
            }
            Some(_) => {}
        }
        let writes = self.drop_where(|one, _| *one == token);
        self.persist(writes);
        self.event(Event::Withdrawn { ticket });
    }

    /// Forgets invitations that expired unused. Returns what must become durable with it.
    pub(super) fn purge_invitations(&mut self, now: Now) -> Vec<Write> {
        self.drop_where(|_, invitation| invitation.is_expired(now))
    }

    /// Forgets every invitation of a name.
    pub(super) fn drop_invitations(&mut self, tenant: &Tenant, device: &DeviceName) -> Vec<Write> {
        self.drop_where(|_, invitation| invitation.is_for(tenant, device))
    }

    fn drop_where(&mut self, is_over: impl Fn(&TokenId, &Invitation) -> bool) -> Vec<Write> {
        let mut writes = Vec::new();
        self.invitations.retain(|token, invitation| {
            let is_kept = !is_over(token, invitation);
            if !is_kept {
                writes.push(records::no_invitation(*token));
            }
            is_kept
        });
        writes
    }

    /// Takes an `enrol` frame that a mailbox handed over.
    pub(super) fn enrol(&mut self, context: &mut Context<'_>, ticket: Ticket, frame: &[u8]) {
        match self.verify_enrolment(context.now, frame) {
            Ok((token, verified)) => {
                //= spec/postern.md#enrolment
                //# The controller MUST persist the enrolment before it answers.
                let channel = self.admit_new(token, &verified);
                match self.seal_answer(context, channel, verified.message_id) {
                    Ok(frame) => self.outputs.push_back(Output::Answer { ticket, frame }),
                    Err(reject) => self.refuse(ticket, reject),
                }
                self.admit(context, channel);
                self.renew_keys(context, channel);
                self.show_actual_held(channel);
                self.post_snapshot(context, channel);
                self.event(Event::Enrolled { channel });
            }
            Err(reject) => self.refuse(ticket, reject),
        }
    }

    fn verify_enrolment(
        &self,
        now: Now,
        frame: &[u8],
    ) -> Result<(TokenId, VerifiedEnrolRequest), Reject> {
        self.check_answer_fits()?;
        let received = ReceivedEnrolRequest::open(frame)?;
        let token = received.token();
        //= spec/postern.md#enrolment
        //# The controller MUST refuse a token id that no invitation has, or whose frame, payload,
        //# tenant and device name do not agree with the invitation, with `token-unknown`.
        let invitation = self.invitations.get(&token);
        let invitation = invitation.filter(|invitation| !invitation.is_expired(now));
        let invitation = invitation.ok_or(Reject::TokenUnknown)?;
        let verified = received.verify(&invitation.secret, self.root(), &invitation.tenant)?;
        if verified.request.device != invitation.device {
            return Err(Reject::TokenUnknown);
        }
        let thumbprint = verified.key.thumbprint();
        if self.trust.is_revoked(&thumbprint) {
            return Err(Reject::KeyRevoked);
        }
        let id = self.channel(&invitation.tenant, &invitation.device).id();
        self.check_reuse(invitation, id, &verified)?;
        self.check_key_id(id, &verified.key)?;
        self.check_agreement(id, verified.request.agreement.as_ref())?;
        Ok((token, verified))
    }

    //= spec/postern.md#enrolment
    //# The controller MUST refuse an enrolment whose answer does not fit into a frame with `oversize`, and
    //# change nothing.
    /// What leads from the pinned thumbprints to the newest bundle travels in the answer.
    fn check_answer_fits(&self) -> Result<(), Reject> {
        let bundles: usize = self
            .trust
            .steps()
            .iter()
            .map(|step| step.envelope.len())
            .sum();
        if fits(bundles) {
            Ok(())
        } else {
            Err(Reject::Oversize)
        }
    }

    /// The same key may ask again until its life has begun: until its first report is held.
    fn check_reuse(
        &self,
        invitation: &Invitation,
        id: ChannelId,
        verified: &VerifiedEnrolRequest,
    ) -> Result<(), Reject> {
        let Some(used_by) = invitation.used_by else {
            return Ok(());
        };
        let enrolled = self
            .members
            .get(&id)
            .and_then(|member| member.enrolled.as_ref().map(|enrolled| (member, enrolled)));
        let is_answerable = enrolled.is_some_and(|(member, enrolled)| {
            let is_same_life = enrolled.incarnation == verified.request.incarnation;
            enrolled.key == verified.key && (is_same_life || member.report.is_none())
        });
        //= spec/postern.md#enrolment
        //# The controller MUST refuse a token that another key has used with `token-used`.
        //= spec/postern.md#enrolment
        //# The controller MUST answer the same key and message id again with the same enrolment.
        if used_by == verified.key.thumbprint() && is_answerable {
            Ok(())
        } else {
            Err(Reject::TokenUsed)
        }
    }

    fn admit_new(&mut self, token: TokenId, verified: &VerifiedEnrolRequest) -> ChannelId {
        let Some(invitation) = self.invitations.get_mut(&token) else {
            unreachable!("the invitation was found by this token while verifying");
        };
        invitation.used_by = Some(verified.key.thumbprint());
        let mut writes = Vec::from([records::invitation(token, invitation)]);
        let (tenant, device) = (invitation.tenant.clone(), invitation.device.clone());
        // An older invitation of the name that was used has ended with the life that it began.
        writes.extend(self.drop_where(|one, invitation| {
            *one != token && invitation.used_by.is_some() && invitation.is_for(&tenant, &device)
        }));
        let id = self.channel(&tenant, &device).id();
        let writer = self.trust.writer(&tenant);
        let generation = writer.map(|(generation, _)| generation);
        if let Some(member) = self.members.get_mut(&id) {
            let incarnation = verified.request.incarnation;
            let enrolled = Enrolled {
                key: verified.key.clone(),
                incarnation,
                next: None,
                request: Some(verified.message_id),
            };
            match &mut member.enrolled {
                // The same life asks again: a next key and everything else stay as they are.
                Some(held) if held.incarnation == incarnation && held.key == enrolled.key => {
                    held.request = enrolled.request;
                }
                Some(_) | None => {
                    member.encryption.agreement = verified.request.agreement;
                    writes.extend(begin_life(member, enrolled));
                    writes.push(records::plane_keys(member));
                    member.head.generation = generation.unwrap_or(member.head.generation);
                }
            }
            writes.push(records::member(member));
        }
        writes.extend(self.forget_withdrawn(id));
        self.persist(writes);
        id
    }

    /// Seals the frame that confirms the member's key to whoever sent `request`.
    pub(super) fn seal_answer(
        &self,
        context: &Context<'_>,
        id: ChannelId,
        request: MessageId,
    ) -> Result<Vec<u8>, Reject> {
        let member = self.members.get(&id).ok_or(Reject::NotAdmitted)?;
        let enrolled = member.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        let writer = self.signer(context, &member.channel.tenant)?;
        let answer = EnrolAnswer {
            revision: Revision::new(self.epoch, Seq::new(1)),
            request,
            bundle: self.trust.number(),
            device_key: enrolled.key.thumbprint(),
            time: context.now.unix_s.and_then(SignedTime::new),
        };
        let sealed = answer.seal(&member.channel, enrolled.incarnation, writer)?;
        //= spec/postern.md#enrolment
        //# Frame 17 MUST carry bundle 1 and what leads from it to the number that the answer names, ascending.
        let bundles = self
            .trust
            .steps()
            .iter()
            .map(|step| step.envelope.as_ref())
            .collect();
        PlainFrame::Enrolled {
            bundles,
            answer: sealed.as_bytes(),
        }
        .encode()
    }
}

/// Tells whether an answer with so many bytes of bundles fits into a frame.
pub(super) const fn fits(bundles_bytes: usize) -> bool {
    bundles_bytes.saturating_add(ENROL_ANSWER_BYTES_MAX) <= FRAME_BYTES_MAX
}
