//! The way to a mailbox: handshake, session, and the exchanges that are under way in it.
//!
//! At most two exchanges at a time: one poll that may be held, and one piece of work (a report, a
//! fetch or a need). Any doubt about the session ends it; a new one costs two exchanges.

use super::put::Puts;
use super::receipts::Naming;
use super::stream::Streams;
use super::work::Work;
use super::{Context, Device, Event, Exchange, ExchangeId, Grant, Output};
use crate::frame::{Poll, UpFrame};
use crate::id::Thumbprint;
use crate::limits::NEED_INTERVAL_MS;
use crate::reject::Reject;
use crate::session::{ClientSession, Identity, LinkPhase, Request};
use alloc::vec::Vec;

/// Milliseconds before the next poll when an answer brought nothing that could be used. Arbitrary:
/// the interval at which a snapshot may be asked for.
pub(super) const PACE_MS: u64 = NEED_INTERVAL_MS;

/// Milliseconds from one held poll to the next at least, when no news came: a mailbox that never
/// holds costs one small exchange a second. Arbitrary, below the shortest hold.
pub(super) const EMPTY_PACE_MS: u64 = 1_000;

/// Early empty answers in a row that are normal: a mailbox wakes a poll for an acknowledgement
/// that this poll did not ask for yet. Arbitrary.
pub(super) const EARLY_EMPTIES_MAX: u32 = 3;

/// An open session.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) session: ClientSession,
    /// The mailbox's key: the session ends when a bundle no longer lists it.
    pub(super) mailbox: Thumbprint,
    /// The bodies that the other side wants of what was posted.
    pub(super) puts: Option<Puts>,
    pub(super) poll: Option<InFlight>,
    pub(super) streams: Streams,
    /// When the newest poll that may be held was sent.
    pub(super) held_since_ms: Option<u64>,
    /// Held polls in a row that came back at once and empty.
    pub(super) early_empties: u32,
    pub(super) work: Option<(InFlight, Work)>,
    pub(super) poll_after_ms: u64,
    /// The same, for what came and led nowhere: news end it.
    pub(super) paced_until_ms: u64,
    pub(super) receipt: Naming,
}

/// An exchange whose answer is awaited.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) exchange: ExchangeId,
    pub(super) counter: u16,
}

impl Open {
    fn new(session: ClientSession, mailbox: Thumbprint) -> Self {
        Self {
            session,
            mailbox,
            puts: None,
            poll: None,
            streams: Streams::default(),
            held_since_ms: None,
            early_empties: 0,
            work: None,
            //= spec/postern.md#answer
            //# A device MUST begin a session without the pause of retry_ms that an earlier one gave.
            poll_after_ms: 0,
            paced_until_ms: 0,
            receipt: Naming::default(),
        }
    }

    /// When the next poll may start.
    pub(super) fn poll_due_ms(&self) -> u64 {
        self.poll_after_ms.max(self.paced_until_ms)
    }

    //= spec/postern.md#poll
    //# A device SHOULD poll once a second when held polls keep coming back at once and empty.
    /// Slows polling down when the mailbox keeps answering held polls at once with nothing.
    pub(super) fn pace_empty(&mut self, now_ms: u64, is_empty: bool) {
        let due_ms = self
            .held_since_ms
            .take()
            .map(|since| since.saturating_add(EMPTY_PACE_MS));
        let Some(due_ms) = due_ms.filter(|due_ms| is_empty && now_ms < *due_ms) else {
            self.early_empties = 0;
            return;
        };
        self.early_empties = self.early_empties.saturating_add(1);
        if self.early_empties > EARLY_EMPTIES_MAX {
            self.poll_after_ms = self.poll_after_ms.max(due_ms);
        }
    }
}

