//! What applications and the device's own user ask of the engine's loop.
//!
//! Each question is answered in the turn that takes it, or by the event that ends it, after the view shows
//! what came of it. Refuses
//! results and intents that nobody awaits.

use super::local::limits::ASKS_MAX;
use super::local::{self, Ask, Control, Desk, Done, Problem, Reply, Written};
use super::run::Driver;
use super::status::Shown;
use crate::applier::RESERVED_SECTIONS;
use crate::config::ApplyBy;
use crate::exit::CommandError;
use postern_protocol::device::{ActOutcome, Applied, Input};
use postern_protocol::reject::Reject;
use postern_protocol::revision::Revision;
use postern_protocol::state::{Change, Path, State, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

impl Driver {
    /// Opens the local socket and serves it beside the loop.
    pub(super) fn open_local_api(&mut self) -> Result<mpsc::Receiver<Ask>, CommandError> {
        let listener = local::bind(&self.config.local_api)?;
        let (asks, receiver) = mpsc::channel(ASKS_MAX);
        let desk = Desk {
            view: self.view.subscribe(),
            asks,
            attempts: Arc::clone(self.routes.dialer().attempts()),
            diagnosing: Arc::new(Semaphore::new(1)),
        };
        let _task = crate::tasks::spawn(local::serve(listener, desk));
        Ok(receiver)
    }

    /// Answers one question, now or later.
    pub(super) fn handle_ask(&mut self, ask: Ask) -> Result<(), CommandError> {
        match ask {
            Ask::Write(changes, reply) => self.write(changes, reply),
            Ask::Replace(values, reply) => {
                let changes = changes_to(self.engine.actual(), values);
                self.write(changes, reply)
            }
            Ask::Result(applied, reply) => self.handle_result(applied, reply),
            Ask::Done(done, reply) => self.handle_done(done, reply),
            Ask::Control(Control::LookAgain, reply) => {
                self.look_at_gate()?;
                self.show();
                answer(reply, Ok(()));
                Ok(())
            }
            Ask::Control(Control::Leave, reply) => {
                self.feed(Input::Leave)?;
                self.show();
                answer(reply, Ok(()));
                Ok(())
            }
            Ask::Diagnose(is_deep, reply) => {
                answer(reply, Ok(self.diagnosis(is_deep)));
                Ok(())
            }
            Ask::Control(Control::RotateKey, reply) => {
                let asked = self.rotate_key()?;
                self.show();
                answer(reply, asked);
                Ok(())
            }
        }
    }

    /// Decides about the actual state; the engine's event answers.
    fn write(&mut self, changes: Vec<Change>, reply: Reply<Written>) -> Result<(), CommandError> {
        if changes.is_empty() {
            let revision = self.engine.actual_head().map(|head| head.revision);
            let written = self.written(revision.unwrap_or(Revision::NONE), false);
            answer(reply, Ok(written));
            return Ok(());
        }
        self.tickets += 1;
        let ticket = self.tickets;
        self.writing.insert(ticket, reply);
        self.feed(Input::WriteActual { ticket, changes })
    }

    /// Tells who asked that a write is durable.
    pub(super) fn end_write(&mut self, ticket: u64, revision: Revision, is_change: bool) {
        let written = self.written(revision, is_change);
        // Whoever reads after the answer sees what the answer told of.
        self.show();
        if let Some(reply) = self.writing.remove(&ticket) {
            answer(reply, Ok(written));
        }
    }

    /// Tells who asked that a write is refused.
    pub(super) fn refuse_write(&mut self, ticket: u64, reject: Reject) {
        if let Some(reply) = self.writing.remove(&ticket) {
            let problem = match reject == Reject::DeltaRemoveAbsent {
                true => Problem::PathAbsent,
                false => Problem::Refused(reject),
            };
            answer(reply, Err(problem));
        }
    }

    fn written(&self, revision: Revision, is_change: bool) -> Written {
        Written {
            shown: Shown {
                revision,
                digest: *self.engine.actual().root(),
            },
            is_change,
        }
    }

    /// Takes how the application itself applied a revision.
    fn handle_result(&mut self, applied: Applied, reply: Reply<()>) -> Result<(), CommandError> {
        if self.config.apply.by != ApplyBy::Application {
            answer(reply, Err(Problem::NotYours));
            return Ok(());
        }
        let newest = self.engine.head().map(|head| head.revision);
        let Some(awaited) = self.awaited else {
            answer(reply, Err(Problem::ResultStale { awaited: None }));
            return Ok(());
        };
        if applied.revision != awaited && Some(applied.revision) != newest {
            let awaited = newest.or(Some(awaited));
            answer(reply, Err(Problem::ResultStale { awaited }));
            return Ok(());
        }
        if applied.revision != awaited {
            // The application went straight to the newest: what it passed over ended the same way.
            self.end_awaited(Applied {
                revision: awaited,
                ..applied.clone()
            })?;
        }
        self.end_awaited(applied)?;
        self.show();
        answer(reply, Ok(()));
        Ok(())
    }

    fn end_awaited(&mut self, applied: Applied) -> Result<(), CommandError> {
        self.awaited = None;
        self.feed(Input::Applied(applied))
    }

    /// Leaves a revision to the application.
    pub(super) fn await_application(&mut self, revision: Revision) {
        self.awaited = Some(revision);
    }

    /// Takes that the application acted on an intent.
    fn handle_done(&mut self, done: Done, reply: Reply<()>) -> Result<(), CommandError> {
        let mut marks = self.engine.intents();
        let is_due = marks
            .any(|(path, taken, ended)| *path == done.path && taken == done.value && ended < taken);
        drop(marks);
        if !is_due {
            answer(reply, Err(Problem::IntentAbsent));
            return Ok(());
        }
        if self.config.intents.contains_key(&done.path) {
            answer(reply, Err(Problem::NotYours));
            return Ok(());
        }
        let outcome = ActOutcome::Finished {
            status: done.status,
            output: done.output,
        };
        self.feed(Input::Acted {
            path: done.path,
            value: done.value,
            outcome,
        })?;
        self.show();
        answer(reply, Ok(()));
        Ok(())
    }
}

/// Answers; a client that went away misses it.
fn answer<T>(reply: Reply<T>, result: Result<T, Problem>) {
    let _gone = reply.send(result);
}

/// Returns what turns a state into exactly these values, beside what the device itself writes.
fn changes_to(state: &State, mut values: BTreeMap<Path, Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    let own = state
        .iter()
        .filter(|(path, _)| !RESERVED_SECTIONS.contains(&path.section()));
    for (path, held) in own {
        match values.remove(path) {
            Some(value) if value == *held => {}
            Some(value) => changes.push(Change::Set(path.clone(), value)),
            None => changes.push(Change::Remove(path.clone())),
        }
    }
    changes.extend(
        values
            .into_iter()
            .map(|(path, value)| Change::Set(path, value)),
    );
    changes
}

#[cfg(test)]
mod tests {
    use super::changes_to;
    use postern_protocol::state::{Change, Path, State, Value};

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn replacing_changes_only_what_differs() {
        let state = State::from_entries([
            (path("a"), Value::Bool(true)),
            (path("b"), Value::Bool(true)),
            (path("c"), Value::Null),
            (path("intent/restart"), Value::Int(3_u64.into())),
        ])
        .unwrap();
        let wanted = [
            (path("a"), Value::Bool(true)),
            (path("b"), Value::Bool(false)),
            (path("d"), Value::Null),
        ];
        let expected = [
            Change::Set(path("b"), Value::Bool(false)),
            Change::Remove(path("c")),
            Change::Set(path("d"), Value::Null),
        ];
        assert_eq!(changes_to(&state, wanted.into()), expected);
        assert_eq!(changes_to(&State::empty(), [].into()), []);
    }
}
