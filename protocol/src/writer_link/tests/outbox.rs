//! The outbox by itself: bytes, slots, frames, and what is dropped with a channel.

use super::deliver::state;
use super::desk::{Desk, identity};
use crate::id::ChannelId;
use crate::kind::MessageKind;
use crate::limits::{FRAME_BYTES_MAX, LINK_ASKED_MAX, LINK_BYTES_MAX, LINK_BYTES_REFILL};
use crate::revision::Seq;
use crate::testing::TestKeys;
use crate::writer_link::outbox::Outbox;
use crate::writer_link::wishes::{Wish, Wishes};
use crate::writer_link::{Letter, WriterLink};
use alloc::vec;
use alloc::vec::Vec;

fn channel(number: u16) -> ChannelId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    ChannelId::from_bytes(bytes)
}

/// A snapshot for a channel, with one body of so many bytes.
fn heavy(desk: &Desk, number: u16, bytes: usize) -> Letter {
    let mut letter = desk.snapshot("press-7", 1, &state());
    letter.channel = Some(channel(number));
    letter.bodies = vec![(crate::id::Digest::of(b"body"), vec![0; bytes])];
    letter
}

/// A letter without bodies for a channel, and what it takes.
fn light(desk: &Desk, number: u16) -> (Letter, usize) {
    let mut letter = desk.report_ack("press-7", 1);
    letter.channel = Some(channel(number));
    let mut alone = Outbox::default();
    alone.push(letter.clone());
    (letter, alone.size_bytes())
}

#[test]
fn bytes_are_those_of_what_waits() {
    let desk = Desk::new();
    let mut outbox = Outbox::default();
    assert_eq!(outbox.size_bytes(), 0);
    let (letter, size_bytes) = light(&desk, 1);
    assert!(size_bytes >= letter.envelope.len());
    outbox.push(letter.clone());
    outbox.push(letter);
    assert_eq!(
        outbox.size_bytes(),
        size_bytes,
        "the newer one took its place"
    );
    outbox.push(light(&desk, 2).0);
    assert_eq!(outbox.size_bytes(), 2 * size_bytes);
    assert_eq!(outbox.take_frame().len(), 2);
    let answered = outbox.settle(|place| (place == 1).then_some(60), |_| false);
    let codes: Vec<_> = answered.iter().map(|one| one.code).collect();
    assert_eq!(codes, [None, Some(60)]);
    assert_eq!((outbox.size_bytes(), outbox.take_frame().len()), (0, 0));
}

#[test]
fn letter_that_was_answered_leaves_its_slot_to_the_next() {
    let desk = Desk::new();
    let mut outbox = Outbox::default();
    for _ in 0..3 {
        outbox.push(light(&desk, 1).0);
        assert_eq!(outbox.take_frame().len(), 1);
        // The newer one comes while the older is under way: it is none of that answer.
        outbox.push(light(&desk, 1).0);
        let answered = outbox.settle(|_| None, |_| false);
        assert!(answered.is_empty());
        assert_eq!(outbox.take_frame().len(), 1);
        assert_eq!(outbox.settle(|_| None, |_| false).len(), 1);
        assert!(outbox.is_idle());
    }
}

#[test]
fn frame_that_did_not_come_back_is_brought_again_whole() {
    let desk = Desk::new();
    let mut outbox = Outbox::default();
    outbox.push(light(&desk, 1).0);
    assert_eq!(outbox.take_frame().len(), 1);
    outbox.take_back();
    let answered = outbox.settle(|_| None, |_| false);
    assert!(answered.is_empty(), "nothing is under way");
    assert_eq!(outbox.take_frame().len(), 1);
}

#[test]
fn bundles_wait_one_beside_the_other_and_each_once() {
    let mut keys = TestKeys::new();
    keys.push_bundle(1, &[]);
    keys.push_bundle(1, &[]);
    let desk = Desk::new();
    let mut outbox = Outbox::default();
    outbox.push(light(&desk, 1).0);
    assert_eq!(outbox.newest_bundle(), None);
    for (which, newest, count) in [(1, 2, 2), (0, 2, 3), (1, 2, 3), (2, 3, 4)] {
        outbox.push(Letter::bundle(keys.bundles[which].clone()));
        assert_eq!(outbox.newest_bundle(), Some(Seq::new(newest)));
        assert_eq!(outbox.take_frame().len(), count);
    }
}

