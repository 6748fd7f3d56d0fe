//! What a relay knows besides lanes: whom it serves, under which bundle, and how far it was read.
//!
//! ```text
//!   relay-own        epoch, clock          who this store is, and how long it has worked
//!   relay-bundles    number                every bundle, verified again at start
//!   relay-admissions channel               the highest admission document, withdrawn ones too
//!   relay-tenants    tenant                arrivals counted, cursor acknowledged, last contact
//!   relay-quotas     tenant                bytes that an operator allows a tenant
//! ```
//!
//! Refuses to start from a chain of bundles that does not verify.

use super::fields::{Fields, Malformed, Reading};
use crate::exchange::AdmittedDevice;
use crate::store::{Batch, Record, Table};
use postern_protocol::Reject;
use postern_protocol::admission::AdmissionHead;
use postern_protocol::id::{
    Channel, ChannelId, DeviceName, Digest, Incarnation, Tenant, TenantId, Thumbprint,
};
use postern_protocol::key::PublicKey;
use postern_protocol::revision::{BundleNumber, Epoch, Generation, Revision, Seq, StoreEpoch};
use postern_protocol::trust::Trust;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const OWN: Table = Table::new("relay-own");
pub(super) const BUNDLES: Table = Table::new("relay-bundles");
pub(super) const ADMISSIONS: Table = Table::new("relay-admissions");
pub(super) const TENANTS: Table = Table::new("relay-tenants");
pub(super) const QUOTAS: Table = Table::new("relay-quotas");

pub(super) const EPOCH_KEY: &[u8] = b"epoch";
pub(super) const CLOCK_KEY: &[u8] = b"clock";

/// One channel that the relay serves, or served, by its highest admission document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The channel.
    pub channel: Channel,
    /// The device's life.
    pub incarnation: Incarnation,
    /// The keys that may open its sessions: the present one and perhaps the next.
    pub keys: Vec<PublicKey>,
    /// Bytes that the device may have kept.
    pub quota_bytes: u64,
    /// True when nobody is admitted any more; only the number still counts.
    pub is_withdrawn: bool,
    /// The bundle that its writer held.
    pub bundle: BundleNumber,
    /// Where the document stands among all of its channel.
    pub head: AdmissionHead,
    /// The document as the writer signed it.
    pub envelope: Arc<[u8]>,
}

impl Admission {
    /// The tenant's id.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        TenantId::of(self.channel.root, &self.channel.tenant)
    }

    fn encode(&self) -> Vec<u8> {
        let fields = Fields::default()
            .counted(self.channel.tenant.as_str().as_bytes())
            .counted(self.channel.device.as_str().as_bytes())
            .fixed(self.incarnation.as_bytes())
            .number(self.quota_bytes)
            .number(u64::from(self.is_withdrawn))
            .number(self.bundle.number())
            .number(self.head.generation.number())
            .number(self.head.revision.epoch.number())
            .number(self.head.revision.seq.number())
            .fixed(self.head.digest.as_bytes())
            .counted(&self.envelope)
            .number(self.keys.len() as u64);
        let fields = self
            .keys
            .iter()
            .fold(fields, |fields, key| fields.counted(key.as_bytes()));
        fields.into_bytes()
    }

    fn decode(root: Thumbprint, value: &[u8]) -> Result<Self, Malformed> {
        let mut reading = Reading::new(value);
        let tenant = Tenant::parse(text(&mut reading)?).map_err(|_| Malformed)?;
        let device = DeviceName::parse(text(&mut reading)?).map_err(|_| Malformed)?;
        let mut admission = Self {
            channel: Channel {
                root,
                tenant,
                device,
            },
            incarnation: Incarnation::from_bytes(reading.array()?),
            quota_bytes: reading.number()?,
            is_withdrawn: reading.number()? != 0,
            bundle: BundleNumber::new(reading.number()?),
            head: AdmissionHead {
                generation: Generation::new(reading.number()?),
                revision: Revision::new(Epoch::new(reading.number()?), Seq::new(reading.number()?)),
                digest: Digest::from_bytes(reading.array()?),
            },
            envelope: Arc::from(reading.counted()?),
            keys: Vec::new(),
        };
        for _ in 0..reading.number()? {
            let key = PublicKey::from_bytes(reading.counted()?).map_err(|_| Malformed)?;
            admission.keys.push(key);
        }
        reading.finish()?;
        Ok(admission)
    }
}

