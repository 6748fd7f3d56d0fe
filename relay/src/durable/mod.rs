//! Mailboxes that outlive their process: every accepted post is on disk before it is answered.
//!
//! ```text
//!   host --task--> queue (a line for each tenant) --> one thread: stage, commit, show, answer
//!                                                            |
//!   store: lanes, admissions, bundles, accounts <------------'      restart rebuilds all of it
//! ```
//!
//! Reading order: `ledger` (whom the relay serves), `stage` (one commit), `posts` (what devices
//! bring), `quotas` (what tenants may have), `sweep` (what time does), `driver` (the thread), `queue` and `breaker` before it.
//! Refuses to show what is not durable, and to go on after a commit that failed.

mod breaker;
mod chain;
mod deliver;
mod driver;
mod fields;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzz;
mod host;
mod knocks;
mod lanes;
mod ledger;
pub mod limits;
mod posts;
mod queue;
mod quotas;
mod shared;
mod stage;
mod sweep;
#[cfg(test)]
mod tests;

pub use breaker::BreakerPhase;
pub use host::RelayHost;
pub use ledger::{Account, Admission};

use crate::mailbox::MailboxLimits;
use crate::server::{Mailbox, Shown};
use crate::store::{Batch, KeyRange, Record, Store, StoreError, Table};
use driver::{Driver, Task};
use fields::Malformed;
use ledger::{
    ADMISSIONS, BUNDLES, CLOCK_KEY, EPOCH_KEY, Ledger, OWN, QUOTAS, TENANTS, insert_bundle,
    load_accounts, load_admissions, load_quotas, load_trust, read_number,
};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, TenantId};
use postern_protocol::key::PublicKey;
use postern_protocol::revision::{Knock, StoreEpoch};
use postern_protocol::trust::Trust;
use shared::Shared;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard};
use std::thread::JoinHandle;
use tokio::sync::watch;
use tracing::info;

/// Records read in one go while loading. Bounds memory, not the store.
const LOAD_RECORDS: usize = 1_024;

/// Why durable mailboxes cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store cannot be read or written.
    #[error("the relay's store cannot be used")]
    Store(#[from] StoreError),
    /// A record checks out and does not hold what a relay writes.
    #[error(
        "the relay's store holds a record of table {table} that no relay wrote: move the store away and start with a new one, controllers fill it again"
    )]
    Malformed {
        /// The table.
        table: &'static str,
    },
    /// A stored or given bundle does not verify.
    #[error(
        "a bundle was refused ({reject}): take the trust line of the domain that this store belongs to"
    )]
    Bundle {
        /// Why.
        reject: Reject,
    },
    /// The system gives no random bytes or no thread.
    #[error("the system gives no random bytes or no thread")]
    System,
}

/// The durable mailboxes of one trust domain.
#[derive(Debug)]
pub struct Durable {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Durable {
    /// Rebuilds everything that the store holds, shows it in `mailbox`, and starts the thread.
    ///
    /// `pinned` names the trust domain; `bundles` are those of its trust line, from number 1 on.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left running then.
    pub fn open(
        store: Arc<dyn Store>,
        pinned: Trust,
        bundles: &[Vec<u8>],
        mailbox: Mailbox,
        limits: MailboxLimits,
    ) -> Result<Self, OpenError> {
        let ledger = load_ledger(store.as_ref(), pinned, bundles)?;
        show_all(store.as_ref(), &ledger, &mailbox)?;
        mailbox.set_store(StoreEpoch::new(ledger.epoch));
        let onward = draw_epoch().ok_or(OpenError::System)?;
        mailbox.set_onward_store(StoreEpoch::new(onward));
        for tenant in ledger.accounts.keys() {
            mailbox.set_store_of(*tenant, ledger.epoch_of(*tenant));
        }
        let clock_start_s = ledger.clock_s;
        let shared = Arc::new(Shared::new(mailbox, ledger));
        let driver = Driver {
            shared: Arc::clone(&shared),
            store,
            limits,
            clock_start_s,
            swept: None,
            refused: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new()
            .name("postern-relay".to_owned())
            .spawn(move || driver.run())
            .map_err(|_| OpenError::System)?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn ledger(&self) -> RwLockReadGuard<'_, Ledger> {
        let ledger = self.shared.ledger.read();
        ledger.unwrap_or_else(PoisonError::into_inner)
    }

    /// The store's id number: another one tells controllers that this store begins anew.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.ledger().epoch
    }

