//! Evaluates on a thread of this process: for tests, and for programs that cannot start a process.
//!
//! The engine bounds itself here and nothing else does: a script that finds one of the engine's
//! loops without a clock occupies the thread for good, and a hole in the engine reaches this
//! process. A daemon uses [`super::ProcessEvaluator`].

use super::engine;
use super::evaluate::{Evaluate, Evaluation, Lookups, Question};
use super::fault::PacFault;
use std::io::ErrorKind;
use tokio::runtime::Handle;

/// Evaluates on a thread of this process; see the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadEvaluator;

impl Evaluate for ThreadEvaluator {
    fn evaluate(&self, question: Question, mut lookups: Lookups) -> Evaluation<'_> {
        Box::pin(async move {
            let handle = Handle::current();
            let running = tokio::task::spawn_blocking(move || {
                let look_up = Box::new(move |name: &str| handle.block_on(lookups.addresses(name)));
                engine::run(&question, look_up)
            });
            running.await.unwrap_or(Err(PacFault::Child {
                kind: ErrorKind::Interrupted,
            }))
        })
    }
}
