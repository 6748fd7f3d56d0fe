//! How a way brings news: by held polls, or by a stream. Pure, in virtual time.
//!
//! ```text
//!   wanted? --no--> Held
//!     yes --> canary without verdict --> Probe --> Flows --> Stream --(renewal)--> Stream ...
//!                                          '--> Buffers --> Held for six hours
//!   a stream that ends badly --> one poll at once, then a stream again; four in a row --> Held for six hours
//! ```
//!
//! Two loud ends of similar age are a timer's work: streams are renewed below it from then on. Refuses to choose a
//! stream by itself where holds live long, because there polls cost less.

mod age;
pub mod limits;

use crate::backoff::scale;
use crate::canary::{Believed, Canary, Reading, Verdict};
use crate::clock::Moment;
use age::AgeLimit;
use limits::{
    CANARY_FRAMES, CANARY_GAP, STREAM_FAILURES_MAX, STREAM_FRAMES, STREAM_HOLD_CAP,
    STREAM_INTERVAL, STREAM_INTERVAL_MIN, STREAM_INTERVAL_PERCENT, STREAM_PAUSE,
    STREAM_RENEWAL_JITTER_PERCENT, STREAM_SILENCE_THIRDS, STREAM_WORTH_HALVES,
};
use std::time::Duration;

/// What an operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushMode {
    /// Held polls, and streams where holds are cut soon.
    #[default]
    Auto,
    /// Held polls.
    Held,
    /// Streams wherever they come through.
    Stream,
}

impl PushMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Held, Self::Stream];

    /// Returns the one word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Held => "held",
            Self::Stream => "stream",
        }
    }

    /// Finds a mode by its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// What to ask for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPush {
    /// A held poll, as the hold ladder says.
    Held,
    /// A poll that is not held: it says again what is here, and tells whether the way lives.
    PollNow,
    /// A stream, or a canary.
    Stream(Flow),
}

/// The terms of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Time between two answers without news.
    pub interval: Duration,
    /// Answers that are taken at most.
    pub frames: u16,
    /// Bytes to which each is filled up.
    pub pad: u16,
    /// Silence after which it is dead.
    pub silence: Duration,
    /// Age at which the next one is opened; nothing for a canary, which ends by itself.
    pub renewal: Option<Duration>,
}

impl Flow {
    /// A canary whose answers are filled up to `pad` bytes.
    #[must_use]
    pub const fn canary(pad: u16) -> Self {
        Self {
            interval: CANARY_GAP,
            frames: CANARY_FRAMES,
            pad,
            silence: STREAM_INTERVAL,
            renewal: None,
        }
    }

    /// Tells whether it only shows what the way does.
    #[must_use]
    pub const fn is_canary(&self) -> bool {
        self.renewal.is_none()
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// The next one took its place, at this age.
    Renewed {
        /// Time since it was asked for.
        age: Duration,
    },
    /// Its mailbox ended it in order, or it brought what a poll has to answer.
    Ended,
    /// Cut loudly, at this age.
    Cut {
        /// Time since it was asked for.
        age: Duration,
    },
    /// Nothing came for longer than its silence.
    Silent,
    /// An answer of it was refused.
    Refused,
    /// The mailbox knows no streams.
    Unknown,
    /// Anything that is no timer's work, such as 403 or a TLS failure.
    Other,
}

/// What is learnt about streams on one way.
#[derive(Clone, Debug, Default)]
pub struct Push {
    mode: PushMode,
    canary: Canary,
    ages: AgeLimit,
    /// Streams in a row that ended badly.
    failures: u32,
    /// Until when there are none.
    paused_until: Option<Moment>,
    polls_first: bool,
}

impl Push {
    /// Starts with nothing learnt.
    #[must_use]
    pub fn new(mode: PushMode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }

    /// Returns what the canaries showed, while that is fresh enough.
    #[must_use]
    pub fn believed(&self, now: Moment) -> Option<Believed> {
        self.canary.believed(now)
    }

    /// Goes on from what was remembered of the canaries of this way in this network.
    pub fn resume(&mut self, now: Moment, believed: Believed) {
        self.canary.resume(now, believed);
    }

