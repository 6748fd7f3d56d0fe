//! How long a poll may be held open on one route: the hold ladder. Pure, in virtual time.
//!
//! ```text
//!   rungs   5  12  25  55  115 | 170 230 285 s      | = default ceiling
//!                  ^start
//!   three survived holds -> probe the next rung; survived -> stay there
//!   two failures of similar age, fewer than two survivals between -> cap one rung below
//!   (three, where the rung was survived twenty times)
//!   three failures in a row at 5 s -> plain polls every minute, another try after 30 min
//! ```
//!
//! A timer in a middlebox cuts at the same age each time; accidents do not. One isolated failure
//! therefore only repeats the rung. Refuses to bisect: under random resets bisection ends at zero.
//! The caller reports as survived only what a *verified* answer showed.

use crate::backoff::scale;
use crate::clock::Moment;
use crate::limits::{
    HOLD_CAP_AGE, HOLD_CAP_JITTER, HOLD_CEILING_RUNG, HOLD_FLOOR_FAILURES, HOLD_GOOD_BEFORE_PROBE,
    HOLD_GRACE, HOLD_OK_PERCENT, HOLD_PROOF, HOLD_RUNGS_S, HOLD_SIMILAR_PERCENT, HOLD_START_RUNG,
    POLL_PAUSE, POLL_RETRY_HOLD,
};
use std::fmt;
use std::time::Duration;

/// What to do next on this route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the server to hold the poll.
    Hold(Hold),
    /// Wait this long, then poll without holding.
    Poll {
        /// The pause before the poll.
        pause: Duration,
    },
}

/// One hold to ask for; handed back with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    rung: usize,
    asked: Duration,
    probe: bool,
}

impl Hold {
    /// Returns the time to ask the server for.
    #[must_use]
    pub const fn asked(&self) -> Duration {
        self.asked
    }

    /// Returns the time after which silence is a failure: the hold and 8 seconds.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.asked.saturating_add(HOLD_GRACE)
    }

    /// Tells whether this hold tries a rung that is not proven. A second hold may run beside it.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe
    }
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldEnd {
    /// A verified answer without news, at this age.
    Answered {
        /// Time from request to answer.
        age: Duration,
    },
    /// A verified answer with news: says nothing about the route's timers.
    Carried,
    /// Cut loudly: FIN, RST, GOAWAY, 408, 502, 503, 504.
    Cut {
        /// Time from request to the cut.
        age: Duration,
    },
    /// Nothing came until the deadline.
    Silent,
    /// Anything that is no timer's work, such as 403 or a TLS failure.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Cut { age_ms: u64 },
    Silent { hold_ms: u64 },
}

impl Evidence {
    const fn taught(self, times: u32) -> Taught {
        let (is_silent, after_ms) = match self {
            Self::Cut { age_ms } => (false, age_ms),
            Self::Silent { hold_ms } => (true, hold_ms),
        };
        Taught {
            is_silent,
            after: Duration::from_millis(after_ms),
            times,
        }
    }

    fn is_similar(self, other: Self) -> bool {
        let (a, b) = match (self, other) {
            (Self::Cut { age_ms: a }, Self::Cut { age_ms: b })
            | (Self::Silent { hold_ms: a }, Self::Silent { hold_ms: b }) => (a, b),
            (Self::Cut { .. }, Self::Silent { .. }) | (Self::Silent { .. }, Self::Cut { .. }) => {
                return false;
            }
        };
        let spread = a.abs_diff(b).saturating_mul(100);
        spread <= a.max(b).saturating_mul(HOLD_SIMILAR_PERCENT)
    }
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    rung: usize,
    evidence: Evidence,
    /// Failures of this age in a row.
    failures: u32,
    survived_since: u32,
}

#[derive(Clone, Copy, Debug)]
struct Cap {
    rung: usize,
    until: Moment,
    taught: Option<Taught>,
}

/// What taught a cap: failures of similar age in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taught {
    /// True for silence until the deadline, false for loud cuts.
    pub is_silent: bool,
    /// How old the last of these holds was when it was cut; of a silent one, how long it was to be.
    pub after: Duration,
    /// How many there were.
    pub times: u32,
}

impl fmt::Display for Taught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.after.as_millis() / 100;
        let (whole, rest) = (tenths / 10, tenths % 10);
        match self.is_silent {
            true => write!(f, "no answer to a hold of {whole} s")?,
            false => write!(f, "cut after {whole}.{rest} s")?,
        }
        match self.times {
            2 => f.write_str(", twice"),
            times => write!(f, ", {times} times"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Holding,
    Polling { since: Moment },
}

/// What outlives the process: rungs as places in [`HOLD_RUNGS_S`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The proven rung.
    pub rung: u8,
    /// The highest rung that the route lets live, where one was cut.
    pub cap: Option<u8>,
    /// Time until that is forgotten; `None` where nobody knows.
    pub cap_left: Option<Duration>,
}

