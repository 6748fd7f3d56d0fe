//! What one commit will change: decided against what is durable and what stands before it in the
//! same group, written as the difference, and shown to readers only once the commit has returned.
//!
//! Refuses to touch what is shown: a stage that is dropped has changed nothing.

use super::lanes;
use super::ledger::{
    Account, Admission, Ledger, insert_account, insert_admission, insert_bundle, insert_clock,
    insert_quota, writer_in,
};
use super::limits::{CONTACT_NOTED_S, DEVICE_BYTES_MAX};
use crate::mailbox::lane::{Lane, Slot};
use crate::mailbox::{Lanes, MailboxLimits, Posted, Space, Stamp};
use crate::server::ShownKnock;
use crate::store::Batch;
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Plane, Tenant, TenantId};
use postern_protocol::key::PublicKey;
use postern_protocol::limits::{ADMISSION_SILENCE_MS_MAX, ADMISSION_SILENT_SHARE};
use postern_protocol::revision::{Generation, Knock};
use postern_protocol::trust::Trust;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Finds the lanes of a channel as they are durable.
pub(super) type LanesOf<'a> = &'a dyn Fn(ChannelId) -> Lanes;
/// Finds how many bytes a tenant has kept.
pub(super) type BytesOf<'a> = &'a dyn Fn(TenantId) -> usize;

/// A change under decision.
pub(super) struct Stage<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) limits: MailboxLimits,
    lanes_of: LanesOf<'a>,
    bytes_of: BytesOf<'a>,
    /// Bytes of tenants, as this stage leaves them.
    tenant_bytes: BTreeMap<TenantId, usize>,
    /// What was refused because its tenant is full.
    pub(super) tenant_refusals: u64,
    /// Bytes left of the memory of all mailboxes.
    free_bytes: usize,
    clock_s: u64,
    pub(super) changes: Changes,
}

/// What is to be shown once it is durable.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) lanes: BTreeMap<ChannelId, StagedLanes>,
    pub(super) admissions: BTreeMap<ChannelId, Admission>,
    pub(super) accounts: BTreeMap<TenantId, Account>,
    pub(super) trust: Vec<Trust>,
    pub(super) knocks: Vec<ShownKnock>,
    /// Quotas given, or with `None` taken away.
    pub(super) quotas: BTreeMap<TenantId, Option<u64>>,
}

#[derive(Debug)]
pub(super) struct StagedLanes {
    pub(super) tenant: TenantId,
    before: Lanes,
    pub(super) now: Lanes,
}

