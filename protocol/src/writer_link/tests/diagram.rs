//! Draws what waits of a desired plane for one mailbox, by playing it.

use super::deliver::{channel, state};
use super::desk::Desk;
use crate::envelope::ReceivedEnvelope;
use crate::frame::Wanted;
use crate::kind::MessageKind;
use crate::testing::{diagram_page, diagram_states};
use crate::writer_link::outbox::Outbox;
use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;

const EVENTS: [&str; 7] = [
    "a snapshot",
    "a delta that continues it",
    "a delta that does not",
    "the mailbox takes a frame",
    "the mailbox takes a frame and wants bodies",
    "the mailbox has the bodies",
    "the session ends",
];

struct Way {
    desk: Desk,
    outbox: Outbox,
    seq: u64,
}

impl Way {
    /// Pushes a delta that begins so far behind the last letter.
    fn push_delta(&mut self, gap: u64) {
        let base = self.seq + gap;
        self.seq = base + 1;
        let letter = self.desk.delta("press-7", base, base + 1);
        let _channel = self.outbox.push(letter);
    }

    fn happen(&mut self, event: usize) {
        match event {
            0 => {
                self.seq += 1;
                let letter = self.desk.snapshot("press-7", self.seq, &state());
                let _channel = self.outbox.push(letter);
            }
            1 => self.push_delta(0),
            2 => self.push_delta(8),
            3 | 4 => {
                let _letters = self.outbox.take_frame();
                self.outbox.settle(|_| None, |_| event == 4);
            }
            5 if self.is_lacking() => {
                self.outbox.settle_bodies(channel(&self.desk));
            }
            6 => self.outbox.begin_session(),
            _ => {}
        }
    }

    /// True while the mailbox lacks bodies of the snapshot.
    fn is_lacking(&self) -> bool {
        let state = state();
        let (_, digest) = state.section_digests().next().unwrap();
        let wanted = Wanted {
            digest: *digest,
            offset: 0,
        };
        let rest = self.outbox.rest_of(channel(&self.desk), &wanted);
        rest.is_some_and(|rest| rest.is_lacking)
    }

    /// Empties the outbox and names what it held.
    fn name(mut self) -> String {
        if self.outbox.is_broken(channel(&self.desk)) {
            return "a snapshot is wanted".into();
        }
        let mut names = BTreeSet::new();
        if self.is_lacking() {
            names.insert("a snapshot that lacks bodies there");
        }
        while !self.outbox.is_idle() {
            for letter in self.outbox.take_frame() {
                let received = ReceivedEnvelope::parse(&letter.envelope).unwrap();
                let is_delta = received.unverified_header().kind == MessageKind::Delta;
                names.insert(if is_delta { "deltas" } else { "a snapshot" });
            }
            self.outbox.settle(|_| None, |_| false);
        }
        if names.is_empty() {
            names.insert("nothing");
        }
        names.into_iter().collect::<Vec<_>>().join(", ")
    }
}

fn play(row: &[usize]) -> String {
    let mut way = Way {
        desk: Desk::new(),
        outbox: Outbox::default(),
        seq: 1,
    };
    row.iter().for_each(|event| way.happen(*event));
    way.name()
}

#[test]
fn outbox_is_drawn_as_it_moves() {
    let section = (
        "What a controller has for a mailbox",
        "`protocol/src/writer_link/outbox.rs`, for the desired plane of one device",
        diagram_states::draw(&EVENTS, &play),
    );
    diagram_page::check(env!("CARGO_MANIFEST_DIR"), &[section]);
}
