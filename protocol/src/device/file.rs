//! Files instead of a mailbox: the same envelopes, the same checks, in both directions.
//!
//! What a file brings is believed as little as what a mailbox answers. What a file takes along is
//! what a session would post. Refuses to wait: a file is written once, with all that is known then.

use super::{Context, Device, Event};
use crate::envelope::ReceivedEnvelope;
use crate::frame::{BodyChunk, Direction, Item, PlainFrame, body_frames};
use crate::id::{ChannelId, Plane};
use crate::kind::MessageKind;
use crate::message::EvidenceCode;
use crate::reject::Reject;
use alloc::vec::Vec;

impl Device {
    /// Takes one frame of a file.
    pub(super) fn handle_filed(&mut self, context: &mut Context<'_>, frame: &[u8]) {
        if let Err(reject) = self.take_filed(context, frame) {
            self.event(Event::Rejected { reject });
        }
        self.report_notes(context);
    }

    fn take_filed(&mut self, context: &mut Context<'_>, frame: &[u8]) -> Result<(), Reject> {
        let own = self.identity.channel.id();
        let is_own = |channel: &ChannelId| {
            if *channel == own {
                Ok(())
            } else {
                Err(Reject::NotAdmitted)
            }
        };
        match PlainFrame::decode(frame, Direction::File)? {
            PlainFrame::Posted {
                channel,
                plane,
                envelope,
            } => {
                is_own(&channel)?;
                if plane.is_none() && self.is_known_bundle(envelope) {
                    return Ok(());
                }
                //= spec/files.md#file-binding
                //# A reader of a file MUST verify each envelope exactly as if it had come over the
                //# network.
                self.handle_item(context, &Item { plane, envelope })
                    .map(|_| ())
            }
            PlainFrame::FiledBody {
                channel,
                plane: Plane::Desired,
                chunk,
            } => {
                is_own(&channel)?;
                self.handle_filed_body(context, &chunk)
            }
            PlainFrame::Enrolled { bundles, .. } => self.handle_filed_bundles(&bundles),
            PlainFrame::FiledBody { .. }
            | PlainFrame::Enrol { .. }
            | PlainFrame::Ask { .. }
            | PlainFrame::Challenge { .. }
            | PlainFrame::Hello { .. }
            | PlainFrame::Welcome { .. }
            | PlainFrame::Refused { .. } => Err(Reject::FrameDirection),
        }
    }

    /// A device that has joined takes from an enrolment what is newer than its own: bundles.
    fn handle_filed_bundles(&mut self, bundles: &[&[u8]]) -> Result<(), Reject> {
        for bundle in bundles {
            if !self.is_known_bundle(bundle) {
                self.handle_bundle(bundle)?;
            }
        }
        Ok(())
    }

    /// A file names every bundle from 1: those below the held one are passed over, and so is that one itself.
    fn is_known_bundle(&self, envelope: &[u8]) -> bool {
        let Ok(received) = ReceivedEnvelope::parse(envelope) else {
            return false;
        };
        let header = received.unverified_header();
        let held = self.trust.held();
        let is_held = held.is_some_and(|held| held.as_bytes() == envelope);
        let is_lower = header.seq.number() < self.trust.number().number();
        header.kind == MessageKind::Bundle && (is_lower || is_held)
    }

    /// Gives everything that a session would post now, as the frames of a file: bundles are the
    /// controller's and not among them. Carry out [`Device::poll_output`] before the frames leave.
    ///
    /// The file asks for an echo: a file that comes back within this boot anchors freshness.
    pub fn export(&mut self, context: &mut Context<'_>) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        if self.reporter.outstanding.is_none() {
            self.send_report(context, Vec::new());
        }
        let report = self.reporter.outstanding.as_ref();
        let report = report.map(|report| report.envelope.clone());
        self.file(
            &mut frames,
            Plane::Actual,
            report.ok_or(Reject::HeaderNumbers),
        );
        let heartbeat = self.seal_heartbeat(context, true);
        self.file(&mut frames, Plane::Actual, heartbeat);
        self.export_evidence(context, &mut frames);
        if let Some(snapshot) = self.offer_filed(context).transpose() {
            self.file(&mut frames, Plane::Actual, snapshot);
            self.file_bodies(&mut frames, Plane::Actual);
        }
        frames
    }

    fn export_evidence(&mut self, context: &mut Context<'_>, frames: &mut Vec<Vec<u8>>) {
        let disputes: Vec<_> = self.disputes.iter().cloned().collect();
        for dispute in &disputes {
            let sealed = self.seal_evidence(context, dispute);
            self.file(frames, Plane::Desired, sealed);
        }
        let is_behind = |code| code == EvidenceCode::WriterBehind;
        if disputes.iter().any(|dispute| is_behind(dispute.code)) {
            self.file_bodies(frames, Plane::Desired);
        }
    }

    fn file(&mut self, frames: &mut Vec<Vec<u8>>, plane: Plane, sealed: Result<Vec<u8>, Reject>) {
        let channel = self.identity.channel.id();
        let framed = sealed.and_then(|envelope| {
            let posted = PlainFrame::Posted {
                channel,
                plane: Some(plane),
                envelope: &envelope,
            };
            posted.encode()
        });
        match framed {
            Ok(frame) => frames.push(frame),
            Err(reject) => self.event(Event::Rejected { reject }),
        }
    }

    fn file_bodies(&mut self, frames: &mut Vec<Vec<u8>>, plane: Plane) {
        let channel = self.identity.channel.id();
        let (state, bodies) = match plane {
            Plane::Desired => (&self.desired.state, &self.encryption.desired),
            Plane::Actual => (&self.actual.state, &self.actual.bodies),
        };
        let framed = if state.digester().is_keyed() {
            let bodies = bodies.iter();
            body_frames(channel, plane, bodies)
        } else {
            body_frames(channel, plane, state.bodies())
        };
        match framed {
            Ok(bodies) => frames.extend(bodies),
            Err(reject) => self.event(Event::Rejected { reject }),
        }
    }

    /// Takes a body that a file brings for the snapshot before it.
    fn handle_filed_body(
        &mut self,
        context: &mut Context<'_>,
        chunk: &BodyChunk<'_>,
    ) -> Result<(), Reject> {
        //= spec/files.md#file-binding
        //# A reader of a file MUST check the digest of a complete body before it uses any byte of
        //# it, else `body-mismatch`.
        self.handle_chunk(chunk)?;
        self.finish_snapshot_if_whole(context);
        Ok(())
    }
}
