//! What a tenant may have kept in all its mailboxes together.

use super::super::stage::Stage;
use super::{
    Running, admission, admit, bundles, content, copy, domain_channel, id, item, pinned,
    root_signer, tenant, writer_signer, written,
};
use crate::durable::{Admission, Durable, RelayHost};
use crate::exchange::ExchangeLimits;
use crate::fixtures::{delta_of, mailbox_signer, snapshot};
use crate::mailbox::{Lanes, MailboxLimits};
use crate::server::{Host as _, Mailbox, Taken};
use crate::store::{MemoryStore, Store};
use postern_protocol::Reject;
use postern_protocol::id::{Channel, ChannelId, Plane, Tenant, TenantId};
use postern_protocol::key::Signer as _;
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::Generation;
use postern_protocol::trust::Writership;
use std::sync::Arc;

const ADMITTED: u64 = 1 << 20;

fn other() -> Tenant {
    Tenant::parse("other").unwrap()
}

pub(super) fn other_tenant() -> TenantId {
    TenantId::of(pinned().root(), &other())
}

/// The bundles of a domain with two tenants.
fn two_bundles() -> Vec<Vec<u8>> {
    let mut content = content();
    let key = writer_signer().public_key().clone();
    let generation = Generation::new(1);
    content
        .writers
        .insert(other(), Writership { generation, key });
    let sealed = content.seal(None, pinned().root(), &root_signer());
    vec![sealed.unwrap().into_bytes()]
}

/// A relay with two devices of one tenant and one of another.
pub(super) struct Two {
    pub(super) relay: Running,
    store: Arc<MemoryStore>,
}

fn second() -> Channel {
    domain_channel("press-2")
}

fn foreign() -> Admission {
    let mut admission = admission("press-1", ADMITTED);
    admission.channel.tenant = other();
    admission
}

impl Two {
    pub(super) fn make() -> Self {
        let store = MemoryStore::new();
        for admission in [
            admission("press-1", ADMITTED),
            admission("press-2", ADMITTED),
            foreign(),
        ] {
            let mut batch = crate::store::Batch::new();
            super::insert_admission(&mut batch, admission.channel.id(), &admission);
            let _durable = store.commit(batch).unwrap();
        }
        Self::on(store)
    }

    fn on(store: MemoryStore) -> Self {
        let store = Arc::new(store);
        let limits = MailboxLimits::default();
        let mailbox = Mailbox::new(mailbox_signer(), ExchangeLimits::default()).unwrap();
        let shared: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let opened = Durable::open(shared, pinned(), &two_bundles(), mailbox.clone(), limits);
        let durable = Arc::new(opened.unwrap());
        let host = RelayHost::new(Arc::clone(&durable));
        let relay = Running {
            mailbox,
            durable,
            host,
        };
        Self { relay, store }
    }

    async fn set(&self, tenant: TenantId, bytes: Option<u64>) -> Result<(), Reject> {
        let durable = Arc::clone(&self.relay.durable);
        let set = tokio::task::spawn_blocking(move || durable.set_quota(tenant, bytes));
        set.await.unwrap()
    }

    async fn post(&self, channel: ChannelId, envelope: Vec<u8>) -> Result<Taken, Reject> {
        let plane = Some(Plane::Actual);
        self.relay.host.posted(channel, plane, envelope).await
    }

    fn is_wanted(&self, channel: ChannelId) -> bool {
        let state = self.relay.mailbox.lock();
        state.exchanges.mailboxes.is_actual_wanted(channel)
    }

    fn bytes(&self) -> usize {
        let state = self.relay.mailbox.lock();
        state.exchanges.mailboxes.bytes_of(tenant())
    }
}

#[tokio::test]
async fn full_tenant_refuses_by_name_and_another_tenant_goes_on() {
    let two = Two::make();
    two.set(tenant(), Some(3_000)).await.unwrap();
    two.post(id(), snapshot(1, 1)).await.unwrap();
    two.post(id(), delta_of(1, 1, 2, 2, 2_000)).await.unwrap();
    // Neither the device that filled it nor another one of this tenant, whatever its own quota is.
    let large = delta_of(1, 2, 3, 3, 2_000);
    assert_eq!(two.post(id(), large).await, Err(Reject::Quota));
    two.post(second().id(), snapshot(1, 1)).await.unwrap();
    let large_delta = delta_of(1, 1, 2, 2, 2_000);
    assert_eq!(
        two.post(second().id(), large_delta.clone()).await,
        Err(Reject::Quota)
    );
    assert_eq!(two.relay.durable.tenant_refusals(), 2);
    let foreign = foreign().channel.id();
    two.post(foreign, snapshot(1, 1)).await.unwrap();
    two.post(foreign, large_delta).await.unwrap();
    assert_eq!(two.relay.durable.tenant_refusals(), 2);
}

#[tokio::test]
async fn writer_of_a_full_tenant_is_refused_by_name() {
    let two = Two::make();
    two.set(tenant(), Some(100)).await.unwrap();
    let envelope = written(MessageKind::Evidence, [1, 1, 0], vec![0; 500]);
    let items = vec![item(Some(Plane::Actual), envelope)];
    let delivered = two.relay.host.delivered(tenant(), items).await.unwrap();
    assert_eq!(delivered.refused, [(0, Reject::Quota)]);
}

