//! Whether a way lets the answers of a stream through one by one. Pure.
//!
//! ```text
//!   no verdict --probe, padded with 0, 1 KiB, 4 KiB--> Streaming twice --> Flows(pad)
//!                     '--> Buffered, or no padding left --> Buffers          each for six hours
//! ```
//!
//! The mailbox says when it made each answer; what counts is whether they come as far apart as they were made.
//! Refuses to believe in one good canary: a proxy may flush once by chance.

use crate::clock::Moment;
use crate::push::limits::{
    CANARY_AGE, CANARY_AT_ONCE, CANARY_FRAMES, CANARY_GAP, CANARY_PADS_BYTES, CANARY_PROOFS,
    CANARY_SPAN_PERCENT, CANARY_STALLS,
};
use std::time::Duration;

/// When one answer of a canary was made and when it came, both since the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// By the mailbox's clock.
    pub made: Duration,
    /// By the clock here.
    pub came: Duration,
}

/// What one canary showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The answers came as they were made.
    Streaming,
    /// All came at once, when the last was made: the whole is held back to its end.
    Buffered,
    /// Neither: perhaps a buffer that larger answers fill, perhaps an accident.
    Unclear,
}

/// Judges the answers of one canary, in the order in which they came.
#[must_use]
pub fn judge(arrivals: &[Arrival]) -> Reading {
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else {
        return Reading::Unclear;
    };
    let full = CANARY_GAP.saturating_mul(u32::from(CANARY_FRAMES).saturating_sub(1));
    let enough = part_of(full);
    let made = last.made.saturating_sub(first.made);
    // News make a canary shorter, and a short one shows nothing.
    if arrivals.len() < usize::from(CANARY_FRAMES) || made < enough {
        return Reading::Unclear;
    }
    let span = last.came.saturating_sub(first.came);
    if span >= enough {
        Reading::Streaming
    } else if span < CANARY_AT_ONCE && first.came >= enough {
        Reading::Buffered
    } else {
        Reading::Unclear
    }
}

fn part_of(whole: Duration) -> Duration {
    let ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(ms.saturating_mul(CANARY_SPAN_PERCENT) / 100)
}

/// What is believed of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answers of at least so many bytes come one by one.
    Flows {
        /// Bytes to fill each answer up to, 0..=4096.
        pad: u16,
    },
    /// They do not.
    Buffers,
}

impl Verdict {
    /// Returns the one word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flows { .. } => "streaming",
            Self::Buffers => "buffered",
        }
    }
}

/// A verdict, and for how long yet it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed {
    /// What is believed.
    pub verdict: Verdict,
    /// Time until it is asked again, at most [`CANARY_AGE`].
    pub left: Duration,
}

impl Believed {
    /// Returns the time since it was found out.
    #[must_use]
    pub const fn age(&self) -> Duration {
        CANARY_AGE.saturating_sub(self.left)
    }
}

/// What the canaries of one way showed so far.
#[derive(Clone, Debug, Default)]
pub struct Canary {
    /// The verdict, and until when it counts.
    verdict: Option<(Verdict, Moment)>,
    /// Place of the padding in use.
    step: usize,
    proofs: u32,
    stalls: u32,
}

impl Canary {
    /// Returns what is believed, while that is fresh enough.
    #[must_use]
    pub fn believed(&self, now: Moment) -> Option<Believed> {
        let (verdict, until) = self.verdict?;
        let left = until.since(now);
        (!left.is_zero()).then_some(Believed { verdict, left })
    }

    /// Returns the verdict alone.
    #[must_use]
    pub fn verdict(&self, now: Moment) -> Option<Verdict> {
        self.believed(now).map(|believed| believed.verdict)
    }

    /// Goes on from what was remembered of this way in this network.
    pub fn resume(&mut self, now: Moment, believed: Believed) {
        let left = believed.left.min(CANARY_AGE);
        self.verdict = Some((believed.verdict, now.after(left)));
        self.begin_again();
    }

    /// Returns the bytes to which the next canary is to be filled up; `None` while there is a verdict.
    #[must_use]
    pub fn poll_pad(&mut self, now: Moment) -> Option<u16> {
        if self.verdict(now).is_some() {
            return None;
        }
        if self.verdict.take().is_some() {
            self.begin_again();
        }
        CANARY_PADS_BYTES.get(self.step).copied()
    }

    /// Takes the end of a canary; one that failed on the way is [`Reading::Unclear`].
    pub fn handle(&mut self, now: Moment, reading: Reading) {
        let Some(pad) = CANARY_PADS_BYTES.get(self.step).copied() else {
            return;
        };
        match reading {
            Reading::Streaming => {
                self.proofs = self.proofs.saturating_add(1);
                if self.proofs >= CANARY_PROOFS {
                    self.settle(now, Verdict::Flows { pad });
                }
            }
            Reading::Buffered => self.settle(now, Verdict::Buffers),
            Reading::Unclear => {
                self.proofs = 0;
                self.step = self.step.saturating_add(1);
                if self.step >= CANARY_PADS_BYTES.len() {
                    self.settle(now, Verdict::Buffers);
                }
            }
        }
    }

    /// Takes a stall of a stream that nothing explains: two of them, and the canary is asked again.
    pub fn handle_stall(&mut self) {
        self.stalls = self.stalls.saturating_add(1);
        if self.stalls >= CANARY_STALLS {
            self.verdict = None;
            self.begin_again();
        }
    }

    fn settle(&mut self, now: Moment, verdict: Verdict) {
        self.verdict = Some((verdict, now.after(CANARY_AGE)));
        self.begin_again();
    }

    const fn begin_again(&mut self) {
        self.step = 0;
        self.proofs = 0;
        self.stalls = 0;
    }
}

#[cfg(test)]
mod tests;
