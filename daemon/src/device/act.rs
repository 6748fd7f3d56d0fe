//! Running the commands of intents.
//!
//! An intent without a command waits for the application, which finds it at `/v1/intents`. Refuses
//! to run a command twice that may run at most once.

use super::run::{Driver, Happening};
use super::start::program;
use crate::applier::{self, Call, Finished};
use crate::config::Delivery;
use postern_protocol::device::ActOutcome;
use postern_protocol::limits::RESULT_OUTPUT_BYTES_MAX;
use postern_protocol::state::Path;

impl Driver {
    /// Runs the command of an intent beside the loop.
    pub(super) fn act(&mut self, path: Path, value: u64, is_retry: bool) {
        let Some(intent) = self.config.intents.get(&path) else {
            tracing::info!(
                path = path.as_str(),
                value,
                "intent waits for the application"
            );
            return;
        };
        let is_over = is_retry && intent.delivery == Delivery::AtMostOnce;
        let program = program(&self.config, &intent.command);
        let verb = path.as_str().split_once('/').map_or("", |(_, verb)| verb);
        let call = Call {
            variables: vec![
                ("POSTERN_INTENT", verb.into()),
                ("POSTERN_VALUE", value.to_string().into()),
            ],
            input: serde_json::json!({ "intent": verb, "value": value, "is_retry": is_retry }),
        };
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let outcome = if is_over {
                ActOutcome::Interrupted
            } else {
                let Finished { status, output } = applier::run(&program, &call).await;
                let output = applier::end_of(&output, RESULT_OUTPUT_BYTES_MAX).to_owned();
                ActOutcome::Finished { status, output }
            };
            let ended = Happening::Acted {
                path,
                value,
                outcome,
            };
            let _closed = sender.send(ended).await;
        });
    }
}
