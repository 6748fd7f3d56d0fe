//! The one thread that decides and commits: all that waits, one commit, then the answers.
//!
//! ```text
//!   tasks --queue--> stage (decided, not shown) --commit--> installed, readers wake, answers go
//!                                               '-failed--> nothing is shown or acknowledged
//! ```
//!
//! The thread never waits to fill a group. Refuses every post from the first failed commit on: the
//! process ends and the next one finds everything that was acknowledged.

use super::breaker::BreakerPhase;
use super::ledger::{Admission, Ledger};
use super::limits::{ADMISSION_FRESH_MS, SWEEP_CHANNELS_MAX};
use super::posts::Proof;
use super::shared::Shared;
use super::stage::{Changes, Stage};
use super::sweep::DeadLetter;
use crate::exchange::{Delivered, DeliveredItem};
use crate::mailbox::{Chunk, Lanes, MailboxLimits};
use crate::server::{Shown, Taken};
use crate::store::{Batch, Store, StoreError};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, MailboxId, Plane, TenantId};
use postern_protocol::key::PublicKey;
use postern_protocol::revision::{Knock, ReceiptNumber};
use postern_protocol::trust::{Bundle, Trust};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Reject>>;

/// Work for the thread.
#[derive(Debug)]
pub(crate) enum Task {
    /// An envelope of a device.
    Post {
        channel: ChannelId,
        plane: Option<Plane>,
        envelope: Vec<u8>,
        proof: Proof,
        reply: Reply<Taken>,
    },
    /// Section bodies of a device or of a writer.
    Bodies {
        channel: ChannelId,
        plane: Plane,
        chunks: Vec<Chunk>,
        reply: Reply<Taken>,
    },
    /// What a writer delivered.
    Deliver {
        tenant: TenantId,
        items: Vec<DeliveredItem>,
        /// What stands for the writer.
        proof: Proof,
        reply: Reply<Delivered>,
    },
    /// Section bodies of a writer.
    DeliverBodies {
        tenant: TenantId,
        channel: ChannelId,
        plane: Plane,
        chunks: Vec<Chunk>,
        reply: Reply<Delivered>,
    },
    /// An operator drops what is kept for a channel.
    Forget {
        channel: ChannelId,
        reply: Reply<Taken>,
    },
    /// An operator gives a tenant a quota, or with `None` takes it away.
    Quota {
        tenant: TenantId,
        bytes: Option<u64>,
        reply: Reply<Taken>,
    },
    /// A new device key asks to be enrolled.
    Knock { knock: Knock, frame: Arc<[u8]> },
    /// How far a writer has read.
    Cursor {
        tenant: TenantId,
        cursor: u64,
        /// A fresh store epoch, should the cursor show that this store went back.
        drawn: u64,
    },
    /// A device has the receipt that is kept for it.
    Receipt {
        channel: ChannelId,
        receipt: ReceiptNumber,
    },
    /// Time has passed.
    Sweep,
}

/// What happens after the commit.
enum Deferred {
    Taken(Reply<Taken>, Result<Taken, Reject>),
    Delivered(Reply<Delivered>, Result<Delivered, Reject>),
}

/// The thread's side.
pub(crate) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn Store>,
    pub(super) limits: MailboxLimits,
    /// What the arrival clock showed when this process began.
    pub(super) clock_start_s: u64,
    pub(super) swept: Option<ChannelId>,
    /// Devices that were refused for want of room.
    pub(super) refused: BTreeSet<ChannelId>,
}

impl Driver {
    /// Works until it is closed, or the store fails.
    pub(super) fn run(mut self) {
        while let Some(group) = self.shared.next_group() {
            if let Err(failure) = self.work(group) {
                error!(%failure, "the store failed: nothing is acknowledged any more");
                self.shared.breaker().fail();
                self.shared.close();
                let mut work = self.shared.work();
                let rest = std::mem::take(&mut work.queue);
                drop(work);
                // Whoever waits is answered: its reply is dropped, which reads as overloaded.
                drop(rest);
                self.shared.tell_failed(failure);
                return;
            }
        }
        if let Err(failure) = self.store.close() {
            error!(%failure, "the store did not close in order");
            self.shared.tell_failed(failure);
        }
    }