/// What is learnt about holds on one route of one network.
#[derive(Clone, Debug)]
pub struct HoldLadder {
    ceiling: usize,
    mode: Mode,
    rung: usize,
    survived: u32,
    /// Holds of the settled rung or a higher one ever survived on this network.
    proof: u32,
    cap: Option<Cap>,
    suspicion: Option<Suspicion>,
    floor_failures: u32,
    hold_max: Option<Duration>,
}

impl HoldLadder {
    /// Starts at 25 s with the default ceiling of 115 s.
    #[must_use]
    pub fn new() -> Self {
        Self::at(HOLD_CEILING_RUNG)
    }

    /// Starts with another ceiling: the highest rung not above `ceiling`, at least 5 s.
    #[must_use]
    pub fn with_ceiling(ceiling: Duration) -> Self {
        Self::at(highest_rung_within(ceiling))
    }

    fn at(ceiling: usize) -> Self {
        Self {
            ceiling,
            mode: Mode::Holding,
            rung: HOLD_START_RUNG.min(ceiling),
            survived: 0,
            proof: 0,
            cap: None,
            suspicion: None,
            floor_failures: 0,
            hold_max: None,
        }
    }

    /// Returns what is worth remembering.
    #[must_use]
    pub fn learnt(&self, now: Moment) -> Learnt {
        let narrow = |rung: usize| u8::try_from(rung).unwrap_or(u8::MAX);
        Learnt {
            rung: narrow(self.rung),
            cap: self.cap.map(|cap| narrow(cap.rung)),
            cap_left: self.cap.map(|cap| cap.until.since(now)),
        }
    }

    /// Goes on from what was remembered of this route in this network. A cap counts for the time that it had
    /// left, for another day where nobody knows that; the ceiling counts as it is configured now. `random` spreads when
    /// a fleet forgets its caps.
    pub fn resume(&mut self, now: Moment, random: u64, learnt: Learnt) {
        let limit = learnt.cap.map_or(self.ceiling, usize::from);
        self.rung = usize::from(learnt.rung).min(self.ceiling).min(limit);
        let whole = cap_age(random);
        let left = learnt.cap_left.map_or(whole, |left| left.min(whole));
        self.cap = learnt.cap.map(|cap| Cap {
            rung: usize::from(cap),
            until: now.after(left),
            taught: None,
        });
    }

    /// Returns the proven rung, for status and metrics.
    #[must_use]
    pub fn settled(&self) -> Duration {
        rung_hold(self.rung)
    }

    /// Returns the longest hold that the route lets live, where one was cut.
    #[must_use]
    pub fn cap(&self) -> Option<Duration> {
        self.cap.map(|cap| rung_hold(cap.rung))
    }

    /// Returns what taught the cap; `None` also where it was remembered from an earlier process.
    #[must_use]
    pub fn taught(&self) -> Option<Taught> {
        self.cap?.taught
    }

