//! Starting tasks: the one place that detaches work from its caller.

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
