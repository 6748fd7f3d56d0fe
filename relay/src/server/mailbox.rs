//! The handle by which the host fills mailboxes and the server serves them.
//!
//! One short lock around the pure parts; never held across a wait or a call to the host. A post
//! and the waking of its reader happen under one lock, so no news falls between compare and park.

use super::clock::Clock;
use super::events::{Event, Telling};
use super::holds::Holds;
use super::random;
use super::stream::Streams;
use crate::durable::limits::LOW_WATER_QUARTERS;
use crate::exchange::{
    Collector, ExchangeLimits, Exchanges, Held, HeldCollect, MailboxKeys, MailboxSigner,
};
use crate::mailbox::lane::Lane;
use crate::mailbox::{Posted, SnapshotWish};
use crate::metrics::{Metrics, Sample};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, MailboxId, TenantId, Thumbprint};
use postern_protocol::revision::{BundleNumber, Generation, Revision, StoreEpoch};
use postern_protocol::trust::{BundleStep, Trust};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

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
    arrived: watch::Sender<()>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) exchanges: Exchanges,
    pub(super) holds: Holds<ChannelId, Held>,
    pub(super) collects: Holds<Collector, HeldCollect>,
    pub(super) streams: Streams,
    pub(super) is_draining: bool,
    /// Least retry hint while it drains; `None` for the usual one.
    pub(super) leaving_retry_ms: Option<u64>,
}

impl State {
    /// Wakes every collect of a mailbox; returns how many there were.
    pub(super) fn wake_mailboxes(&mut self) -> usize {
        self.collects
            .wake_where(|collector| matches!(collector, Collector::Mailbox(_)))
    }

    /// Wakes the channel's poll if it has news by now. Returns true when it was woken.
    pub(super) fn wake_for_news(&mut self, channel: ChannelId) -> bool {
        let held = self.holds.held(&channel);
        let has_news = held.is_some_and(|held| self.exchanges.has_news(&held));
        has_news && self.holds.wake(&channel)
    }

    /// As [`Self::wake_for_news`], but leaves it to the answer of a post that is under way.
    pub(super) fn wake_or_carry(&mut self, channel: ChannelId) -> bool {
        !self.exchanges.leave_to_answer(channel) && self.wake_for_news(channel)
    }
}

impl Mailbox {
    /// Makes empty mailboxes that answer with `signer`'s key.
    /// # Errors: `overloaded` when the system gives no random bytes.
    pub fn new(signer: MailboxSigner, limits: ExchangeLimits) -> Result<Self, Reject> {
        Self::with_keys(MailboxKeys::one(signer), limits)
    }

