//! The device's exchanges: when a poll may start, which way carries it, what its end teaches.
//!
//! A failed exchange pauses before the engine hears of it, and the next way is tried after it. Refuses
//! to leave a way because of what a verified answer said.

use super::run::{Driver, Grant, Happening};
use crate::exit::CommandError;
use crate::routes::{NO_WAY_PAUSE, Sent, WayId, random};
use postern_egress::TransportError;
use postern_egress::hold::{HoldEnd, Next};
use postern_protocol::device::{Exchange, ExchangeId, Input};
use postern_protocol::frame::frame_type;
use postern_protocol::reject::Reject;
use std::time::Duration;

impl Driver {
    /// Tells the engine what the way in use carries, when that changed.
    pub(super) fn tell_sizes(&mut self) -> Result<(), CommandError> {
        let sizes = self.routes.sizes();
        let Some(now) = sizes.filter(|_| sizes != self.told) else {
            return Ok(());
        };
        self.told = sizes;
        self.feed(Input::Sizes {
            up_bytes_max: now.up_bytes_max,
            down_bytes_max: now.down_bytes_max,
        })
    }

    /// Lets the next poll start when none is granted or under way.
    pub(super) fn grant_poll(&mut self) -> Result<(), CommandError> {
        if self.grant.is_some() {
            return Ok(());
        }
        match self.routes.next_poll() {
            Some(Next::Hold(hold)) => {
                self.grant = Some(Grant {
                    hold: Some(hold),
                    exchange: None,
                });
                self.feed(Input::Hold {
                    seconds: hold.asked().as_secs(),
                })
            }
            Some(Next::Poll { pause }) => {
                self.grant = Some(Grant {
                    hold: None,
                    exchange: None,
                });
                self.later(pause, Happening::PollDue);
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn handle_carried(
        &mut self,
        id: ExchangeId,
        sent: Sent,
        result: Result<(Vec<u8>, Duration), TransportError>,
    ) -> Result<(), CommandError> {
        let way = sent.way;
        let (frame, age) = match result {
            Ok(carried) => carried,
            Err(error) => {
                tracing::warn!(%error, code = error.code(), transport = self.routes.name_of(way), "exchange failed");
                if let Some(lesson) = self.routes.note_failure(sent, &error) {
                    self.note_lesson(way, lesson);
                }
                self.counts.count_failure(error.code());
                if self.ask_time(id, sent, &error) {
                    return Ok(());
                }
                self.backoff.limit_next(error.pause_max());
                return self.fail(id, way, error.hold_end(), error.retry_after_s());
            }
        };
        if frame_type(&frame).is_err() {
            // A block page, a captive portal, an empty body: something else answers for the mailbox.
            tracing::warn!(
                reason = Reject::NotPostern.as_str(),
                bytes = frame.len(),
                "answer is not from a mailbox"
            );
            self.counts.count_reject(Reject::NotPostern);
            return self.fail(id, way, HoldEnd::Other, None);
        }
        self.answered = None;
        self.feed(Input::Answer {
            exchange: id,
            frame: &frame,
        })?;
        match self.answered.take() {
            Some((answered, is_empty)) if answered == id => {
                self.backoff.reset();
                self.routes.note_answer(sent, frame.len());
                let end = if is_empty {
                    HoldEnd::Answered { age }
                } else {
                    HoldEnd::Carried
                };
                self.end_grant(id, way, end);
            }
            Some(_) | None => self.end_grant(id, way, HoldEnd::Other),
        }
        Ok(())
    }

    /// Ends a failed exchange after a pause, and goes on to the next way: at another mailbox with a new session.
    fn fail(
        &mut self,
        id: ExchangeId,
        way: WayId,
        end: HoldEnd,
        retry_after_s: Option<u64>,
    ) -> Result<(), CommandError> {
        self.is_connected = false;
        self.end_grant(id, way, end);
        let pause = self.backoff.pause_after_failure(random(), retry_after_s);
        if self.routes.advance_from(way) {
            return self.begin_elsewhere(pause);
        }
        self.later(pause, Happening::FailureDue(id));
        Ok(())
    }

    /// Ends an exchange whose certificate failed, as after any failure.
    pub(super) fn fail_way(&mut self, id: ExchangeId, way: WayId) -> Result<(), CommandError> {
        self.fail(id, way, HoldEnd::Other, None)
    }

    /// Ends the grant of an exchange that is done again on the same way.
    pub(super) fn end_way(&mut self, id: ExchangeId, way: WayId) {
        self.end_grant(id, way, HoldEnd::Other);
    }

    fn end_grant(&mut self, id: ExchangeId, way: WayId, end: HoldEnd) {
        let Some(grant) = self.grant.filter(|grant| grant.exchange == Some(id)) else {
            return;
        };
        self.grant = None;
        if let Some(hold) = grant.hold {
            self.routes.end_hold(way, hold, end);
        }
    }

    pub(super) fn carry(&mut self, exchange: Exchange) {
        let hold = exchange.hold_s.map(Duration::from_secs);
        let Some(carrier) = self.routes.carrier(&exchange.frame, hold) else {
            // A script has named no proxy yet, and directly is forbidden.
            return self.later(NO_WAY_PAUSE, Happening::FailureDue(exchange.id));
        };
        if exchange.hold_s.is_some()
            && let Some(grant) = &mut self.grant
        {
            grant.exchange = Some(exchange.id);
        }
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let sent = carrier.sent;
            let result = carrier.carry(exchange.frame).await;
            let _closed = sender
                .send(Happening::Carried {
                    id: exchange.id,
                    sent,
                    result,
                })
                .await;
        });
    }

    pub(super) fn connect_later(&mut self) {
        // A poll of the ended session may still be held far away; it no longer counts.
        self.grant.take_if(|grant| grant.exchange.is_some());
        let pause = match self.homing.take_pause() {
            Some(pause) => pause,
            None if self.has_paused => Duration::ZERO,
            None => self.backoff.pause_after_failure(random(), None),
        };
        self.later(pause, Happening::ConnectDue);
    }

    pub(super) fn later(&self, pause: Duration, happening: Happening) {
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            tokio::time::sleep(pause).await;
            let _closed = sender.send(happening).await;
        });
    }
}
