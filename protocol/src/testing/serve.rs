//! The hop in the simulator: what mailbox and controller do with a frame of a device.
//!
//! The mailbox answers a post only after the controller has taken it, as a host does. Refuses to
//! look into envelopes; the oracle may.

use super::World;
use super::mailbox::{Asked, Handled, Piece};
use super::world::Waiting;
use crate::controller::{self, Event};
use crate::device::ExchangeId;
use crate::frame::PlainFrame;
use crate::id::{ChannelId, Plane};
use crate::reject::Reject;
use alloc::vec::Vec;

impl World {
    pub(super) fn serve(&mut self, device: usize, life: u64, exchange: ExchangeId, frame: &[u8]) {
        if self.is_controller_down {
            return;
        }
        match self.mailbox.handle(frame, self.now_ms) {
            Ok(Handled::Answer(answer)) => self.answer(device, life, exchange, &answer),
            Ok(Handled::Held(held)) => {
                let hold_ms = u64::from(held.hold_s) * 1_000;
                self.schedule(hold_ms, device, life, super::world::Step::Expire(exchange));
                self.waiting.push(Waiting {
                    device,
                    life,
                    exchange,
                    held,
                });
            }
            Ok(Handled::Posted(asked, envelopes)) => {
                let refused = self.hand_over(asked.channel, &envelopes);
                self.answer_post(device, life, exchange, asked, &refused);
            }
            Ok(Handled::Put(asked, plane, pieces)) => {
                self.put(asked.channel, plane, &pieces);
                self.answer_post(device, life, exchange, asked, &[]);
            }
            Ok(Handled::SnapshotWanted(channel, answer)) => {
                self.control(controller::Input::SnapshotWanted { channel });
                self.answer(device, life, exchange, &answer);
            }
            Ok(Handled::Enrol(_)) => {}
            Err(reject) => {
                let refused = PlainFrame::Refused {
                    code: reject.code(),
                    retry_ms: None,
                };
                if let Ok(refused) = refused.encode() {
                    self.answer(device, life, exchange, &refused);
                }
            }
        }
    }

    /// Gives the controller what a device posted. Returns what it refused, by place.
    fn hand_over(&mut self, channel: ChannelId, envelopes: &[Vec<u8>]) -> Vec<(u32, Reject)> {
        self.wanted.clear();
        let mut refused = Vec::new();
        for (index, envelope) in (0_u32..).zip(envelopes) {
            self.watch_posted(channel, envelope);
            let before = self.controller.events.len();
            self.control(controller::Input::Received {
                channel,
                envelope,
                is_live: true,
            });
            let events = self.controller.events.iter().skip(before);
            refused.extend(events.filter_map(|event| {
                if let Event::Rejected {
                    channel: about,
                    reject,
                } = event
                    && *about == channel
                {
                    return Some((index, *reject));
                }
                None
            }));
        }
        refused
    }

    fn put(&mut self, channel: ChannelId, plane: Plane, pieces: &[Piece]) {
        self.wanted.clear();
        let chunks: Vec<_> = pieces.iter().map(Piece::as_chunk).collect();
        self.control(controller::Input::Put {
            channel,
            plane,
            chunks: &chunks,
        });
    }

    fn answer_post(
        &mut self,
        device: usize,
        life: u64,
        exchange: ExchangeId,
        asked: Asked,
        refused: &[(u32, Reject)],
    ) {
        if self.is_controller_down {
            // It died of this post: whoever sent it hears nothing.
            return;
        }
        let wanted = core::mem::take(&mut self.wanted);
        if let Ok(answer) = self.mailbox.answer_post(asked, refused, wanted) {
            self.answer(device, life, exchange, &answer);
        }
    }

    pub(super) fn expire(&mut self, device: usize, life: u64, exchange: ExchangeId) {
        let is_it =
            |one: &Waiting| (one.device, one.life, one.exchange) == (device, life, exchange);
        let Some(at) = self.waiting.iter().position(is_it) else {
            return;
        };
        let waiting = self.waiting.remove(at);
        let channel = waiting.held.channel;
        if self.mailbox.wants_heartbeat(channel, self.now_ms) {
            self.control(controller::Input::HeartbeatWanted { channel });
        }
        if let Ok(Some(answer)) = self.mailbox.release(&waiting.held, true, self.now_ms) {
            self.answer(device, life, exchange, &answer);
        }
    }

    /// Answers the held polls for which something is newer now.
    pub(super) fn release_polls(&mut self) {
        let mut answers = Vec::new();
        let (mailbox, now_ms) = (&mut self.mailbox, self.now_ms);
        self.waiting
            .retain(|one| match mailbox.release(&one.held, false, now_ms) {
                Ok(None) => true,
                Ok(Some(answer)) => {
                    answers.push((one.device, one.life, one.exchange, answer));
                    false
                }
                Err(_) => false,
            });
        for (device, life, exchange, answer) in answers {
            self.answer(device, life, exchange, &answer);
        }
    }
}
