//! How soon the next question follows, to the millisecond: empty answers, polls that are not held, old news.

use super::speech::{anchor, heartbeat};
use crate::device::Input;
use crate::frame::FrameType;
use crate::revision::Revision;
use crate::testing::{Lone, at, numbers};
use alloc::vec;

const EPOCH: u64 = 100;

fn connected() -> Lone {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(EPOCH, 5));
    lone.acknowledge();
    lone.drop_requests();
    lone
}

/// Answers held polls with nothing, each so many milliseconds after it began. Tells how many followed
/// one another without a pause before the last.
fn follows(lone: &mut Lone, after_ms: &[u64]) -> bool {
    for wait_ms in after_ms {
        let poll = lone.poll().expect("no pause before it");
        lone.now_ms += wait_ms;
        lone.answer(&poll, &[]);
    }
    lone.poll().is_some()
}

//= spec/postern.md#poll type=test
//# A device SHOULD poll once a second when held polls keep coming back at once and empty.
#[test]
fn fourth_empty_answer_in_a_row_that_comes_within_a_second_is_followed_by_a_pause() {
    assert!(follows(&mut connected(), &[0, 0, 0]));
    assert!(!follows(&mut connected(), &[0, 0, 0, 0]));
    assert!(!follows(&mut connected(), &[0, 0, 0, 999]));
    assert!(follows(&mut connected(), &[0, 0, 0, 1_000]));
    // One that was held for a second begins the row anew.
    assert!(follows(&mut connected(), &[0, 0, 0, 1_000, 0]));
}

#[test]
fn poll_that_asked_for_no_hold_is_never_early() {
    let mut lone = connected();
    for _ in 0..8 {
        lone.input(Input::Hold { seconds: 0 });
        let poll = lone.request(FrameType::Poll).expect("no pause");
        lone.answer(&poll, &[]);
    }
}

#[test]
fn heartbeat_that_shows_time_pass_makes_old_envelopes_beside_it_no_reason_to_wait() {
    for (beat_ms, is_followed) in [(1, true), (0, false)] {
        let mut lone = connected();
        let start = anchor(&mut lone);
        let old = lone.seal_snapshot(&numbers(&[("a/x", 1)]), at(EPOCH, 5), vec![]);
        let beat = heartbeat(&lone, start + beat_ms, Revision::NONE, None);
        lone.serve(&[beat, old]);
        assert_eq!(lone.poll().is_some(), is_followed, "{beat_ms}");
    }
}