    fn clock_s(&self) -> u64 {
        let running_s = self.shared.now_ms() / 1_000;
        self.clock_start_s.saturating_add(running_s)
    }

    /// Decides, commits, shows and answers one group.
    fn work(&mut self, group: Vec<Task>) -> Result<(), StoreError> {
        let clock_s = self.clock_s();
        let shared = Arc::clone(&self.shared);
        let ledger = shared.ledger.read().unwrap_or_else(PoisonError::into_inner);
        let held_bytes = shared.mailbox.lock().exchanges.mailboxes.bytes();
        let lanes_of = |channel| shared.mailbox.lock().exchanges.mailboxes.lanes(channel);
        let bytes_of = |tenant| shared.mailbox.lock().exchanges.mailboxes.bytes_of(tenant);
        let mut stage = Stage::new(
            &ledger,
            &lanes_of,
            &bytes_of,
            self.limits,
            held_bytes,
            clock_s,
        );
        let mut deferred = Vec::new();
        for task in group {
            deferred.extend(self.take(&mut stage, task, held_bytes));
        }
        self.shared.note_tenant_refusals(stage.tenant_refusals);
        let changes = stage.changes;
        let mut batch = Batch::new();
        changes.write(&ledger, clock_s, &mut batch);
        drop(ledger);
        if !batch.is_empty() {
            self.commit(batch)?;
        }
        self.show(changes, clock_s);
        for one in deferred {
            match one {
                // A caller that no longer waits has dropped its receiver.
                Deferred::Taken(reply, result) => drop(reply.send(result)),
                Deferred::Delivered(reply, result) => drop(reply.send(result)),
            }
        }
        Ok(())
    }

    fn take(&mut self, stage: &mut Stage<'_>, task: Task, held_bytes: usize) -> Option<Deferred> {
        match task {
            Task::Post {
                channel,
                plane,
                envelope,
                proof,
                reply,
            } => {
                let result = stage.take_post(channel, plane, &envelope, proof);
                self.note_refused(channel, &result);
                Some(Deferred::Taken(reply, result))
            }
            Task::Bodies {
                channel,
                plane,
                chunks,
                reply,
            } => {
                let result = stage.take_bodies(channel, plane, &chunks);
                self.note_refused(channel, &result);
                Some(Deferred::Taken(reply, result))
            }
            Task::Deliver {
                tenant,
                items,
                proof,
                reply,
            } => {
                let delivered = stage.take_deliver(tenant, &items, proof);
                Some(Deferred::Delivered(reply, Ok(delivered)))
            }
            Task::DeliverBodies {
                tenant,
                channel,
                plane,
                chunks,
                reply,
            } => {
                let result = stage.take_delivered_bodies(tenant, channel, plane, &chunks);
                Some(Deferred::Delivered(reply, result))
            }
            Task::Forget { channel, reply } => {
                Some(Deferred::Taken(reply, self.forget(stage, channel)))
            }
            Task::Quota {
                tenant,
                bytes,
                reply,
            } => {
                stage.changes.quotas.insert(tenant, bytes);
                Some(Deferred::Taken(reply, Ok(Taken::default())))
            }
            own @ (Task::Knock { .. }
            | Task::Cursor { .. }
            | Task::Receipt { .. }
            | Task::Sweep) => {
                self.take_own(stage, own, held_bytes);
                None
            }
        }
    }

