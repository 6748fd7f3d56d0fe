//! The device's own keys over time: the next key is asked for in reports, and counts once confirmed.
//!
//! ```text
//!  RotateKey --list 6, repeated--> asked --enrol-answer--> confirmed, durable --> new session, new key
//! ```
//!
//! Also the end of the membership. Refuses to rotate by itself: until the controller countersigned
//! it, the present key signs everything.

use super::work::Taken;
use super::{Context, Device, Event, records};
use crate::enrol::{Enrolling, accept_rotation_answer, verify_rotation_request};
use crate::id::{MessageId, Thumbprint};
use crate::message::ReportLists;
use crate::reject::Reject;
use alloc::vec::Vec;

/// Which key counts, and which one is asked for.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The key that a rotation ended with, if there was one.
    pub(super) confirmed: Option<Thumbprint>,
    /// The request that waits for its answer.
    asked: Option<Asked>,
    /// True while a request that was stored is to be verified again, with the key at hand.
    is_restored: bool,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    request: MessageId,
    next: Thumbprint,
}

impl Keys {
    pub(super) fn restore(confirmed: Option<Thumbprint>, lists: &ReportLists) -> Self {
        Self {
            confirmed,
            asked: None,
            is_restored: lists.rotation().is_some(),
        }
    }
}

impl Device {
    /// Asks for the key that signed `request`, in this report and the next ones.
    pub(super) fn rotate_key(&mut self, context: &mut Context<'_>, request: Vec<u8>) {
        let asked = self.verify_request(context, &request).and_then(|asked| {
            self.reporter
                .lists
                .set_rotation(Some(request))
                .map(|()| asked)
        });
        match asked {
            Ok(asked) => {
                self.keys.asked = Some(asked);
                self.mark_lists();
                self.send_report(context, Vec::new());
            }
            Err(reject) => self.event(Event::Rejected { reject }),
        }
    }

    fn verify_request(&self, context: &Context<'_>, request: &[u8]) -> Result<Asked, Reject> {
        let current = context.signer.public_key().thumbprint();
        let identity = &self.identity;
        let verified =
            verify_rotation_request(request, &identity.channel, identity.incarnation, &current)?;
        let next = verified.key.thumbprint();
        if self.trust.is_revoked(&next) {
            return Err(Reject::KeyRevoked);
        }
        Ok(Asked {
            request: verified.message_id,
            next,
        })
    }

    /// Takes up a rotation that was under way when the process ended: it is asked for again in each
    /// session, because its answer may have been lost with the mailbox.
    pub(super) fn resume_rotation(&mut self, context: &Context<'_>) {
        if core::mem::take(&mut self.keys.is_restored)
            && let Some(request) = self.reporter.lists.rotation()
        {
            match self.verify_request(context, request) {
                Ok(asked) => self.keys.asked = Some(asked),
                Err(reject) => {
                    // The key at hand is the one that was asked for, or a third: the question is void.
                    self.event(Event::Rejected { reject });
                    self.drop_rotation();
                }
            }
        }
        self.reporter.is_news |= self.keys.asked.is_some() && self.reporter.outstanding.is_none();
    }

    fn drop_rotation(&mut self) {
        self.keys.asked = None;
        if let Err(reject) = self.reporter.lists.set_rotation(None) {
            self.event(Event::Rejected { reject });
        }
    }

    /// Takes the controller's word that the next key counts. The session ends: it was opened with
    /// the former one, and the next must be opened with this.
    pub(super) fn handle_enrol_answer(&mut self, envelope: &[u8]) -> Result<Taken, Reject> {
        let Some(Asked { request, next }) = self.keys.asked else {
            return Err(Reject::EnrolAnswerMismatch);
        };
        let enrolling = Enrolling {
            channel: &self.identity.channel,
            incarnation: self.identity.incarnation,
            device_key: next,
            request,
        };
        accept_rotation_answer(envelope, &self.trust, &enrolling)?;
        self.drop_rotation();
        //= spec/lives.md#rotation
        //# A device MUST NOT sign with the next key before it holds the answer durably.
        self.keys.confirmed = Some(next);
        // Something has to be signed with it, or the controller goes on answering for the former key.
        self.reporter.is_news = true;
        self.persist(Vec::from([
            records::confirmed_key(&next),
            records::reporter(&self.reporter),
        ]));
        self.event(Event::KeyConfirmed { thumbprint: next });
        self.disconnect();
        Ok(Taken::Forward)
    }

    /// Says that the device leaves, until the controller acknowledges it.
    pub(super) fn leave(&mut self, context: &mut Context<'_>) {
        self.reporter.lists.set_leaving(true);
        self.mark_lists();
        self.send_report(context, Vec::new());
    }
}
