//! The ladder against an oracle that knows the limit, over three virtual days and twelve seeds.
//!
//! News come every ten minutes on average, connections die by accident every two hours. The oracle holds
//! at the highest rung below the limit from its first poll on.

use super::tests::split_mix;
use super::*;

const SEEDS: u64 = 12;
const DAYS_MS: u64 = 3 * 24 * 3_600 * 1_000;
/// Mean time between news, and between accidents.
const NEWS_MS: f64 = 600_000.0;
const DEATH_MS: f64 = 2.0 * 3_600_000.0;
const ROUND_TRIP_MS: u64 = 40;

/// What a connection suffers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Cuts and accidents are seen at once.
    Loud,
    /// Nothing is seen before the deadline.
    Silent,
    /// Accidents and cuts are silent, but the kernel finds them in 45 s.
    Probed,
}

struct World {
    seed: u64,
    way: Way,
    limit_ms: u64,
    now_ms: u64,
    next_news_ms: u64,
    /// News that were lost with a connection and wait for the next poll.
    waiting_since_ms: Option<u64>,
    requests: u64,
    worst_ms: u64,
}

impl World {
    fn new(seed: u64, way: Way, limit_s: u64) -> Self {
        let mut world = Self {
            seed,
            way,
            limit_ms: limit_s * 1_000,
            now_ms: 0,
            next_news_ms: 0,
            waiting_since_ms: None,
            requests: 0,
            worst_ms: 0,
        };
        world.next_news_ms = world.draw(NEWS_MS);
        world
    }

    fn random(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    /// Exponentially distributed.
    fn draw(&mut self, mean_ms: f64) -> u64 {
        let uniform = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        (-mean_ms * (1.0 - uniform).ln()) as u64
    }

    /// Plays one poll and returns how it ended.
    fn poll(&mut self, hold: Duration) -> HoldEnd {
        self.requests += 1;
        let hold_ms = u64::try_from(hold.as_millis()).unwrap();
        if let Some(since_ms) = self.waiting_since_ms.take() {
            self.worst_ms = self.worst_ms.max(self.now_ms - since_ms);
            self.now_ms += ROUND_TRIP_MS;
            return HoldEnd::Carried;
        }
        let early = self.random();
        let answer_ms = hold_ms - scale(early, hold_ms * 7 / 100 + 1);
        let death_ms = self.draw(DEATH_MS).min(self.limit_ms);
        let news_ms = self.next_news_ms.saturating_sub(self.now_ms);
        let ends_ms = answer_ms.min(news_ms);
        if ends_ms + ROUND_TRIP_MS <= death_ms {
            self.now_ms += ends_ms + ROUND_TRIP_MS;
            if news_ms > answer_ms {
                let age = Duration::from_millis(answer_ms + ROUND_TRIP_MS);
                return HoldEnd::Answered { age };
            }
            self.worst_ms = self.worst_ms.max(ROUND_TRIP_MS);
            self.next_news_ms = self.now_ms + self.draw(NEWS_MS);
            return HoldEnd::Carried;
        }
        let (age_ms, end) = match self.way {
            Way::Loud => (death_ms, None),
            Way::Silent => (hold_ms + 8_000, Some(HoldEnd::Silent)),
            Way::Probed if death_ms + 45_000 < hold_ms + 8_000 => (death_ms + 45_000, None),
            Way::Probed => (hold_ms + 8_000, Some(HoldEnd::Silent)),
        };
        let began_ms = self.now_ms;
        self.now_ms += age_ms;
        if self.next_news_ms < self.now_ms {
            self.waiting_since_ms = Some(self.next_news_ms.max(began_ms));
            self.next_news_ms = self.now_ms + self.draw(NEWS_MS);
        }
        let age = Duration::from_millis(age_ms);
        end.unwrap_or(HoldEnd::Cut { age })
    }
}

/// Requests an hour and the worst delay of news, in seconds.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    requests: f64,
    worst_s: u64,
}

fn outcome(world: &World) -> Outcome {
    let hours = world.now_ms as f64 / 3_600_000.0;
    Outcome {
        requests: world.requests as f64 / hours,
        worst_s: world.worst_ms / 1_000,
    }
}