#[test]
fn letter_that_fits_exactly_is_kept_and_one_byte_more_costs_its_channel() {
    let desk = Desk::new();
    let (letter, light_bytes) = light(&desk, 1);
    let empty_bytes = {
        let mut alone = Outbox::default();
        alone.push(heavy(&desk, 2, 0));
        alone.size_bytes()
    };
    for (over, is_kept) in [(0, true), (1, false)] {
        let mut outbox = Outbox::default();
        outbox.push(letter.clone());
        let rest = LINK_BYTES_MAX - light_bytes - empty_bytes;
        let large = heavy(&desk, 2, rest + over);
        outbox.push(large);
        assert_eq!(outbox.has_snapshot(channel(2)), is_kept, "{over}");
        let held_bytes = if is_kept { LINK_BYTES_MAX } else { light_bytes };
        assert_eq!(outbox.size_bytes(), held_bytes);
        assert_eq!(outbox.next_refill(), (!is_kept).then(|| channel(2)));
    }
}

#[test]
fn channel_that_has_no_room_is_dropped_whole_and_no_other() {
    let desk = Desk::new();
    let mut outbox = Outbox::default();
    outbox.push(light(&desk, 1).0);
    outbox.push(light(&desk, 2).0);
    let one = light(&desk, 1).1;
    outbox.push(heavy(&desk, 1, LINK_BYTES_MAX));
    assert_eq!(outbox.size_bytes(), one, "nothing of channel 1");
    assert!(!outbox.has_snapshot(channel(1)));
    assert_eq!(outbox.next_refill(), Some(channel(1)));
    assert_eq!(outbox.next_refill(), None);
    // Its slot is free, and the other's is not.
    outbox.push(light(&desk, 1).0);
    outbox.push(light(&desk, 2).0);
    assert_eq!(outbox.size_bytes(), 2 * one);
}

#[test]
fn channel_is_filled_anew_up_to_the_bytes_for_that() {
    let desk = Desk::new();
    let empty_bytes = {
        let mut alone = Outbox::default();
        alone.push(heavy(&desk, 2, 0));
        alone.size_bytes()
    };
    for (over, expected) in [(0, Some(channel(9))), (1, None)] {
        let mut outbox = Outbox::default();
        outbox.note_lacking(vec![channel(9)]);
        outbox.push(heavy(&desk, 2, LINK_BYTES_REFILL - empty_bytes + over));
        assert_eq!(outbox.next_refill(), expected, "{over}");
    }
}

/// 16 bytes of the frame, 20 around each letter.
#[test]
fn frame_takes_what_fits_and_no_byte_more() {
    let desk = Desk::new();
    let mut outbox = Outbox::default();
    let mut all = 0;
    for number in 0..600 {
        outbox.push(light(&desk, number).0);
        all += 1;
    }
    let envelope = light(&desk, 1).0.envelope.len();
    let mut carried = Vec::new();
    while !outbox.is_idle() {
        let letters = outbox.take_frame();
        let bytes: usize = letters.iter().map(|one| one.envelope.len() + 20).sum();
        assert!(bytes + 16 <= FRAME_BYTES_MAX);
        carried.push(letters.len());
        outbox.settle(|_| None, |_| false);
    }
    assert_eq!(carried.iter().sum::<usize>(), all);
    let most = (FRAME_BYTES_MAX - 16) / (envelope + 20);
    let most = most.min(crate::limits::DELIVER_LETTERS_MAX);
    assert!(
        carried.iter().rev().skip(1).all(|count| *count == most),
        "{carried:?}"
    );
}

#[test]
fn wishes_are_bounded_by_channels_and_5_s() {
    let mut wishes = Wishes::default();
    for number in 0..LINK_ASKED_MAX {
        let number = u16::try_from(number).unwrap();
        assert!(wishes.may_ask(0, channel(number)));
    }
    let late = u16::try_from(LINK_ASKED_MAX).unwrap();
    assert!(!wishes.may_ask(4_999, channel(late)), "no room");
    assert!(!wishes.may_ask(4_999, channel(0)), "asked already");
    assert!(
        wishes.may_ask(5_000, channel(late)),
        "the others are long ago"
    );
    assert!(wishes.may_ask(5_000, channel(0)));
    assert!(!wishes.may_ask(9_999, channel(late)));
}

