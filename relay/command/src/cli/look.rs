//! Commands that look at a running relay and change nothing.
//!
//! Refuses to show what is in a mailbox: a relay does not know it.

use super::RelayArgs;
use super::table::{Column, age, bytes, table};
use crate::admin::client::{Client, unexpected};
use crate::admin::{Request, Response, Status};
use crate::audit;
use crate::config::RelayConfig;
use crate::operable::{TenantStanding, UpstreamStanding};
use clap::Args;
use postern_console::exit::CommandError;
use postern_console::output;
use serde_json::json;

/// Lines of the audit log that are shown without a number.
const AUDIT_LINES: usize = 20;

/// `status`.
pub(super) fn status(relay: &RelayArgs) -> Result<(), CommandError> {
    let response = relay.ask(&Request::Status {})?;
    if relay.printed(&response) {
        return Ok(());
    }
    let Response::Status { status } = response else {
        return Err(unexpected());
    };
    output::text(&shown(&status));
    Ok(())
}

/// The status for people; the head of `top` is the same.
pub(super) fn shown(status: &Status) -> String {
    let relay = &status.relay;
    let failed = status.checks.iter().filter(|check| !check.is_well);
    let reasons: Vec<String> = failed
        .map(|check| format!("{} ({})", check.name, check.reason))
        .collect();
    let ready = match status.is_ready {
        true => "ready".to_owned(),
        false => format!("NOT READY: {}", reasons.join(", ")),
    };
    let drain = status.drain.map_or_else(String::new, |drain| {
        format!(
            "drain      {:?}: {} told, over in {} s\n",
            drain.phase,
            drain.told,
            drain.left_ms.div_ceil(1_000)
        )
        .to_lowercase()
    });
    let upstream = relay.upstream.as_ref().map_or_else(String::new, upstream);
    let quic = relay.quic.as_ref();
    let quic = quic.map_or_else(String::new, |address| format!(", QUIC on {address}"));
    format!(
        "relay      {ready}; up {}, pid {}, version {}\n\
         serves     {} on {}{quic}\n\
         {drain}{upstream}trust      bundle {}, mailbox {}\n\
         now        {} connections, {} sessions, {} held, {} controllers\n\
         kept       {} mailboxes, {} of {}, {} enrolments wait, {} letters dropped\n\
         memory     {} of {}, {}\n\
         audit      line {}, {}\n",
        age(status.uptime_s),
        status.pid,
        status.version,
        status.urls.join(", "),
        status.listen,
        relay.bundle,
        relay.mailbox.get(..16).unwrap_or(&relay.mailbox),
        relay.connections,
        relay.sessions,
        relay.holds,
        relay.writers,
        relay.mailboxes,
        bytes(relay.mailbox_bytes),
        bytes(relay.mailbox_bytes_max),
        relay.knocks,
        relay.dead_letters,
        bytes(relay.memory_bytes),
        bytes(relay.memory_bytes_max),
        relay.pressure,
        status.audit.n,
        status.audit.hash.get(..16).unwrap_or_default(),
    )
}

/// The line about the relay that this one dials.
fn upstream(upstream: &UpstreamStanding) -> String {
    let state = match (upstream.is_open, &upstream.last_error) {
        (true, _) => "open".to_owned(),
        (false, Some(error)) => format!("NO SESSION: {error}"),
        (false, None) => "no session yet".to_owned(),
    };
    format!(
        "upstream   {state}; key {}, {} brought, {} taken, {} refused, {} wait\n",
        upstream.key.get(..16).unwrap_or(&upstream.key),
        upstream.brought,
        upstream.collected,
        upstream.refused,
        upstream.waiting,
    )
}

/// `tenants`.
pub(super) fn tenants(relay: &RelayArgs) -> Result<(), CommandError> {
    let response = relay.ask(&Request::Tenants {})?;
    if relay.printed(&response) {
        return Ok(());
    }
    let Response::Tenants { tenants } = response else {
        return Err(unexpected());
    };
    let columns = [
        Column::Text("TENANT"),
        Column::Text("CONTROLLER"),
        Column::Number("DEVICES"),
        Column::Number("SESSIONS"),
        Column::Number("BYTES"),
        Column::Number("QUOTA"),
        Column::Number("QUEUED"),
        Column::Number("WAITING"),
    ];
    let rows: Vec<Vec<String>> = tenants.iter().map(tenant_row).collect();
    output::text(&table(&columns, &rows));
    Ok(())
}

fn tenant_row(tenant: &TenantStanding) -> Vec<String> {
    vec![
        tenant.tenant.clone(),
        controller(tenant),
        tenant.devices.to_string(),
        tenant.sessions.to_string(),
        bytes(tenant.bytes),
        tenant.quota_bytes.map_or_else(|| "-".into(), bytes),
        bytes(tenant.queued_bytes),
        tenant.arrivals.saturating_sub(tenant.cursor).to_string(),
    ]
}

