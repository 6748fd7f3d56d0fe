//! The controller: decisions, starts, restores, recovery and changes of its key.
//!
//! Which head is known, whose decisions count, which number an epoch gets and what a lineage names is asked of the
//! crate. Refuses to take anything off the wire again.

use super::fleet::{Down, Fault, Fleet, Form, Mark, Member, Up, ends, entries};
use super::rules::Rules;
use super::wire::try_everywhere;
use postern_protocol::id::MessageId;
use postern_protocol::message::{ReportHead, accept_report};
use postern_protocol::revision::{Epoch, History, LineageEntry, Outcome, Revision, Seq, Standing};

/// Which of two histories counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Take {
    Device,
    Controller,
}

fn revision((epoch, seq): (u64, u64)) -> Revision {
    Revision::new(Epoch::new(epoch), Seq::new(seq))
}

fn report_head((rseq, (epoch, seq)): (u64, (u64, u64))) -> ReportHead {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&epoch.to_be_bytes());
    id[8..16].copy_from_slice(&seq.to_be_bytes());
    ReportHead {
        number: revision((1, rseq)),
        message_id: MessageId::from_bytes(id),
    }
}

impl Member {
    /// Asks the crate, with what this member knows.
    fn ask<T>(&self, question: impl FnOnce(&History<'_>) -> T) -> T {
        let lineage: Vec<LineageEntry> = entries(&self.lineage);
        question(&History {
            head: self.head.head(),
            lineage: &lineage,
            contested: self.contested.map(Epoch::new),
            reported: self.report.map(|(_, accepted)| revision(accepted)),
        })
    }

    /// Remembers that the device may know nothing of our epochs from this one on.
    fn contest(&mut self, epoch: u64) {
        self.contested = Some(self.contested.map_or(epoch, |first| first.min(epoch)));
    }

    fn reported_epoch(&self) -> Option<Epoch> {
        self.report.map(|(_, (epoch, _))| Epoch::new(epoch))
    }

    pub(crate) fn is_behind(&self) -> bool {
        let shown = self.report.map(|(_, accepted)| accepted);
        let mut shown = shown.into_iter().chain(self.heard);
        self.behind.is_some()
            || shown.any(|shown| self.ask(|history| history.is_unknown(revision(shown))))
    }

    /// True when the device showed a head of the present epoch: nothing older reaches it any more.
    fn has_followed(&self) -> bool {
        self.heard
            .is_some_and(|(epoch, _)| epoch == self.head.epoch)
    }

    pub(crate) fn is_offered(&self) -> bool {
        self.behind.is_none() && !self.is_withheld
    }

    /// True while an operator may have to choose.
    pub(crate) fn is_in_conflict(&self) -> bool {
        self.behind.is_some() || (self.is_withheld && self.is_behind())
    }

    fn open_epoch(&mut self, rules: &Rules, epoch: u64, generation: u64) {
        let mut lineage = entries(&self.lineage);
        (rules.end_epoch)(&mut lineage, &self.head.head(), self.reported_epoch());
        self.lineage = ends(&lineage);
        self.head = Mark {
            generation,
            epoch,
            seq: 1,
            content: self.head.content,
        };
    }

    fn cover(&mut self, rules: &Rules, shown: Mark) {
        let mut lineage = entries(&self.lineage);
        let (present, reported) = (Epoch::new(self.head.epoch), self.reported_epoch());
        (rules.cover)(&mut lineage, &shown.head(), present, reported);
        self.lineage = ends(&lineage);
    }
}

impl Fleet {
    /// Signs; the attacker has it at once and tries it everywhere.
    fn sign(&mut self, rules: &Rules, down: Down) {
        let place = &self.wire[down.to];
        let is_twin = |other: &Down| {
            other.mark.rank() == down.mark.rank() && other.mark.content != down.mark.content
        };
        if place.iter().any(is_twin) {
            self.fail(Fault::Reused);
        }
        let believed = try_everywhere(&down, rules.trusting);
        if believed.elsewhere {
            self.fail(Fault::Recipient);
        }
        if believed.forged {
            self.fail(Fault::Unsigned);
        }
        self.put(down);
    }

    /// Puts on the wire what somebody signed with the writer's key.
    pub(crate) fn put(&mut self, down: Down) {
        let place = &mut self.wire[down.to];
        if let Err(at) = place.binary_search(&down) {
            place.insert(at, down);
        }
    }

    /// Signs the whole state at its present revision, unless nothing may be offered.
    pub(crate) fn post_snapshot(&mut self, rules: &Rules, device: usize) {
        if let Some(down) = self.snapshot(device) {
            self.sign(rules, down);
        }
    }

