//! What waits for the one writer: a line for each tenant, served in turn by what it costs.
//!
//! Deficit round robin: each tenant earns a quantum in its turn and is served while it can pay.
//! A tenant that posts a thousand times as much as another waits for itself and not the other for
//! it. Refuses a task beyond the bounds of its tenant's line, before anything is stored.

use super::limits::{
    GROUP_COST_MAX, GROUP_TASKS_MAX, LINE_COST_MAX, LINE_TASKS_MAX, QUANTUM_COST, TASK_COST,
    TENANT_LINES_MAX,
};
use postern_protocol::Reject;
use postern_protocol::id::TenantId;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<(usize, T)>,
    cost: usize,
    deficit: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            cost: 0,
            deficit: 0,
        }
    }
}

/// The lines of all tenants.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lines: BTreeMap<TenantId, Line<T>>,
    /// Whose turn it is, first to last; exactly the tenants that have something waiting.
    turns: VecDeque<TenantId>,
    /// The relay's own work, before all others.
    own: VecDeque<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
            own: VecDeque::new(),
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.turns.is_empty()
    }

    /// Bytes and charges that wait for one tenant.
    pub(super) fn cost_of(&self, tenant: TenantId) -> usize {
        self.lines.get(&tenant).map_or(0, |line| line.cost)
    }

    /// Queues work of the relay itself.
    pub(super) fn push_own(&mut self, task: T) {
        self.own.push_back(task);
    }

    /// Queues a task of `bytes` bytes.
    ///
    /// # Errors
    /// `overloaded` when the tenant's line is full: its sender comes again later.
    pub(super) fn push(&mut self, tenant: TenantId, bytes: usize, task: T) -> Result<(), Reject> {
        let cost = bytes.saturating_add(TASK_COST);
        if !self.lines.contains_key(&tenant) && self.lines.len() >= TENANT_LINES_MAX {
            return Err(Reject::Overloaded);
        }
        let line = self.lines.entry(tenant).or_default();
        let after = line.cost.saturating_add(cost);
        let is_full = after > LINE_COST_MAX || line.waiting.len() >= LINE_TASKS_MAX;
        // A single task that is larger than a whole line still goes through an empty one.
        if is_full && !line.waiting.is_empty() {
            return Err(Reject::Overloaded);
        }
        if line.waiting.is_empty() {
            self.turns.push_back(tenant);
        }
        line.cost = after;
        line.waiting.push_back((cost, task));
        Ok(())
    }

    /// Takes what the next commit holds, in the order in which it is served.
    pub(super) fn take_group(&mut self) -> Vec<T> {
        let mut group: Vec<T> = self.own.drain(..).collect();
        let mut cost = 0;
        while let Some(tenant) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&tenant) else {
                continue;
            };
            line.deficit = line.deficit.saturating_add(QUANTUM_COST);
            while let Some((next, _)) = line.waiting.front() {
                let Some(rest) = line.deficit.checked_sub(*next) else {
                    break;
                };
                line.deficit = rest;
                cost += *next;
                line.cost = line.cost.saturating_sub(*next);
                group.extend(line.waiting.pop_front().map(|(_, task)| task));
            }
            if line.waiting.is_empty() {
                self.lines.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            if group.len() >= GROUP_TASKS_MAX || cost >= GROUP_COST_MAX {
                break;
            }
        }
        group
    }
}
