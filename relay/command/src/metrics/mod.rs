//! Everything that `/metrics` and `postern-relay metrics` show: the server's counters and the process's own.
//!
//! Labels come from closed sets, never from what a peer or an operator wrote. Refuses tenants and devices
//! as labels: `tenants`, `mailboxes` and `top` show those.

mod tenants;
#[cfg(test)]
mod tests;

use crate::health::Health;
use crate::operable::{Operable, UpstreamStanding};
use crate::telemetry;
use postern_relay::metrics::{Sample, to_text};

/// What the link to another relay shows, where there is one.
fn of_upstream(upstream: &UpstreamStanding) -> [Sample; 5] {
    let values = [
        ("postern_relay_upstream_open", u64::from(upstream.is_open)),
        ("postern_relay_upstream_brought_total", upstream.brought),
        ("postern_relay_upstream_collected_total", upstream.collected),
        ("postern_relay_upstream_refused_total", upstream.refused),
        ("postern_relay_upstream_waiting", upstream.waiting),
    ];
    values.map(|(name, value)| Sample {
        name,
        label: None,
        value,
    })
}

/// Returns every value; samples of one name stand together.
pub fn samples(relay: &dyn Operable, health: &Health) -> Vec<Sample> {
    let standing = relay.standing();
    let checks = health.checks();
    let is_ready = checks.iter().all(|check| check.is_well);
    let plain = |name, value| Sample {
        name,
        label: None,
        value,
    };
    let labelled = |name, label, value| Sample {
        name,
        label: Some(label),
        value,
    };
    let mut samples = relay.samples();
    samples.extend(standing.upstream.iter().flat_map(of_upstream));
    samples.extend([
        plain("postern_relay_up_seconds", health.uptime_s()),
        plain("postern_relay_ready", u64::from(is_ready)),
    ]);
    let names = ["store", "drain", "clock", "certificate"];
    samples.extend(names.map(|name| {
        let is_well = checks
            .iter()
            .any(|check| check.name == name && check.is_well);
        labelled("postern_relay_check", ("check", name), u64::from(is_well))
    }));
    let (taken, refused) = health.reloads();
    samples.extend([
        plain("postern_relay_draining", u64::from(health.is_draining())),
        plain(
            "postern_relay_certificate_left_seconds",
            health.certificate_left_s(),
        ),
        plain("postern_relay_bundle", standing.bundle),
        plain("postern_relay_writers", standing.writers),
        plain("postern_relay_mailboxes", standing.mailboxes),
        plain("postern_relay_knocks", standing.knocks),
        plain("postern_relay_dead_letters_total", standing.dead_letters),
        plain(
            "postern_relay_tenant_refusals_total",
            standing.tenant_refusals,
        ),
        plain(
            "postern_relay_mailbox_bytes_max",
            standing.mailbox_bytes_max,
        ),
        labelled("postern_relay_reloads_total", ("result", "taken"), taken),
        labelled(
            "postern_relay_reloads_total",
            ("result", "refused"),
            refused,
        ),
        plain(
            "postern_relay_log_lines_left_out_total",
            telemetry::left_out_total(),
        ),
    ]);
    samples.extend(tenants::samples(&relay.tenants()));
    samples
}

/// Returns every value as Prometheus text.
pub fn text(relay: &dyn Operable, health: &Health) -> String {
    to_text(&samples(relay, health))
}
