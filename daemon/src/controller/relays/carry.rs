//! A link's exchanges: when a collect may start, which way carries it, what its end teaches.
//!
//! The same rules as a device's: a failed exchange pauses before the link hears of it; asks are raced (see
//! `race`). Refuses to leave a way because of what a verified answer said.

use super::LinkId;
use super::link::{Grant, Happening, LinkTask};
use super::race::note_no_mailbox;
use crate::routes::{Brought, NO_WAY_PAUSE, Ruling, Sent, WayId};
use crate::tasks;
use postern_egress::TransportError;
use postern_egress::hold::{HoldEnd, Next};
use postern_protocol::frame::{FrameType, frame_type};
use postern_protocol::writer_link::{ExchangeId, Input};
use std::time::Duration;

impl LinkTask {
    /// Lets the next collect start when none is granted or under way.
    pub(super) fn grant_collect(&mut self, id: LinkId) {
        if self.grant.is_some() {
            return;
        }
        match self.setup.routes.next_poll() {
            Some(Next::Hold(hold)) => {
                self.grant = Some(Grant {
                    hold: Some(hold),
                    exchange: None,
                });
                let seconds = hold.asked().as_secs();
                self.feed(id, Input::Hold { seconds });
            }
            Some(Next::Poll { pause }) => {
                self.grant = Some(Grant {
                    hold: None,
                    exchange: None,
                });
                self.later(pause, Happening::PollDue);
            }
            None => {}
        }
    }

    pub(super) fn handle(&mut self, id: LinkId, happening: Happening) {
        match happening {
            Happening::Carried {
                id: exchange,
                sent,
                result,
            } => self.handle_carried(id, exchange, sent, result),
            Happening::ConnectDue => self.feed(id, Input::Connect),
            Happening::FailureDue(exchange) => self.feed_failure(id, exchange),
            Happening::Raced(exchange, raced) => self.handle_raced(id, exchange, raced),
            Happening::Probed(way, answer) => self.handle_probed(way, &answer),
            Happening::PollDue => self.feed(id, Input::Hold { seconds: 0 }),
            Happening::Answered(knock, frame) => self.feed(id, Input::Enrolled { knock, frame }),
            Happening::Fetched(channel, taken) => self.fetch(id, channel, taken),
            Happening::Channels(channels) => self.feed(id, Input::Refill { channels }),
            Happening::PreparationDue => self.prepare(),
            Happening::Prepared(pause) => {
                // Ways of one relay: whichever is in use now, the session goes on there.
                let _first = self.setup.routes.handle_prepared();
                self.later(pause, Happening::PreparationDue);
            }
        }
    }

    fn handle_carried(
        &mut self,
        id: LinkId,
        exchange: ExchangeId,
        sent: Sent,
        result: Result<Brought, TransportError>,
    ) {
        let way = sent.way;
        let routes = &mut self.setup.routes;
        let Brought { body, age, link } = match result {
            Ok(brought) => brought,
            Err(error) => {
                let transport = routes.name_of(way);
                tracing::warn!(%error, code = error.code(), transport, "exchange with a relay failed");
                let _lesson = routes.note_failure(sent, &error);
                self.backoff.limit_next(error.pause_max());
                let ruling = routes.handle_failure(sent, &error);
                let (end, retry) = (error.hold_end(), error.retry_after_s());
                return self.fail(id, exchange, way, end, retry, ruling);
            }
        };
        if frame_type(&body).is_err() {
            note_no_mailbox(body.len());
            let ruling = routes.handle_no_mailbox(sent);
            return self.fail(id, exchange, way, HoldEnd::Other, None, ruling);
        }
        self.answered = None;
        let frame = body.as_slice();
        self.feed(id, Input::Answer { exchange, frame });
        let end = match self.answered.take() {
            Some((answered, is_empty)) if answered == exchange => {
                self.backoff.reset();
                self.setup.routes.note_answer(sent, body.len(), &link);
                if is_empty {
                    HoldEnd::Answered { age }
                } else {
                    HoldEnd::Carried
                }
            }
            Some(_) | None => HoldEnd::Other,
        };
        self.end_grant(exchange, way, end);
    }

