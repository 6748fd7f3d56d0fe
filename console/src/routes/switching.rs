//! What makes another way be used: races, failures, probes of better ways, another network.
//!
//! Thin over the pure ladder: reads the clock and draws the dice for it, and keeps the numbers. Refuses the end
//! of a race that is not the newest.

use super::address::why_no_challenge;
use super::{Contest, Loss, Probe, Raced, Routes, Sent, Won, is_challenge, moment, random};
use postern_egress::body_size::BodySizes;
use postern_egress::hold::HoldLadder;
use postern_egress::ladder::{Blame, Race, Switch, Verdict, WayId};
use postern_egress::{TransportError, codes};
use postern_protocol::id::Thumbprint;
use std::sync::Arc;
use std::time::Duration;

/// What became of the mailbox in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The same mailbox, perhaps along another way: its session goes on.
    Same,
    /// Another mailbox: a new session has to begin.
    Mailbox,
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Try again on the same way.
    Stay,
    /// Race for another way; until one wins, the present one stays in use.
    Leave,
    /// The way that was left a moment ago is in use again.
    Back(Change),
}

impl Routes {
    /// Begins the race for a session: `ask` goes out on each way, and the first challenge of a listed
    /// mailbox wins.
    pub fn race(&mut self, ask: Vec<u8>, listed: Vec<Thumbprint>) -> Contest {
        self.note_asker(ask, listed);
        let hints = self.whereabouts.hints();
        let race = self.ladder.begin_race(moment(), &hints);
        self.contest(race)
    }

    /// Takes what is asked, and whose challenge counts, for the probes and replacements to come.
    pub fn note_asker(&mut self, ask: Vec<u8>, listed: Vec<Thumbprint>) {
        self.ask = ask;
        self.listed = listed;
    }

    /// Begins the race for another way than the one in use, after [`Ruling::Leave`].
    pub fn race_for_replacement(&mut self) -> Contest {
        let hints = self.whereabouts.hints();
        let race = self.ladder.begin_replacement(moment(), &hints);
        self.contest(race)
    }

    fn contest(&mut self, race: Race) -> Contest {
        self.races += 1;
        self.is_racing = true;
        let ways = race.ways().filter_map(|id| self.way(id));
        let clients = ways.map(|way| (way.id, Arc::clone(&way.client)));
        Contest {
            number: self.races,
            clients: clients.collect(),
            race,
            ask: self.ask.clone(),
            listed: self.listed.clone(),
            udp: Arc::clone(&self.udp),
        }
    }

    /// Takes the losers of a race and gives back its winner, unless a newer race runs.
    pub fn handle_raced(&mut self, raced: Raced) -> Option<Result<Won, Vec<(WayId, Loss)>>> {
        if raced.number != self.races {
            return None;
        }
        self.is_racing = false;
        for (way, loss) in &raced.failures {
            self.ladder.note_error(*way, loss.code());
            if loss.code() == codes::NO_MAILBOX {
                self.ladder.note_portal(moment());
            }
        }
        Some(raced.won.ok_or(raced.failures))
    }

    /// Uses the winner of a race.
    pub fn handle_won(&mut self, way: WayId) -> Change {
        let url = self.current_url().map(str::to_owned);
        let switch = self.ladder.handle_won(moment(), way);
        self.note_switch(switch.as_ref());
        self.change_from(url.as_deref())
    }

    fn change_from(&self, url: Option<&str>) -> Change {
        if self.current_url() == url {
            Change::Same
        } else {
            Change::Mailbox
        }
    }

    /// Nobody won a race. Returns the pause before the next.
    pub fn handle_lost(&mut self) -> Duration {
        self.ladder.handle_lost(moment(), random())
    }

    /// An answer on this way verified.
    pub fn handle_verified(&mut self, way: WayId) {
        self.ladder.handle_verified(way);
    }

    /// The winner did not prove who answers. Returns the pause before the next race.
    pub fn handle_unproven(&mut self, way: WayId) -> Duration {
        self.ladder.handle_unproven(moment(), random(), way)
    }

    /// Takes the failure of an exchange.
    pub fn handle_failure(&mut self, sent: Sent, error: &TransportError) -> Ruling {
        self.blame(sent, error.blame(sent.is_held))
    }

    /// Takes an answer that is none of a mailbox.
    pub fn handle_no_mailbox(&mut self, sent: Sent) -> Ruling {
        self.ladder.note_error(sent.way, codes::NO_MAILBOX);
        self.blame(sent, Blame::Way)
    }

    fn blame(&mut self, sent: Sent, blame: Blame) -> Ruling {
        if self.is_racing {
            return Ruling::Stay;
        }
        let url = self.current_url().map(str::to_owned);
        let now = moment();
        let verdict = self
            .ladder
            .handle_failure(now, random(), sent.way, sent.begun, blame);
        match verdict {
            Verdict::Stay => Ruling::Stay,
            Verdict::Leave => Ruling::Leave,
            Verdict::Back(switch) => {
                self.note_switch(Some(&switch));
                Ruling::Back(self.change_from(url.as_deref()))
            }
        }
    }

