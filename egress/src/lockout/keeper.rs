//! Joins the pure lock-out to a clock and to what survives the process.
//!
//! A try is durable before the secret is sent: a process that ends in between starts again locked.
//! Refuses to send a secret that is not proven when the record cannot be written.

use super::record::{Uptime, decode, encode};
use super::{Fingerprint, Lockout, Mark, Verdict};
use crate::clock::{Clock, Moment};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where the record is kept between processes.
pub trait LockoutMemory: fmt::Debug + Send + Sync {
    /// Returns the record, `None` when none was ever saved.
    ///
    /// # Errors
    /// What the system says; then no proxy can be used.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the record; durable, as a whole, when this returns.
    ///
    /// # Errors
    /// What the system says; then nothing unproven is sent.
    fn save(&self, record: &[u8]) -> io::Result<()>;

    /// Returns the present moment, counted since boot.
    fn uptime(&self) -> Uptime;

    /// Draws the salt of a new record: 32 random bytes.
    fn salt(&self) -> [u8; 32];
}

/// The lock-out of a process, with or without a memory.
#[derive(Debug)]
pub(crate) struct LockoutKeeper {
    memory: Option<Arc<dyn LockoutMemory>>,
    clock: Clock,
    lockout: Mutex<Lockout>,
}

impl LockoutKeeper {
    /// Forgets with the process.
    pub(crate) fn in_process() -> Self {
        Self {
            memory: None,
            clock: Clock::start(),
            lockout: Mutex::new(Lockout::new([0; 32])),
        }
    }

    /// Goes on where the record ends. A damaged one locks every secret for the first pause.
    pub(crate) fn open(memory: Arc<dyn LockoutMemory>) -> io::Result<Self> {
        let now = memory.uptime();
        let lockout = match memory.load()? {
            None => Lockout::new(memory.salt()),
            Some(record) => decode(&record, now).unwrap_or_else(|damaged| {
                tracing::warn!(reason = %damaged, "locked all proxy credentials; remove the record to try at once");
                Lockout::after_loss(memory.salt(), now.moment)
            }),
        };
        // What was read counts from now on: a lock must end although the process keeps ending.
        memory.save(encode(&lockout, now).as_bytes())?;
        Ok(Self {
            memory: Some(memory),
            clock: Clock::start(),
            lockout: Mutex::new(lockout),
        })
    }

    pub(crate) fn mark(&self, place: &str, secret: Fingerprint) -> Mark {
        self.lockout().mark(place, secret)
    }

    pub(crate) fn verdict(&self, mark: Mark) -> Verdict {
        self.lockout().verdict(self.now(), mark)
    }

    /// Makes a try durable. Nothing may be sent when this fails.
    pub(crate) fn handle_try(&self, mark: Mark) -> io::Result<()> {
        self.change(|lockout, _now| lockout.handle_try(mark)).1
    }

    pub(crate) fn handle_unsettled(&self, mark: Mark) {
        warn(
            self.change(|lockout, _now| lockout.handle_unsettled(mark))
                .1,
        );
    }

    pub(crate) fn handle_accepted(&self, mark: Mark) {
        warn(self.change(|lockout, _now| lockout.handle_accepted(mark)).1);
    }

    pub(crate) fn handle_rejected(&self, mark: Mark) -> Duration {
        let (wait, saved) = self.change(|lockout, now| lockout.handle_rejected(now, mark));
        warn(saved);
        wait
    }

    fn change<T>(&self, change: impl FnOnce(&mut Lockout, Moment) -> T) -> (T, io::Result<()>) {
        let now = self.now();
        let mut lockout = self.lockout();
        let before = lockout.clone();
        let result = change(&mut lockout, now);
        let saved = match &self.memory {
            Some(memory) if *lockout != before => {
                memory.save(encode(&lockout, memory.uptime()).as_bytes())
            }
            Some(_) | None => Ok(()),
        };
        (result, saved)
    }

    fn now(&self) -> Moment {
        let memory = self.memory.as_ref();
        memory.map_or_else(|| self.clock.now(), |memory| memory.uptime().moment)
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands on disk then is a try without an outcome, which locks at the next start.
fn warn(saved: io::Result<()>) {
    if let Err(error) = saved {
        tracing::warn!(%error, "the record of proxy credentials was not written");
    }
}
