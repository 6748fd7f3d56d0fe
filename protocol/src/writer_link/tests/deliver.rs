//! Delivering: the newest of each slot, chains, bodies, and what is done about what was refused.

use super::desk::{Desk, refused};
use crate::frame::{BodyChunk, DownFrame, FrameType, Hints, UpFrame, Wanted, WantedBody};
use crate::id::{ChannelId, Digest, Plane};
use crate::kind::MessageKind;
use crate::reject::Reject;
use crate::revision::Knock;
use crate::state::State;
use crate::testing::numbers;
use crate::writer_link::{Event, Input, Letter, Output};
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn state() -> State {
    numbers(&[("a/x", 1), ("b/y", 2)])
}

pub(super) fn channel(desk: &Desk) -> ChannelId {
    desk.keys.channel("press-7").id()
}

pub(super) fn lacking(desk: &Desk, state: &State, offset: u64) -> Hints {
    let channel = channel(desk);
    let wanted = state.section_digests().map(|(_, digest)| WantedBody {
        channel,
        plane: Plane::Desired,
        wanted: Wanted {
            digest: *digest,
            offset,
        },
    });
    Hints {
        bodies_wanted: wanted.collect(),
        ..Hints::default()
    }
}

pub(super) fn is_delivered(desk: &Desk, kind: MessageKind) -> bool {
    let mut events = desk.events().into_iter();
    events.any(|event| matches!(event, Event::Delivered { kind: found, .. } if found == kind))
}

#[test]
fn letters_are_brought_in_order_and_confirmed_by_the_answer() {
    let mut desk = Desk::new();
    let bundle = desk.keys.bundles[0].clone();
    desk.push(|_| Letter::bundle(bundle));
    desk.push(|desk| desk.delta("press-7", 1, 2));
    desk.push(|desk| desk.report_ack("press-7", 1));
    assert!(desk.link.waiting_bytes() > 3 * 100);
    desk.connect();
    let (asked, kinds) = desk.delivered();
    let wanted = [
        MessageKind::Bundle,
        MessageKind::Delta,
        MessageKind::ReportAck,
    ];
    assert_eq!(kinds, wanted);
    desk.push(|desk| desk.report_ack("press-8", 1));
    assert!(!desk.has_request(FrameType::Deliver), "one at a time");
    desk.answer(asked, Hints::default());
    assert!(wanted.iter().all(|kind| is_delivered(&desk, *kind)));
    let (asked, kinds) = desk.delivered();
    assert_eq!(kinds, [MessageKind::ReportAck]);
    desk.answer(asked, Hints::default());
    assert_eq!(desk.link.waiting_bytes(), 0);
    assert!(!desk.has_request(FrameType::Deliver));
}

#[test]
fn bundle_that_waits_or_is_held_already_is_no_trouble() {
    let mut desk = Desk::open();
    for _ in 0..2 {
        desk.push(|desk| Letter::bundle(desk.keys.bundles[0].clone()));
    }
    let (asked, kinds) = desk.delivered();
    assert_eq!(kinds, [MessageKind::Bundle]);
    desk.answer(asked, refused(0, 82));
    assert!(is_delivered(&desk, MessageKind::Bundle));
    desk.push(|desk| Letter::bundle(desk.keys.bundles[0].clone()));
    let (asked, _) = desk.delivered();
    desk.answer(asked, refused(0, 81));
    let told = Event::Refused {
        channel: None,
        kind: MessageKind::Bundle,
        reject: Some(Reject::BundleGap),
    };
    assert!(desk.events().contains(&told));
}

#[test]
fn newer_letter_of_a_slot_takes_the_place_of_one_that_waits() {
    let mut desk = Desk::new();
    for rseq in 1..=3 {
        desk.push(|desk| desk.report_ack("press-7", rseq));
    }
    desk.connect();
    let (asked, kinds) = desk.delivered();
    assert_eq!(kinds.len(), 1);
    // One that is under way is confirmed by its own answer only.
    desk.push(|desk| desk.report_ack("press-7", 4));
    desk.answer(asked, Hints::default());
    assert!(!is_delivered(&desk, MessageKind::ReportAck));
    let (asked, kinds) = desk.delivered();
    assert_eq!(kinds, [MessageKind::ReportAck]);
    desk.answer(asked, Hints::default());
    assert!(is_delivered(&desk, MessageKind::ReportAck));
}