    fn fail(
        &mut self,
        id: LinkId,
        exchange: ExchangeId,
        way: WayId,
        end: HoldEnd,
        retry_after_s: Option<u64>,
        ruling: Ruling,
    ) {
        self.end_grant(exchange, way, end);
        if self.unproven.is_some() {
            // The hello of a race's winner: the race goes on without it at once.
            return self.feed_failure(id, exchange);
        }
        match ruling {
            // Every way of a link leads to the same relay: the session stays.
            Ruling::Stay | Ruling::Back(_) => {}
            Ruling::Leave => self.race_for_replacement(),
        }
        let pause = self
            .backoff
            .pause_after_failure(Self::dice(), retry_after_s);
        self.later(pause, Happening::FailureDue(exchange));
    }

    pub(super) fn feed_failure(&mut self, id: LinkId, exchange: ExchangeId) {
        self.has_paused = true;
        self.feed(id, Input::Failed { exchange });
        self.has_paused = false;
    }

    /// Finds out which proxies a PAC script names before anything leaves.
    pub(super) async fn prepare_first(&mut self) {
        if let Some(preparation) = self.setup.routes.preparation() {
            let pause = preparation.run().await;
            let _first = self.setup.routes.handle_prepared();
            self.later(pause, Happening::PreparationDue);
        }
    }

    /// Asks the PAC script again, beside the loop.
    fn prepare(&self) {
        let Some(preparation) = self.setup.routes.preparation() else {
            return;
        };
        let sender = self.sender.clone();
        let _task = tasks::spawn(async move {
            let pause = preparation.run().await;
            let _closed = sender.send(Happening::Prepared(pause)).await;
        });
    }

    fn end_grant(&mut self, exchange: ExchangeId, way: WayId, end: HoldEnd) {
        let is_its = |grant: &Grant| grant.exchange == Some(exchange);
        let Some(grant) = self.grant.filter(is_its) else {
            return;
        };
        self.grant = None;
        if let Some(hold) = grant.hold {
            self.setup.routes.end_hold(way, hold, end);
        }
    }

    pub(super) fn carry(&mut self, exchange: ExchangeId, frame: Vec<u8>, hold_s: Option<u64>) {
        if frame_type(&frame) == Ok(FrameType::Ask) {
            return self.race(exchange, frame);
        }
        let hold = hold_s.map(Duration::from_secs);
        let Some(carrier) = self.setup.routes.carrier(&frame, hold) else {
            // A script has named no proxy yet, and directly is forbidden.
            return self.later(NO_WAY_PAUSE, Happening::FailureDue(exchange));
        };
        if hold_s.is_some()
            && let Some(grant) = &mut self.grant
        {
            grant.exchange = Some(exchange);
        }
        let sender = self.sender.clone();
        let _task = tasks::spawn(async move {
            let sent = carrier.sent;
            let result = carrier.carry(frame).await;
            let carried = Happening::Carried {
                id: exchange,
                sent,
                result,
            };
            let _closed = sender.send(carried).await;
        });
    }

    pub(super) fn connect_later(&mut self) {
        // A collect of the ended session may still be held far away; it no longer counts.
        self.grant.take_if(|grant| grant.exchange.is_some());
        let pause = match self.unproven.take() {
            Some(way) => self.setup.routes.handle_unproven(way),
            None if self.has_paused => Duration::ZERO,
            None => self.backoff.pause_after_failure(Self::dice(), None),
        };
        self.later(pause, Happening::ConnectDue);
    }

    pub(super) fn later(&self, pause: Duration, happening: Happening) {
        let sender = self.sender.clone();
        let _task = tasks::spawn(async move {
            tokio::time::sleep(pause).await;
            let _closed = sender.send(happening).await;
        });
    }
}
