//! Which way is in use, when it is left, and when a better one is taken. Pure, in virtual time.
//!
//! ```text
//!            begin_race            handle_verified
//!   nothing -----------> racing ------------------> in use --probes of better ways: three good--.
//!      ^                   |  ^                      |   ^                                      |
//!      '--- round lost ----'  '-- 2 failures in 60 s-'   '------------ switched <---------------'
//! ```
//!
//! Reading order: [`Way`], [`Race`], [`Ladder`]; [`Blame`] tells what counts as a failure; [`memory`] is
//! what outlives the process. The caller carries frames and tells what came of them. Refuses to leave a
//! way because of what a mailbox answered, to believe an answer that is not verified, to swing with a way
//! that comes and goes, and to name a way that it was not given.

mod blame;
mod damping;
pub mod memory;
mod probing;
mod race;
mod reason;
mod way;

pub use blame::Blame;
pub use race::Race;
pub use reason::{Hints, Switch, SwitchReason, Verdict, WayFacts};
pub use way::{Way, WayId, WayKey, label};

use crate::backoff::scale;
use crate::clock::Moment;
use crate::codes;
use crate::limits::{
    FAILURE_WINDOW, FAILURES_MAX, LADDER_WAYS_MAX, PORTAL_CAP, PORTAL_CAP_FIRST, PORTAL_TIME,
    PROBES_NEEDED, RACE_LAST_DELAY, RACE_NEXT_DELAY, RACE_PROXY_DELAY, RACE_RELAY_DELAY,
    ROUND_BASE, ROUND_CAP, WARM_TIME,
};
use crate::route::Route;
use damping::Penalty;
use probing::Probing;
use std::time::Duration;

/// One way and what became of it.
#[derive(Clone, Copy, Debug)]
struct Rung {
    way: Way,
    failures: u32,
    first_failure: Moment,
    /// The last one that counted; exchanges begun before it say nothing new.
    last_failure: Option<Moment>,
    penalty: Penalty,
    probing: Probing,
    /// Did not prove itself in this round.
    is_barred: bool,
    last_error: Option<&'static str>,
}

/// A promotion that still has to hold.
#[derive(Clone, Copy, Debug)]
struct Trial {
    from: WayId,
    since: Moment,
}

/// All ways of one mailbox client.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    /// Best first.
    rungs: Vec<Rung>,
    current: Option<WayId>,
    /// A way that has answered just now, and goes first in the next race.
    lead: Option<WayId>,
    /// The mailbox that the next race is about, by its place: where the one in use sent this client.
    toward: Option<u8>,
    trial: Option<Trial>,
    rounds_lost: u32,
    /// No race for a replacement before this.
    rest_until: Option<Moment>,
    is_replacing: bool,
    /// The network is another one than the way in use was chosen for.
    is_elsewhere: bool,
    /// Since when something answers that is no mailbox.
    portal_since: Option<Moment>,
    last_switch: Option<(Moment, Switch)>,
}

impl Ladder {
    /// Starts without a way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the ways that exist now. Those that stay keep what is known of them. Returns true when the
    /// one in use is gone.
    pub fn set_ways(&mut self, ways: impl IntoIterator<Item = Way>) -> bool {
        let before = std::mem::take(&mut self.rungs);
        let rungs = ways.into_iter().take(LADDER_WAYS_MAX).map(|way| {
            let known = before.iter().find(|rung| rung.way.id == way.id);
            known.map_or_else(|| Rung::new(way), |rung| Rung { way, ..*rung })
        });
        self.rungs = rungs.collect();
        self.rungs.sort_by_key(|rung| rung.way.rank());
        let exists = |id: &WayId| self.rungs.iter().any(|rung| rung.way.id == *id);
        let is_gone = self.current.is_some_and(|id| !exists(&id));
        self.lead = self.lead.filter(exists);
        self.trial = self.trial.filter(|trial| exists(&trial.from));
        if is_gone {
            self.current = None;
            self.trial = None;
        }
        is_gone
    }

    /// Returns the way in use.
    #[must_use]
    pub fn current(&self) -> Option<Way> {
        self.rung(self.current?).map(|rung| rung.way)
    }

    /// Returns how often races were lost in a row.
    #[must_use]
    pub const fn rounds_lost(&self) -> u32 {
        self.rounds_lost
    }

