//! Remembers which proxy secrets were rejected, so that a daemon never locks a user's account.
//!
//! Pure: time and the secret's fingerprint come in as arguments. A rejected secret is not shown to
//! the proxy again for 15 minutes, then 1 hour, then every 6 hours, across restarts: see [`record`].
//! Another secret may be tried at once. Refuses to count one rejection twice, when two connections
//! learn of it at the same time, and to keep anything from which a secret could be read.
//!
//! ```text
//!   unknown --try--> Trying --accepted--> Proven --rejected--> Locked{until} --until--> one try
//!                      |  \--rejected--------------------------^
//!                      +-- the process ends: counts as rejected
//! ```

mod keeper;
pub mod record;

pub(crate) use keeper::LockoutKeeper;
pub use keeper::LockoutMemory;

use crate::clock::Moment;
use crate::limits::{LOCKOUT_ENTRIES_MAX, LOCKOUT_PAUSES};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Identifies a secret without holding it: SHA-256 over user and password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Wraps the digest of a secret.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl std::fmt::Debug for Fingerprint {
    // Not even the digest: short passwords can be guessed from it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// Names a secret at one proxy: 4 bytes of a hash keyed with the device's own salt.
///
/// So short on purpose: at most 32 bits about a secret can be learnt from it, and guesses cannot be
/// told apart. Another secret shares a mark once in four thousand million, and then waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; 4]);

/// Whether a secret may be shown to the proxy now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted before: send it without being asked.
    Proven,
    /// Not known: send it only when asked, and on one connection only.
    MayTry,
    /// Rejected: not before this time has passed.
    Locked {
        /// Time left until the next try.
        wait: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Proven,
    /// Shown, and not yet answered.
    Trying {
        rejections: usize,
    },
    /// Tries ended without a verdict, after so many rejections.
    Free {
        rejections: usize,
    },
    Locked {
        until: Moment,
        rejections: usize,
    },
}

/// The memory about the secrets of one device, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockout {
    salt: [u8; 32],
    entries: Vec<(Mark, Phase)>,
    /// Nothing may be shown before: what was known is lost.
    all_until: Option<Moment>,
}

impl Lockout {
    /// Starts knowing nothing.
    #[must_use]
    pub const fn new(salt: [u8; 32]) -> Self {
        Self {
            salt,
            entries: Vec::new(),
            all_until: None,
        }
    }

    /// Starts after the memory was lost: every secret counts as rejected once, just now.
    #[must_use]
    pub fn after_loss(salt: [u8; 32], now: Moment) -> Self {
        Self {
            all_until: Some(now.after(pause_after(0))),
            ..Self::new(salt)
        }
    }

    /// Names a secret at the proxy `place`, such as `proxy.test:3128`.
    #[must_use]
    pub fn mark(&self, place: &str, secret: Fingerprint) -> Mark {
        let mut hash = Sha256::new();
        hash.update(b"postern proxy lockout 1");
        hash.update(self.salt);
        hash.update(secret.0);
        hash.update(place.as_bytes());
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        Mark([a, b, c, d])
    }

    /// Tells whether the secret may be sent at `now`.
    #[must_use]
    pub fn verdict(&self, now: Moment, mark: Mark) -> Verdict {
        let phase = self.phase(mark);
        if phase == Some(Phase::Proven) {
            return Verdict::Proven;
        }
        let locked = match phase {
            Some(Phase::Locked { until, .. }) => Some(until),
            Some(Phase::Trying { .. } | Phase::Free { .. } | Phase::Proven) | None => None,
        };
        let until = locked.into_iter().chain(self.all_until).max();
        match until {
            Some(until) if now < until => Verdict::Locked {
                wait: until.since(now),
            },
            Some(_) | None => Verdict::MayTry,
        }
    }

    /// Records that the secret is about to be shown. Make this durable before it is sent.
    pub fn handle_try(&mut self, mark: Mark) {
        if self.phase(mark) != Some(Phase::Proven) {
            let rejections = self.rejections(mark);
            self.put(mark, Phase::Trying { rejections });
        }
    }

    /// Records that a try ended without the proxy's word about the secret.
    pub fn handle_unsettled(&mut self, mark: Mark) {
        if let Some(Phase::Trying { rejections }) = self.phase(mark) {
            self.put(mark, Phase::Free { rejections });
        }
    }

    /// Records that the proxy accepted the secret.
    pub fn handle_accepted(&mut self, mark: Mark) {
        self.put(mark, Phase::Proven);
    }

    /// Records that the proxy rejected the secret; returns the time until the next try.
    pub fn handle_rejected(&mut self, now: Moment, mark: Mark) -> Duration {
        if let Some(Phase::Locked { until, .. }) = self.phase(mark)
            && now < until
        {
            // A second connection reports what is already known.
            return until.since(now);
        }
        let rejections = self.rejections(mark);
        let pause = pause_after(rejections);
        let locked = Phase::Locked {
            until: now.after(pause),
            rejections: rejections.saturating_add(1),
        };
        self.put(mark, locked);
        pause
    }

    fn phase(&self, mark: Mark) -> Option<Phase> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.0 == mark).map(|entry| entry.1)
    }

    fn rejections(&self, mark: Mark) -> usize {
        match self.phase(mark) {
            Some(
                Phase::Trying { rejections }
                | Phase::Free { rejections }
                | Phase::Locked { rejections, .. },
            ) => rejections,
            Some(Phase::Proven) | None => 0,
        }
    }

    fn put(&mut self, mark: Mark, phase: Phase) {
        self.entries.retain(|entry| entry.0 != mark);
        self.entries.push((mark, phase));
        let over = self.entries.len().saturating_sub(LOCKOUT_ENTRIES_MAX);
        self.entries.drain(..over);
    }
}

fn pause_after(rejections: usize) -> Duration {
    let last = LOCKOUT_PAUSES.len().saturating_sub(1);
    let pause = LOCKOUT_PAUSES.get(rejections.min(last));
    pause.copied().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
