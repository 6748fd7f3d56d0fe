//! Collecting: each arrival once, nothing before the last was taken, and a store that was lost.

use super::desk::{Desk, identity};
use crate::frame::{Collect, Delivery, Entry, FrameType, Hints, Item, UpFrame};
use crate::id::{ChannelId, Plane};
use crate::reject::Reject;
use crate::revision::{ArrivalNumber, BundleNumber, Knock, StoreEpoch};
use crate::testing::TestKeys;
use crate::writer_link::{Event, Input, Output, WriterLink};
use alloc::vec;
use alloc::vec::Vec;

const ENVELOPE: &[u8] = &[0x84, 0x40, 0xa0, 0x40, 0x40];
const CHANNEL: ChannelId = ChannelId::from_bytes([7; 16]);

fn report(arrival: u64) -> Entry<'static> {
    Entry::Envelope {
        arrival: ArrivalNumber::new(arrival),
        delivery: Delivery {
            channel: Some(CHANNEL),
            item: Item {
                plane: Some(Plane::Actual),
                envelope: ENVELOPE,
            },
        },
    }
}

fn bundle(arrival: u64) -> Entry<'static> {
    Entry::Envelope {
        arrival: ArrivalNumber::new(arrival),
        delivery: Delivery {
            channel: None,
            item: Item {
                plane: None,
                envelope: ENVELOPE,
            },
        },
    }
}

fn taken(desk: &mut Desk, arrival: u64) {
    let arrival = ArrivalNumber::new(arrival);
    desk.input(Input::Taken { arrival });
}

/// The collect that is under way.
fn asked(desk: &mut Desk) -> Collect {
    let (asked, collect) = desk.request(FrameType::Collect, |frame| {
        let UpFrame::Collect(collect) = frame else {
            panic!("a collect");
        };
        *collect
    });
    desk.input(Input::Failed {
        exchange: asked.exchange,
    });
    collect
}

/// Arrivals that the controller was given, and knocks.
fn given(desk: &mut Desk) -> Vec<(u64, bool)> {
    let arrival = |output: &Output| match output {
        Output::Received {
            arrival,
            channel,
            envelope,
        } => {
            assert_eq!((*channel, &envelope[..]), (CHANNEL, ENVELOPE));
            Some((arrival.number(), false))
        }
        Output::Knock { arrival, .. } => Some((arrival.number(), true)),
        Output::Persist(_)
        | Output::Exchange { .. }
        | Output::Reconnect
        | Output::Bodies { .. }
        | Output::NoBodies { .. }
        | Output::SnapshotWanted { .. }
        | Output::StoreChanged { .. }
        | Output::RefillWanted { .. }
        | Output::Event(_) => None,
    };
    let given = desk.outputs.iter().filter_map(arrival).collect();
    desk.outputs.clear();
    given
}

#[test]
fn entries_are_given_in_order_and_the_cursor_moves_when_they_are_taken() {
    let mut desk = Desk::open();
    desk.hold();
    let knock = Entry::Knock {
        arrival: ArrivalNumber::new(9),
        knock: Knock::new(4),
        frame: &[16],
    };
    desk.collected(7, Hints::default(), vec![report(3), knock]);
    assert_eq!(given(&mut desk), [(3, false), (9, true)]);
    desk.hold();
    assert!(!desk.has_request(FrameType::Collect), "nothing is taken");
    taken(&mut desk, 3);
    assert!(!desk.has_request(FrameType::Collect), "the knock is not");
    taken(&mut desk, 9);
    let collect = asked(&mut desk);
    assert_eq!(collect.store, StoreEpoch::new(7));
    assert_eq!(collect.cursor, ArrivalNumber::new(9));
    let mut desk = Desk::with_record(desk.record);
    desk.connect();
    desk.hold();
    assert_eq!(asked(&mut desk), collect, "over a restart");
}

