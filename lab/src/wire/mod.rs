//! A wire between two namespaces with delay, jitter, loss and rate, for kernels without `netem`.
//!
//! ```text
//!  TAP in namespace A ──reader──▶ [lost?] [line busy?] queue, due times ──sender──▶ TAP in namespace B
//!  TAP in namespace A ◀──sender── queue, due times [line busy?] [lost?] ◀──reader── TAP in namespace B
//! ```
//!
//! Four threads; they end when the namespaces take the interfaces away. Frames keep their order, and a full queue
//! loses the newest. It refuses to shape what it cannot repeat: losses are drawn from the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tappers::{Interface, Tap};

use crate::clock::Moment;
use crate::kills::Dice;
use crate::netns::{End, Namespace, must_ip};
use crate::{LabError, wait};

/// Largest frame that is carried, in bytes: an Ethernet frame of 1500 and its head, with room.
const FRAME_BYTES_MAX: usize = 2_048;
/// Bytes before the packet in a frame: two addresses and a type.
const ETHERNET_HEAD_BYTES: usize = 14;
/// Frames that wait in one direction; more are lost.
const QUEUE_FRAMES_MAX: usize = 4_096;
/// How long a frame waits for a busy line before it is lost, in milliseconds: what cheap routers hold back.
const QUEUE_MS_MAX: u64 = 1_000;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// What a wire does to frames, in each direction alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// One-way delay in milliseconds.
    pub delay_ms: u64,
    /// Added to it at random, 0 to this many milliseconds; order is kept.
    pub jitter_ms: u64,
    /// Frames lost of a thousand.
    pub loss_per_mille: u64,
    /// Line rate in kilobits a second; 0 is no limit.
    pub rate_kbit: u64,
    /// Bytes of the largest packet that passes, without its Ethernet head; larger ones vanish. 0 is no limit.
    pub mtu: usize,
    /// Repeats the losses.
    pub seed: u64,
}

/// Frames that a wire saw, both directions together.
#[derive(Debug, Default)]
pub struct Counts {
    passed: AtomicU64,
    lost: AtomicU64,
}

/// A wire; it ends with the namespaces that hold its ends.
#[derive(Debug)]
pub struct Wire {
    counts: Arc<Counts>,
}

impl Wire {
    /// Connects two namespaces.
    ///
    /// # Errors
    /// [`LabError::Io`] when `/dev/net/tun` cannot be opened, [`LabError::Ended`] when `ip` refuses.
    pub fn between(
        near: &Namespace,
        near_end: &End<'_>,
        far: &Namespace,
        far_end: &End<'_>,
        shape: Shape,
    ) -> Result<Self, LabError> {
        let left = Arc::new(tap_in(near, near_end)?);
        let right = Arc::new(tap_in(far, far_end)?);
        let counts = Arc::new(Counts::default());
        run(&left, &right, Line::new(shape, 1), &counts);
        run(&right, &left, Line::new(shape, 2), &counts);
        Ok(Self { counts })
    }

    /// Returns how many frames passed and how many were lost.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.counts.passed), of(&self.counts.lost))
    }
}

/// Makes a TAP and moves it; the open file moves along.
fn tap_in(namespace: &Namespace, end: &End<'_>) -> Result<Tap, LabError> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // At most 15 bytes: the kernel's bound for names of interfaces.
    let name = format!("pw{}x{number}", std::process::id());
    let tap = Interface::new(&name)
        .and_then(Tap::new_named)
        .map_err(LabError::io("open a TAP"))?;
    let to = namespace.name();
    must_ip(&["link", "set", &name, "name", end.interface, "netns", to])?;
    namespace.address(end)?;
    Ok(tap)
}

/// One direction's line: what it does to the next frame.
#[derive(Debug)]
struct Line {
    shape: Shape,
    dice: Dice,
    free: Moment,
    due: Moment,
}

impl Line {
    fn new(shape: Shape, direction: u64) -> Self {
        let now = Moment::now();
        Self {
            shape,
            dice: Dice::new(shape.seed ^ direction),
            free: now,
            due: now,
        }
    }

