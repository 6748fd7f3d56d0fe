//! Receipts for devices: who gets one, what takes its place, and how long it is kept.

use super::super::ledger::{Account, Admission, Ledger};
use super::super::limits::LETTER_AGE_S_MAX;
use super::super::posts::Proof;
use super::super::stage::Stage;
use super::super::sweep::DeadLetter;
use super::{
    Running, admission, admit, content, copy, domain_channel, id, item, pinned, root_signer,
    tenant, writer_signer,
};
use crate::fixtures::{INCARNATION, evidence, mailbox_signer, report, snapshot};
use crate::mailbox::lane::Slot;
use crate::mailbox::{Lanes, MailboxLimits};
use crate::server::Host as _;
use crate::store::MemoryStore;
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::{ChannelId, Digest, MessageId, Plane, Tenant};
use postern_protocol::key::{MemorySigner, Signer};
use postern_protocol::kind::Role;
use postern_protocol::receipt::Receipt;
use postern_protocol::revision::{ReceiptNumber, Seq, StoreEpoch};
use postern_protocol::trust::{Mailbox as Named, Trust};
use std::collections::BTreeMap;
use std::sync::Arc;

const STORE: StoreEpoch = StoreEpoch::new(50);

/// A trust that lists the relay and its upstream.
fn trust() -> Trust {
    let mut content = content();
    let keys = [
        mailbox_signer().public_key().clone(),
        upstream().public_key().clone(),
    ];
    let named = keys.map(|key| Named {
        key,
        urls: vec!["https://relay/".to_owned()],
    });
    content.mailboxes = named.into();
    let sealed = content.seal(None, pinned().root(), &root_signer()).unwrap();
    pinned().offer(sealed.as_bytes()).unwrap()
}

fn upstream() -> MemorySigner {
    MemorySigner::from_seed(&[21; 32])
}

fn ledger(change: impl FnOnce(&mut Admission)) -> Ledger {
    let mut admission = admission("press-1", 1 << 20);
    change(&mut admission);
    let admissions = BTreeMap::from([(id(), admission)]);
    let accounts = BTreeMap::from([(tenant(), Account::default())]);
    Ledger::new(1, 0, trust(), admissions, accounts)
}