#[test]
fn deltas_that_follow_one_another_wait_up_to_a_bound() {
    let mut desk = Desk::new();
    for seq in 2..18 {
        desk.push(|desk| desk.delta("press-7", seq - 1, seq));
    }
    assert!(desk.wanted().is_empty());
    desk.push(|desk| desk.delta("press-7", 17, 18));
    assert_eq!(desk.wanted(), [channel(&desk)], "one snapshot is shorter");
    assert_eq!(desk.link.waiting_bytes(), 0);
    desk.now_ms += 5_000;
    desk.push(|desk| desk.delta("press-7", 18, 19));
    desk.push(|desk| desk.delta("press-7", 20, 21));
    assert_eq!(desk.wanted(), [channel(&desk)], "a gap");
    desk.push(|desk| desk.snapshot("press-7", 21, &state()));
    desk.push(|desk| desk.delta("press-7", 21, 22));
    desk.connect();
    let (asked, kinds) = desk.delivered();
    assert_eq!(kinds, [MessageKind::Snapshot], "its bodies come first");
    desk.answer(asked, Hints::default());
    assert_eq!(desk.delivered().1, [MessageKind::Delta]);
}

#[test]
fn bodies_that_the_mailbox_lacks_are_brought_before_anything_else() {
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    desk.push(|desk| desk.report_ack("press-7", 1));
    let (asked, _) = desk.delivered();
    desk.answer(asked, lacking(&desk, &state, 1));
    assert!(!is_delivered(&desk, MessageKind::Snapshot));
    let (asked, pieces) = desk.request(FrameType::DeliverBodies, |frame| {
        let UpFrame::DeliverBodies { plane, chunks, .. } = frame else {
            panic!("bodies");
        };
        assert_eq!(*plane, Plane::Desired);
        let piece = |chunk: &BodyChunk<'_>| (chunk.digest, chunk.offset, chunk.bytes.to_vec());
        chunks.iter().map(piece).collect::<Vec<_>>()
    });
    for (digest, offset, bytes) in pieces {
        assert_eq!(
            (offset, &bytes[..]),
            (1, &state.body(&digest).unwrap()[1..])
        );
    }
    desk.answer(asked, Hints::default());
    assert!(is_delivered(&desk, MessageKind::Snapshot));
    assert_eq!(desk.delivered().1, [MessageKind::ReportAck]);
}

#[test]
fn bodies_of_no_snapshot_that_was_delivered_are_not_brought() {
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    let (asked, _) = desk.delivered();
    let mut hints = lacking(&desk, &state, 0);
    hints.bodies_wanted.truncate(1);
    hints.bodies_wanted[0].wanted.digest = Digest::of(b"nothing of ours");
    let mut beyond = lacking(&desk, &state, u64::MAX);
    hints.bodies_wanted.append(&mut beyond.bodies_wanted);
    desk.answer(asked, hints);
    assert!(!desk.has_request(FrameType::DeliverBodies));
    assert_eq!(desk.link.waiting_bytes(), 0, "nothing waits for ever");
    // A collect may ask again for what is long gone, or not yet there.
    desk.push(|desk| desk.snapshot("press-7", 2, &state));
    desk.hold();
    let hints = lacking(&desk, &state, 0);
    desk.collected(7, hints, vec![]);
    assert!(!desk.has_request(FrameType::DeliverBodies));
}

#[test]
fn mailbox_that_never_has_enough_bodies_is_given_up() {
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    let (asked, _) = desk.delivered();
    desk.answer(asked, lacking(&desk, &state, 0));
    let mut rounds = 0;
    while desk.has_request(FrameType::DeliverBodies) {
        let (asked, ()) = desk.request(FrameType::DeliverBodies, |_| ());
        desk.answer(asked, lacking(&desk, &state, 0));
        rounds += 1;
    }
    assert_eq!(rounds, 129);
    let told = Event::Refused {
        channel: Some(channel(&desk)),
        kind: MessageKind::Snapshot,
        reject: Some(Reject::BodyMismatch),
    };
    assert!(desk.events().contains(&told));
    assert_eq!(desk.link.waiting_bytes(), 0);
}