impl Device {
    /// Begins a handshake unless a session is open or under way.
    pub(super) fn connect(&mut self, _context: &mut Context<'_>) {
        if self.has_left {
            return;
        }
        let exchange = self.next_exchange();
        match self.link.ask(exchange, self.trust.number()) {
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

    fn exchange(&mut self, frame: Vec<u8>, hold_s: Option<u64>) -> ExchangeId {
        let id = self.next_exchange();
        self.send(id, frame, hold_s);
        id
    }

    fn send(&mut self, id: ExchangeId, frame: Vec<u8>, hold_s: Option<u64>) {
        self.outputs.push_back(Output::Exchange(Exchange {
            id,
            frame,
            hold_s,
            is_stream: false,
        }));
    }

    /// Ends the session: the driver waits as after a failure and connects again.
    pub(super) fn give_up(&mut self, reject: Reject) {
        self.event(Event::Rejected { reject });
        self.disconnect();
    }

    pub(super) fn disconnect(&mut self) {
        self.link.end();
        self.outputs.push_back(Output::Reconnect);
    }

    /// Takes the challenge and greets the mailbox that the bundle names.
    pub(super) fn handle_challenge(&mut self, context: &mut Context<'_>, frame: &[u8]) {
        let exchange = self.next_exchange();
        let seed = crate::context::draw(context.random);
        let identity = Identity::device(
            &self.identity.channel,
            self.identity.incarnation,
            context.signer,
        );
        let mailboxes = self.trust.mailboxes().iter().map(|mailbox| &mailbox.key);
        let hello = self.link.greet(exchange, frame, mailboxes, identity, &seed);
        match hello {
            Ok(hello) => self.send_step(exchange, hello),
            Err(reject) => self.give_up(reject),
        }
    }

    /// Takes the welcome; the first poll confirms the session.
    pub(super) fn handle_welcome(&mut self, context: &mut Context<'_>, frame: &[u8]) {
        match self.link.welcome(frame, context.now.mono_ms, Open::new) {
            Ok(true) => {
                self.event(Event::Connected);
                let time = self.link.open().and_then(|open| open.session.time());
                if let Some(time) = time {
                    self.event(Event::TimeStated { time });
                }
                self.begin_session(context);
            }
            Ok(false) => {}
            Err(reject) => self.give_up(reject),
        }
    }

    /// Another mailbox may know nothing: whatever nobody acknowledged is posted again.
    fn begin_session(&mut self, context: &mut Context<'_>) {
        let signer = context.signer.public_key().thumbprint();
        self.reporter.begin_session(&signer);
        self.actual.begin_session(&signer);
        self.disputes.begin_session();
        self.pulse.watch.begin_session();
        self.resume_rotation(context);
        self.report_notes(context);
    }

    /// Ends a session with a mailbox that the bundle no longer lists.
    pub(super) fn leave_unlisted_mailbox(&mut self) {
        let open = self.link.open().map(|open| open.mailbox);
        let Some(mailbox) = open.or_else(|| self.link.greeted()) else {
            return;
        };
        let mut listed = self.trust.mailboxes().iter();
        //= spec/lives.md#rotation
        //# A device MUST end a session whose mailbox key a new bundle drops or revokes.
        if !listed.any(|one| one.key.thumbprint() == mailbox) {
            self.disconnect();
        }
    }

    /// Ends the session with a mailbox to which no route leads any more.
    pub(super) fn leave_mailbox(&mut self) {
        if self.link.phase() != LinkPhase::Down {
            self.disconnect();
        }
    }

    /// Starts whatever exchange is due in an open session.
    pub(super) fn pump(&mut self, context: &mut Context<'_>) {
        let now_ms = context.now.mono_ms;
        let Some(open) = self.link.open_mut() else {
            return;
        };
        let is_idle = open.poll.is_none() && open.work.is_none() && !open.streams.is_opening();
        if open.session.is_over(now_ms) || (is_idle && open.session.is_renewal_due(now_ms)) {
            return self.disconnect();
        }
        if open.work.is_none() && !self.pump_work(context) {
            return;
        }
        self.pump_poll(now_ms);
    }

    fn pump_work(&mut self, context: &mut Context<'_>) -> bool {
        let Some((work, outgoing)) = self.next_work(context) else {
            return true;
        };
        let Some(open) = self.link.open_mut() else {
            return false;
        };
        match open.session.seal_request(&outgoing.as_frame()) {
            Ok(Request { counter, bytes }) => {
                let exchange = self.exchange(bytes, None);
                if let Some(open) = self.link.open_mut() {
                    open.work = Some((InFlight { exchange, counter }, work));
                }
                true
            }
            Err(reject) => {
                self.give_up(reject);
                false
            }
        }
    }

    fn pump_poll(&mut self, now_ms: u64) {
        let Some(open) = self.link.open_mut() else {
            return;
        };
        let is_asking = open.poll.is_some() || open.streams.is_opening();
        if self.desired.is_fetching() || is_asking || open.poll_due_ms() > now_ms {
            return;
        }
        let (hold_s, stream) = match self.grant.take() {
            Some(Grant::Hold(seconds)) => (seconds, None),
            Some(Grant::Stream(ask)) => (0, Some(ask)),
            None => return,
        };
        let heads = Poll {
            hold_s: u16::try_from(hold_s).unwrap_or(u16::MAX),
            bundle: self.trust.number(),
            acked: self
                .reporter
                .outstanding
                .is_some()
                .then_some(self.reporter.acked),
            desired: self.desired.seen(),
            actual: self.actual.polled(),
            receipt: open.receipt.poll(),
        };
        if let Some(ask) = stream {
            return self.open_stream(ask, heads);
        }
        let Some(open) = self.link.open_mut() else {
            return;
        };
        match open.session.seal_request(&UpFrame::Poll(heads)) {
            Ok(Request { counter, bytes }) => {
                let exchange = self.exchange(bytes, Some(hold_s));
                if let Some(open) = self.link.open_mut() {
                    open.poll = Some(InFlight { exchange, counter });
                    open.held_since_ms = (hold_s > 0).then_some(now_ms);
                }
            }
            Err(reject) => self.give_up(reject),
        }
    }

    //= spec/postern.md#poll
    //# A device MUST NOT depend on a held poll for correctness: without an answer it polls again.
    /// Takes the end of an exchange that never came back; whatever it was for is done again.
    pub(super) fn handle_failure(&mut self, exchange: ExchangeId) {
        if self.link.is_asking(exchange) || self.link.is_greeting(exchange) {
            return self.disconnect();
        }
        let Some(open) = self.link.open_mut() else {
            return;
        };
        open.poll.take_if(|poll| poll.exchange == exchange);
        open.streams.forget(exchange);
        let is_of = |(work, _): &mut (InFlight, Work)| work.exchange == exchange;
        match open.work.take_if(is_of).map(|(_, work)| work) {
            Some(Work::Need) => self.desired.need.is_wanted = true,
            Some(Work::Evidence(_)) => self.disputes.begin_session(),
            Some(
                Work::Report(_) | Work::Heartbeat | Work::Put(_) | Work::Actual(_) | Work::Fetch,
            )
            | None => {}
        }
    }
}
