//! A better way to another mailbox proves who answers before the session that works is given up for it.
//!
//! Its third challenge is answered with a hello, beside the session, and the welcome has to verify. Refuses to
//! let anything else of that handshake count: the engine greets for itself.

use super::super::run::{Driver, Happening};
use super::Change;
use crate::clock;
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::routes::{Brought, WayId};
use postern_egress::TransportError;
use postern_protocol::context::draw;
use postern_protocol::session::{Asking, Greeting, Identity};
use std::time::Duration;

/// A handshake that only proves, at its end.
pub(in crate::device) struct Proving {
    way: WayId,
    greeting: Greeting,
    result: Result<Brought, TransportError>,
}

impl Driver {
    /// Takes what a better way answered to an ask.
    pub(in crate::device) fn handle_probed(
        &mut self,
        way: WayId,
        answer: &Result<Vec<u8>, &'static str>,
    ) -> Result<(), CommandError> {
        if !self.routes.handle_probed(way, answer) {
            return Ok(());
        }
        if self.routes.leads_to_same(way) {
            // The same mailbox in the same session: its next answer proves it, and the way before is still there.
            self.routes.promote(way);
            return Ok(());
        }
        let challenge = answer.as_deref().unwrap_or_default();
        if self.prove(way, challenge).is_none() {
            self.routes.handle_unproven_probe(way);
        }
        Ok(())
    }

    /// Greets the mailbox beside the session.
    fn prove(&self, way: WayId, challenge: &[u8]) -> Option<()> {
        let trust = self.engine.trust();
        let (asking, _asked) = Asking::start(trust.number()).ok()?;
        let own = self.engine.identity();
        let identity = Identity::device(&own.channel, own.incarnation, self.signer.as_ref());
        let keys = trust.mailboxes().iter().map(|mailbox| &mailbox.key);
        let seed = draw(&mut OsRandom);
        let greeted = asking.handle_challenge(challenge, keys, identity, &seed);
        let (greeting, hello) = greeted.ok()?;
        let carrier = self.routes.carrier_on(way, &hello, None)?;
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let result = carrier.carry(hello).await;
            let proving = Proving {
                way,
                greeting,
                result,
            };
            let _closed = sender.send(Happening::Proven(Box::new(proving))).await;
        });
        Some(())
    }

    /// Takes the welcome, or what came in its place.
    pub(in crate::device) fn handle_proven(
        &mut self,
        proving: Proving,
    ) -> Result<(), CommandError> {
        let Proving {
            way,
            greeting,
            result,
        } = proving;
        let welcome = result.ok().map(|brought| brought.body);
        let is_proven =
            welcome.is_some_and(|frame| greeting.handle_welcome(&frame, clock::mono_ms()).is_ok());
        if !is_proven {
            self.routes.handle_unproven_probe(way);
            return Ok(());
        }
        if self.routes.promote(way) == Change::Mailbox {
            let transport = self.routes.current_name();
            tracing::info!(transport, "a better mailbox answers again");
            return self.begin_elsewhere(Duration::ZERO);
        }
        Ok(())
    }
}
