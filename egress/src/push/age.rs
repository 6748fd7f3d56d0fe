//! How old a stream may become on a way: what something there cuts at the same age each time. Pure.
//!
//! One loud end is an accident. Two of similar age, with no stream between them that lived longer, are a timer.
//! Refuses to learn from an end that came sooner than any timer.

use super::limits::{STREAM_INTERVAL_MIN, STREAM_RENEWAL, STREAM_RENEWAL_PERCENT};
use crate::backoff::scale;
use crate::clock::Moment;
use crate::limits::{HOLD_CAP_AGE, HOLD_CAP_JITTER, HOLD_SIMILAR_PERCENT};
use std::time::Duration;

/// What is known of the timer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AgeLimit {
    /// The age at which streams are cut, and until when that is believed.
    limit: Option<(Duration, Moment)>,
    suspected: Option<Duration>,
}

impl AgeLimit {
    /// The age at which a stream is to be renewed.
    pub(super) fn renewal(&self, now: Moment) -> Duration {
        let limit = self.limit.filter(|(_, until)| now < *until);
        let Some((age, _)) = limit else {
            return STREAM_RENEWAL;
        };
        let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let below = Duration::from_millis(ms.saturating_mul(STREAM_RENEWAL_PERCENT) / 100);
        below.min(STREAM_RENEWAL)
    }

    /// A stream was cut loudly at this age.
    pub(super) fn handle_cut(&mut self, now: Moment, random: u64, age: Duration) {
        if age < STREAM_INTERVAL_MIN {
            return;
        }
        let Some(earlier) = self.suspected.filter(|earlier| is_similar(*earlier, age)) else {
            self.suspected = Some(age);
            return;
        };
        self.suspected = None;
        let jitter = Moment::START.after(HOLD_CAP_JITTER).as_millis();
        let spread = Duration::from_millis(scale(random, jitter.saturating_mul(2)));
        let until = now.after(
            HOLD_CAP_AGE
                .saturating_sub(HOLD_CAP_JITTER)
                .saturating_add(spread),
        );
        self.limit = Some((earlier.min(age), until));
    }

    /// A stream lived to this age.
    pub(super) fn handle_survived(&mut self, age: Duration) {
        self.suspected.take_if(|suspected| *suspected < age);
    }
}

fn is_similar(a: Duration, b: Duration) -> bool {
    let spread = a.abs_diff(b).as_millis().saturating_mul(100);
    spread
        <= a.max(b)
            .as_millis()
            .saturating_mul(u128::from(HOLD_SIMILAR_PERCENT))
}
