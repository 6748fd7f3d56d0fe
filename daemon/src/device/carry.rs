//! The device's exchanges: when a poll may start, which way carries it, what its end teaches.
//!
//! A failed exchange pauses before the engine hears of it. The ask of a session is no exchange on one way:
//! it is raced (see `homing`). Refuses to leave a way because of what a verified answer said.

use super::run::{Driver, Grant, Happening};
use crate::clock;
use crate::exit::CommandError;
use crate::routes::{Brought, Change, NO_WAY_PAUSE, Pushed, Ruling, Sent, WayId, random};
use postern_egress::TransportError;
use postern_egress::hold::{HoldEnd, Next};
use postern_protocol::device::{Exchange, ExchangeId, Input};
use postern_protocol::frame::{FrameType, frame_type};
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
        if self.grant.is_some() || self.is_streaming() {
            return Ok(());
        }
        match self.routes.next_push() {
            Some(Pushed::Stream(flow)) => self.grant_stream(flow),
            Some(Pushed::PollNow) => {
                self.grant = Some(Grant {
                    hold: None,
                    flow: None,
                    exchange: None,
                });
                self.feed(Input::Hold { seconds: 0 })
            }
            Some(Pushed::Poll(Next::Hold(hold))) => {
                self.grant = Some(Grant {
                    hold: Some(hold),
                    flow: None,
                    exchange: None,
                });
                self.feed(Input::Hold {
                    seconds: hold.asked().as_secs(),
                })
            }
            Some(Pushed::Poll(Next::Poll { pause })) => {
                self.grant = Some(Grant {
                    hold: None,
                    flow: None,
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
        result: Result<Brought, TransportError>,
    ) -> Result<(), CommandError> {
        let way = sent.way;
        let Brought { body, age, link } = match result {
            Ok(brought) => brought,
            Err(error) => {
                tracing::warn!(%error, code = error.code(), transport = self.routes.name_of(way), "exchange failed");
                if let Some(lesson) = self.routes.note_failure(sent, &error) {
                    self.note_lesson(way, lesson);
                }
                self.counts.count_failure(error.code());
                if self.ask_time(id, way, &error) {
                    return Ok(());
                }
                self.backoff.limit_next(error.pause_max());
                let ruling = self.routes.handle_failure(sent, &error);
                return self.fail(id, way, error.hold_end(), error.retry_after_s(), ruling);
            }
        };
        if frame_type(&body).is_err() {
            self.note_no_mailbox(body.len());
            let ruling = self.routes.handle_no_mailbox(sent);
            return self.fail(id, way, HoldEnd::Other, None, ruling);
        }
        self.answered = None;
        self.feed(Input::Answer {
            exchange: id,
            frame: &body,
        })?;
        match self.answered.take() {
            Some((answered, is_empty)) if answered == id => {
                self.backoff.reset();
                self.routes.note_answer(sent, body.len(), &link);
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

    /// A block page, a captive portal, an empty body: something else answers for the mailbox.
    pub(super) fn note_no_mailbox(&mut self, bytes: usize) {
        let reason = Reject::NotPostern.as_str();
        tracing::warn!(reason, bytes, "answer is not from a mailbox");
        self.counts.count_reject(Reject::NotPostern);
    }

    /// Ends a failed exchange after a pause; where its way is to be left, a race looks for another one
    /// meanwhile.
    pub(super) fn fail(
        &mut self,
        id: ExchangeId,
        way: WayId,
        end: HoldEnd,
        retry_after_s: Option<u64>,
        ruling: Ruling,
    ) -> Result<(), CommandError> {
        self.is_connected = false;
        self.displaced.note_failure();
        self.end_grant(id, way, end);
        if self.homing.is_proving() {
            // The hello of a race's winner: the race goes on without it at once.
            return self.feed_failure(id);
        }
        let pause = self.backoff.pause_after_failure(random(), retry_after_s);
        match ruling {
            Ruling::Stay | Ruling::Back(Change::Same) => {}
            Ruling::Leave => self.race_for_replacement(),
            Ruling::Back(Change::Mailbox) => return self.begin_elsewhere(Duration::ZERO),
        }
        self.later(pause, Happening::FailureDue(id));
        Ok(())
    }

    /// Tells the engine of a failure that it has waited for.
    pub(super) fn feed_failure(&mut self, id: ExchangeId) -> Result<(), CommandError> {
        self.has_paused = true;
        let fed = self.feed(Input::Failed { exchange: id });
        self.has_paused = false;
        fed
    }

    /// Ends an exchange whose certificate failed, as after any failure.
    pub(super) fn fail_way(&mut self, id: ExchangeId, way: WayId) -> Result<(), CommandError> {
        self.fail(id, way, HoldEnd::Other, None, Ruling::Leave)
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
        if frame_type(&exchange.frame) == Ok(FrameType::Ask) {
            return self.race(exchange);
        }
        if exchange.is_stream {
            return self.carry_stream(exchange);
        }
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
        self.streams.clear();
        self.routes.note_no_stream();
        let unproven = self.homing.take_unproven();
        let pause = match self.homing.take_pause() {
            Some(pause) => pause,
            None => match unproven {
                Some(way) => self.routes.handle_unproven(way),
                None if self.has_paused => Duration::ZERO,
                None => self.pause_after_end(),
            },
        };
        self.later(pause, Happening::ConnectDue);
    }

    /// The mailbox ended the session, or answered none: how long until the next one.
    fn pause_after_end(&mut self) -> Duration {
        let pause = self.backoff.pause_after_failure(random(), None);
        let (least_ms, is_told) = self.displaced.note_end(clock::mono_ms(), random());
        if is_told {
            tracing::warn!(
                device = self.name(),
                remedy = "look for a second device with this identity, or mailboxes behind one address that share no store",
                "sessions end soon after they open"
            );
        }
        pause.max(Duration::from_millis(least_ms))
    }

    pub(super) fn later(&self, pause: Duration, happening: Happening) {
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            tokio::time::sleep(pause).await;
            let _closed = sender.send(happening).await;
        });
    }
}
