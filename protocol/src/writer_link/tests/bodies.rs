//! Bodies and other work beside letters: what a frame holds, what is done again, what is too many.

use super::deliver::{channel, is_delivered, lacking, state};
use super::desk::Desk;
use crate::frame::{DownFrame, FrameType, Hints, UpFrame, Wanted, WantedBody, frame_type};
use crate::id::{ChannelId, Digest, Plane};
use crate::kind::MessageKind;
use crate::limits::{FRAME_BYTES_MAX, LINK_ENROLLED_MAX, LINK_FETCHES_MAX};
use crate::reject::Reject;
use crate::revision::Knock;
use crate::writer_link::{Event, Input};
use alloc::vec;
use alloc::vec::Vec;

/// Asks for these bodies of the channel from their first byte on.
fn wanting(desk: &Desk, plane: Plane, digests: &[Digest]) -> Hints {
    let channel = channel(desk);
    let wanted = digests.iter().map(|digest| WantedBody {
        channel,
        plane,
        wanted: Wanted {
            digest: *digest,
            offset: 0,
        },
    });
    Hints {
        bodies_wanted: wanted.collect(),
        ..Hints::default()
    }
}

/// Takes the bodies under way: the bytes of the frame, and of each piece.
fn pieces(desk: &mut Desk) -> (super::desk::Asked, usize, Vec<usize>) {
    let mut frames = desk.frames.iter().map(|(_, frame, _)| frame);
    let frame = frames.find(|frame| frame_type(frame) == Ok(FrameType::DeliverBodies));
    let frame_bytes = frame.unwrap().len();
    let (asked, pieces) = desk.request(FrameType::DeliverBodies, |frame| {
        let UpFrame::DeliverBodies { chunks, .. } = frame else {
            panic!("bodies");
        };
        chunks.iter().map(|chunk| chunk.bytes.len()).collect()
    });
    (asked, frame_bytes, pieces)
}

#[test]
fn frame_of_bodies_is_filled_and_never_too_large() {
    let bodies = [1, 2, 3].map(|byte| vec![byte; 40_000]);
    let digests = bodies.each_ref().map(|body| Digest::of(body));
    let mut desk = Desk::open();
    let mut letter = desk.snapshot("press-7", 1, &state());
    letter.bodies = digests.into_iter().zip(bodies).collect();
    desk.push(|_| letter);
    let (asked, _) = desk.delivered();
    let hints = wanting(&desk, Plane::Desired, &digests);
    desk.answer(asked, hints);
    // 17 bytes for the channel and 48 around each of the pieces, of which the first is as large as one may be.
    let (_, frame_bytes, pieces) = pieces(&mut desk);
    assert_eq!(
        pieces,
        [32_768, FRAME_BYTES_MAX - 64 - 17 - 2 * 48 - 32_768]
    );
    assert!(frame_bytes <= FRAME_BYTES_MAX);
}

#[test]
fn body_that_is_wanted_twice_travels_once_and_from_the_newest_place() {
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    let (asked, _) = desk.delivered();
    let mut hints = lacking(&desk, &state, 0);
    hints
        .bodies_wanted
        .append(&mut lacking(&desk, &state, 2).bodies_wanted);
    desk.answer(asked, hints);
    let (_, _, pieces) = pieces(&mut desk);
    let whole = state.section_digests();
    let whole = whole.map(|(_, digest)| state.body(digest).unwrap().len() - 2);
    assert_eq!(pieces, whole.collect::<Vec<_>>());
}

#[test]
fn bodies_of_a_snapshot_that_the_mailbox_has_not_got_yet_are_not_brought() {
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    let (asked, _) = desk.delivered();
    desk.hold();
    let hints = lacking(&desk, &state, 0);
    desk.collected(7, hints, vec![]);
    let exchange = asked.exchange;
    desk.input(Input::Failed { exchange });
    desk.now_ms += 1_000;
    desk.input(Input::Timeout);
    assert!(!desk.has_request(FrameType::DeliverBodies));
    assert_eq!(desk.delivered().1, [MessageKind::Snapshot]);
}

#[test]
fn bodies_of_the_other_plane_or_of_nothing_are_no_reason_to_go_on() {
    for plane in [Plane::Desired, Plane::Actual] {
        let mut desk = Desk::open();
        let state = state();
        desk.push(|desk| desk.snapshot("press-7", 1, &state));
        let (asked, _) = desk.delivered();
        desk.answer(asked, lacking(&desk, &state, 0));
        let (asked, ..) = pieces(&mut desk);
        let own: Vec<_> = state.section_digests().map(|(_, digest)| *digest).collect();
        let unknown = [Digest::of(b"nothing of ours")];
        let is_desired = plane == Plane::Desired;
        let wanted: &[Digest] = if is_desired { &unknown } else { &own };
        let hints = wanting(&desk, plane, wanted);
        desk.answer(asked, hints);
        assert!(!desk.has_request(FrameType::DeliverBodies));
        let told = Event::Refused {
            channel: Some(channel(&desk)),
            kind: MessageKind::Snapshot,
            reject: Some(Reject::BodyMismatch),
        };
        assert!(desk.events().contains(&told), "{plane:?}");
        assert_eq!(desk.link.waiting_bytes(), 0);
    }
}

