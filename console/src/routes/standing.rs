//! How each way stands, and why it is the one in use or is not: a row a way, the best first.
//!
//! For people. Refuses to leave a row without its reason, and to name a mailbox: whoever reads a status learns its place.

use super::{Routes, moment};
use postern_egress::ladder::{SwitchReason, WayFacts};

/// How one way stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayRow {
    /// The label of its kind, such as `direct` or `relay-proxy`.
    pub route: &'static str,
    /// The place of its mailbox in the order of preference, from 1.
    pub mailbox: u16,
    /// The place of its URL among those of that mailbox, from 1.
    pub url: u16,
    /// `used`, `ready`, `failed` or `suppressed`.
    pub state: &'static str,
    /// Why.
    pub reason: String,
    /// The clock's milliseconds at which it is asked again, where that is planned.
    pub next_try_ms: Option<u64>,
}

/// How a way compares to the one in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// None is in use.
    Alone,
    Better,
    Worse,
}

impl Routes {
    /// Tells how each way stands, the best first.
    pub(super) fn rows(&self) -> Vec<WayRow> {
        let switch = self.ladder.last_switch().map(|(_, switch)| switch.reason);
        let mut rank = match self.ladder.current() {
            Some(_) => Rank::Better,
            None => Rank::Alone,
        };
        let facts = self.ladder.facts(moment());
        let rows = facts.map(|fact| {
            let reason = reason(&fact, rank, switch);
            if fact.is_current {
                rank = Rank::Worse;
            }
            WayRow {
                route: fact.way.as_str(),
                mailbox: u16::from(fact.way.mailbox).saturating_add(1),
                url: u16::from(fact.way.url).saturating_add(1),
                state: state_of(&fact),
                reason,
                next_try_ms: fact.next_try.map(|at| at.as_millis()),
            }
        });
        rows.collect()
    }
}

/// The word for how a way stands.
pub(super) const fn state_of(fact: &WayFacts) -> &'static str {
    match (fact.is_current, fact.is_suppressed, fact.last_error) {
        (true, _, _) => "used",
        (false, true, _) => "suppressed",
        (false, false, Some(_)) => "failed",
        (false, false, None) => "ready",
    }
}

fn reason(fact: &WayFacts, rank: Rank, switch: Option<SwitchReason>) -> String {
    let failed = fact.last_error;
    match (fact.is_current, fact.is_suppressed, failed, rank) {
        (true, _, None, _) => why_used(switch).into(),
        (true, _, Some(code), _) => format!("{}; failed since with {code}", why_used(switch)),
        (false, true, None, _) => "it came and went, and is left alone for a while".into(),
        (false, true, Some(code), _) => {
            format!("it came and went, and is left alone for a while; it failed last with {code}")
        }
        (false, false, Some(code), Rank::Worse) => {
            format!("not needed: the one in use is better; it failed last with {code}")
        }
        (false, false, Some(code), Rank::Alone | Rank::Better) => {
            format!("it failed with {code}")
        }
        (false, false, None, Rank::Better) => "it has to answer three times first".into(),
        (false, false, None, Rank::Worse) => "not needed: the one in use is better".into(),
        (false, false, None, Rank::Alone) => "it has not answered yet".into(),
    }
}

const fn why_used(switch: Option<SwitchReason>) -> &'static str {
    match switch {
        Some(SwitchReason::Raced) => "it answered first",
        Some(SwitchReason::Failed) => "the one before failed",
        Some(SwitchReason::Better) => "it is better than the one before, and proved itself",
        Some(SwitchReason::Died) => "a better one was taken and died within a minute",
        Some(SwitchReason::Moved) => "the mailbox before sent this machine there",
        Some(SwitchReason::Network) => "it answered first in this network",
        None => "it is the only one that answered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_egress::Route;
    use postern_egress::clock::Moment;
    use postern_egress::ladder::{Way, WayId, WayKey};

    fn fact(is_current: bool, is_suppressed: bool, last_error: Option<&'static str>) -> WayFacts {
        WayFacts {
            way: Way {
                id: WayId(1),
                key: WayKey([0; 8]),
                route: Route::Direct,
                mailbox: 0,
                url: 0,
                secret: None,
            },
            is_current,
            is_suppressed,
            last_error,
            next_try: Some(Moment::START),
        }
    }

    fn check(fact: WayFacts, rank: Rank, state: &str, words: &str) {
        let reason = reason(&fact, rank, Some(SwitchReason::Raced));
        assert_eq!(state_of(&fact), state, "{reason}");
        assert!(reason.contains(words), "{reason}");
    }

    #[test]
    fn every_row_has_a_state_and_a_reason() {
        let code = Some("PST-T02");
        for rank in [Rank::Alone, Rank::Better, Rank::Worse] {
            check(fact(true, false, None), rank, "used", "answered first");
            check(fact(true, true, code), rank, "used", "since with PST-T02");
            check(fact(false, true, None), rank, "suppressed", "came and went");
            check(fact(false, true, code), rank, "suppressed", "last with PST");
        }
        let failed = fact(false, false, code);
        check(failed, Rank::Better, "failed", "it failed with PST-T02");
        check(failed, Rank::Alone, "failed", "it failed with PST-T02");
        check(failed, Rank::Worse, "failed", "better; it failed last with");
        let ready = fact(false, false, None);
        check(ready, Rank::Better, "ready", "three times");
        check(ready, Rank::Worse, "ready", "not needed");
        check(ready, Rank::Alone, "ready", "not answered yet");
    }

    #[test]
    fn way_in_use_says_what_made_it_so() {
        let reasons = [
            None,
            Some(SwitchReason::Raced),
            Some(SwitchReason::Failed),
            Some(SwitchReason::Better),
            Some(SwitchReason::Died),
            Some(SwitchReason::Moved),
            Some(SwitchReason::Network),
        ];
        let words: std::collections::BTreeSet<_> = reasons.map(why_used).into_iter().collect();
        assert_eq!(words.len(), reasons.len());
    }
}
