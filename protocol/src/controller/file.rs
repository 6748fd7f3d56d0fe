//! Files instead of a mailbox: everything that a device of a site without a network has to know.
//!
//! ```text
//!  enrolment | bundles, key answer, snapshot + bodies, evidence, acknowledgement, heartbeat --> one file
//! ```
//!
//! What a file brings back enters by [`super::Input::Received`], `Put` and `Enrol`, as from a mailbox.
//! Refuses to write deltas: who carries a file cannot know what the device holds when it arrives.

use super::member::Member;
use super::{Context, Controller};
use crate::frame::{PlainFrame, body_frames};
use crate::id::{ChannelId, DeviceName, Plane, Tenant};
use crate::reject::Reject;
use alloc::vec::Vec;

impl Controller {
    /// Gives the frames of a file for a device, in the order in which it reads them. Nothing changes
    /// here, and what is signed is what is held now: carry out [`Controller::poll_output`] and commit
    /// before the frames leave.
    ///
    /// Until the device's first report is held the file begins with the confirmation of its enrolment;
    /// afterwards with the bundles alone. While an operator has to choose between two histories there
    /// is no snapshot.
    ///
    /// # Errors
    /// `not-admitted` for a name that nobody enrolled; `key-revoked`; `key-unknown` when this
    /// controller may not sign for the tenant.
    pub fn export(
        &mut self,
        context: &mut Context<'_>,
        tenant: &Tenant,
        device: &DeviceName,
    ) -> Result<Vec<Vec<u8>>, Reject> {
        let channel = self.channel(tenant, device).id();
        self.refresh_bodies(context, channel);
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let enrolled = member.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        if self.trust.is_revoked(&enrolled.key.thumbprint()) {
            return Err(Reject::KeyRevoked);
        }
        let mut frames = Vec::new();
        match enrolled.request.filter(|_| member.report.is_none()) {
            Some(request) => frames.push(self.seal_answer(context, channel, request)?),
            None => {
                for step in self.trust.steps() {
                    frames.push(posted(channel, None, &step.envelope)?);
                }
            }
        }
        if let Some(answer) = self.seal_key_answer(context, channel)? {
            frames.push(posted(channel, None, answer.as_bytes())?);
        }
        self.export_planes(context, member, &mut frames)?;
        Ok(frames)
    }

    fn export_planes(
        &self,
        context: &Context<'_>,
        member: &Member,
        frames: &mut Vec<Vec<u8>>,
    ) -> Result<(), Reject> {
        let channel = member.channel.id();
        if let Some(offered) = self.offered(channel)
            && let Some((snapshot, bodies)) = self.seal_snapshot(context, offered)?
        {
            if let Some(keys) = self.seal_plane_key(context, offered)? {
                frames.push(posted(channel, None, &keys)?);
            }
            frames.push(posted(channel, Some(Plane::Desired), &snapshot)?);
            let bodies = bodies
                .iter()
                .map(|(digest, body)| (*digest, body.as_slice()));
            frames.extend(body_frames(channel, Plane::Desired, bodies)?);
        }
        if let Some(evidence) = &member.actual.accusation {
            frames.push(posted(channel, Some(Plane::Actual), evidence)?);
        }
        let ack = self.seal_ack(context, member)?;
        let heartbeat = self.seal_heartbeat(context, member, member.pulse.asked, None)?;
        for envelope in [ack, heartbeat].into_iter().flatten() {
            frames.push(posted(channel, Some(Plane::Desired), &envelope)?);
        }
        Ok(())
    }
}

fn posted(channel: ChannelId, plane: Option<Plane>, envelope: &[u8]) -> Result<Vec<u8>, Reject> {
    PlainFrame::Posted {
        channel,
        plane,
        envelope,
    }
    .encode()
}
