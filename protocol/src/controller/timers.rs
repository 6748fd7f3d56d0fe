//! When the engine wants to be woken: one moment for each member, the earliest first.
//!
//! Refuses to read a clock: the driver says when the moment came.

use super::{Context, Controller, Output};
use crate::id::ChannelId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// The moments at which members have something due, in the driver's milliseconds.
#[derive(Debug)]
pub(super) struct Timers {
    by_moment: BTreeSet<(u64, ChannelId)>,
    by_member: BTreeMap<ChannelId, u64>,
}

impl Timers {
    /// Nothing is due.
    pub(super) const NONE: Self = Self {
        by_moment: BTreeSet::new(),
        by_member: BTreeMap::new(),
    };

    fn set(&mut self, channel: ChannelId, due_ms: Option<u64>) {
        if let Some(before) = self.by_member.remove(&channel) {
            self.by_moment.remove(&(before, channel));
        }
        if let Some(due_ms) = due_ms {
            self.by_member.insert(channel, due_ms);
            self.by_moment.insert((due_ms, channel));
        }
    }

    /// The earliest moment of all.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.by_moment.first().map(|(due_ms, _)| *due_ms)
    }

    fn due(&self, now_ms: u64) -> Vec<ChannelId> {
        let due = self.by_moment.iter().take_while(|(ms, _)| *ms <= now_ms);
        due.map(|(_, channel)| *channel).collect()
    }
}

impl Controller {
    /// Notes when the member has something due next.
    pub(super) fn arm(&mut self, channel: ChannelId) {
        let member = self.members.get(&channel);
        let due_ms = member.and_then(|member| member.pulse.due_ms());
        self.timers.set(channel, due_ms);
    }

    /// Does for one member what is due, and notes what is due next.
    pub(super) fn settle(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let now_ms = context.now.mono_ms;
        let is_due = |moment: Option<u64>| moment.is_some_and(|due_ms| due_ms <= now_ms);
        let Some(member) = self.members.get_mut(&channel) else {
            return self.timers.set(channel, None);
        };
        if is_due(member.pulse.evict_due_ms) {
            member.pulse.evict_due_ms = None;
            let writes = self.close(channel);
            self.persist(writes);
            self.post_admission(context, channel);
            self.outputs.push_back(Output::Evict { channel });
        } else if is_due(member.pulse.reopen_due_ms) {
            self.reopen(context, channel);
        }
        self.turn(context, channel);
        self.beat(context, channel);
        self.arm(channel);
    }

    /// Does whatever is due by now.
    pub(super) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        for channel in self.timers.due(context.now.mono_ms) {
            self.settle(context, channel);
        }
    }
}
