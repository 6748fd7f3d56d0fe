//! What may happen next, how often, and what must hold in each moment: the model as the checker sees it.
//!
//! Bounds count what people and machines do; what the attacker on the way does has none. Refuses to go on behind a
//! fault: the path that led there is the finding.

use super::controller::Take;
use super::fleet::{Counts, DEVICES, EMPTY, Fault, Fleet, Mark, Member, Store, Unit};
use super::rules::Rules;
use postern_protocol::revision::Epoch;
use stateright::{Model, Property};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// An envelope arrives, and what it changes becomes durable.
    Deliver {
        device: usize,
        place: usize,
    },
    /// An envelope arrives, becomes durable, and the device says in a session where it stands.
    Visit {
        device: usize,
        place: usize,
    },
    /// An envelope arrives, and the power goes before the commit.
    Crash {
        device: usize,
        place: usize,
    },
    Hear {
        device: usize,
        place: usize,
    },
    HearLive {
        device: usize,
    },
    Decide {
        device: usize,
    },
    Offer {
        device: usize,
    },
    Reopen {
        device: usize,
    },
    Restart,
    Backup,
    Restore,
    Rotate,
    Resolve {
        device: usize,
        take: Take,
    },
    Twin {
        device: usize,
        is_further: bool,
    },
}

/// One world to look through.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) rules: Rules,
    /// How often each may happen. Openings are a bound on how far the search goes.
    pub(crate) most: Counts,
    pub(crate) has_clock: bool,
    /// What must never be in this world.
    pub(crate) watched: &'static [Fault],
    /// For how many devices something is decided. The others are visited, which is one step.
    pub(crate) decides_for: usize,
    /// How many devices anything reaches before the way is honest.
    pub(crate) reached: usize,
    /// True when devices did not hear of the newest bundle, so that keys of lower generations count.
    pub(crate) old_keys_count: bool,
    /// True when what was not delivered before a restore may still arrive behind it.
    pub(crate) keeps_lost_life: bool,
    /// True when nothing rotates before a restore.
    pub(crate) rotates_after_restore: bool,
    /// True when every moment has to come to rest once the way is honest.
    pub(crate) must_settle: bool,
    /// True when its rules are broken on purpose.
    pub(crate) is_broken: bool,
}

/// What every world comes to at least once.
pub(crate) const CONVERGED: &str = "converged";

/// Everything that an honest writer with a good clock promises.
pub(crate) const ALL: &[Fault] = &[
    Fault::Rollback,
    Fault::Lost,
    Fault::Unsigned,
    Fault::Recipient,
    Fault::Thawed,
    Fault::Reused,
    Fault::Early,
    Fault::Dropped,
];

impl World {
    /// The first moment: the controller started, its devices are enrolled and hold nothing.
    pub(crate) fn first(&self) -> Fleet {
        let opened = (self.rules.open)(Epoch::new(0), self.has_clock.then_some(1), 0);
        let epoch = opened.expect("a first epoch").number();
        let member = Member {
            head: Mark {
                generation: 1,
                epoch,
                seq: 1,
                content: EMPTY,
            },
            lineage: Vec::new(),
            contested: None,
            report: None,
            behind: None,
            heard: Some((0, 0)),
            is_withheld: false,
            is_reopen_due: false,
        };
        let mut fleet = Fleet {
            contents: Vec::new(),
            store: Store {
                highest: epoch,
                generation: 1,
                is_restored: false,
                members: [member.clone(), member],
            },
            backup: None,
            units: [Unit::default(), Unit::default()],
            wire: [Vec::new(), Vec::new()],
            up: [Vec::new(), Vec::new()],
            overruled: [Vec::new(), Vec::new()],
            generation: 1,
            moment: 1,
            counts: Counts::default(),
            faults: Vec::new(),
        };
        for device in 0..DEVICES {
            fleet.post_snapshot(&self.rules, device);
        }
        fleet
    }

    fn of_device(&self, fleet: &Fleet, device: usize, steps: &mut Vec<Step>) {
        let (counts, most) = (&fleet.counts, &self.most);
        let member = &fleet.store.members[device];
        for (place, down) in fleet.wire[device].iter().enumerate() {
            if down.mark.generation < fleet.generation && !self.old_keys_count {
                continue;
            }
            if device >= self.decides_for {
                steps.push(Step::Visit { device, place });
                continue;
            }
            steps.push(Step::Deliver { device, place });
            if counts.crashes < most.crashes {
                steps.push(Step::Crash { device, place });
            }
        }
        if device < self.decides_for {
            let places = 0..fleet.up[device].len();
            steps.extend(places.map(|place| Step::Hear { device, place }));
            steps.push(Step::HearLive { device });
            if counts.decisions < most.decisions {
                steps.push(Step::Decide { device });
            }
        }
        let offer = fleet.snapshot(device);
        if offer.is_some_and(|down| !fleet.wire[device].contains(&down)) {
            steps.push(Step::Offer { device });
        }
        if counts.openings >= most.openings {
            return;
        }
        if member.is_reopen_due {
            steps.push(Step::Reopen { device });
        }
        if member.is_in_conflict() {
            for take in [Take::Device, Take::Controller] {
                steps.push(Step::Resolve { device, take });
            }
        }
        if counts.twins < most.twins && device < self.decides_for {
            for is_further in [false, true] {
                steps.push(Step::Twin { device, is_further });
            }
        }
    }

