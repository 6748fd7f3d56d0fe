//! The device role: follows signed desired state, applies it, and reports what it did.
//!
//! ```text
//!   Down --Start--> Asking --challenge--> Greeting --welcome--> Open ---poll/answer--+
//!    ^                |                      |                   |  ^---------------+
//!    +---- any failed handshake, unknown session, exhausted counter ----+
//! ```
//!
//! Drain [`Device::poll_output`] after every input; outputs are ordered and [`Output::Persist`] is
//! a barrier. The device only ever asks: it has no input that a peer can cause unasked.
//! Refuses to know transports: it gives frames and is given the bytes that came back.

mod accept;
mod act;
mod actual;
mod apply;
mod encryption;
mod evidence;
mod fetch;
mod file;
mod heartbeat;
mod inbound;
mod intents;
mod io;
mod link;
mod offer;
mod put;
mod receipts;
mod records;
mod reporter;
mod rotation;
mod sizes;
mod stream;
#[cfg(test)]
mod tests;
mod work;

pub use io::{
    ActOutcome, Applied, Event, Exchange, ExchangeId, Input, Output, StreamAsk, StreamEnd,
};

use crate::context::{Now, Random};
use crate::envelope::{Binding, Draft, Header};
use crate::freshness::Freshness;
use crate::id::{Channel, Incarnation, Thumbprint};
use crate::key::Signer;
use crate::kind::Role;
use crate::limits::FRESHNESS_MS_DEFAULT;
use crate::record::{RecordError, Table, Write};
use crate::reject::Reject;
use crate::revision::{Epoch, Head, Revision};
use crate::session::Link;
use crate::state::{Path, State};
use crate::trust::Trust;
use accept::Desired;
use actual::Actual;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use apply::Application;
use encryption::Encryption;
use evidence::Disputes;
use heartbeat::Pulse;
use intents::Intents;
use receipts::Receipts;
use reporter::Reporter;
use rotation::Keys;
use sizes::Sizes;

/// What the device is given with every input.
pub struct Context<'a> {
    /// The moment.
    pub now: Now,
    /// Random bytes.
    pub random: &'a mut dyn Random,
    /// The device's key.
    pub signer: &'a dyn Signer,
}

/// Who the device is, as the controller confirmed it at enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its names.
    pub channel: Channel,
    /// The life of its store.
    pub incarnation: Incarnation,
}

/// What an operator of a device may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Milliseconds of silence of the controller that still count as fresh.
    pub max_age_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_age_ms: FRESHNESS_MS_DEFAULT,
        }
    }
}

/// How the next poll may be made.
#[derive(Debug, Clone, Copy)]
enum Grant {
    Hold(u64),
    Stream(StreamAsk),
}

/// The device's engine.
#[derive(Debug)]
pub struct Device {
    identity: Identity,
    trust: Trust,
    desired: Desired,
    actual: Actual,
    reporter: Reporter,
    application: Application,
    intents: Intents,
    disputes: Disputes,
    receipts: Receipts,
    encryption: Encryption,
    pulse: Pulse,
    keys: Keys,
    link: Link<ExchangeId, link::Open>,
    /// True once the controller acknowledged that this device leaves.
    has_left: bool,
    /// When a mailbox last sent this device to another one.
    moved_ms: Option<u64>,
    /// What the driver granted for the next poll.
    grant: Option<Grant>,
    /// Refusals so far.
    refusals: u64,
    /// What the route in use carries.
    sizes: Sizes,
    exchanges: u64,
    outputs: VecDeque<Output>,
}

