//! From nothing to an open session: ask, greet as the tenant's writer, be welcomed.
//!
//! Refuses every mailbox but the one that the link is to.

use super::{Context, Event, ExchangeId, Open, Output, Phase, WriterLink};
use crate::session::{Asking, Greeting, Identity};
use alloc::boxed::Box;
use alloc::vec::Vec;

impl WriterLink {
    pub(super) fn connect(&mut self) {
        let Phase::Down = self.phase else { return };
        match Asking::start(self.bundle) {
            Ok((asking, frame)) => {
                let exchange = self.exchange(frame, None);
                self.phase = Phase::Asking(exchange, asking);
            }
            Err(reject) => self.give_up(reject),
        }
    }

    pub(super) fn exchange(&mut self, frame: Vec<u8>, hold_s: Option<u64>) -> ExchangeId {
        self.exchanges = self.exchanges.saturating_add(1);
        let id = ExchangeId(self.exchanges);
        self.outputs
            .push_back(Output::Exchange { id, frame, hold_s });
        id
    }

    pub(super) fn handle_challenge(
        &mut self,
        context: &mut Context<'_>,
        asking: Asking,
        frame: &[u8],
    ) {
        let seed = crate::context::draw(context.random);
        let mailbox = self.identity.mailbox.clone();
        let (root, tenant) = (self.identity.root, self.identity.tenant.clone());
        let identity = Identity::writer(root, &tenant, context.signer);
        match asking.handle_challenge(frame, [&mailbox], identity, &seed) {
            Ok((greeting, frame)) => {
                let exchange = self.exchange(frame, None);
                self.phase = Phase::Greeting(exchange, Box::new(greeting));
            }
            Err(reject) => self.give_up(reject),
        }
    }

    pub(super) fn handle_welcome(&mut self, now_ms: u64, greeting: Greeting, frame: &[u8]) {
        match greeting.handle_welcome(frame, now_ms) {
            Ok(session) => {
                self.phase = Phase::Open(Box::new(Open {
                    session,
                    collect: None,
                    collect_since_ms: now_ms,
                    collect_after_ms: 0,
                    work: None,
                    work_after_ms: 0,
                }));
                self.event(Event::Connected);
            }
            Err(reject) => self.give_up(reject),
        }
    }
}
