//! Ways that cut, stall and hold back, in virtual time.

use super::*;

const CAP: Option<Duration> = Some(Duration::from_secs(25));

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A way on which streams come through one by one.
fn flowing(mode: PushMode, cap: Option<Duration>) -> Push {
    let mut push = Push::new(mode);
    for _ in 0..2 {
        let next = push.poll_next(Moment::START, 0, cap);
        assert_eq!(next, NextPush::Stream(Flow::canary(0)));
        push.handle_canary(Moment::START, Reading::Streaming);
    }
    push
}

fn stream(next: NextPush) -> Flow {
    let NextPush::Stream(flow) = next else {
        panic!("{next:?}");
    };
    assert!(!flow.is_canary());
    flow
}

/// The stream that is asked for after whatever is asked before it.
fn next_stream(push: &mut Push, now: Moment, random: u64) -> Flow {
    let next = push.poll_next(now, random, CAP);
    if next == NextPush::PollNow {
        return stream(push.poll_next(now, random, CAP));
    }
    stream(next)
}

#[test]
fn good_way_is_held_and_sees_no_canary() {
    for cap in [
        None,
        Some(seconds(55)),
        Some(seconds(29)),
        Some(seconds(285)),
    ] {
        let mut push = Push::new(PushMode::Auto);
        assert_eq!(
            push.poll_next(Moment::START, 0, cap),
            NextPush::Held,
            "{cap:?}"
        );
    }
}

#[test]
fn operator_who_wants_held_polls_gets_no_stream() {
    let mut push = Push::new(PushMode::Held);
    for cap in [None, CAP, Some(seconds(5))] {
        assert_eq!(push.poll_next(Moment::START, 0, cap), NextPush::Held);
    }
}

#[test]
fn way_that_cuts_holds_soon_gets_a_stream_after_two_canaries() {
    let mut push = flowing(PushMode::Auto, CAP);
    let flow = stream(push.poll_next(Moment::START, 0, CAP));
    assert_eq!((flow.interval, flow.silence), (seconds(15), seconds(40)));
    assert_eq!((flow.renewal, flow.pad), (Some(seconds(600)), 0));
    assert_eq!(flow.frames, 1_024);
}

#[test]
fn operator_who_wants_streams_gets_them_where_the_canary_allows() {
    let mut push = flowing(PushMode::Stream, None);
    assert_eq!(
        stream(push.poll_next(Moment::START, 0, None)).interval,
        seconds(15)
    );
    let mut buffering = Push::new(PushMode::Stream);
    buffering.handle_canary(Moment::START, Reading::Buffered);
    assert_eq!(buffering.poll_next(Moment::START, 0, None), NextPush::Held);
}

#[test]
fn a14_way_that_holds_answers_back_is_held_for_six_hours() {
    let mut push = Push::new(PushMode::Auto);
    push.poll_next(Moment::START, 0, CAP);
    push.handle_canary(Moment::START, Reading::Buffered);
    let hour = seconds(3_600);
    for hours in 0..6 {
        let now = Moment::START.after(hour * hours);
        assert_eq!(push.poll_next(now, 0, CAP), NextPush::Held, "{hours}");
    }
    let later = Moment::START.after(hour * 6);
    assert_eq!(
        push.poll_next(later, 0, CAP),
        NextPush::Stream(Flow::canary(0))
    );
}

#[test]
fn interval_is_below_what_cuts_the_shortest_holds() {
    let mut push = flowing(PushMode::Auto, Some(seconds(12)));
    let flow = stream(push.poll_next(Moment::START, 0, Some(seconds(12))));
    assert_eq!(flow.interval, Duration::from_millis(9_600));
    assert_eq!(flow.silence, Duration::from_millis(25_600));
    assert_eq!(interval_below(Some(seconds(5))), seconds(5));
    assert_eq!(interval_below(Some(seconds(285))), seconds(15));
}

#[test]
fn a15_renewal_settles_below_a_loud_timer_after_two_cuts_and_none_follow() {
    for timer_s in [30, 60, 120, 270, 500] {
        let mut push = flowing(PushMode::Auto, CAP);
        let (mut now, mut cuts, mut later_cuts) = (Moment::START, 0, 0);
        for round in 0..52_u64 {
            let random = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let flow = next_stream(&mut push, now, random);
            let renewal = flow.renewal.unwrap();
            let (age, end) = if renewal < seconds(timer_s) {
                (renewal, FlowEnd::Renewed { age: renewal })
            } else {
                // Timers are not exact.
                let age = seconds(timer_s) + Duration::from_millis(round * 37 % 900);
                (age, FlowEnd::Cut { age })
            };
            cuts += usize::from(matches!(end, FlowEnd::Cut { .. }));
            later_cuts += usize::from(round >= 2 && matches!(end, FlowEnd::Cut { .. }));
            now = now.after(age);
            push.handle_end(now, random, end);
        }
        assert_eq!((cuts, later_cuts), (2, 0), "{timer_s}");
        let renewal = next_stream(&mut push, now, u64::MAX).renewal.unwrap();
        assert!(renewal > seconds(timer_s) * 2 / 3, "{timer_s} {renewal:?}");
    }
}

