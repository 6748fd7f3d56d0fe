//! What a later version, or another site, says beside those that know nothing of it.
//!
//! Whatever spec/conformance.md lets a receiver not know is said: values of every kind in sections that nobody has a
//! meaning for, numbers of a later registry of rejects. What it has to refuse is refused: a frame of a type that
//! nobody listed. Refuses to be an excuse: everything else must go on as without it.

use super::super::Invariant;
use super::super::world::Novel;
use super::Run;
use super::perform::path;
use crate::device::Input;
use crate::reject::Reject;
use crate::state::{Change, Value};
use alloc::format;
use alloc::vec::Vec;

/// A frame type that nobody listed, with a body that any type may have.
const NOVEL_FRAME: [u8; 2] = [0xc8, 0x80];

impl Run {
    pub(super) fn perform_novel(&mut self, device: usize, which: u64) {
        let device = self.place(device);
        match which % 5 {
            0 => {
                let place = path(&format!("x-{}/of/another/site", which % 3));
                self.decide(device, place, Some(odd_value(which)));
            }
            1 => {
                let place = path(&format!("postern/novel{}", which % 3));
                let changes = Vec::from([Change::Set(place, odd_value(which))]);
                let input = Input::WriteActual { ticket: 0, changes };
                self.world.input(device, input);
            }
            2 => {
                self.world.novel.insert(device, Novel::Refused);
            }
            3 => {
                self.world.novel.insert(device, Novel::Reason);
            }
            _ => {
                let now_ms = self.world.now_ms;
                let handled = self.world.mailbox.handle(&NOVEL_FRAME, now_ms);
                let is_refused = matches!(handled, Err(Reject::FrameUnknown));
                let detail = "a frame of no listed type was taken";
                self.world
                    .expect_true(Invariant::Forgery, is_refused, detail);
            }
        }
    }
}

/// A value of each kind in turn.
fn odd_value(which: u64) -> Value {
    match which >> 8 & 3 {
        0 => Value::Null,
        1 => Value::Bool(which & 1 << 16 != 0),
        2 => Value::Bytes(which.to_be_bytes().to_vec()),
        _ => Value::Text(format!("of {which}")),
    }
}
