//! Commands that change a running relay: each stands in its audit log before it is done.
//!
//! Refuses to wait forever: `drain --wait` ends when the drain does.

use super::RelayArgs;
use crate::admin::client::{Client, unexpected};
use crate::admin::{Request, Response};
use crate::config::Change;
use crate::drain::Phase;
use crate::limits::DRAIN_WITHIN_S_MAX;
use clap::Args;
use postern_console::exit::CommandError;
use postern_console::output;
use std::time::Duration;

/// Between two looks at a drain.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// Over how long devices are told, such as 120s or 2m [default: drain.within_s of relay.toml]
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    within: Option<u64>,
    /// Return when nobody is held any more
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl DrainArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let mut client = Client::connect(&self.relay.dir())?;
        let request = Request::Drain {
            within_s: self.within,
        };
        let mut response = client.ask(&request)?;
        if self.wait {
            response = super::block_on(wait(client))?;
        }
        if self.relay.printed(&response) {
            return Ok(());
        }
        let Response::Draining { drain } = response else {
            return Err(unexpected());
        };
        output::line(match drain.phase {
            Phase::Over => format!(
                "drained: {} polls were answered, nobody is held",
                drain.told
            ),
            Phase::Announce | Phase::Spread | Phase::Grace => format!(
                "draining: over in {} s\n  next: `postern-relay status` shows how far it is; `postern-relay undrain` ends it",
                drain.left_ms.div_ceil(1_000)
            ),
        });
        Ok(())
    }
}

/// Looks until the drain is over.
async fn wait(mut client: Client) -> Result<Response, CommandError> {
    loop {
        let Response::Status { status } = client.ask(&Request::Status {})? else {
            return Err(unexpected());
        };
        let Some(drain) = status.drain else {
            return Err(CommandError::failure(
                "drain-ended",
                "somebody ended the drain with `undrain`",
                "look at `postern-relay audit`, then drain again",
            ));
        };
        if drain.phase == Phase::Over {
            return Ok(Response::Draining { drain });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Reads `120`, `120s` or `2m` as seconds.
pub(super) fn parse_seconds(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    seconds
        .filter(|seconds| (1..=DRAIN_WITHIN_S_MAX).contains(seconds))
        .ok_or_else(|| "must be 1s to 3600s, or 1m to 60m".into())
}

/// `undrain`.
pub(super) fn undrain(relay: &RelayArgs) -> Result<(), CommandError> {
    let response = relay.ask(&Request::Undrain {})?;
    if relay.printed(&response) {
        return Ok(());
    }
    let Response::Undrained { changed } = response else {
        return Err(unexpected());
    };
    output::line(match changed {
        true => "taking devices again",
        false => "it was not draining",
    });
    Ok(())
}

/// `reload`.
pub(super) fn reload(relay: &RelayArgs) -> Result<(), CommandError> {
    let response = relay.ask(&Request::Reload {})?;
    if relay.printed(&response) {
        return Ok(());
    }
    let Response::Reloaded {
        changed,
        needs_restart,
        ..
    } = response
    else {
        return Err(unexpected());
    };
    let show = |change: &Change, when: &str| {
        output::line(format!(
            "{when:<14} {}: {} -> {}",
            change.key, change.from, change.to
        ));
    };
    changed.iter().for_each(|change| show(change, "counts now"));
    needs_restart
        .iter()
        .for_each(|change| show(change, "needs restart"));
    if changed.is_empty() && needs_restart.is_empty() {
        output::line("nothing has changed; the certificate was read again");
    }
    if !needs_restart.is_empty() {
        output::hint("  next: `postern-relay drain --wait`, then restart the process");
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct QuotaArgs {
    /// The tenant
    tenant: String,
    /// Bytes of all its mailboxes together, in both directions [default: show the quota]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    bytes: Option<u64>,
    /// Take its own quota away: the bound of all mailboxes counts
    #[arg(long, conflicts_with = "bytes")]
    usual: bool,
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl QuotaArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let tenant = self.tenant.clone();
        let request = if self.usual || self.bytes.is_some() {
            let bytes_max = self.bytes;
            Request::SetQuota { tenant, bytes_max }
        } else {
            Request::Quota { tenant }
        };
        let response = self.relay.ask(&request)?;
        if self.relay.printed(&response) {
            return Ok(());
        }
        let Response::Quota { tenant, quota } = response else {
            return Err(unexpected());
        };
        let whose = if quota.is_usual {
            "the bound of all mailboxes, it has no quota of its own"
        } else {
            "its own"
        };
        output::line(format!("{tenant}: {} bytes ({whose})", quota.bytes_max));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct DisconnectArgs {
    /// The tenant
    tenant: String,
    /// Only this device
    device: Option<String>,
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl DisconnectArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let response = self.relay.ask(&Request::Disconnect {
            tenant: self.tenant.clone(),
            device: self.device.clone(),
        })?;
        if self.relay.printed(&response) {
            return Ok(());
        }
        let Response::Disconnected { sessions } = response else {
            return Err(unexpected());
        };
        output::line(format!("ended {sessions} sessions; they may come again"));
        Ok(())
    }
}
