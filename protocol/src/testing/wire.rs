//! What a bad network does to frames, by dice.

use super::keys::Dice;
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

/// One number for all that was carried: FNV-1a over moments and bytes.
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
        for byte in at_ms.to_be_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Milliseconds of one way without faults.
const LATENCY_MS: u64 = 10;
/// Frames of one direction that are remembered for replays.
const MEMORY: usize = 32;

/// One direction of the network.
#[derive(Debug, Default)]
pub(super) struct Wire {
    seen: Vec<Vec<u8>>,
}

impl Wire {
    /// Returns the copies that arrive, each with its delay.
    pub(super) fn carry(
        &mut self,
        faults: &Faults,
        dice: &mut Dice,
        frame: &[u8],
    ) -> Vec<(u64, Vec<u8>)> {
        let mut bytes = frame.to_vec();
        if dice.chance(faults.replay)
            && let Some(earlier) = self.seen.get(index(dice, self.seen.len()))
        {
            bytes.clone_from(earlier);
        }
        if self.seen.len() >= MEMORY {
            self.seen.remove(0);
        }
        self.seen.push(frame.to_vec());
        let at = index(dice, bytes.len());
        if dice.chance(faults.tamper)
            && let Some(byte) = bytes.get_mut(at)
        {
            *byte ^= 1 << dice.below(8);
        }
        let mut copies = Vec::new();
        if !dice.chance(faults.drop) {
            copies.push((delay_ms(faults, dice), bytes.clone()));
        }
        if dice.chance(faults.duplicate) {
            copies.push((delay_ms(faults, dice), bytes));
        }
        copies
    }
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
