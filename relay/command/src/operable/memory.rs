//! A relay that exists in memory only, for the tests of everything around it.
//!
//! It keeps what it was told and counts what it was asked. Refuses what a real one refuses.

use super::{
    Leaving, MailboxStanding, Operable, Page, Quota, Refusal, SessionStanding, Standing,
    TenantStanding,
};
use postern_relay::metrics::{Metrics, Sample};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The quota of a tenant that was given none.
pub const USUAL: Quota = Quota {
    bytes_max: 1 << 30,
    is_usual: true,
};

const fn own(bytes_max: u64) -> Quota {
    Quota {
        bytes_max,
        is_usual: false,
    }
}

#[derive(Debug, Default)]
struct State {
    tenants: BTreeMap<String, Vec<String>>,
    quotas: BTreeMap<String, u64>,
    held: usize,
    leaving: Option<Leaving>,
    certificates: usize,
    refuses_certificates: bool,
    store_fault: Option<String>,
}

/// A relay in memory.
#[derive(Debug, Default)]
pub struct InMemory {
    state: Mutex<State>,
    metrics: Metrics,
}

impl InMemory {
    /// A relay with these tenants, each with these devices, all connected and held.
    pub fn with(tenants: &[(&str, &[&str])]) -> Self {
        let relay = Self::default();
        {
            let mut state = relay.lock();
            for (tenant, devices) in tenants {
                let devices: Vec<String> = devices.iter().map(|name| (*name).to_owned()).collect();
                state.held += devices.len();
                state.tenants.insert((*tenant).to_owned(), devices);
            }
        }
        relay
    }

    /// A relay that holds so many polls.
    pub fn holding(held: usize) -> Self {
        let relay = Self::default();
        relay.lock().held = held;
        relay
    }

    /// What devices are told while it drains.
    pub fn leaving(&self) -> Option<Leaving> {
        self.lock().leaving
    }

    /// Polls that are still held.
    pub fn held(&self) -> usize {
        self.lock().held
    }

    /// Certificates taken so far.
    pub fn certificates(&self) -> usize {
        self.lock().certificates
    }

    /// From now on refuses certificates.
    pub fn refuse_certificates(&self) {
        self.lock().refuses_certificates = true;
    }

    /// From now on its store fails.
    pub fn fail_store(&self, why: &str) {
        self.lock().store_fault = Some(why.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn known(&self, tenant: &str) -> Result<&Vec<String>, Refusal> {
        let found = self.tenants.get(tenant);
        found.ok_or_else(|| Refusal::Unknown(format!("tenant {tenant}")))
    }
}

impl Operable for InMemory {
    fn standing(&self) -> Standing {
        let state = self.lock();
        let devices = state.tenants.values().map(Vec::len).sum::<usize>() as u64;
        Standing {
            mailbox: "ab".repeat(32),
            store_epoch: 7,
            bundle: 1,
            sessions: devices,
            writers: state.tenants.len() as u64,
            holds: state.held as u64,
            connections: devices,
            mailboxes: devices,
            knocks: 0,
            dead_letters: 0,
            tenant_refusals: 0,
            mailbox_bytes: devices * 1_000,
            mailbox_bytes_max: 1 << 30,
            memory_bytes: devices * 2_000,
            memory_bytes_max: 3 << 30,
            pressure: "calm".into(),
            upstream: Some(super::UpstreamStanding::default()),
            quic: Some("0.0.0.0:8443".into()),
        }
    }

    fn held(&self) -> usize {
        Self::held(self)
    }

    fn tenants(&self) -> Vec<TenantStanding> {
        let state = self.lock();
        let row = |(tenant, devices): (&String, &Vec<String>)| TenantStanding {
            tenant: tenant.clone(),
            is_connected: true,
            contact_age_s: Some(3),
            devices: devices.len() as u64,
            sessions: devices.len() as u64,
            bytes: devices.len() as u64 * 1_000,
            quota_bytes: state.quotas.get(tenant).copied(),
            queued_bytes: 0,
            arrivals: 10,
            cursor: 9,
        };
        state.tenants.iter().map(row).collect()
    }

    fn mailboxes(&self, page: &Page) -> Vec<MailboxStanding> {
        let state = self.lock();
        let all = state.tenants.iter().flat_map(|(tenant, devices)| {
            let pair = |device: &String| (tenant.clone(), device.clone());
            devices.iter().map(pair)
        });
        let row = |(at, (tenant, device)): (usize, (String, String))| MailboxStanding {
            tenant,
            device,
            channel: format!("{at:032x}"),
            is_connected: true,
            is_withdrawn: false,
            down_bytes: 600,
            up_bytes: 400,
            quota_bytes: 1_000_000,
            desired: Some("1.4".into()),
            actual: None,
        };
        let is_wanted = |row: &MailboxStanding| {
            let tenant = page.tenant.as_ref();
            let after = page.after.as_ref();
            tenant.is_none_or(|tenant| *tenant == row.tenant)
                && after.is_none_or(|after| row.channel > *after)
        };
        let rows = all.enumerate().map(row).filter(is_wanted);
        rows.take(page.rows_max).collect()
    }

    fn sessions(&self, page: &Page) -> Vec<SessionStanding> {
        let row = |row: MailboxStanding| SessionStanding {
            tenant: row.tenant,
            device: Some(row.device),
            is_held: true,
        };
        self.mailboxes(page).into_iter().map(row).collect()
    }

    fn quota(&self, tenant: &str) -> Result<Quota, Refusal> {
        let state = self.lock();
        state.known(tenant)?;
        Ok(state.quotas.get(tenant).copied().map_or(USUAL, own))
    }

    fn set_quota(&self, tenant: &str, bytes_max: Option<u64>) -> Result<Quota, Refusal> {
        let mut state = self.lock();
        state.known(tenant)?;
        match bytes_max {
            Some(bytes_max) => state.quotas.insert(tenant.to_owned(), bytes_max),
            None => state.quotas.remove(tenant),
        };
        Ok(bytes_max.map_or(USUAL, own))
    }

    fn disconnect(&self, tenant: &str, device: Option<&str>) -> Result<u64, Refusal> {
        let state = self.lock();
        let devices = state.known(tenant)?;
        match device {
            None => Ok(devices.len() as u64 + 1),
            Some(device) if devices.iter().any(|known| known == device) => Ok(1),
            Some(device) => Err(Refusal::Unknown(format!("device {device} of {tenant}"))),
        }
    }

    fn set_leaving(&self, leaving: Option<Leaving>) {
        self.lock().leaving = leaving;
    }

    fn release(&self, count: usize) -> usize {
        let mut state = self.lock();
        let released = count.min(state.held);
        state.held -= released;
        released
    }

    fn replace_certificate(&self, _chain_pem: &[u8], _key_pem: &[u8]) -> Result<(), String> {
        let mut state = self.lock();
        if state.refuses_certificates {
            return Err("the TLS certificate and key cannot be used together".into());
        }
        state.certificates += 1;
        Ok(())
    }

    fn store_writable(&self) -> Result<(), String> {
        self.lock().store_fault.clone().map_or(Ok(()), Err)
    }

    fn samples(&self) -> Vec<Sample> {
        self.metrics.snapshot()
    }
}