#[test]
fn refused_letter_is_told_and_repaired_where_it_can_be() {
    let cases = [
        (60, Some(Reject::NothingStored), 1, 0),
        (68, Some(Reject::BaseNewer), 1, 0),
        (113, Some(Reject::Quota), 1, 0),
        (111, Some(Reject::NotAdmitted), 0, 1),
        (62, Some(Reject::EpochStale), 0, 0),
        (36, Some(Reject::SignatureInvalid), 0, 0),
        (60_000, None, 0, 0),
    ];
    for (code, reject, wanted, refills) in cases {
        let mut desk = Desk::open();
        desk.push(|desk| desk.delta("press-7", 1, 2));
        let (asked, _) = desk.delivered();
        desk.answer(asked, refused(0, code));
        let told = Event::Refused {
            channel: Some(channel(&desk)),
            kind: MessageKind::Delta,
            reject,
        };
        assert!(desk.events().contains(&told), "{code}");
        let is_wanted = |output: &&Output| matches!(output, Output::SnapshotWanted { .. });
        assert_eq!(desk.outputs.iter().filter(is_wanted).count(), wanted);
        assert_eq!(desk.refills().len(), refills, "{code}");
        assert_eq!(desk.link.waiting_bytes(), 0);
    }
}

#[test]
fn refusal_of_an_item_that_was_not_brought_confirms_the_others() {
    let mut desk = Desk::open();
    desk.push(|desk| desk.report_ack("press-7", 1));
    let (asked, _) = desk.delivered();
    desk.answer(asked, refused(u32::MAX, 60));
    assert!(is_delivered(&desk, MessageKind::ReportAck));
    assert!(desk.wanted().is_empty());
}

#[test]
fn letter_whose_exchange_failed_is_brought_again_after_a_pause() {
    let mut desk = Desk::open();
    desk.push(|desk| desk.report_ack("press-7", 1));
    let (asked, _) = desk.delivered();
    desk.input(Input::Failed {
        exchange: asked.exchange,
    });
    assert!(!desk.has_request(FrameType::Deliver));
    assert_eq!(desk.link.poll_timeout(), Some(desk.now_ms + 1_000));
    desk.now_ms += 1_000;
    desk.input(Input::Timeout);
    assert_eq!(desk.delivered().1, [MessageKind::ReportAck]);
}

#[test]
fn session_that_ended_costs_no_letter() {
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    let (asked, _) = desk.delivered();
    desk.answer(asked, lacking(&desk, &state, 0));
    let (asked, ()) = desk.request(FrameType::DeliverBodies, |_| ());
    desk.answer_raw(asked.exchange, b"<html>");
    assert!(desk.is_reconnecting());
    desk.connect();
    assert_eq!(desk.delivered().1, [MessageKind::Snapshot]);
}

#[test]
fn letters_beyond_the_bytes_become_channels_that_are_filled_anew() {
    let mut desk = Desk::new();
    let body = vec![0; 1 << 20];
    let mut large = desk.snapshot("press-7", 1, &state());
    large.bodies = vec![(Digest::of(&body), body)];
    for device in 0..20_u8 {
        let mut letter = large.clone();
        letter.channel = Some(ChannelId::from_bytes([device; 16]));
        desk.push(|_| letter);
        assert!(desk.link.waiting_bytes() <= 8 << 20);
    }
    desk.connect();
    assert!(desk.refills().is_empty(), "there is no room yet");
    let mut refilled = Vec::new();
    for _ in 0..20 {
        if desk.has_request(FrameType::Deliver) {
            let (asked, _) = desk.delivered();
            desk.answer(asked, Hints::default());
        }
        for channel in desk.refills() {
            refilled.push(channel);
            desk.input(Input::Timeout);
            assert!(desk.refills().is_empty(), "one at a time");
            desk.input(Input::Refilled { channel });
        }
    }
    refilled.extend(desk.refills());
    assert_eq!(refilled.len(), 13);
}

