use super::*;

const RTT: Duration = Duration::from_millis(50);

/// Lets time pass to the next thing to do; returns it and the moment.
fn next(liveness: &mut Liveness, now: Moment, acks: u64) -> (Step, Moment) {
    match liveness.poll(now, acks, RTT) {
        Step::Wait(until) => (liveness.poll(until, acks, RTT), until),
        step @ (Step::Ask | Step::Move | Step::Dead) => (step, now),
    }
}

const fn s(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1_000)
}

/// Seconds at which a path that answers everything is asked, until `end`.
fn asked(end: Moment) -> Vec<u64> {
    let (mut liveness, mut now, mut acks) = (Liveness::new(s(0)), s(0), 0);
    let mut seconds = Vec::new();
    while now < end {
        now = match liveness.poll(now, acks, RTT) {
            Step::Wait(until) => until,
            Step::Ask => {
                seconds.push(now.as_millis() / 1_000);
                acks += 1;
                now
            }
            step @ (Step::Move | Step::Dead) => panic!("{step:?} at {now:?}"),
        };
    }
    seconds
}

#[test]
fn young_path_is_asked_every_4_s_and_a_proven_one_every_29() {
    let seconds = asked(s(3_600));
    assert_eq!(seconds[..3], [4, 8, 12]);
    let young = seconds.iter().filter(|second| **second <= 300).count();
    assert_eq!((young, seconds.len()), (75, 75 + 114));
    assert_eq!(seconds[74..78], [300, 328, 357, 386]);
}

#[test]
fn young_path_that_dies_is_left_within_8_s() {
    let mut liveness = Liveness::new(s(0));
    assert_eq!(next(&mut liveness, s(0), 0), (Step::Ask, s(4)));
    // It answered, and dies right after that.
    assert_eq!(next(&mut liveness, s(4), 1), (Step::Ask, s(8)));
    let (step, at) = next(&mut liveness, s(8), 1);
    assert_eq!((step, at), (Step::Move, Moment::from_millis(9_525)));
    let (step, at) = next(&mut liveness, at, 1);
    assert_eq!((step, at), (Step::Dead, Moment::from_millis(11_050)));
    assert!(at.since(s(4)) <= Duration::from_secs(8));
}

#[test]
fn request_into_a_dead_path_is_noticed_in_3_s_whatever_its_age() {
    let mut liveness = Liveness::new(s(0));
    assert!(liveness.handle_sent(s(5_000), 7));
    // More of it does not buy time.
    assert!(!liveness.handle_sent(s(5_001), 7));
    assert_eq!(next(&mut liveness, s(5_001), 7).0, Step::Move);
    let (step, at) = next(&mut liveness, Moment::from_millis(5_001_600), 7);
    assert_eq!((step, at), (Step::Dead, Moment::from_millis(5_003_050)));
}

#[test]
fn acknowledgement_after_a_move_saves_the_path() {
    let mut liveness = Liveness::new(s(0));
    liveness.handle_sent(s(1), 0);
    assert_eq!(next(&mut liveness, s(1), 0).0, Step::Move);
    assert_eq!(liveness.poll(s(4), 1, RTT), Step::Wait(s(5)));
}

#[test]
fn acknowledgements_from_before_the_question_do_not_count() {
    let mut liveness = Liveness::new(s(0));
    liveness.handle_sent(s(1), 5);
    assert_eq!(liveness.poll(s(5), 5, RTT), Step::Dead);
}

#[test]
fn moved_path_is_young_again_and_a_second_move_does_not_come() {
    let mut liveness = Liveness::new(s(0));
    liveness.handle_sent(s(2_000), 1);
    liveness.handle_moved(s(2_000));
    assert_eq!(
        liveness.poll(s(2_002), 1, RTT),
        Step::Wait(Moment::from_millis(2_003_050))
    );
    assert_eq!(liveness.poll(s(2_002), 2, RTT), Step::Wait(s(2_004)));
}

#[test]
fn slow_path_is_given_its_round_trip() {
    let mut liveness = Liveness::new(s(0));
    liveness.handle_sent(s(1), 0);
    liveness.handle_moved(s(1));
    let rtt = Duration::from_secs(2);
    assert_eq!(liveness.poll(s(5), 0, rtt), Step::Wait(s(6)));
    assert_eq!(liveness.poll(s(6), 0, rtt), Step::Dead);
}

#[test]
fn question_of_an_exchange_that_is_over_does_not_end_the_next_one() {
    let mut liveness = Liveness::new(s(0));
    liveness.handle_sent(s(1), 3);
    liveness.handle_rest();
    assert!(liveness.handle_sent(s(100), 3));
    assert_eq!(next(&mut liveness, s(100), 3).0, Step::Move);
}