    /// Takes a step. Returns false when nothing came of it.
    pub(crate) fn take(&self, fleet: &mut Fleet, step: &Step) -> bool {
        let rules = &self.rules;
        match *step {
            Step::Deliver { device, place } => {
                let down = fleet.wire[device][place].clone();
                fleet.deliver(rules, device, &down);
                fleet.commit(device);
            }
            Step::Visit { device, place } => {
                let down = fleet.wire[device][place].clone();
                fleet.deliver(rules, device, &down);
                fleet.commit(device);
                for up in fleet.up[device].clone() {
                    fleet.hear(rules, self.has_clock, device, &up);
                }
                fleet.hear_live(rules, self.has_clock, device);
            }
            Step::Crash { device, place } => {
                let down = fleet.wire[device][place].clone();
                fleet.deliver(rules, device, &down);
                fleet.crash(device);
            }
            Step::Hear { device, place } => {
                let up = fleet.up[device][place].clone();
                fleet.hear(rules, self.has_clock, device, &up);
            }
            Step::HearLive { device } => fleet.hear_live(rules, self.has_clock, device),
            Step::Decide { device } => {
                fleet.counts.decisions += 1;
                fleet.decide(rules, device);
            }
            Step::Offer { device } => fleet.post_snapshot(rules, device),
            Step::Reopen { device } => fleet.reopen(rules, self.has_clock, device),
            Step::Restart => {
                fleet.counts.restarts += 1;
                fleet.start(rules, self.has_clock);
            }
            Step::Backup => {
                fleet.counts.backups += 1;
                fleet.backup = Some(Box::new(fleet.store.clone()));
            }
            Step::Restore => {
                fleet.counts.restores += 1;
                if !self.keeps_lost_life {
                    fleet.wire = Default::default();
                }
                fleet.restore(rules, self.has_clock);
            }
            Step::Rotate => {
                fleet.counts.rotations += 1;
                return fleet.rotate(rules);
            }
            Step::Resolve { device, take } => {
                return fleet.resolve(rules, self.has_clock, device, take);
            }
            Step::Twin { device, is_further } => {
                fleet.counts.twins += 1;
                fleet.twin(device, is_further);
            }
        }
        true
    }

    /// Tells whether everything comes to rest once the way is honest, whatever the operator chooses where he has to.
    pub(crate) fn settles(&self, fleet: &Fleet) -> bool {
        if !fleet.faults.is_empty() || !self.must_settle {
            return true;
        }
        let choices = [Take::Device, Take::Controller];
        choices.into_iter().all(|take| {
            let mut fleet = fleet.clone();
            (0..super::heal::ROUNDS).any(|_| {
                self.round(&mut fleet, take);
                fleet.faults.retain(|fault| self.watched.contains(fault));
                fleet.faults.is_empty() && fleet.is_at_rest()
            })
        })
    }
}

impl Model for World {
    type State = Fleet;
    type Action = Step;

    fn init_states(&self) -> Vec<Fleet> {
        vec![self.first()]
    }

    fn actions(&self, fleet: &Fleet, steps: &mut Vec<Step>) {
        if !fleet.faults.is_empty() {
            return;
        }
        for device in 0..self.reached {
            self.of_device(fleet, device, steps);
        }
        let (counts, most) = (&fleet.counts, &self.most);
        if counts.backups < most.backups {
            steps.push(Step::Backup);
        }
        let may_rotate = counts.restores > 0 || !self.rotates_after_restore;
        if counts.rotations < most.rotations && may_rotate {
            steps.push(Step::Rotate);
        }
        if counts.openings >= most.openings {
            return;
        }
        if counts.restarts < most.restarts {
            steps.push(Step::Restart);
        }
        if counts.restores < most.restores && fleet.backup.is_some() {
            steps.push(Step::Restore);
        }
    }

    fn next_state(&self, fleet: &Fleet, step: Step) -> Option<Fleet> {
        let mut next = fleet.clone();
        let has_effect = self.take(&mut next, &step);
        next.faults.retain(|fault| self.watched.contains(fault));
        (has_effect && next != *fleet).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // Each of these is a promise of the pages of spec/, in the order in which they stand there.
        let mut all = vec![
            Property::always("no rollback", |_, it: &Fleet| it.has_no(Fault::Rollback)),
            Property::always("no update lost", |_, it: &Fleet| it.has_no(Fault::Lost)),
            Property::always("forgery inert", |_, it: &Fleet| it.has_no(Fault::Unsigned)),
            Property::always("right recipient", |_, it: &Fleet| {
                it.has_no(Fault::Recipient)
            }),
            Property::always("frozen stays", |_, it: &Fleet| it.has_no(Fault::Thawed)),
            Property::always("number never reused", |_, it: &Fleet| {
                it.has_no(Fault::Reused)
            }),
            Property::always("durable before said", |_, it: &Fleet| {
                it.has_no(Fault::Early)
            }),
            Property::always("own decisions kept", |_, it: &Fleet| {
                it.has_no(Fault::Dropped)
            }),
        ];
        all.push(Property::always("comes to rest", Self::settles));
        // A search that never came here looked at nothing.
        all.push(Property::sometimes(CONVERGED, |_, it: &Fleet| {
            it.is_converged(0)
        }));
        all
    }
}
