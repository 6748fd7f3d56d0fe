//! Receipts: told once when a mailbox of the bundle signed them, named to it, and never more than a
//! reason to say again what is still disputed.

use super::speech::{post_of, serve_item};
use crate::Reject;
use crate::device::Event;
use crate::frame::{Direction, Item, Poll, SessionFrame, UpFrame};
use crate::id::{ChannelId, MessageId, Tenant};
use crate::key::Signer;
use crate::kind::MessageKind;
use crate::receipt::Receipt;
use crate::revision::{LineageEntry, ReceiptNumber, Seq, StoreEpoch};
use crate::testing::{Answering, Lone, at, numbers, signer};
use alloc::vec;
use alloc::vec::Vec;

fn connected() -> Lone {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(100, 5));
    lone.acknowledge();
    lone
}

/// A device that refused a restored controller and has told it so.
fn disputing() -> Lone {
    let mut lone = Lone::holding(&numbers(&[("a/x", 110)]), at(100, 110));
    lone.acknowledge();
    let lineage = vec![LineageEntry {
        last: at(100, 105),
        digest: *numbers(&[("a/x", 105)]).root(),
    }];
    let snapshot = lone.seal_snapshot(&numbers(&[("a/x", 106)]), at(101, 1), lineage);
    lone.serve(&[snapshot]);
    lone
}

fn receipt(lone: &Lone, number: u64) -> Receipt {
    Receipt {
        store: StoreEpoch::new(77),
        number: Seq::new(number),
        message: MessageId::from_bytes([6; 32]),
        channel: lone.node.identity.channel.id(),
        code: Reject::RetentionExpired.code(),
    }
}

fn seal(lone: &Lone, receipt: &Receipt) -> Vec<u8> {
    seal_by(lone, receipt, &lone.keys.tenant, &lone.keys.mailbox)
}

fn seal_by(lone: &Lone, receipt: &Receipt, tenant: &Tenant, signer: &dyn Signer) -> Vec<u8> {
    let sealed = receipt.seal(lone.keys.domain(), tenant, signer);
    sealed.unwrap().into_bytes()
}

/// Answers the next poll with these bytes, beside no plane. Returns what was told of receipts.
fn give(lone: &mut Lone, envelope: &[u8]) -> Vec<Receipt> {
    lone.node.events.clear();
    serve_item(lone, None, envelope);
    told(lone)
}

fn told(lone: &Lone) -> Vec<Receipt> {
    let events = lone.node.events.iter();
    let receipts = events.filter_map(|event| {
        let Event::Receipt { receipt, .. } = event else {
            return None;
        };
        Some(*receipt)
    });
    receipts.collect()
}

fn named(poll: &Answering) -> Option<ReceiptNumber> {
    let split = SessionFrame::split(&poll.frame, Direction::Up).unwrap();
    match split.danger_unverified_body().unwrap().decode_up() {
        Ok(UpFrame::Poll(Poll { receipt, .. })) => receipt,
        other => panic!("{other:?}"),
    }
}

//= spec/relays.md#receipt type=test
//# A device MUST NOT take a receipt as an acknowledgement or change a state by it.
#[test]
fn receipt_of_the_mailbox_is_told_and_changes_nothing() {
    for code in [0, Reject::RetentionExpired.code(), 9_999, u16::MAX] {
        let mut lone = connected();
        super::speech::write(&mut lone, "b/y", 4);
        let head = lone.node.head();
        let acknowledged = lone.node.engine.as_ref().unwrap().actual_acknowledged();
        let said = Receipt {
            code,
            ..receipt(&lone, 5)
        };
        let rows: Vec<_> = rows_of(&lone);
        let envelope = seal(&lone, &said);
        assert_eq!(give(&mut lone, &envelope), [said]);
        let mailbox = lone.keys.mailbox.public_key().thumbprint();
        let event = Event::Receipt {
            mailbox,
            receipt: said,
        };
        assert!(lone.node.events.contains(&event));
        assert!(lone.rejects().is_empty());
        assert_eq!(rows_of(&lone), rows, "nothing is stored");
        let engine = lone.node.engine.as_ref().unwrap();
        assert_eq!(lone.node.head(), head);
        assert_eq!(engine.actual_acknowledged(), acknowledged);
    }
}

