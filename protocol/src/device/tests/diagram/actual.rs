//! The plane that the device writes: what is offered of it, and what the controller's signature covers.

use super::super::speech::{acknowledge_actual, answer_hints, header, wanted, write};
use crate::Reject;
use crate::device::{Device, Input};
use crate::frame::{FrameType, Hints, Refusal};
use crate::kind::MessageKind;
use crate::testing::{Answering, Lone, posted};
use std::format;
use std::string::String;
use std::vec::Vec;

pub(super) const EVENTS: [&str; 8] = [
    "the application writes",
    "the mailbox takes it",
    "the mailbox takes it and wants bodies",
    "the mailbox has the bodies",
    "the mailbox needs a snapshot",
    "the controller signs that it holds it",
    "60 s pass",
    "another session opens",
];

/// Takes the post of a change that is under way; what else was posted is answered with nothing.
fn post(lone: &mut Lone) -> Option<(Answering, MessageKind)> {
    while let Some(post) = lone.request(FrameType::Post) {
        let kind = header(&posted(&post.frame)[0]).kind;
        if matches!(kind, MessageKind::Snapshot | MessageKind::Delta) {
            return Some((post, kind));
        }
        lone.answer(&post, &[]);
    }
    None
}

fn engine(lone: &Lone) -> &Device {
    lone.node.engine.as_ref().unwrap()
}

fn answer(lone: &mut Lone, event: usize) {
    let Some((post, kind)) = post(lone) else {
        return;
    };
    let is_snapshot = kind == MessageKind::Snapshot;
    let hints = match event {
        2 if is_snapshot => {
            let offer = engine(lone).actual.offer.as_ref();
            offer.map_or_else(Hints::default, |offer| wanted(&offer.state))
        }
        4 => Hints {
            refused: Vec::from([Refusal {
                index: 0,
                code: Reject::BaseNewer.code(),
            }]),
            ..Hints::default()
        },
        _ => Hints::default(),
    };
    answer_hints(lone, &post, hints);
}

/// Plays a row of events and names what is offered.
pub(super) fn play(row: &[usize]) -> String {
    let mut lone = Lone::new();
    lone.connect();
    lone.take_reports();
    for (place, event) in row.iter().enumerate() {
        match *event {
            0 => write(&mut lone, "net/mtu", place as u64),
            1 | 2 | 4 => answer(&mut lone, *event),
            3 => {
                while let Some(put) = lone.request(FrameType::Put) {
                    answer_hints(&mut lone, &put, Hints::default());
                }
            }
            5 => {
                let offered = engine(&lone).actual.offer.as_ref();
                if let Some(offered) = offered.map(|offer| offer.revision) {
                    acknowledge_actual(&mut lone, offered);
                }
            }
            6 => {
                lone.run(61_000);
            }
            _ => {
                lone.input(Input::OtherMailbox);
                lone.outbox.clear();
                lone.connect();
            }
        }
    }
    name(&lone)
}

fn name(lone: &Lone) -> String {
    let actual = &engine(lone).actual;
    let Some(head) = actual.head else {
        return "nothing written".into();
    };
    let Some(offer) = &actual.offer else {
        let is_held = actual.acknowledged() == head.revision;
        return if is_held {
            "held by the controller"
        } else {
            "to be offered"
        }
        .into();
    };
    let offered = if actual.due_ms() == Some(0) {
        "offered"
    } else if actual.polled() == Some(offer.revision) {
        "taken by the mailbox"
    } else {
        "taken, bodies missing"
    };
    if head.revision == offer.revision {
        offered.into()
    } else {
        format!("{offered}, more is written")
    }
}
