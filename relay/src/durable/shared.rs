//! What callers and the one thread share: the queue, the breaker before it, and what is durable.
//!
//! Refuses a task once the relay is closing, and while the store does not answer.

use super::breaker::{Breaker, BreakerPhase};
use super::driver::Task;
use super::knocks::Knocks;
use super::ledger::Ledger;
use super::queue::Queue;
use crate::server::Mailbox;
use crate::store::StoreError;
use postern_protocol::Reject;
use postern_protocol::id::TenantId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;

/// What callers and the thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
    breaker: Mutex<Breaker>,
    pub(crate) mailbox: Mailbox,
    pub(crate) ledger: Arc<RwLock<Ledger>>,
    knocks: Mutex<Knocks>,
    dead_letters: AtomicU64,
    tenant_refusals: AtomicU64,
    failed: watch::Sender<Option<StoreError>>,
}

#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) queue: Queue<Task>,
    is_closing: bool,
}

impl Shared {
    pub(super) fn new(mailbox: Mailbox, ledger: Ledger) -> Self {
        Self {
            work: Mutex::default(),
            changed: Condvar::new(),
            breaker: Mutex::default(),
            mailbox,
            ledger: Arc::new(RwLock::new(ledger)),
            knocks: Mutex::default(),
            dead_letters: AtomicU64::new(0),
            tenant_refusals: AtomicU64::new(0),
            failed: watch::Sender::new(None),
        }
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.mailbox.clock().now_ms()
    }

    /// Queues a tenant's task. # Errors: `overloaded` when its line is full or the store does not answer.
    pub(crate) fn submit(&self, tenant: TenantId, bytes: usize, task: Task) -> Result<(), Reject> {
        if self.breaker().admit(self.now_ms()).is_err() {
            return Err(Reject::Overloaded);
        }
        let mut work = self.work();
        if work.is_closing {
            return Err(Reject::Overloaded);
        }
        work.queue.push(tenant, bytes, task)?;
        drop(work);
        self.changed.notify_one();
        Ok(())
    }

    /// Queues work of the relay itself.
    pub(crate) fn submit_own(&self, task: Task) {
        let mut work = self.work();
        if !work.is_closing {
            work.queue.push_own(task);
            drop(work);
            self.changed.notify_one();
        }
    }

    /// Takes no more tasks; those queued are still done.
    pub(crate) fn close(&self) {
        self.work().is_closing = true;
        self.changed.notify_one();
    }

    pub(super) fn knocks(&self) -> MutexGuard<'_, Knocks> {
        self.knocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_dead_letter(&self) {
        self.dead_letters.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what was refused because its tenant was full.
    pub(super) fn note_tenant_refusals(&self, count: u64) {
        self.tenant_refusals.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn tenant_refusals(&self) -> u64 {
        self.tenant_refusals.load(Ordering::Relaxed)
    }

    /// Tells everybody that the store has failed.
    pub(super) fn tell_failed(&self, failure: StoreError) {
        self.failed.send_replace(Some(failure));
    }

    pub(super) fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }

    pub(crate) fn phase(&self) -> BreakerPhase {
        self.breaker().phase()
    }

    /// Becomes `Some` when the store has failed: the process is to end.
    pub(crate) fn failed(&self) -> watch::Receiver<Option<StoreError>> {
        self.failed.subscribe()
    }

    /// Bytes and charges that wait for one tenant.
    pub(crate) fn waiting(&self, tenant: TenantId) -> usize {
        self.work().queue.cost_of(tenant)
    }

    /// Waits for tasks and takes a group of them; `None` when closed and empty.
    pub(super) fn next_group(&self) -> Option<Vec<Task>> {
        let mut work = self.work();
        loop {
            if !work.queue.is_empty() {
                let group = work.queue.take_group();
                // A line whose deficit did not reach gets its next turn at once.
                if !group.is_empty() {
                    return Some(group);
                }
            } else if work.is_closing {
                return None;
            } else {
                let waited = self.changed.wait(work);
                work = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
