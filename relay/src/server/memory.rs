//! Looks at the memory now and then: tells the budget what nobody reserves, shows the gauges, and
//! ends the sessions of the largest tenant when there is no other room.
//!
//! Refuses to end more at once than a lock may be held for.

use super::answer::Answerer;
use super::clock::after_ms;
use crate::budget::Pool;
use crate::limits::{DROPPED_AT_ONCE_MAX, PRESSURE_MS, SESSION_BYTES};
use crate::metrics::Shed;
use postern_protocol::id::ChannelId;
use std::sync::PoisonError;

/// Watches until the server is dropped.
pub(super) async fn watch(answerer: Answerer) {
    loop {
        look(&answerer);
        tokio::time::sleep_until(after_ms(PRESSURE_MS)).await;
    }
}

/// One look.
pub(super) fn look(answerer: &Answerer) {
    let (mailbox, budget) = (&answerer.mailbox, &answerer.budget);
    let metrics = mailbox.metrics();
    let limiters = answerer.gates.sweep(metrics, mailbox.clock().now_ms());
    let (sessions, kept) = {
        let state = mailbox.lock();
        let exchanges = &state.exchanges;
        (exchanges.sessions(), exchanges.mailboxes.bytes())
    };
    budget.tell(Pool::Limiters, limiters);
    budget.tell(Pool::Sessions, sessions.saturating_mul(SESSION_BYTES));
    budget.tell(Pool::Mailboxes, kept);
    if budget.drops_sessions() {
        drop_largest(answerer);
    }
    for pool in Pool::ALL {
        metrics.memory(*pool, budget.bytes_of(*pool));
    }
    metrics.memory_budget(budget.bytes_max(), budget.pressure());
}

fn drop_largest(answerer: &Answerer) {
    let dropped: Vec<ChannelId> = {
        let devices = answerer.devices.lock();
        let mut devices = devices.unwrap_or_else(PoisonError::into_inner);
        devices.drop_largest(DROPPED_AT_ONCE_MAX)
    };
    if dropped.is_empty() {
        return;
    }
    let mut state = answerer.mailbox.lock();
    for channel in &dropped {
        state.exchanges.close_sessions(*channel);
        state.holds.wake(channel);
        answerer.mailbox.metrics().shed(Shed::LargestTenant);
    }
    drop(state);
    tracing::warn!(
        bytes = answerer.budget.bytes(),
        count = dropped.len(),
        "ended the sessions of the largest tenant: memory is full"
    );
}
