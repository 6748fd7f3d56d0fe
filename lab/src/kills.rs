//! What tests need that kill processes at random instants: dice that a seed repeats, and what a device accepted.
//!
//! Refuses to judge: whether a revision may stand twice in a log is the test's to say.

use crate::Revision;
use std::collections::BTreeSet;

/// Knuth's linear congruential generator: good enough to choose instants, and a seed repeats the choice.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, 0 for a bound of 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match (self.0 >> 33).checked_rem(bound) {
            Some(below) => below,
            None => 0,
        }
    }
}

/// Reads every `accepted` line of a device's log, in its order.
#[must_use]
pub fn acceptances(log: &str) -> Vec<Revision> {
    let field = |line: &str, name: &str| -> Option<u64> {
        line.split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(name))
            .and_then(|number| number.parse().ok())
    };
    let accepted = log.lines().filter(|line| line.contains(" accepted "));
    accepted
        .filter_map(|line| {
            Some(Revision {
                epoch: field(line, "epoch=")?,
                seq: field(line, "seq=")?,
            })
        })
        .collect()
}

/// The revisions that stand in a list more than once.
#[must_use]
pub fn repeated(revisions: &[Revision]) -> Vec<Revision> {
    let mut seen = BTreeSet::new();
    let repeated = revisions.iter().filter(|revision| !seen.insert(**revision));
    repeated.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_chooses_the_same_and_no_bound_is_left() {
        let choose = |seed| -> Vec<u64> {
            let mut dice = Dice::new(seed);
            (1..50).map(|bound| dice.below(bound)).collect()
        };
        assert_eq!(choose(7), choose(7));
        assert_ne!(choose(7), choose(8));
        assert!((1..).zip(choose(9)).all(|(bound, chosen)| chosen < bound));
        assert_eq!(Dice::new(1).below(0), 0);
    }

    #[test]
    fn log_shows_what_was_accepted_and_what_twice() {
        let log = "INFO accepted device=\"a\" epoch=3 seq=1\nINFO applied epoch=3 seq=1\n\
                   INFO accepted epoch=3 seq=2\nINFO accepted epoch=x seq=2\nINFO accepted epoch=3 seq=2\n";
        let [first, second] = [1, 2].map(|seq| Revision { epoch: 3, seq });
        let accepted = acceptances(log);
        assert_eq!(accepted, [first, second, second]);
        assert_eq!(repeated(&accepted), [second]);
        assert!(repeated(&[first, second]).is_empty());
    }
}
