//! Requests that wait for what a device reports, up to their own time.
//!
//! Refuses to take silence for an answer: a wait that ends without news says so.

use super::{Desk, stopping};
use crate::controller::waiting::{Awaited, WaitEnd};
use crate::controller::work::Work;
use crate::exit::{CommandError, Exit};
use crate::operator::device_status::ResultJson;
use crate::operator::request::Target;
use crate::operator::response::Response;
use postern_protocol::id::Channel;
use postern_protocol::message::{IntentNote, IntentOutcome};
use postern_protocol::revision::Revision;
use postern_protocol::state::Path;
use std::time::Duration;

impl Desk {
    pub(super) async fn wait_applied(
        &self,
        target: Target,
        revision: Revision,
        timeout_ms: u64,
    ) -> Result<Response, CommandError> {
        let what = "did not report the revision as applied";
        match self
            .wait(target, Awaited::Applied(revision), timeout_ms, what)
            .await?
        {
            WaitEnd::Applied(applied) => Ok(Response::Applied {
                applied: applied.into(),
            }),
            WaitEnd::Failed(note) => Ok(Response::Failed {
                result: ResultJson {
                    epoch: note.revision.epoch.number(),
                    seq: note.revision.seq.number(),
                    status: note.status,
                    output: note.output,
                },
            }),
            WaitEnd::Fired(_) => Err(stopping()),
        }
    }

    pub(super) async fn wait_fired(
        &self,
        target: Target,
        path: Path,
        value: u64,
        timeout_ms: u64,
    ) -> Result<Response, CommandError> {
        let what = "did not report the intent as carried out";
        let awaited = Awaited::Fired { path, value };
        match self.wait(target, awaited, timeout_ms, what).await? {
            WaitEnd::Fired(note) => Ok(fired(note)),
            WaitEnd::Applied(_) | WaitEnd::Failed(_) => Err(stopping()),
        }
    }

    async fn wait(
        &self,
        target: Target,
        awaited: Awaited,
        timeout_ms: u64,
        what: &str,
    ) -> Result<WaitEnd, CommandError> {
        let name = target.device.to_string();
        let channel = Channel {
            root: self.root,
            tenant: target.tenant,
            device: target.device,
        }
        .id();
        let waiting = self.send(|reply| Work::Wait {
            channel,
            awaited,
            reply,
        });
        let timeout = Duration::from_millis(timeout_ms);
        tokio::time::timeout(timeout, waiting)
            .await
            .unwrap_or_else(|_elapsed| {
                Err(CommandError::new(
                    Exit::TimedOut,
                    "wait-timed-out",
                    format!("{name} {what} within {} s", timeout_ms.div_ceil(1_000)),
                    format!("the decision stands; look at `postern status {name}`"),
                ))
            })
    }
}

fn fired(note: Option<IntentNote>) -> Response {
    let outcome = note.map_or(
        IntentOutcome::Finished {
            status: 0,
            output: String::new(),
        },
        |note| note.outcome,
    );
    let word = outcome.as_str().to_owned();
    match outcome {
        IntentOutcome::Finished { status, output } => Response::Fired {
            outcome: word,
            status: Some(status),
            output,
        },
        IntentOutcome::Recorded
        | IntentOutcome::Fired
        | IntentOutcome::Lower
        | IntentOutcome::Jump
        | IntentOutcome::NotUint
        | IntentOutcome::TooManyVerbs
        | IntentOutcome::Interrupted => Response::Fired {
            outcome: word,
            status: None,
            output: String::new(),
        },
    }
}
