//! Where the power is cut, what the drive kept, and whether the store stands on what is left.
//!
//! A cut is drawn, never chosen by what the store did; a state is judged by the explorer's model and rules, and thrown away.

use std::fmt;
use std::fs;
use std::path::Path;

use postern_relay::store::DiskStore;

use super::super::store_explorer::disk::DiskOp;
use super::super::store_explorer::image::Image;
use super::super::store_explorer::life::{Event, Life, Plan, Standing};
use super::super::store_explorer::random::Random;
use super::super::store_explorer::tail::{Tail, Unit};
use super::super::store_explorer::verify::Failure;
use super::machine::{Mounted, write_image};

/// What is wrong with a state.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// The file system itself does not stand.
    Unmountable(String),
    Store(Failure),
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmountable(error) => write!(out, "cannot be mounted: {error}"),
            Self::Store(failure) => write!(out, "{failure:?}"),
        }
    }
}

/// A power cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The first event that did not happen.
    pub at: usize,
    pub tail: Tail,
}

/// Draws cuts of a life, in the order of their events: some anywhere, some where most is unflushed, some at once after
/// an acknowledgement.
pub fn draw(life: &Life, count: usize, random: &mut Random) -> Vec<Cut> {
    let places = |wanted: fn(&Event) -> bool, behind: usize| -> Vec<usize> {
        let found = life.events.iter().enumerate();
        found
            .filter_map(|(at, event)| wanted(event).then_some(at + behind))
            .collect()
    };
    let anywhere: Vec<usize> = (0..=life.events.len()).collect();
    let flushes = places(|event| matches!(event, Event::Disk(DiskOp::Flush)), 0);
    let acknowledged = places(|event| matches!(event, Event::Acknowledged), 1);
    let mut cuts: Vec<Cut> = (0..count)
        .map(|_| {
            let from = match random.below(3) {
                0 if !flushes.is_empty() => &flushes,
                1 if !acknowledged.is_empty() => &acknowledged,
                _ => &anywhere,
            };
            Cut {
                at: random.pick(from),
                tail: tail(random),
            }
        })
        .collect();
    cuts.sort_by_key(|cut| cut.at);
    cuts
}

fn tail(random: &mut Random) -> Tail {
    match random.below(6) {
        0 => Tail::Nothing,
        1 => Tail::All,
        2 | 3 => Tail::drawn(Unit::Write, random),
        _ => Tail::drawn(Unit::Block, random),
    }
}

/// Starts from an image: mounts it, opens the store in it and holds that against what it has to hold.
pub fn check(
    image: &Image,
    folder: &Path,
    data_mode: &str,
    plan: Plan,
    standing: &Standing,
) -> Result<(), Wrong> {
    let (file, place) = (folder.join("state"), folder.join("checked"));
    write_image(image, &file);
    let mounted = Mounted::mount(&file, &place, data_mode).map_err(Wrong::Unmountable)?;
    let checked = open(&place, plan, standing).map_err(Wrong::Store);
    drop(mounted);
    // Whoever still holds it: the next state is another file under this name.
    fs::remove_file(&file).unwrap();
    if checked.is_err() {
        write_image(image, &file);
    }
    checked
}

fn open(folder: &Path, plan: Plan, standing: &Standing) -> Result<(), Failure> {
    let unopenable = |error| Failure::Unopenable(format!("{error:?}"));
    let store = DiskStore::open(&folder.join("store"), plan.profile).map_err(unopenable)?;
    let (newest, model) = plan.shape.read(&store).map_err(unopenable)?;
    standing.check(plan, newest, &model)
}
