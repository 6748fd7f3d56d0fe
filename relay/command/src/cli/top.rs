//! `top`: the relay and its tenants, drawn anew every second.
//!
//! ```text
//!  status, tenants, metrics --> Frame --difference to the one before--> rates --> plain text
//! ```
//!
//! Refuses to take over the terminal: it clears the screen where there is one, and prints otherwise.

use super::look::{controller, shown};
use super::table::{Column, bytes, table};
use super::{RelayArgs, block_on};
use crate::admin::client::{Client, unexpected};
use crate::admin::{Request, Response, Status};
use crate::operable::TenantStanding;
use clap::Args;
use postern_console::exit::CommandError;
use postern_console::{clock, output};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two drawings.
const PAUSE: Duration = Duration::from_secs(1);
/// Tenants in one drawing: a terminal has no more lines.
const TENANTS_MAX: usize = 30;
/// Refusals in one drawing.
const REFUSALS_MAX: usize = 6;
/// Home, and everything below it away: what every terminal of the last decades understands.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Print once, after one second of counting
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl TopArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let client = Client::connect(&self.relay.dir())?;
        block_on(self.watch(client))
    }

    async fn watch(&self, mut client: Client) -> Result<(), CommandError> {
        let mut before = Frame::read(&mut client)?;
        loop {
            tokio::time::sleep(PAUSE).await;
            let now = Frame::read(&mut client)?;
            if self.relay.json {
                output::line(now.to_json(&before).to_string());
            } else {
                let clear = match output::is_terminal() && !self.once {
                    true => CLEAR,
                    false => "",
                };
                output::text(&format!("{clear}{}", now.to_text(&before)));
            }
            if self.once {
                return Ok(());
            }
            before = now;
        }
    }
}

/// What was read at one moment.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    at_ms: u64,
    status: Box<Status>,
    tenants: Vec<TenantStanding>,
    /// Counters by name and labels.
    counters: BTreeMap<String, u64>,
}

impl Frame {
    fn read(client: &mut Client) -> Result<Self, CommandError> {
        let Response::Status { status } = client.ask(&Request::Status {})? else {
            return Err(unexpected());
        };
        let Response::Tenants { tenants } = client.ask(&Request::Tenants {})? else {
            return Err(unexpected());
        };
        let Response::Metrics { text } = client.ask(&Request::Metrics {})? else {
            return Err(unexpected());
        };
        Ok(Self::of(clock::mono_ms(), status, tenants, &text))
    }

    /// Puts together what was read; counters are taken from Prometheus text.
    pub(super) fn of(
        at_ms: u64,
        status: Box<Status>,
        tenants: Vec<TenantStanding>,
        text: &str,
    ) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let counters = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self {
            at_ms,
            status,
            tenants,
            counters: counters.collect(),
        }
    }

    /// Tenths per second since an earlier frame.
    fn rate(&self, before: &Self, now: u64, then: u64) -> u64 {
        let ms = self.at_ms.saturating_sub(before.at_ms).max(1);
        now.saturating_sub(then).saturating_mul(10_000) / ms
    }

    fn counter_rates(&self, before: &Self, prefix: &str) -> Vec<(String, u64)> {
        let of_prefix = self
            .counters
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        let mut rates: Vec<(String, u64)> = of_prefix
            .map(|(name, now)| {
                let then = before.counters.get(name).copied().unwrap_or_default();
                let label = name.split('"').nth(1).unwrap_or(name);
                (label.to_owned(), self.rate(before, *now, then))
            })
            .filter(|(_, rate)| *rate > 0)
            .collect();
        rates.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        rates
    }

    fn refusals(&self, before: &Self) -> Vec<(String, u64)> {
        let families = [
            "postern_envelopes_rejected_total",
            "postern_http_refusals_total",
            "postern_connections_refused_total",
        ];
        let all = families
            .iter()
            .flat_map(|name| self.counter_rates(before, name));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        all.truncate(REFUSALS_MAX);
        all
    }

    /// Arrivals and collected entries of one tenant, tenths per second.
    fn tenant_rates(&self, before: &Self, tenant: &TenantStanding) -> (u64, u64) {
        let mut all = before.tenants.iter();
        let then = all.find(|then| then.tenant == tenant.tenant);
        let (arrivals, cursor) = then.map_or((tenant.arrivals, tenant.cursor), |then| {
            (then.arrivals, then.cursor)
        });
        (
            self.rate(before, tenant.arrivals, arrivals),
            self.rate(before, tenant.cursor, cursor),
        )
    }

    /// The frame for people.
    pub(super) fn to_text(&self, before: &Self) -> String {
        let mut text = shown(&self.status);
        let exchanges = self.counter_rates(before, "postern_exchanges_total");
        text.push_str(&format!("exchanges  {}\n", listed(&exchanges)));
        text.push_str(&format!(
            "refused    {}\n\n",
            listed(&self.refusals(before))
        ));
        let columns = [
            Column::Text("TENANT"),
            Column::Text("CONTROLLER"),
            Column::Number("DEVICES"),
            Column::Number("SESSIONS"),
            Column::Number("BYTES"),
            Column::Number("WAITING"),
            Column::Number("ARRIVED/s"),
            Column::Number("COLLECTED/s"),
        ];
        let mut rows: Vec<(u64, Vec<String>)> = self
            .tenants
            .iter()
            .map(|tenant| {
                let (arrived, collected) = self.tenant_rates(before, tenant);
                let row = vec![
                    tenant.tenant.clone(),
                    controller(tenant),
                    tenant.devices.to_string(),
                    tenant.sessions.to_string(),
                    bytes(tenant.bytes),
                    tenant.arrivals.saturating_sub(tenant.cursor).to_string(),
                    tenths(arrived),
                    tenths(collected),
                ];
                (arrived, row)
            })
            .collect();
        // The busiest first; equals stay in the order of their names.
        rows.sort_by_key(|(load, _)| std::cmp::Reverse(*load));
        let left_out = rows.len().saturating_sub(TENANTS_MAX);
        rows.truncate(TENANTS_MAX);
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
        text.push_str(&table(&columns, &rows));
        if left_out > 0 {
            text.push_str(&format!("and {left_out} more: `postern-relay tenants`\n"));
        }
        text
    }

    /// The frame for programs, rates as tenths per second.
    pub(super) fn to_json(&self, before: &Self) -> serde_json::Value {
        let tenants = self.tenants.iter().map(|tenant| {
            let (arrived, collected) = self.tenant_rates(before, tenant);
            json!({ "tenant": tenant, "arrived_per_10_s": arrived, "collected_per_10_s": collected })
        });
        json!({
            "status": self.status,
            "exchanges_per_10_s": by_name(self.counter_rates(before, "postern_exchanges_total")),
            "refusals_per_10_s": by_name(self.refusals(before)),
            "tenants": tenants.collect::<Vec<_>>(),
        })
    }
}

fn by_name(rates: Vec<(String, u64)>) -> BTreeMap<String, u64> {
    rates.into_iter().collect()
}

fn tenths(rate: u64) -> String {
    format!("{}.{}", rate / 10, rate % 10)
}

fn listed(rates: &[(String, u64)]) -> String {
    if rates.is_empty() {
        return "none".into();
    }
    let parts: Vec<String> = rates
        .iter()
        .map(|(name, rate)| format!("{name} {}/s", tenths(*rate)))
        .collect();
    parts.join(", ")
}
