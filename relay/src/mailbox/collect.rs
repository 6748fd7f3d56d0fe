//! What devices posted towards their tenant's writer, in the order in which it came.
//!
//! ```text
//!   arrival  1 2 3 4 5 6 7     cursor 4: what is live above 4, ascending, as much as fits
//!   live       x   x   x x     a newer entry of a slot takes a newer number and the older goes
//! ```
//!
//! One counter for each tenant. Lanes that are durable are installed here, and nothing is shown
//! before. Refuses to skip an entry that does not fit, and to show one tenant what is another's.

use super::onward::{self, Part};
use super::{Arrived, Lanes, Mailboxes, Slots};
use crate::mailbox::lane::{Lane, Slot};
use postern_protocol::id::{ChannelId, Plane, TenantId};
use postern_protocol::revision::Knock;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// One thing on its way to a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Its number among the tenant's arrivals.
    pub arrival: u64,
    /// What came.
    pub what: Arrival,
}

/// What came for a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// An envelope of a device; for a mailbox, of a writer.
    Envelope {
        /// Whose mailbox it is from; `None` for a bundle.
        channel: Option<ChannelId>,
        /// The plane that it travels under.
        plane: Option<Plane>,
        /// The untagged COSE_Sign1.
        envelope: Arc<[u8]>,
    },
    /// A new device key that asks to be enrolled.
    Knock {
        /// What the mailbox calls it.
        knock: Knock,
        /// The enrol frame.
        frame: Arc<[u8]>,
    },
}

impl Arrival {
    fn bytes(&self) -> usize {
        match self {
            Self::Envelope { envelope, .. } => envelope.len(),
            Self::Knock { frame, .. } => frame.len(),
        }
    }

    const fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Envelope { channel, .. } => *channel,
            Self::Knock { .. } => None,
        }
    }
}

/// What an installation brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Mailboxes that depend on this one have news.
    pub onward: bool,
    /// The device has news of its chain.
    pub states: bool,
    /// The device has news that the answer to a post under way may bring.
    pub letters: bool,
    /// The tenant's writer has news.
    pub writer: bool,
}

/// The live entries of one tenant, by arrival, and the bytes of all its channels.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    bytes: usize,
    live: BTreeMap<u64, Collected>,
}

impl Mailboxes {
    /// The lanes of a channel as they are durable.
    pub(crate) fn lanes(&self, channel: ChannelId) -> Lanes {
        let slots = self.channels.get(&channel);
        slots.map_or_else(Lanes::default, |slots| slots.lanes.clone())
    }

    /// Counts the bytes of a channel with all and with its tenant's, as they were and as they are.
    pub(super) fn count(
        &mut self,
        before: (Option<TenantId>, usize),
        after: (Option<TenantId>, usize),
    ) {
        self.bytes = self.bytes.saturating_sub(before.1).saturating_add(after.1);
        for ((tenant, bytes), is_added) in [(before, false), (after, true)] {
            let Some(tenant) = tenant else { continue };
            let held = &mut self.tenants.entry(tenant).or_default().bytes;
            *held = if is_added {
                held.saturating_add(bytes)
            } else {
                held.saturating_sub(bytes)
            };
        }
    }

    /// Bytes of all channels of one tenant.
    #[must_use]
    pub fn bytes_of(&self, tenant: TenantId) -> usize {
        self.tenants.get(&tenant).map_or(0, |one| one.bytes)
    }

    /// Shows lanes that are durable now to their readers.
    pub(crate) fn install(
        &mut self,
        channel: ChannelId,
        tenant: TenantId,
        lanes: Lanes,
        now_ms: u64,
    ) -> Installed {
        let number = self.changes.wrapping_add(1);
        self.changes = number;
        let (mut states, mut letters) = (false, false);
        let before = self.lanes(channel);
        let is_onward = before.desired != lanes.desired;
        let (before, now) = (before.actual, lanes.actual.clone());
        let onward = is_onward.then(|| onward::entries_of(&lanes.desired));
        self.adjust(channel, |slots: &mut Slots| {
            slots.tenant = Some(tenant);
            (states, letters) = slots.install(lanes, number, now_ms);
            if states || letters {
                slots.note_change(number);
            }
        });
        let arrivals = self.tenants.entry(tenant).or_default();
        for (stamp_arrival, _, _) in live_entries(&before) {
            arrivals.live.remove(&stamp_arrival);
        }
        let highest = live_entries(&before).map(|(arrival, _, _)| arrival).max();
        let mut has_arrivals = false;
        for (arrival, plane, envelope) in live_entries(&now) {
            has_arrivals |= Some(arrival) > highest;
            let collected = Collected {
                arrival,
                what: Arrival::Envelope {
                    channel: Some(channel),
                    plane,
                    envelope: Arc::clone(envelope),
                },
            };
            arrivals.live.insert(arrival, collected);
        }
        let onward = onward.is_some_and(|now| self.onward.show(Part::Lane(channel), now));
        Installed {
            onward,
            states,
            letters,
            writer: has_arrivals,
        }
    }

    /// Drops everything of a channel that this tenant's writer could collect.
    pub(super) fn drop_arrivals(&mut self, tenant: TenantId, lane: &Lane) {
        if let Some(arrivals) = self.tenants.get_mut(&tenant) {
            for (arrival, _, _) in live_entries(lane) {
                arrivals.live.remove(&arrival);
            }
        }
    }

