//! Learns how large a body a route carries, in each direction, while the process lives.
//!
//! ```text
//!   48 KiB --too large--> 24 --> 12 --> 6 --> 4 KiB --too large--> below what was refused
//!      ^                                                             |
//!      +------- a larger body that passes raises the bound ----------+
//! ```
//!
//! Pure: no IO, no clock. A 413 is certain. A cut is not: it counts only when the same thing
//! happens again while small bodies pass, or three times in a row. Refuses to learn from bodies
//! that every route carries, so that a cut hold or a dead network teaches nothing about sizes.

use crate::codes;
use crate::limits::{BODY_BYTES_FLOOR, BODY_BYTES_START, BODY_CUTS_MAX};

/// What the end of an exchange may say about sizes; see [`TransportError::size_clue`](crate::TransportError::size_clue).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeClue {
    /// Nothing.
    None,
    /// Something on the way said that the request is too large (413).
    TooLarge,
    /// The request got no answer: the connection was cut, or stayed silent.
    Cut,
    /// The answer began and broke off.
    AnswerCut {
        /// Bytes that its head announced, when it did.
        announced: Option<usize>,
    },
    /// Another status in place of an answer: some fronts refuse to pass a large answer this way.
    AnswerRefused,
}

/// Which bodies a lesson is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Requests.
    Up,
    /// Answers.
    Down,
}

impl Direction {
    /// Returns the name used in logs and status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// The route carries less than it was given: build smaller bodies.
    Smaller {
        /// Which bodies.
        direction: Direction,
        /// The new bound, in bytes, at least [`BODY_BYTES_FLOOR`].
        bytes_max: usize,
    },
    /// Not even the smallest useful body passes. Code `PST-L01`: an operator has to act.
    Blocked {
        /// Which bodies.
        direction: Direction,
        /// The size that was refused, in bytes.
        bytes: usize,
    },
}

impl Lesson {
    /// Returns the stable code of what only an operator can change.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Smaller { .. } => None,
            Self::Blocked { .. } => Some(codes::BODIES_BLOCKED),
        }
    }

    /// Returns what an operator does next, if there is anything to do.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Smaller { .. } => None,
            Self::Blocked {
                direction: Direction::Up,
                ..
            } => {
                Some("let the proxy or front carry request bodies of 48 KiB, or use another route")
            }
            Self::Blocked {
                direction: Direction::Down,
                ..
            } => Some("let the proxy or front carry answers of 48 KiB, or use another route"),
        }
    }
}

/// Cuts that may have been about the size.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// The smallest body that was cut.
    bytes: usize,
    cuts: u32,
    /// Something smaller passed after the first cut: the route lives.
    has_passed: bool,
}

/// One direction.
#[derive(Clone, Copy, Debug)]
struct Bound {
    bytes_max: usize,
    /// The largest body that passed and was not contradicted since.
    proven: usize,
    doubt: Option<Doubt>,
}

impl Bound {
    const fn new() -> Self {
        Self {
            bytes_max: BODY_BYTES_START,
            proven: 0,
            doubt: None,
        }
    }

    fn handle_passed(&mut self, bytes: usize) {
        self.proven = self.proven.max(bytes);
        if bytes > self.bytes_max {
            let doubled = self.bytes_max.saturating_mul(2);
            self.bytes_max = bytes.max(doubled).min(BODY_BYTES_START);
        }
        match &mut self.doubt {
            Some(doubt) if bytes >= doubt.bytes => self.doubt = None,
            Some(doubt) => doubt.has_passed = true,
            None => {}
        }
    }

    /// Takes the word of something on the way. Returns true when the bound became smaller.
    fn handle_refused(&mut self, bytes: usize) -> bool {
        let before = self.bytes_max;
        self.doubt = None;
        self.proven = self.proven.min(bytes.saturating_sub(1));
        let learnt = if bytes > BODY_BYTES_FLOOR {
            rung_below(bytes).max(self.proven)
        } else {
            bytes.saturating_sub(1)
        };
        self.bytes_max = before.min(learnt);
        self.bytes_max < before
    }