    /// The snapshot that the controller would sign now.
    pub(crate) fn snapshot(&self, device: usize) -> Option<Down> {
        let member = &self.store.members[device];
        let form = Form::Snapshot {
            lineage: member.lineage.clone(),
        };
        member.is_offered().then_some(Down {
            to: device,
            mark: member.head,
            form,
        })
    }

    fn further_epoch(&mut self, rules: &Rules, has_clock: bool) -> u64 {
        self.moment += 1;
        self.counts.openings = self.counts.openings.saturating_add(1);
        let clock = has_clock.then_some(self.moment);
        // Where a clock keeps openings apart, chance need not: the worlds stay small.
        let random = if has_clock { 0 } else { self.moment as u32 };
        let opened = (rules.open)(Epoch::new(self.store.highest), clock, random);
        self.store.highest = opened.expect("numbers are small here").number();
        self.store.highest
    }

    /// A decision of the operator.
    pub(crate) fn decide(&mut self, rules: &Rules, device: usize) {
        let before = self.store.members[device].head;
        let content = self.invent(device, before.content);
        let member = &mut self.store.members[device];
        member.head.seq += 1;
        member.head.content = content;
        let mark = member.head;
        if !member.is_offered() {
            return;
        }
        // One delta may span several decisions.
        let mut bases = vec![(before.seq, before.content)];
        if before.seq > 1 {
            bases.push((before.seq - 1, self.parent(before.content)));
        }
        for (base, from) in bases {
            let form = Form::Delta { base, from };
            let to = device;
            self.sign(rules, Down { to, mark, form });
        }
    }

    /// The process starts with the store as it is.
    pub(crate) fn start(&mut self, rules: &Rules, has_clock: bool) {
        let epoch = self.further_epoch(rules, has_clock);
        let newest = self.generation;
        let is_restored = self.store.is_restored;
        self.store.generation = newest;
        for device in 0..self.store.members.len() {
            let member = &mut self.store.members[device];
            member.heard = None;
            member.is_reopen_due = false;
            let held = member.head.generation;
            member.is_withheld = is_restored && newest > held && !rules.rotates_blindly;
            let generation = if member.is_withheld { held } else { newest };
            if !rules.continues_epoch {
                member.open_epoch(rules, epoch, generation);
            }
            if is_restored {
                member.contest(epoch);
            }
            self.post_snapshot(rules, device);
        }
    }

    /// The store goes back to its copy, and the process starts.
    pub(crate) fn restore(&mut self, rules: &Rules, has_clock: bool) {
        if let Some(backup) = &self.backup {
            self.store = (**backup).clone();
            self.store.is_restored = true;
            self.start(rules, has_clock);
        }
    }

    /// Takes something that a device signed, now or long ago.
    pub(crate) fn hear(&mut self, rules: &Rules, has_clock: bool, device: usize, up: &Up) {
        match up {
            Up::Report { rseq, accepted } => self.hear_report(rules, device, (*rseq, *accepted)),
            Up::Behind { head } => self.hear_behind(rules, has_clock, device, *head),
            Up::Equivocation { epoch } => {
                let member = &mut self.store.members[device];
                if member.head.epoch == *epoch {
                    member.contest(*epoch);
                    member.is_reopen_due = true;
                }
            }
        }
    }

    fn hear_report(&mut self, rules: &Rules, device: usize, report: (u64, (u64, u64))) {
        let member = &mut self.store.members[device];
        let stored = member.report.map(report_head);
        if accept_report(stored.as_ref(), &report_head(report)) != Outcome::Accept {
            return;
        }
        member.report = Some(report);
        let (epoch, seq) = report.1;
        let shown = revision(report.1);
        let settled = member.ask(|history| history.contested_after(shown));
        member.contested = settled.map(Epoch::number);
        let mut lineage = entries(&member.lineage);
        postern_protocol::revision::prune(
            &mut lineage,
            Epoch::new(member.head.epoch),
            member.reported_epoch(),
        );
        member.lineage = ends(&lineage);
        if let Some(first) = member.ask(|history| history.passed_by(shown)) {
            member.contest(first.number());
            member.is_reopen_due = true;
        }
        let is_ours = member.ask(|history| {
            let accepted = revision((epoch, seq));
            history.known(accepted).is_some() && !history.is_unknown(accepted)
        });
        let is_passed = |behind: Mark| (epoch, seq) > (behind.epoch, behind.seq);
        let was_left = is_ours && member.behind.is_some_and(is_passed);
        if was_left {
            member.behind = None;
        }
        self.store.highest = self.store.highest.max(epoch);
        if was_left {
            self.post_snapshot(rules, device);
        }
    }