    /// Makes empty mailboxes that answer with several keys, each device with one that it knows.
    /// # Errors: as [`Self::new`].
    pub fn with_keys(keys: MailboxKeys, limits: ExchangeLimits) -> Result<Self, Reject> {
        let clock = Clock::new();
        let exchanges = Exchanges::new(limits, keys, random::bytes()?, clock.now_ms());
        let state = State {
            exchanges,
            holds: Holds::default(),
            collects: Holds::default(),
            streams: Streams::default(),
            is_draining: false,
            leaving_retry_ms: None,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                clock,
                telling: Telling::default(),
                arrived: watch::Sender::new(()),
            }),
        })
    }

    /// The newest key that signs welcomes, as bundles must name it.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.lock().exchanges.keys().thumbprint()
    }

    /// Takes other keys, as after a new bundle; sessions that are open stay.
    pub fn replace_keys(&self, keys: MailboxKeys) {
        self.lock().exchanges.replace_keys(keys);
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
        self.post(channel, State::wake_for_news, |exchanges| {
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
        self.post(channel, State::wake_for_news, |exchanges| {
            exchanges
                .mailboxes
                .post_delta(channel, generation, envelope)
        })
    }

    /// Keeps a report acknowledgement. The answer to the post that brought the report carries it;
    /// without one, a poll that waits for it wakes.
    /// # Errors: those of [`Mailboxes::post_report_ack`](crate::mailbox::Mailboxes::post_report_ack).
    pub fn post_report_ack(&self, channel: ChannelId, envelope: &[u8]) -> Result<Posted, Reject> {
        self.post(channel, State::wake_or_carry, |exchanges| {
            exchanges.mailboxes.post_report_ack(channel, envelope)
        })
    }

    /// Keeps a heartbeat; the newest wins. It rides on the next answer, and wakes the device only
    /// when `is_awaited`: it echoes the device's nonce or acknowledges its plane.
    /// # Errors: those of [`Mailboxes::post_heartbeat`](crate::mailbox::Mailboxes::post_heartbeat).
    pub fn post_heartbeat(
        &self,
        channel: ChannelId,
        envelope: &[u8],
        is_awaited: bool,
    ) -> Result<Posted, Reject> {
        let now_ms = self.clock().now_ms();
        self.post(channel, State::wake_or_carry, |exchanges| {
            let mailboxes = &mut exchanges.mailboxes;
            mailboxes.post_heartbeat(channel, envelope, is_awaited, now_ms)
        })
    }

    /// Keeps evidence about the device's own plane, until its head changes, and wakes the device.
    /// # Errors: those of [`Mailboxes::post_evidence`](crate::mailbox::Mailboxes::post_evidence).
    pub fn post_evidence(&self, channel: ChannelId, envelope: &[u8]) -> Result<Posted, Reject> {
        self.post(channel, State::wake_or_carry, |exchanges| {
            exchanges.mailboxes.post_evidence(channel, envelope)
        })
    }

    /// Keeps the answer to a new device key, until [`Self::drop_enrol_answer`], and wakes the device.
    /// # Errors: those of [`Mailboxes::post_enrol_answer`](crate::mailbox::Mailboxes::post_enrol_answer).
    pub fn post_enrol_answer(&self, channel: ChannelId, envelope: &[u8]) -> Result<Posted, Reject> {
        self.post(channel, State::wake_or_carry, |exchanges| {
            exchanges.mailboxes.post_enrol_answer(channel, envelope)
        })
    }

    /// Keeps the newest plane-key of a channel.
    /// # Errors: those of [`Mailboxes::post_plane_key`](crate::mailbox::Mailboxes::post_plane_key).
    pub fn post_plane_key(&self, channel: ChannelId, envelope: &[u8]) -> Result<Posted, Reject> {
        self.post(channel, State::wake_or_carry, |exchanges| {
            exchanges.mailboxes.post_plane_key(channel, envelope)
        })
    }

    /// Forgets the answer to a new device key: the device uses it.
    pub fn drop_enrol_answer(&self, channel: ChannelId) {
        self.lock().exchanges.mailboxes.drop_enrol_answer(channel);
    }

    /// Takes the head of the device's actual plane that is durable with its reader, or
    /// [`Revision::NONE`]: polls that show another one are answered with a question for a snapshot.
    pub fn set_actual_head(&self, channel: ChannelId, held: Revision) {
        self.lock()
            .exchanges
            .mailboxes
            .set_actual_head(channel, held);
    }

    /// Keeps what leads to the newest bundle and wakes every device.
    /// # Errors: those of [`Mailboxes::show_bundles`](crate::mailbox::Mailboxes::show_bundles).
    pub fn show_bundles(&self, steps: &[BundleStep]) -> Result<Posted, Reject> {
        let mut state = self.lock();
        let posted = state.exchanges.mailboxes.show_bundles(steps)?;
        if posted == Posted::Kept {
            state.holds.wake_all();
            state.wake_mailboxes();
        }
        Ok(posted)
    }

    /// Shows a device key no longer, where it was shown.
    pub(crate) fn drop_knock(&self, places: &[(TenantId, u64)]) {
        self.lock().exchanges.mailboxes.drop_knock(places);
    }

    /// Names the store in which the cursors of writers count.
    pub(crate) fn set_store(&self, store: StoreEpoch) {
        self.lock().exchanges.set_store(store);
    }

    /// Names the store in which the cursors of one tenant's writer count, and wakes its collect.
    pub(crate) fn set_store_of(&self, tenant: TenantId, store: StoreEpoch) {
        let mut state = self.lock();
        state.exchanges.set_store_of(tenant, store);
        state.collects.wake(&Collector::Writer(tenant));
    }

    /// Names the store in which the cursors of mailboxes count.
    pub(crate) fn set_onward_store(&self, store: StoreEpoch) {
        self.lock().exchanges.set_onward_store(store);
    }

    /// Shows the admission of a channel to mailboxes that depend on this one.
    pub(crate) fn show_admission(&self, channel: ChannelId, envelope: &Arc<[u8]>) {
        let mut state = self.lock();
        if state
            .exchanges
            .mailboxes
            .install_admission(channel, envelope)
        {
            state.wake_mailboxes();
        }
    }

    /// Bytes kept of what was posted to a device and by it.
    pub(crate) fn lane_bytes(&self, channel: ChannelId) -> (usize, usize) {
        let lanes = self.lock().exchanges.mailboxes.lanes(channel);
        (lanes.desired.bytes(), lanes.actual.bytes())
    }

    /// Heads kept of both planes.
    pub(crate) fn lane_heads(&self, channel: ChannelId) -> (Option<Revision>, Option<Revision>) {
        let lanes = self.lock().exchanges.mailboxes.lanes(channel);
        let head = |lane: &Lane| lane.head().map(|head| head.revision);
        (head(&lanes.desired), head(&lanes.actual))
    }

    /// Bytes of all mailboxes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().exchanges.mailboxes.bytes()
    }

    /// Ends the sessions of a tenant's writer, as when its key was revoked or replaced.
    pub fn close_writer(&self, tenant: TenantId) {
        let mut state = self.lock();
        state.exchanges.close_writer(tenant);
        state.collects.wake(&Collector::Writer(tenant));
    }

    /// Ends the sessions of a mailbox that depends on this one, as when its key was revoked or dropped.
    pub fn close_mailbox(&self, mailbox: MailboxId) {
        let mut state = self.lock();
        state.exchanges.close_mailbox(mailbox);
        state.collects.wake(&Collector::Mailbox(mailbox));
    }

    /// Shows the bundle of a trust that is durable now: every device has news.
    pub(crate) fn show_trust(&self, trust: &Trust) {
        if let Err(reject) = self.show_bundles(trust.steps()) {
            tracing::warn!(%reject, "a bundle cannot be shown to devices");
        }
    }

    /// Tells whether what the writer has not read yet takes up less than half of the quota.
    pub(crate) fn has_drained(&self, channel: ChannelId, cursor: u64, quota_bytes: u64) -> bool {
        let state = self.lock();
        let unread = state.exchanges.mailboxes.unread_bytes(channel, cursor) as u64;
        unread.saturating_mul(4) <= quota_bytes.saturating_mul(LOW_WATER_QUARTERS as u64)
    }

    /// Asks a device for a snapshot of its plane with the next answer, and wakes its poll.
    pub(crate) fn ask_snapshot(&self, channel: ChannelId) {
        let mut state = self.lock();
        state.exchanges.mailboxes.want_actual(channel);
        state.holds.wake(&channel);
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
        state.holds.wake(&channel);
    }

    /// Drops all that is kept for a channel and ends its sessions behind the answers to posts under
    /// way, for a device that leaves: its last report is still acknowledged.
    pub fn evict(&self, channel: ChannelId) {
        let mut state = self.lock();
        state.exchanges.evict(channel);
        state.holds.wake(&channel);
    }

    /// Ends a channel's sessions, as when its key was revoked; what is kept stays.
    pub fn close_sessions(&self, channel: ChannelId) {
        let mut state = self.lock();
        state.exchanges.close_sessions(channel);
        state.holds.wake(&channel);
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

    /// Changes from now on whenever something arrives for a tenant's writer.
    pub(crate) fn arrived(&self) -> watch::Receiver<()> {
        self.shared.arrived.subscribe()
    }

    /// Something arrived for a tenant's writer.
    pub(super) fn note_arrived(&self) {
        self.shared.arrived.send_replace(());
    }

    pub(super) fn tell(&self, event: Event) {
        self.shared.telling.tell(event);
    }

    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a pure part leaves it usable: each change is made as a whole or not at all.
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn post(
        &self,
        channel: ChannelId,
        wake: impl FnOnce(&mut State, ChannelId) -> bool,
        change: impl FnOnce(&mut Exchanges) -> Result<Posted, Reject>,
    ) -> Result<Posted, Reject> {
        let mut state = self.lock();
        let posted = match change(&mut state.exchanges) {
            Ok(posted) => posted,
            Err(reject) => {
                self.metrics().rejected(reject);
                return Err(reject);
            }
        };
        if posted == Posted::Kept && wake(&mut state, channel) {
            self.metrics().hold_released();
        }
        Ok(posted)
    }
}

/// A post or put of a device that is being taken; counted as over however it ends.
#[derive(Debug)]
pub(super) struct Taking {
    mailbox: Mailbox,
    channel: ChannelId,
}

impl Taking {
    /// Watches over a post that [`Exchanges::handle_frame`] handed out.
    pub(super) fn new(mailbox: &Mailbox, channel: ChannelId) -> Self {
        Self {
            mailbox: mailbox.clone(),
            channel,
        }
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let mut state = self.mailbox.lock();
        let ended = state.exchanges.end_post(self.channel);
        if ended.closes {
            state.holds.wake(&self.channel);
        }
        if ended.wakes && state.wake_for_news(self.channel) {
            self.mailbox.metrics().hold_released();
        }
    }
}
