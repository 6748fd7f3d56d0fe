//! The streams of a device: the one that flows, and the next that opens.

use super::super::streams::{bring, open, sealed, step};
use crate::Reject;
use crate::device::Input;
use crate::frame::{Answer, FrameType, PlainFrame};
use crate::testing::{Answering, Lone, at, numbers};
use std::string::String;
use std::vec::Vec;

pub(super) const EVENTS: [&str; 8] = [
    "the driver grants one",
    "the first answer of the newest verifies",
    "an answer out of its order",
    "an item is refused",
    "its last answer",
    "the mailbox knows no streams",
    "it fails on the way",
    "a poll is answered",
];

/// A device, the streams that it asked for, and how many answers each had.
struct Streams {
    lone: Lone,
    asked: Vec<(Answering, u16)>,
}

impl Streams {
    fn has(&self, of: &Answering) -> bool {
        let open = self.lone.node.engine.as_ref().unwrap().link.open();
        open.is_some_and(|open| open.streams.has(of.exchange))
    }

    /// The streams that the device still takes answers of, the newest last.
    fn live(&self) -> Vec<usize> {
        let asked = self.asked.iter().enumerate();
        let live = asked.filter(|(_, (of, _))| self.has(of));
        live.map(|(place, _)| place).collect()
    }

    fn is_opening(&self) -> bool {
        let open = self.lone.node.engine.as_ref().unwrap().link.open();
        open.is_some_and(|open| open.streams.is_opening())
    }

    /// Answers one of them, with this many places left out before it.
    fn answer(&mut self, place: usize, gap: u16) {
        let (of, had) = &mut self.asked[place];
        let frame = sealed(&self.lone, of, *had + gap, Answer::default());
        *had += 1;
        self.lone.answer_raw(of.exchange, &frame);
    }
}

/// Plays a row of events and names the streams.
pub(super) fn play(row: &[usize]) -> String {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(100, 5));
    lone.acknowledge();
    lone.drop_requests();
    let mut streams = Streams {
        lone,
        asked: Vec::new(),
    };
    for event in row {
        happen(&mut streams, *event);
    }
    let flowing = streams.live().len() - usize::from(streams.is_opening());
    match (flowing, streams.is_opening()) {
        (0, false) => "none",
        (0, true) => "one opens",
        (_, false) => "one flows",
        (_, true) => "one flows, the next opens",
    }
    .into()
}

fn happen(streams: &mut Streams, event: usize) {
    if event == 0 {
        if !streams.is_opening() {
            let asked = open(&mut streams.lone);
            streams.asked.push((asked, 0));
        }
        return;
    }
    if event == 7 {
        let lone = &mut streams.lone;
        let mut poll = lone.poll();
        if poll.is_none() {
            lone.run(6_000);
            poll = lone.request(FrameType::Poll);
        }
        if let Some(poll) = poll {
            lone.answer(&poll, &[]);
        }
        return;
    }
    let (Some(oldest), Some(newest)) = (streams.live().first().copied(), streams.live().pop())
    else {
        return;
    };
    let (of, had) = (streams.asked[oldest].0.clone(), streams.asked[oldest].1);
    match event {
        1 if streams.is_opening() => streams.answer(newest, 0),
        2 => streams.answer(oldest, 2),
        3 => {
            let stray = step(&streams.lone, 9);
            bring(&mut streams.lone, &of, had, &stray);
        }
        4 => (had..40).for_each(|_| streams.answer(oldest, 0)),
        5 => {
            let unknown = PlainFrame::Refused {
                code: Reject::FrameUnknown.code(),
                retry_ms: None,
            };
            let newest = streams.asked[newest].0.exchange;
            streams.lone.answer_raw(newest, &unknown.encode().unwrap());
        }
        6 => streams.lone.input(Input::Failed {
            exchange: of.exchange,
        }),
        _ => {}
    }
}
