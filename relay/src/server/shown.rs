//! What one commit made durable, shown to whoever collects and polls, all at once.
//!
//! Refuses to show a part: a collect that saw a later arrival before an earlier one would move its
//! cursor past what its writer never got.

use super::mailbox::Mailbox;
use crate::exchange::Collector;
use crate::mailbox::Lanes;
use postern_protocol::id::{ChannelId, TenantId};
use postern_protocol::revision::Knock;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What one commit of a host made durable.
#[derive(Debug, Default)]
pub(crate) struct Shown<'a> {
    /// Lanes of channels, with their tenants.
    pub(crate) lanes: Vec<(ChannelId, TenantId, Lanes)>,
    /// Enrolments that came.
    pub(crate) knocks: &'a [ShownKnock],
}

/// An enrolment, and under which arrival each tenant's writer sees it.
#[derive(Debug)]
pub(crate) struct ShownKnock {
    pub(crate) knock: Knock,
    pub(crate) frame: Arc<[u8]>,
    pub(crate) places: Vec<(TenantId, u64)>,
}

impl Mailbox {
    /// Shows what one commit made durable, and wakes whoever has news of it.
    pub(crate) fn install(&self, shown: Shown<'_>) {
        let now_ms = self.clock().now_ms();
        let mut guard = self.lock();
        let state = &mut *guard;
        let mailboxes = &mut state.exchanges.mailboxes;
        let mut installed = Vec::new();
        for (channel, tenant, lanes) in shown.lanes {
            let news = mailboxes.install(channel, tenant, lanes, now_ms);
            installed.push((channel, tenant, news));
        }
        let (mut writers, mut onward) = (BTreeSet::new(), false);
        for one in shown.knocks {
            for (tenant, arrival) in &one.places {
                mailboxes.install_knock(*tenant, *arrival, one.knock, &one.frame);
                writers.insert(*tenant);
            }
        }
        for (channel, tenant, news) in installed {
            let is_woken = (news.states && state.wake_for_news(channel))
                || (news.letters && state.wake_or_carry(channel));
            if is_woken {
                self.metrics().hold_released();
            }
            onward |= news.onward;
            if news.writer {
                writers.insert(tenant);
            }
        }
        if !writers.is_empty() {
            self.note_arrived();
        }
        let mut woken = 0;
        for tenant in writers {
            woken += usize::from(state.collects.wake(&Collector::Writer(tenant)));
        }
        if onward {
            woken += state.wake_mailboxes();
        }
        for _ in 0..woken {
            self.metrics().hold_released();
        }
    }
}
