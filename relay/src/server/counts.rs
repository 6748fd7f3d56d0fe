//! Places for connections: in all, for each source, for each IPv6 /48, and for those that proved
//! nothing yet.
//!
//! Devices behind one address of a site are many, so a source may have many connections; but only
//! few of them may be such on which no session spoke yet. Each place stands for its memory in the
//! budget. Refuses newcomers under pressure.

use super::mailbox::Mailbox;
use super::settings::ServerLimits;
use crate::budget::{Budget, Pool, Reserved, Work};
use crate::limiter::{Site, Source};
use crate::limits::CONNECTION_BYTES;
use crate::metrics::ConnectionRefusal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default, Clone, Copy)]
struct OfSource {
    connections: usize,
    unproven: usize,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_source: BTreeMap<Source, OfSource>,
    by_site: BTreeMap<Site, usize>,
}

/// Open connections of both doors.
#[derive(Debug)]
pub(super) struct Counts {
    held: Mutex<Held>,
    budget: Arc<Budget>,
    mailbox: Mailbox,
    limits: ServerLimits,
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Counted {
    counts: Arc<Counts>,
    source: Source,
    is_proven: AtomicBool,
    _memory: Reserved,
}

impl Counts {
    pub(super) fn new(limits: &ServerLimits, budget: &Arc<Budget>, mailbox: &Mailbox) -> Self {
        Self {
            held: Mutex::new(Held::default()),
            budget: Arc::clone(budget),
            mailbox: mailbox.clone(),
            limits: *limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection from an address that is no forgery. # Errors: why not.
    pub(super) fn take(self: &Arc<Self>, source: Source) -> Result<Counted, ConnectionRefusal> {
        if self.budget.pressure().refuses(Work::Newcomer) {
            return Err(ConnectionRefusal::Pressure);
        }
        let memory = self
            .budget
            .take(Pool::Connections, CONNECTION_BYTES)
            .ok_or(ConnectionRefusal::Pressure)?;
        let mut held = self.lock();
        if held.total >= self.limits.connections_max {
            return Err(ConnectionRefusal::Full);
        }
        let of_source = held.by_source.get(&source).copied().unwrap_or_default();
        if of_source.connections >= self.limits.source_connections_max {
            return Err(ConnectionRefusal::SourceFull);
        }
        if of_source.unproven >= self.limits.source_unproven_max {
            return Err(ConnectionRefusal::SourceUnproven);
        }
        if let Some(site) = source.site() {
            let of_site = held.by_site.entry(site).or_default();
            if *of_site >= self.limits.site_connections_max {
                return Err(ConnectionRefusal::SiteFull);
            }
            *of_site = of_site.saturating_add(1);
        }
        held.total = held.total.saturating_add(1);
        let of_source = held.by_source.entry(source).or_default();
        of_source.connections = of_source.connections.saturating_add(1);
        of_source.unproven = of_source.unproven.saturating_add(1);
        drop(held);
        self.mailbox.metrics().connection_opened();
        Ok(Counted {
            counts: Arc::clone(self),
            source,
            is_proven: AtomicBool::new(false),
            _memory: memory,
        })
    }
}

impl Counted {
    pub(super) const fn source(&self) -> Source {
        self.source
    }

    /// A frame of a session verified on it.
    pub(super) fn prove(&self) {
        if self.is_proven.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut held = self.counts.lock();
        if let Some(of_source) = held.by_source.get_mut(&self.source) {
            of_source.unproven = of_source.unproven.saturating_sub(1);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.prove();
        let mut held = self.counts.lock();
        held.total = held.total.saturating_sub(1);
        if let Some(of_source) = held.by_source.get_mut(&self.source) {
            of_source.connections = of_source.connections.saturating_sub(1);
            if of_source.connections == 0 {
                held.by_source.remove(&self.source);
            }
        }
        if let Some(site) = self.source.site()
            && let Some(of_site) = held.by_site.get_mut(&site)
        {
            *of_site = of_site.saturating_sub(1);
            if *of_site == 0 {
                held.by_site.remove(&site);
            }
        }
        drop(held);
        self.counts.mailbox.metrics().connection_closed();
    }
}
