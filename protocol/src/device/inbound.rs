//! What came back: which exchange it answers, whether it verifies, and who handles each item.
//!
//! Refuses to let one bad item spoil the others of an answer.

use super::link::{InFlight, PACE_MS};
use super::work::{Taken, Work};
use super::{Context, Device, Event, ExchangeId, StreamEnd};
use crate::envelope::{Binding, Expected, ReceivedEnvelope};
use crate::frame::{Answer, Direction, DownFrame, FrameType, Item, PlainFrame, frame_type};
use crate::id::Plane;
use crate::kind::{MessageKind, Role};
use crate::limits::MOVE_INTERVAL_MS;
use crate::receipt::Lost;
use crate::record::{Table, Write};
use crate::reject::Reject;
use crate::revision::Seq;
use alloc::vec::Vec;

impl Device {
    /// Takes the bytes that came back for an exchange.
    pub(super) fn handle_answer(
        &mut self,
        context: &mut Context<'_>,
        exchange: ExchangeId,
        frame: &[u8],
    ) {
        if let Ok(FrameType::Refused) = frame_type(frame) {
            if self.is_stream_unknown(exchange, frame) {
                return;
            }
            return self.handle_refused(exchange, frame);
        }
        if self.link.is_asking(exchange) {
            return self.handle_challenge(context, frame);
        }
        if self.link.is_greeting(exchange) {
            return self.handle_welcome(context, frame);
        }
        let is_stream = |open: &super::link::Open| open.streams.has(exchange);
        if self.link.open().is_some_and(is_stream) {
            return self.handle_stream_answer(context, exchange, frame);
        }
        self.handle_session_answer(context, exchange, frame);
    }

    fn handle_refused(&mut self, exchange: ExchangeId, frame: &[u8]) {
        if !self.is_awaited(exchange) {
            return;
        }
        match PlainFrame::decode(frame, Direction::Down) {
            //= spec/postern.md#frames
            //# A receiver of frame 22 MUST take it as advice about when to try again and change no
            //# state.
            //= spec/postern.md#frames
            //# A device MUST end a session when frame 22 answers a request of it, but for a stream
            //# that is refused with `frame-unknown`.
            Ok(PlainFrame::Refused { code, .. }) => {
                self.event(Event::RefusedByMailbox {
                    reject: Reject::from_code(code.into()),
                });
                self.disconnect();
            }
            Ok(_) => self.give_up(Reject::Shape),
            Err(reject) => self.give_up(reject),
        }
    }

    fn is_awaited(&self, exchange: ExchangeId) -> bool {
        let is_in_session = |open: &super::link::Open| {
            let work = open.work.map(|(work, _)| work);
            let mut under_way = [open.poll, work].into_iter().flatten();
            open.streams.has(exchange) || under_way.any(|one| one.exchange == exchange)
        };
        let is_of_handshake = self.link.is_asking(exchange) || self.link.is_greeting(exchange);
        is_of_handshake || self.link.open().is_some_and(is_in_session)
    }

    fn handle_session_answer(
        &mut self,
        context: &mut Context<'_>,
        exchange: ExchangeId,
        frame: &[u8],
    ) {
        let Some(open) = self.link.open_mut() else {
            return;
        };
        let is_of = |in_flight: &InFlight| in_flight.exchange == exchange;
        let (in_flight, work) = if let Some(poll) = open.poll.take_if(|poll| is_of(poll)) {
            (poll, None)
        } else if let Some((in_flight, work)) = open.work.take_if(|(in_flight, _)| is_of(in_flight))
        {
            (in_flight, Some(work))
        } else {
            return;
        };
        //= spec/postern.md#sessions
        //# A device MUST count a route as working only on an answer that verifies.
        match open.session.open_answer(in_flight.counter, frame) {
            Ok(DownFrame::Answer(answer)) => {
                if work.is_none() {
                    open.receipt.note_answered();
                    if let Some(exchange) = open.streams.take_flowing() {
                        self.event(Event::StreamEnded {
                            exchange,
                            why: StreamEnd::Replaced,
                        });
                    }
                }
                self.handle_items(context, exchange, work, &answer);
            }
            Ok(DownFrame::Bodies(chunks)) if work == Some(Work::Fetch) => {
                self.event(Event::Answered {
                    exchange,
                    is_empty: chunks.is_empty(),
                });
                self.handle_chunks(context, &chunks);
            }
            // Bodies answer nothing but a fetch, streams are told apart before, and a device collects nothing.
            Ok(DownFrame::Bodies(_) | DownFrame::Collected(_) | DownFrame::StreamAnswer(_)) => {
                self.give_up(Reject::AnswerMismatch);
            }
            Err(reject) => self.give_up(reject),
        }
    }

