//! One round: a store through some lives on a recorded disk, each of them cut at many places.
//!
//! The first life makes file system and store; each later one begins with what a cut of the one before it left, once that
//! was found good. A round ends at its first failure, whose image stays.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use postern_relay::store::Profile;

use super::super::store_explorer::disk::DiskOp;
use super::super::store_explorer::image::Image;
use super::super::store_explorer::life::{Event, Life, Plan, Sabotage, Standing};
use super::super::store_explorer::random::Random;
use super::super::store_explorer::records::Shape;
use super::super::store_explorer::tail::Window;
use super::cuts::{Cut, Wrong, check, draw};
use super::fuse::Recording;
use super::machine::{DATA_MODES, Mounted, RecordedFile, make_file_system};
use super::recorder::{Ending, Listener, arguments};
use super::tally::Tally;

const LIVES: usize = 3;
const COMMITS_PER_LIFE: usize = 12;
const CUTS_PER_LIFE: usize = 14;
const PROFILES: [Profile; 2] = [Profile::Device, Profile::Server];

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// The disk reports flushes as done and does none.
    Disk,
    /// The recorder acknowledges before it commits.
    Recorder,
}

/// What a round does.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub number: u64,
    pub plan: Plan,
    pub data_mode: &'static str,
    broken: Broken,
}

impl Round {
    /// The nth round of a seed: profiles and shapes take turns, then the modes of the file system.
    pub fn nth(seed: u64, number: u64, broken: Broken) -> Self {
        let turn = |of: usize, every: u64| usize::try_from(number / every).unwrap() % of;
        let sabotage = match broken {
            Broken::Recorder => Sabotage::AcknowledgedBeforeFlush,
            Broken::Nothing | Broken::Disk => Sabotage::Nothing,
        };
        let plan = Plan {
            profile: PROFILES[turn(2, 1)],
            shape: Shape::ALL[turn(3, 2)],
            sabotage,
            seed: Random(seed).nth(number).next(),
        };
        let data_mode = DATA_MODES[turn(DATA_MODES.len(), 6)];
        Self {
            number,
            plan,
            data_mode,
            broken,
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken != Broken::Nothing
    }

    /// Runs it in a folder; says what is wrong, and leaves the first image that is.
    pub fn run(&self, folder: &Path, mut tell: impl FnMut(&str)) -> Tally {
        let mut random = Random(self.plan.seed);
        let mut tally = Tally {
            rounds: 1,
            ..Tally::default()
        };
        let mut start = make_file_system(folder);
        let mut standing = Standing::of_nothing();
        for nth in 0..LIVES {
            // A batch that was lost is followed by another one under its number.
            let seed = Random(self.plan.seed).nth(nth as u64).next();
            let plan = Plan { seed, ..self.plan };
            let life = self.record(folder, plan, start, standing, &mut random);
            let is_change = |event: &&Event| matches!(event, Event::Disk(_));
            let is_acknowledged = |event: &&Event| matches!(event, Event::Acknowledged);
            tally.events += life.events.iter().filter(is_change).count() as u64;
            tally.acknowledged += life.events.iter().filter(is_acknowledged).count() as u64;
            let mut left = None;
            let mut cuts = draw(&life, CUTS_PER_LIFE, &mut random);
            let next = random.below(cuts.len());
            let mut window = life.start();
            let mut played = 0;
            for (index, Cut { at, tail }) in cuts.drain(..).enumerate() {
                play(&life, &mut window, &mut played, at);
                let (image, standing) = (window.after(&tail), life.standing_at(at));
                tally.states += 1;
                if let Err(wrong) = check(&image, folder, self.data_mode, plan, &standing) {
                    tally.count(&wrong);
                    tell(&self.describe(nth, at, &tail.to_string(), &wrong));
                    return tally;
                }
                if index == next {
                    left = Some((image, standing));
                }
            }
            (start, standing) = left.unwrap();
        }
        tally
    }

    fn describe(&self, life: usize, at: usize, tail: &str, wrong: &Wrong) -> String {
        let Self {
            number, data_mode, ..
        } = self;
        let Plan { profile, shape, .. } = self.plan;
        format!(
            "round {number} ({profile:?}, {shape}, {data_mode}), life {life}, cut at event {at}, {tail} of the rest: {wrong}"
        )
    }

    /// Lets a recorder work on a disk, and returns all that happened.
    fn record(
        &self,
        folder: &Path,
        plan: Plan,
        start: Image,
        standing: Standing,
        random: &mut Random,
    ) -> Life {
        let recording = Recording::over(start.clone(), self.broken == Broken::Disk);
        let recording = Arc::new(recording);
        let (disk, place) = (folder.join("disk"), folder.join("recorded"));
        let recorded = RecordedFile::mount(&disk, Arc::clone(&recording)).unwrap();
        let mounted = Mounted::mount(&disk, &place, self.data_mode).unwrap();
        let ending = random.pick(&[Ending::Closed, Ending::Exited]);
        let words = arguments(&place.join("store"), plan, COMMITS_PER_LIFE, ending);
        let history = Listener::start(&words).listen(plan, &recording, &standing);
        drop(mounted);
        drop(recorded);
        fs::remove_file(&disk).unwrap();
        Life::of(start, standing, history, recording.take_events())
    }
}

/// Lets the events up to a cut reach the drive.
fn play(life: &Life, window: &mut Window, played: &mut usize, until: usize) {
    for event in &life.events[*played..until] {
        if let Event::Disk(op @ (DiskOp::Write { .. } | DiskOp::SetLength(_) | DiskOp::Flush)) =
            event
        {
            window.push(op.clone());
        }
    }
    *played = until;
}