    /// Takes an end that may have another cause. Returns the size that counts as refused, if any.
    fn handle_cut(&mut self, bytes: usize) -> Option<usize> {
        let doubt = self.doubt.get_or_insert(Doubt {
            bytes,
            cuts: 0,
            has_passed: false,
        });
        doubt.bytes = doubt.bytes.min(bytes);
        doubt.cuts = doubt.cuts.saturating_add(1);
        let is_confirmed = doubt.cuts >= BODY_CUTS_MAX || (doubt.cuts > 1 && doubt.has_passed);
        is_confirmed.then_some(doubt.bytes)
    }
}

/// The largest halving of the start that is below `bytes`, at least the floor.
fn rung_below(bytes: usize) -> usize {
    let mut rung = BODY_BYTES_START;
    while rung >= bytes && rung > BODY_BYTES_FLOOR {
        rung /= 2;
    }
    rung.max(BODY_BYTES_FLOOR)
}

/// What one route has shown. Start one for each route, and keep it as long as the process lives.
#[derive(Clone, Copy, Debug)]
pub struct BodySizes {
    up: Bound,
    down: Bound,
}

impl BodySizes {
    /// Starts at 48 KiB both ways.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            up: Bound::new(),
            down: Bound::new(),
        }
    }

    /// Starts from bounds that were remembered, each brought between [`BODY_BYTES_FLOOR`] and
    /// [`BODY_BYTES_START`].
    #[must_use]
    pub fn resume(up_bytes_max: usize, down_bytes_max: usize) -> Self {
        let bound = |bytes: usize| Bound {
            bytes_max: bytes.clamp(BODY_BYTES_FLOOR, BODY_BYTES_START),
            ..Bound::new()
        };
        Self {
            up: bound(up_bytes_max),
            down: bound(down_bytes_max),
        }
    }

    /// Returns the largest request to build, in bytes: at most [`BODY_BYTES_START`]. Below
    /// [`BODY_BYTES_FLOOR`] only when even such a small one was refused.
    #[must_use]
    pub const fn up_bytes_max(&self) -> usize {
        self.up.bytes_max
    }

    /// Returns the largest answer to ask for, in bytes; bounds as [`BodySizes::up_bytes_max`].
    #[must_use]
    pub const fn down_bytes_max(&self) -> usize {
        self.down.bytes_max
    }

    /// Records an exchange whose answer verified.
    pub fn handle_answer(&mut self, up_bytes: usize, down_bytes: usize) {
        self.up.handle_passed(up_bytes);
        self.down.handle_passed(down_bytes);
    }

    /// Records an exchange that failed. `asked_bytes` is the answer that was asked for, where its
    /// size is the asker's choice, and 0 where it is not.
    pub fn handle_failure(
        &mut self,
        up_bytes: usize,
        asked_bytes: usize,
        clue: SizeClue,
    ) -> Option<Lesson> {
        match clue {
            SizeClue::None => None,
            SizeClue::TooLarge => self.refuse(Direction::Up, up_bytes),
            SizeClue::Cut if up_bytes > BODY_BYTES_FLOOR.max(self.up.proven) => {
                let refused = self.up.handle_cut(up_bytes)?;
                self.refuse(Direction::Up, refused)
            }
            SizeClue::Cut | SizeClue::AnswerRefused => self.cut_answer(asked_bytes),
            SizeClue::AnswerCut { announced } => {
                self.cut_answer(asked_bytes.max(announced.unwrap_or_default()))
            }
        }
    }

    fn cut_answer(&mut self, asked_bytes: usize) -> Option<Lesson> {
        if asked_bytes < BODY_BYTES_FLOOR {
            return None;
        }
        let refused = self.down.handle_cut(asked_bytes)?;
        // What was asked for is no measured size: what passed before says nothing about it.
        self.down.proven = 0;
        self.refuse(Direction::Down, refused)
    }

    fn refuse(&mut self, direction: Direction, bytes: usize) -> Option<Lesson> {
        let bound = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        let is_smaller = bound.handle_refused(bytes);
        let bytes_max = bound.bytes_max;
        if bytes <= BODY_BYTES_FLOOR {
            return Some(Lesson::Blocked { direction, bytes });
        }
        is_smaller.then_some(Lesson::Smaller {
            direction,
            bytes_max,
        })
    }
}

impl Default for BodySizes {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
