use super::*;

/// SplitMix64: the same numbers from the same seed.
pub(super) fn split_mix(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A route in virtual time: what its middlebox does to a hold.
struct World {
    now: Moment,
    seed: u64,
    cut_s: Option<u64>,
    silent_s: Option<u64>,
    reset_percent: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            now: Moment::START,
            seed,
            cut_s: None,
            silent_s: None,
            reset_percent: 0,
        }
    }

    fn random(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    fn play(&mut self, hold: Hold) -> HoldEnd {
        let asked_ms = u64::try_from(hold.asked().as_millis()).unwrap();
        let early = scale(self.random(), asked_ms * 7 / 100 + 1);
        let answer_ms = asked_ms - early + 40;
        let reset = scale(self.random(), 100) < self.reset_percent;
        let reset_ms = scale(self.random(), answer_ms);
        if reset {
            return self.pass(reset_ms, |age| HoldEnd::Cut { age });
        }
        if let Some(cut_s) = self.cut_s.filter(|cut_s| cut_s * 1000 < answer_ms) {
            let jitter = scale(self.random(), 500);
            return self.pass(cut_s * 1000 + jitter, |age| HoldEnd::Cut { age });
        }
        if self
            .silent_s
            .is_some_and(|silent_s| silent_s * 1000 < answer_ms)
        {
            let deadline = u64::try_from(hold.deadline().as_millis()).unwrap();
            return self.pass(deadline, |_| HoldEnd::Silent);
        }
        self.pass(answer_ms, |age| HoldEnd::Answered { age })
    }

    fn pass(&mut self, ms: u64, end: impl FnOnce(Duration) -> HoldEnd) -> HoldEnd {
        let age = Duration::from_millis(ms);
        self.now = self.now.after(age);
        end(age)
    }

    /// Runs holds and returns how many failed.
    fn run(&mut self, ladder: &mut HoldLadder, holds: usize) -> usize {
        let mut failed = 0;
        for _ in 0..holds {
            let random = self.random();
            match ladder.poll_next(self.now, random) {
                Next::Hold(hold) => {
                    let end = self.play(hold);
                    failed += usize::from(!matches!(end, HoldEnd::Answered { .. }));
                    ladder.handle_end(self.now, random, hold, end);
                }
                Next::Poll { pause } => self.now = self.now.after(pause),
            }
        }
        failed
    }
}

/// Settles below a limit: the rung, the failures it may cost, none in the 50 holds after.
fn check_limit(cut_s: Option<u64>, silent_s: Option<u64>, ceiling_s: u64, settled_s: u64) {
    for seed in 0..24 {
        let mut world = World::new(seed);
        world.cut_s = cut_s;
        world.silent_s = silent_s;
        let mut ladder = HoldLadder::with_ceiling(Duration::from_secs(ceiling_s));
        let learning = world.run(&mut ladder, 40);
        let label = format!("cut {cut_s:?} silent {silent_s:?} seed {seed}");
        assert_eq!(ladder.settled().as_secs(), settled_s, "{label}");
        assert!(learning <= 2, "{label}: {learning} induced failures");
        assert_eq!(world.run(&mut ladder, 50), 0, "{label}: failures later");
    }
}

#[test]
fn a15_loud_cut_settles_just_below() {
    check_limit(Some(30), None, 285, 25);
    check_limit(Some(60), None, 285, 55);
    check_limit(Some(120), None, 285, 115);
    check_limit(Some(270), None, 285, 230);
    check_limit(Some(300), None, 285, 285);
    check_limit(Some(60), None, 115, 55);
    check_limit(Some(120), None, 115, 115);
    check_limit(None, None, 115, 115);
    check_limit(None, None, 60, 55);
}

#[test]
fn a16_silent_cut_settles_just_below() {
    check_limit(None, Some(30), 285, 25);
    check_limit(None, Some(60), 285, 55);
    check_limit(None, Some(120), 285, 115);
    check_limit(None, Some(260), 285, 230);
}

