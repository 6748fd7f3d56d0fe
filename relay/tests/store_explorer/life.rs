//! Runs a workload through several lives of a store, and remembers every write and flush.
//!
//! A life begins with what a crash left of the one before it, recovers, commits some batches and
//! closes in order. The next crash may fall into any of it: recovery, commits, closing. What was
//! acknowledged, or shown by a completed opening, is what no later start may lack.

use std::sync::Arc;

use postern_relay::store::{DiskStore, Profile, Store};

use super::disk::{DiskOp, RecordingDisk};
use super::image::Image;
use super::random::Random;
use super::records::{Draft, Model, Shape};
use super::tail::{Tail, Window};
use super::verify::{Failure, Opened, open};

const LIVES: usize = 3;
const COMMITS_PER_LIFE: usize = 10;

/// What a run is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub profile: Profile,
    pub shape: Shape,
    pub sabotage: Sabotage,
    pub seed: u64,
}

/// What is broken on purpose, for the explorer to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    Nothing,
    /// The disk reports flushes as done and does none.
    FlushesSkipped,
    /// The disk skips the first of the two flushes that end a commit.
    FirstFlushSkipped,
    /// The disk skips the flush that follows each growth of the file.
    GrowthFlushSkipped,
    /// A commit is acknowledged before its last flush.
    AcknowledgedBeforeFlush,
    /// The driver commits a batch in two halves.
    BatchSplit,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// A completed opening has shown this batch, so it may have been told to the other end.
    Opened(usize),
    Begin,
    Disk(DiskOp),
    Acknowledged,
}

/// The records after each batch, from none on.
pub type History = Vec<Arc<Model>>;

/// One life of a store, from the crash before it to its orderly end.
#[derive(Debug)]
pub struct Life {
    start: Window,
    /// What a cut before the end of recovery is held against.
    inherited: Standing,
    history: History,
    pub events: Vec<Event>,
}

/// What a start has to hold.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The newest batch that was acknowledged or shown.
    pub at_least: usize,
    /// The newest batch that was begun.
    pub at_most: usize,
    pub history: History,
}

/// The lives of one run, and where it had to end early.
#[derive(Debug, Default)]
pub struct Run {
    pub lives: Vec<Life>,
    /// Life and cut whose crash could not be recovered from.
    pub broken: Option<(usize, usize, Tail, Failure)>,
}

impl Run {
    pub fn record(plan: Plan) -> Self {
        let mut random = Random(plan.seed);
        let mut run = Self::default();
        let disk = Arc::new(RecordingDisk::default());
        let store = DiskStore::open_on(disk.clone(), "workload", plan.profile).unwrap();
        disk.take_log();
        let nothing = Standing::of_nothing();
        let mut life = Life::begin(Window::over(disk.image()), nothing);
        life.events.push(Event::Opened(0));
        life.work(plan, &store, &disk, &mut random);
        for index in 1..LIVES {
            let cut = random.below(life.events.len() + 1);
            let tail = Tail::draw(&mut random);
            let (window, standing) = (life.window_at(cut), life.standing_at(cut));
            run.lives.push(life);
            let image = window.after(&tail);
            let disk = Arc::new(RecordingDisk::holding(image.clone()));
            let opened = match open(&disk, plan, &standing) {
                Ok(opened) => opened,
                Err(failure) => {
                    run.broken = Some((index - 1, cut, tail, failure));
                    return run;
                }
            };
            life = Life::begin(Window::over(image), standing);
            life.recover(&opened, &disk);
            life.work(plan, &opened.store, &disk, &mut random);
        }
        run.lives.push(life);
        run
    }
}

impl Standing {
    pub fn of_nothing() -> Self {
        Self {
            at_least: 0,
            at_most: 0,
            history: vec![Arc::default()],
        }
    }
}

impl Life {
    /// A life that was recorded elsewhere.
    pub fn of(start: Image, inherited: Standing, history: History, events: Vec<Event>) -> Self {
        Self {
            start: Window::over(start),
            inherited,
            history,
            events,
        }
    }

    fn begin(start: Window, inherited: Standing) -> Self {
        Self {
            start,
            history: inherited.history.clone(),
            inherited,
            events: Vec::new(),
        }
    }

    fn recover(&mut self, opened: &Opened, disk: &RecordingDisk) {
        self.history.truncate(opened.newest + 1);
        self.events
            .extend(disk.take_log().into_iter().map(Event::Disk));
        self.events.push(Event::Opened(opened.newest));
    }

    fn work(&mut self, plan: Plan, store: &DiskStore, disk: &RecordingDisk, random: &mut Random) {
        for _ in 0..COMMITS_PER_LIFE {
            let n = self.history.len();
            let draft = plan.shape.draft(&self.history[n - 1], n, random);
            self.events.push(Event::Begin);
            commit(store, &draft, plan.sabotage);
            self.keep(disk.take_log(), plan.sabotage);
            self.history.push(Arc::new(draft.model));
        }
        store.close().unwrap();
        self.events
            .extend(disk.take_log().into_iter().map(Event::Disk));
    }

    /// Keeps the log of one commit as the sabotaged disk would have done it.
    fn keep(&mut self, mut log: Vec<DiskOp>, sabotage: Sabotage) {
        let flush = |op: &DiskOp| matches!(op, DiskOp::Flush);
        let last = log.iter().rposition(flush);
        let mut early = None;
        match sabotage {
            Sabotage::Nothing | Sabotage::BatchSplit => {}
            Sabotage::FlushesSkipped => log.retain(|op| !flush(op)),
            Sabotage::FirstFlushSkipped => {
                let first = last.and_then(|last| log[..last].iter().rposition(flush));
                first.into_iter().for_each(|at| drop(log.remove(at)));
            }
            Sabotage::GrowthFlushSkipped => {
                let grown = log
                    .windows(2)
                    .position(|pair| matches!(pair, [DiskOp::SetLength(_), DiskOp::Flush]));
                grown.into_iter().for_each(|at| drop(log.remove(at + 1)));
            }
            Sabotage::AcknowledgedBeforeFlush => early = last,
        }
        let at = self.events.len() + early.unwrap_or(log.len());
        self.events.extend(log.into_iter().map(Event::Disk));
        self.events.insert(at, Event::Acknowledged);
    }

    pub fn start(&self) -> Window {
        self.start.clone()
    }

    /// What a power cut before this event leaves.
    pub fn window_at(&self, cut: usize) -> Window {
        let mut window = self.start();
        for event in self.events.iter().take(cut) {
            if let Event::Disk(op) = event {
                window.push(op.clone());
            }
        }
        window
    }

    /// What a start after such a cut has to hold.
    pub fn standing_at(&self, cut: usize) -> Standing {
        let mut standing = self.inherited.clone();
        for event in self.events.iter().take(cut) {
            match event {
                Event::Opened(newest) => {
                    standing = Standing {
                        at_least: *newest,
                        at_most: *newest,
                        history: self.history.clone(),
                    };
                }
                Event::Begin => standing.at_most += 1,
                Event::Disk(_) => {}
                Event::Acknowledged => standing.at_least += 1,
            }
        }
        standing
    }
}

/// Commits a batch on a disk that works.
fn commit(store: &DiskStore, draft: &Draft, sabotage: Sabotage) {
    if sabotage == Sabotage::BatchSplit {
        for half in draft.danger_split() {
            let _durable = store.commit(half).unwrap();
        }
    } else {
        let _durable = store.commit(draft.batch()).unwrap();
    }
}
