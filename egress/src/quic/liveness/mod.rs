//! When to ask a path for a sign of life, and when to take its silence for its end.
//!
//! ```text
//!   proven --interval--> ask --half the silence--> move to another socket --the rest--> dead
//!      ^------------------+------- acknowledged ------------+
//! ```
//!
//! Pure: time and the number of acknowledgements come in as arguments. Whatever is sent and must be
//! acknowledged asks as well as a ping does, so that a request into a dead path is noticed at once.
//! A path is asked often while it is young and rarely later: a firewall that looks into QUIC and ends
//! it does so early, and bytes are counted for ever. Refuses to ask while nothing waits for an answer.

use crate::clock::Moment;
use crate::limits::{QUIC_PING, QUIC_PING_UNPROVEN, QUIC_SILENCE, QUIC_UNPROVEN};
use std::time::Duration;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing until then.
    Wait(Moment),
    /// Send something that must be acknowledged.
    Ask,
    /// Go on with another socket: a middlebox may have dropped this one's mapping.
    Move,
    /// The path is dead.
    Dead,
}

/// What is known about a path.
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    /// When this path was taken.
    since: Moment,
    /// Sent last among what was acknowledged.
    proven: Moment,
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Moment,
    /// Acknowledgements that had come before.
    acks: u64,
    has_moved: bool,
}

impl Liveness {
    /// Begins with a path that has just carried a handshake.
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            since: now,
            proven: now,
            asked: None,
        }
    }

    /// Takes notice of something sent that must be acknowledged, after so many acknowledgements.
    /// False when the path was asked already.
    pub(super) fn handle_sent(&mut self, now: Moment, acks: u64) -> bool {
        self.settle(acks);
        let is_first = self.asked.is_none();
        self.asked.get_or_insert(Asked {
            at: now,
            acks,
            has_moved: false,
        });
        is_first
    }

    /// Takes notice that nothing waits any more: what was asked by then is nobody's question.
    pub(super) const fn handle_rest(&mut self) {
        self.asked = None;
    }

    /// Takes notice of another path: it proves itself anew.
    pub(super) const fn handle_moved(&mut self, now: Moment) {
        self.since = now;
        if let Some(asked) = &mut self.asked {
            asked.has_moved = true;
        }
    }

    fn settle(&mut self, acks: u64) {
        if let Some(asked) = self.asked.take_if(|asked| asked.acks != acks) {
            self.proven = asked.at;
        }
    }

    /// Decides, while an exchange waits.
    pub(super) fn poll(&mut self, now: Moment, acks: u64, rtt: Duration) -> Step {
        self.settle(acks);
        let silence = QUIC_SILENCE.saturating_add(rtt);
        if let Some(asked) = &mut self.asked {
            let (half, end) = (asked.at.after(silence / 2), asked.at.after(silence));
            return if now >= end {
                Step::Dead
            } else if asked.has_moved {
                Step::Wait(end)
            } else if now >= half {
                asked.has_moved = true;
                Step::Move
            } else {
                Step::Wait(half)
            };
        }
        let is_young = self.proven.since(self.since) < QUIC_UNPROVEN;
        let interval = if is_young {
            QUIC_PING_UNPROVEN
        } else {
            QUIC_PING
        };
        let due = self.proven.after(interval);
        if now < due {
            return Step::Wait(due);
        }
        self.asked = Some(Asked {
            at: now,
            acks,
            has_moved: false,
        });
        Step::Ask
    }
}

#[cfg(test)]
mod tests;
