//! Answers applications: reads from the view, passes everything else to the engine's loop.
//!
//! ```text
//!  GET  --> watch::Receiver<View>                 (any number of readers, no turn of the loop)
//!  else --> bounded channel of Ask --> loop --> reply   (full: 503)
//! ```
//!
//! Refuses to wait for the engine longer than a hung disk would take.

use super::limits::{ANSWER_DEADLINE, DIAGNOSIS_DEADLINE, WAIT_S_MAX};
use super::metrics;
use super::problem::Problem;
use super::request::{Control, Done, Question};
use crate::device::status::{Shown, revision_json};
use crate::device::view::View;
use crate::operator::value;
use postern_console::doctor::{Case, examine};
use postern_egress::attempts::Attempts;
use postern_protocol::device::Applied;
use postern_protocol::revision::Revision;
use postern_protocol::state::{Change, Path, State, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Problem>>;

/// What the engine's loop is asked.
#[derive(Debug)]
pub enum Ask {
    /// One decision about the actual state.
    Write(Vec<Change>, Reply<Written>),
    /// The actual state shall hold exactly this beside what the device itself writes.
    Replace(BTreeMap<Path, Value>, Reply<Written>),
    /// How applying a revision ended.
    Result(Applied, Reply<()>),
    /// An intent is done.
    Done(Done, Reply<()>),
    /// Something of the user who runs the device.
    Control(Control, Reply<()>),
    /// What a diagnosis needs to know; true for a thorough one.
    Diagnose(bool, Reply<Case>),
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The actual state's revision and digest after it.
    pub shown: Shown,
    /// False when everything was so already.
    pub is_change: bool,
}

/// An answer that is no problem.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// 200 with JSON; the revision makes the ETag.
    Json(Json, Option<Revision>),
    /// 200 with text for scrapers.
    Text(String),
    /// 204: the wait ran out; the revision makes the ETag.
    Unchanged(Revision),
}

/// Everything that is needed to answer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    /// What the driver shows.
    pub view: watch::Receiver<View>,
    /// Where questions for the engine go.
    pub asks: mpsc::Sender<Ask>,
    /// The last attempts to get out.
    pub attempts: Arc<Attempts>,
    /// Taken while a diagnosis runs: one at a time.
    pub diagnosing: Arc<Semaphore>,
}

impl Desk {
    /// Answers one question; `is_owner` says that the user who runs the device asks.
    ///
    /// # Errors
    /// The problem to tell the client.
    pub async fn answer(&self, question: Question, is_owner: bool) -> Result<Answer, Problem> {
        match question {
            Question::Desired {
                path,
                after,
                wait_s,
            } => self.desired(path.as_ref(), after, wait_s).await,
            Question::Actual { path } => {
                let view = self.view.borrow();
                let shown = view.status.actual;
                let values = select(&view.actual, path.as_ref())?;
                Ok(state_answer(shown, None, values))
            }
            Question::Status => Ok(Answer::Json(self.view.borrow().status_json(), None)),
            Question::Metrics => {
                let page = metrics::render(&self.view.borrow(), &self.attempts);
                Ok(Answer::Text(page))
            }
            Question::Attempts => Ok(Answer::Json(attempts(&self.attempts), None)),
            Question::Intents => Ok(intents(&self.view.borrow())),
            Question::Write(changes) => self
                .ask(|reply| Ask::Write(changes, reply))
                .await
                .map(written),
            Question::Replace(values) => self
                .ask(|reply| Ask::Replace(values, reply))
                .await
                .map(written),
            Question::Result(applied) => self
                .ask(|reply| Ask::Result(applied, reply))
                .await
                .map(done),
            Question::Done(intent) => self.ask(|reply| Ask::Done(intent, reply)).await.map(done),
            Question::Control(control) if is_owner => self
                .ask(|reply| Ask::Control(control, reply))
                .await
                .map(done),
            Question::Diagnose { is_deep } if is_owner => self.diagnose(is_deep).await,
            Question::Control(_) | Question::Diagnose { .. } => Err(Problem::OwnerOnly),
        }
    }

