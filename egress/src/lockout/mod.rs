//! Remembers which proxy secret was rejected, so that a daemon never locks a user's account.
//!
//! Pure: time and the secret's fingerprint come in as arguments. A rejected secret is not shown to
//! the proxy again for 15 minutes, then 1 hour, then every 6 hours. Another secret (another
//! fingerprint) may be tried at once. What it refuses to do: count one rejection twice, when two
//! connections learn of it at the same time.
//!
//! ```text
//!   Untested --accepted--> Proven --rejected--> Locked{until} --until--> one try
//!      ^                                          |
//!      +------------- other fingerprint ----------+
//! ```

use crate::clock::Moment;
use crate::limits::LOCKOUT_PAUSES;
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

#[derive(Clone, Copy, Debug)]
enum Phase {
    Untested,
    Proven,
    Locked { until: Moment, rejections: usize },
}

/// The memory about one proxy's secret.
#[derive(Clone, Debug)]
pub struct Lockout {
    fingerprint: Option<Fingerprint>,
    phase: Phase,
}

impl Lockout {
    /// Starts knowing nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            fingerprint: None,
            phase: Phase::Untested,
        }
    }

    /// Tells whether the secret may be sent at `now`.
    #[must_use]
    pub fn verdict(&self, now: Moment, secret: Fingerprint) -> Verdict {
        if self.fingerprint != Some(secret) {
            return Verdict::MayTry;
        }
        match self.phase {
            Phase::Untested => Verdict::MayTry,
            Phase::Proven => Verdict::Proven,
            Phase::Locked { until, .. } if now < until => Verdict::Locked {
                wait: until.since(now),
            },
            Phase::Locked { .. } => Verdict::MayTry,
        }
    }

    /// Records that the proxy accepted the secret.
    pub fn handle_accepted(&mut self, secret: Fingerprint) {
        self.fingerprint = Some(secret);
        self.phase = Phase::Proven;
    }

    /// Records that the proxy rejected the secret; returns the time until the next try.
    pub fn handle_rejected(&mut self, now: Moment, secret: Fingerprint) -> Duration {
        let known = self.fingerprint == Some(secret);
        let rejections = match self.phase {
            // A second connection reports what is already known.
            Phase::Locked { until, .. } if known && now < until => return until.since(now),
            Phase::Locked { rejections, .. } if known => rejections,
            Phase::Untested | Phase::Proven | Phase::Locked { .. } => 0,
        };
        let last = LOCKOUT_PAUSES.len().saturating_sub(1);
        let pause = LOCKOUT_PAUSES
            .get(rejections.min(last))
            .copied()
            .unwrap_or(Duration::MAX);
        self.fingerprint = Some(secret);
        self.phase = Phase::Locked {
            until: now.after(pause),
            rejections: rejections.saturating_add(1),
        };
        pause
    }
}

impl Default for Lockout {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
