//! How old the other end's word may be at most: measured by a nonce and two clocks that run, never by a date.
//!
//! ```text
//!  none --echo of an own nonce--> anchored --silence longer than max_age--> stale
//!                                  ^   |  ^                                   |
//!            heartbeat, later uptime   '--'---------- echo of a nonce --------'
//! ```
//!
//! Device and controller read each other's heartbeats by the same rule. A heartbeat that was kept
//! by somebody on the way can keep freshness and never create it. Refuses to block anything: stale
//! is shown, and a correctly signed revision counts all the same.

#[cfg(test)]
mod tests;

use crate::id::{Nonce, StartId};
use crate::limits::{FRESHNESS_ASK_MS_MAX, FRESHNESS_ASK_MS_MIN, FRESHNESS_NONCES_MAX};
use crate::revision::BundleNumber;
use alloc::collections::VecDeque;

/// What a verified heartbeat says about its signer's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The signer's start: random bytes drawn when its process began.
    pub start: StartId,
    /// Milliseconds since that start, by a clock that counts suspend.
    pub uptime_ms: u64,
    /// The bundle that the signer holds.
    pub bundle: BundleNumber,
    /// The nonce that it repeats, if it was asked to.
    pub echo: Option<Nonce>,
}

/// What a heartbeat changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It repeated a nonce of ours: freshness is anchored anew.
    Anchored,
    /// It is later than all before it of the anchored start: the writer lives.
    Later,
    /// It proves nothing: kept, replayed, or of a start that nothing anchors.
    Unproven,
}

/// How fresh the other end is, for people and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// True without an anchor, or when the other end may have been silent for longer than allowed.
    pub is_stale: bool,
    /// Milliseconds since the newest proof of life was signed, at most; `None` without an anchor.
    pub age_ms: Option<u64>,
    /// The bundle that the newest proof of life named: one above ours shows a bundle withheld.
    pub bundle_shown: Option<BundleNumber>,
}

/// Ties one moment of the other end's clock to one of ours.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    start: StartId,
    /// The other end's uptime, and our clock no later than that moment.
    writer_ms: u64,
    own_ms: u64,
    /// The highest uptime heard of this start.
    newest_ms: u64,
    bundle: BundleNumber,
}

impl Anchor {
    /// Milliseconds by which the other end's clock lags behind ours: how old its newest word may be.
    const fn lag_ms(&self, now_ms: u64) -> u64 {
        let own_ms = now_ms.saturating_sub(self.own_ms);
        own_ms.saturating_sub(self.heard_ms())
    }

    const fn heard_ms(&self) -> u64 {
        self.newest_ms.saturating_sub(self.writer_ms)
    }

    /// The moment of our clock at which the lag is `lag_ms`, if nothing more is heard.
    const fn moment_of(&self, lag_ms: u64) -> u64 {
        let heard = self.own_ms.saturating_add(self.heard_ms());
        heard.saturating_add(lag_ms)
    }
}

/// Watches the heartbeats of one writer. Nothing of it outlives the process: an anchor is of this boot.
#[derive(Debug)]
pub struct FreshnessWatch {
    max_age_ms: u64,
    anchor: Option<Anchor>,
    /// Nonces of ours that nobody repeated yet, oldest first, with the moment at which each was sent.
    nonces: VecDeque<(Nonce, u64)>,
    /// True when the writer was heard under another start than the anchored one.
    is_restarted: bool,
    /// No ask before this moment.
    allowed_ms: u64,
    wait_ms: u64,
    /// What was last told to be so.
    was_stale: bool,
}

impl FreshnessWatch {
    /// Begins without an anchor: stale. `max_age_ms` is the silence that still counts as fresh.
    #[must_use]
    pub const fn new(max_age_ms: u64) -> Self {
        Self {
            max_age_ms,
            anchor: None,
            nonces: VecDeque::new(),
            is_restarted: false,
            allowed_ms: 0,
            wait_ms: FRESHNESS_ASK_MS_MIN,
            was_stale: true,
        }
    }

    /// A session began: asks are no longer as rare as the silence before it made them.
    pub const fn begin_session(&mut self) {
        self.allowed_ms = 0;
        self.wait_ms = FRESHNESS_ASK_MS_MIN;
    }

    /// The moment of the own clock from which a nonce should be sent: at once without an anchor or
    /// after a restart of the writer, else when less than a third of `max_age_ms` is left.
    #[must_use]
    pub fn ask_due_ms(&self) -> u64 {
        //= spec/freshness.md#heartbeat
        //# A reader MUST send a fresh nonce after each session start without an anchor, when the
        //# start id changes, and when less than a third of the maximal age is left.
        let wanted_ms = match &self.anchor {
            Some(anchor) if !self.is_restarted => {
                anchor.moment_of(self.max_age_ms.saturating_sub(self.max_age_ms / 3))
            }
            Some(_) | None => 0,
        };
        wanted_ms.max(self.allowed_ms)
    }