#[test]
fn entry_that_nobody_takes_does_not_hold_up_the_rest() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collected(7, Hints::default(), vec![bundle(1)]);
    desk.hold();
    desk.now_ms += 2_000;
    desk.input(Input::Timeout);
    assert_eq!(asked(&mut desk).cursor, ArrivalNumber::new(1));
    desk.hold();
    desk.collected(7, Hints::default(), vec![report(2), bundle(3)]);
    taken(&mut desk, 2);
    assert_eq!(desk.link.cursor(), ArrivalNumber::new(3));
}

#[test]
fn cursor_beyond_what_was_collected_is_not_believed() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collected(7, Hints::default(), vec![report(3)]);
    taken(&mut desk, u64::MAX);
    assert_eq!(desk.link.cursor(), ArrivalNumber::new(3));
    taken(&mut desk, 1);
    assert_eq!(desk.link.cursor(), ArrivalNumber::new(3));
}

#[test]
fn entry_that_the_cursor_covers_ends_the_session() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collected(7, Hints::default(), vec![report(3)]);
    taken(&mut desk, 3);
    desk.hold();
    desk.outputs.clear();
    desk.collected(7, Hints::default(), vec![report(3)]);
    assert_eq!(desk.rejects(), [Reject::AnswerMismatch]);
    assert!(given(&mut desk).is_empty());
}

//= spec/relays.md#collect type=test
//# A writer MUST take the cursor of another store epoch than the one it knows as 0.
#[test]
fn store_that_was_lost_is_told_and_collected_from_the_start() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collected(7, Hints::default(), vec![report(30)]);
    let changed = |desk: &Desk, number| {
        desk.outputs.iter().any(
            |output| matches!(output, Output::StoreChanged { store } if store.number() == number),
        )
    };
    assert!(changed(&desk, 7), "a mailbox that is new lacks everything");
    taken(&mut desk, 30);
    desk.outputs.clear();
    // A mailbox that was never met before has not changed yet.
    desk.now_ms += 1_000;
    desk.hold();
    desk.collected(8, Hints::default(), vec![report(1)]);
    assert!(changed(&desk, 8));
    assert_eq!(given(&mut desk), [(1, false)]);
    assert_eq!(desk.link.cursor(), ArrivalNumber::new(0));
    taken(&mut desk, 1);
    desk.hold();
    assert_eq!(asked(&mut desk).store, StoreEpoch::new(8));
    desk.collect_nothing(8);
    assert!(!changed(&desk, 8), "it is known");
}

#[test]
fn store_that_changes_all_the_time_ends_the_session() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collect_nothing(7);
    desk.now_ms += 1_000;
    desk.hold();
    desk.collect_nothing(8);
    desk.outputs.clear();
    desk.now_ms += 59_999;
    desk.hold();
    desk.collect_nothing(9);
    assert_eq!(desk.rejects(), [Reject::Overloaded]);
    let is_changed = |output: &Output| matches!(output, Output::StoreChanged { .. });
    assert!(!desk.outputs.iter().any(is_changed));
    assert_eq!(desk.link.store(), StoreEpoch::new(8));
}

#[test]
fn hints_slow_the_link_down_and_never_beyond_the_limits() {
    let mut desk = Desk::open();
    desk.hold();
    let hints = Hints {
        retry_ms: Some(u64::MAX),
        hold_s_max: Some(20),
        ..Hints::default()
    };
    desk.collected(7, hints, vec![]);
    desk.hold();
    assert!(!desk.has_request(FrameType::Collect));
    let due_ms = desk.link.poll_timeout().unwrap();
    assert_eq!(due_ms, desk.now_ms + 3_600_000);
    desk.now_ms = due_ms;
    desk.input(Input::Timeout);
    // The session of an hour is over by then.
    desk.connect();
    assert_eq!(asked(&mut desk).hold_s, 20);
}

#[test]
fn empty_answers_at_once_are_paced() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collect_nothing(7);
    desk.hold();
    assert!(!desk.has_request(FrameType::Collect));
    assert_eq!(desk.link.poll_timeout(), Some(desk.now_ms + 1_000));
    desk.now_ms += 1_000;
    desk.input(Input::Timeout);
    assert!(desk.has_request(FrameType::Collect));
    desk.now_ms += 55_000;
    desk.collect_nothing(7);
    desk.hold();
    assert!(desk.has_request(FrameType::Collect), "a hold that ran out");
}

