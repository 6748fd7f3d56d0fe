//! `postern intent`, `postern pause` and `postern resume`: what a device does, and when.
//!
//! An intent is a counter that only rises; a pause is a value like any other. Refuses to send
//! commands: both are desired state.

use super::desired::WAIT_S;
use super::{OperatorArgs, output, parse_device};
use crate::exit::CommandError;
use crate::operator::client::{Client, unexpected};
use crate::operator::{PAUSE, Request, Response};
use clap::Args;
use postern_protocol::id::DeviceName;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path, Value};
use serde_json::{Value as Json, json};

#[derive(Debug, Args)]
pub(super) struct IntentArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    /// The verb, as the device's configuration names it
    #[arg(value_name = "VERB", value_parser = parse_verb)]
    verb: Path,
    /// Wait until the device has carried it out, at most SECS seconds
    #[arg(long, value_name = "SECS", num_args = 0..=1, default_missing_value = WAIT_S, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: Option<u64>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

fn parse_verb(text: &str) -> Result<Path, &'static str> {
    if text.contains('/') {
        return Err("a verb is one word of a-z 0-9 . _ -");
    }
    Path::parse(&format!("intent/{text}")).map_err(postern_protocol::Reject::sentence)
}

impl IntentArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let mut client = Client::connect(&self.operator.dir())?;
        let target = self.operator.target(&self.device);
        let path = self.verb.clone();
        let request = Request::Intend { target, path };
        let Response::Intended { value, desired } = client.ask(&request)? else {
            return Err(unexpected());
        };
        let ended = self
            .wait
            .map(|seconds| self.wait(&mut client, value, seconds))
            .transpose()?;
        if self.operator.json {
            let mut printed = json!({
                "device": self.device.as_str(),
                "tenant": self.operator.tenant.as_str(),
                "intent": self.verb.as_str(),
                "value": value,
                "desired": desired,
            });
            if let (Some(ended), Some(members)) = (ended, printed.as_object_mut()) {
                members.insert("fired".into(), ended);
            }
            output::json(&printed);
        } else {
            let end = if ended.is_some() { ", carried out" } else { "" };
            output::line(format!(
                "raised {} of {} to {value}: epoch {} seq {}{end}",
                self.verb, self.device, desired.epoch, desired.seq
            ));
        }
        Ok(())
    }

    fn wait(&self, client: &mut Client, value: u64, seconds: u64) -> Result<Json, CommandError> {
        let request = Request::WaitIntent {
            target: self.operator.target(&self.device),
            path: self.verb.clone(),
            value,
            timeout_ms: seconds.saturating_mul(1_000),
        };
        let Response::Fired {
            outcome,
            status,
            output,
        } = client.ask(&request)?
        else {
            return Err(unexpected());
        };
        if status == Some(0) {
            return Ok(json!({ "outcome": outcome, "status": 0, "output": output }));
        }
        let how = status.map_or_else(|| outcome.clone(), |status| format!("status {status}"));
        Err(CommandError::failure(
            "intent-failed",
            format!(
                "{} did not carry out {}: {how} {}",
                self.device,
                self.verb,
                output.trim_end()
            ),
            "look at the device's configuration of this verb; raise the intent again to try again",
        ))
    }
}

impl PauseArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn pause(&self) -> Result<(), CommandError> {
        let mut client = Client::connect(&self.operator.dir())?;
        let changes = vec![Change::Set(pause_path()?, Value::Bool(true))];
        self.decide(&mut client, changes, None, "paused")
    }

    pub(super) fn resume(&self) -> Result<(), CommandError> {
        let mut client = Client::connect(&self.operator.dir())?;
        let request = Request::Get {
            target: self.operator.target(&self.device),
            path: Some(pause_path()?),
        };
        let Response::Values { desired, values } = client.ask(&request)? else {
            return Err(unexpected());
        };
        if values.is_empty() {
            return self.show(false, "running already", json!(desired));
        }
        let base = Revision::new(Epoch::new(desired.epoch), Seq::new(desired.seq));
        let changes = vec![Change::Remove(pause_path()?)];
        self.decide(&mut client, changes, Some(base), "resumed")
    }

    fn decide(
        &self,
        client: &mut Client,
        changes: Vec<Change>,
        base: Option<Revision>,
        word: &str,
    ) -> Result<(), CommandError> {
        let request = Request::Decide {
            target: self.operator.target(&self.device),
            changes,
            base,
        };
        let Response::Decided { desired, changed } = client.ask(&request)? else {
            return Err(unexpected());
        };
        self.show(changed, word, json!(desired))
    }

    fn show(&self, changed: bool, word: &str, desired: Json) -> Result<(), CommandError> {
        if self.operator.json {
            output::json(&json!({
                "device": self.device.as_str(),
                "tenant": self.operator.tenant.as_str(),
                "changed": changed,
                "desired": desired,
            }));
        } else {
            output::line(format!("{} is {word}", self.device));
        }
        Ok(())
    }
}

fn pause_path() -> Result<Path, CommandError> {
    Path::parse(PAUSE)
        .map_err(|reject| CommandError::failure(reject.as_str(), reject.sentence(), "report this"))
}