/// How a tenant's controller is, in a word.
pub(super) fn controller(tenant: &TenantStanding) -> String {
    match (tenant.is_connected, tenant.contact_age_s) {
        (true, _) => "connected".into(),
        (false, Some(seconds)) => format!("away {}", age(seconds)),
        (false, None) => "never".into(),
    }
}

#[derive(Debug, Args)]
pub(super) struct MailboxesArgs {
    /// Only this tenant's
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl MailboxesArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let mut client = Client::connect(&self.relay.dir())?;
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let tenant = self.tenant.clone();
            let response = client.ask(&Request::Mailboxes { tenant, after })?;
            let Response::Mailboxes { mailboxes, next } = response else {
                return Err(unexpected());
            };
            all.extend(mailboxes);
            after = next;
            if after.is_none() {
                break;
            }
        }
        let next = None;
        if self.relay.json {
            let mailboxes = all;
            self.relay.printed(&Response::Mailboxes { mailboxes, next });
            return Ok(());
        }
        let columns = [
            Column::Text("TENANT"),
            Column::Text("DEVICE"),
            Column::Text("STATE"),
            Column::Number("DOWN"),
            Column::Number("UP"),
            Column::Number("OF"),
            Column::Text("DESIRED"),
            Column::Text("ACTUAL"),
        ];
        let rows = all.into_iter().map(|row| {
            let state = match (row.is_withdrawn, row.is_connected) {
                (true, _) => "withdrawn",
                (false, true) => "connected",
                (false, false) => "away",
            };
            vec![
                row.tenant,
                row.device,
                state.to_owned(),
                bytes(row.down_bytes),
                bytes(row.up_bytes),
                bytes(row.quota_bytes),
                row.desired.unwrap_or_else(|| "-".into()),
                row.actual.unwrap_or_else(|| "-".into()),
            ]
        });
        output::text(&table(&columns, &rows.collect::<Vec<_>>()));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    /// Only this tenant's
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl SessionsArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let tenant = self.tenant.clone();
        let response = self.relay.ask(&Request::Sessions { tenant })?;
        if self.relay.printed(&response) {
            return Ok(());
        }
        let Response::Sessions { sessions } = response else {
            return Err(unexpected());
        };
        let columns = [
            Column::Text("TENANT"),
            Column::Text("WHO"),
            Column::Text("POLL"),
        ];
        let rows = sessions.into_iter().map(|row| {
            let poll = if row.is_held { "held" } else { "-" };
            let who = row.device.unwrap_or_else(|| "(controller)".into());
            vec![row.tenant, who, poll.to_owned()]
        });
        output::text(&table(&columns, &rows.collect::<Vec<_>>()));
        Ok(())
    }
}

/// `limits`.
pub(super) fn limits(relay: &RelayArgs) -> Result<(), CommandError> {
    let response = relay.ask(&Request::Limits {})?;
    if relay.printed(&response) {
        return Ok(());
    }
    let Response::Limits { limits } = response else {
        return Err(unexpected());
    };
    let rows: Vec<Vec<String>> = limits
        .into_iter()
        .map(|(key, value)| vec![key, value])
        .collect();
    let columns = [Column::Text("KEY"), Column::Text("VALUE")];
    output::text(&table(&columns, &rows));
    Ok(())
}

/// `metrics`.
pub(super) fn metrics(relay: &RelayArgs) -> Result<(), CommandError> {
    let response = relay.ask(&Request::Metrics {})?;
    if relay.printed(&response) {
        return Ok(());
    }
    let Response::Metrics { text } = response else {
        return Err(unexpected());
    };
    output::text(&text);
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Verify the whole chain
    #[arg(long, conflicts_with = "lines")]
    verify: bool,
    /// Show so many of the last lines [default: 20]
    #[arg(long, value_name = "NUMBER")]
    lines: Option<usize>,
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl AuditArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let path = RelayConfig::audit_in(&self.relay.dir());
        if self.verify {
            let end = audit::verify(&path)?;
            if self.relay.json {
                output::json(&json!({ "is_unbroken": true, "end": end }));
            } else {
                output::line(format!(
                    "unbroken: {} lines, the last is {}",
                    end.n, end.hash
                ));
            }
            return Ok(());
        }
        let lines = audit::tail(&path, self.lines.unwrap_or(AUDIT_LINES))?;
        if self.relay.json {
            output::json(&json!({ "lines": lines }));
        } else {
            lines.iter().for_each(|line| output::line(line.to_string()));
        }
        Ok(())
    }
}