#[test]
fn record_that_is_damaged_is_refused_by_name() {
    let keys = TestKeys::new();
    for record in [
        &[][..],
        &[0x80],
        &[0x82, 1],
        &[0x82, 1, 2, 3],
        &[0x82, 1, 0x20],
    ] {
        let link = WriterLink::new(identity(&keys), BundleNumber::new(1), Some(record));
        assert_eq!(link.map(|_| ()).unwrap_err().table, "relays");
    }
}

impl Desk {
    fn collect_nothing(&mut self, store: u64) {
        self.hold();
        self.collected(store, Hints::default(), vec![]);
    }
}

#[test]
fn store_may_change_once_a_minute() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collect_nothing(7);
    desk.now_ms += 1_000;
    desk.collect_nothing(8);
    desk.now_ms += 60_000;
    desk.collect_nothing(9);
    assert_eq!(desk.rejects(), []);
    assert_eq!(desk.link.store(), StoreEpoch::new(9));
}

#[test]
fn empty_answer_after_a_second_is_not_paced() {
    for (held_ms, is_paced) in [(0, true), (999, true), (1_000, false)] {
        let mut desk = Desk::open();
        desk.hold();
        desk.now_ms += held_ms;
        desk.collect_nothing(7);
        desk.hold();
        let is_asked = desk.has_request(FrameType::Collect);
        assert_eq!(is_asked, !is_paced, "{held_ms}");
    }
}

#[test]
fn arrival_that_was_taken_before_is_not_kept_again() {
    let mut desk = Desk::open();
    desk.hold();
    desk.collected(7, Hints::default(), vec![report(3)]);
    taken(&mut desk, 3);
    assert!(desk.record.take().is_some());
    for arrival in [3, 2, u64::MAX] {
        taken(&mut desk, arrival);
        assert_eq!(desk.record, None, "{arrival}");
    }
}

#[test]
fn answers_are_told_to_the_driver_with_whether_they_brought_anything() {
    let answered = |desk: &Desk| {
        let is_empty = |event| {
            let Event::Answered { is_empty, .. } = event else {
                return None;
            };
            Some(is_empty)
        };
        desk.events()
            .into_iter()
            .filter_map(is_empty)
            .collect::<Vec<_>>()
    };
    let mut desk = Desk::open();
    desk.hold();
    desk.collect_nothing(7);
    assert_eq!(answered(&desk), [true]);
    desk.now_ms += 10_000;
    desk.outputs.clear();
    desk.hold();
    desk.collected(7, Hints::default(), vec![report(3)]);
    assert_eq!(answered(&desk), [false]);
    desk.outputs.clear();
    desk.push(|desk| desk.report_ack("press-7", 1));
    let (asked, _) = desk.delivered();
    desk.answer(asked, Hints::default());
    assert_eq!(answered(&desk), [false], "a work that was done");
}

/// Three quarters of an hour into a session of an hour.
#[test]
fn session_is_renewed_when_nothing_is_under_way_and_ended_at_its_age() {
    for (is_held, is_carried) in [(false, false), (true, false), (false, true)] {
        let mut desk = Desk::open();
        if is_held {
            desk.hold();
        }
        if is_carried {
            desk.push(|desk| desk.report_ack("press-7", 1));
        }
        desk.now_ms += 2_699_999;
        desk.input(Input::Timeout);
        assert!(!desk.is_reconnecting());
        desk.now_ms += 1;
        desk.input(Input::Timeout);
        let is_idle = !is_held && !is_carried;
        assert_eq!(desk.is_reconnecting(), is_idle, "{is_held} {is_carried}");
        desk.now_ms += 900_000;
        desk.input(Input::Timeout);
        assert!(desk.is_reconnecting(), "at its full age");
    }
}
