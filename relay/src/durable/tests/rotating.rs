//! Answers to a device's next key: kept while the key is one of two, or is not admitted yet.

use super::{Running, admission, admit, id, item, tenant, written};
use crate::durable::Admission;
use crate::fixtures::device_signer;
use crate::mailbox::Heads;
use crate::server::Host as _;
use crate::store::{MemoryStore, Store};
use postern_protocol::cbor::Writer;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::key::{MemorySigner, PublicKey, Signer as _};
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::{BundleNumber, Revision};
use std::sync::Arc;

fn next_key() -> PublicKey {
    MemorySigner::from_seed(&[9; 32]).public_key().clone()
}

fn answer_for(key: &PublicKey) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.array(2).uint(1).bytes(key.thumbprint().as_bytes());
    written(MessageKind::EnrolAnswer, [1, 1, 0], payload.into_bytes())
}

fn relay_that_admits(keys: Vec<PublicKey>) -> Running {
    let store = MemoryStore::new();
    let admitted = Admission {
        keys,
        ..admission("press-1", 1 << 20)
    };
    admit(&store, &admitted);
    let store: Arc<dyn Store> = Arc::new(store);
    Running::open(store)
}

async fn deliver(relay: &Running, envelope: Vec<u8>) {
    let items = vec![item(None, envelope)];
    let delivered = relay.host.delivered(tenant(), items).await.unwrap();
    assert_eq!(delivered.refused, [], "no fault of its writer's");
}

/// How many enrol-answers a poll of the device brings.
fn given(relay: &Running) -> usize {
    let heads = Heads {
        desired: Revision::NONE,
        acked: None,
        bundle: BundleNumber::new(1),
        actual: None,
    };
    let state = relay.mailbox.lock();
    let entries = state.exchanges.mailboxes.collect(id(), &heads);
    let kinds = entries.iter().map(|entry| {
        let received = ReceivedEnvelope::parse(&entry.envelope).unwrap();
        received.unverified_header().kind
    });
    kinds
        .filter(|kind| *kind == MessageKind::EnrolAnswer)
        .count()
}

//= spec/lives.md#rotation type=test
//# A mailbox MUST NOT keep an enrol-answer for the only key that the admission names.
/// A writer brings the newest of each kind: the admission of after a rotation may overtake the answer of before. The
/// device would get it with each poll, for as long as letters are kept.
#[tokio::test]
async fn answer_that_its_admission_overtook_is_taken_and_given_to_nobody() {
    let key = device_signer().public_key().clone();
    let relay = relay_that_admits(vec![key.clone()]);
    deliver(&relay, answer_for(&key)).await;
    assert_eq!(given(&relay), 0);
}

#[tokio::test]
async fn answer_that_overtook_its_admission_is_kept() {
    let relay = relay_that_admits(vec![device_signer().public_key().clone()]);
    deliver(&relay, answer_for(&next_key())).await;
    assert_eq!(given(&relay), 1);
}

#[tokio::test]
async fn answer_for_one_of_two_keys_is_kept() {
    let keys = vec![device_signer().public_key().clone(), next_key()];
    let relay = relay_that_admits(keys);
    deliver(&relay, answer_for(&next_key())).await;
    assert_eq!(given(&relay), 1);
}

#[tokio::test]
async fn answer_that_cannot_be_read_is_left_to_the_device() {
    let relay = relay_that_admits(vec![device_signer().public_key().clone()]);
    deliver(
        &relay,
        written(MessageKind::EnrolAnswer, [1, 1, 0], vec![0x80]),
    )
    .await;
    assert_eq!(given(&relay), 1);
}