#[test]
fn cuts_of_no_similar_age_teach_no_limit() {
    let mut push = flowing(PushMode::Auto, CAP);
    for age in [50, 100, 200] {
        push.handle_end(Moment::START, 0, FlowEnd::Cut { age: seconds(age) });
    }
    let renewal = next_stream(&mut push, Moment::START, 0).renewal;
    assert_eq!(renewal, Some(seconds(600)));
}

#[test]
fn cut_that_a_longer_stream_contradicts_teaches_no_limit() {
    let mut push = flowing(PushMode::Auto, CAP);
    for _ in 0..5 {
        push.handle_end(Moment::START, 0, FlowEnd::Cut { age: seconds(60) });
        let age = seconds(600);
        push.handle_end(Moment::START, 0, FlowEnd::Renewed { age });
    }
    let renewal = next_stream(&mut push, Moment::START, 0).renewal;
    assert_eq!(renewal, Some(seconds(600)));
}

#[test]
fn limit_too_low_to_be_worth_a_stream_leaves_polls() {
    let mut push = flowing(PushMode::Auto, CAP);
    for _ in 0..2 {
        push.handle_end(Moment::START, 0, FlowEnd::Cut { age: seconds(20) });
    }
    assert_eq!(push.poll_next(Moment::START, 0, CAP), NextPush::PollNow);
    assert_eq!(push.poll_next(Moment::START, 0, CAP), NextPush::Held);
    let later = Moment::START.after(seconds(27 * 3_600));
    assert!(matches!(push.poll_next(later, 0, CAP), NextPush::Stream(_)));
}

#[test]
fn stream_that_ended_badly_is_followed_by_a_poll_at_once() {
    for end in [
        FlowEnd::Silent,
        FlowEnd::Refused,
        FlowEnd::Other,
        FlowEnd::Ended,
        FlowEnd::Cut { age: seconds(60) },
    ] {
        let mut push = flowing(PushMode::Auto, CAP);
        push.handle_end(Moment::START, 0, end);
        let next = push.poll_next(Moment::START, 0, CAP);
        assert_eq!(next, NextPush::PollNow, "{end:?}");
        stream(push.poll_next(Moment::START, 0, CAP));
    }
}

#[test]
fn streams_that_keep_ending_badly_leave_polls_for_six_hours() {
    let mut push = flowing(PushMode::Stream, CAP);
    for _ in 0..4 {
        push.handle_end(Moment::START, 0, FlowEnd::Refused);
    }
    assert_eq!(push.poll_next(Moment::START, 0, CAP), NextPush::PollNow);
    assert_eq!(push.poll_next(Moment::START, 0, CAP), NextPush::Held);
    let later = Moment::START.after(STREAM_PAUSE);
    assert!(matches!(push.poll_next(later, 0, CAP), NextPush::Stream(_)));
}

#[test]
fn mailbox_that_knows_no_streams_is_asked_again_after_six_hours() {
    let mut push = Push::new(PushMode::Stream);
    push.poll_next(Moment::START, 0, None);
    push.handle_canary_failed(Moment::START, FlowEnd::Unknown);
    assert_eq!(push.poll_next(Moment::START, 0, None), NextPush::PollNow);
    assert_eq!(push.poll_next(Moment::START, 0, None), NextPush::Held);
    let later = Moment::START.after(STREAM_PAUSE);
    assert!(matches!(
        push.poll_next(later, 0, None),
        NextPush::Stream(_)
    ));
}

#[test]
fn two_silent_ends_make_the_canary_sing_before_the_next_stream() {
    let mut push = flowing(PushMode::Auto, CAP);
    for is_canary in [false, true] {
        push.handle_end(Moment::START, 0, FlowEnd::Silent);
        push.poll_next(Moment::START, 0, CAP);
        let next = push.poll_next(Moment::START, 0, CAP);
        let NextPush::Stream(flow) = next else {
            panic!("{next:?}");
        };
        assert_eq!(flow.is_canary(), is_canary);
    }
}

#[test]
fn canary_that_fails_on_the_way_counts_as_one_that_shows_nothing() {
    let mut push = Push::new(PushMode::Stream);
    for _ in 0..3 {
        let next = push.poll_next(Moment::START, 0, None);
        assert!(matches!(next, NextPush::Stream(flow) if flow.is_canary()));
        push.handle_canary_failed(Moment::START, FlowEnd::Silent);
        assert_eq!(push.poll_next(Moment::START, 0, None), NextPush::PollNow);
    }
    assert_eq!(
        push.believed(Moment::START).map(|it| it.verdict),
        Some(Verdict::Buffers)
    );
    assert_eq!(push.poll_next(Moment::START, 0, None), NextPush::Held);
}

#[test]
fn another_network_forgets_all_but_the_operators_wish() {
    let mut push = flowing(PushMode::Stream, None);
    push.handle_network_change();
    assert_eq!(push.believed(Moment::START), None);
    let next = push.poll_next(Moment::START, 0, None);
    assert_eq!(next, NextPush::Stream(Flow::canary(0)));
}

#[test]
fn words_of_the_modes_are_read_and_no_others() {
    for mode in PushMode::ALL {
        assert_eq!(PushMode::from_word(mode.as_str()), Some(mode));
    }
    for word in ["", "Auto", "streams", "poll", "held "] {
        assert_eq!(PushMode::from_word(word), None);
    }
}
