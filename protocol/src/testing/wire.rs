//! What a bad network does to frames, by dice.

use super::keys::Dice;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Chances per mille, applied to each frame in each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The frame never arrives.
    pub drop: u64,
    /// The frame arrives twice.
    pub duplicate: u64,
    /// The frame arrives up to 3 s late, behind later ones.
    pub delay: u64,
    /// One byte is another one.
    pub tamper: u64,
    /// An earlier frame of the same direction arrives instead.
    pub replay: u64,
}

impl Faults {
    /// A network on which everything happens now and then.
    pub const ROUGH: Self = Self {
        drop: 60,
        duplicate: 60,
        delay: 100,
        tamper: 40,
        replay: 40,
    };
}

impl Faults {
    /// Every rate, in the order of the fields.
    #[must_use]
    pub const fn rates(&self) -> [u64; 5] {
        [
            self.drop,
            self.duplicate,
            self.delay,
            self.tamper,
            self.replay,
        ]
    }

    /// The same without the kind at this place.
    #[must_use]
    pub const fn without(mut self, place: usize) -> Self {
        match place {
            0 => self.drop = 0,
            1 => self.duplicate = 0,
            2 => self.delay = 0,
            3 => self.tamper = 0,
            _ => self.replay = 0,
        }
        self
    }
}

/// One number for all that was carried: FNV-1a over moments and words of eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// Takes bytes that were carried at a moment.
    pub fn add(&mut self, at_ms: u64, bytes: &[u8]) {
        self.0 = mix(mix(self.0, at_ms), bytes.len() as u64);
        self.0 = mix_words(self.0, bytes);
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Mixes bytes into a number, eight at a time; the rest is filled up with zeros.
pub(super) fn mix_words(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(sum, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    mix(sum, u64::from_le_bytes(last))
}

/// One step of FNV-1a with a word; the high half is folded down, which the product alone never does.
const fn mix(sum: u64, word: u64) -> u64 {
    let mixed = (sum ^ word).wrapping_mul(0x0100_0000_01b3);
    mixed ^ (mixed >> 32)
}

/// Milliseconds of one way without faults.
const LATENCY_MS: u64 = 10;
/// Frames of one direction that are remembered for replays.
const MEMORY: usize = 32;

/// A frame that arrives.
#[derive(Debug)]
pub(super) struct Copy {
    /// Milliseconds that it takes.
    pub(super) in_ms: u64,
    pub(super) frame: Vec<u8>,
    /// True when it is another one than was sent.
    pub(super) is_forged: bool,
    /// True when it is an earlier one, which may be whole where this was cut.
    pub(super) is_replayed: bool,
}

/// One direction of the network.
#[derive(Debug, Default)]
pub(super) struct Wire {
    seen: VecDeque<Vec<u8>>,
}

impl Wire {
    /// Returns the copies that arrive, each with its delay.
    pub(super) fn carry(&mut self, faults: &Faults, dice: &mut Dice, frame: &[u8]) -> Vec<Copy> {
        let mut bytes = frame.to_vec();
        let mut is_replayed = false;
        if dice.chance(faults.replay)
            && let Some(earlier) = self.seen.get(index(dice, self.seen.len()))
        {
            bytes.clone_from(earlier);
            is_replayed = true;
        }
        remember(&mut self.seen, MEMORY, frame);
        let at = index(dice, bytes.len());
        let mut is_forged = false;
        if dice.chance(faults.tamper)
            && let Some(byte) = bytes.get_mut(at)
        {
            *byte ^= 1 << dice.below(8);
            is_forged = true;
        }
        let copy = |in_ms, frame| Copy {
            in_ms,
            frame,
            is_forged,
            is_replayed,
        };
        let mut copies = Vec::new();
        let first = (!dice.chance(faults.drop)).then(|| delay_ms(faults, dice));
        let second = dice
            .chance(faults.duplicate)
            .then(|| delay_ms(faults, dice));
        if let (Some(in_ms), Some(_)) = (first, second) {
            copies.push(copy(in_ms, bytes.clone()));
        }
        if let Some(in_ms) = second.or(first) {
            copies.push(copy(in_ms, bytes));
        }
        copies
    }
}

/// Remembers a frame in the place of the oldest, whose memory it takes.
pub(super) fn remember(frames: &mut VecDeque<Vec<u8>>, most: usize, frame: &[u8]) {
    let mut place = if frames.len() >= most {
        frames.pop_front().unwrap_or_default()
    } else {
        Vec::new()
    };
    place.clear();
    place.extend_from_slice(frame);
    frames.push_back(place);
}

fn index(dice: &mut Dice, length: usize) -> usize {
    usize::try_from(dice.below(length as u64)).unwrap_or(0)
}

fn delay_ms(faults: &Faults, dice: &mut Dice) -> u64 {
    let late_ms = if dice.chance(faults.delay) {
        dice.below(3_000)
    } else {
        0
    };
    LATENCY_MS + late_ms
}
