//! Visits crash states: every write and flush boundary of a run, and what recovery makes of it.
//!
//! At each boundary the unflushed writes are kept not at all, all, and in drawn parts of whole
//! writes, of 4 KiB blocks and of sectors; before each flush every write is also left out alone
//! and kept alone. Some of the states that open are cut again while they recover, up to three
//! times, and some go on working.

use std::fmt;
use std::sync::Arc;

use postern_relay::store::Store;

use super::disk::{DiskOp, RecordingDisk};
use super::image::Image;
use super::life::{Event, Life, Plan, Run, Sabotage, Standing};
use super::random::Random;
use super::schedule::{Schedule, Step};
use super::tail::{Tail, Unit, Window};
use super::verify::{Failure, Opened, open};

const RECOVERIES_CUT_MAX: usize = 3;
/// One in so many states has its recovery cut at a drawn place.
const CUT_AGAIN_ONE_IN: usize = 3;
/// One in so many states has its recovery cut at every place.
const CUT_EVERYWHERE_ONE_IN: usize = 64;
/// One in so many states goes on working.
const GO_ON_ONE_IN: usize = 8;

/// What an exploration found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// States opened, those of later cuts included.
    pub states: u64,
    pub runs: u64,
    /// Write and flush boundaries that were cut at.
    pub boundaries: u64,
    /// States from cuts during recovery.
    pub recoveries_cut: u64,
    /// States that went on working after they recovered.
    pub went_on: u64,
    /// Growths and shrinkings of the file in the runs.
    pub lengths_set: u64,
    pub lost: u64,
    pub bad: u64,
    pub unopenable: u64,
    /// The first failing state.
    pub first: Option<(Schedule, Failure)>,
}

impl Found {
    pub fn failures(&self) -> u64 {
        self.lost + self.bad + self.unopenable
    }

    fn is_enough(&self, plan: Plan) -> bool {
        plan.sabotage != Sabotage::Nothing && self.first.is_some()
    }

    pub fn add(&mut self, other: Self) {
        self.states += other.states;
        self.runs += other.runs;
        self.boundaries += other.boundaries;
        self.recoveries_cut += other.recoveries_cut;
        self.went_on += other.went_on;
        self.lengths_set += other.lengths_set;
        self.lost += other.lost;
        self.bad += other.bad;
        self.unopenable += other.unopenable;
        self.first = self.first.take().or(other.first);
    }

    fn count(&mut self, failure: Failure, schedule: &Schedule) {
        match &failure {
            Failure::Lost(_) => self.lost += 1,
            Failure::Bad(_) => self.bad += 1,
            Failure::Unopenable(_) => self.unopenable += 1,
        }
        self.first
            .get_or_insert_with(|| (schedule.clone(), failure));
    }
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} states of {} runs: {} boundaries of writes and flushes, {} changes of length, {} \
             recoveries cut, {} went on; {} lost, {} bad, {} unopenable",
            self.states,
            self.runs,
            self.boundaries,
            self.lengths_set,
            self.recoveries_cut,
            self.went_on,
            self.lost,
            self.bad,
            self.unopenable
        )?;
        match &self.first {
            Some((schedule, failure)) => {
                write!(out, "; POSTERN_CRASH_REPLAY={schedule} shows {failure:?}")
            }
            None => Ok(()),
        }
    }
}

/// Opens at least `states` crash states; the plan's seed is that of the whole exploration. What
/// is sabotaged is explored up to its first failure.
pub fn explore(plan: Plan, states: u64) -> Found {
    let mut found = Found::default();
    while found.states < states && !found.is_enough(plan) {
        let seed = Random(plan.seed).nth(found.runs).next();
        let run = Explorer::new(Plan { seed, ..plan }).explore(states - found.states);
        found.add(run);
    }
    found
}

/// Opens one crash state again.
pub fn replay(schedule: &Schedule) -> Result<(), Failure> {
    let run = Run::record(schedule.plan);
    let plan = schedule.plan;
    let life = &run.lives[schedule.life];
    let mut standing = life.standing_at(schedule.cut);
    let mut image = life.window_at(schedule.cut).after(&schedule.tail);
    for step in &schedule.steps {
        let disk = Arc::new(RecordingDisk::holding(image.clone()));
        let opened = open(&disk, plan, &standing)?;
        (image, standing) = match step {
            Step::Recovery { cut, tail } => {
                let recovery = Recovery::of(image, &opened, &disk);
                recovery.cut(*cut, tail, &standing)
            }
            Step::Commit => go_on(plan, opened, &disk, &standing),
        };
    }
    let disk = Arc::new(RecordingDisk::holding(image));
    open(&disk, plan, &standing).map(drop)
}

/// What a start wrote until it was open.
struct Recovery {
    start: Image,
    ops: Vec<DiskOp>,
    newest: usize,
}

impl Recovery {
    fn of(start: Image, opened: &Opened, disk: &RecordingDisk) -> Self {
        Self {
            start,
            ops: disk.take_log(),
            newest: opened.newest,
        }
    }

    fn cut(&self, cut: usize, tail: &Tail, standing: &Standing) -> (Image, Standing) {
        let mut window = Window::over(self.start.clone());
        self.ops
            .iter()
            .take(cut)
            .for_each(|op| window.push(op.clone()));
        let mut standing = standing.clone();
        // What a completed opening has shown may have been told to the other end.
        if cut == self.ops.len() {
            standing.at_least = self.newest;
        }
        (window.after(tail), standing)
    }
}

