//! Finds the runs between two byte strings: ends first, then pieces of lines, then bytes.
//!
//! The pieces are compared by the greedy search of Myers (1986) for the shortest script, given up
//! after a fixed number of differences: then one run replaces everything between the common ends.
//! Refuses to search for the best answer: what it finds only has to be right and bounded.

use super::Run;
use crate::limits::{EDIT_DIFFERENCES_MAX, EDIT_RUNS_MAX};
use alloc::vec;
use alloc::vec::Vec;

/// Bytes between two changes from which a run of its own is shorter than saying them again:
/// the least head of a run.
const GAP_BYTES_MIN: usize = 5;

// Each hunk is at least one difference: an edit that was found has never too many runs.
const _: () = assert!(EDIT_DIFFERENCES_MAX <= EDIT_RUNS_MAX);

/// A stretch of the base that another stretch replaces; positions in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hunk {
    base_start: usize,
    base_end: usize,
    later_start: usize,
    later_end: usize,
}

/// Returns the runs that make `later` of `base`; none when they are equal.
pub(super) fn runs<'a>(base: &[u8], later: &'a [u8]) -> Vec<Run<'a>> {
    let whole = Hunk {
        base_start: 0,
        base_end: base.len(),
        later_start: 0,
        later_end: later.len(),
    };
    let Some(middle) = trim(whole, base, later) else {
        return Vec::new();
    };
    let hunks = split(middle, base, later).unwrap_or_else(|| vec![middle]);
    let hunks = hunks.into_iter().filter_map(|hunk| trim(hunk, base, later));
    let mut merged: Vec<Hunk> = Vec::new();
    for hunk in hunks {
        match merged.last_mut() {
            Some(last) if hunk.base_start - last.base_end < GAP_BYTES_MIN => {
                (last.base_end, last.later_end) = (hunk.base_end, hunk.later_end);
            }
            Some(_) | None => merged.push(hunk),
        }
    }
    let mut copied = 0;
    let mut runs = Vec::with_capacity(merged.len());
    for hunk in merged {
        runs.push(Run {
            skip: (hunk.base_start - copied) as u64,
            delete: (hunk.base_end - hunk.base_start) as u64,
            insert: later
                .get(hunk.later_start..hunk.later_end)
                .unwrap_or_default(),
        });
        copied = hunk.base_end;
    }
    runs
}

/// Takes the common ends off a hunk; `None` when nothing is left of it.
fn trim(hunk: Hunk, base: &[u8], later: &[u8]) -> Option<Hunk> {
    let old = base.get(hunk.base_start..hunk.base_end)?;
    let new = later.get(hunk.later_start..hunk.later_end)?;
    let is_same = |pair: &(&u8, &u8)| pair.0 == pair.1;
    let front = old.iter().zip(new).take_while(is_same).count();
    let (old, new) = (old.get(front..)?, new.get(front..)?);
    if old.is_empty() && new.is_empty() {
        return None;
    }
    let back = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(is_same)
        .count();
    Some(Hunk {
        base_start: hunk.base_start + front,
        base_end: hunk.base_end - back,
        later_start: hunk.later_start + front,
        later_end: hunk.later_end - back,
    })
}

/// Cuts bytes behind what ends a line, a member or a word, and returns where each piece ends.
fn pieces(bytes: &[u8]) -> Vec<usize> {
    let is_end = |byte: u8| matches!(byte, b'\n' | b',' | b';' | b' ' | b'>' | b'/' | 0);
    let ends = bytes.iter().enumerate().filter(|(_, byte)| is_end(**byte));
    let mut ends: Vec<usize> = ends.map(|(at, _)| at + 1).collect();
    if ends.last().copied().unwrap_or(0) < bytes.len() {
        ends.push(bytes.len());
    }
    ends
}

/// Splits a hunk where its pieces agree; `None` when they differ in too many places.
fn split(hunk: Hunk, base: &[u8], later: &[u8]) -> Option<Vec<Hunk>> {
    let old = base.get(hunk.base_start..hunk.base_end)?;
    let new = later.get(hunk.later_start..hunk.later_end)?;
    let search = Search {
        old_ends: pieces(old),
        new_ends: pieces(new),
        old,
        new,
    };
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut x, mut y) = (0, 0);
    let mut close = |from: (usize, usize), to: (usize, usize)| {
        if from != to {
            hunks.push(Hunk {
                base_start: hunk.base_start + search.old_at(from.0),
                base_end: hunk.base_start + search.old_at(to.0),
                later_start: hunk.later_start + search.new_at(from.1),
                later_end: hunk.later_start + search.new_at(to.1),
            });
        }
    };
    for (next_x, next_y) in search.matches()? {
        close((x, y), (next_x, next_y));
        (x, y) = (next_x + 1, next_y + 1);
    }
    close((x, y), (search.old_ends.len(), search.new_ends.len()));
    Some(hunks)
}

