//! One turn of a conversation: time passes, one input, everything that follows from it.
//!
//! Refuses an input that it does not know, and an answer to what was never sent.

use super::carrier::Carrier;
use super::config::Config;
use super::node::Node;
use super::shown::Shown;
use crate::limits::WAKES_MAX;
use crate::request::{Fault, Given, bytes, member, present, text, uint, wrong};
use postern_protocol::device::{Applied, Event, ExchangeId, Input};
use postern_protocol::frame::FrameType;
use postern_protocol::revision::Revision;
use serde_json::Value as Json;

/// A device, its carrier, and what was given to it.
#[derive(Debug)]
pub(super) struct Conversation {
    node: Node,
    carrier: Carrier,
    seeds: Vec<[u8; 32]>,
    held: Option<Vec<Vec<u8>>>,
    /// What each step gave as an answer, to be given again.
    given: Vec<Option<Vec<u8>>>,
    /// Revisions that the application was handed and has not ended.
    applies: Vec<Revision>,
    is_open: bool,
}

impl Conversation {
    /// Prepares a conversation. # Errors: [`Fault`].
    pub(super) fn new(config: Config) -> Result<Self, Fault> {
        Ok(Self {
            node: config.node,
            carrier: Carrier::default(),
            seeds: config.mailbox_seeds,
            held: Some(config.held),
            given: Vec::new(),
            applies: Vec::new(),
            is_open: false,
        })
    }

    /// Takes one step and tells what it showed.
    pub(super) fn take(&mut self, step: &Json) -> Given {
        let at_ms = uint(step, "at_ms")?;
        if let Some(held) = self.held.take() {
            self.start(at_ms, &held)?;
        }
        let mut shown = Shown::default();
        self.node.run_until(at_ms)?;
        self.settle(&mut shown)?;
        let answer = self.input(member(step, "input")?)?;
        self.given.push(answer);
        self.settle(&mut shown)?;
        let reject = shown.reject();
        let members = shown.members(&self.node, self.is_open, &self.applies);
        match reject {
            Some(reject) => Err(Fault::RefusedWith(reject, members)),
            None => Ok(members),
        }
    }

    /// Starts the device and gives it what it holds, applied.
    fn start(&mut self, at_ms: u64, held: &[Vec<u8>]) -> Result<(), Fault> {
        self.node.now_ms = at_ms;
        self.node.input(Input::Start);
        for frame in held {
            self.node.input(Input::Filed { frame });
        }
        let mut unseen = Shown::default();
        self.settle(&mut unseen)?;
        for _ in 0..WAKES_MAX {
            if self.applies.is_empty() {
                break;
            }
            self.end_apply(0);
            self.settle(&mut unseen)?;
        }
        match unseen.reject() {
            Some(reject) => Err(Fault::Unsupported(format!(
                "what is held is refused: {reject}"
            ))),
            None => Ok(()),
        }
    }

    /// Gives one input. Returns the answer that it gave, if it was one.
    fn input(&mut self, input: &Json) -> Result<Option<Vec<u8>>, Fault> {
        match text(input, "kind")? {
            "wait" => {}
            "connect" => self.node.input(Input::Connect),
            "hold" => {
                let seconds = uint(input, "seconds")?;
                self.node.input(Input::Hold { seconds });
            }
            "answer" => {
                let request = self.carrier.request(input)?.clone();
                let frame = match present(input, "again") {
                    Some(_) => self.again(input)?,
                    None => self.carrier.answer(&request, input)?,
                };
                self.carrier.note_answer(&self.seeds, &frame);
                self.answer(request.id, &frame);
                return Ok(Some(frame));
            }
            "failed" => {
                let exchange = self.carrier.request(input)?.id;
                self.node.input(Input::Failed { exchange });
            }
            "applied" => {
                let status = match present(input, "status") {
                    Some(status) => status
                        .as_i64()
                        .ok_or_else(|| wrong("status is no number"))?,
                    None => 0,
                };
                self.end_apply(status);
            }
            "restart" => {
                self.applies.clear();
                self.is_open = false;
                self.node.restart()?;
            }
            "filed" => {
                let frame = bytes(input, "frame")?;
                self.node.input(Input::Filed { frame: &frame });
            }
            _ => return Err(wrong("the kind of an input is not known")),
        }
        Ok(None)
    }

    fn again(&self, input: &Json) -> Result<Vec<u8>, Fault> {
        let at = usize::try_from(uint(input, "again")?).ok();
        let given = at.and_then(|at| self.given.get(at)?.clone());
        given.ok_or_else(|| wrong("again names no step that gave an answer"))
    }

    fn answer(&mut self, exchange: ExchangeId, frame: &[u8]) {
        self.node.input(Input::Answer { exchange, frame });
    }

    fn end_apply(&mut self, status: i64) {
        if let Some(revision) = self.applies.pop() {
            self.applies.clear();
            self.node.input(Input::Applied(Applied {
                revision,
                status,
                output: String::new(),
            }));
        }
    }

    /// Looks at what came out, and takes posts until none is left.
    fn settle(&mut self, shown: &mut Shown) -> Result<(), Fault> {
        for _ in 0..WAKES_MAX {
            let outbox = std::mem::take(&mut self.node.outbox);
            self.applies.extend(outbox.applies);
            for event in &outbox.events {
                self.is_open |= matches!(event, Event::Connected);
                shown.note_event(event);
            }
            self.is_open &= !outbox.is_reconnect;
            let mut posts = Vec::new();
            for exchange in outbox.exchanges {
                let kind = self.carrier.note(&self.node, &exchange)?;
                shown.note_sent(kind, &exchange.frame);
                if matches!(kind, FrameType::Post | FrameType::Put) {
                    posts.push(exchange);
                }
            }
            if posts.is_empty() && self.node.outbox.exchanges.is_empty() {
                return Ok(());
            }
            for post in posts {
                let frame = self.carrier.take_post(&post)?;
                self.answer(post.id, &frame);
            }
        }
        Err(wrong("the engine never stops to post"))
    }
}
