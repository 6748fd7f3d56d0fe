//! Whole lives in virtual time: ways that come and go by a seed, and what the ladder makes of them.

use super::*;
use crate::limits::{PROBE_PAUSE_MAX, PROBES_SPAN, RACE_BUDGET, ROUND_CAP};

/// Whether a way works at a moment.
type IsUp = dyn Fn(WayId, Moment) -> bool;

struct World<'w> {
    ladder: Ladder,
    ways: Vec<Way>,
    is_up: &'w IsUp,
    now: Moment,
    seed: u64,
    has_session: bool,
    switches: Vec<(Moment, Switch)>,
    /// When an exchange worked last.
    worked: Moment,
}

impl<'w> World<'w> {
    fn new(ways: Vec<Way>, seed: u64, is_up: &'w IsUp) -> Self {
        let mut ladder = Ladder::new();
        ladder.set_ways(ways.iter().copied());
        Self {
            ladder,
            ways,
            is_up,
            now: s(0),
            seed,
            has_session: false,
            switches: Vec::new(),
            worked: s(0),
        }
    }

    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn works(&self, id: WayId) -> bool {
        assert!(
            self.ways.iter().any(|way| way.id == id),
            "a way nobody gave"
        );
        (self.is_up)(id, self.now)
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.after(Duration::from_millis(ms));
    }

    fn note(&mut self, switch: Option<Switch>) {
        self.switches
            .extend(switch.map(|switch| (self.now, switch)));
    }

    /// Runs a race: what works answers in 40 ms, what does not hangs for 5 s.
    fn race(&mut self, mut race: Race) -> Option<WayId> {
        let mut running: Vec<(WayId, Moment, bool)> = Vec::new();
        while !race.is_lost(self.now) {
            while let Some(id) = race.poll_start(self.now) {
                let works = self.works(id);
                let secret = |id| self.ways.iter().find(|way| way.id == id).unwrap().secret;
                let mut shown = running.iter().map(|(id, ..)| secret(*id));
                assert!(secret(id).is_none() || shown.all(|shown| shown != secret(id)));
                let after = Duration::from_millis(if works { 40 } else { 5_000 });
                running.push((id, self.now.after(after), works));
            }
            let first = running.iter().map(|(_, end, _)| *end).min();
            self.now = first.map_or(race.due(), |first| first.min(race.due()));
            let ended: Vec<_> = running
                .extract_if(.., |(_, end, _)| *end <= self.now)
                .collect();
            for (id, _, works) in ended {
                if works {
                    return Some(id);
                }
                self.ladder.note_error(id, "PST-T02");
                race.handle_end(id);
            }
        }
        None
    }

    fn connect(&mut self) {
        let race = self.ladder.begin_race(self.now, &Hints::default());
        let random = self.random();
        let Some(winner) = self.race(race) else {
            let pause = self.ladder.handle_lost(self.now, random);
            self.now = self.now.after(pause);
            return;
        };
        let switch = self.ladder.handle_won(self.now, winner);
        self.note(switch);
        self.pass(40);
        if self.works(winner) {
            self.ladder.handle_verified(winner);
            self.has_session = true;
            self.worked = self.now;
        } else {
            let pause = self.ladder.handle_unproven(self.now, random, winner);
            self.now = self.now.after(pause);
        }
    }

    /// One exchange a second, as a device with much to say.
    fn exchange(&mut self) {
        let current = self.ladder.current().unwrap().id;
        let begun = self.now;
        self.pass(1_000);
        if self.works(current) {
            self.ladder.handle_verified(current);
            self.worked = self.now;
            return;
        }
        let random = self.random();
        let verdict = self
            .ladder
            .handle_failure(self.now, random, current, begun, Blame::Way);
        match verdict {
            Verdict::Stay => {}
            Verdict::Back(switch) => self.note(Some(switch)),
            Verdict::Leave => {
                let race = self.ladder.begin_replacement(self.now, &Hints::default());
                if let Some(winner) = self.race(race) {
                    let switch = self.ladder.handle_won(self.now, winner);
                    self.has_session = switch.is_none();
                    self.note(switch);
                } else {
                    self.ladder.handle_lost(self.now, random);
                }
            }
        }
    }

    fn probe(&mut self) {
        let random = self.random();
        for id in self.ladder.poll_probes(self.now, random) {
            let works = self.works(id);
            if self.ladder.handle_probe(self.now, random, id, works) {
                let switch = self.ladder.promote(self.now, id);
                self.note(switch);
            }
        }
        self.ladder.warm(self.now);
    }

    fn run(&mut self, until: Moment) {
        while self.now < until {
            if self.has_session {
                self.exchange();
            } else {
                self.connect();
            }
            self.probe();
        }
    }

    fn switches_between(&self, from: Moment, to: Moment) -> usize {
        let made = self.switches.iter();
        made.filter(|(at, _)| (from..to).contains(at)).count()
    }
}

#[test]
fn a29_mailbox_that_refuses_for_now_changes_no_way_and_the_better_one_is_asked_in_ten_minutes() {
    let mut ladder = on(RELAY, all());
    let mut asked = Vec::new();
    for second in 0..720 {
        assert_eq!(fail(&mut ladder, s(second), Blame::Mailbox), Verdict::Stay);
        asked.extend(ladder.poll_probes(s(second), u64::MAX / 2));
    }
    assert_eq!(ladder.current().unwrap().id, RELAY);
    assert!(asked.contains(&DIRECT), "{asked:?}");
}