/// Commits one more batch; returns what a power cut at its acknowledgement leaves.
fn go_on(
    plan: Plan,
    opened: Opened,
    disk: &RecordingDisk,
    standing: &Standing,
) -> (Image, Standing) {
    let n = opened.newest + 1;
    let mut random = Random(plan.seed).nth(n as u64);
    let draft = plan.shape.draft(&opened.model, n, &mut random);
    let mut history = standing.history.clone();
    history.truncate(n);
    match opened.store.commit(draft.batch()) {
        Ok(_durable) => history.push(Arc::new(draft.model)),
        Err(error) => unreachable!("a sound disk takes every batch: {error:?}"),
    }
    let standing = Standing {
        at_least: n,
        at_most: n,
        history,
    };
    (disk.window().after(&Tail::Nothing), standing)
}

struct Explorer {
    plan: Plan,
    random: Random,
    found: Found,
}

impl Explorer {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            random: Random(plan.seed ^ 0x5eed),
            found: Found {
                runs: 1,
                ..Found::default()
            },
        }
    }

    /// Visits every boundary of the run, in a drawn order, until there are enough states.
    fn explore(mut self, states: u64) -> Found {
        let run = Run::record(self.plan);
        if let Some((life, cut, tail, failure)) = run.broken {
            let schedule = self.schedule(life, cut, tail);
            self.found.states += 1;
            self.found.count(failure, &schedule);
        }
        let mut lives: Vec<usize> = (0..run.lives.len()).collect();
        self.random.shuffle(&mut lives);
        for index in lives {
            let life = &run.lives[index];
            let mut window = life.start();
            for cut in 0..=life.events.len() {
                if self.found.states >= states || self.found.is_enough(self.plan) {
                    return self.found;
                }
                self.visit(index, life, cut, &window);
                if let Some(Event::Disk(op)) = life.events.get(cut) {
                    self.found.lengths_set += u64::from(matches!(op, DiskOp::SetLength(_)));
                    window.push(op.clone());
                }
            }
        }
        self.found
    }

    fn schedule(&self, life: usize, cut: usize, tail: Tail) -> Schedule {
        Schedule {
            plan: self.plan,
            life,
            cut,
            tail,
            steps: Vec::new(),
        }
    }

    fn visit(&mut self, index: usize, life: &Life, cut: usize, window: &Window) {
        let next = life.events.get(cut);
        self.found.boundaries += u64::from(matches!(next, Some(Event::Disk(_))));
        let standing = life.standing_at(cut);
        for tail in self.tails(window, next) {
            let mut schedule = self.schedule(index, cut, tail);
            self.examine(window.after(&tail), &standing, &mut schedule);
        }
    }

    fn tails(&mut self, window: &Window, next: Option<&Event>) -> Vec<Tail> {
        let mut tails = vec![Tail::Nothing];
        let places = window.ops().len();
        if places == 0 {
            return tails;
        }
        tails.push(Tail::All);
        tails.extend(Unit::ALL.map(|unit| Tail::drawn(unit, &mut self.random)));
        if matches!(next, Some(Event::Disk(DiskOp::Flush))) {
            tails.extend((0..places).map(Tail::Only));
            tails.extend((0..places).map(Tail::AllBut));
        }
        tails
    }

    /// Opens a state, and with some luck what becomes of it.
    fn examine(&mut self, image: Image, standing: &Standing, schedule: &mut Schedule) {
        self.found.states += 1;
        let disk = Arc::new(RecordingDisk::holding(image.clone()));
        let opened = match open(&disk, self.plan, standing) {
            Ok(opened) => opened,
            Err(failure) => return self.found.count(failure, schedule),
        };
        let recovery = Recovery::of(image, &opened, &disk);
        if self.random.one_in(GO_ON_ONE_IN) {
            let (image, standing) = go_on(self.plan, opened, &disk, standing);
            self.found.went_on += 1;
            self.follow(image, &standing, schedule, Step::Commit);
        } else {
            drop(opened);
        }
        let depth = schedule.steps.len();
        if depth < RECOVERIES_CUT_MAX && !schedule.steps.contains(&Step::Commit) {
            for (cut, tail) in self.cuts(&recovery) {
                let (image, standing) = recovery.cut(cut, &tail, standing);
                self.found.recoveries_cut += 1;
                self.follow(image, &standing, schedule, Step::Recovery { cut, tail });
            }
        }
    }

    fn follow(&mut self, image: Image, standing: &Standing, schedule: &mut Schedule, step: Step) {
        schedule.steps.push(step);
        self.examine(image, standing, schedule);
        schedule.steps.pop();
    }

    /// Where to cut a recovery again.
    fn cuts(&mut self, recovery: &Recovery) -> Vec<(usize, Tail)> {
        let places = recovery.ops.len() + 1;
        if self.random.one_in(CUT_EVERYWHERE_ONE_IN) {
            (0..places)
                .map(|cut| (cut, Tail::draw(&mut self.random)))
                .collect()
        } else if self.random.one_in(CUT_AGAIN_ONE_IN) {
            vec![(self.random.below(places), Tail::draw(&mut self.random))]
        } else {
            Vec::new()
        }
    }
}
