//! Devices with sessions: their tenants and their connections.
//!
//! A device has few connections at once, the newest win: an older one is usually one that its
//! network lost without telling. Refuses to end a connection on which others spoke too (a front
//! mixes devices), and to grow beyond the sessions, which are bounded.

use super::link::{Claim, Link};
use postern_protocol::id::{ChannelId, Tenant};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

#[derive(Debug)]
struct Device {
    tenant: Tenant,
    /// The oldest first.
    links: VecDeque<Weak<Link>>,
}

/// All devices that greeted this server and still have a session.
#[derive(Debug)]
pub(super) struct Devices {
    by_channel: BTreeMap<ChannelId, Device>,
    links_max: usize,
}

impl Devices {
    pub(super) const fn new(links_max: usize) -> Self {
        Self {
            by_channel: BTreeMap::new(),
            links_max,
        }
    }

    /// A device opened a session.
    pub(super) fn greet(&mut self, channel: ChannelId, tenant: Tenant) {
        let device = self.by_channel.entry(channel).or_insert_with(|| Device {
            tenant: tenant.clone(),
            links: VecDeque::new(),
        });
        device.tenant = tenant;
    }

    /// A frame of its session verified on this connection. Returns its tenant, where that is
    /// known, and how many older connections of the device were asked to end.
    pub(super) fn note(&mut self, channel: ChannelId, link: &Arc<Link>) -> (Option<Tenant>, u64) {
        let claim = link.claim(channel);
        let Some(device) = self.by_channel.get_mut(&channel) else {
            return (None, 0);
        };
        let tenant = device.tenant.clone();
        if claim != Claim::First {
            return (Some(tenant), 0);
        }
        let links = &mut device.links;
        let is_open = |link: &Weak<Link>| link.upgrade().is_some_and(|link| !link.is_shared());
        links.retain(is_open);
        links.push_back(Arc::downgrade(link));
        let mut ended = 0;
        while links.len() > self.links_max {
            if let Some(older) = links.pop_front().and_then(|older| older.upgrade()) {
                older.end();
                ended += 1;
            }
        }
        (Some(tenant), ended)
    }

    /// Forgets devices that have no session any more.
    pub(super) fn sweep(&mut self, has_session: impl Fn(ChannelId) -> bool) {
        self.by_channel.retain(|channel, _| has_session(*channel));
    }

    /// Takes out up to `count` devices of the tenant that has most, and ends their connections.
    pub(super) fn drop_largest(&mut self, count: usize) -> Vec<ChannelId> {
        let mut sizes: BTreeMap<&Tenant, usize> = BTreeMap::new();
        for device in self.by_channel.values() {
            let size = sizes.entry(&device.tenant).or_default();
            *size = size.saturating_add(1);
        }
        let largest = sizes.into_iter().max_by_key(|(_, size)| *size);
        let Some(largest) = largest.map(|(tenant, _)| tenant.clone()) else {
            return Vec::new();
        };
        let channels: Vec<ChannelId> = self
            .by_channel
            .iter()
            .filter(|(_, device)| device.tenant == largest)
            .map(|(channel, _)| *channel)
            .take(count)
            .collect();
        for channel in &channels {
            let device = self.by_channel.remove(channel);
            let links = device.map(|device| device.links).unwrap_or_default();
            let open = links.iter().filter_map(Weak::upgrade);
            open.filter(|link| !link.is_shared())
                .for_each(|link| link.end());
        }
        channels
    }
}
