//! What goes around the mailbox: files of both ends, and a stranger with a stolen key.
//!
//! Refuses to treat a file better than a session: what it brings is checked in the same way.

use super::Run;
use crate::controller::{self, Post};
use crate::device::{Context, Input};
use crate::envelope::{Binding, Draft, Header};
use crate::frame::{Direction, PlainFrame};
use crate::kind::{MessageKind, Role};
use crate::message::Snapshot;
use crate::revision::{Lineage, Seq};
use crate::state::State;
use alloc::vec::Vec;

impl Run {
    pub(super) fn file_out(&mut self, device: usize) {
        let device = self.place(device);
        let channel = self.channel(device);
        let now_ms = self.world.now_ms;
        let Some(node) = self.world.devices.get_mut(device) else {
            return;
        };
        let now = node.now(now_ms);
        if let Some(engine) = &mut node.engine {
            let mut context = Context {
                now,
                random: &mut self.world.dice,
                signer: &node.signer,
            };
            self.files.extend(engine.export(&mut context));
            if let Some(oracle) = &mut self.world.oracle {
                oracle.note_device_beat(channel, now_ms);
            }
        }
        // What the export made durable, and what the file brought: both go through a drained input.
        self.world.input(device, Input::Timeout);
        for frame in self.world.mailbox.file_of(channel) {
            self.world.input(device, Input::Filed { frame: &frame });
        }
    }

    pub(super) fn file_in(&mut self) {
        for frame in core::mem::take(&mut self.files) {
            match PlainFrame::decode(&frame, Direction::File) {
                Ok(PlainFrame::Posted {
                    channel, envelope, ..
                }) => self.world.control(controller::Input::Received {
                    channel,
                    envelope,
                    is_live: false,
                }),
                Ok(PlainFrame::FiledBody {
                    channel,
                    plane,
                    chunk,
                }) => self.world.control(controller::Input::Put {
                    channel,
                    plane,
                    chunks: &[chunk],
                }),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Somebody who has the writer's key sends a state that the controller never decided.
    pub(super) fn deceive(&mut self, device: usize) {
        let (keys, now_ms) = (&self.world.keys, self.world.now_ms);
        let Some(node) = self.world.devices.get(device) else {
            return;
        };
        let Some(head) = node.engine.as_ref().and_then(|engine| engine.head()) else {
            return;
        };
        let state = State::empty();
        let Some(seq) = head.revision.seq.next() else {
            return;
        };
        let header = Header {
            kind: MessageKind::Snapshot,
            epoch: head.revision.epoch,
            seq,
            base: Seq::new(0),
            digest: Some(*state.root()),
        };
        let payload = Snapshot {
            table: state.section_table(),
            lineage: Lineage::default(),
        };
        let binding = Binding::Device {
            channel: &node.identity.channel,
            incarnation: node.identity.incarnation,
        };
        let draft = Draft {
            header,
            payload: payload.encode(),
        };
        let Ok(sealed) = draft.seal(Role::Writer, binding, &keys.writer) else {
            return;
        };
        let post = Post::Snapshot {
            envelope: sealed.into_bytes(),
            bodies: Vec::new(),
        };
        let channel = node.channel;
        let generation = head.generation;
        self.world.mailbox.take(channel, generation, post, now_ms);
    }
}
