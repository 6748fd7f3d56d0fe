//! From nothing to an open session: ask, greet as the tenant's writer, be welcomed.
//!
//! Refuses every mailbox but the one that the link is to.

use super::{Context, Event, ExchangeId, Open, Output, WriterLink};
use crate::session::{ClientSession, Identity};
use alloc::vec::Vec;

impl Open {
    const fn new(session: ClientSession, now_ms: u64) -> Self {
        Self {
            session,
            collect: None,
            collect_since_ms: now_ms,
            collect_after_ms: 0,
            work: None,
            work_after_ms: 0,
        }
    }
}

impl WriterLink {
    pub(super) fn connect(&mut self) {
        let exchange = self.next_exchange();
        match self.link.ask(exchange, self.bundle) {
            Ok(ask) => self.send_step(exchange, ask),
            Err(reject) => self.give_up(reject),
        }
    }

    /// Sends what a step of the handshake asks for, if it was one.
    fn send_step(&mut self, exchange: ExchangeId, frame: Option<Vec<u8>>) {
        if let Some(frame) = frame {
            self.send(exchange, frame, None);
        }
    }

    pub(super) fn exchange(&mut self, frame: Vec<u8>, hold_s: Option<u64>) -> ExchangeId {
        let id = self.next_exchange();
        self.send(id, frame, hold_s);
        id
    }

    fn next_exchange(&mut self) -> ExchangeId {
        self.exchanges = self.exchanges.saturating_add(1);
        ExchangeId(self.exchanges)
    }

    fn send(&mut self, id: ExchangeId, frame: Vec<u8>, hold_s: Option<u64>) {
        self.outputs
            .push_back(Output::Exchange { id, frame, hold_s });
    }

    pub(super) fn handle_challenge(&mut self, context: &mut Context<'_>, frame: &[u8]) {
        let exchange = self.next_exchange();
        let seed = crate::context::draw(context.random);
        let (root, tenant) = (self.identity.root, &self.identity.tenant);
        let identity = Identity::writer(root, tenant, context.signer);
        let mailboxes = [&self.identity.mailbox];
        match self.link.greet(exchange, frame, mailboxes, identity, &seed) {
            Ok(hello) => self.send_step(exchange, hello),
            Err(reject) => self.give_up(reject),
        }
    }

    pub(super) fn handle_welcome(&mut self, now_ms: u64, frame: &[u8]) {
        let keep = |session, _| Open::new(session, now_ms);
        match self.link.welcome(frame, now_ms, keep) {
            Ok(true) => self.event(Event::Connected),
            Ok(false) => {}
            Err(reject) => self.give_up(reject),
        }
    }
}