    /// Returns the last switch and its moment.
    #[must_use]
    pub const fn last_switch(&self) -> Option<&(Moment, Switch)> {
        self.last_switch.as_ref()
    }

    /// Returns what is known of each way, the best first.
    pub fn facts(&self, now: Moment) -> impl Iterator<Item = WayFacts> {
        self.rungs.iter().map(move |rung| WayFacts {
            way: rung.way,
            is_current: Some(rung.way.id) == self.current,
            last_error: rung.last_error,
            is_suppressed: rung.penalty.until(now).is_some_and(|until| until > now),
            next_try: rung.probing.due(),
        })
    }

    fn rung(&self, id: WayId) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.way.id == id)
    }

    fn rung_mut(&mut self, id: WayId) -> Option<&mut Rung> {
        self.rungs.iter_mut().find(|rung| rung.way.id == id)
    }

    fn place(&self, id: WayId) -> Option<usize> {
        self.rungs.iter().position(|rung| rung.way.id == id)
    }

    /// Begins a race of all ways but those that did not prove themselves in this round; of all when
    /// none is left.
    pub fn begin_race(&mut self, now: Moment, hints: &Hints) -> Race {
        if self.rungs.iter().all(|rung| rung.is_barred) {
            self.rungs
                .iter_mut()
                .for_each(|rung| rung.is_barred = false);
        }
        let lead = self.lead.take();
        let lead = lead.filter(|id| self.rung(*id).is_some_and(|rung| !rung.is_barred));
        let toward = self.toward.take();
        let healthy = self.healthy();
        let last_good = hints.last_good;
        // The way in use is broken for certain: nobody waits long for the reason of a head start.
        let is_urgent = self.is_replacing && lead.is_none() && toward.is_none();
        let is_first = |id| lead == Some(id) || healthy == Some(id);
        let has_others = self.rungs.iter().any(|rung| rung.way.route != Route::Quic);
        let mut ways = Vec::new();
        for rung in &mut self.rungs {
            let way = rung.way;
            let is_hopeless = way.route == Route::Quic && hints.is_udp_hostile && has_others;
            if rung.is_barred || (is_hopeless && lead != Some(way.id)) {
                continue;
            }
            let delay = if is_first(way.id) {
                Duration::ZERO
            } else if rung.penalty.suppresses(now) {
                RACE_LAST_DELAY
            } else if toward == Some(way.mailbox) {
                way.route_delay()
            } else if toward.is_some() {
                way.delay().saturating_add(RACE_RELAY_DELAY)
            } else if lead.is_some() {
                way.delay().saturating_add(RACE_NEXT_DELAY)
            } else if healthy.is_some() {
                way.delay().saturating_add(RACE_RELAY_DELAY)
            } else if last_good == Some(way.key) {
                Duration::ZERO
            } else if is_urgent {
                way.delay().min(RACE_PROXY_DELAY)
            } else {
                way.delay()
            };
            ways.push((way, delay));
        }
        // What is known to work goes before its equals, and shows its password first.
        ways.sort_by_key(|(way, _)| !is_first(way.id) && last_good != Some(way.key));
        Race::new(now, ways)
    }

    /// The way in use, where nothing speaks against it: a session that is merely renewed stays on it.
    fn healthy(&self) -> Option<WayId> {
        let rung = self.rung(self.current?)?;
        let is_healthy = rung.failures == 0 && rung.last_error.is_none() && self.rounds_lost == 0;
        is_healthy.then_some(rung.way.id)
    }

    /// Begins a race for a replacement of the way in use, after [`Verdict::Leave`]. The present way runs
    /// too, unless it is certainly broken.
    pub fn begin_replacement(&mut self, now: Moment, hints: &Hints) -> Race {
        self.is_replacing = true;
        let current = self.current;
        if let Some(id) = current
            && self.rung(id).is_some_and(|rung| !rung.is_barred)
        {
            self.lead = Some(id);
        }
        self.begin_race(now, hints)
    }

    /// A way won a race: it is in use from now on. `None` when it was in use before.
    pub fn handle_won(&mut self, now: Moment, winner: WayId) -> Option<Switch> {
        self.is_replacing = false;
        self.rest_until = None;
        self.lead = Some(winner);
        let is_elsewhere = std::mem::take(&mut self.is_elsewhere);
        let reason = match self.current {
            Some(_) if is_elsewhere => SwitchReason::Network,
            Some(_) => SwitchReason::Failed,
            None => SwitchReason::Raced,
        };
        if reason == SwitchReason::Failed
            && let Some(left) = self.current.filter(|left| *left != winner)
            && let Some(rung) = self.rung_mut(left)
        {
            rung.penalty.add(now);
            rung.probing.punish(0);
        }
        if let Some(rung) = self.rung_mut(winner) {
            rung.failures = 0;
        }
        self.switch(now, winner, reason)
    }

    fn switch(&mut self, now: Moment, to: WayId, reason: SwitchReason) -> Option<Switch> {
        let to = self.rung(to)?.way;
        if self.current == Some(to.id) {
            return None;
        }
        let from = self.current();
        self.current = Some(to.id);
        self.trial = None;
        let switch = Switch { from, to, reason };
        self.last_switch = Some((now, switch));
        Some(switch)
    }

    /// An answer on this way verified.
    pub fn handle_verified(&mut self, way: WayId) {
        if let Some(rung) = self.rung_mut(way) {
            rung.failures = 0;
            rung.is_barred = false;
            rung.last_error = None;
        }
        if self.current == Some(way) {
            self.rounds_lost = 0;
            self.portal_since = None;
            self.rungs
                .iter_mut()
                .for_each(|rung| rung.is_barred = false);
        }
    }

    /// A way that won did not prove who answers on it: the round goes on without it. Returns the pause
    /// before the next race: none while other ways are left.
    pub fn handle_unproven(&mut self, now: Moment, random: u64, way: WayId) -> Duration {
        self.lead = self.lead.filter(|lead| *lead != way);
        if let Some(rung) = self.rung_mut(way) {
            rung.is_barred = true;
            rung.last_error.get_or_insert(codes::NO_MAILBOX);
        }
        if self.rungs.iter().any(|rung| !rung.is_barred) {
            return Duration::ZERO;
        }
        self.handle_lost(now, random)
    }

    /// Something answers that is no mailbox, a captive portal perhaps: it opens when somebody clicks.
    pub fn note_portal(&mut self, now: Moment) {
        self.portal_since.get_or_insert(now);
    }

    /// Nobody won. Returns the pause before the next race.
    pub fn handle_lost(&mut self, now: Moment, random: u64) -> Duration {
        let cap = match self.portal_since {
            Some(since) if now.since(since) < PORTAL_TIME => PORTAL_CAP_FIRST,
            Some(_) => PORTAL_CAP,
            None => ROUND_CAP,
        };
        let step = ROUND_BASE
            .saturating_mul(1_u32.checked_shl(self.rounds_lost).unwrap_or(u32::MAX))
            .min(cap);
        let step_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
        let pause = Duration::from_millis(scale(random, step_ms.saturating_add(1)));
        self.rounds_lost = self.rounds_lost.saturating_add(1);
        self.is_replacing = false;
        self.rest_until = Some(now.after(pause));
        self.rungs
            .iter_mut()
            .for_each(|rung| rung.is_barred = false);
        pause
    }

    /// Notes why a way failed, for people.
    pub fn note_error(&mut self, way: WayId, code: &'static str) {
        if let Some(rung) = self.rung_mut(way) {
            rung.last_error = Some(code);
        }
    }

    /// Takes the failure of an exchange that began at `begun` on the way in use.
    pub fn handle_failure(
        &mut self,
        now: Moment,
        random: u64,
        way: WayId,
        begun: Moment,
        blame: Blame,
    ) -> Verdict {
        if self.current != Some(way) || matches!(blame, Blame::Mailbox | Blame::Limit) {
            return Verdict::Stay;
        }
        let Some(rung) = self.rung_mut(way) else {
            return Verdict::Stay;
        };
        if rung.last_failure.is_some_and(|last| begun < last) {
            return Verdict::Stay;
        }
        if now.since(rung.first_failure) > FAILURE_WINDOW || rung.failures == 0 {
            rung.failures = 0;
            rung.first_failure = now;
        }
        rung.failures = rung.failures.saturating_add(1);
        rung.last_failure = Some(now);
        let failures = rung.failures;
        if let Some(back) = self.fall_back(now, random) {
            return Verdict::Back(back);
        }
        let is_enough = blame == Blame::Broken || failures >= FAILURES_MAX;
        let is_resting = self.rest_until.is_some_and(|until| now < until);
        if !is_enough || is_resting || self.is_replacing || self.rungs.len() < 2 {
            return Verdict::Stay;
        }
        if let Some(rung) = self.rung_mut(way) {
            rung.is_barred = blame != Blame::Reset;
        }
        Verdict::Leave
    }

    /// Goes back to the way that is kept warm, when the promoted one died at once.
    fn fall_back(&mut self, now: Moment, random: u64) -> Option<Switch> {
        let trial = self.trial.take()?;
        if now.since(trial.since) >= WARM_TIME {
            return None;
        }
        if let Some(id) = self.current
            && let Some(rung) = self.rung_mut(id)
        {
            rung.penalty.add(now);
            rung.probing.punish(PROBES_NEEDED);
            rung.probing.plan(now, random);
        }
        self.switch(now, trial.from, SwitchReason::Died)
    }

    /// Names the better ways that are to be asked now.
    pub fn poll_probes(&mut self, now: Moment, random: u64) -> Vec<WayId> {
        let Some(current) = self.current.and_then(|id| self.place(id)) else {
            return Vec::new();
        };
        let mut probes = Vec::new();
        for rung in self.rungs.iter_mut().take(current) {
            if rung.penalty.suppresses(now)
                && let Some(until) = rung.penalty.until(now)
            {
                rung.probing.postpone(until);
            }
            rung.probing.plan(now, random);
            if rung.probing.begin(now) {
                probes.push(rung.way.id);
            }
        }
        probes
    }

    /// Takes the end of a probe. Returns true when the way has answered often enough to be taken, by
    /// [`Ladder::promote`].
    pub fn handle_probe(&mut self, now: Moment, random: u64, way: WayId, is_good: bool) -> bool {
        let current = self.current.and_then(|id| self.place(id));
        let place = self.place(way);
        let is_better = place
            .zip(current)
            .is_some_and(|(way, current)| way < current);
        let Some(rung) = self.rung_mut(way) else {
            return false;
        };
        if is_good {
            rung.last_error = None;
            return rung.probing.handle_good(now) && is_better;
        }
        rung.probing.handle_bad(now, random);
        false
    }

    /// Takes a better way that was proven. The one before stays warm for a while.
    pub fn promote(&mut self, now: Moment, way: WayId) -> Option<Switch> {
        if let Some(rung) = self.rung_mut(way) {
            rung.probing = Probing::default();
        }
        let from = self.current;
        let switch = self.switch(now, way, SwitchReason::Better)?;
        self.trial = from.map(|from| Trial { from, since: now });
        self.lead = Some(way);
        Some(switch)
    }

    /// Goes where the mailbox in use sent this client: by this way, or else by another one to the same mailbox.
    pub fn move_to(&mut self, now: Moment, way: WayId) -> Option<Switch> {
        self.lead = Some(way);
        self.toward = self.rung(way).map(|rung| rung.way.mailbox);
        self.switch(now, way, SwitchReason::Moved)
    }

    /// Returns the way that is still kept warm after a promotion; `None` once it may be closed.
    pub fn warm(&mut self, now: Moment) -> Option<WayId> {
        self.trial = self
            .trial
            .filter(|trial| now.since(trial.since) < WARM_TIME);
        self.trial.map(|trial| trial.from)
    }

    /// The moment at which a probe or the end of a trial is due.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        let current = self.current.and_then(|id| self.place(id))?;
        let better = self.rungs.iter().take(current);
        let probes = better.filter_map(|rung| rung.probing.due());
        let trial = self.trial.map(|trial| trial.since.after(WARM_TIME));
        probes.chain(trial).min()
    }

    /// Another network: nothing that was learnt of the ways counts here.
    pub fn handle_network_change(&mut self) {
        for rung in &mut self.rungs {
            *rung = Rung::new(rung.way);
        }
        self.is_elsewhere = self.current.is_some();
        self.lead = None;
        self.toward = None;
        self.trial = None;
        self.rounds_lost = 0;
        self.portal_since = None;
        self.rest_until = None;
        self.is_replacing = false;
    }
}

impl Rung {
    fn new(way: Way) -> Self {
        Self {
            way,
            failures: 0,
            first_failure: Moment::START,
            last_failure: None,
            penalty: Penalty::default(),
            probing: Probing::default(),
            is_barred: false,
            last_error: None,
        }
    }
}

#[cfg(test)]
mod tests;