    /// Returns what to ask for next. `cap` is the longest hold that lives on the way, where one was cut.
    pub fn poll_next(&mut self, now: Moment, random: u64, cap: Option<Duration>) -> NextPush {
        if std::mem::take(&mut self.polls_first) {
            return NextPush::PollNow;
        }
        let is_wanted = match self.mode {
            PushMode::Held => false,
            PushMode::Auto => cap.is_some_and(|cap| cap <= STREAM_HOLD_CAP),
            PushMode::Stream => true,
        };
        let interval = interval_below(cap);
        let least = interval.saturating_mul(STREAM_WORTH_HALVES) / 2;
        let is_paused = self.paused_until.is_some_and(|until| now < until);
        if !is_wanted || is_paused || self.ages.renewal(now) < least {
            return NextPush::Held;
        }
        if let Some(pad) = self.canary.poll_pad(now) {
            return NextPush::Stream(Flow::canary(pad));
        }
        match self.canary.verdict(now) {
            Some(Verdict::Flows { pad }) => NextPush::Stream(Flow {
                interval,
                frames: STREAM_FRAMES,
                pad,
                silence: interval.saturating_mul(STREAM_SILENCE_THIRDS) / 3,
                renewal: Some(early(self.ages.renewal(now), random)),
            }),
            Some(Verdict::Buffers) | None => NextPush::Held,
        }
    }

    /// Takes what a canary showed.
    pub fn handle_canary(&mut self, now: Moment, reading: Reading) {
        self.canary.handle(now, reading);
    }

    /// Takes the end of a canary that did not come to its end. What says nothing about the way does not count.
    pub fn handle_canary_failed(&mut self, now: Moment, end: FlowEnd) {
        match end {
            FlowEnd::Unknown => self.pause(now),
            FlowEnd::Renewed { .. } | FlowEnd::Other => {}
            FlowEnd::Ended | FlowEnd::Cut { .. } | FlowEnd::Silent | FlowEnd::Refused => {
                self.canary.handle(now, Reading::Unclear);
            }
        }
        self.polls_first = true;
    }

    /// Takes the end of a stream. `random` spreads when a fleet forgets what it learnt.
    pub fn handle_end(&mut self, now: Moment, random: u64, end: FlowEnd) {
        match end {
            FlowEnd::Renewed { age } => {
                self.failures = 0;
                self.ages.handle_survived(age);
            }
            FlowEnd::Ended => self.polls_first = true,
            FlowEnd::Cut { age } => {
                self.ages.handle_cut(now, random, age);
                self.fail(now);
            }
            FlowEnd::Silent => {
                self.canary.handle_stall();
                self.fail(now);
            }
            FlowEnd::Refused | FlowEnd::Other => self.fail(now),
            FlowEnd::Unknown => self.pause(now),
        }
    }

    /// Forgets everything learnt: another network has other timers.
    pub fn handle_network_change(&mut self) {
        *self = Self::new(self.mode);
    }

    fn fail(&mut self, now: Moment) {
        self.polls_first = true;
        self.failures = self.failures.saturating_add(1);
        if self.failures >= STREAM_FAILURES_MAX {
            self.pause(now);
        }
    }

    fn pause(&mut self, now: Moment) {
        self.failures = 0;
        self.paused_until = Some(now.after(STREAM_PAUSE));
    }
}

/// The usual interval, or less where even the shortest holds are cut.
fn interval_below(cap: Option<Duration>) -> Duration {
    let Some(cap) = cap else {
        return STREAM_INTERVAL;
    };
    let ms = u64::try_from(cap.as_millis()).unwrap_or(u64::MAX);
    let part = Duration::from_millis(ms.saturating_mul(STREAM_INTERVAL_PERCENT) / 100);
    part.clamp(STREAM_INTERVAL_MIN, STREAM_INTERVAL)
}

fn early(renewal: Duration, random: u64) -> Duration {
    let ms = u64::try_from(renewal.as_millis()).unwrap_or(u64::MAX);
    let width = ms.saturating_mul(STREAM_RENEWAL_JITTER_PERCENT) / 100;
    Duration::from_millis(ms.saturating_sub(scale(random, width.saturating_add(1))))
}

#[cfg(test)]
mod tests;