/// Bisection collapsed to nothing here.
#[test]
fn a17_random_resets_do_not_sink_the_rung_more_than_a_step() {
    for seed in 0..64 {
        let mut world = World::new(seed);
        let mut ladder = HoldLadder::new();
        let _ = world.run(&mut ladder, 30);
        assert_eq!(ladder.settled().as_secs(), 115, "seed {seed}");
        world.reset_percent = 5;
        for round in 0..10 {
            let _ = world.run(&mut ladder, 50);
            let settled = ladder.settled().as_secs();
            assert!(
                settled >= 55,
                "seed {seed} round {round}: sank to {settled} s"
            );
        }
    }
}

fn ladder_at(now: Moment, ladder: &mut HoldLadder) -> Hold {
    match ladder.poll_next(now, 0) {
        Next::Hold(hold) => hold,
        Next::Poll { pause } => panic!("expected a hold, got a poll after {pause:?}"),
    }
}

fn survive(ladder: &mut HoldLadder, times: usize) {
    for _ in 0..times {
        let hold = ladder_at(Moment::START, ladder);
        let end = HoldEnd::Answered { age: hold.asked() };
        ladder.handle_end(Moment::START, 0, hold, end);
    }
}

#[test]
fn probe_follows_three_survivals() {
    let mut ladder = HoldLadder::new();
    survive(&mut ladder, 2);
    assert!(!ladder_at(Moment::START, &mut ladder).is_probe());
    survive(&mut ladder, 1);
    let probe = ladder_at(Moment::START, &mut ladder);
    assert!(probe.is_probe());
    assert_eq!(probe.asked().as_secs(), 55);
    assert_eq!(probe.deadline().as_secs(), 63);
    assert_eq!(ladder.settled().as_secs(), 25);
}

#[test]
fn early_answer_and_news_are_neutral() {
    let mut ladder = HoldLadder::new();
    for _ in 0..9 {
        let hold = ladder_at(Moment::START, &mut ladder);
        assert!(!hold.is_probe());
        let age = hold.asked() * 9 / 10;
        ladder.handle_end(Moment::START, 0, hold, HoldEnd::Answered { age });
        ladder.handle_end(Moment::START, 0, hold, HoldEnd::Carried);
        ladder.handle_end(Moment::START, 0, hold, HoldEnd::Other);
    }
    assert_eq!(ladder.settled().as_secs(), 25);
}

/// Two failures at the settled 25 s rung, with survivals between.
fn check_pair(first: HoldEnd, between: usize, second: HoldEnd, settled_s: u64) {
    let mut ladder = HoldLadder::with_ceiling(Duration::from_secs(25));
    let hold = ladder_at(Moment::START, &mut ladder);
    ladder.handle_end(Moment::START, 0, hold, first);
    assert_eq!(ladder.settled().as_secs(), 25, "one failure sank the rung");
    survive(&mut ladder, between);
    ladder.handle_end(Moment::START, 0, hold, second);
    assert_eq!(
        ladder.settled().as_secs(),
        settled_s,
        "{first:?}, {between} survivals, {second:?}"
    );
}

#[test]
fn only_two_similar_failures_sink_a_rung() {
    let cut = |ms| HoldEnd::Cut {
        age: Duration::from_millis(ms),
    };
    check_pair(cut(20_000), 0, cut(20_000), 12);
    check_pair(cut(20_000), 1, cut(17_000), 12);
    check_pair(HoldEnd::Silent, 1, HoldEnd::Silent, 12);
    check_pair(cut(20_000), 0, cut(16_900), 25);
    check_pair(cut(20_000), 2, cut(20_000), 25);
    check_pair(HoldEnd::Silent, 2, HoldEnd::Silent, 25);
    check_pair(cut(25_000), 0, HoldEnd::Silent, 25);
    check_pair(HoldEnd::Silent, 0, cut(25_000), 25);
    check_pair(cut(20_000), 0, HoldEnd::Other, 25);
}