fn text<'a>(reading: &mut Reading<'a>) -> Result<&'a str, Malformed> {
    std::str::from_utf8(reading.counted()?).map_err(|_| Malformed)
}

/// How far a tenant's arrivals were counted and read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// The number of the last arrival.
    pub arrivals: u64,
    /// The highest arrival that the writer acknowledged.
    pub cursor: u64,
    /// When the writer was heard last, in seconds of the relay's own clock.
    pub contact_s: u64,
    /// The store epoch under which its arrivals are counted since the store went back behind what
    /// the writer had read; 0 for the one that the store began with.
    pub epoch: u64,
}

impl Account {
    fn encode(self) -> Vec<u8> {
        Fields::default()
            .number(self.arrivals)
            .number(self.cursor)
            .number(self.contact_s)
            .number(self.epoch)
            .into_bytes()
    }

    fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut reading = Reading::new(value);
        let account = Self {
            arrivals: reading.number()?,
            cursor: reading.number()?,
            contact_s: reading.number()?,
            epoch: reading.number()?,
        };
        reading.finish()?;
        Ok(account)
    }
}

/// Everything that the relay knows besides lanes, as it is durable.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    /// The store's id number, never 0.
    pub(crate) epoch: u64,
    /// Seconds that this store has been at work, over all its processes.
    pub(crate) clock_s: u64,
    trust: Trust,
    /// The tenants of the bundle by their ids.
    tenants: BTreeMap<TenantId, Tenant>,
    pub(crate) admissions: BTreeMap<ChannelId, Admission>,
    pub(crate) accounts: BTreeMap<TenantId, Account>,
    /// Bytes of all mailboxes of a tenant, where an operator has bounded them.
    pub(crate) quotas: BTreeMap<TenantId, u64>,
    /// When an admission changed in this process, on the mailbox's clock.
    pub(crate) changed_ms: BTreeMap<ChannelId, u64>,
}

impl Ledger {
    /// The admission of a channel that may be used now.
    pub(crate) fn admitted(&self, channel: ChannelId) -> Option<&Admission> {
        let admission = self.admissions.get(&channel);
        admission.filter(|admission| !admission.is_withdrawn)
    }

    /// The devices with this channel id that may open a session: a key that the bundle revokes
    /// is left out.
    pub(crate) fn devices(&self, channel: ChannelId) -> Vec<AdmittedDevice> {
        let Some(admission) = self.admitted(channel) else {
            return Vec::new();
        };
        let keys = admission.keys.iter();
        keys.filter(|key| !self.trust.is_revoked(&key.thumbprint()))
            .map(|key| AdmittedDevice {
                channel: admission.channel.clone(),
                incarnation: admission.incarnation,
                key: key.clone(),
            })
            .collect()
    }

    /// Puts together what was read; nothing has changed in this process yet.
    pub(super) fn new(
        epoch: u64,
        clock_s: u64,
        trust: Trust,
        admissions: BTreeMap<ChannelId, Admission>,
        accounts: BTreeMap<TenantId, Account>,
    ) -> Self {
        Self {
            epoch,
            clock_s,
            tenants: tenants_of(&trust),
            trust,
            admissions,
            accounts,
            quotas: BTreeMap::new(),
            changed_ms: BTreeMap::new(),
        }
    }

    pub(crate) const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Takes the next trust. Returns the one before.
    pub(super) fn replace_trust(&mut self, trust: Trust) -> Trust {
        self.tenants = tenants_of(&trust);
        std::mem::replace(&mut self.trust, trust)
    }

    /// Tenants that the bundle names.
    pub(crate) const fn tenants(&self) -> &BTreeMap<TenantId, Tenant> {
        &self.tenants
    }

    /// The store epoch under which a tenant's arrivals are counted.
    pub(crate) fn epoch_of(&self, tenant: TenantId) -> StoreEpoch {
        let own = self.accounts.get(&tenant).map(|account| account.epoch);
        StoreEpoch::new(own.filter(|epoch| *epoch != 0).unwrap_or(self.epoch))
    }

    /// The keys of mailboxes that the bundle names, without those that it revokes.
    pub(crate) fn mailboxes(&self) -> impl Iterator<Item = &PublicKey> {
        let keys = self.trust.mailboxes().iter().map(|mailbox| &mailbox.key);
        keys.filter(|key| !self.trust.is_revoked(&key.thumbprint()))
    }