    /// Returns what came after `cursor`, ascending, as much as fits into `room_bytes` with
    /// `overhead_bytes` for each entry.
    #[must_use]
    pub fn collect_arrived(
        &self,
        tenant: TenantId,
        cursor: u64,
        room_bytes: usize,
        overhead_bytes: usize,
    ) -> Vec<Collected> {
        let mut left = room_bytes;
        let after = (Bound::Excluded(cursor), Bound::Unbounded);
        let live = self.tenants.get(&tenant).map(|one| one.live.range(after));
        let mut collected = Vec::new();
        for (_, entry) in live.into_iter().flatten() {
            let bytes = entry.what.bytes().saturating_add(overhead_bytes);
            let Some(rest) = left.checked_sub(bytes) else {
                break;
            };
            left = rest;
            collected.push(entry.clone());
        }
        collected
    }

    /// Shows the admission of a channel to mailboxes that depend on this one. Returns true when it is new.
    pub(crate) fn install_admission(&mut self, channel: ChannelId, envelope: &Arc<[u8]>) -> bool {
        let now = vec![(None, Arc::clone(envelope))];
        self.onward.show(Part::Admission(channel), now)
    }

    /// Returns what writers brought after `cursor`, as [`Self::collect_arrived`] does with what devices did.
    #[must_use]
    pub fn collect_onward(
        &self,
        cursor: u64,
        room_bytes: usize,
        overhead_bytes: usize,
    ) -> Vec<Collected> {
        self.onward.collect(cursor, room_bytes, overhead_bytes)
    }

    /// Tells whether writers brought anything after `cursor`.
    #[must_use]
    pub fn has_onward(&self, cursor: u64) -> bool {
        self.onward.has_after(cursor)
    }

    /// The last number that anything on its way to other mailboxes was given.
    #[must_use]
    pub const fn last_onward(&self) -> u64 {
        self.onward.last()
    }

    /// Shows a new device key to a tenant's writer.
    pub(crate) fn install_knock(
        &mut self,
        tenant: TenantId,
        arrival: u64,
        knock: Knock,
        frame: &Arc<[u8]>,
    ) {
        let what = Arrival::Knock {
            knock,
            frame: Arc::clone(frame),
        };
        let arrivals = self.tenants.entry(tenant).or_default();
        arrivals.live.insert(arrival, Collected { arrival, what });
    }

    /// Shows a new device key no longer, where it was shown: it was answered, or gave up.
    pub(crate) fn drop_knock(&mut self, places: &[(TenantId, u64)]) {
        for (tenant, arrival) in places {
            if let Some(arrivals) = self.tenants.get_mut(tenant) {
                arrivals.live.remove(arrival);
            }
        }
    }

    /// Whose channel it is, where anything is kept for it.
    #[must_use]
    pub fn tenant_of(&self, channel: ChannelId) -> Option<TenantId> {
        self.channels.get(&channel).and_then(|slots| slots.tenant)
    }

    /// Tells whether anything came after `cursor`.
    #[must_use]
    pub fn has_arrived(&self, tenant: TenantId, cursor: u64) -> bool {
        let live = self.tenants.get(&tenant).map(|one| &one.live);
        live.is_some_and(|live| {
            live.last_key_value()
                .is_some_and(|(last, _)| *last > cursor)
        })
    }

    /// The channels of a tenant's live entries up to a number, each once.
    pub(crate) fn channels_up_to(&self, tenant: TenantId, cursor: u64) -> Vec<ChannelId> {
        let live = self
            .tenants
            .get(&tenant)
            .map(|one| one.live.range(..=cursor));
        let mut channels: Vec<ChannelId> = live
            .into_iter()
            .flatten()
            .filter_map(|(_, entry)| entry.what.channel())
            .collect();
        channels.sort_unstable();
        channels.dedup();
        channels
    }

    /// Bytes of a device's lane that its writer has not acknowledged, a snapshot on its way too.
    pub(crate) fn unread_bytes(&self, channel: ChannelId, cursor: u64) -> usize {
        let mut lane = self.lanes(channel).actual;
        lane.forget(cursor);
        lane.bytes()
    }

    /// Wants a snapshot of the actual plane of its device, whatever head that shows.
    pub(crate) fn want_actual(&mut self, channel: ChannelId) {
        self.adjust(channel, |slots| slots.actual.want());
    }

    /// Tells whether such a wish stands.
    pub(crate) fn is_actual_wanted(&self, channel: ChannelId) -> bool {
        let slots = self.channels.get(&channel);
        slots.is_some_and(|slots| slots.actual.is_wanted())
    }

    /// The channels of a tenant, as far as anything is kept for them.
    #[must_use]
    pub fn channels_of(&self, tenant: TenantId) -> Vec<ChannelId> {
        let channels = self.channels.iter();
        channels
            .filter(|(_, slots)| slots.tenant == Some(tenant))
            .map(|(channel, _)| *channel)
            .collect()
    }
}

/// The entries of a device's lane that still have their bytes: arrival, plane, envelope.
fn live_entries(lane: &Lane) -> impl Iterator<Item = (u64, Option<Plane>, &Arc<[u8]>)> {
    let chain = lane.chain.iter().flat_map(|chain| chain.arrived());
    let chain =
        chain.map(|Arrived { stamp, envelope }| (stamp.arrival, Some(Plane::Actual), envelope));
    let slots = Slot::ALL.into_iter().filter_map(|slot| {
        let letter = lane.letter(slot)?;
        let envelope = letter.envelope.as_ref()?;
        Some((letter.stamp.arrival, slot.plane_in(Plane::Actual), envelope))
    });
    chain.chain(slots)
}
