//! Durable mailboxes without a network: tasks in, answers and what readers see out.

mod aging;
mod fairness;
mod keeping;
mod knocking;
mod quotas;
mod receipts;
mod restart;
mod rotating;
mod showing;
mod skipping;
mod storage;

use super::ledger::{insert_admission, insert_bundle};
use super::{Admission, Durable, RelayHost};
use crate::exchange::{DeliveredItem, ExchangeLimits};
use crate::fixtures::{INCARNATION, channel, device_signer, mailbox_signer};
use crate::mailbox::{Arrival, Collected, MailboxLimits};
use crate::server::{Host as _, Mailbox, Taken};
use crate::store::{Batch, MemoryStore, Store};
use postern_protocol::Reject;
use postern_protocol::admission::AdmissionHead;
use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::id::{ChannelId, Digest, Plane, Tenant, TenantId};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{BundleNumber, Epoch, Generation, Revision, Seq};
use postern_protocol::trust::{BundleContent, Trust, Writership};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes that entries cost beside their envelopes; any number does here.
const OVERHEAD: usize = 32;

pub(super) fn root_signer() -> MemorySigner {
    MemorySigner::from_seed(&[11; 32])
}

pub(super) fn recovery_signer() -> MemorySigner {
    MemorySigner::from_seed(&[12; 32])
}

pub(super) fn writer_signer() -> MemorySigner {
    MemorySigner::from_seed(&[13; 32])
}

pub(super) fn pinned() -> Trust {
    let thumbprint = |signer: MemorySigner| signer.public_key().thumbprint();
    Trust::new(thumbprint(root_signer()), thumbprint(recovery_signer()))
}

pub(super) fn content() -> BundleContent {
    let writership = Writership {
        generation: Generation::new(1),
        key: writer_signer().public_key().clone(),
    };
    BundleContent {
        root: root_signer().public_key().clone(),
        recovery: recovery_signer().public_key().clone(),
        writers: BTreeMap::from([(Tenant::parse("acme").unwrap(), writership)]),
        mailboxes: Vec::new(),
        revoked: BTreeSet::new(),
    }
}

/// The bundle chain of one bundle.
pub(super) fn bundles() -> Vec<Vec<u8>> {
    let sealed = content().seal(None, pinned().root(), &root_signer());
    vec![sealed.unwrap().into_bytes()]
}

pub(super) fn domain_channel(device: &str) -> postern_protocol::id::Channel {
    let mut channel = crate::fixtures::named_channel(device);
    channel.root = pinned().root();
    channel
}

pub(super) fn id() -> ChannelId {
    domain_channel(channel().device.as_str()).id()
}

pub(super) fn tenant() -> TenantId {
    TenantId::of(pinned().root(), &Tenant::parse("acme").unwrap())
}

pub(super) fn admission(device: &str, quota_bytes: u64) -> Admission {
    Admission {
        channel: domain_channel(device),
        incarnation: INCARNATION,
        keys: vec![device_signer().public_key().clone()],
        quota_bytes,
        is_withdrawn: false,
        bundle: BundleNumber::new(1),
        head: AdmissionHead {
            generation: Generation::new(1),
            revision: Revision::new(Epoch::new(1), Seq::new(1)),
            digest: Digest::of(&[]),
        },
        envelope: Arc::from([]),
    }
}

/// Writes an admission as a deliver would, before the store is opened.
pub(super) fn admit(store: &dyn Store, admission: &Admission) {
    let mut batch = Batch::new();
    insert_admission(&mut batch, admission.channel.id(), admission);
    let trust = pinned().offer(&bundles()[0]).unwrap();
    insert_bundle(&mut batch, &trust);
    let _durable = store.commit(batch).unwrap();
}

/// A relay without a server.
pub(super) struct Running {
    pub(super) mailbox: Mailbox,
    pub(super) durable: Arc<Durable>,
    pub(super) host: RelayHost,
}

