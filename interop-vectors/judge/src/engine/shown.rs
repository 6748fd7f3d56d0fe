//! What a step shows: frames that were sent, rejects by name, and where the device stands after it.
//!
//! Refuses to show how an engine is made: nothing here but what the wire, an application or an operator sees.

use super::carrier::name_of;
use super::node::Node;
use crate::request::{Outputs, hex};
use postern_protocol::Reject;
use postern_protocol::device::Event;
use postern_protocol::frame::{Direction, FrameType, SessionFrame, UpFrame};
use postern_protocol::revision::Revision;
use serde_json::{Value as Json, json};

/// What one step brought out.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Names of the requests that were sent, in order; posts and puts are left out.
    sent: Vec<Json>,
    /// Asks and hellos that were sent.
    frames: Vec<Json>,
    /// What the newest poll said.
    poll: Option<Json>,
    /// Rejects, in order.
    rejects: Vec<Reject>,
    /// URLs that a mailbox sent the device to.
    moves: Vec<Json>,
}

impl Shown {
    /// Notes a request.
    pub(super) fn note_sent(&mut self, kind: FrameType, frame: &[u8]) {
        if matches!(kind, FrameType::Post | FrameType::Put) {
            return;
        }
        self.sent.push(name_of(kind).into());
        if matches!(kind, FrameType::Ask | FrameType::Hello) {
            self.frames.push(hex(frame));
        }
        if kind == FrameType::Poll {
            self.poll = poll_of(frame);
        }
    }

    /// Notes an event.
    pub(super) fn note_event(&mut self, event: &Event) {
        if let Event::Rejected { reject } = event {
            self.rejects.push(*reject);
        } else if let Event::MoveAsked { url } = event {
            self.moves.push(url.as_str().into());
        }
    }

    /// The first reject.
    pub(super) fn reject(&self) -> Option<Reject> {
        self.rejects.first().copied()
    }

    /// The members of the step.
    pub(super) fn members(self, node: &Node, is_open: bool, applies: &[Revision]) -> Outputs {
        let engine = &node.engine;
        let head = engine.head().map(|head| {
            let digest = hex(head.digest.as_bytes());
            json!([
                head.generation.number(),
                head.revision.epoch.number(),
                head.revision.seq.number(),
                digest
            ])
        });
        let applied = engine.applied();
        let digest = node
            .digests
            .get(&applied)
            .map(|digest| hex(digest.as_bytes()));
        let applied = (applied != Revision::NONE)
            .then(|| json!([applied.epoch.number(), applied.seq.number(), digest]));
        let rejects = self
            .rejects
            .iter()
            .map(|reject| Json::from(reject.as_str()));
        let waiting = applies
            .last()
            .map(|it| json!([it.epoch.number(), it.seq.number()]));
        Outputs::from_iter([
            ("sent".to_owned(), Json::Array(self.sent)),
            ("frames".to_owned(), Json::Array(self.frames)),
            ("poll".to_owned(), self.poll.unwrap_or_default()),
            ("rejects".to_owned(), rejects.collect()),
            ("moves".to_owned(), Json::Array(self.moves)),
            ("head".to_owned(), head.unwrap_or_default()),
            ("applied".to_owned(), applied.unwrap_or_default()),
            ("applying".to_owned(), waiting.unwrap_or_default()),
            (
                "frozen".to_owned(),
                engine.frozen().map(|epoch| epoch.number()).into(),
            ),
            ("bundle".to_owned(), engine.trust().number().number().into()),
            ("session".to_owned(), is_open.into()),
            (
                "stale".to_owned(),
                engine.freshness(node.now()).is_stale.into(),
            ),
        ])
    }
}

/// What a poll says of the desired plane, and the bundle that it names.
fn poll_of(frame: &[u8]) -> Option<Json> {
    let body = SessionFrame::split(frame, Direction::Up).and_then(|it| it.danger_unverified_body());
    match body.and_then(|body| body.decode_up()) {
        Ok(UpFrame::Poll(poll)) => Some(json!([
            poll.bundle.number(),
            poll.desired.epoch.number(),
            poll.desired.seq.number()
        ])),
        Ok(_) | Err(_) => None,
    }
}
