//! A link's ways to its relay: raced for a session, left when they fail, taken again when they are better.
//!
//! All of them lead to the same mailbox, so that a session outlives a change of the way. Refuses the challenge
//! of any other mailbox.

use super::LinkId;
use super::link::{Happening, LinkTask};
use crate::routes::{Contest, Loss, Raced, WayId};
use crate::tasks;
use postern_protocol::Reject;
use postern_protocol::writer_link::{ExchangeId, Input};

impl LinkTask {
    /// Looks at the network, and asks better ways again when it is time.
    pub(super) fn look_at_routes(&mut self) {
        if self.setup.routes.look() {
            self.race_for_replacement();
        }
        for probe in self.setup.routes.poll_probes() {
            let sender = self.sender.clone();
            let _task = tasks::spawn(async move {
                let answer = probe.ask().await;
                let _closed = sender.send(Happening::Probed(probe.way, answer)).await;
            });
        }
    }

    pub(super) fn handle_probed(&mut self, way: WayId, answer: &Result<Vec<u8>, &'static str>) {
        let routes = &mut self.setup.routes;
        if routes.handle_probed(way, answer) {
            routes.promote(way);
        }
    }

    pub(super) fn race(&mut self, exchange: ExchangeId, ask: Vec<u8>) {
        let contest = self.setup.routes.race(ask, vec![self.setup.relay]);
        self.run_race(Some(exchange), contest);
    }

    pub(super) fn race_for_replacement(&mut self) {
        let contest = self.setup.routes.race_for_replacement();
        self.run_race(None, contest);
    }

    fn run_race(&self, exchange: Option<ExchangeId>, contest: Contest) {
        let sender = self.sender.clone();
        let _task = tasks::spawn(async move {
            let raced = contest.run().await;
            let _closed = sender.send(Happening::Raced(exchange, raced)).await;
        });
    }

    pub(super) fn handle_raced(&mut self, id: LinkId, exchange: Option<ExchangeId>, raced: Raced) {
        for (way, loss) in &raced.failures {
            self.note_loss(*way, loss, raced.won.is_some());
        }
        let routes = &mut self.setup.routes;
        let Some(ended) = routes.handle_raced(raced) else {
            // A newer race took its place: the link must not wait for this one.
            if let Some(exchange) = exchange {
                self.feed_failure(id, exchange);
            }
            return;
        };
        match (ended, exchange) {
            (Ok(won), Some(exchange)) => {
                routes.handle_won(won.way);
                self.unproven = Some(won.way);
                let frame = won.frame.as_slice();
                self.feed(id, Input::Answer { exchange, frame });
            }
            (Ok(won), None) => {
                routes.handle_won(won.way);
            }
            (Err(failures), Some(exchange)) => self.lose(id, exchange, failures),
            (Err(_), None) => {
                let _pause = routes.handle_lost();
            }
        }
    }

    fn lose(&mut self, id: LinkId, exchange: ExchangeId, failures: Vec<(WayId, Loss)>) {
        let pause = Loss::shorten(self.setup.routes.handle_lost(), &failures);
        let refusals = failures.into_iter().filter_map(|(_, loss)| match loss {
            Loss::Refused(frame) => Some(frame),
            Loss::Failed(_) | Loss::NoMailbox { .. } => None,
        });
        match refusals.last() {
            // The refusal decides on the pause.
            Some(frame) => {
                let frame = frame.as_slice();
                self.feed(id, Input::Answer { exchange, frame });
            }
            None => self.later(pause, Happening::FailureDue(exchange)),
        }
    }

    fn note_loss(&self, way: WayId, loss: &Loss, is_won: bool) {
        let transport = self.setup.routes.name_of(way);
        match loss {
            // Nobody has to act: another way was as good.
            Loss::Failed(error) if is_won => {
                tracing::debug!(%error, code = error.code(), transport, "a way lost the race");
            }
            Loss::Failed(error) => {
                tracing::warn!(%error, code = error.code(), transport, "exchange with a relay failed");
            }
            Loss::NoMailbox { bytes, .. } => note_no_mailbox(*bytes),
            Loss::Refused(_) => tracing::debug!(transport, "a relay refuses to be asked"),
        }
    }
}

/// Something else answers for the relay.
pub(super) fn note_no_mailbox(bytes: usize) {
    let reason = Reject::NotPostern.as_str();
    tracing::warn!(reason, bytes, "answer is not from a mailbox");
}
