//! How long to wait after a mailbox ended a session: longer each time that it ended soon after it opened.
//!
//! Two devices that run under one identity, or two mailboxes behind one address that share nothing, end each other's
//! sessions. Each new one is answered, so the pause between failures would never grow. A mailbox that is restarted
//! cuts a connection or refuses one, too, and is waited for as after any failure. Pure: the caller passes the time and
//! the random number.

use postern_egress::backoff::Backoff;

/// Milliseconds below which a session ended soon. Arbitrary: above it, two devices are no burden.
const SOON_MS: u64 = 10_000;
/// Milliseconds after which a session has lasted, and all that ended soon is forgotten. The cap of the pause:
/// two devices under one identity never come to believe that they are alone.
const LASTED_MS: u64 = 60_000;
/// Sessions in a row that ended soon when people are told. Arbitrary: one restart ends one.
const TOLD_AT: u32 = 4;

/// What the ends of sessions taught.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Displaced {
    soon: Backoff,
    opened_ms: Option<u64>,
}

impl Displaced {
    /// A session opened.
    pub(super) const fn note_open(&mut self, now_ms: u64) {
        self.opened_ms = Some(now_ms);
    }

    /// An exchange failed on the way: whatever ends the session now, it was no other session.
    pub(super) const fn note_failure(&mut self) {
        self.opened_ms = None;
    }

    /// The mailbox ended the session; returns the milliseconds to wait before the next one, and whether people
    /// should hear of it now.
    pub(super) fn note_end(&mut self, now_ms: u64, random: u64) -> (u64, bool) {
        let Some(opened_ms) = self.opened_ms.take() else {
            return (0, false);
        };
        let lived_ms = now_ms.saturating_sub(opened_ms);
        if lived_ms >= LASTED_MS {
            self.soon.reset();
            return (0, false);
        }
        let mut held = self.soon;
        let is_soon = lived_ms < SOON_MS;
        let backoff = if is_soon { &mut self.soon } else { &mut held };
        let pause = backoff.pause_after_failure(random, None);
        let is_told = is_soon && self.soon.failures() == TOLD_AT;
        (
            u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            is_told,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Displaced, LASTED_MS, SOON_MS, TOLD_AT};

    /// Opens and ends sessions that live this long; returns the longest pauses that chance allows.
    fn ends(displaced: &mut Displaced, lives_ms: &[u64]) -> Vec<u64> {
        let mut now_ms = 1_000_000;
        let of = |lived_ms: &u64| {
            displaced.note_open(now_ms);
            now_ms += lived_ms;
            displaced.note_end(now_ms, u64::MAX).0
        };
        lives_ms.iter().map(of).collect()
    }

    #[test]
    fn sessions_that_end_soon_are_begun_ever_later() {
        let pauses = ends(&mut Displaced::default(), &[50; 9]);
        let doubled = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(|seconds| seconds * 1_000);
        assert_eq!(pauses, doubled);
    }

    #[test]
    fn session_that_ends_after_a_failure_is_none_of_these() {
        let mut displaced = Displaced::default();
        for _ in 0..9 {
            displaced.note_open(100);
            displaced.note_failure();
            assert_eq!(displaced.note_end(150, u64::MAX), (0, false));
        }
        assert_eq!(ends(&mut displaced, &[50]), [1_000]);
    }

    #[test]
    fn sessions_that_live_longer_do_not_slow_a_device_further() {
        assert_eq!(ends(&mut Displaced::default(), &[SOON_MS; 9]), [1_000; 9]);
        let hours = ends(&mut Displaced::default(), &[3_600_000; 9]);
        assert_eq!(hours, [0; 9]);
    }

    #[test]
    fn pause_neither_grows_nor_is_forgotten_between_soon_and_lasting() {
        let mut displaced = Displaced::default();
        ends(&mut displaced, &[50, 50, 50]);
        assert_eq!(
            ends(&mut displaced, &[SOON_MS, LASTED_MS - 1]),
            [8_000, 8_000]
        );
        assert_eq!(ends(&mut displaced, &[LASTED_MS, 50]), [0, 1_000]);
    }

    #[test]
    fn end_of_what_never_opened_asks_for_no_pause_of_its_own() {
        let mut displaced = Displaced::default();
        assert_eq!(displaced.note_end(5, u64::MAX), (0, false));
        displaced.note_open(5);
        displaced.note_end(6, u64::MAX);
        assert_eq!(displaced.note_end(7, u64::MAX), (0, false));
    }

    #[test]
    fn people_are_told_once_in_a_row_of_ends() {
        let mut displaced = Displaced::default();
        let mut told = 0;
        for end in 0..20 {
            displaced.note_open(end * 100);
            told += u32::from(displaced.note_end(end * 100 + 50, 0).1);
            assert_eq!(told, u32::from(end + 1 >= u64::from(TOLD_AT)));
        }
    }
}