#[test]
fn a30_way_that_comes_and_goes_every_five_seconds_causes_three_switches_in_ten_minutes_at_most() {
    for seed in 0..12 {
        let is_up = move |id, now: Moment| id != DIRECT || now.as_millis() / 5_000 % 2 == seed % 2;
        let ways = vec![way(2, 0, Route::Direct), way(3, 0, Route::Proxy(0))];
        let mut world = World::new(ways, seed, &is_up);
        world.run(s(6 * 3_600));
        for minute in 0..6 * 60 {
            let (from, to) = (s(minute * 60), s(minute * 60 + 600));
            let switches = world.switches_between(from, to);
            assert!(switches <= 3, "seed {seed}, minute {minute}: {switches}");
        }
        assert!(world.now.since(world.worked) < Duration::from_secs(60));
    }
}

#[test]
fn c13_mailbox_that_is_dropped_leads_to_the_relay_in_eight_seconds_and_back_in_twelve_minutes() {
    for seed in 0..12 {
        let heals = s(3_600);
        let is_up = move |id, now: Moment| id == RELAY || now >= heals;
        let ways = vec![way(2, 0, Route::Direct), way(5, 1, Route::Direct)];
        let mut world = World::new(ways, seed, &is_up);
        world.run(at(1));
        assert!(world.worked <= s(8), "seed {seed}: {:?}", world.worked);
        assert_eq!(world.ladder.current().unwrap().id, RELAY);
        world.run(heals.after(PROBE_PAUSE_MAX));
        let back = world.switches.last().unwrap();
        assert_eq!(back.1.to.id, DIRECT, "seed {seed}");
    }
}

#[test]
fn c04_quic_that_dies_is_left_within_twelve_seconds_and_taken_again_ten_minutes_later() {
    for seed in 0..12 {
        let dies = s(60);
        let heals = s(120);
        let is_up = move |id, now| id != QUIC || now < dies || now >= heals;
        let mut world = World::new(all(), seed, &is_up);
        world.run(s(3 * 3_600));
        let order: Vec<_> = world
            .switches
            .iter()
            .map(|(at, made)| (*at, made.to.id))
            .collect();
        let [(_, first), (left, second), (back, third)] = *order.as_slice() else {
            panic!("seed {seed}: {order:?}");
        };
        assert_eq!([first, second, third], [QUIC, DIRECT, QUIC]);
        assert!(
            left <= dies.after(Duration::from_secs(12)),
            "seed {seed}: {left:?}"
        );
        assert!(
            back.since(left) >= Duration::from_secs(480),
            "seed {seed}: {back:?}"
        );
    }
}

#[test]
fn a27_portal_is_tried_every_five_seconds_for_ten_minutes_then_every_minute() {
    let mut ladder = Ladder::new();
    ladder.set_ways(all());
    for second in 0..3_600 {
        ladder.note_portal(s(second));
        let pause = ladder.handle_lost(s(second), u64::MAX);
        let most_s = if second < 600 { 5 } else { 60 };
        assert!(pause <= Duration::from_secs(most_s), "{second}: {pause:?}");
    }
    // A verified answer ends it; what is lost then is lost to nobody's click.
    ladder.handle_won(s(3_600), DIRECT);
    ladder.handle_verified(DIRECT);
    for _ in 0..20 {
        ladder.handle_lost(s(3_601), u64::MAX);
    }
    assert_eq!(ladder.handle_lost(s(3_601), u64::MAX), ROUND_CAP);
}

#[test]
fn other_network_blames_no_way() {
    let mut ladder = on(DIRECT, all());
    for round in 0..10 {
        ladder.handle_network_change();
        let winner = if round % 2 == 0 { PROXY } else { DIRECT };
        let switch = ladder.handle_won(s(round), winner).unwrap();
        assert_eq!(switch.reason, SwitchReason::Network);
        assert!(ladder.facts(s(round)).all(|fact| !fact.is_suppressed));
    }
    let switch = ladder.handle_won(s(20), RELAY).unwrap();
    assert_eq!(switch.reason, SwitchReason::Failed);
}

/// Up or down for 1 to 600 s, each way by its own dice; everything heals at `heals`.
fn weather(seed: u64, heals: Moment) -> impl Fn(WayId, Moment) -> bool {
    move |id, now| {
        if now >= heals {
            return true;
        }
        let mut z = seed ^ (id.0 << 32);
        let mut end = 0;
        let mut is_up = id.0 % 2 == 0;
        while end <= now.as_millis() {
            z = z.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            end += 1_000 + scale(z, 600_000);
            is_up = !is_up;
        }
        is_up
    }
}

#[test]
fn any_weather_leaves_few_switches_and_heals_in_time() {
    let mut switches_max = 0;
    let mut healed_max = Duration::ZERO;
    for seed in 0..60 {
        let heals = s(6 * 3_600);
        let is_up = weather(seed, heals);
        let mut world = World::new(all(), seed, &is_up);
        world.run(heals);
        for hour in 0..6 {
            let switches = world.switches_between(s(hour * 3_600), s((hour + 1) * 3_600));
            switches_max = switches_max.max(switches);
        }
        // The longest pause between two rounds, one round, and an exchange.
        let connected = ROUND_CAP + RACE_BUDGET + Duration::from_secs(2);
        while world.worked < heals && world.now < heals.after(connected) {
            let next = world.now.after(Duration::from_secs(1));
            world.run(next);
        }
        assert!(world.worked >= heals, "seed {seed}: not connected");
        healed_max = healed_max.max(world.worked.since(heals));
        let best = PROBE_PAUSE_MAX * 12 / 10 + PROBES_SPAN + Duration::from_secs(3_600);
        world.run(heals.after(best));
        assert_eq!(world.ladder.current().unwrap().id, QUIC, "seed {seed}");
    }
    println!(
        "at most {switches_max} switches an hour; connected again after {healed_max:?} at most"
    );
    assert!(switches_max <= 30, "{switches_max} switches in an hour");
}