#[test]
fn cap_remembers_what_taught_it_until_it_is_forgotten() {
    let mut ladder = HoldLadder::new();
    assert_eq!((ladder.cap(), ladder.taught()), (None, None));
    let fail = |ladder: &mut HoldLadder, end| {
        let hold = ladder_at(Moment::START, ladder);
        ladder.handle_end(Moment::START, 0, hold, end);
    };
    let cut = |ms| HoldEnd::Cut {
        age: Duration::from_millis(ms),
    };
    fail(&mut ladder, cut(20_100));
    assert_eq!(ladder.taught(), None, "one failure teaches nothing");
    fail(&mut ladder, cut(20_120));
    assert_eq!(ladder.cap(), Some(Duration::from_secs(12)));
    assert_eq!(
        ladder.taught().unwrap().to_string(),
        "cut after 20.1 s, twice"
    );
    fail(&mut ladder, HoldEnd::Silent);
    fail(&mut ladder, HoldEnd::Silent);
    let silent = ladder.taught().unwrap().to_string();
    assert_eq!(silent, "no answer to a hold of 12 s, twice");
    // Another process knows the cap and not why.
    let mut next = HoldLadder::new();
    next.resume(Moment::START, 0, ladder.learnt(Moment::START));
    assert_eq!((next.cap(), next.taught()), (ladder.cap(), None));
    ladder.handle_network_change();
    assert_eq!((ladder.cap(), ladder.taught()), (None, None));
}

/// Failures of equal age in a row that it takes to leave a rung survived this often before.
fn check_record(survivals: usize, needed: usize) {
    let mut ladder = HoldLadder::with_ceiling(Duration::from_secs(25));
    survive(&mut ladder, survivals);
    let mut failures = 0;
    while ladder.settled().as_secs() == 25 {
        let hold = ladder_at(Moment::START, &mut ladder);
        ladder.handle_end(Moment::START, 0, hold, HoldEnd::Silent);
        failures += 1;
    }
    assert_eq!(failures, needed, "after {survivals} survivals");
}

#[test]
fn rung_with_a_long_record_needs_a_third_witness() {
    check_record(0, 2);
    check_record(19, 2);
    check_record(20, 3);
    check_record(500, 3);
}

#[test]
fn cap_is_forgotten_after_a_day_and_probed_once() {
    for (random, hours) in [(0, 22), (u64::MAX / 2, 24), (u64::MAX, 26)] {
        let mut ladder = HoldLadder::new();
        survive(&mut ladder, 3);
        for _ in 0..2 {
            let probe = ladder_at(Moment::START, &mut ladder);
            let age = Duration::from_secs(30);
            ladder.handle_end(Moment::START, random, probe, HoldEnd::Cut { age });
        }
        survive(&mut ladder, 9);
        let just_before = Moment::from_millis(hours * 3_600_000 - 2);
        assert!(!ladder_at(just_before, &mut ladder).is_probe(), "{hours} h");
        let after = Moment::from_millis(hours * 3_600_000);
        assert!(ladder_at(after, &mut ladder).is_probe(), "{hours} h");
    }
}

#[test]
fn three_failures_at_the_floor_poll_plainly_for_half_an_hour() {
    let mut ladder = HoldLadder::with_ceiling(Duration::from_secs(5));
    for age_s in [1, 3, 2] {
        let hold = ladder_at(Moment::START, &mut ladder);
        let age = Duration::from_secs(age_s);
        ladder.handle_end(Moment::START, 0, hold, HoldEnd::Cut { age });
    }
    let pauses = [(0, 48_000), (u64::MAX / 2, 60_000), (u64::MAX, 72_000)];
    for (random, pause_ms) in pauses {
        let pause = Duration::from_millis(pause_ms);
        assert_eq!(
            ladder.poll_next(Moment::START, random),
            Next::Poll { pause }
        );
    }
    let later = Moment::START.after(POLL_RETRY_HOLD);
    assert_eq!(ladder_at(later, &mut ladder).asked().as_secs(), 5);
}