    /// The tenant with this id, its generation and its writer's key, unless that is revoked.
    pub(crate) fn writer(&self, tenant: TenantId) -> Option<(&Tenant, Generation, &PublicKey)> {
        writer_of(&self.trust, self.tenants.get(&tenant)?)
    }
}

fn tenants_of(trust: &Trust) -> BTreeMap<TenantId, Tenant> {
    let writers = trust.held().map(|held| &held.content().writers);
    let names = writers.into_iter().flat_map(BTreeMap::keys);
    let tenants = names.map(|name| (TenantId::of(trust.root(), name), name.clone()));
    tenants.collect()
}

/// The writer of a tenant, unless its key is revoked.
fn writer_of<'a>(
    trust: &'a Trust,
    name: &'a Tenant,
) -> Option<(&'a Tenant, Generation, &'a PublicKey)> {
    let (generation, key) = trust.writer(name)?;
    (!trust.is_revoked(&key.thumbprint())).then_some((name, generation, key))
}

/// The writer of a tenant in a trust that is not held yet.
pub(super) fn writer_in(
    trust: &Trust,
    tenant: TenantId,
) -> Option<(&Tenant, Generation, &PublicKey)> {
    let mut names = trust.held()?.content().writers.keys();
    let name = names.find(|name| TenantId::of(trust.root(), name) == tenant)?;
    writer_of(trust, name)
}

pub(super) fn insert_admission(batch: &mut Batch, channel: ChannelId, admission: &Admission) {
    batch.insert(ADMISSIONS, *channel.as_bytes(), admission.encode());
}

pub(super) fn insert_account(batch: &mut Batch, tenant: TenantId, account: Account) {
    batch.insert(TENANTS, *tenant.as_bytes(), account.encode());
}

/// Gives a tenant this quota, or none of its own.
pub(super) fn insert_quota(batch: &mut Batch, tenant: TenantId, bytes: Option<u64>) {
    match bytes {
        Some(bytes) => batch.insert(QUOTAS, *tenant.as_bytes(), bytes.to_be_bytes()),
        None => batch.remove(QUOTAS, *tenant.as_bytes()),
    };
}

pub(super) fn insert_clock(batch: &mut Batch, clock_s: u64) {
    batch.insert(OWN, CLOCK_KEY, clock_s.to_be_bytes());
}

/// Adds the bundle that a trust holds.
pub(super) fn insert_bundle(batch: &mut Batch, trust: &Trust) {
    if let Some(bundle) = trust.held() {
        let number = trust.number().number().to_be_bytes();
        batch.insert(BUNDLES, number, bundle.as_bytes());
    }
}

/// Reads a number that stands alone.
pub(super) fn read_number(value: &[u8]) -> Result<u64, Malformed> {
    let mut reading = Reading::new(value);
    let number = reading.number()?;
    reading.finish()?;
    Ok(number)
}

/// Verifies the stored bundles again. # Errors: the reject of the first that is refused.
pub(super) fn load_trust(pinned: Trust, bundles: &[Record]) -> Result<Trust, Reject> {
    let mut envelopes = bundles.iter().map(|record| record.value.as_slice());
    envelopes.try_fold(pinned, |trust, envelope| trust.offer(envelope))
}

pub(super) fn load_admissions(
    root: Thumbprint,
    records: &[Record],
) -> Result<BTreeMap<ChannelId, Admission>, Malformed> {
    let mut admissions = BTreeMap::new();
    for record in records {
        let admission = Admission::decode(root, &record.value)?;
        let channel = admission.channel.id();
        if record.key.as_slice() != channel.as_bytes() {
            return Err(Malformed);
        }
        admissions.insert(channel, admission);
    }
    Ok(admissions)
}

pub(super) fn load_accounts(records: &[Record]) -> Result<BTreeMap<TenantId, Account>, Malformed> {
    let mut accounts = BTreeMap::new();
    for record in records {
        let tenant = Reading::new(&record.key).array()?;
        let account = Account::decode(&record.value)?;
        accounts.insert(TenantId::from_bytes(tenant), account);
    }
    Ok(accounts)
}

pub(super) fn load_quotas(records: &[Record]) -> Result<BTreeMap<TenantId, u64>, Malformed> {
    let mut quotas = BTreeMap::new();
    for record in records {
        let tenant = TenantId::from_bytes(Reading::new(&record.key).array()?);
        quotas.insert(tenant, read_number(&record.value)?);
    }
    Ok(quotas)
}