#[test]
fn early_wish_is_due_when_its_5_s_are_over_and_the_greater_one_counts() {
    let mut wishes = Wishes::default();
    assert_eq!(wishes.due_ms(), None);
    assert!(wishes.ask(1_000, channel(1), Wish::Snapshot));
    assert!(wishes.ask(3_000, channel(2), Wish::Snapshot));
    assert!(!wishes.ask(4_000, channel(2), Wish::Snapshot));
    assert_eq!(wishes.due_ms(), Some(8_000));
    assert!(!wishes.ask(4_000, channel(1), Wish::Refill));
    assert!(!wishes.ask(4_500, channel(1), Wish::Snapshot));
    assert_eq!(wishes.due_ms(), Some(6_000));
    assert_eq!(wishes.take_due(5_999), None);
    assert_eq!(wishes.take_due(6_000), Some((channel(1), Wish::Refill)));
    assert_eq!(wishes.take_due(6_000), None, "the other is not due");
    assert_eq!(wishes.due_ms(), Some(8_000));
    assert_eq!(wishes.take_due(8_000), Some((channel(2), Wish::Snapshot)));
    assert_eq!(wishes.take_due(60_000), None);
    assert_eq!(wishes.due_ms(), None);
}

#[test]
fn record_of_a_link_is_named_by_mailbox_and_tenant() {
    let identity = identity(&TestKeys::new());
    let key = WriterLink::record_key(&identity);
    let mailbox = identity.mailbox.thumbprint();
    assert_eq!(key[..32], *mailbox.as_bytes());
    assert_eq!(&key[32..], identity.tenant.as_str().as_bytes());
}

#[test]
fn snapshot_ends_the_frame_that_carries_it() {
    let desk = Desk::new();
    let mut outbox = Outbox::default();
    outbox.push(light(&desk, 1).0);
    outbox.push(heavy(&desk, 2, 10));
    outbox.push(light(&desk, 3).0);
    outbox.take_frame();
    let answered = outbox.settle(|_| None, |_| false);
    let kinds: Vec<_> = answered.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [MessageKind::ReportAck, MessageKind::Snapshot]);
    assert_eq!(outbox.take_frame().len(), 1);
}

/// A letter whose envelope has so many bytes.
fn sized(desk: &Desk, number: u16, bytes: usize) -> Letter {
    let of = |payload: usize| desk.report_ack_of("press-7", 1, vec![0; payload]);
    // Beyond 256 bytes the envelope grows with its payload.
    let rest = of(1_000).envelope.len() - 1_000;
    let mut letter = of(bytes - rest);
    assert_eq!(letter.envelope.len(), bytes);
    letter.channel = Some(channel(number));
    letter
}

#[test]
fn frame_is_filled_to_its_last_byte() {
    let desk = Desk::new();
    let room = FRAME_BYTES_MAX - 16;
    for (over, expected) in [(0, [3, 0]), (1, [2, 1])] {
        let mut outbox = Outbox::default();
        let rest = room - 2 * (20_000 + 20) - 20;
        for (number, bytes) in [(1, 20_000), (2, 20_000), (3, rest + over)] {
            outbox.push(sized(&desk, number, bytes));
        }
        let mut carried = [0; 2];
        for count in &mut carried {
            *count = outbox.take_frame().len();
            outbox.settle(|_| None, |_| false);
        }
        assert_eq!(carried, expected, "{over}");
    }
}

#[test]
fn delta_behind_one_that_was_answered_still_has_to_follow_the_last() {
    for (base, is_followed) in [(3, true), (2, false), (7, false)] {
        let desk = Desk::new();
        let mut outbox = Outbox::default();
        outbox.push(desk.delta("press-7", 1, 2));
        assert_eq!(outbox.take_frame().len(), 1);
        outbox.push(desk.delta("press-7", 2, 3));
        assert_eq!(outbox.settle(|_| None, |_| false).len(), 1);
        let gap = outbox.push(desk.delta("press-7", base, base + 1));
        assert_eq!(gap.is_none(), is_followed, "{base}");
    }
}