fn rows_of(lone: &Lone) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = lone.node.store.rows();
    rows.map(|(_, key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

//= spec/relays.md#receipt type=test
//# A device MUST refuse a receipt about another channel with `not-admitted`.
#[test]
fn receipt_of_another_signer_tenant_channel_or_plane_is_refused_and_never_named() {
    let mut lone = connected();
    let (own, other) = (receipt(&lone, 5), Tenant::parse("other").unwrap());
    let elsewhere = Receipt {
        channel: ChannelId::from_bytes([9; 16]),
        ..own
    };
    let tenant = lone.keys.tenant.clone();
    let cases = [
        (
            seal_by(&lone, &own, &tenant, &lone.keys.writer),
            Reject::KeyUnknown,
        ),
        (
            seal_by(&lone, &own, &tenant, &signer("stranger")),
            Reject::KeyUnknown,
        ),
        (
            seal_by(&lone, &own, &other, &lone.keys.mailbox),
            Reject::SignatureInvalid,
        ),
        (seal(&lone, &elsewhere), Reject::NotAdmitted),
        (cut(seal(&lone, &own)), Reject::SignatureInvalid),
    ];
    for (envelope, reject) in cases {
        assert_eq!(give(&mut lone, &envelope), []);
        assert_eq!(lone.rejects(), [reject]);
        let poll = lone.paced_poll();
        assert_eq!(named(&poll), None, "{reject}");
        lone.answer(&poll, &[]);
    }
    lone.node.events.clear();
    let envelope = seal(&lone, &own);
    serve_item(&mut lone, Some(crate::id::Plane::Desired), &envelope);
    assert_eq!(
        (told(&lone), lone.rejects()),
        (vec![], vec![Reject::SignerRole])
    );
}

/// Breaks the last byte of the signature.
fn cut(mut envelope: Vec<u8>) -> Vec<u8> {
    if let Some(last) = envelope.last_mut() {
        *last ^= 1;
    }
    envelope
}

#[test]
fn receipt_of_a_mailbox_that_the_bundle_revokes_is_refused() {
    let mut lone = connected();
    let former = lone.keys.mailbox.public_key().thumbprint();
    let envelope = seal(&lone, &receipt(&lone, 5));
    lone.keys.mailbox = signer("mailbox 2");
    let generation = lone.keys.generation();
    lone.keys.push_bundle(generation, &[former]);
    let bundle = lone.keys.bundles.last().unwrap().clone();
    lone.node.events.clear();
    let poll = lone.paced_poll();
    lone.answer_items(&poll, vec![item(&bundle), item(&envelope)]);
    assert_eq!(told(&lone), []);
    assert_eq!(lone.rejects(), [Reject::KeyUnknown]);
}

//= spec/relays.md#receipt type=test
//# A device MUST take a receipt that is not above the newest that it knows of the same mailbox and
//# store epoch as no news.
//= spec/relays.md#receipt type=test
//# A device MUST refuse with `equivocation` a receipt under a number that it knows with other content.
#[test]
fn receipt_under_a_known_or_lower_number_is_no_news() {
    let mut lone = connected();
    let five = receipt(&lone, 5);
    let cases = [
        (five, Ok(true)),
        (five, Ok(false)),
        (receipt(&lone, 4), Ok(false)),
        (Receipt { code: 113, ..five }, Err(Reject::Equivocation)),
        (receipt(&lone, 6), Ok(true)),
        (five, Ok(false)),
        (
            Receipt {
                store: StoreEpoch::new(3),
                ..receipt(&lone, 1)
            },
            Ok(true),
        ),
    ];
    for (said, expected) in cases {
        let envelope = seal(&lone, &said);
        let is_told = give(&mut lone, &envelope) == [said];
        let rejects = lone.rejects();
        let found = rejects.first().map_or(Ok(is_told), |reject| Err(*reject));
        assert_eq!(found, expected, "{said:?}");
    }
}

//= spec/relays.md#receipt type=test
//# A device MUST name the receipt that a session gave it last in the polls of that session until one
//# of them is answered, and in no other.
#[test]
fn receipt_is_named_until_a_poll_that_names_it_is_answered() {
    let mut lone = connected();
    let five = receipt(&lone, 5);
    let envelope = seal(&lone, &five);
    give(&mut lone, &envelope);
    let poll = lone.paced_poll();
    assert_eq!(named(&poll), Some(five.place()));
    lone.input(crate::device::Input::Failed {
        exchange: poll.exchange,
    });
    let again = lone.paced_poll();
    assert_eq!(named(&again), Some(five.place()), "its answer was lost");
    lone.answer(&again, &[]);
    let after = lone.paced_poll();
    assert_eq!(named(&after), None);
    lone.answer_items(&after, vec![item(&envelope)]);
    assert_eq!(named(&lone.paced_poll()), Some(five.place()), "asked again");
    lone.input(crate::device::Input::OtherMailbox);
    lone.connect();
    assert_eq!(named(&lone.paced_poll()), None, "another session");
}

fn item(envelope: &[u8]) -> Item<'_> {
    Item {
        plane: None,
        envelope,
    }
}

//= spec/relays.md#receipt type=test
//# A device MUST post evidence that is still open again when a receipt with a code above 0 comes, 60 s
//# after its last post at the earliest.
#[test]
fn evidence_that_was_dropped_is_posted_again_once_a_minute_at_most() {
    let mut lone = disputing();
    let mut told = Vec::new();
    // At 0, 1, 3, 7 and 15 minutes, and then not before the 31st.
    for _ in 0..20 {
        if let Some((post, envelope)) = post_of(&mut lone, MessageKind::Evidence) {
            lone.answer(&post, &[]);
            told.push(envelope);
        }
        lone.run(60_000);
    }
    let before = told.pop().unwrap();
    assert!(post_of(&mut lone, MessageKind::Evidence).is_none(), "quiet");
    let mut posts = 0;
    for number in 1..=60 {
        // A mailbox that signs one after another.
        let envelope = seal(&lone, &receipt(&lone, number));
        assert_eq!(give(&mut lone, &envelope).len(), 1);
        if let Some((post, again)) = post_of(&mut lone, MessageKind::Evidence) {
            assert_eq!(again, before, "the same message");
            lone.answer(&post, &[]);
            posts += 1;
        }
        lone.run(5_000);
    }
    assert!((2..=12).contains(&posts), "{posts} in at most ten minutes");
}

#[test]
fn receipt_that_says_stored_or_is_no_news_hastens_nothing() {
    let mut lone = disputing();
    let (post, _) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    lone.answer(&post, &[]);
    lone.run(60_000);
    while let Some((post, _)) = post_of(&mut lone, MessageKind::Evidence) {
        lone.answer(&post, &[]);
    }
    // The next one is due in two minutes.
    lone.run(61_000);
    let stored = Receipt {
        code: 0,
        ..receipt(&lone, 5)
    };
    let envelope = seal(&lone, &stored);
    for news in [1, 0] {
        assert_eq!(give(&mut lone, &envelope).len(), news);
        assert!(post_of(&mut lone, MessageKind::Evidence).is_none());
    }
}

#[test]
fn device_without_a_dispute_posts_nothing_for_a_receipt() {
    let mut lone = connected();
    lone.drop_requests();
    let envelope = seal(&lone, &receipt(&lone, 5));
    give(&mut lone, &envelope);
    assert!(post_of(&mut lone, MessageKind::Evidence).is_none());
    assert!(post_of(&mut lone, MessageKind::Report).is_none());
}