    pub(super) fn handle_items(
        &mut self,
        context: &mut Context<'_>,
        exchange: ExchangeId,
        work: Option<Work>,
        answer: &Answer<'_>,
    ) {
        let now_ms = context.now.mono_ms;
        self.event(Event::Answered {
            exchange,
            is_empty: answer.items.is_empty(),
        });
        match work {
            Some(Work::Report(rseq)) => self.handle_report_answer(now_ms, rseq, answer),
            Some(Work::Evidence(code)) => self.handle_evidence_answer(code, &answer.hints),
            Some(Work::Put(plane)) => self.handle_put_answer(plane, &answer.hints.wanted),
            Some(Work::Actual(revision)) => {
                self.handle_offer_answer(now_ms, revision, &answer.hints);
            }
            // The mailbox had no bodies to give: as if it had given none.
            Some(Work::Fetch) => self.abandon_snapshot(context.now),
            Some(Work::Heartbeat | Work::Need) | None => {}
        }
        self.handle_need_hint(&answer.hints.need);
        for refusal in &answer.hints.refused {
            self.event(Event::RefusedByMailbox {
                reject: Reject::from_code(refusal.code.into()),
            });
        }
        let (mut is_progress, mut is_quiet) = (false, true);
        //= spec/postern.md#answer
        //# A device MUST process the items in order, bundles before what they are needed for.
        for item in &answer.items {
            match self.handle_item(context, item) {
                Ok(taken) => {
                    is_progress |= taken == Taken::Forward;
                    is_quiet &= taken == Taken::Quiet;
                }
                //= spec/postern.md#reports-and-acks
                //# A device MUST NOT list an envelope in its report before that envelope's
                //# signature has verified.
                Err(reject) => {
                    is_quiet = false;
                    self.event(Event::Rejected { reject });
                }
            }
        }
        self.report_notes(context);
        let pace_ms = if is_progress || is_quiet { 0 } else { PACE_MS };
        self.handle_move_hint(now_ms, answer.hints.move_url.as_deref());
        let wait_ms = answer.hints.retry_ms.unwrap_or(0);
        if let Some(open) = self.link.open_mut() {
            open.poll_after_ms = open.poll_after_ms.max(now_ms.saturating_add(wait_ms));
            open.paced_until_ms = open.paced_until_ms.max(now_ms.saturating_add(pace_ms));
            if work.is_none() {
                open.pace_empty(now_ms, is_quiet);
            }
        }
    }

    /// Asks the driver to go elsewhere, where the bundle knows the place and the last move is long ago.
    fn handle_move_hint(&mut self, now_ms: u64, url: Option<&str>) {
        //= spec/postern.md#answer
        //# A device MUST NOT move to a URL that its bundle does not list.
        let mut listed = self.trust.mailboxes().iter().flat_map(|one| &one.urls);
        let Some(url) = url.and_then(|url| listed.find(|one| *one == url)) else {
            return;
        };
        //= spec/postern.md#answer
        //# A device MUST NOT move because of hint 3 within 60 s of the last such move.
        let is_soon = |at: u64| now_ms.saturating_sub(at) < MOVE_INTERVAL_MS;
        if self.moved_ms.is_some_and(is_soon) {
            return;
        }
        let url = url.clone();
        self.moved_ms = Some(now_ms);
        self.event(Event::MoveAsked { url });
    }

