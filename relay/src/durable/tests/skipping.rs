//! Trust lines and stores that hold what leads to the newest bundle, and not every one between.

use super::{bundles, content, copy, pinned, recovery_signer, root_signer};
use crate::durable::{Durable, OpenError};
use crate::exchange::ExchangeLimits;
use crate::fixtures::{channel_id, mailbox_signer};
use crate::mailbox::{Heads, MailboxLimits};
use crate::server::Mailbox;
use crate::store::{MemoryStore, Store};
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Draft, Header, ReceivedEnvelope};
use postern_protocol::id::Digest;
use postern_protocol::key::MemorySigner;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{BundleNumber, Epoch, Revision, Seq};
use std::sync::Arc;

/// Bundle `number` of the domain, after one that nobody here has.
fn bundle(number: u64, by: &MemorySigner) -> Vec<u8> {
    let header = Header {
        kind: MessageKind::Bundle,
        epoch: Epoch::new(0),
        seq: Seq::new(number),
        base: Seq::new(number - 1),
        digest: Some(Digest::of(&number.to_be_bytes())),
    };
    let payload = content().encode();
    let root = pinned().root();
    let draft = Draft { header, payload };
    let sealed = draft.seal(Role::Root, Binding::Trust { root }, by);
    sealed.unwrap().into_bytes()
}

fn open(store: &Arc<MemoryStore>, line: &[Vec<u8>]) -> Result<(Durable, Mailbox), OpenError> {
    let mailbox = Mailbox::new(mailbox_signer(), ExchangeLimits::default()).unwrap();
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let limits = MailboxLimits::default();
    let durable = Durable::open(store, pinned(), line, mailbox.clone(), limits)?;
    Ok((durable, mailbox))
}

/// The numbers of the bundles that who holds `held` is given.
fn given(mailbox: &Mailbox, held: u64) -> Vec<u64> {
    let heads = Heads {
        desired: Revision::NONE,
        acked: None,
        bundle: BundleNumber::new(held),
        actual: None,
    };
    let state = mailbox.lock();
    let entries = state.exchanges.mailboxes.collect(channel_id(), &heads);
    let number = |envelope: &[u8]| {
        let received = ReceivedEnvelope::parse(envelope).unwrap();
        received.unverified_header().seq.number()
    };
    entries
        .iter()
        .map(|entry| number(&entry.envelope))
        .collect()
}

#[test]
fn line_that_skips_numbers_serves_holders_of_those_that_it_lacks() {
    let store = Arc::new(MemoryStore::new());
    let line = [bundles(), vec![bundle(9, &root_signer())]].concat();
    let (durable, mailbox) = open(&store, &line).unwrap();
    assert_eq!(durable.trust().number(), BundleNumber::new(9));
    assert_eq!(given(&mailbox, 0), [1, 9]);
    for held in 1..9 {
        assert_eq!(given(&mailbox, held), [9], "{held}");
    }
    assert_eq!(given(&mailbox, 9), [0; 0]);
}

#[test]
fn store_goes_on_from_the_higher_of_its_own_and_its_line() {
    let mut store = Arc::new(MemoryStore::new());
    let line = |number| [bundles(), vec![bundle(number, &recovery_signer())]].concat();
    for (line, expected) in [(line(9), 9), (bundles(), 9), (line(4), 9), (line(12), 12)] {
        let (durable, mailbox) = open(&store, &line).unwrap();
        assert_eq!(durable.trust().number(), BundleNumber::new(expected));
        assert_eq!(given(&mailbox, 5), [expected]);
        store = Arc::new(copy(store.as_ref()));
    }
}

#[test]
fn line_with_a_bundle_that_no_root_signed_is_refused_and_changes_nothing() {
    let store = Arc::new(MemoryStore::new());
    let stranger = MemorySigner::from_seed(&[99; 32]);
    let missing_first = vec![bundle(9, &root_signer())];
    let by_stranger = [bundles(), vec![bundle(9, &stranger)]].concat();
    for line in [missing_first, by_stranger] {
        let refused = open(&store, &line).err();
        let reject = Reject::BundleGap;
        assert!(matches!(refused, Some(OpenError::Bundle { reject: it }) if it == reject));
    }
    let (durable, _) = open(&store, &bundles()).unwrap();
    assert_eq!(durable.trust().number(), BundleNumber::new(1));
}