    /// Walks the ways beside the engine's loop.
    async fn diagnose(&self, is_deep: bool) -> Result<Answer, Problem> {
        let _turn = self
            .diagnosing
            .try_acquire()
            .map_err(|_busy| Problem::Overloaded)?;
        let case = self.ask(|reply| Ask::Diagnose(is_deep, reply)).await?;
        let report = timeout(DIAGNOSIS_DEADLINE, examine(&case)).await;
        let report = report.map_err(|_elapsed| Problem::Overloaded)?;
        let json = serde_json::to_value(&report);
        Ok(Answer::Json(json.unwrap_or_default(), None))
    }

    async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Ask) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.asks
            .try_send(make(reply))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Problem::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Problem::Stopping,
            })?;
        match timeout(ANSWER_DEADLINE, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_gone)) => Err(Problem::Stopping),
            Err(_elapsed) => Err(Problem::Overloaded),
        }
    }

    async fn desired(
        &self,
        path: Option<&Path>,
        after: Option<Revision>,
        wait_s: u64,
    ) -> Result<Answer, Problem> {
        let mut view = self.view.clone();
        if let Some(after) = after {
            let wait = Duration::from_secs(wait_s.min(WAIT_S_MAX));
            let news = timeout(wait, view.wait_for(|view| revision_of(view) != after)).await;
            match news {
                Ok(Ok(_)) => {}
                Ok(Err(_gone)) => return Err(Problem::Stopping),
                Err(_elapsed) => return Ok(Answer::Unchanged(after)),
            }
        }
        let view = view.borrow();
        let values = select(&view.desired, path)?;
        let applied = Some(view.status.applied);
        Ok(state_answer(view.status.accepted, applied, values))
    }
}

fn revision_of(view: &View) -> Revision {
    view.status
        .accepted
        .map_or(Revision::NONE, |shown| shown.revision)
}

/// Returns the values of a path and of all below it, or all.
fn select(state: &State, path: Option<&Path>) -> Result<Map<String, Json>, Problem> {
    let below = path.map(|path| format!("{path}/"));
    let is_wanted = |found: &Path| match (path, &below) {
        (Some(path), Some(below)) => found == path || found.as_str().starts_with(below),
        (None, _) | (_, None) => true,
    };
    let values: Map<_, _> = state
        .iter()
        .filter(|(found, _)| is_wanted(found))
        .map(|(found, set)| (found.to_string(), value::to_json(set)))
        .collect();
    if path.is_some() && values.is_empty() {
        return Err(Problem::PathAbsent);
    }
    Ok(values)
}

fn state_answer(
    shown: Option<Shown>,
    applied: Option<Revision>,
    values: Map<String, Json>,
) -> Answer {
    let mut json = json!({
        "revision": shown.map(|shown| revision_json(shown.revision)),
        "digest": shown.map(|shown| shown.digest.to_string()),
        "values": values,
    });
    if let (Some(members), Some(applied)) = (json.as_object_mut(), applied) {
        members.insert("applied".into(), revision_json(applied));
    }
    let revision = shown.map_or(Revision::NONE, |shown| shown.revision);
    Answer::Json(json, Some(revision))
}

fn written(written: Written) -> Answer {
    let Written { shown, is_change } = written;
    let json = json!({
        "revision": revision_json(shown.revision),
        "digest": shown.digest.to_string(),
        "changed": is_change,
    });
    Answer::Json(json, Some(shown.revision))
}

fn done((): ()) -> Answer {
    Answer::Json(json!({ "done": true }), None)
}

/// The last attempts, the oldest first.
fn attempts(attempts: &Attempts) -> Json {
    let each = attempts.last().into_iter().map(|(age, attempt)| {
        json!({
            "age_ms": u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            "route": attempt.route,
            "stage": attempt.stage.as_str(),
            "code": attempt.code,
            "took_ms": attempt.took_ms,
        })
    });
    json!({ "attempts": each.collect::<Vec<_>>() })
}

fn intents(view: &View) -> Answer {
    let intents: Vec<_> = view
        .intents
        .iter()
        .map(|intent| {
            json!({
                "verb": intent.verb(),
                "value": intent.taken,
                "done": intent.done,
                "pending": intent.taken > intent.done,
                "by": if intent.is_configured { "command" } else { "application" },
            })
        })
        .collect();
    Answer::Json(json!({ "intents": intents }), None)
}
