//! `postern recover` and `postern evidence`: what to do when a device knows better.
//!
//! Refuses to choose by itself: which history counts is the operator's decision.

use super::{OperatorArgs, output, parse_device};
use crate::exit::CommandError;
use crate::operator::client::{Client, unexpected};
use crate::operator::{Request, Response, TakeSide};
use clap::{Args, ValueEnum};
use postern_protocol::id::DeviceName;
use serde_json::json;

/// Whose content counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// What the device holds
    Device,
    /// What this controller decided since
    Controller,
}

#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    /// Whose content counts from now on
    #[arg(long, value_enum, value_name = "device|controller")]
    take: Side,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct EvidenceArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

impl RecoverArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let request = Request::Recover {
            target: self.operator.target(&self.device),
            take: match self.take {
                Side::Device => TakeSide::Device,
                Side::Controller => TakeSide::Controller,
            },
        };
        let Response::Recovered {
            epoch,
            first,
            last,
            take,
        } = Client::connect(&self.operator.dir())?.ask(&request)?
        else {
            return Err(unexpected());
        };
        if self.operator.json {
            output::json(&json!({
                "device": self.device.as_str(),
                "tenant": self.operator.tenant.as_str(),
                "epoch": epoch, "first": first, "last": last, "take": take,
            }));
        } else {
            let whose = match take {
                TakeSide::Device => "the device's",
                TakeSide::Controller => "this controller's",
            };
            output::line(format!(
                "recovered {}: {whose} content counts; the range was epoch {epoch} seq {first} to {last}",
                self.device
            ));
        }
        Ok(())
    }
}

impl EvidenceArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let request = Request::Evidence {
            target: self.operator.target(&self.device),
        };
        let Response::Evidence { evidence } =
            Client::connect(&self.operator.dir())?.ask(&request)?
        else {
            return Err(unexpected());
        };
        if self.operator.json {
            output::json(&json!({
                "device": self.device.as_str(),
                "tenant": self.operator.tenant.as_str(),
                "evidence": evidence,
            }));
            return Ok(());
        }
        if evidence.is_empty() {
            output::line(format!(
                "{} proved nothing against this controller",
                self.device
            ));
        }
        for one in evidence {
            let by = if one.proven {
                "signed by this controller's own key"
            } else {
                "by the device's word"
            };
            output::line(format!(
                "{} at epoch {} seq {} {} ({by})",
                one.code, one.head.epoch, one.head.seq, one.head.digest
            ));
        }
        Ok(())
    }
}