impl Running {
    pub(super) fn open(store: Arc<dyn Store>) -> Self {
        Self::open_with(store, MailboxLimits::default())
    }

    pub(super) fn open_with(store: Arc<dyn Store>, limits: MailboxLimits) -> Self {
        let exchange = ExchangeLimits {
            mailbox: limits,
            ..ExchangeLimits::default()
        };
        let mailbox = Mailbox::new(mailbox_signer(), exchange).unwrap();
        let durable = Durable::open(store, pinned(), &bundles(), mailbox.clone(), limits);
        let durable = Arc::new(durable.unwrap());
        Self {
            mailbox,
            host: RelayHost::new(Arc::clone(&durable)),
            durable,
        }
    }

    /// A relay that admits one device with this quota.
    pub(super) fn with_quota(quota_bytes: u64) -> Self {
        let store = MemoryStore::new();
        admit(&store, &admission("press-1", quota_bytes));
        Self::open(Arc::new(store))
    }

    pub(super) async fn post(&self, envelope: Vec<u8>) -> Result<Taken, Reject> {
        self.host.posted(id(), Some(Plane::Actual), envelope).await
    }

    pub(super) fn collect(&self, cursor: u64) -> Vec<Collected> {
        let state = self.mailbox.lock();
        let mailboxes = &state.exchanges.mailboxes;
        mailboxes.collect_arrived(tenant(), cursor, usize::MAX, OVERHEAD)
    }

    pub(super) fn arrivals(&self, cursor: u64) -> Vec<(u64, Vec<u8>)> {
        let collected = self.collect(cursor).into_iter();
        let envelope = |what| match what {
            Arrival::Envelope { envelope, .. } => envelope.to_vec(),
            Arrival::Knock { frame, .. } => frame.to_vec(),
        };
        collected
            .map(|entry| (entry.arrival, envelope(entry.what)))
            .collect()
    }

    /// Acknowledges up to a number and waits until that is durable.
    pub(super) async fn acknowledge(&self, cursor: u64) {
        let tenant = tenant();
        let task = super::Task::Cursor {
            tenant,
            cursor,
            drawn: 77,
        };
        self.durable.shared().submit(tenant, 0, task).unwrap();
        // Tasks of one tenant keep their order: an answer shows that the cursor was taken.
        let _ = self.post(Vec::new()).await;
    }
}

/// Signs a message of the writer about the device.
pub(super) fn written(
    kind: MessageKind,
    [epoch, seq, base]: [u64; 3],
    payload: Vec<u8>,
) -> Vec<u8> {
    let has_digest = kind.check_digest_presence(Seq::new(seq), true).is_ok();
    let header = Header {
        kind,
        epoch: Epoch::new(epoch),
        seq: Seq::new(seq),
        base: Seq::new(base),
        digest: has_digest.then(|| Digest::of(&seq.to_be_bytes())),
    };
    let channel = domain_channel("press-1");
    let binding = Binding::Device {
        channel: &channel,
        incarnation: INCARNATION,
    };
    let draft = Draft { header, payload };
    let sealed = draft.seal(Role::Writer, binding, &writer_signer());
    sealed.unwrap().into_bytes()
}

/// One item of a deliver for the device.
pub(super) fn item(plane: Option<Plane>, envelope: Vec<u8>) -> DeliveredItem {
    DeliveredItem {
        channel: Some(id()),
        plane,
        envelope,
    }
}

/// A store with everything that another one holds.
pub(super) fn copy(store: &dyn Store) -> MemoryStore {
    let (copied, mut batch) = (MemoryStore::new(), Batch::new());
    let tables = [
        super::OWN,
        super::BUNDLES,
        super::ADMISSIONS,
        super::TENANTS,
        super::QUOTAS,
        super::lanes::LANES,
    ];
    for table in tables {
        for record in super::load(store, table).unwrap() {
            batch.insert(table, record.key, record.value);
        }
    }
    let _durable = copied.commit(batch).unwrap();
    copied
}
