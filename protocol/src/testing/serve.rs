//! The hop in the simulator: what mailbox and controller do with a frame of a device.
//!
//! The mailbox answers a post only after the controller has taken it, as a host does. Refuses to
//! look into envelopes; the oracle may.

use super::World;
use super::campaign::Trick;
use super::handled::{Asked, Handled, HeldPoll, Piece};
use super::oracle::Invariant;
use super::way::Fate;
use super::world::{Novel, Step, Waiting};
use crate::controller::{self, Event};
use crate::device::{Exchange, ExchangeId};
use crate::frame::PlainFrame;
use crate::id::{ChannelId, Plane};
use crate::reject::Reject;
use alloc::vec::Vec;

/// Milliseconds after which somebody on the way answers.
const ANSWER_MS: u64 = 5;
/// A reject number of a later registry.
const NOVEL_CODE: u16 = 60_000;

impl World {
    pub(super) fn serve(
        &mut self,
        device: usize,
        life: u64,
        exchange: ExchangeId,
        frame: &[u8],
        is_forged: bool,
    ) {
        if self.is_controller_down {
            return;
        }
        if self.refuse_novelly(device, life, exchange) {
            return;
        }
        let handled = self.mailbox.handle(frame, self.now_ms);
        self.watch_handled(&handled, is_forged);
        match handled {
            Ok(Handled::Answer(answer)) => self.answer(device, life, exchange, &answer),
            Ok(Handled::Held(held)) => {
                self.schedule(held.hold_ms, device, life, Step::Expire(exchange));
                self.waiting.push(Waiting {
                    device,
                    life,
                    exchange,
                    held,
                    is_asked: true,
                });
            }
            Ok(Handled::Posted(asked, envelopes)) => {
                let (handed, mut refused) = if self.trick == Some(Trick::SwallowPosts) {
                    (0, Vec::new())
                } else {
                    self.hand_over(asked.channel, &envelopes)
                };
                if !self.is_controller_down {
                    self.watch_handed(envelopes.len(), handed);
                }
                if self.novel.remove(&device).is_some() {
                    refused.push((0, NOVEL_CODE));
                }
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

    /// Looks at what a mailbox made of a frame: it believes no forged one, and nobody whose key is revoked.
    fn watch_handled(&mut self, handled: &Result<Handled, Reject>, is_forged: bool) {
        let is_believed = matches!(
            handled,
            Ok(Handled::Held(_)
                | Handled::Posted(..)
                | Handled::Put(..)
                | Handled::SnapshotWanted(..))
        );
        let detail = "a mailbox took what nobody sealed";
        self.expect_true(Invariant::Forgery, !(is_forged && is_believed), detail);
        if let Ok(
            Handled::Held(HeldPoll { channel, .. })
            | Handled::Posted(Asked { channel, .. }, _)
            | Handled::Put(Asked { channel, .. }, ..)
            | Handled::SnapshotWanted(channel, _),
        ) = handled
        {
            self.watch_session(*channel);
        }
    }

    /// Answers with a number that no registry of this version has, if that is what comes next. What it answers
    /// may change nothing that is durable.
    fn refuse_novelly(&mut self, device: usize, life: u64, exchange: ExchangeId) -> bool {
        if self.novel.get(&device) != Some(&Novel::Refused) {
            return false;
        }
        self.novel.remove(&device);
        let refused = PlainFrame::Refused {
            code: NOVEL_CODE,
            retry_ms: None,
        };
        if let Ok(refused) = refused.encode() {
            self.schedule(
                ANSWER_MS,
                device,
                life,
                Step::Answer(exchange, refused, true),
            );
        }
        true
    }

    /// Gives the controller what a device posted. Returns how much it was given, and what it refused, by place.
    fn hand_over(&mut self, channel: ChannelId, envelopes: &[Vec<u8>]) -> (usize, Vec<(u32, u16)>) {
        self.wanted.clear();
        let (mut handed, mut refused) = (0, Vec::new());
        for (index, envelope) in (0_u32..).zip(envelopes) {
            self.watch_posted(channel, envelope);
            let before = self.controller.events.len();
            handed += usize::from(!self.is_controller_down);
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
                    return Some((index, reject.code()));
                }
                None
            }));
        }
        (handed, refused)
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
        refused: &[(u32, u16)],
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
        let mut waiting = self.waiting.iter();
        let Some(at) = waiting.position(|one| one.is(device, life, exchange)) else {
            return;
        };
        let waiting = self.waiting.remove(at);
        let channel = waiting.held.channel;
        if self.mailbox.wants_heartbeat(&waiting.held, self.now_ms) {
            self.control(controller::Input::HeartbeatWanted { channel });
        }
        if let Ok(Some(answer)) = self.mailbox.release(&waiting.held, true, self.now_ms) {
            self.answer(device, life, exchange, &answer);
        }
    }

    pub(super) fn is_waiting(&self, device: usize, life: u64, exchange: ExchangeId) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|one| one.is(device, life, exchange))
    }

    /// Answers the held polls for which something is newer now.
    pub(super) fn release_polls(&mut self) {
        if !self.is_asking && !self.mailbox.is_stirred() {
            return;
        }
        let mut answers = Vec::new();
        let (mailbox, now_ms) = (&mut self.mailbox, self.now_ms);
        self.waiting.retain_mut(|one| {
            if !one.is_asked && !mailbox.is_stirred_for(&one.held) {
                return true;
            }
            match mailbox.release(&one.held, false, now_ms) {
                Ok(None) => {
                    one.is_asked = mailbox.is_asking(&one.held);
                    true
                }
                Ok(Some(answer)) => {
                    answers.push((one.device, one.life, one.exchange, answer));
                    false
                }
                Err(_) => false,
            }
        });
        let mut waiting = self.waiting.iter();
        self.is_asking = waiting.any(|one| one.is_asked);
        mailbox.settle();
        for (device, life, exchange, answer) in answers {
            self.answer(device, life, exchange, &answer);
        }
    }

    pub(super) fn send(&mut self, device: usize, life: u64, exchange: Exchange) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        node.exchanges += 1;
        node.open.insert(exchange.id);
        if exchange.hold_s.is_some() {
            node.poll = Some(exchange.id);
        }
        let limit_ms = (exchange.hold_s.unwrap_or(0) + 15) * 1_000;
        self.schedule(limit_ms, device, life, Step::Failed(exchange.id));
        let Some(node) = self.devices.get(device) else {
            return;
        };
        let fate = node
            .way
            .request(&exchange.frame, self.now_ms, &mut self.weather);
        let (later_ms, frame, is_cut) = match &fate {
            Fate::Passes(later_ms) => (*later_ms, exchange.frame.as_slice(), false),
            Fate::Cut(length) => (0, exchange.frame.get(..*length).unwrap_or_default(), true),
            Fate::Lost => return,
            Fate::Answered(frame, is_forged) => {
                let step = Step::Answer(exchange.id, frame.clone(), *is_forged);
                return self.schedule(ANSWER_MS, device, life, step);
            }
        };
        for copy in self.up.carry(&self.faults, &mut self.weather, frame) {
            self.trace.add(self.now_ms, &copy.frame);
            let step = Step::Request(
                exchange.id,
                copy.frame,
                copy.is_forged || (is_cut && !copy.is_replayed),
            );
            self.schedule(copy.in_ms + later_ms, device, life, step);
        }
    }

    pub(super) fn answer(&mut self, device: usize, life: u64, exchange: ExchangeId, frame: &[u8]) {
        let Some(node) = self.devices.get_mut(device) else {
            return;
        };
        let fate = node.way.answer(frame, self.now_ms, &mut self.weather);
        let (later_ms, frame, is_cut) = match fate {
            Fate::Passes(later_ms) => (later_ms, frame, false),
            Fate::Cut(length) => (0, frame.get(..length).unwrap_or_default(), true),
            Fate::Lost | Fate::Answered(..) => return,
        };
        for copy in self.down.carry(&self.faults, &mut self.weather, frame) {
            self.trace.add(self.now_ms, &copy.frame);
            let step = Step::Answer(
                exchange,
                copy.frame,
                copy.is_forged || (is_cut && !copy.is_replayed),
            );
            self.schedule(copy.in_ms + later_ms, device, life, step);
        }
    }
}