#[test]
fn refill_of_a_lost_store_asks_for_one_channel_after_the_other() {
    let mut desk = Desk::open();
    let channels: Vec<_> = (0..3).map(|one| ChannelId::from_bytes([one; 16])).collect();
    desk.input(Input::Refill {
        channels: channels.clone(),
    });
    for channel in channels {
        assert_eq!(desk.refills(), [channel]);
        desk.input(Input::Refilled {
            channel: ChannelId::from_bytes([9; 16]),
        });
        assert!(desk.refills().is_empty(), "another was asked for");
        desk.input(Input::Refilled { channel });
    }
    assert!(desk.refills().is_empty());
}

#[test]
fn answer_to_an_enrolment_is_brought_first_and_its_refusal_told() {
    let mut desk = Desk::new();
    desk.push(|desk| desk.report_ack("press-7", 1));
    for frame in [1, 2] {
        desk.input(Input::Enrolled {
            knock: Knock::new(5),
            frame: vec![17, frame],
        });
    }
    desk.connect();
    let (asked, ()) = desk.request(FrameType::DeliverEnrolled, |frame| {
        let UpFrame::DeliverEnrolled { knock, enrolled } = frame else {
            panic!("an answer");
        };
        assert_eq!((*knock, *enrolled), (Knock::new(5), &[17, 2][..]));
    });
    desk.answer(asked, refused(0, 95));
    let told = Event::Refused {
        channel: None,
        kind: MessageKind::EnrolAnswer,
        reject: Some(Reject::KnockUnknown),
    };
    assert!(desk.events().contains(&told));
    assert_eq!(desk.delivered().1, [MessageKind::ReportAck]);
    assert!(!desk.has_request(FrameType::DeliverEnrolled));
}

#[test]
fn bodies_of_the_actual_plane_are_fetched_and_given() {
    let mut desk = Desk::open();
    let (channel, digest) = (channel(&desk), Digest::of(b"body"));
    let wanted = Wanted { digest, offset: 2 };
    let fetch = |desk: &mut Desk| {
        desk.input(Input::Fetch {
            channel,
            wanted: vec![wanted],
        });
        let (asked, ()) = desk.request(FrameType::FetchBodies, |frame| {
            let UpFrame::FetchBodies { plane, .. } = frame else {
                panic!("a fetch");
            };
            assert_eq!(*plane, Plane::Actual);
        });
        asked
    };
    let asked = fetch(&mut desk);
    let chunk = BodyChunk {
        digest,
        size: 4,
        offset: 2,
        bytes: b"dy",
    };
    desk.answer_frame(asked, &DownFrame::Bodies(vec![chunk]));
    let is_given = |output: &Output| matches!(output, Output::Bodies { pieces, .. } if pieces.len() == 1 && pieces[0].bytes == b"dy");
    assert!(desk.outputs.iter().any(is_given));
    let is_nothing = |output: &Output| matches!(output, Output::NoBodies { .. });
    let asked = fetch(&mut desk);
    desk.answer_frame(asked, &DownFrame::Bodies(vec![]));
    assert!(desk.outputs.iter().any(is_nothing));
    desk.outputs.clear();
    let asked = fetch(&mut desk);
    desk.answer(asked, Hints::default());
    assert!(desk.outputs.iter().any(is_nothing));
    assert!(!desk.has_request(FrameType::FetchBodies));
}

#[test]
fn request_that_no_mailbox_takes_is_dropped() {
    let mut desk = Desk::open();
    desk.input(Input::Fetch {
        channel: channel(&desk),
        wanted: vec![],
    });
    assert_eq!(desk.rejects(), [Reject::Shape]);
    desk.connect();
    desk.input(Input::Enrolled {
        knock: Knock::new(1),
        frame: vec![0; 49_152],
    });
    assert_eq!(desk.rejects(), [Reject::Oversize]);
    desk.connect();
    let mut broken = desk.report_ack("press-7", 1);
    broken.envelope.pop();
    desk.push(|_| broken);
    assert!(!desk.has_request(FrameType::Deliver) && desk.link.poll_timeout().is_none());
}