    /// Takes note of a nonce that is sent now. The next is due 5 s later, then later and later.
    pub fn ask(&mut self, nonce: Nonce, now_ms: u64) {
        if self.nonces.len() >= FRESHNESS_NONCES_MAX {
            self.nonces.pop_front();
        }
        self.nonces.push_back((nonce, now_ms));
        self.allowed_ms = now_ms.saturating_add(self.wait_ms);
        //= spec/freshness.md#heartbeat
        //# A reader MUST NOT send nonces more often than every 5 s, growing to 60 s while none is
        //# answered.
        self.wait_ms = self.wait_ms.saturating_mul(2).min(FRESHNESS_ASK_MS_MAX);
    }

    /// Takes a verified heartbeat of the writer.
    pub fn hear(&mut self, heard: &Heard, now_ms: u64) -> Hearing {
        let sent = heard.echo.and_then(|echo| self.take_nonce(&echo));
        //= spec/freshness.md#heartbeat
        //# A reader MUST anchor only on the echo of an own nonce of this boot, at the moment when
        //# the nonce was sent.
        if let Some(sent_ms) = sent {
            self.anchor = Some(Anchor {
                start: heard.start,
                writer_ms: heard.uptime_ms,
                own_ms: sent_ms,
                newest_ms: heard.uptime_ms,
                bundle: heard.bundle,
            });
            self.is_restarted = false;
            self.wait_ms = FRESHNESS_ASK_MS_MIN;
            return Hearing::Anchored;
        }
        let Some(anchor) = &mut self.anchor else {
            return Hearing::Unproven;
        };
        if anchor.start != heard.start {
            self.is_restarted = true;
            return Hearing::Unproven;
        }
        //= spec/freshness.md#heartbeat
        //# A later heartbeat MUST move the measured time of the writer only with the anchored start
        //# id and a higher uptime.
        if heard.uptime_ms <= anchor.newest_ms {
            return Hearing::Unproven;
        }
        anchor.newest_ms = heard.uptime_ms;
        anchor.bundle = heard.bundle;
        if anchor.heard_ms() > now_ms.saturating_sub(anchor.own_ms) {
            // Its clock runs faster than ours: what it gained must not pay for a later silence.
            (anchor.writer_ms, anchor.own_ms) = (heard.uptime_ms, now_ms);
        }
        Hearing::Later
    }

    /// Takes a nonce out, and all that are older: their echoes could only anchor earlier moments.
    fn take_nonce(&mut self, echo: &Nonce) -> Option<u64> {
        let at = self.nonces.iter().position(|(nonce, _)| nonce == echo)?;
        let (_, sent_ms) = self.nonces.drain(..=at).next_back()?;
        Some(sent_ms)
    }

    /// Tells whether freshness is measured by the clock of this start.
    #[must_use]
    pub fn is_anchored_to(&self, start: &StartId) -> bool {
        self.anchor
            .as_ref()
            .is_some_and(|anchor| anchor.start == *start)
    }

    /// Tells whether the writer may have been silent for longer than `max_age_ms`.
    #[must_use]
    pub fn is_stale(&self, now_ms: u64) -> bool {
        let anchor = self.anchor.as_ref();
        //= spec/freshness.md#heartbeat
        //# A reader MUST show a writer as stale without an anchor, or when its own time since the
        //# anchor exceeds the writer's by more than the maximal age, 900 s unless set.
        anchor.is_none_or(|anchor| anchor.lag_ms(now_ms) > self.max_age_ms)
    }

    /// The moment at which [`Self::turn`] will have something to tell if nothing is heard until then.
    #[must_use]
    pub fn turn_due_ms(&self) -> Option<u64> {
        let anchor = self.anchor.as_ref().filter(|_| !self.was_stale)?;
        Some(anchor.moment_of(self.max_age_ms).saturating_add(1))
    }

    /// Tells once when fresh turned into stale or stale into fresh.
    pub fn turn(&mut self, now_ms: u64) -> Option<bool> {
        let is_stale = self.is_stale(now_ms);
        let is_turned = is_stale != self.was_stale;
        self.was_stale = is_stale;
        is_turned.then_some(is_stale)
    }

    /// How fresh the writer is.
    #[must_use]
    pub fn freshness(&self, now_ms: u64) -> Freshness {
        let anchor = self.anchor.as_ref();
        Freshness {
            is_stale: self.is_stale(now_ms),
            age_ms: anchor.map(|anchor| anchor.lag_ms(now_ms)),
            //= spec/freshness.md#heartbeat
            //# A reader MUST show it when an anchored heartbeat names a higher bundle than the one
            //# held.
            bundle_shown: anchor.map(|anchor| anchor.bundle),
        }
    }
}
