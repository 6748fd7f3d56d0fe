//! What is still to come, in the order of its moments, and of its being scheduled where moments are the same.
//!
//! Refuses to know what a step does, or whose it is.

use super::world::Step;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Something that is going to happen to a life of a device.
pub(super) type Due = (usize, u64, Step);

/// The things to come. Steps stand beside the heap, which moves small numbers alone.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    places: Vec<Option<Due>>,
    free: Vec<usize>,
    order: u64,
}

impl Agenda {
    /// Lets something happen at a moment of the world.
    pub(super) fn insert(&mut self, at_ms: u64, due: Due) {
        self.order += 1;
        let free = self.free.pop();
        let place = free.unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(held) => *held = Some(due),
            None => self.places.push(Some(due)),
        }
        self.heap.push(Reverse((at_ms, self.order, place)));
    }

    /// The moment of what comes next.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ms, ..))| *at_ms)
    }

    /// Takes what comes next.
    pub(super) fn pop(&mut self) -> Option<Due> {
        let Reverse((_, _, place)) = self.heap.pop()?;
        self.free.push(place);
        self.places.get_mut(place)?.take()
    }

    /// How many things are to come.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}