impl Device {
    /// Rebuilds the engine from its identity, its bundles and its records.
    ///
    /// # Errors
    /// [`RecordError`] naming the record that cannot be read.
    pub fn restore<'a>(
        identity: Identity,
        trust: Trust,
        settings: Settings,
        records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
    ) -> Result<Self, RecordError> {
        let restored = records::restore(&identity, records)?;
        Ok(Self {
            keys: Keys::restore(restored.confirmed, &restored.reporter.lists),
            identity,
            trust,
            desired: restored.desired,
            actual: restored.actual,
            reporter: restored.reporter,
            application: Application::default(),
            intents: restored.intents,
            disputes: restored.disputes,
            receipts: Receipts::default(),
            encryption: Encryption {
                held: restored.keys,
                ..Encryption::default()
            },
            pulse: Pulse::new(settings.max_age_ms),
            link: Link::default(),
            has_left: false,
            moved_ms: None,
            grant: None,
            refusals: 0,
            sizes: Sizes::default(),
            exchanges: 0,
            outputs: VecDeque::new(),
        })
    }

    /// Takes one input. Afterwards drain [`Device::poll_output`].
    pub fn handle_input(&mut self, context: &mut Context<'_>, input: Input<'_>) {
        match input {
            Input::Start => self.start(context),
            Input::Connect => self.connect(context),
            Input::Answer { exchange, frame } => self.handle_answer(context, exchange, frame),
            Input::Failed { exchange } => self.handle_failure(exchange),
            Input::OtherMailbox => self.leave_mailbox(),
            Input::Applied(applied) => self.handle_applied(context, applied),
            Input::Hold { seconds } => {
                self.grant = Some(Grant::Hold(seconds.min(crate::limits::HOLD_S_MAX)));
            }
            Input::Stream(ask) => self.grant = Some(Grant::Stream(ask)),
            Input::Sizes {
                up_bytes_max,
                down_bytes_max,
            } => self.handle_sizes(up_bytes_max, down_bytes_max),
            Input::Timeout => self.retry_apply(context.now.mono_ms),
            Input::WriteActual { ticket, changes } => self.write_actual(context, ticket, &changes),
            Input::Acted {
                path,
                value,
                outcome,
            } => self.handle_acted(context, &path, value, outcome),
            Input::Gate { is_open } => self.set_gate(is_open),
            Input::RotateKey { request } => self.rotate_key(context, request),
            Input::Leave => self.leave(context),
            Input::Filed { frame } => self.handle_filed(context, frame),
        }
        self.pump(context);
        self.note_freshness(context.now);
    }

    /// Takes the next output, in order. `None` when the input is fully drained.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            let output = self.outputs.pop_front()?;
            let Output::Apply { revision } = output else {
                return Some(output);
            };
            // The state that the driver can read is the newest: that one is applied, and only after it is durable.
            if !self.skip_to_newest(revision) {
                return Some(output);
            }
        }
    }

    /// The moment, in the driver's milliseconds, at which [`Input::Timeout`] is due, if any.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let (poll, work) = match self.link.open() {
            Some(open) => {
                let is_asking = open.poll.is_some() || open.streams.is_opening();
                let is_granted = !is_asking && self.grant.is_some() && !self.desired.is_fetching();
                let work_ms = self.work_due_ms().filter(|_| open.work.is_none());
                (is_granted.then(|| open.poll_due_ms()), work_ms)
            }
            None => (None, None),
        };
        let turn = self.pulse.watch.turn_due_ms();
        [poll, work, turn, self.application.retry_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the report that waits is to be sent again, or for the first time.
    fn report_wake_ms(&self) -> Option<u64> {
        let resend_ms = self.reporter.resend_ms();
        match self.sizes.report_until_ms() {
            Some(until_ms) if self.reporter.outstanding.is_some() => {
                Some(until_ms.max(resend_ms.unwrap_or_default()))
            }
            Some(_) | None => resend_ms,
        }
    }

    /// What the device should be, as far as it accepted it.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.desired.state
    }

    /// The revision and digest that the device accepted.
    #[must_use]
    pub const fn head(&self) -> Option<&Head> {
        self.desired.head.as_ref()
    }

    /// The revision that the device finished applying.
    #[must_use]
    pub const fn applied(&self) -> Revision {
        self.reporter.applied
    }

    /// The epoch and number of the newest report.
    #[must_use]
    pub const fn report_number(&self) -> Revision {
        Revision::new(self.reporter.epoch, self.reporter.rseq)
    }

    /// What the device is, as its application wrote it.
    #[must_use]
    pub const fn actual(&self) -> &State {
        &self.actual.state
    }

    /// The newest decision of the actual plane; `None` when nothing was ever written.
    #[must_use]
    pub const fn actual_head(&self) -> Option<&Head> {
        self.actual.head.as_ref()
    }

    /// The newest revision of the actual plane that the controller signed to hold, in this process.
    #[must_use]
    pub fn actual_acknowledged(&self) -> Revision {
        self.actual.acknowledged()
    }

    /// How fresh the controller's word is.
    #[must_use]
    pub fn freshness(&self, now: Now) -> Freshness {
        self.pulse.watch.freshness(now.mono_ms)
    }

    /// Every intent that was seen, with the highest value taken and the highest value done.
    pub fn intents(&self) -> impl Iterator<Item = (&Path, u64, u64)> {
        self.intents
            .marks()
            .map(|(path, mark)| (path, mark.taken, mark.done))
    }

    /// The epoch of the desired plane of which nothing is believed any more.
    #[must_use]
    pub const fn frozen(&self) -> Option<Epoch> {
        self.desired.frozen
    }

    /// The key that the controller confirmed after a rotation; `None` while the enrolled one counts.
    #[must_use]
    pub const fn confirmed_key(&self) -> Option<&Thumbprint> {
        self.keys.confirmed.as_ref()
    }

    /// The request for the next key while nobody confirmed it.
    #[must_use]
    pub fn rotation(&self) -> Option<&[u8]> {
        self.reporter.lists.rotation()
    }

    /// Who this device is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The keys that count now.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Signs a message of this device.
    fn seal(
        &self,
        context: &Context<'_>,
        header: Header,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, Reject> {
        let binding = Binding::Device {
            channel: &self.identity.channel,
            incarnation: self.identity.incarnation,
        };
        let sealed = Draft { header, payload }.seal(Role::Device, binding, context.signer)?;
        Ok(sealed.into_bytes())
    }

    fn persist(&mut self, writes: Vec<Write>) {
        self.outputs.push_back(Output::Persist(writes));
    }

    fn event(&mut self, event: Event) {
        if matches!(event, Event::Rejected { .. }) {
            self.refusals = self.refusals.saturating_add(1);
        }
        self.outputs.push_back(Output::Event(event));
    }

    fn next_exchange(&mut self) -> ExchangeId {
        self.exchanges += 1;
        ExchangeId(self.exchanges)
    }
}