/// Two rows of pieces.
struct Search<'a> {
    old: &'a [u8],
    new: &'a [u8],
    old_ends: Vec<usize>,
    new_ends: Vec<usize>,
}

impl Search<'_> {
    fn old_at(&self, piece: usize) -> usize {
        start_of(&self.old_ends, piece)
    }

    fn new_at(&self, piece: usize) -> usize {
        start_of(&self.new_ends, piece)
    }

    fn is_same(&self, x: usize, y: usize) -> bool {
        let old = self
            .old_ends
            .get(x)
            .and_then(|end| self.old.get(self.old_at(x)..*end));
        let new = self
            .new_ends
            .get(y)
            .and_then(|end| self.new.get(self.new_at(y)..*end));
        old.is_some() && old == new
    }

    /// Follows a diagonal as long as the pieces agree.
    fn slide(&self, mut x: usize, diagonal: isize) -> usize {
        while x
            .checked_add_signed(-diagonal)
            .is_some_and(|y| self.is_same(x, y))
        {
            x += 1;
        }
        x
    }

    /// Returns the pairs of pieces that stay, ascending; `None` after too many differences.
    fn matches(&self) -> Option<Vec<(usize, usize)>> {
        let (old, new) = (self.old_ends.len(), self.new_ends.len());
        let last = isize::try_from(old).ok()? - isize::try_from(new).ok()?;
        let mut fronts: Vec<Front> = Vec::new();
        for differences in 0..=EDIT_DIFFERENCES_MAX {
            let mut front = Front::new(differences);
            for diagonal in front.diagonals() {
                let x = match fronts.last() {
                    Some(before) => before.step(diagonal),
                    None => 0,
                };
                front.put(diagonal, self.slide(x, diagonal));
            }
            let is_end = front.at(last).is_some_and(|x| x >= old);
            fronts.push(front);
            if is_end {
                return Some(self.walk_back(&fronts, old, last));
            }
        }
        None
    }

    /// Collects the diagonals that were followed, from the end to the start.
    fn walk_back(
        &self,
        fronts: &[Front],
        mut x: usize,
        mut diagonal: isize,
    ) -> Vec<(usize, usize)> {
        let mut matches = Vec::new();
        for (at, _) in fronts.iter().enumerate().rev() {
            let before = at.checked_sub(1).and_then(|at| fronts.get(at));
            let start = before.map_or(0, |before| before.step(diagonal));
            while x > start {
                x -= 1;
                let y = x.checked_add_signed(-diagonal).unwrap_or(0);
                matches.push((x, y));
            }
            if let Some(before) = before {
                (x, diagonal) = before.origin(diagonal);
            }
        }
        matches.reverse();
        matches
    }
}

fn start_of(ends: &[usize], piece: usize) -> usize {
    let before = piece.checked_sub(1).and_then(|before| ends.get(before));
    before.copied().unwrap_or(0)
}

/// How far each diagonal (pieces of the base minus pieces of the later) was followed with a number
/// of differences.
struct Front {
    reach: isize,
    furthest: Vec<usize>,
}

impl Front {
    fn new(differences: usize) -> Self {
        Self {
            reach: isize::try_from(differences).unwrap_or(isize::MAX),
            furthest: vec![0; 2 * differences + 1],
        }
    }

    fn diagonals(&self) -> impl Iterator<Item = isize> + use<> {
        (-self.reach..=self.reach).step_by(2)
    }

    fn place(&self, diagonal: isize) -> Option<usize> {
        usize::try_from(diagonal + self.reach).ok()
    }

    fn at(&self, diagonal: isize) -> Option<usize> {
        self.furthest.get(self.place(diagonal)?).copied()
    }

    fn put(&mut self, diagonal: isize, x: usize) {
        let place = self.place(diagonal);
        if let Some(slot) = place.and_then(|place| self.furthest.get_mut(place)) {
            *slot = x;
        }
    }

    /// Where a diagonal is entered with one more difference: from below or from beside.
    fn step(&self, diagonal: isize) -> usize {
        match (self.at(diagonal - 1), self.at(diagonal + 1)) {
            (Some(left), Some(right)) if left < right => right,
            (Some(left), _) => left + 1,
            (None, right) => right.unwrap_or(0),
        }
    }

    /// The diagonal that [`Self::step`] comes from, and how far that one was followed.
    fn origin(&self, diagonal: isize) -> (usize, isize) {
        match (self.at(diagonal - 1), self.at(diagonal + 1)) {
            (Some(left), Some(right)) if left < right => (right, diagonal + 1),
            (Some(left), _) => (left, diagonal - 1),
            (None, right) => (right.unwrap_or(0), diagonal + 1),
        }
    }
}