#[test]
fn snapshot_is_delivered_whatever_the_mailbox_wants_of_others() {
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    let (asked, _) = desk.delivered();
    desk.answer(asked, lacking(&desk, &state, 0));
    let (asked, ..) = pieces(&mut desk);
    let mut hints = lacking(&desk, &state, 0);
    for one in &mut hints.bodies_wanted {
        one.channel = ChannelId::from_bytes([9; 16]);
    }
    desk.answer(asked, hints);
    assert!(is_delivered(&desk, MessageKind::Snapshot));
}

/// Lets the work under way fail; it is begun again after a second, and the link asks to be woken for that.
fn fails_and_comes_again(desk: &mut Desk, kind: FrameType) {
    let (asked, ()) = desk.request(kind, |_| ());
    let exchange = asked.exchange;
    desk.input(Input::Failed { exchange });
    assert!(!desk.has_request(kind));
    assert_eq!(
        desk.link.poll_timeout(),
        Some(desk.now_ms + 1_000),
        "{kind:?}"
    );
    desk.now_ms += 1_000;
    desk.input(Input::Timeout);
    assert!(desk.has_request(kind), "{kind:?}");
}

#[test]
fn work_of_each_sort_that_failed_wakes_the_link_for_itself() {
    let mut desk = Desk::open();
    desk.input(Input::Enrolled {
        knock: Knock::new(1),
        frame: vec![17],
    });
    fails_and_comes_again(&mut desk, FrameType::DeliverEnrolled);
    let mut desk = Desk::open();
    desk.input(Input::Fetch {
        channel: channel(&desk),
        wanted: vec![Wanted {
            digest: Digest::of(b"body"),
            offset: 0,
        }],
    });
    fails_and_comes_again(&mut desk, FrameType::FetchBodies);
    let mut desk = Desk::open();
    let state = state();
    desk.push(|desk| desk.snapshot("press-7", 1, &state));
    let (asked, _) = desk.delivered();
    desk.answer(asked, lacking(&desk, &state, 0));
    fails_and_comes_again(&mut desk, FrameType::DeliverBodies);
}

#[test]
fn answers_to_enrolments_wait_up_to_a_bound_and_the_oldest_goes_first() {
    let mut desk = Desk::new();
    for knock in 0..=LINK_ENROLLED_MAX as u64 {
        desk.input(Input::Enrolled {
            knock: Knock::new(knock),
            frame: vec![17],
        });
    }
    desk.connect();
    let mut knocks = Vec::new();
    while desk.has_request(FrameType::DeliverEnrolled) {
        let (asked, knock) = desk.request(FrameType::DeliverEnrolled, |frame| {
            let UpFrame::DeliverEnrolled { knock, .. } = frame else {
                panic!("an answer");
            };
            knock.number()
        });
        knocks.push(knock);
        desk.answer(asked, Hints::default());
    }
    let expected = 1..=LINK_ENROLLED_MAX as u64;
    assert_eq!(knocks, expected.collect::<Vec<_>>());
}

#[test]
fn fetches_wait_for_so_many_channels_and_the_newest_of_each_counts() {
    let mut desk = Desk::new();
    let of = |number: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        ChannelId::from_bytes(bytes)
    };
    let most = u16::try_from(LINK_FETCHES_MAX).unwrap();
    // One more channel than may wait, then the first once more.
    for (offset, number) in (0..=most).chain([0]).enumerate() {
        let wanted = vec![Wanted {
            digest: Digest::of(b"body"),
            offset: offset as u64,
        }];
        let channel = of(number);
        desk.input(Input::Fetch { channel, wanted });
    }
    desk.connect();
    let mut fetched = Vec::new();
    while desk.has_request(FrameType::FetchBodies) {
        let (asked, one) = desk.request(FrameType::FetchBodies, |frame| {
            let UpFrame::FetchBodies {
                channel, wanted, ..
            } = frame
            else {
                panic!("a fetch");
            };
            (*channel, wanted[0].offset)
        });
        fetched.push(one);
        desk.answer_frame(asked, &DownFrame::Bodies(vec![]));
    }
    assert_eq!(fetched.len(), LINK_FETCHES_MAX);
    assert_eq!(fetched[0], (of(0), u64::from(most) + 1));
    assert_eq!(fetched[fetched.len() - 1].0, of(most - 1));
}