#[tokio::test]
async fn device_of_a_full_tenant_is_asked_again_once_there_is_room() {
    let two = Two::make();
    two.set(tenant(), Some(4_000)).await.unwrap();
    two.post(second().id(), snapshot(1, 1)).await.unwrap();
    two.post(id(), snapshot(1, 1)).await.unwrap();
    two.post(id(), delta_of(1, 1, 2, 2, 3_000)).await.unwrap();
    let next = delta_of(1, 1, 2, 2, 1_000);
    assert_eq!(
        two.post(second().id(), next.clone()).await,
        Err(Reject::Quota)
    );
    // Its own mailbox is nearly empty, and still nobody asks it while its tenant is full.
    assert!(!two.is_wanted(second().id()));
    two.relay.acknowledge(3).await;
    assert!(!two.is_wanted(second().id()));
    // What the controller has read goes: the sweep sees that this tenant is above three quarters.
    two.relay.durable.sweep();
    let _ = two.post(id(), Vec::new()).await;
    assert!(two.bytes() < 3_000, "{}", two.bytes());
    assert!(two.is_wanted(second().id()));
    two.post(second().id(), next).await.unwrap();
}

#[tokio::test]
async fn what_was_read_of_the_same_device_makes_room_at_once() {
    let two = Two::make();
    two.set(tenant(), Some(3_000)).await.unwrap();
    two.post(id(), snapshot(1, 1)).await.unwrap();
    two.post(id(), delta_of(1, 1, 2, 2, 2_000)).await.unwrap();
    let next = delta_of(1, 2, 3, 3, 2_000);
    assert_eq!(two.post(id(), next.clone()).await, Err(Reject::Quota));
    two.relay.acknowledge(2).await;
    two.post(id(), next).await.unwrap();
    assert!(two.bytes() < 3_000, "{}", two.bytes());
}

#[tokio::test]
async fn quota_below_what_is_kept_drops_nothing() {
    let two = Two::make();
    two.post(id(), snapshot(1, 1)).await.unwrap();
    two.post(id(), delta_of(1, 1, 2, 2, 2_000)).await.unwrap();
    let before = two.relay.arrivals(0);
    two.set(tenant(), Some(1)).await.unwrap();
    two.relay.durable.sweep();
    let next = delta_of(1, 2, 3, 3, 1);
    assert_eq!(two.post(id(), next.clone()).await, Err(Reject::Quota));
    assert_eq!(two.relay.arrivals(0), before);
    two.set(tenant(), None).await.unwrap();
    assert_eq!(two.relay.durable.quota(tenant()), None);
    two.post(id(), next).await.unwrap();
}

#[tokio::test]
async fn quota_is_there_after_a_restart_and_so_is_its_end() {
    let two = Two::make();
    two.set(tenant(), Some(3_000)).await.unwrap();
    two.set(other_tenant(), Some(5)).await.unwrap();
    two.set(other_tenant(), None).await.unwrap();
    let again = Two::on(copy(two.store.as_ref()));
    assert_eq!(again.relay.durable.quota(tenant()), Some(3_000));
    assert_eq!(again.relay.durable.quota(other_tenant()), None);
    again.post(id(), snapshot(1, 1)).await.unwrap();
    let large = delta_of(1, 1, 2, 2, 3_000);
    assert_eq!(again.post(id(), large).await, Err(Reject::Quota));
}

#[tokio::test]
async fn quotas_that_make_no_sense_are_refused_and_change_nothing() {
    let two = Two::make();
    two.set(tenant(), Some(7)).await.unwrap();
    assert_eq!(two.set(tenant(), Some(0)).await, Err(Reject::Shape));
    let unknown = TenantId::from_bytes([9; 16]);
    assert_eq!(two.set(unknown, Some(7)).await, Err(Reject::NotAdmitted));
    assert_eq!(two.relay.durable.quota(tenant()), Some(7));
    assert_eq!(two.relay.durable.quota(unknown), None);
    two.relay.durable.close();
    assert_eq!(two.set(tenant(), Some(8)).await, Err(Reject::Overloaded));
    assert_eq!(two.relay.durable.quota(tenant()), Some(7));
}

/// Two posts of one group count together: neither sees a mailbox that the other has not shown yet.
#[test]
fn posts_of_one_commit_share_what_is_left() {
    let store = MemoryStore::new();
    admit(&store, &admission("press-1", ADMITTED));
    let ledger = super::super::load_ledger(&store, pinned(), &bundles());
    let mut ledger = ledger.unwrap();
    ledger.quotas.insert(tenant(), 3_000);
    let (lanes_of, bytes_of) = (|_| Lanes::default(), |_| 500);
    let limits = MailboxLimits::default();
    let mut stage = Stage::new(&ledger, &lanes_of, &bytes_of, limits, 500, 0);
    let mut post = |envelope: Vec<u8>| {
        let proof = super::super::posts::Proof::Session;
        stage.take_post(id(), Some(Plane::Actual), &envelope, proof)
    };
    post(snapshot(1, 1)).unwrap();
    post(delta_of(1, 1, 2, 2, 1_000)).unwrap();
    let refused = post(delta_of(1, 2, 3, 3, 1_500));
    assert_eq!(refused, Err(Reject::Quota));
}
