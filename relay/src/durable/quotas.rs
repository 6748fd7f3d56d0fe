//! What a tenant may have kept in all its mailboxes together: an operator says it, the store keeps it.
//!
//! ```text
//!   set_quota --> one commit --> from then on: what would grow beyond it is refused with `quota`
//!   above 3/4: what the controller acknowledged goes (sweep) | below: refused devices are asked again
//! ```
//!
//! Both directions count, as `tenants` shows them. A lower quota drops nothing that is kept. Refuses
//! 0, which would shut a tenant out, and tenants that no bundle names.

use super::Durable;
use super::driver::Task;
use super::ledger::Ledger;
use super::limits::PRESSURE_QUARTERS;
use super::stage::Stage;
use postern_protocol::Reject;
use postern_protocol::id::TenantId;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

impl Durable {
    /// Bytes that all mailboxes of a tenant may have; `None` where only the relay's own bounds count.
    #[must_use]
    pub fn quota(&self, tenant: TenantId) -> Option<u64> {
        self.ledger().quotas.get(&tenant).copied()
    }

    /// Gives a tenant another quota in bytes, or with `None` takes it away, and returns once that is
    /// durable. Blocks; not for async tasks.
    ///
    /// # Errors
    /// `not-admitted` for a tenant that the bundle does not name; `shape` for 0; `overloaded`.
    pub fn set_quota(&self, tenant: TenantId, bytes: Option<u64>) -> Result<(), Reject> {
        if bytes == Some(0) {
            return Err(Reject::Shape);
        }
        if !self.ledger().tenants().contains_key(&tenant) {
            return Err(Reject::NotAdmitted);
        }
        let (reply, answer) = oneshot::channel();
        let task = Task::Quota {
            tenant,
            bytes,
            reply,
        };
        // The tenant's own line may be full, which is when an operator raises its quota.
        self.shared().submit_own(task);
        let taken = answer.blocking_recv();
        taken.unwrap_or(Err(Reject::Overloaded)).map(|_| ())
    }

    /// Posts and deliveries refused because their tenant was full, since this process began.
    #[must_use]
    pub fn tenant_refusals(&self) -> u64 {
        self.shared().tenant_refusals()
    }
}

impl Stage<'_> {
    /// Bytes that a tenant may still have; `None` without a quota of its own.
    pub(super) fn tenant_free_bytes(&mut self, tenant: TenantId) -> Option<usize> {
        let quota = self.tenant_quota(tenant)?;
        let held = *self.tenant_bytes(tenant);
        Some(
            usize::try_from(quota)
                .unwrap_or(usize::MAX)
                .saturating_sub(held),
        )
    }

    fn tenant_quota(&self, tenant: TenantId) -> Option<u64> {
        let staged = self.changes.quotas.get(&tenant).copied();
        staged.unwrap_or_else(|| self.ledger.quotas.get(&tenant).copied())
    }

    /// Counts what a change made of a lane of a tenant that has a quota.
    pub(super) fn count_tenant(&mut self, tenant: TenantId, before: usize, after: usize) {
        if self.tenant_quota(tenant).is_some() {
            let bytes = self.tenant_bytes(tenant);
            *bytes = bytes.saturating_add(after).saturating_sub(before);
        }
    }

    /// Tells whether what a tenant has read has to go, so that it stays below its quota.
    pub(super) fn is_tenant_pressed(&mut self, tenant: TenantId) -> bool {
        let Some(quota) = self.tenant_quota(tenant) else {
            return false;
        };
        is_above(*self.tenant_bytes(tenant), quota)
    }
}

impl Ledger {
    /// Takes quotas that are durable now.
    pub(super) fn take_quotas(&mut self, quotas: BTreeMap<TenantId, Option<u64>>) {
        for (tenant, bytes) in quotas {
            match bytes {
                Some(bytes) => self.quotas.insert(tenant, bytes),
                None => self.quotas.remove(&tenant),
            };
        }
    }

    /// Tells whether a tenant with so many bytes kept may be asked for more.
    pub(super) fn has_room(&self, tenant: TenantId, held_bytes: usize) -> bool {
        let quota = self.quotas.get(&tenant);
        quota.is_none_or(|quota| !is_above(held_bytes, *quota))
    }
}

fn is_above(held_bytes: usize, quota: u64) -> bool {
    (held_bytes as u64).saturating_mul(4) > quota.saturating_mul(PRESSURE_QUARTERS as u64)
}