    /// Whether posts are taken.
    #[must_use]
    pub fn phase(&self) -> BreakerPhase {
        self.shared.phase()
    }

    /// Becomes `Some` when the store has failed: the process has to end.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<StoreError>> {
        self.shared.failed()
    }

    /// How far the arrivals of a tenant were counted and read.
    #[must_use]
    pub fn account(&self, tenant: TenantId) -> Account {
        let ledger = self.ledger();
        ledger.accounts.get(&tenant).copied().unwrap_or_default()
    }

    /// Every admission held, withdrawn ones too.
    #[must_use]
    pub fn admissions(&self) -> Vec<(ChannelId, Admission)> {
        let ledger = self.ledger();
        let admissions = ledger.admissions.iter();
        admissions
            .map(|(channel, admission)| (*channel, admission.clone()))
            .collect()
    }

    /// Bytes and charges of tasks that wait for one tenant.
    #[must_use]
    pub fn waiting(&self, tenant: TenantId) -> usize {
        self.shared.waiting(tenant)
    }

    /// Seconds that this store has been at work, as of its last commit.
    #[must_use]
    pub fn clock_s(&self) -> u64 {
        self.ledger().clock_s
    }

    /// The bundle that is held, as a trust.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.ledger().trust().clone()
    }

    /// Keys of mailboxes that the bundle names and does not revoke.
    #[must_use]
    pub fn mailbox_keys(&self) -> Vec<PublicKey> {
        self.ledger().mailboxes().cloned().collect()
    }

    /// Drops everything that is kept for a channel and not yet read, once that is durable. The
    /// admission stays: its device may post anew.
    ///
    /// # Errors
    /// `not-admitted` for a channel without an admission; `overloaded`.
    pub async fn forget(&self, channel: ChannelId) -> Result<(), Reject> {
        let admission = self.ledger().admissions.get(&channel).cloned();
        let tenant = admission.ok_or(Reject::NotAdmitted)?.tenant();
        let (reply, answer) = tokio::sync::oneshot::channel();
        let task = Task::Forget { channel, reply };
        self.shared.submit(tenant, 0, task)?;
        let forgotten = answer.await;
        forgotten.unwrap_or(Err(Reject::Overloaded)).map(|_| ())
    }

    /// Milliseconds until something can be made durable again, where nothing can now.
    pub(crate) fn unavailable_ms(&self) -> Option<u64> {
        let now_ms = self.shared.mailbox.clock().now_ms();
        self.shared.breaker().refuses_ms(now_ms)
    }

    /// The mailboxes that show what is durable.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.shared.mailbox
    }

    /// True while an enrolment waits for its answer.
    pub(crate) fn has_knock(&self, knock: Knock) -> bool {
        self.shared.knocks().is_waiting(knock)
    }

    /// Gives an enrolment its answer.
    ///
    /// # Errors
    /// `knock-unknown`; frame rejects; `shape` for another frame than an enrolled one.
    pub(crate) fn answer_knock(
        &self,
        tenant: TenantId,
        knock: Knock,
        frame: Vec<u8>,
    ) -> Result<(), Reject> {
        let now_ms = self.shared.mailbox.clock().now_ms();
        let answered = self.shared.knocks().answer(tenant, knock, frame, now_ms);
        answered.map(|places| self.shared.mailbox.drop_knock(&places))
    }

    /// Enrolments that wait for their controller.
    #[must_use]
    pub fn knocks(&self) -> usize {
        self.shared.knocks().waiting()
    }

    /// Letters that were dropped unread, for their age or with their mailbox, since this process began.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.shared.dead_letters()
    }

    /// Looks after the next few mailboxes: to be called every [`limits::SWEEP_MS`].
    pub fn sweep(&self) {
        self.shared.submit_own(Task::Sweep);
    }

    /// Takes no more tasks, commits those that wait, closes the store, and returns when that is
    /// done. Blocks; not for async tasks.
    pub fn close(&self) {
        self.shared.close();
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread has dropped every reply, which reads as overloaded.
            drop(thread.join());
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads every record of a table.
fn load(store: &dyn Store, table: Table) -> Result<Vec<Record>, StoreError> {
    let mut records = Vec::new();
    let mut range = KeyRange::all();
    loop {
        let page = store.range(table, &range, LOAD_RECORDS)?;
        let is_last = page.len() < LOAD_RECORDS;
        if let Some(last) = page.last() {
            range = KeyRange::after(last.key.clone());
        }
        records.extend(page);
        if is_last {
            return Ok(records);
        }
    }
}

fn load_ledger(store: &dyn Store, pinned: Trust, bundles: &[Vec<u8>]) -> Result<Ledger, OpenError> {
    let malformed = |table: Table| {
        move |Malformed| OpenError::Malformed {
            table: table.name(),
        }
    };
    let number = |key: &[u8]| -> Result<Option<u64>, OpenError> {
        let value = store.get(OWN, key)?;
        value
            .map(|value| read_number(&value).map_err(malformed(OWN)))
            .transpose()
    };
    let refused = |reject| OpenError::Bundle { reject };
    let mut batch = Batch::new();
    let epoch = match number(EPOCH_KEY)? {
        Some(epoch) => epoch,
        None => {
            let epoch = draw_epoch().ok_or(OpenError::System)?;
            batch.insert(OWN, EPOCH_KEY, epoch.to_be_bytes());
            epoch
        }
    };
    let root = pinned.root();
    let mut trust = load_trust(pinned, &load(store, BUNDLES)?).map_err(refused)?;
    for bundle in bundles {
        trust = match trust.offer(bundle) {
            Ok(next) => next,
            // The store is as far as the line, or further.
            Err(Reject::BundleStale) => continue,
            Err(reject) => return Err(refused(reject)),
        };
        insert_bundle(&mut batch, &trust);
    }
    let admissions = load_admissions(root, &load(store, ADMISSIONS)?);
    let accounts = load_accounts(&load(store, TENANTS)?);
    let quotas = load_quotas(&load(store, QUOTAS)?);
    let mut ledger = Ledger::new(
        epoch,
        number(CLOCK_KEY)?.unwrap_or_default(),
        trust,
        admissions.map_err(malformed(ADMISSIONS))?,
        accounts.map_err(malformed(TENANTS))?,
    );
    ledger.quotas = quotas.map_err(malformed(QUOTAS))?;
    if !batch.is_empty() {
        let _durable = store.commit(batch)?;
    }
    Ok(ledger)
}

/// A number that no other store has: 63 random bits, not 0.
fn draw_epoch() -> Option<u64> {
    let bytes = crate::server::random_bytes::<8>().ok()?;
    Some((u64::from_be_bytes(bytes) >> 1).max(1))
}

/// Shows what the store holds, as if it had just been committed.
fn show_all(store: &dyn Store, ledger: &Ledger, mailbox: &Mailbox) -> Result<(), OpenError> {
    mailbox.show_trust(ledger.trust());
    let lanes = lanes::load(load(store, lanes::LANES)?);
    let lanes = lanes.map_err(|Malformed| OpenError::Malformed {
        table: lanes::LANES.name(),
    })?;
    let count = lanes.len();
    for (channel, admission) in &ledger.admissions {
        mailbox.show_admission(*channel, &admission.envelope);
    }
    for (channel, lanes) in lanes {
        let Some(admission) = ledger.admissions.get(&channel) else {
            return Err(OpenError::Malformed {
                table: lanes::LANES.name(),
            });
        };
        mailbox.install(Shown {
            lanes: vec![(channel, admission.tenant(), lanes)],
            knocks: &[],
        });
    }
    let bundle = ledger.trust().number().number();
    info!(
        mailboxes = count,
        admissions = ledger.admissions.len(),
        bundle,
        "rebuilt the mailboxes from the store"
    );
    Ok(())
}