    /// Takes what nobody waits for.
    fn take_own(&mut self, stage: &mut Stage<'_>, task: Task, held_bytes: usize) {
        match task {
            Task::Knock { knock, frame } => stage.take_knock(knock, frame),
            Task::Cursor {
                tenant,
                cursor,
                drawn,
            } => {
                let mailbox = self.shared.mailbox.lock();
                let channels = mailbox.exchanges.mailboxes.channels_up_to(tenant, cursor);
                drop(mailbox);
                stage.take_cursor(tenant, cursor, &channels, drawn);
            }
            Task::Receipt { channel, receipt } => stage.let_receipt_go(channel, receipt),
            Task::Sweep => {
                let now_ms = self.shared.now_ms();
                let over = self.shared.knocks().expire(now_ms);
                self.shared.mailbox.drop_knock(&over);
                self.sweep(stage, held_bytes);
            }
            Task::Post { .. }
            | Task::Bodies { .. }
            | Task::Deliver { .. }
            | Task::DeliverBodies { .. }
            | Task::Forget { .. }
            | Task::Quota { .. } => unreachable!("whoever waits is answered by the caller"),
        }
    }

    fn forget(&self, stage: &mut Stage<'_>, channel: ChannelId) -> Result<Taken, Reject> {
        let dead = stage.forget(channel)?;
        self.tell_dead(stage, &dead);
        Ok(Taken::default())
    }

