//! Tables of arrivals, and verdicts over time.

use super::*;

fn at(ms: [u64; 4]) -> Vec<Arrival> {
    let made = [0, 500, 1_000, 1_500];
    let both = made.into_iter().zip(ms);
    both.map(|(made, came)| Arrival {
        made: Duration::from_millis(made),
        came: Duration::from_millis(came),
    })
    .collect()
}

fn hours(count: u64) -> Moment {
    Moment::from_millis(count * 3_600_000)
}

#[test]
fn a14_answers_that_come_at_once_at_the_end_are_buffered() {
    for came in [
        [1_500; 4],
        [1_520, 1_520, 1_521, 1_522],
        [9_000, 9_000, 9_000, 9_149],
        [900; 4],
    ] {
        assert_eq!(judge(&at(came)), Reading::Buffered, "{came:?}");
    }
}

#[test]
fn answers_that_come_apart_are_streaming() {
    for came in [
        [20, 520, 1_020, 1_520],
        [3_000, 3_500, 4_000, 4_500],
        [20, 20, 900, 920],
        [600, 700, 800, 1_500],
    ] {
        assert_eq!(judge(&at(came)), Reading::Streaming, "{came:?}");
    }
}

#[test]
fn answers_that_are_neither_are_unclear() {
    for came in [
        [20, 20, 20, 20],
        [20, 20, 500, 919],
        [1_400, 1_400, 1_400, 1_550],
        [899; 4],
    ] {
        assert_eq!(judge(&at(came)), Reading::Unclear, "{came:?}");
    }
}

#[test]
fn canary_that_news_made_short_or_that_broke_off_shows_nothing() {
    assert_eq!(judge(&[]), Reading::Unclear);
    let whole = at([20, 520, 1_020, 1_520]);
    for kept in 1..4 {
        assert_eq!(judge(&whole[..kept]), Reading::Unclear, "{kept}");
    }
    let short: Vec<_> = whole
        .iter()
        .map(|one| Arrival {
            made: one.made / 2,
            ..*one
        })
        .collect();
    assert_eq!(judge(&short), Reading::Unclear);
}

#[test]
fn stream_is_believed_in_after_two_canaries_of_the_same_padding() {
    let mut canary = Canary::default();
    assert_eq!(canary.poll_pad(hours(0)), Some(0));
    canary.handle(hours(0), Reading::Streaming);
    assert_eq!(canary.verdict(hours(0)), None, "one is chance");
    assert_eq!(canary.poll_pad(hours(0)), Some(0));
    canary.handle(hours(0), Reading::Streaming);
    let flows = Some(Verdict::Flows { pad: 0 });
    assert_eq!(canary.verdict(hours(5)), flows);
    assert_eq!(canary.poll_pad(hours(5)), None);
    assert_eq!(canary.verdict(hours(6)), None);
    assert_eq!(canary.poll_pad(hours(6)), Some(0));
}

#[test]
fn padding_grows_until_answers_come_through() {
    let mut canary = Canary::default();
    for pad in [0, 1_024] {
        assert_eq!(canary.poll_pad(hours(0)), Some(pad));
        canary.handle(hours(0), Reading::Unclear);
    }
    assert_eq!(canary.poll_pad(hours(0)), Some(4_096));
    canary.handle(hours(0), Reading::Streaming);
    canary.handle(hours(0), Reading::Streaming);
    let flows = Some(Verdict::Flows { pad: 4_096 });
    assert_eq!(canary.verdict(hours(0)), flows);
}

#[test]
fn proof_of_another_padding_does_not_count() {
    let mut canary = Canary::default();
    canary.handle(hours(0), Reading::Streaming);
    canary.handle(hours(0), Reading::Unclear);
    canary.handle(hours(0), Reading::Streaming);
    assert_eq!(canary.verdict(hours(0)), None);
    assert_eq!(canary.poll_pad(hours(0)), Some(1_024));
}

#[test]
fn a14_way_that_lets_no_padding_through_is_buffering_for_six_hours() {
    let mut canary = Canary::default();
    for _ in 0..3 {
        assert!(canary.poll_pad(hours(0)).is_some());
        canary.handle(hours(0), Reading::Unclear);
    }
    assert_eq!(canary.verdict(hours(0)), Some(Verdict::Buffers));
    assert_eq!(canary.poll_pad(hours(5)), None);
    assert_eq!(canary.poll_pad(hours(6)), Some(0));
}

#[test]
fn two_stalls_make_the_canary_sing_again_and_one_does_not() {
    let mut canary = Canary::default();
    canary.handle(hours(0), Reading::Streaming);
    canary.handle(hours(0), Reading::Streaming);
    canary.handle_stall();
    assert!(canary.verdict(hours(1)).is_some());
    canary.handle_stall();
    assert_eq!(canary.verdict(hours(1)), None);
    assert_eq!(canary.poll_pad(hours(1)), Some(0));
    canary.handle(hours(1), Reading::Buffered);
    assert_eq!(canary.verdict(hours(1)), Some(Verdict::Buffers));
}

#[test]
fn verdict_that_is_resumed_lasts_for_what_it_had_left_and_no_longer_than_any() {
    let check = |left, expected| {
        let mut canary = Canary::default();
        let verdict = Verdict::Buffers;
        canary.resume(hours(1), Believed { verdict, left });
        let lasts = canary.believed(hours(1)).map(|believed| believed.left);
        assert_eq!(lasts, expected);
        assert_eq!(canary.verdict(hours(7)), None);
        assert_eq!(canary.poll_pad(hours(7)), Some(0));
    };
    let hour = Duration::from_secs(3_600);
    check(hour, Some(hour));
    check(CANARY_AGE, Some(CANARY_AGE));
    check(Duration::MAX, Some(CANARY_AGE));
    check(Duration::ZERO, None);
}

#[test]
fn verdict_that_is_resumed_falls_with_two_stalls_like_any() {
    let mut canary = Canary::default();
    let verdict = Verdict::Flows { pad: 1_024 };
    let left = CANARY_AGE;
    canary.resume(Moment::START, Believed { verdict, left });
    assert_eq!(canary.poll_pad(Moment::START), None);
    canary.handle_stall();
    assert_eq!(canary.verdict(Moment::START), Some(verdict));
    canary.handle_stall();
    assert_eq!(canary.poll_pad(Moment::START), Some(0));
}