#[test]
fn answer_at_the_floor_forgets_its_failures() {
    let mut ladder = HoldLadder::with_ceiling(Duration::ZERO);
    for end in [
        HoldEnd::Silent,
        HoldEnd::Silent,
        HoldEnd::Carried,
        HoldEnd::Silent,
        HoldEnd::Silent,
    ] {
        let hold = ladder_at(Moment::START, &mut ladder);
        ladder.handle_end(Moment::START, 0, hold, end);
    }
    assert!(matches!(ladder.poll_next(Moment::START, 0), Next::Hold(_)));
}

fn check_hold_max(hold_max_ms: u64, asked_ms: u128) {
    let mut ladder = HoldLadder::new();
    ladder.handle_hold_max(Some(Duration::from_millis(hold_max_ms)));
    assert_eq!(
        ladder_at(Moment::START, &mut ladder).asked().as_millis(),
        asked_ms
    );
}

#[test]
fn server_limit_is_obeyed_but_never_below_a_second() {
    check_hold_max(25_000, 25_000);
    check_hold_max(24_999, 12_000);
    check_hold_max(3_000, 3_000);
    check_hold_max(0, 1_000);
    check_hold_max(999_999, 25_000);
}

#[test]
fn network_change_forgets_everything_but_the_ceiling() {
    let mut ladder = HoldLadder::with_ceiling(Duration::from_secs(55));
    survive(&mut ladder, 9);
    assert_eq!(ladder.settled().as_secs(), 55);
    ladder.handle_network_change();
    assert_eq!(ladder.settled().as_secs(), 25);
    survive(&mut ladder, 40);
    assert_eq!(ladder.settled().as_secs(), 55);
}

#[test]
fn cap_that_is_told_is_forgotten_with_the_one_that_counts() {
    let mut ladder = HoldLadder::new();
    assert_eq!(ladder.cap_at(Moment::START), None);
    let learnt = Learnt {
        rung: 1,
        cap: Some(1),
        cap_left: None,
    };
    ladder.resume(Moment::START, 0, learnt);
    assert_eq!(ladder.cap_at(Moment::START), Some(Duration::from_secs(12)));
    let later = Moment::START.after(HOLD_CAP_AGE + HOLD_CAP_JITTER);
    assert_eq!(ladder.cap_at(later), None);
}

#[test]
fn cap_grows_no_younger_by_restarts() {
    let hour = Duration::from_secs(3_600);
    let mut learnt = Learnt {
        rung: 1,
        cap: Some(1),
        cap_left: None,
    };
    let mut lives = 0;
    loop {
        let mut ladder = HoldLadder::new();
        ladder.resume(Moment::START, 0, learnt);
        let next = ladder.poll_next(Moment::START, 0);
        if ladder.cap().is_none() {
            // What was forgotten is tried at once.
            assert!(
                matches!(next, Next::Hold(hold) if hold.is_probe()),
                "{next:?}"
            );
            break;
        }
        learnt = ladder.learnt(Moment::START.after(hour));
        lives += 1;
        assert!(lives <= 26, "a cap lasts for a day, and two hours at most");
    }
    assert!(lives >= 22, "forgotten after {lives} h");
}

#[test]
fn cap_that_claims_to_last_for_longer_than_any_lasts_for_a_day() {
    let mut ladder = HoldLadder::new();
    let learnt = Learnt {
        rung: 1,
        cap: Some(1),
        cap_left: Some(Duration::MAX),
    };
    ladder.resume(Moment::START, u64::MAX, learnt);
    let at_most = Moment::START.after(HOLD_CAP_AGE + HOLD_CAP_JITTER);
    assert_eq!(ladder.cap_at(at_most), None);
}