    /// Returns the longest hold that is tried at all.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        rung_hold(self.ceiling)
    }

    /// Tells whether holding was given up for plain polls.
    #[must_use]
    pub const fn is_polling(&self) -> bool {
        matches!(self.mode, Mode::Polling { .. })
    }

    /// Forgets everything learnt: another network has other timers.
    pub fn handle_network_change(&mut self) {
        *self = Self::at(self.ceiling);
    }

    /// Takes the server's limit for holds, from a verified answer; `None` lifts it.
    pub const fn handle_hold_max(&mut self, hold_max: Option<Duration>) {
        self.hold_max = hold_max;
    }

    /// Returns the longest hold that the route lets live, where one was cut and that is not forgotten yet.
    #[must_use]
    pub fn cap_at(&self, now: Moment) -> Option<Duration> {
        let cap = self.cap.filter(|cap| now < cap.until);
        cap.map(|cap| rung_hold(cap.rung))
    }

    /// Returns what to do next. `random` is uniform over all of `u64`.
    pub fn poll_next(&mut self, now: Moment, random: u64) -> Next {
        if self.cap.is_some_and(|cap| cap.until <= now) {
            self.cap = None;
            self.survived = HOLD_GOOD_BEFORE_PROBE;
        }
        if let Mode::Polling { since } = self.mode {
            if now.since(since) < POLL_RETRY_HOLD {
                return Next::Poll {
                    pause: poll_pause(random),
                };
            }
            self.mode = Mode::Holding;
            self.floor_failures = 0;
        }
        let probe = self.survived >= HOLD_GOOD_BEFORE_PROBE && self.rung < self.limit();
        let wanted = if probe {
            self.rung.saturating_add(1)
        } else {
            self.rung
        };
        let allowed = self.hold_max.map_or(wanted, highest_rung_within);
        let rung = wanted.min(allowed);
        let asked = rung_hold(rung).min(self.hold_max.unwrap_or(Duration::MAX));
        Next::Hold(Hold {
            rung,
            asked: asked.max(Duration::from_secs(1)),
            probe: rung > self.rung,
        })
    }

    /// Takes the end of a hold. `random` spreads when a fleet forgets its caps.
    pub fn handle_end(&mut self, now: Moment, random: u64, hold: Hold, end: HoldEnd) {
        match end {
            HoldEnd::Answered { age } if survived(hold.asked, age) => self.handle_survival(hold),
            HoldEnd::Answered { .. } | HoldEnd::Carried => self.floor_failures = 0,
            HoldEnd::Cut { age } => {
                let age_ms = Moment::START.after(age).as_millis();
                self.handle_failure(now, random, hold, Evidence::Cut { age_ms });
            }
            HoldEnd::Silent => {
                let hold_ms = Moment::START.after(hold.asked).as_millis();
                self.handle_failure(now, random, hold, Evidence::Silent { hold_ms });
            }
            HoldEnd::Other => {}
        }
    }

    fn handle_survival(&mut self, hold: Hold) {
        self.floor_failures = 0;
        if let Some(suspicion) = &mut self.suspicion
            && hold.rung >= suspicion.rung
        {
            suspicion.survived_since = suspicion.survived_since.saturating_add(1);
        }
        if hold.rung > self.rung && hold.rung <= self.limit() {
            self.rung = hold.rung;
            self.survived = 1;
            self.proof = 1;
        } else if hold.rung == self.rung {
            self.survived = self.survived.saturating_add(1);
            self.proof = self.proof.saturating_add(1);
        }
    }

    fn handle_failure(&mut self, now: Moment, random: u64, hold: Hold, evidence: Evidence) {
        if hold.rung == 0 {
            self.floor_failures = self.floor_failures.saturating_add(1);
            if self.floor_failures >= HOLD_FLOOR_FAILURES {
                self.mode = Mode::Polling { since: now };
            }
            return;
        }
        let repeated = self
            .suspicion
            .filter(|earlier| earlier.survived_since < 2 && earlier.evidence.is_similar(evidence));
        let failures = repeated
            .map_or(0, |earlier| earlier.failures)
            .saturating_add(1);
        if failures >= self.failures_needed(hold.rung) {
            let below = hold.rung.saturating_sub(1);
            self.cap = Some(Cap {
                rung: below,
                until: now.after(cap_age(random)),
                taught: Some(evidence.taught(failures)),
            });
            self.rung = self.rung.min(below);
            self.survived = 0;
            self.suspicion = None;
        } else {
            self.suspicion = Some(Suspicion {
                rung: hold.rung,
                evidence,
                failures,
                survived_since: 0,
            });
            // A failed probe is repeated at once; a failure of the settled rung delays the next.
            if hold.rung <= self.rung {
                self.survived = 0;
            }
        }
    }

    /// Timers rarely change, accidents happen daily: a rung with a long record of survivals needs
    /// one more witness. Without it, 5 % of random resets sink a rung about once in 2 000 holds.
    const fn failures_needed(&self, rung: usize) -> u32 {
        if rung <= self.rung && self.proof >= HOLD_PROOF {
            3
        } else {
            2
        }
    }

    fn limit(&self) -> usize {
        self.cap
            .map_or(self.ceiling, |cap| cap.rung.min(self.ceiling))
    }
}

impl Default for HoldLadder {
    fn default() -> Self {
        Self::new()
    }
}

fn rung_hold(rung: usize) -> Duration {
    let [lowest, ..] = HOLD_RUNGS_S;
    Duration::from_secs(HOLD_RUNGS_S.get(rung).copied().unwrap_or(lowest))
}

fn highest_rung_within(limit: Duration) -> usize {
    let below = HOLD_RUNGS_S
        .iter()
        .filter(|rung_s| Duration::from_secs(**rung_s) <= limit)
        .count();
    below.saturating_sub(1)
}

fn survived(asked: Duration, age: Duration) -> bool {
    let (asked, age) = (asked.as_millis(), age.as_millis());
    asked.abs_diff(age).saturating_mul(100) < asked.saturating_mul(u128::from(HOLD_OK_PERCENT))
}

/// Mean +- 20 %.
fn poll_pause(random: u64) -> Duration {
    let mean = Moment::START.after(POLL_PAUSE).as_millis();
    let width = mean / 5 * 2;
    Duration::from_millis((mean - mean / 5).saturating_add(scale(random, width + 1)))
}

fn cap_age(random: u64) -> Duration {
    let width = Moment::START
        .after(HOLD_CAP_JITTER)
        .as_millis()
        .saturating_mul(2);
    HOLD_CAP_AGE
        .saturating_sub(HOLD_CAP_JITTER)
        .saturating_add(Duration::from_millis(scale(
            random,
            width.saturating_add(1),
        )))
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
