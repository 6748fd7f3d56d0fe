//! Heartbeats of both ends: asking for an echo, giving one, and what the controller's say.
//!
//! The controller's heartbeat is three things at once: proof that it lives, the cursor of the actual
//! plane, and a question. Refuses to keep any of it: nothing here outlives the process.

use super::work::Taken;
use super::{Context, Device, Event};
use crate::context::{Now, draw};
use crate::envelope::{Header, Verified};
use crate::freshness::{FreshnessWatch, Heard, Hearing};
use crate::id::{Nonce, StartId};
use crate::kind::MessageKind;
use crate::limits::HEARTBEAT_INTERVAL_MS;
use crate::message::{Heartbeat, PlaneMessage};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Revision, Seq};
use alloc::vec::Vec;

/// The device's own heartbeat, and what it measured of the controller's.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) watch: FreshnessWatch,
    start: StartId,
    start_ms: u64,
    /// The nonce that the controller wants to hear again.
    echo: Option<Nonce>,
    /// No echo before this moment.
    echo_allowed_ms: u64,
}

impl Pulse {
    pub(super) const fn new(max_age_ms: u64) -> Self {
        Self {
            watch: FreshnessWatch::new(max_age_ms),
            start: StartId::from_bytes([0; 8]),
            start_ms: 0,
            echo: None,
            echo_allowed_ms: 0,
        }
    }

    /// The process started.
    pub(super) fn begin(&mut self, context: &mut Context<'_>) {
        self.start = StartId::from_bytes(draw(context.random));
        self.start_ms = context.now.mono_ms;
    }

    /// When the next heartbeat should be posted: to ask, or to answer.
    pub(super) fn due_ms(&self) -> u64 {
        let echo_ms = self.echo.as_ref().map(|_| self.echo_allowed_ms);
        let ask_ms = self.watch.ask_due_ms();
        echo_ms.map_or(ask_ms, |echo_ms| echo_ms.min(ask_ms))
    }
}

impl Device {
    /// Seals a heartbeat when one is due. It asks for an echo when that is due, too.
    pub(super) fn next_heartbeat(&mut self, context: &mut Context<'_>) -> Option<Vec<u8>> {
        let now_ms = context.now.mono_ms;
        if self.pulse.due_ms() > now_ms {
            return None;
        }
        let is_ask = self.pulse.watch.ask_due_ms() <= now_ms;
        match self.seal_heartbeat(context, is_ask) {
            Ok(envelope) => Some(envelope),
            Err(reject) => {
                self.event(Event::Rejected { reject });
                None
            }
        }
    }

    pub(super) fn seal_heartbeat(
        &mut self,
        context: &mut Context<'_>,
        is_ask: bool,
    ) -> Result<Vec<u8>, Reject> {
        let now_ms = context.now.mono_ms;
        let ask = is_ask.then(|| Nonce::from_bytes(draw(context.random)));
        if let Some(nonce) = ask {
            self.pulse.watch.ask(nonce, now_ms);
        }
        let echo = self.pulse.echo.take();
        if echo.is_some() {
            self.pulse.echo_allowed_ms = now_ms.saturating_add(HEARTBEAT_INTERVAL_MS);
        }
        let head = self.actual.head;
        let revision = head.map_or(Revision::NONE, |head| head.revision);
        let header = Header {
            kind: MessageKind::Heartbeat,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(self.trust.number().number()),
            digest: head.map(|head| head.digest),
        };
        let desired = self.desired.head.map(|head| head.revision);
        let payload = Heartbeat {
            start: self.pulse.start,
            uptime_ms: now_ms.saturating_sub(self.pulse.start_ms),
            other: desired.unwrap_or(Revision::NONE),
            echo,
            ask,
        };
        self.seal(context, header, payload.encode())
    }

    /// Takes a heartbeat of the controller.
    pub(super) fn handle_heartbeat(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
    ) -> Result<Taken, Reject> {
        let PlaneMessage::Heartbeat(heartbeat) = PlaneMessage::decode(verified)? else {
            return Err(Reject::SignerRole);
        };
        let heard = Heard {
            start: heartbeat.start,
            uptime_ms: heartbeat.uptime_ms,
            bundle: BundleNumber::new(verified.header().base.number()),
            echo: heartbeat.echo,
        };
        let hearing = self.pulse.watch.hear(&heard, context.now.mono_ms);
        if hearing == Hearing::Anchored {
            self.event(Event::Anchored);
        }
        let is_proven = hearing != Hearing::Unproven;
        // A question that was kept by somebody is not answered: it would cost a signature each time.
        let is_asked = is_proven || !self.pulse.watch.is_anchored_to(&heartbeat.start);
        if is_asked && heartbeat.ask.is_some() {
            self.pulse.echo = heartbeat.ask;
        }
        let is_forward = self.take_actual_cursor(context, heartbeat.other, is_proven);
        Ok(if is_forward || is_proven {
            Taken::Forward
        } else {
            Taken::Quiet
        })
    }

    //= spec/freshness.md#heartbeat
    //# Staleness MUST NOT block anything: a correctly signed revision counts.
    /// Tells when fresh turned into stale, or back.
    pub(super) fn note_freshness(&mut self, now: Now) {
        if let Some(is_stale) = self.pulse.watch.turn(now.mono_ms) {
            self.event(Event::FreshnessChanged { is_stale });
        }
    }
}
