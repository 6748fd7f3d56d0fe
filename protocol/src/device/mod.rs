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
mod fetch;
mod inbound;
mod io;
mod link;
mod records;
mod reporter;
mod sizes;
#[cfg(test)]
mod tests;

pub use io::{Applied, Event, Exchange, ExchangeId, Input, Output};

use crate::context::{Now, Random};
use crate::id::{Channel, Incarnation};
use crate::key::Signer;
use crate::record::{RecordError, Table, Write};
use crate::revision::{Head, Revision};
use crate::state::State;
use crate::trust::Trust;
use accept::Desired;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use link::Link;
use reporter::Reporter;
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

/// The device's engine.
#[derive(Debug)]
pub struct Device {
    identity: Identity,
    trust: Trust,
    desired: Desired,
    reporter: Reporter,
    link: Link,
    /// The hold that the driver granted for the next poll.
    hold_s: Option<u64>,
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
        records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
    ) -> Result<Self, RecordError> {
        let restored = records::restore(records)?;
        Ok(Self {
            identity,
            trust,
            desired: restored.desired,
            reporter: restored.reporter,
            link: Link::Down,
            hold_s: None,
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
            Input::Applied(applied) => self.handle_applied(context, applied),
            Input::Hold { seconds } => self.hold_s = Some(seconds.min(crate::limits::HOLD_S_MAX)),
            Input::Sizes {
                up_bytes_max,
                down_bytes_max,
            } => self.handle_sizes(up_bytes_max, down_bytes_max),
            Input::Timeout => self.handle_timeout(context.now),
        }
        self.pump(context);
    }

    /// Takes the next output, in order. `None` when the input is fully drained.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        let Output::Apply { revision } = output else {
            return Some(output);
        };
        // The state that the driver can read is the newest: that one is applied, and only after it is durable.
        if self.skip_to_newest(revision) {
            return self.poll_output();
        }
        Some(output)
    }

    /// The moment, in the driver's milliseconds, at which [`Input::Timeout`] is due, if any.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let (poll, work) = match &self.link {
            Link::Open(open) => {
                let work = [self.desired.wake_ms(), self.report_wake_ms()]
                    .into_iter()
                    .flatten()
                    .min();
                let is_fetching = self.desired.pending.is_some();
                let is_granted = open.poll.is_none() && self.hold_s.is_some() && !is_fetching;
                (
                    is_granted.then_some(open.poll_after_ms),
                    work.filter(|_| open.work.is_none()),
                )
            }
            Link::Down | Link::Asking(..) | Link::Greeting(..) => (None, None),
        };
        [poll, work, self.reporter.retry_ms()]
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

    fn persist(&mut self, writes: Vec<Write>) {
        self.outputs.push_back(Output::Persist(writes));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn next_exchange(&mut self) -> ExchangeId {
        self.exchanges += 1;
        ExchangeId(self.exchanges)
    }
}