    /// A device says in a session of its own where it stands.
    pub(crate) fn hear_live(&mut self, rules: &Rules, has_clock: bool, device: usize) {
        let report = self.units[device].report;
        if let Some(report) = report {
            self.hear_report(rules, device, report);
        }
        let shown = report.map_or((0, 0), |(_, accepted)| accepted);
        let member = &mut self.store.members[device];
        member.heard = member.heard.max(Some(shown));
        if member.is_withheld && !member.is_behind() {
            self.release(rules, has_clock, device);
        }
        let is_settled = |member: &Member| member.has_followed() && !member.is_withheld;
        if self.store.members.iter().all(is_settled) {
            self.store.is_restored = false;
        }
    }

    fn release(&mut self, rules: &Rules, has_clock: bool, device: usize) {
        let epoch = self.further_epoch(rules, has_clock);
        let generation = self.store.generation;
        let member = &mut self.store.members[device];
        member.is_withheld = false;
        member.open_epoch(rules, epoch, generation);
        self.post_snapshot(rules, device);
    }

    fn hear_behind(&mut self, rules: &Rules, has_clock: bool, device: usize, shown: Mark) {
        let member = &self.store.members[device];
        // The evidence names no generation; a head is proven by an envelope under the present key.
        let is_proven = shown.generation == self.store.generation;
        let head = Mark {
            generation: member.head.generation,
            ..shown
        };
        if member.ask(|history| (rules.standing)(history, &head.head())) != Standing::News {
            return;
        }
        let place = |mark: Mark| (mark.epoch, mark.seq);
        let is_no_news = |behind: Mark| behind == head || place(head) < place(behind);
        if member.behind.is_some_and(is_no_news) {
            return;
        }
        let is_own = member.ask(|history| (rules.has_own_decisions)(history, &head.head()));
        let is_conflict = !is_proven || is_own;
        let own = member.head.content;
        self.store.highest = self.store.highest.max(head.epoch);
        self.store.members[device].behind = Some(head);
        if !is_conflict {
            if !self.knows(head.content, own) {
                self.fail(Fault::Dropped);
            }
            self.recover(rules, has_clock, device, Take::Device);
        }
    }

    /// The operator chooses. Returns false when there is nothing to choose.
    pub(crate) fn resolve(
        &mut self,
        rules: &Rules,
        has_clock: bool,
        device: usize,
        take: Take,
    ) -> bool {
        if take == Take::Controller {
            self.overrule(device);
        }
        let member = &self.store.members[device];
        if member.behind.is_some() {
            self.recover(rules, has_clock, device, take);
        } else if take == Take::Controller && member.is_in_conflict() {
            let shown = member.report.map(|(_, at)| at).max(member.heard);
            let epoch = shown.map_or(0, |(epoch, _)| epoch);
            self.store.highest = self.store.highest.max(epoch);
            self.release(rules, has_clock, device);
        } else {
            return false;
        }
        true
    }

    fn recover(&mut self, rules: &Rules, has_clock: bool, device: usize, take: Take) {
        let Some(head) = self.store.members[device].behind else {
            return;
        };
        let epoch = self.further_epoch(rules, has_clock);
        let member = &mut self.store.members[device];
        member.open_epoch(rules, epoch, member.head.generation);
        member.cover(rules, head);
        (member.behind, member.contested) = (None, None);
        member.is_reopen_due = false;
        if take == Take::Device {
            member.head.content = head.content;
        }
        self.post_snapshot(rules, device);
    }

    /// Leaves an epoch in which somebody else wrote.
    pub(crate) fn reopen(&mut self, rules: &Rules, has_clock: bool, device: usize) {
        let epoch = self.further_epoch(rules, has_clock);
        let member = &mut self.store.members[device];
        member.is_reopen_due = false;
        member.open_epoch(rules, epoch, member.head.generation);
        self.post_snapshot(rules, device);
    }

    /// The root signs a bundle with another writer key. Returns false when the controller refuses it.
    pub(crate) fn rotate(&mut self, rules: &Rules) -> bool {
        let is_restored = self.store.is_restored;
        let would_lose =
            |member: &Member| member.is_behind() || (is_restored && !member.has_followed());
        if self.store.members.iter().any(would_lose) && !rules.rotates_blindly {
            return false;
        }
        self.generation += 1;
        self.store.generation = self.generation;
        for device in 0..self.store.members.len() {
            let member = &mut self.store.members[device];
            member.head.generation = self.generation;
            member.is_withheld = false;
            self.post_snapshot(rules, device);
        }
        true
    }

    /// Somebody else who has the writer's key signs a snapshot in the present epoch.
    pub(crate) fn twin(&mut self, device: usize, is_further: bool) {
        let member = &self.store.members[device];
        let mut mark = member.head;
        let lineage = member.lineage.clone();
        mark.seq += u64::from(is_further);
        mark.content = self.invent(device, super::fleet::EMPTY);
        self.put(Down {
            to: device,
            mark,
            form: Form::Snapshot { lineage },
        });
    }
}
