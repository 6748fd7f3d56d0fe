//! A device's next key: asked for in a report, confirmed by our signature, counted with the first message it signs.
//!
//! ```text
//!  report with list 6 --checked, durable--> next key: both count --first under the next--> one key
//! ```
//!
//! Nobody rotates itself. Refuses a key that another device has, and any rotation while two units
//! run one life: which of them asks is not known.

use super::member::NextKey;
use super::{Context, Controller, Event, Post, records};
use crate::enrol::{EnrolAnswer, VerifiedEnrolRequest, verify_rotation_request};
use crate::envelope::{SealedEnvelope, Verified};
use crate::id::ChannelId;
use crate::key::PublicKey;
use crate::reject::Reject;
use crate::revision::{Revision, Seq};
use alloc::vec::Vec;

impl Controller {
    /// Takes the request that the newest report carries, if it carries one, and answers it.
    pub(super) fn take_rotation(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        match self.check_rotation(channel) {
            Ok(Some(verified)) => {
                //= spec/lives.md#rotation
                //# A controller MUST check a next key as at enrolment and
                //# persist it before it answers.
                self.hold_next(context, channel, verified);
                self.post_key_answer(context, channel);
            }
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    fn check_rotation(&self, channel: ChannelId) -> Result<Option<VerifiedEnrolRequest>, Reject> {
        let Some(member) = self.members.get(&channel) else {
            return Ok(None);
        };
        let (Some(enrolled), Some(held)) = (&member.enrolled, &member.report) else {
            return Ok(None);
        };
        let Some(request) = held.report.lists.rotation() else {
            return Ok(None);
        };
        let current = enrolled.key.thumbprint();
        let incarnation = enrolled.incarnation;
        let verified = verify_rotation_request(request, &member.channel, incarnation, &current)?;
        if self.trust.is_revoked(&verified.key.thumbprint()) {
            return Err(Reject::KeyRevoked);
        }
        let has_same_id = verified.key.key_id() == enrolled.key.key_id();
        if member.is_cloned() || has_same_id {
            return Err(Reject::KeyRefused);
        }
        self.check_key_id(channel, &verified.key)?;
        Ok(Some(verified))
    }

    /// A second key with the same id in a mailbox would make hellos ambiguous. # Errors: `key-refused`.
    pub(super) fn check_key_id(&self, id: ChannelId, key: &PublicKey) -> Result<(), Reject> {
        let key_id = key.key_id();
        let mut others = self.members.iter().filter(|(other, _)| **other != id);
        let is_taken = others.any(|(_, member)| {
            let enrolled = member.enrolled.as_ref();
            enrolled.is_some_and(|enrolled| enrolled.keys().any(|one| one.key_id() == key_id))
        });
        if is_taken {
            Err(Reject::KeyRefused)
        } else {
            Ok(())
        }
    }

    fn hold_next(
        &mut self,
        context: &Context<'_>,
        channel: ChannelId,
        verified: VerifiedEnrolRequest,
    ) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let Some(enrolled) = &mut member.enrolled else {
            return;
        };
        let request = verified.message_id;
        if enrolled
            .next
            .as_ref()
            .is_some_and(|next| next.request == request)
        {
            return;
        }
        enrolled.next = Some(NextKey {
            key: verified.key,
            request,
        });
        let writes = Vec::from([records::member(member)]);
        self.persist(writes);
        self.admit(context, channel);
    }

    /// Signs that the next key counts, for as long as it has signed nothing.
    pub(super) fn post_key_answer(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        match self.seal_key_answer(context, channel) {
            Ok(Some(sealed)) => {
                let envelope = sealed.into_bytes();
                self.post(channel, Post::EnrolAnswer { envelope });
            }
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    /// Seals the answer to the next key. `None` while there is none that signed nothing yet.
    pub(super) fn seal_key_answer(
        &self,
        context: &Context<'_>,
        channel: ChannelId,
    ) -> Result<Option<SealedEnvelope>, Reject> {
        let Some(member) = self.members.get(&channel) else {
            return Ok(None);
        };
        let Some(enrolled) = &member.enrolled else {
            return Ok(None);
        };
        let Some(next) = &enrolled.next else {
            return Ok(None);
        };
        let signer = self.signer(context, &member.channel.tenant)?;
        let answer = EnrolAnswer {
            revision: Revision::new(self.epoch, Seq::new(1)),
            request: next.request,
            bundle: self.trust.number(),
            device_key: next.key.thumbprint(),
            //= spec/freshness.md#signed-time
            //# A controller MUST leave the time out of an answer to a rotation.
            time: None,
        };
        let sealed = answer.seal(&member.channel, enrolled.incarnation, signer)?;
        Ok(Some(sealed))
    }

    /// The next key signed: it takes the place of the former one, which counts no more.
    pub(super) fn confirm_key(
        &mut self,
        context: &Context<'_>,
        channel: ChannelId,
        verified: &Verified<'_>,
    ) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let Some(enrolled) = &mut member.enrolled else {
            return;
        };
        let is_next = |next: &mut NextKey| next.key.thumbprint() == verified.signer();
        let Some(next) = enrolled.next.take_if(is_next) else {
            return;
        };
        enrolled.key = next.key;
        let writes = Vec::from([records::member(member)]);
        self.persist(writes);
        self.admit(context, channel);
        self.event(Event::KeyRotated { channel });
    }

    /// A revoked key neither opens a session nor takes another's place.
    pub(super) fn drop_revoked(&mut self, context: &Context<'_>, channel: ChannelId) -> bool {
        let trust = &self.trust;
        let Some(member) = self.members.get_mut(&channel) else {
            return false;
        };
        let Some(enrolled) = &mut member.enrolled else {
            return false;
        };
        let is_revoked = |key: &PublicKey| trust.is_revoked(&key.thumbprint());
        let dropped = enrolled.next.take_if(|next| is_revoked(&next.key));
        let is_evicted = is_revoked(&enrolled.key);
        if dropped.is_some() {
            let writes = Vec::from([records::member(member)]);
            self.persist(writes);
            self.admit(context, channel);
        } else if is_evicted {
            self.post_admission(context, channel);
        }
        is_evicted
    }
}