    /// Returns when a frame arrives, or nothing when it is lost.
    fn take(&mut self, bytes: usize, now: Moment) -> Option<Moment> {
        if self.dice.below(1_000) < self.shape.loss_per_mille {
            return None;
        }
        if self.shape.mtu != 0 && bytes > self.shape.mtu.saturating_add(ETHERNET_HEAD_BYTES) {
            return None;
        }
        let queued = self.free.max(now);
        if queued.left() > Duration::from_millis(QUEUE_MS_MAX) {
            return None;
        }
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
        // Bits by kilobits a second are milliseconds.
        let busy_us = bits.saturating_mul(1_000).checked_div(self.shape.rate_kbit);
        self.free = queued.after(Duration::from_micros(busy_us.unwrap_or_default()));
        let jitter = self.dice.below(self.shape.jitter_ms.saturating_add(1));
        let delay = Duration::from_millis(self.shape.delay_ms.saturating_add(jitter));
        self.due = self.free.after(delay).max(self.due);
        Some(self.due)
    }
}

fn run(from: &Arc<Tap>, to: &Arc<Tap>, line: Line, counts: &Arc<Counts>) {
    let (queue, waiting) = sync_channel(QUEUE_FRAMES_MAX);
    let (from, to) = (Arc::clone(from), Arc::clone(to));
    let counts = Arc::clone(counts);
    // Not joined: each ends with the interface that it reads or the queue that it empties.
    std::thread::spawn(move || read(&from, line, &queue, &counts));
    std::thread::spawn(move || send(&to, &waiting));
}

fn read(tap: &Tap, mut line: Line, queue: &SyncSender<(Moment, Vec<u8>)>, counts: &Counts) {
    let mut frame = [0; FRAME_BYTES_MAX];
    while let Ok(length) = tap.recv(&mut frame) {
        let bytes = frame.get(..length).unwrap_or_default();
        let due = line.take(length, Moment::now());
        let sent = due.is_some_and(|due| queue.try_send((due, bytes.to_vec())).is_ok());
        let count = if sent { &counts.passed } else { &counts.lost };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn send(tap: &Tap, waiting: &Receiver<(Moment, Vec<u8>)>) {
    while let Ok((due, frame)) = waiting.recv() {
        wait::pause_until(due);
        if tap.send(&frame).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(shape: Shape, frames: u32) -> u32 {
        let mut line = Line::new(shape, 1);
        let now = Moment::now();
        (0..frames)
            .filter_map(|_| line.take(1_000, now))
            .map(|_| 1)
            .sum()
    }

    #[test]
    fn line_loses_what_its_shape_says_and_nothing_else() {
        let check = |loss_per_mille, expected: std::ops::RangeInclusive<u32>| {
            let shape = Shape {
                loss_per_mille,
                seed: 7,
                ..Shape::default()
            };
            let arrived = arrivals(shape, 10_000);
            assert!(expected.contains(&arrived), "{loss_per_mille}: {arrived}");
        };
        check(0, 10_000..=10_000);
        check(50, 9_400..=9_600);
        check(1_000, 0..=0);
    }

    #[test]
    fn line_that_is_slow_loses_what_does_not_fit_into_its_queue() {
        let shape = Shape {
            rate_kbit: 80,
            ..Shape::default()
        };
        // 1 000 bytes take 100 ms there: ten wait within a second, and one more is on the line.
        let arrived = arrivals(shape, 100);
        assert!((10..=13).contains(&arrived), "{arrived}");
    }

    #[test]
    fn line_with_a_small_mtu_swallows_larger_packets_only() {
        let shape = Shape {
            mtu: 986,
            ..Shape::default()
        };
        assert_eq!(arrivals(shape, 10), 10);
        let smaller = Shape { mtu: 985, ..shape };
        assert_eq!(arrivals(smaller, 10), 0);
    }

    #[test]
    fn line_with_jitter_keeps_the_order() {
        let shape = Shape {
            delay_ms: 20,
            jitter_ms: 30,
            seed: 3,
            ..Shape::default()
        };
        let mut line = Line::new(shape, 1);
        let now = Moment::now();
        let due: Vec<_> = (0..200).filter_map(|_| line.take(100, now)).collect();
        assert_eq!(due.len(), 200);
        assert!(due.is_sorted());
    }
}
