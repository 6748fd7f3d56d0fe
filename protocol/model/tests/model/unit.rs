//! A device: what arrives is judged by the acceptance table, becomes durable, and only then is said.
//!
//! Refuses bodies: a snapshot is whole at once.

use super::fleet::{Down, Fault, Fleet, Form, GARBAGE, Held, Mark, Up, entries};
use super::rules::{Rules, lineage};
use postern_protocol::Reject;
use postern_protocol::revision::{Arrival, Epoch, Outcome, Seq};

impl Fleet {
    /// Gives a device an envelope. What it makes of it stays in memory until [`Fleet::commit`].
    pub(crate) fn deliver(&mut self, rules: &Rules, device: usize, down: &Down) {
        let held = self.units[device].memory;
        let stored = held.head.map(|mark| mark.head());
        let frozen = held.frozen.map(Epoch::new);
        let incoming = down.mark.head();
        let known;
        let arrival = match &down.form {
            Form::Delta { base, .. } => Arrival::Delta {
                base: Seq::new(*base),
            },
            Form::Snapshot { lineage: ends } => {
                known = lineage(entries(ends), incoming.revision.epoch);
                Arrival::Snapshot { lineage: &known }
            }
        };
        match (rules.accept)(stored.as_ref(), frozen, &incoming, arrival) {
            Outcome::Accept => self.adopt(rules, device, down.mark),
            Outcome::Apply => {
                let content = match (&down.form, held.head) {
                    (Form::Delta { from, .. }, Some(head)) if head.content == *from => {
                        down.mark.content
                    }
                    (Form::Delta { .. } | Form::Snapshot { .. }, _) => GARBAGE,
                };
                if content != GARBAGE || !rules.checks_digests {
                    let mark = Mark {
                        content,
                        ..down.mark
                    };
                    self.adopt(rules, device, mark);
                }
            }
            Outcome::Refuse(Reject::WriterBehind) => {
                if let Some(head) = held.head {
                    self.commit(device);
                    self.say(device, Up::Behind { head });
                }
            }
            Outcome::Refuse(Reject::Equivocation) => {
                let epoch = down.mark.epoch;
                self.units[device].memory.frozen = Some(epoch);
                self.commit(device);
                self.say(device, Up::Equivocation { epoch });
            }
            Outcome::Duplicate | Outcome::Older | Outcome::Need(_) | Outcome::Refuse(_) => {}
        }
    }

    fn adopt(&mut self, rules: &Rules, device: usize, mark: Mark) {
        let held = self.units[device].memory;
        self.judge(device, held, mark);
        self.units[device].memory = Held {
            head: Some(mark),
            frozen: None,
        };
        if rules.reports_early {
            self.report(device);
        }
    }

    /// Looks at a move from one head to another with the eyes of somebody who knows everything.
    fn judge(&mut self, device: usize, held: Held, mark: Mark) {
        if mark.content == GARBAGE || !self.is_signed(device, mark) {
            self.fail(Fault::Unsigned);
        }
        let Some(head) = held.head else { return };
        let is_other = mark.rank() == head.rank() && mark.content != head.content;
        if mark.rank() < head.rank() || is_other {
            self.fail(Fault::Rollback);
        }
        let is_frozen = |epoch| epoch == mark.epoch && head.generation == mark.generation;
        if held.frozen.is_some_and(is_frozen) {
            self.fail(Fault::Thawed);
        }
        let is_kept = self.knows(mark.content, head.content);
        if !is_kept && !self.overruled[device].contains(&head.content) {
            self.fail(Fault::Lost);
        }
    }

    fn is_signed(&self, device: usize, mark: Mark) -> bool {
        self.wire[device].iter().any(|down| down.mark == mark)
    }

    /// Makes durable what is in memory, and then says it.
    pub(crate) fn commit(&mut self, device: usize) {
        let unit = &mut self.units[device];
        unit.disk = unit.memory;
        self.report(device);
    }

    /// Says where the device stands, in a report with a new number.
    fn report(&mut self, device: usize) {
        let unit = &mut self.units[device];
        let Some(head) = unit.memory.head else { return };
        let accepted = (head.epoch, head.seq);
        let newest = unit.report.map_or(0, |(rseq, _)| rseq);
        if unit.report.is_some_and(|(_, said)| said == accepted) {
            return;
        }
        let rseq = newest + 1;
        unit.report = Some((rseq, accepted));
        let disk = unit.disk.head.map_or((0, 0), |head| (head.epoch, head.seq));
        if disk != accepted {
            self.fail(Fault::Early);
        }
        self.say(device, Up::Report { rseq, accepted });
    }

    fn say(&mut self, device: usize, up: Up) {
        if let Err(place) = self.up[device].binary_search(&up) {
            self.up[device].insert(place, up);
        }
    }

    /// The power goes: memory is gone.
    pub(crate) fn crash(&mut self, device: usize) {
        let unit = &mut self.units[device];
        unit.memory = unit.disk;
    }
}