fn play_ladder(seed: u64, way: Way, limit_s: u64, ceiling_s: u64) -> Outcome {
    let mut world = World::new(seed, way, limit_s);
    let mut ladder = HoldLadder::with_ceiling(Duration::from_secs(ceiling_s));
    while world.now_ms < DAYS_MS {
        let random = world.random();
        match ladder.poll_next(Moment::from_millis(world.now_ms), random) {
            Next::Hold(hold) => {
                let end = world.poll(hold.asked());
                ladder.handle_end(Moment::from_millis(world.now_ms), random, hold, end);
            }
            Next::Poll { pause } => {
                world.now_ms += u64::try_from(pause.as_millis()).unwrap();
                world.poll(Duration::ZERO);
            }
        }
    }
    outcome(&world)
}

fn play_oracle(seed: u64, way: Way, limit_s: u64, ceiling_s: u64) -> Outcome {
    let mut world = World::new(seed, way, limit_s);
    let fits = |rung_s: &&u64| **rung_s < limit_s && **rung_s <= ceiling_s;
    let rung_s = HOLD_RUNGS_S.iter().filter(fits).max().unwrap();
    while world.now_ms < DAYS_MS {
        world.poll(Duration::from_secs(*rung_s));
    }
    outcome(&world)
}

/// The mean of the ratios over all seeds, the worst delay of all, and requests of both.
fn compare(way: Way, limit_s: u64, ceiling_s: u64) -> (f64, Outcome, Outcome) {
    let mut sum = 0.0;
    let (mut own, mut best) = ((0.0, 0), (0.0, 0));
    for seed in 0..SEEDS {
        let ladder = play_ladder(seed, way, limit_s, ceiling_s);
        let oracle = play_oracle(seed, way, limit_s, ceiling_s);
        sum += ladder.requests / oracle.requests;
        own = (own.0 + ladder.requests, own.1.max(ladder.worst_s));
        best = (best.0 + oracle.requests, best.1.max(oracle.worst_s));
    }
    let mean = |(requests, worst_s): (f64, u64)| Outcome {
        requests: requests / SEEDS as f64,
        worst_s,
    };
    (sum / SEEDS as f64, mean(own), mean(best))
}

fn check(way: Way, limit_s: u64, ceiling_s: u64, most: f64) -> Outcome {
    let (ratio, ladder, oracle) = compare(way, limit_s, ceiling_s);
    println!(
        "{way:?} limit {limit_s} ceiling {ceiling_s}: {:.1} requests/h, oracle {:.1}, ratio {ratio:.3}, worst delay {} s, oracle {} s",
        ladder.requests, oracle.requests, ladder.worst_s, oracle.worst_s
    );
    assert!(ratio <= most, "{way:?} {limit_s} {ceiling_s}: {ratio}");
    ladder
}

/// Just over the rungs, as the devices in the field cut.
const LIMITS_S: [u64; 7] = [30, 60, 120, 180, 240, 300, 350];

#[test]
fn a15_loud_cuts_cost_five_per_cent_more_requests_than_an_oracle_at_most() {
    for limit_s in LIMITS_S {
        for ceiling_s in [115, 285] {
            check(Way::Loud, limit_s, ceiling_s, 1.05);
        }
    }
}

#[test]
fn a16_silent_cuts_cost_half_more_requests_than_an_oracle_at_most() {
    for limit_s in LIMITS_S {
        for ceiling_s in [115, 285] {
            check(Way::Silent, limit_s, ceiling_s, 1.5);
        }
    }
}

#[test]
fn news_come_within_one_hold_and_its_grace_and_within_45_seconds_where_the_kernel_watches() {
    for ceiling_s in [25, 55, 115, 285] {
        let silent = check(Way::Silent, 350, ceiling_s, 1.5);
        assert!(silent.worst_s <= ceiling_s + 8, "{silent:?}");
        let probed = check(Way::Probed, 350, ceiling_s, 1.5);
        assert!(probed.worst_s <= 46, "{probed:?}");
    }
}
