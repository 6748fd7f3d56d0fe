//! The handle by which the host fills mailboxes and the server serves them.
//!
//! One short lock around the pure parts; never held across a wait or a call to the host. A post
//! and the waking of its reader happen under one lock, so no news falls between compare and park.

use super::clock::Clock;
use super::events::{Event, Telling};
use super::holds::{Holds, Ticket};
use super::random;
use crate::exchange::{ExchangeLimits, Exchanges, MailboxSigner};
use crate::mailbox::{Posted, SnapshotWish};
use crate::metrics::{Metrics, Sample};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Thumbprint};
use postern_protocol::revision::{BundleNumber, Generation, Revision};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, oneshot};

/// All mailboxes of one trust domain, shared by host and server. Clones are the same mailboxes.
#[derive(Debug, Clone)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: Clock,
    telling: Telling,
    thumbprint: Thumbprint,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) exchanges: Exchanges,
    pub(super) holds: Holds,
    pub(super) is_draining: bool,
}

impl Mailbox {
    /// Makes empty mailboxes that answer with `signer`'s key.
    /// # Errors: `overloaded` when the system gives no random bytes.
    pub fn new(signer: MailboxSigner, limits: ExchangeLimits) -> Result<Self, Reject> {
        let clock = Clock::new();
        let thumbprint = signer.public_key().thumbprint();
        let exchanges = Exchanges::new(limits, signer, random::bytes()?, clock.now_ms());
        let state = State {
            exchanges,
            holds: Holds::default(),
            is_draining: false,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                clock,
                telling: Telling::default(),
                thumbprint,
            }),
        })
    }

    /// The key that signs welcomes, as bundles must name it.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.shared.thumbprint
    }

    /// Keeps a snapshot with those section bodies that are not held yet, and wakes the device.
    /// # Errors: those of [`Mailboxes::post_snapshot`](crate::mailbox::Mailboxes::post_snapshot).
    pub fn post_snapshot(
        &self,
        channel: ChannelId,
        generation: Generation,
        envelope: &[u8],
        bodies: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Posted, Reject> {
        self.post(channel, |exchanges| {
            exchanges
                .mailboxes
                .post_snapshot(channel, generation, envelope, bodies)
        })
    }

    /// Appends a delta and wakes the device.
    /// # Errors: those of [`Mailboxes::post_delta`](crate::mailbox::Mailboxes::post_delta).
    pub fn post_delta(
        &self,
        channel: ChannelId,
        generation: Generation,
        envelope: &[u8],
    ) -> Result<Posted, Reject> {
        self.post(channel, |exchanges| {
            exchanges
                .mailboxes
                .post_delta(channel, generation, envelope)
        })
    }

    /// Keeps a report acknowledgement and wakes the device.
    /// # Errors: those of [`Mailboxes::post_report_ack`](crate::mailbox::Mailboxes::post_report_ack).
    pub fn post_report_ack(&self, channel: ChannelId, envelope: &[u8]) -> Result<Posted, Reject> {
        self.post(channel, |exchanges| {
            exchanges.mailboxes.post_report_ack(channel, envelope)
        })
    }

    /// Keeps the next bundle and wakes every device.
    /// # Errors: those of [`Mailboxes::post_bundle`](crate::mailbox::Mailboxes::post_bundle).
    pub fn post_bundle(&self, envelope: &[u8]) -> Result<Posted, Reject> {
        let mut state = self.lock();
        let posted = state.exchanges.mailboxes.post_bundle(envelope)?;
        if posted == Posted::Kept {
            state.holds.wake_all();
        }
        Ok(posted)
    }

    /// Tells whether the writer should post a snapshot, and why.
    #[must_use]
    pub fn wants_snapshot(&self, channel: ChannelId) -> Option<SnapshotWish> {
        self.lock().exchanges.mailboxes.wants_snapshot(channel)
    }

    /// Returns the head of the desired chain that is kept, or `None`.
    #[must_use]
    pub fn head(&self, channel: ChannelId) -> Option<Revision> {
        self.lock().exchanges.mailboxes.head(channel)
    }

    /// Returns the highest bundle kept; 0 for none.
    #[must_use]
    pub fn bundle_number(&self) -> BundleNumber {
        self.lock().exchanges.mailboxes.bundle_number()
    }

    /// Ends a channel's sessions and drops all that is kept for it.
    pub fn remove(&self, channel: ChannelId) {
        let mut state = self.lock();
        state.exchanges.remove(channel);
        state.holds.wake(channel);
    }

    /// Ends a channel's sessions, as when its key was revoked; what is kept stays.
    pub fn close_sessions(&self, channel: ChannelId) {
        let mut state = self.lock();
        state.exchanges.close_sessions(channel);
        state.holds.wake(channel);
    }

    /// Sessions held now, those included that no frame confirmed yet.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.lock().exchanges.sessions()
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.telling.metrics
    }

    /// All counters and gauges as they stand now, in a fixed order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Sample> {
        let (sessions, bytes) = {
            let state = self.lock();
            let exchanges = &state.exchanges;
            (exchanges.sessions(), exchanges.mailboxes.bytes())
        };
        let gauge = |name, value: usize| Sample {
            name,
            label: None,
            value: value as u64,
        };
        let mut samples = self.metrics().snapshot();
        samples.push(gauge("postern_sessions", sessions));
        samples.push(gauge("postern_mailbox_bytes", bytes));
        samples
    }

    /// Events from now on; a slow listener loses the oldest.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.telling.subscribe()
    }

    pub(super) fn tell(&self, event: Event) {
        self.shared.telling.tell(event);
    }

    pub(super) fn clock(&self) -> Clock {
        self.shared.clock
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a pure part leaves it usable: each change is made as a whole or not at all.
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn post(
        &self,
        channel: ChannelId,
        change: impl FnOnce(&mut Exchanges) -> Result<Posted, Reject>,
    ) -> Result<Posted, Reject> {
        let mut state = self.lock();
        let posted = change(&mut state.exchanges)?;
        if posted == Posted::Kept && state.holds.wake(channel) {
            self.metrics().hold_released();
        }
        Ok(posted)
    }
}

/// A place among the holds; given back when the exchange ends, however it ends.
#[derive(Debug)]
pub(super) struct Place {
    mailbox: Mailbox,
    channel: ChannelId,
    ticket: Ticket,
}

impl Place {
    /// Takes a place in a state that the caller has locked.
    pub(super) fn take(
        mailbox: &Mailbox,
        state: &mut State,
        channel: ChannelId,
    ) -> (Self, oneshot::Receiver<()>) {
        let (ticket, woken) = state.holds.park(channel);
        mailbox.metrics().hold_began();
        let place = Self {
            mailbox: mailbox.clone(),
            channel,
            ticket,
        };
        (place, woken)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.mailbox.lock().holds.leave(self.channel, self.ticket);
        self.mailbox.metrics().hold_ended();
    }
}