    fn handle_report_answer(&mut self, now_ms: u64, rseq: Seq, answer: &Answer<'_>) {
        let wait_ms = answer.hints.retry_ms.map(|wait| wait.max(PACE_MS));
        if rseq == self.reporter.rseq {
            self.reporter.mark_posted(now_ms, wait_ms);
        }
    }

    /// Takes one envelope, whatever way it came.
    pub(super) fn handle_item(
        &mut self,
        context: &mut Context<'_>,
        item: &Item<'_>,
    ) -> Result<Taken, Reject> {
        let received = ReceivedEnvelope::parse(item.envelope)?;
        let Some(plane) = item.plane else {
            let kind = received.unverified_header().kind;
            return if kind == MessageKind::EnrolAnswer {
                self.handle_enrol_answer(item.envelope)
            } else if kind == MessageKind::PlaneKey {
                self.handle_plane_key(context, &received)
            } else if kind == MessageKind::Receipt {
                self.handle_receipt(context, &received)
            } else {
                self.handle_bundle(item.envelope).map(Taken::from)
            };
        };
        if received.unverified_header().kind == MessageKind::Lost {
            return self.handle_lost(&received, plane);
        }
        let tenant = &self.identity.channel.tenant;
        let (generation, writer) = self.trust.writer(tenant).ok_or(Reject::KeyUnknown)?;
        let expected = Expected {
            role: Role::Writer,
            plane: Some(plane),
        };
        let binding = Binding::Device {
            channel: &self.identity.channel,
            incarnation: self.identity.incarnation,
        };
        //= spec/postern.md#answer
        //# A device MUST verify every item of an answer as if it had come over an untrusted way.
        //= spec/postern.md#incarnation
        //# A device MUST NOT accept an envelope of an earlier incarnation of itself.
        //= spec/postern.md#bundle
        //# A device MUST check envelopes against the highest bundle it holds.
        let verified = received.verify(expected, binding, [writer], |key| {
            self.trust.is_revoked(key)
        })?;
        match verified.header().kind {
            MessageKind::Delta | MessageKind::Snapshot => {
                Ok(self.handle_desired(context, &verified, generation).into())
            }
            MessageKind::ReportAck => {
                let is_forward = self.handle_report_ack(context, &verified)?;
                // It came in the answer to the report already: no reason to wait.
                Ok(if is_forward {
                    Taken::Forward
                } else {
                    Taken::Quiet
                })
            }
            MessageKind::Heartbeat => self.handle_heartbeat(context, &verified),
            MessageKind::Evidence => self.handle_evidence(context, &verified),
            MessageKind::Report
            | MessageKind::EnrolRequest
            | MessageKind::EnrolAnswer
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome
            | MessageKind::Receipt
            | MessageKind::PlaneKey
            | MessageKind::Lost => Err(Reject::SignerRole),
        }
    }

    /// A mailbox speaks for itself alone: what it lost is told, and changes nothing.
    fn handle_lost(
        &mut self,
        received: &ReceivedEnvelope<'_>,
        plane: Plane,
    ) -> Result<Taken, Reject> {
        let (channel, incarnation) = (&self.identity.channel, self.identity.incarnation);
        let (mailbox, lost) = Lost::verify(received, &self.trust, channel, incarnation, plane)?;
        self.event(Event::Lost { mailbox, lost });
        Ok(Taken::Quiet)
    }

    pub(super) fn handle_bundle(&mut self, envelope: &[u8]) -> Result<bool, Reject> {
        let trust = self.trust.offer(envelope)?;
        let number = trust.number();
        let tenant = &self.identity.channel.tenant;
        if trust.writer(tenant) != self.trust.writer(tenant) {
            // What the former writer signed counts no more unless it is complete.
            self.desired.pending = None;
        }
        self.trust = trust;
        let key = number.number().to_be_bytes().to_vec();
        //= spec/postern.md#bundle
        //# A device MUST persist the highest bundle it has accepted beside its heads.
        self.persist(Vec::from([Write {
            table: Table::Bundles,
            key,
            value: Some(envelope.to_vec()),
        }]));
        self.event(Event::BundleAccepted { number });
        self.leave_unlisted_mailbox();
        Ok(true)
    }
}