/// Runs changes at a time of the relay's clock on these lanes; returns them as they are then.
fn at(clock_s: u64, lanes: &Lanes, change: impl FnOnce(&mut Stage<'_>)) -> Lanes {
    let (ledger, lanes_of) = (ledger(|_| {}), |_| lanes.clone());
    let limits = MailboxLimits::default();
    let mut stage = Stage::new(&ledger, &lanes_of, &|_| 0, limits, lanes.bytes(), clock_s);
    change(&mut stage);
    stage.lanes(tenant(), id()).clone()
}

fn post(stage: &mut Stage<'_>, plane: Plane, envelope: &[u8]) {
    let taken = stage.take_post(id(), Some(plane), envelope, Proof::Session);
    taken.unwrap();
}

/// Drops what is too old and tells both ends.
fn sweep(stage: &mut Stage<'_>, store: StoreEpoch) {
    let dead = stage.sweep(id(), false);
    tell(stage, &dead, store);
}

fn tell(stage: &mut Stage<'_>, dead: &[DeadLetter], store: StoreEpoch) {
    let relay = mailbox_signer();
    for one in dead {
        assert_eq!(stage.tell_sender(one, store, relay.as_ref()), Ok(()));
        assert_eq!(stage.tell_dead(one, store, relay.as_ref()), Ok(()));
    }
}

/// The receipt that waits for the device, verified as it does.
fn waiting(lanes: &Lanes) -> Option<Receipt> {
    let envelope = lanes.desired.envelope(Slot::Receipt)?;
    let received = ReceivedEnvelope::parse(envelope).unwrap();
    let verified = Receipt::verify(&received, &trust(), &Tenant::parse("acme").unwrap());
    Some(verified.unwrap().1)
}

fn dropped() -> Lanes {
    let filled = at(0, &Lanes::default(), |stage| {
        post(stage, Plane::Actual, &snapshot(1, 1));
        post(stage, Plane::Actual, &report(1, 1));
        post(stage, Plane::Desired, &evidence(1, 1));
    });
    at(LETTER_AGE_S_MAX + 1, &filled, |stage| sweep(stage, STORE))
}

fn message_of(envelope: &[u8]) -> MessageId {
    let channel = domain_channel("press-1");
    let binding = Binding::Device {
        channel: &channel,
        incarnation: INCARNATION,
    };
    let expected = Expected {
        role: Role::Device,
        plane: Some(Plane::Desired),
    };
    let received = ReceivedEnvelope::parse(envelope).unwrap();
    received.unverified_message_id(expected, binding).unwrap()
}

//= spec/relays.md#lost type=test
//# A relay that drops evidence of a device MUST give that device a receipt about it.
#[test]
fn device_is_told_of_evidence_that_was_dropped_unread_and_its_writer_too() {
    let lanes = dropped();
    let receipt = waiting(&lanes).unwrap();
    assert_eq!(receipt.message, message_of(&evidence(1, 1)));
    assert_eq!(receipt.channel, id());
    assert_eq!(receipt.code, Reject::RetentionExpired.code());
    assert_eq!(receipt.store, STORE);
    // Both take a number of the tenant, so that no two receipts have the same.
    assert_eq!(receipt.number, Seq::new(1));
    let lost = lanes.actual.letter(Slot::Lost).unwrap();
    assert_eq!(lost.stamp.arrival, 2);
}

#[test]
fn evidence_that_was_read_or_replaced_brings_no_receipt() {
    let filled = at(0, &Lanes::default(), |stage| {
        post(stage, Plane::Desired, &evidence(1, 1));
    });
    let read = at(1, &filled, |stage| {
        stage.take_cursor(tenant(), 1, &[id()], 9);
        stage.lanes(tenant(), id()).actual.forget(1);
    });
    let swept = at(LETTER_AGE_S_MAX + 2, &read, |stage| sweep(stage, STORE));
    assert_eq!(waiting(&swept), None);
    let newer = at(5, &filled, |stage| {
        post(stage, Plane::Desired, &evidence(1, 2));
    });
    let swept = at(LETTER_AGE_S_MAX + 2, &newer, |stage| sweep(stage, STORE));
    assert_eq!(waiting(&swept), None, "the newer one is young");
}

#[test]
fn newer_receipt_takes_the_place_of_the_older_and_memory_is_for_one() {
    let mut lanes = dropped();
    let bytes = lanes.desired.bytes();
    let later = LETTER_AGE_S_MAX * 2 + 9;
    lanes = at(LETTER_AGE_S_MAX + 5, &lanes, |stage| {
        post(stage, Plane::Desired, &evidence(1, 2));
    });
    // The store was restored since: its numbers begin in another life, which may sort below.
    lanes = at(later, &lanes, |stage| sweep(stage, StoreEpoch::new(7)));
    let receipt = waiting(&lanes).unwrap();
    assert_eq!(receipt.message, message_of(&evidence(1, 2)));
    assert_eq!(receipt.store, StoreEpoch::new(7));
    assert!(lanes.desired.bytes() <= bytes);
}

//= spec/relays.md#receipt type=test
//# A relay MUST keep a receipt for a device durably until a poll names it, at most 21 days.
#[test]
fn receipt_goes_when_the_device_names_it_or_after_21_days() {
    let lanes = dropped();
    let own = waiting(&lanes).unwrap().place();
    let named = |store, number: u64| {
        let receipt = ReceiptNumber {
            store,
            number: Seq::new(number),
        };
        at(LETTER_AGE_S_MAX + 9, &lanes, |stage| {
            stage.let_receipt_go(id(), receipt);
        })
    };
    for (store, number, is_kept) in [
        (own.store, own.number.number() - 1, true),
        (StoreEpoch::new(51), 99, true),
        (StoreEpoch::new(49), own.number.number(), true),
        (own.store, own.number.number(), false),
    ] {
        let after = named(store, number);
        assert_eq!(waiting(&after).is_some(), is_kept, "{store}.{number}");
    }
    let young = at(LETTER_AGE_S_MAX * 2 + 1, &lanes, |stage| {
        sweep(stage, STORE);
    });
    assert!(waiting(&young).is_some());
    let old = at(LETTER_AGE_S_MAX * 2 + 2, &lanes, |stage| {
        sweep(stage, STORE);
    });
    assert_eq!(waiting(&old), None, "and nobody is told of it");
}

#[test]
fn operator_who_drops_a_mailbox_leaves_receipts_and_makes_one() {
    let lanes = dropped();
    let before = waiting(&lanes);
    let forgotten = |lanes: &Lanes| {
        at(LETTER_AGE_S_MAX + 9, lanes, |stage| {
            let dead = stage.forget(id()).unwrap();
            tell(stage, &dead, STORE);
        })
    };
    let after = forgotten(&lanes);
    assert_eq!(waiting(&after), before);
    assert_eq!(after.actual.chain, None);
    let lanes = at(LETTER_AGE_S_MAX + 5, &lanes, |stage| {
        post(stage, Plane::Desired, &evidence(1, 9));
    });
    let receipt = waiting(&forgotten(&lanes)).unwrap();
    assert_eq!(receipt.message, message_of(&evidence(1, 9)));
}

/// What an upstream says about a channel.
fn said(channel: ChannelId, number: u64, tenant: &str, signer: &dyn Signer) -> Vec<u8> {
    let receipt = Receipt {
        store: StoreEpoch::new(900),
        number: Seq::new(number),
        message: MessageId::from_bytes(*Digest::of(&[1]).as_bytes()),
        channel,
        code: 60_000,
    };
    let tenant = Tenant::parse(tenant).unwrap();
    let sealed = receipt.seal(pinned().root(), &tenant, signer).unwrap();
    sealed.into_bytes()
}

/// Takes what an upstream shows for the device.
fn shown(lanes: &Lanes, plane: Option<Plane>, envelope: &[u8]) -> (Lanes, Option<Reject>) {
    let mut refused = None;
    let items = [item(plane, envelope.to_vec())];
    let after = at(LETTER_AGE_S_MAX + 9, lanes, |stage| {
        let delivered = stage.take_deliver(tenant(), &items, Proof::Signature);
        refused = delivered.refused.first().map(|(_, reject)| *reject);
    });
    (after, refused)
}

#[test]
fn receipt_of_an_upstream_is_kept_for_the_device_whatever_its_reason() {
    let envelope = said(id(), 5, "acme", &upstream());
    let (lanes, refused) = shown(&Lanes::default(), None, &envelope);
    assert_eq!(refused, None);
    let receipt = waiting(&lanes).unwrap();
    assert_eq!((receipt.number, receipt.code), (Seq::new(5), 60_000));
}

#[test]
fn receipt_that_no_mailbox_of_the_bundle_signed_for_this_channel_is_not_kept() {
    let nothing = Lanes::default();
    let other = domain_channel("press-2").id();
    let cases = [
        (
            None,
            said(id(), 5, "acme", &writer_signer()),
            Reject::KeyUnknown,
        ),
        (
            None,
            said(id(), 5, "other", &upstream()),
            Reject::SignatureInvalid,
        ),
        (
            None,
            said(other, 5, "acme", &upstream()),
            Reject::NotAdmitted,
        ),
        (
            Some(Plane::Desired),
            said(id(), 5, "acme", &upstream()),
            Reject::SignerRole,
        ),
    ];
    for (plane, envelope, reject) in cases {
        let (lanes, refused) = shown(&nothing, plane, &envelope);
        assert_eq!((refused, waiting(&lanes)), (Some(reject), None));
    }
}

#[test]
fn receipt_for_a_channel_that_was_never_admitted_or_by_a_writer_is_refused() {
    let stranger = domain_channel("press-2").id();
    let envelope = said(stranger, 5, "acme", &upstream());
    let mut items = [item(None, envelope)];
    items[0].channel = Some(stranger);
    at(0, &Lanes::default(), |stage| {
        let delivered = stage.take_deliver(tenant(), &items, Proof::Signature);
        assert_eq!(delivered.refused, [(0, Reject::NotAdmitted)]);
        assert!(stage.changes.lanes.is_empty(), "nothing is kept for it");
        let own = [item(None, said(id(), 5, "acme", &upstream()))];
        let delivered = stage.take_deliver(tenant(), &own, Proof::Session);
        assert_eq!(delivered.refused, [(0, Reject::SignerRole)]);
        let posted = stage.take_post(id(), None, &own[0].envelope, Proof::Session);
        assert_eq!(posted.map(|_| ()), Err(Reject::SignerRole));
    });
}

#[test]
fn receipt_of_an_upstream_comes_once_and_never_in_the_place_of_an_own_one() {
    let five = said(id(), 5, "acme", &upstream());
    let (lanes, _) = shown(&Lanes::default(), None, &five);
    let place = waiting(&lanes).unwrap().place();
    let gone = at(0, &lanes, |stage| stage.let_receipt_go(id(), place));
    assert_eq!(waiting(&gone), None);
    for number in [5, 4] {
        let again = said(id(), number, "acme", &upstream());
        assert_eq!(waiting(&shown(&gone, None, &again).0), None, "{number}");
    }
    let six = said(id(), 6, "acme", &upstream());
    assert!(waiting(&shown(&gone, None, &six).0).is_some());
    let own = dropped();
    assert_eq!(waiting(&shown(&own, None, &five).0), waiting(&own));
    let place = waiting(&own).unwrap().place();
    let free = at(0, &own, |stage| stage.let_receipt_go(id(), place));
    let taken = waiting(&shown(&free, None, &five).0).unwrap();
    assert_eq!(taken.number, Seq::new(5));
}

#[tokio::test]
async fn word_of_the_device_is_durable_and_the_receipt_until_then() {
    let store = Arc::new(MemoryStore::new());
    admit(store.as_ref(), &admission("press-1", 1 << 20));
    let relay = Running::open(Arc::clone(&store) as Arc<_>);
    let posted = relay
        .host
        .posted(id(), Some(Plane::Desired), evidence(1, 1));
    posted.await.unwrap();
    relay.durable.forget(id()).await.unwrap();
    let waits = |relay: &Running| {
        let lanes = relay.mailbox.lock().exchanges.mailboxes.lanes(id());
        waiting(&lanes).map(|receipt| receipt.place())
    };
    let place = waits(&relay).unwrap();
    assert_eq!(relay.durable.dead_letters(), 1);
    let again = Running::open(Arc::new(copy(store.as_ref())));
    assert_eq!(waits(&again), Some(place));
    relay.host.receipt_held(id(), place);
    // Tasks of one tenant keep their order: an answer shows that the word was taken.
    let _ = relay.post(Vec::new()).await;
    assert_eq!(waits(&relay), None);
    let again = Running::open(Arc::new(copy(store.as_ref())));
    assert_eq!(waits(&again), None);
}
