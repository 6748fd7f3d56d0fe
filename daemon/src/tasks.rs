//! Starting tasks: the one place that detaches work from its caller.
//!
//! Refuses to keep a list of what it started: the handle says how a task ended.

use std::future::Future;
use tokio::task::JoinHandle;

/// Runs a future beside the caller. Dropping the handle leaves it running.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}
