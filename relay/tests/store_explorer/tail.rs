//! What a power cut makes of the writes since the last flush.
//!
//! A drive may have kept none, all, or any part of them, in any order, and the part may end in
//! the middle of a write: at a block of 4 KiB or at a sector of 512 bytes. A [`Tail`] says which;
//! it is written as one word and read back from it, so a failing state can be made again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::disk::DiskOp;
use super::image::Image;
use super::random::Random;

/// What is safe, and the changes since the last flush.
#[derive(Clone, Debug, Default)]
pub struct Window {
    safe: Image,
    ops: Vec<DiskOp>,
}

impl Window {
    pub fn over(safe: Image) -> Self {
        Self {
            safe,
            ops: Vec::new(),
        }
    }

    pub fn ops(&self) -> &[DiskOp] {
        &self.ops
    }

    pub fn push(&mut self, op: DiskOp) {
        match op {
            DiskOp::Write { .. } | DiskOp::SetLength(_) => self.ops.push(op),
            DiskOp::Flush => {
                for op in self.ops.drain(..) {
                    self.safe.apply(&op);
                }
            }
        }
    }

    /// Returns what the next start finds.
    pub fn after(&self, tail: &Tail) -> Image {
        let mut image = self.safe.clone();
        match tail {
            Tail::Nothing => {}
            Tail::All => self.ops.iter().for_each(|op| image.apply(op)),
            Tail::Only(place) => self
                .ops
                .iter()
                .skip(*place)
                .take(1)
                .for_each(|op| image.apply(op)),
            Tail::AllBut(place) => {
                for (at, op) in self.ops.iter().enumerate() {
                    if at != *place {
                        image.apply(op);
                    }
                }
            }
            Tail::Drawn(drawn) => drawn.apply(&self.ops, &mut image),
        }
        image
    }
}

/// What becomes of the changes since the last flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    Nothing,
    All,
    /// One change, and none of the others.
    Only(usize),
    /// Every change but one.
    AllBut(usize),
    Drawn(Drawn),
}

/// A random part of the changes, which its own seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub unit: Unit,
    pub keep: Keep,
    pub order: Order,
    pub seed: u64,
}

/// What arrives whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Write,
    Block,
    Sector,
}

/// How much of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Few,
    Half,
    Most,
    /// All up to one unit, and nothing after it.
    Prefix,
}

/// In which order it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    AsWritten,
    Shuffled,
}

impl Tail {
    pub fn draw(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::Nothing,
            1 => Self::All,
            _ => Self::drawn(random.pick(&Unit::ALL), random),
        }
    }

    /// A part in these units, all else drawn.
    pub fn drawn(unit: Unit, random: &mut Random) -> Self {
        Self::Drawn(Drawn {
            unit,
            keep: random.pick(&Keep::ALL),
            order: random.pick(&Order::ALL),
            seed: random.next(),
        })
    }
}

impl Unit {
    pub const ALL: [Self; 3] = [Self::Write, Self::Block, Self::Sector];

    fn bytes(self) -> Option<usize> {
        match self {
            Self::Write => None,
            Self::Block => Some(4096),
            Self::Sector => Some(512),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Block => "4096",
            Self::Sector => "512",
        }
    }
}

impl Keep {
    const ALL: [Self; 4] = [Self::Few, Self::Half, Self::Most, Self::Prefix];

    fn name(self) -> &'static str {
        match self {
            Self::Few => "few",
            Self::Half => "half",
            Self::Most => "most",
            Self::Prefix => "prefix",
        }
    }

    fn choose<T>(self, units: &mut Vec<T>, random: &mut Random) {
        let eighths = match self {
            Self::Few => 1,
            Self::Half => 4,
            Self::Most => 7,
            Self::Prefix => return units.truncate(random.below(units.len() + 1)),
        };
        units.retain(|_| random.below(8) < eighths);
    }
}

impl Order {
    const ALL: [Self; 2] = [Self::AsWritten, Self::Shuffled];

    fn name(self) -> &'static str {
        match self {
            Self::AsWritten => "ordered",
            Self::Shuffled => "shuffled",
        }
    }
}

impl Drawn {
    fn apply(&self, ops: &[DiskOp], image: &mut Image) {
        let mut random = Random(self.seed);
        let mut units: Vec<DiskOp> = ops.iter().flat_map(|op| split(op, self.unit)).collect();
        if self.order == Order::Shuffled {
            random.shuffle(&mut units);
        }
        self.keep.choose(&mut units, &mut random);
        units.iter().for_each(|op| image.apply(op));
    }
}

/// Cuts a write where the places of the drive end.
fn split(op: &DiskOp, unit: Unit) -> Vec<DiskOp> {
    let (DiskOp::Write { offset, bytes }, Some(unit_bytes)) = (op, unit.bytes()) else {
        return vec![op.clone()];
    };
    let mut parts = Vec::new();
    let (mut at, mut rest) = (*offset, bytes.as_ref());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(unit_bytes - at % unit_bytes));
        parts.push(DiskOp::Write {
            offset: at,
            bytes: Arc::from(now),
        });
        at += now.len();
        rest = later;
    }
    parts
}

impl fmt::Display for Tail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(out, "nothing"),
            Self::All => write!(out, "all"),
            Self::Only(place) => write!(out, "only.{place}"),
            Self::AllBut(place) => write!(out, "allbut.{place}"),
            Self::Drawn(Drawn {
                unit,
                keep,
                order,
                seed,
            }) => {
                let (unit, keep, order) = (unit.name(), keep.name(), order.name());
                write!(out, "{unit}.{keep}.{order}.{seed:x}")
            }
        }
    }
}

impl FromStr for Tail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no such tail: {text}");
        let words: Vec<&str> = text.split('.').collect();
        let place = |word: &str| word.parse().map_err(|_| unknown());
        match words.as_slice() {
            ["nothing"] => Ok(Self::Nothing),
            ["all"] => Ok(Self::All),
            ["only", at] => Ok(Self::Only(place(at)?)),
            ["allbut", at] => Ok(Self::AllBut(place(at)?)),
            [unit, keep, order, seed] => {
                let unit = Unit::ALL.into_iter().find(|one| one.name() == *unit);
                let keep = Keep::ALL.into_iter().find(|one| one.name() == *keep);
                let order = Order::ALL.into_iter().find(|one| one.name() == *order);
                Ok(Self::Drawn(Drawn {
                    unit: unit.ok_or_else(unknown)?,
                    keep: keep.ok_or_else(unknown)?,
                    order: order.ok_or_else(unknown)?,
                    seed: u64::from_str_radix(seed, 16).map_err(|_| unknown())?,
                }))
            }
            _ => Err(unknown()),
        }
    }
}