    /// Goes on to the next way in order: for what is asked on each way once, without a race.
    pub fn advance_from(&mut self, way: WayId) {
        let order: Vec<_> = self.in_order().collect();
        let place = order.iter().position(|id| *id == way);
        let next = place
            .and_then(|place| order.get(place + 1))
            .or(order.first());
        if let Some(next) = next {
            self.ladder.move_to(moment(), *next);
        }
    }

    /// Goes to the best way to another mailbox, because the one in use says so. Returns true when
    /// that is in use now; false where no way leads there, or it is in use already.
    pub fn move_to(&mut self, url: &str) -> bool {
        if self.current_url() == Some(url) {
            return false;
        }
        let is_its = |id: &WayId| self.way(*id).is_some_and(|way| way.address.url == url);
        let Some(way) = self.in_order().find(is_its) else {
            return false;
        };
        let switch = self.ladder.move_to(moment(), way);
        self.note_switch(switch.as_ref());
        switch.is_some()
    }

    /// The clock's milliseconds at which [`Self::look`] or [`Self::poll_probes`] has something to do.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        let look = self.whereabouts.due_ms();
        let due = self.ladder.due().map(|due| due.as_millis());
        due.map_or(look, |due| due.min(look))
    }

    /// Names the better ways that are to be asked again now, best first.
    pub fn poll_probes(&mut self) -> Vec<Probe> {
        let now = moment();
        let probes = self.ladder.poll_probes(now, random());
        let warm = self.ladder.warm(now);
        if let Some(cold) = std::mem::replace(&mut self.warm, warm).filter(|_| warm.is_none())
            && let Some(way) = self.way(cold)
        {
            way.client.close_kept();
        }
        let ways = probes.into_iter().filter_map(|id| self.way(id));
        let probes = ways.map(|way| Probe {
            way: way.id,
            client: Arc::clone(&way.client),
            ask: self.ask.clone(),
        });
        probes.collect()
    }

    /// Takes what a better way answered. Returns true when it has answered often enough to be used, by
    /// [`Self::promote`].
    pub fn handle_probed(&mut self, way: WayId, answer: &Result<Vec<u8>, &'static str>) -> bool {
        let code = match answer {
            Ok(body) if is_challenge(body, &self.listed) => None,
            Ok(body) => Some(why_no_challenge(body)),
            Err(code) => Some(*code),
        };
        let is_ripe = self
            .ladder
            .handle_probe(moment(), random(), way, code.is_none());
        if let Some(code) = code {
            self.ladder.note_error(way, code);
        }
        is_ripe && !self.is_racing
    }

    /// A better way did not prove who answers.
    pub fn handle_unproven_probe(&mut self, way: WayId) {
        self.ladder.handle_probe(moment(), random(), way, false);
        self.ladder.note_error(way, codes::NO_MAILBOX);
    }

    /// Closes every way, and tells the far ends: a process that ends without it is counted by a mailbox over QUIC until
    /// its silence has lasted long enough.
    pub async fn close(&self) {
        for way in &self.ways {
            way.client.close().await;
        }
    }

    /// Tells whether a way leads to the mailbox in use.
    #[must_use]
    pub fn leads_to_same(&self, way: WayId) -> bool {
        let url = self.way(way).map(|way| way.address.url.as_str());
        url.is_some() && url == self.current_url()
    }

    /// Uses a better way that has proven itself. The one before stays open for a minute.
    pub fn promote(&mut self, way: WayId) -> Change {
        let url = self.current_url().map(str::to_owned);
        let switch = self.ladder.promote(moment(), way);
        self.note_switch(switch.as_ref());
        self.warm = self.ladder.warm(moment());
        self.change_from(url.as_deref())
    }

    /// Looks in which network this machine is. Returns true when it is another one: every way has
    /// forgotten what it learnt there and kept no connection, and a race is due.
    pub fn look(&mut self) -> bool {
        if let Some(is_hostile) = self.udp.take() {
            self.whereabouts.note_udp(is_hostile);
        }
        let changes = self.whereabouts.look();
        if std::mem::replace(&mut self.changes, changes) == changes {
            return false;
        }
        self.ladder.handle_network_change();
        self.dialer.handle_network_change();
        for way in &mut self.ways {
            way.client.handle_network_changed();
            way.ladder = HoldLadder::with_ceiling(self.hold_ceiling);
            way.sizes = BodySizes::new();
            way.push.handle_network_change();
            way.resume(self.whereabouts.limits(way.key));
        }
        true
    }

    pub(super) fn note_switch(&mut self, switch: Option<&Switch>) {
        let Some(Switch { from, to, reason }) = switch else {
            return;
        };
        let from = from.map_or("none", |way| way.as_str());
        let (to, reason) = (to.as_str(), reason.as_str());
        self.switches.count(from, to, reason);
        tracing::info!(from, to, reason, "another route is in use");
    }
}
