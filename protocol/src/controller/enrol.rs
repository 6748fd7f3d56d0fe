//! Invitations and enrolment: a device key counts once the controller signs that it does.
//!
//! Refuses a second key for an invitation, and a request that does not prove the invitation's secret.

use super::decide::first_head;
use super::member::{Enrolled, Member};
use super::{Context, Controller, Event, Output, Ticket, records};
use crate::enrol::{EnrolAnswer, JoinSecret, ReceivedEnrolRequest, VerifiedEnrolRequest};
use crate::frame::PlainFrame;
use crate::id::{ChannelId, DeviceName, Tenant, Thumbprint, TokenId};
use crate::reject::Reject;
use crate::revision::{Revision, Seq};
use crate::state::State;
use alloc::vec::Vec;

/// One invitation, from the operator's word to the device's answer.
#[derive(Debug)]
pub(super) struct Invitation {
    pub(super) tenant: Tenant,
    pub(super) device: DeviceName,
    pub(super) secret: JoinSecret,
    pub(super) used_by: Option<Thumbprint>,
}

impl Controller {
    /// Opens an invitation, and the member if the name is new.
    pub(super) fn invite(
        &mut self,
        ticket: Ticket,
        tenant: Tenant,
        device: DeviceName,
        token: TokenId,
        secret: JoinSecret,
    ) {
        let Some((generation, _)) = self.trust.writer(&tenant) else {
            return self.refuse(ticket, Reject::KeyUnknown);
        };
        if self.invitations.contains_key(&token) {
            return self.refuse(ticket, Reject::TokenUsed);
        }
        let channel = self.channel(&tenant, &device);
        let id = channel.id();
        let mut writes = Vec::new();
        if !self.members.contains_key(&id) {
            let head = first_head(self.epoch, generation);
            let member = Member {
                channel,
                enrolled: None,
                state: State::empty(),
                head,
                lineage: Vec::new(),
                report: None,
            };
            writes.push(records::member(&member));
            self.members.insert(id, member);
        }
        let invitation = Invitation {
            tenant,
            device,
            secret,
            used_by: None,
        };
        writes.push(records::invitation(token, &invitation));
        self.invitations.insert(token, invitation);
        self.persist(writes);
        self.event(Event::Invited { ticket });
    }

    /// Takes an `enrol` frame that a mailbox handed over.
    pub(super) fn enrol(&mut self, context: &mut Context<'_>, ticket: Ticket, frame: &[u8]) {
        match self.verify_enrolment(frame) {
            Ok((token, verified)) => {
                //= spec/postern.md#enrolment
                //# The controller MUST persist the enrolment before it answers.
                let channel = self.admit_new(token, &verified);
                match self.seal_answer(context, channel, &verified) {
                    Ok(frame) => self.outputs.push_back(Output::Answer { ticket, frame }),
                    Err(reject) => self.refuse(ticket, reject),
                }
                self.admit(channel);
                self.post_snapshot(context, channel);
                self.event(Event::Enrolled { channel });
            }
            Err(reject) => self.refuse(ticket, reject),
        }
    }

    fn verify_enrolment(&self, frame: &[u8]) -> Result<(TokenId, VerifiedEnrolRequest), Reject> {
        let received = ReceivedEnrolRequest::open(frame)?;
        let token = received.token();
        //= spec/postern.md#enrolment
        //# The controller MUST refuse a token id that no invitation has, or whose frame, payload,
        //# tenant and device name do not agree with the invitation, with `token-unknown`.
        let invitation = self.invitations.get(&token).ok_or(Reject::TokenUnknown)?;
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
        self.check_key_id(id, &verified)?;
        Ok((token, verified))
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

    /// A second key with the same id in a mailbox would make hellos ambiguous.
    fn check_key_id(&self, id: ChannelId, verified: &VerifiedEnrolRequest) -> Result<(), Reject> {
        let key_id = verified.key.key_id();
        let mut others = self.members.iter().filter(|(other, _)| **other != id);
        let is_taken = others.any(|(_, member)| {
            member
                .enrolled
                .as_ref()
                .is_some_and(|enrolled| enrolled.key.key_id() == key_id)
        });
        if is_taken {
            Err(Reject::KeyRefused)
        } else {
            Ok(())
        }
    }

    fn admit_new(&mut self, token: TokenId, verified: &VerifiedEnrolRequest) -> ChannelId {
        let mut writes = Vec::new();
        let root = self.root();
        let Some(invitation) = self.invitations.get_mut(&token) else {
            unreachable!("the invitation was found by this token while verifying");
        };
        invitation.used_by = Some(verified.key.thumbprint());
        writes.push(records::invitation(token, invitation));
        let (tenant, device) = (invitation.tenant.clone(), invitation.device.clone());
        let id = crate::id::Channel {
            root,
            tenant,
            device,
        }
        .id();
        if let Some(member) = self.members.get_mut(&id) {
            let incarnation = verified.request.incarnation;
            if member
                .enrolled
                .as_ref()
                .is_none_or(|enrolled| enrolled.incarnation != incarnation)
            {
                // A new life holds nothing: no earlier epoch needs to be named, no report counts.
                member.lineage.clear();
                member.report = None;
                writes.push(records::no_report(member));
            }
            member.enrolled = Some(Enrolled {
                key: verified.key.clone(),
                incarnation,
            });
            writes.push(records::member(member));
        }
        self.persist(writes);
        id
    }

    fn seal_answer(
        &self,
        context: &Context<'_>,
        id: ChannelId,
        verified: &VerifiedEnrolRequest,
    ) -> Result<Vec<u8>, Reject> {
        let member = self.members.get(&id).ok_or(Reject::NotAdmitted)?;
        let writer = context
            .keys
            .writer(&member.channel.tenant)
            .ok_or(Reject::KeyUnknown)?;
        let answer = EnrolAnswer {
            revision: Revision::new(self.epoch, Seq::new(1)),
            request: verified.message_id,
            bundle: self.trust.number(),
            device_key: verified.key.thumbprint(),
        };
        let sealed = answer.seal(&member.channel, verified.request.incarnation, writer)?;
        //= spec/postern.md#enrolment
        //# Frame 17 MUST carry all bundles from 1 to the number that the answer names, ascending.
        let bundles = self.bundles.iter().map(Vec::as_slice).collect();
        PlainFrame::Enrolled {
            bundles,
            answer: sealed.as_bytes(),
        }
        .encode()
    }
}
