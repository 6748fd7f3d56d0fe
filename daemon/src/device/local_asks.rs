//! What applications and the device's own user ask of the engine's loop.
//!
//! Each question is answered in the turn that takes it, or by the event that ends it. Refuses
//! results and intents that nobody awaits.

use super::local::limits::ASKS_MAX;
use super::local::{self, Ask, Control, Desk, Problem, Reply};
use super::run::Driver;
use crate::config::ApplyBy;
use crate::exit::CommandError;
use postern_protocol::device::{Applied, Input};
use postern_protocol::revision::Revision;
use tokio::sync::mpsc;

impl Driver {
    /// Opens the local socket and serves it beside the loop.
    pub(super) fn open_local_api(&mut self) -> Result<mpsc::Receiver<Ask>, CommandError> {
        let listener = local::bind(&self.config.local_api)?;
        let (asks, receiver) = mpsc::channel(ASKS_MAX);
        let desk = Desk {
            view: self.view.subscribe(),
            asks,
        };
        let _task = crate::tasks::spawn(local::serve(listener, desk));
        Ok(receiver)
    }

    /// Answers one question, now or later.
    pub(super) fn handle_ask(&mut self, ask: Ask) -> Result<(), CommandError> {
        match ask {
            Ask::Result(applied, reply) => self.handle_result(applied, reply),
            Ask::Control(Control::LookAgain, reply) => {
                self.look_at_gate()?;
                answer(reply, Ok(()));
                Ok(())
            }
            Ask::Write(_, reply) | Ask::Replace(_, reply) => {
                answer(reply, Err(Problem::Overloaded));
                Ok(())
            }
            Ask::Done(_, reply) | Ask::Control(Control::Leave | Control::RotateKey, reply) => {
                answer(reply, Err(Problem::Overloaded));
                Ok(())
            }
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
}

/// Answers; a client that went away misses it.
fn answer<T>(reply: Reply<T>, result: Result<T, Problem>) {
    let _gone = reply.send(result);
}