    fn note_refused<T>(&mut self, channel: ChannelId, result: &Result<T, Reject>) {
        if matches!(result, Err(Reject::Quota)) {
            self.refused.insert(channel);
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.shared.breaker().begin(self.shared.now_ms());
        let _durable = self.store.commit(batch)?;
        let mut breaker = self.shared.breaker();
        if breaker.end(self.shared.now_ms()) {
            match breaker.phase() {
                BreakerPhase::Closed => info!("the store answers in time again"),
                BreakerPhase::Open | BreakerPhase::Failed => {
                    warn!("the store is slow: posts are refused until it recovers");
                }
            }
        }
        Ok(())
    }

    /// Looks after the next few mailboxes.
    fn sweep(&mut self, stage: &mut Stage<'_>, held_bytes: usize) {
        let from = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let range = stage.ledger.admissions.range((from, Bound::Unbounded));
        let channels: Vec<ChannelId> = range
            .map(|(channel, _)| *channel)
            .take(SWEEP_CHANNELS_MAX)
            .collect();
        self.swept = channels.last().copied();
        let is_under_pressure = stage.is_under_pressure(held_bytes);
        for channel in channels {
            let dead = stage.sweep(channel, is_under_pressure);
            self.tell_dead(stage, &dead);
        }
    }

    /// Counts letters that were dropped unread, and tells both ends of them.
    fn tell_dead(&self, stage: &mut Stage<'_>, dead: &[DeadLetter]) {
        if dead.is_empty() {
            return;
        }
        let signer = {
            let mailbox = self.shared.mailbox.lock();
            Arc::clone(mailbox.exchanges.keys().signer())
        };
        for one in dead {
            self.shared.note_dead_letter();
            let (channel, plane) = (one.channel, one.plane.as_str());
            let bytes = one.envelope.len();
            warn!(device = %channel, plane, bytes, "dropped a letter that nobody came for");
            let tenant = stage.admission(channel).map(Admission::tenant);
            let Some(tenant) = tenant else { continue };
            let epoch = stage.ledger.epoch_of(tenant);
            if let Err(reason) = stage.tell_sender(one, epoch, signer.as_ref()) {
                warn!(device = %channel, %reason, "cannot tell its device");
            }
            if let Err(reason) = stage.tell_dead(one, epoch, signer.as_ref()) {
                warn!(device = %channel, %reason, "cannot tell its writer");
            }
        }
    }

    /// Shows what is durable now, and wakes whom it concerns.
    fn show(&mut self, changes: Changes, clock_s: u64) {
        let mut ledger = self
            .shared
            .ledger
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        ledger.clock_s = clock_s;
        let now_ms = self.shared.now_ms();
        ledger
            .changed_ms
            .retain(|_, at| now_ms.saturating_sub(*at) < ADMISSION_FRESH_MS);
        let mailbox = &self.shared.mailbox;
        for trust in changes.trust {
            mailbox.show_trust(&trust);
            let before = ledger.replace_trust(trust);
            self.close_refused(&before, &ledger);
        }
        for (channel, admission) in changes.admissions {
            mailbox.show_admission(channel, &admission.envelope);
            let before = ledger.admissions.insert(channel, admission.clone());
            // A session of a key that still counts, in the same life, goes on.
            let is_same = before.is_some_and(|before| {
                let mut keys = before.keys.iter();
                before.incarnation == admission.incarnation
                    && keys.all(|key| admission.keys.contains(key))
            });
            if admission.is_withdrawn || !is_same {
                mailbox.close_sessions(channel);
                ledger.changed_ms.insert(channel, now_ms);
            }
        }
        ledger.take_quotas(changes.quotas);
        for (tenant, account) in changes.accounts {
            let before = ledger.epoch_of(tenant);
            ledger.accounts.insert(tenant, account);
            let epoch = ledger.epoch_of(tenant);
            if epoch != before {
                warn!(%tenant, "the store went back behind what its writer has read: it is filled anew");
                mailbox.set_store_of(tenant, epoch);
            }
        }
        let is_gone = |channel: &&ChannelId| ledger.admitted(**channel).is_none();
        let gone: BTreeSet<ChannelId> = changes.lanes.keys().filter(is_gone).copied().collect();
        drop(ledger);
        let mut shown = Shown::default();
        for (channel, staged) in changes.lanes {
            if gone.contains(&channel) && staged.now == Lanes::default() {
                mailbox.remove(channel);
            } else if staged.is_change() {
                shown.lanes.push((channel, staged.tenant, staged.now));
            }
        }
        for one in &changes.knocks {
            // Where it is seen is noted first: a writer may answer as soon as it sees it.
            let places = one.places.clone();
            self.shared.knocks().note_shown(one.knock, places);
        }
        shown.knocks = &changes.knocks;
        mailbox.install(shown);
        self.ask_refused();
    }

    /// Ends the sessions of whom the newest bundle serves no longer.
    fn close_refused(&self, before: &Trust, ledger: &Ledger) {
        let mailbox = &self.shared.mailbox;
        let content = before.held().map(Bundle::content);
        let writers = content.into_iter().flat_map(|content| &content.writers);
        for (name, writership) in writers {
            let tenant = TenantId::of(before.root(), name);
            let now = ledger.writer(tenant).map(|(_, _, key)| key);
            if now != Some(&writership.key) {
                mailbox.close_writer(tenant);
            }
        }
        for held in before.mailboxes().iter().map(|one| one.key.thumbprint()) {
            let is_named = ledger.mailboxes().any(|key| key.thumbprint() == held);
            if !is_named {
                mailbox.close_mailbox(MailboxId::of(before.root(), held));
            }
        }
        for (channel, admission) in &ledger.admissions {
            let mut keys = admission.keys.iter().map(PublicKey::thumbprint);
            if keys.any(|key| ledger.trust().is_revoked(&key) && !before.is_revoked(&key)) {
                mailbox.close_sessions(*channel);
            }
        }
    }

    /// Asks devices that were refused for want of room for their state, once there is some.
    fn ask_refused(&mut self) {
        if self.refused.is_empty() {
            return;
        }
        let ledger = self
            .shared
            .ledger
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mailbox = &self.shared.mailbox;
        self.refused.retain(|channel| {
            let Some(admission) = ledger.admitted(*channel) else {
                return false;
            };
            let tenant = admission.tenant();
            let account = ledger.accounts.get(&tenant);
            let cursor = account.map_or(0, |account| account.cursor);
            let held_bytes = mailbox.lock().exchanges.mailboxes.bytes_of(tenant);
            let is_drained = ledger.has_room(tenant, held_bytes)
                && mailbox.has_drained(*channel, cursor, admission.quota_bytes);
            if is_drained {
                mailbox.ask_snapshot(*channel);
            }
            !is_drained
        });
    }
}
