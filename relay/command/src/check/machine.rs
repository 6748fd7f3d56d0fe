//! Do the limits fit the machine: memory that they allow, files that they need.
//!
//! Sums of the same figures that the README's sizing table shows. Refuses to count what the kernel
//! holds beyond a connection's own buffers.

use super::{Finding, Weight};
use crate::config::{Limit, RelayConfig};
use crate::limits::{CONNECTION_BYTES, FILES_BESIDE, PROCESS_BYTES};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

const MIB: u64 = 1 << 20;

/// What the machine gives this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    /// Bytes of memory, the least of machine and control group; absent when unknown.
    pub(super) memory_bytes: Option<u64>,
    /// Files that may be open at once; absent when unknown or without bound.
    pub(super) files_max: Option<u64>,
}

impl Machine {
    pub(super) fn read() -> Self {
        let limits = getrlimit(Resource::Nofile);
        let memory = [total_memory(), group_memory()].into_iter().flatten().min();
        Self {
            memory_bytes: memory,
            // `run` raises what it may open to what it is allowed to.
            files_max: limits.maximum,
        }
    }
}

/// Raises the files that may be open at once to what this process is allowed to.
pub fn raise_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
}

/// Returns the bytes that the limits of a configuration allow in all.
#[must_use]
pub(super) fn allowed_bytes(config: &RelayConfig) -> u64 {
    let limits = &config.limits;
    let connections = limits
        .of(Limit::Connections)
        .saturating_mul(CONNECTION_BYTES);
    let counted = [
        connections,
        limits.of(Limit::MailboxesBytes),
        limits.of(Limit::BodiesBytes),
    ];
    let counted = counted.into_iter().fold(0, u64::saturating_add);
    // Whatever each may take, all together stay within the budget.
    counted
        .min(limits.of(Limit::BudgetBytes))
        .saturating_add(limits.of(Limit::BundlesBytes))
        .saturating_add(PROCESS_BYTES)
}

pub(super) fn findings(config: &RelayConfig, machine: &Machine) -> Vec<Finding> {
    vec![
        memory(config, machine.memory_bytes),
        files(config, machine.files_max),
        order(config),
    ]
}

fn memory(config: &RelayConfig, bytes: Option<u64>) -> Finding {
    const ABOUT: &str = "memory";
    let allowed = allowed_bytes(config);
    let Some(bytes) = bytes else {
        let found = format!(
            "the limits allow {} MiB; the machine's memory is unknown",
            allowed / MIB
        );
        return Finding::fine(ABOUT, found);
    };
    let found = format!(
        "the limits allow {} MiB of {} MiB",
        allowed / MIB,
        bytes / MIB
    );
    let budget = config.limits.of(Limit::BudgetBytes);
    let next = "lower server.budget_bytes_max, server.connections_max or mailbox.total_bytes_max, or take a larger machine (relay/README.md, sizing)";
    if allowed > bytes {
        Finding::new(ABOUT, Weight::Error, found, next)
    } else if allowed > bytes / 10 * 9 {
        Finding::new(ABOUT, Weight::Warning, found, next)
    } else if budget.saturating_add(PROCESS_BYTES) > bytes {
        let found = format!(
            "{found}, but server.budget_bytes_max is {} MiB",
            budget / MIB
        );
        let next = "lower server.budget_bytes_max by what the process itself takes: work would be put off too late";
        Finding::new(ABOUT, Weight::Warning, found, next)
    } else {
        Finding::fine(ABOUT, found)
    }
}

fn files(config: &RelayConfig, files_max: Option<u64>) -> Finding {
    const ABOUT: &str = "files";
    let needed = config
        .limits
        .of(Limit::Connections)
        .saturating_add(FILES_BESIDE);
    match files_max {
        Some(max) if max < needed => Finding::new(
            ABOUT,
            Weight::Error,
            format!("{needed} files are needed for server.connections_max, {max} may be open"),
            "set LimitNOFILE=262144 in the unit (or `ulimit -n`), or lower server.connections_max",
        ),
        Some(max) => Finding::fine(ABOUT, format!("{needed} of {max} files")),
        None => Finding::fine(ABOUT, format!("{needed} files, no bound")),
    }
}

/// Limits that contradict each other.
fn order(config: &RelayConfig) -> Finding {
    const ABOUT: &str = "limits";
    let of = |limit| config.limits.of(limit);
    let pairs = [
        (Limit::MailboxBytes, Limit::MailboxesBytes),
        (Limit::MailboxesBytes, Limit::BudgetBytes),
        (Limit::BodiesBytes, Limit::BudgetBytes),
        (Limit::SourceConnections, Limit::Connections),
        (Limit::SourceUnproven, Limit::SourceConnections),
        (Limit::SiteConnections, Limit::Connections),
        (Limit::KnocksRate, Limit::HandshakesRate),
        (Limit::DeviceMessagesRate, Limit::TenantMessagesRate),
        (Limit::DeviceBytesRate, Limit::TenantBytesRate),
        (Limit::Holds, Limit::Connections),
        (Limit::SourceHandshakesBurst, Limit::HandshakesBurst),
        (Limit::SourceHandshakesRate, Limit::HandshakesRate),
    ];
    let name = |limit: Limit| format!("{}.{}", limit.spec().section, limit.spec().key);
    let wrong: Vec<String> = pairs
        .into_iter()
        .filter(|(less, more)| of(*less) > of(*more))
        .map(|(less, more)| format!("{} is above {}", name(less), name(more)))
        .collect();
    if wrong.is_empty() {
        return Finding::fine(ABOUT, "agree with each other");
    }
    Finding::new(
        ABOUT,
        Weight::Warning,
        wrong.join("; "),
        "the larger one can never be reached: correct relay.toml",
    )
}

fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The bound of this process's control group (version 2); `max` is none.
fn group_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let below = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup").join(below).join("memory.max");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}
