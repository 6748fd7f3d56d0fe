//! The way of one device to the mailbox, and who sits on it: proxies that cut, freeze, replay, truncate, or
//! answer for the server.
//!
//! Refuses to hold keys: whoever sits there can only do with frames what anybody can.

use super::keys::Dice;
use super::wire::remember;
use crate::frame::PlainFrame;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What somebody on the way does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Nothing arrives.
    Cut,
    /// Everything waits until it is over, and arrives then.
    Freeze,
    /// Requests go nowhere; an earlier answer of this way is the answer.
    Replay,
    /// Of frames in both directions only the beginning arrives.
    Truncate,
    /// Requests go nowhere; pages, refusals and the request itself are the answers.
    Impersonate,
}

impl Proxy {
    /// Everything that can be done.
    pub const ALL: [Self; 5] = [
        Self::Cut,
        Self::Freeze,
        Self::Replay,
        Self::Truncate,
        Self::Impersonate,
    ];
}

/// Answers that are remembered to be given again.
const MEMORY: usize = 8;

/// A page as gateways send it.
const PAGE: &[u8] =
    b"<html><head><title>Sign in to the network</title></head><body>OK</body></html>";

/// The way of one device.
#[derive(Debug, Default)]
pub(super) struct Way {
    proxy: Option<(Proxy, u64)>,
    answers: VecDeque<Vec<u8>>,
}

/// What becomes of a frame on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on, so many milliseconds later.
    Passes(u64),
    /// It is lost.
    Lost,
    /// Its beginning goes on.
    Cut(usize),
    /// This comes back instead; true for what the mailbox never said.
    Answered(Vec<u8>, bool),
}

impl Way {
    /// Lets somebody sit there until a moment.
    pub(super) const fn set(&mut self, proxy: Proxy, until_ms: u64) {
        self.proxy = Some((proxy, until_ms));
    }

    /// Nobody sits there any more.
    pub(super) const fn clear(&mut self) {
        self.proxy = None;
    }

    fn proxy(&self, now_ms: u64) -> Option<(Proxy, u64)> {
        self.proxy.filter(|(_, until_ms)| *until_ms > now_ms)
    }

    /// What becomes of a request.
    pub(super) fn request(&self, frame: &[u8], now_ms: u64, dice: &mut Dice) -> Fate {
        match self.proxy(now_ms) {
            None => Fate::Passes(0),
            Some((Proxy::Cut, _)) => Fate::Lost,
            Some((Proxy::Freeze, until_ms)) => Fate::Passes(until_ms - now_ms),
            Some((Proxy::Truncate, _)) => Fate::Cut(place(dice, frame.len())),
            Some((Proxy::Replay, _)) => match self.answers.get(place(dice, self.answers.len())) {
                Some(answer) => Fate::Answered(answer.clone(), false),
                None => Fate::Lost,
            },
            Some((Proxy::Impersonate, _)) => Fate::Answered(impersonate(frame, dice), true),
        }
    }

    /// What becomes of an answer, which is remembered.
    pub(super) fn answer(&mut self, frame: &[u8], now_ms: u64, dice: &mut Dice) -> Fate {
        remember(&mut self.answers, MEMORY, frame);
        match self.proxy(now_ms) {
            None => Fate::Passes(0),
            Some((Proxy::Freeze, until_ms)) => Fate::Passes(until_ms - now_ms),
            Some((Proxy::Truncate, _)) => Fate::Cut(place(dice, frame.len())),
            Some((Proxy::Cut | Proxy::Replay | Proxy::Impersonate, _)) => Fate::Lost,
        }
    }
}

fn impersonate(request: &[u8], dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => Vec::new(),
        1 => PAGE.to_vec(),
        2 => request.to_vec(),
        _ => {
            let refused = PlainFrame::Refused {
                code: u16::try_from(1 + dice.below(200)).unwrap_or(1),
                retry_ms: dice.chance(500).then(|| dice.draw() >> dice.below(64)),
            };
            refused.encode().unwrap_or_default()
        }
    }
}

fn place(dice: &mut Dice, length: usize) -> usize {
    usize::try_from(dice.below(length as u64)).unwrap_or(0)
}