impl StagedLanes {
    /// True when there is anything to show or write.
    pub(super) fn is_change(&self) -> bool {
        self.before != self.now
    }
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        ledger: &'a Ledger,
        lanes_of: LanesOf<'a>,
        bytes_of: BytesOf<'a>,
        limits: MailboxLimits,
        held_bytes: usize,
        clock_s: u64,
    ) -> Self {
        Self {
            ledger,
            limits,
            lanes_of,
            bytes_of,
            tenant_bytes: BTreeMap::new(),
            tenant_refusals: 0,
            free_bytes: limits.total_bytes_max.saturating_sub(held_bytes),
            clock_s,
            changes: Changes::default(),
        }
    }

    pub(super) const fn clock_s(&self) -> u64 {
        self.clock_s
    }

    pub(super) fn trust(&self) -> &Trust {
        self.changes.trust.last().unwrap_or(self.ledger.trust())
    }

    pub(super) fn writer(&self, tenant: TenantId) -> Option<(&Tenant, Generation, &PublicKey)> {
        match self.changes.trust.last() {
            Some(trust) => writer_in(trust, tenant),
            None => self.ledger.writer(tenant),
        }
    }

    /// The highest admission of a channel, withdrawn or not.
    pub(super) fn admission(&self, channel: ChannelId) -> Option<&Admission> {
        let staged = self.changes.admissions.get(&channel);
        staged.or_else(|| self.ledger.admissions.get(&channel))
    }

    pub(super) fn account(&self, tenant: TenantId) -> Account {
        let staged = self.changes.accounts.get(&tenant);
        let account = staged.or_else(|| self.ledger.accounts.get(&tenant));
        account.copied().unwrap_or_default()
    }

    /// Remembers that a tenant's writer was heard.
    pub(super) fn note_contact(&mut self, tenant: TenantId) {
        let mut account = self.account(tenant);
        account.contact_s = self.clock_s;
        self.changes.accounts.insert(tenant, account);
    }

    /// Counts an enrolment as an arrival of every tenant: which one it is for, only its controller
    /// can tell. The frame itself is not stored.
    pub(super) fn take_knock(&mut self, knock: Knock, frame: Arc<[u8]>) {
        let tenants: Vec<TenantId> = self.ledger.tenants().keys().copied().collect();
        let mut places = Vec::new();
        for tenant in tenants {
            let mut account = self.account(tenant);
            let Some(arrival) = account.arrivals.checked_add(1) else {
                continue;
            };
            account.arrivals = arrival;
            self.changes.accounts.insert(tenant, account);
            places.push((tenant, arrival));
        }
        self.changes.knocks.push(ShownKnock {
            knock,
            frame,
            places,
        });
    }

    /// Bytes that a tenant has kept, as this stage leaves them.
    pub(super) fn tenant_bytes(&mut self, tenant: TenantId) -> &mut usize {
        let bytes_of = self.bytes_of;
        let bytes = self.tenant_bytes.entry(tenant);
        bytes.or_insert_with(|| bytes_of(tenant))
    }

    /// The lanes of a channel as they will be.
    pub(super) fn lanes(&mut self, tenant: TenantId, channel: ChannelId) -> &mut Lanes {
        let lanes_of = self.lanes_of;
        let staged = self.changes.lanes.entry(channel).or_insert_with(|| {
            let lanes = lanes_of(channel);
            StagedLanes {
                tenant,
                before: lanes.clone(),
                now: lanes,
            }
        });
        &mut staged.now
    }

    /// Bytes that one lane of a channel may have.
    pub(super) fn quota_bytes(&self, admission: &Admission, plane: Plane) -> usize {
        match plane {
            Plane::Desired => self.limits.bytes_max,
            Plane::Actual => {
                let contact_s = self.account(admission.tenant()).contact_s;
                let silent_s = self.clock_s.saturating_sub(contact_s);
                //= spec/relays.md#admission
                //# The time since the last contact with a writer MUST NOT close a mailbox; after
                //# 604800 s the quota is a quarter of the one that the admission names.
                let is_silent = silent_s.saturating_mul(1_000) >= ADMISSION_SILENCE_MS_MAX;
                let share = if is_silent { ADMISSION_SILENT_SHARE } else { 1 };
                let named = usize::try_from(admission.quota_bytes / share).unwrap_or(usize::MAX);
                named.min(DEVICE_BYTES_MAX).min(self.limits.bytes_max)
            }
        }
    }

    /// Changes one lane. What it keeps of a device takes the tenant's next arrival number; what
    /// the writer acknowledged makes room first when there is none.
    pub(super) fn on_lane(
        &mut self,
        admission: &Admission,
        plane: Plane,
        change: impl Fn(&mut Lane, Space, Stamp) -> Result<Posted, Reject>,
    ) -> Result<Posted, Reject> {
        let (channel, tenant) = (admission.channel.id(), admission.tenant());
        let account = self.account(tenant);
        let next = account.arrivals.checked_add(1).ok_or(Reject::Overloaded)?;
        let stamp = Stamp {
            arrival: match plane {
                Plane::Desired => 0,
                Plane::Actual => next,
            },
            at_s: self.clock_s,
        };
        let quota_bytes = self.quota_bytes(admission, plane);
        let tenant_free = self.tenant_free_bytes(tenant).unwrap_or(usize::MAX);
        let free_bytes = self.free_bytes;
        // Of the two bounds that stand around the lane the narrower one refuses, by its own name.
        let try_change = |lane: &mut Lane, gained: usize| {
            let space = Space {
                quota_bytes,
                free_bytes: free_bytes.min(tenant_free).saturating_add(gained),
            };
            match change(lane, space, stamp) {
                Err(Reject::Overloaded) if tenant_free < free_bytes => (Err(Reject::Quota), true),
                result => (result, false),
            }
        };
        let lane = self.lanes(tenant, channel).of_mut(plane);
        let (before, head) = (lane.bytes(), lane.head());
        let (mut result, mut is_of_tenant) = try_change(lane, 0);
        if result == Err(Reject::Quota) && plane == Plane::Actual {
            let mut relieved = lane.clone();
            relieved.has_gap = false;
            if relieved.forget(account.cursor) {
                let gained = before.saturating_sub(relieved.bytes());
                (result, is_of_tenant) = try_change(&mut relieved, gained);
                if result.is_ok() {
                    *lane = relieved;
                }
            }
        }
        let (after, is_moved) = (lane.bytes(), lane.head() != head);
        self.free_bytes = self.free_bytes.saturating_add(before).saturating_sub(after);
        self.count_tenant(tenant, before, after);
        self.tenant_refusals = self.tenant_refusals.saturating_add(u64::from(is_of_tenant));
        if is_moved && plane == Plane::Actual {
            // The device went on: what its reader held against the old head has been heard.
            let lanes = self.lanes(tenant, channel);
            lanes.desired.clear(Slot::Evidence);
        }
        if result == Ok(Posted::Kept) && plane == Plane::Actual {
            let account = Account {
                arrivals: next,
                ..account
            };
            self.changes.accounts.insert(tenant, account);
        }
        result
    }
}

impl Changes {
    /// Adds what the store has to hold so that these changes are durable.
    pub(super) fn write(&self, ledger: &Ledger, clock_s: u64, batch: &mut Batch) {
        for (channel, staged) in &self.lanes {
            lanes::difference(*channel, &staged.before, &staged.now, batch);
        }
        for (channel, admission) in &self.admissions {
            insert_admission(batch, *channel, admission);
        }
        for (tenant, account) in &self.accounts {
            // A contact alone is no reason to write: it goes along with what is.
            let held = ledger.accounts.get(tenant).copied().unwrap_or_default();
            let counts = |account: &Account| (account.arrivals, account.cursor, account.epoch);
            let is_counted = counts(&held) != counts(account);
            if is_counted || account.contact_s.abs_diff(held.contact_s) >= CONTACT_NOTED_S {
                insert_account(batch, *tenant, *account);
            }
        }
        for (tenant, bytes) in &self.quotas {
            insert_quota(batch, *tenant, *bytes);
        }
        for trust in &self.trust {
            insert_bundle(batch, trust);
        }
        if !batch.is_empty() && clock_s != ledger.clock_s {
            insert_clock(batch, clock_s);
        }
    }
}
