//! How long a join goes on asking: a refusal that passes by itself is waited for, as long as people wait.
//!
//! Two of them pass: a relay holds the request for its controller, and a mailbox has no room now, for instance
//! because a truck of devices was switched on at once. Refuses to wait for any other.

use crate::clock;
use postern_egress::TransportError;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::reject::Reject;
use std::time::Duration;

/// Milliseconds for which a join asks again. Arbitrary, as long as people wait.
const PATIENCE_MS_MAX: u64 = 120_000;
/// Milliseconds between two questions where the mailbox names none. Arbitrary.
const PAUSE_MS: u64 = 2_000;
/// Shortest pause between two questions. Arbitrary: below it the mailbox's limiter would refuse.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause between two questions. Arbitrary.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Statuses by which a mailbox says that it is asked too much (spec: #http-binding).
const BUSY: [u16; 2] = [429, 503];

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Controller,
    Room,
}

impl Cause {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Controller => "the relay waits for its controller to answer",
            Self::Room => "the mailbox is asked too much right now",
        }
    }
}

/// When to ask again, and why only then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    cause: Cause,
    length: Duration,
}

impl Pause {
    fn new(cause: Cause, retry_ms: Option<u64>) -> Self {
        let length = Duration::from_millis(retry_ms.unwrap_or(PAUSE_MS));
        Self {
            cause,
            length: length.clamp(PAUSE_MIN, PAUSE_MAX),
        }
    }

    /// The pause after an exchange that failed, where the mailbox said by a status that it is busy.
    pub(super) fn of_status(error: &TransportError) -> Option<Self> {
        let retry_s = error.retry_after_s()?;
        let is_busy = error.status().is_some_and(|status| BUSY.contains(&status));
        is_busy.then(|| Self::new(Cause::Room, Some(retry_s.saturating_mul(1_000))))
    }
}

/// A frame that enrols nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    reject: Option<Reject>,
    retry_ms: Option<u64>,
}

impl Refusal {
    /// Reads a frame; whatever is no refusal of this version has no name.
    pub(super) fn of(frame: &[u8]) -> Self {
        match PlainFrame::decode(frame, Direction::Down) {
            Ok(PlainFrame::Refused { code, retry_ms }) => Self {
                reject: Reject::from_code(code.into()),
                retry_ms,
            },
            Ok(_) | Err(_) => Self {
                reject: None,
                retry_ms: None,
            },
        }
    }

    /// Returns when to ask again, where the refusal passes by itself.
    pub(super) fn pause(self) -> Option<Pause> {
        let cause = if self.reject? == Reject::EnrolPending {
            Cause::Controller
        } else if self.reject? == Reject::Overloaded {
            Cause::Room
        } else {
            return None;
        };
        Some(Pause::new(cause, self.retry_ms))
    }

    /// Returns its name.
    pub(super) fn reject(self) -> Reject {
        self.reject.unwrap_or(Reject::NotPostern)
    }

    /// Returns what whoever joins the device can do.
    pub(super) const fn next_step(self) -> &'static str {
        match self.reject {
            Some(Reject::EnrolPending) => {
                "start the controller, or look why it does not reach this relay; then join again with the same line"
            }
            Some(Reject::Overloaded) => {
                "join again with the same line in a few minutes; if that stays so, ask the mailbox's operator how loaded it is"
            }
            Some(_) | None => "ask the controller's operator for a new join line",
        }
    }
}

/// How long `join` waits for what passes.
#[derive(Debug)]
pub(super) struct Patience {
    until_ms: u64,
    told: Option<Cause>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            until_ms: clock::mono_ms().saturating_add(PATIENCE_MS_MAX),
            told: None,
        }
    }

    pub(super) fn is_left(&self) -> bool {
        clock::mono_ms() < self.until_ms
    }

    /// Waits, and says what for, unless that was said last.
    #[expect(
        clippy::print_stderr,
        reason = "a person who joins a device wants to know what it waits for"
    )]
    pub(super) async fn wait(&mut self, pause: Pause) {
        if self.told.replace(pause.cause) != Some(pause.cause) {
            let left_s = self.until_ms.saturating_sub(clock::mono_ms()) / 1_000;
            let cause = pause.cause.sentence();
            eprintln!("{cause}; asking again for up to {left_s} s");
        }
        tokio::time::sleep(pause.length).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reject: Reject, retry_ms: Option<u64>) -> Refusal {
        let code = reject.code();
        Refusal::of(&PlainFrame::Refused { code, retry_ms }.encode().unwrap())
    }

    fn pause_ms(refusal: Refusal) -> Option<u128> {
        refusal.pause().map(|pause| pause.length.as_millis())
    }

    #[test]
    fn refusals_that_pass_are_waited_for_within_bounds() {
        for reject in [Reject::EnrolPending, Reject::Overloaded] {
            for (named_ms, waited_ms) in [
                (None, 2_000),
                (Some(0), 200),
                (Some(3_000), 3_000),
                (Some(u64::from(u32::MAX)), 10_000),
            ] {
                assert_eq!(pause_ms(refusal(reject, named_ms)), Some(waited_ms));
            }
        }
    }

    #[test]
    fn refusals_that_stay_are_not_waited_for_whatever_they_hint() {
        for reject in [Reject::TokenUsed, Reject::Quota, Reject::NotAdmitted] {
            let refusal = refusal(reject, Some(1_000));
            assert_eq!((refusal.pause(), refusal.reject()), (None, reject));
        }
    }

    #[test]
    fn bytes_that_are_no_refusal_are_not_waited_for() {
        for frame in [&[][..], &[22], b"<html>"] {
            let refusal = Refusal::of(frame);
            assert_eq!(
                (refusal.pause(), refusal.reject()),
                (None, Reject::NotPostern)
            );
        }
    }

    #[test]
    fn only_a_mailbox_that_is_busy_and_says_until_when_is_waited_for() {
        use postern_egress::{Fault, Foreign, Route};
        let failed = |status, retry_after_s| TransportError {
            route: Route::Direct,
            hop: "mailbox".to_owned(),
            fault: Fault::Status {
                status,
                retry_after_s,
                excerpt: Foreign::default(),
                body: bytes::Bytes::new(),
            },
            sent_for: None,
        };
        for status in BUSY {
            let pause = Pause::of_status(&failed(status, Some(4)));
            assert_eq!(pause.map(|pause| pause.length.as_secs()), Some(4));
            assert_eq!(Pause::of_status(&failed(status, None)), None);
        }
        for status in [403, 404, 500, 502] {
            assert_eq!(Pause::of_status(&failed(status, Some(4))), None);
        }
    }
}
