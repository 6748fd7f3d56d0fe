//! Group commit: one thread that owns all commits, behind a queue bounded in bytes.
//!
//! The thread never waits to fill a group: it takes what is queued, up to 256 batches, commits
//! it at once as one transaction, and resolves every caller of the group; what arrives meanwhile
//! forms the next group. A full queue refuses before anything is stored. After the first failed
//! commit nothing is acknowledged any more and every later submit is refused: the process has to
//! exit and reopen the store.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use tokio::sync::oneshot;

use super::limits::{GROUP_BATCHES_MAX, GROUP_BYTES_MAX};
use super::{Batch, Durable, Store, StoreError};

#[cfg(test)]
mod tests;

/// The one committer of a store. Share it in an [`Arc`]; dropping it commits what is queued.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A submitted batch: a future, or something to wait for.
///
/// Dropping it does not take the batch back.
#[derive(Debug)]
#[must_use = "nothing may be acknowledged before this resolves to a Durable"]
pub struct Pending(oneshot::Receiver<Result<Durable, StoreError>>);

impl Writer {
    /// Starts the thread that commits to `store`; `queue_bytes_max` bounds what waits for it, the
    /// commit under way included (default: [`QUEUE_BYTES_MAX`](super::limits::QUEUE_BYTES_MAX)).
    ///
    /// # Errors
    ///
    /// The machine's, where it has no thread to give.
    pub fn start(store: Arc<dyn Store>, queue_bytes_max: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                bytes: 0,
                phase: Phase::Open,
            }),
            changed: Condvar::new(),
            queue_bytes_max,
        });
        let committer = Committer {
            shared: Arc::clone(&shared),
            store,
        };
        let thread = thread::Builder::new()
            .name("postern-store".to_owned())
            .spawn(move || committer.run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a batch, or refuses it at once; never waits.
    ///
    /// Batches are committed in the order in which they were submitted.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] for a batch that can never be stored, [`StoreError::QueueFull`]
    /// where there is no room now, the first failure after a failed commit,
    /// [`StoreError::Closed`] after [`Writer::close`]. Nothing has been stored in any of them.
    pub fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        batch.check()?;
        let bytes = batch.size_bytes();
        let bytes_max = self.shared.queue_bytes_max;
        if bytes > bytes_max {
            return Err(StoreError::TooLarge {
                what: "batch",
                bytes,
                bytes_max,
            });
        }
        let mut queue = self.shared.queue();
        match &queue.phase {
            Phase::Open => {}
            Phase::Closing => return Err(StoreError::Closed),
            Phase::Failed(error) => return Err(error.clone()),
        }
        let bytes_after = queue.bytes.saturating_add(bytes);
        if bytes_after > bytes_max {
            return Err(StoreError::QueueFull { bytes, bytes_max });
        }
        let (caller, pending) = oneshot::channel();
        queue.bytes = bytes_after;
        queue.waiting.push_back(Waiting { batch, caller });
        drop(queue);
        self.shared.changed.notify_one();
        Ok(Pending(pending))
    }

    /// Submits a batch and blocks this thread until it is durable. Not for async tasks.
    ///
    /// # Errors
    ///
    /// As [`Writer::submit`], and the commit's own.
    pub fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        self.submit(batch)?.wait()
    }

    /// Refuses further batches, commits those queued, and returns when the thread has ended. The
    /// store itself stays open.
    ///
    /// # Errors
    ///
    /// The first failed commit.
    pub fn close(&self) -> Result<(), StoreError> {
        {
            let mut queue = self.shared.queue();
            match queue.phase {
                Phase::Open => queue.phase = Phase::Closing,
                Phase::Closing | Phase::Failed(_) => {}
            }
        }
        self.shared.changed.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic of the thread has already been turned into `Phase::Failed`.
            drop(thread.join());
        }
        match &self.shared.queue().phase {
            Phase::Open | Phase::Closing => Ok(()),
            Phase::Failed(error) => Err(error.clone()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Every caller with a stake in the outcome holds a `Pending`.
        drop(self.close());
    }
}

impl Pending {
    /// Blocks this thread until the batch is durable or has failed. Not for async tasks.
    ///
    /// # Errors
    ///
    /// The commit's; nothing may be acknowledged then.
    pub fn wait(self) -> Result<Durable, StoreError> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut pending = pin!(self);
        loop {
            match pending.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Future for Pending {
    type Output = Result<Durable, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|outcome| outcome.unwrap_or(Err(StoreError::Closed)))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    queue_bytes_max: usize,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Bytes of all batches not yet resolved, those of the commit under way included.
    bytes: usize,
    phase: Phase,
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    caller: oneshot::Sender<Result<Durable, StoreError>>,
}

#[derive(Debug)]
enum Phase {
    Open,
    /// Commits what is queued, takes nothing more.
    Closing,
    /// A commit failed with this; nothing is acknowledged any more.
    Failed(StoreError),
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic runs under this lock, so the queue is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work and takes a group of it; `None` when closed and empty, or failed.
    fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        while queue.waiting.is_empty() {
            match queue.phase {
                Phase::Open => {
                    queue = self
                        .changed
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Phase::Closing | Phase::Failed(_) => return None,
            }
        }
        let mut group = Vec::new();
        let mut bytes = 0_usize;
        while let Some(next) = queue.waiting.front() {
            bytes = bytes.saturating_add(next.batch.size_bytes());
            let full = group.len() >= GROUP_BATCHES_MAX || bytes > GROUP_BYTES_MAX;
            if full && !group.is_empty() {
                break;
            }
            group.extend(queue.waiting.pop_front());
        }
        Some(group)
    }

    /// Refuses everything queued and everything to come.
    fn fail(&self, error: &StoreError) {
        let mut queue = self.queue();
        queue.phase = Phase::Failed(error.clone());
        queue.bytes = 0;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for refused in waiting {
            resolve(refused.caller, Err(error.clone()));
        }
    }
}

/// The thread's side. Its drop covers a panic inside the store.
struct Committer {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
}

impl Committer {
    fn run(self) {
        while let Some(group) = self.shared.next_group() {
            let mut all = Batch::new();
            let mut callers = Vec::with_capacity(group.len());
            for waiting in group {
                all.append(waiting.batch);
                callers.push(waiting.caller);
            }
            let bytes = all.size_bytes();
            match self.store.commit(all) {
                Ok(durable) => {
                    let mut queue = self.shared.queue();
                    queue.bytes = queue.bytes.saturating_sub(bytes);
                    drop(queue);
                    for caller in callers {
                        resolve(caller, Ok(durable.shared_by_group()));
                    }
                }
                Err(error) => {
                    // Closed to newcomers first: no submit may slip in behind the failure.
                    self.shared.fail(&error);
                    for caller in callers {
                        resolve(caller, Err(error.clone()));
                    }
                    return;
                }
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.fail(&StoreError::Panicked);
        }
    }
}

fn resolve(
    caller: oneshot::Sender<Result<Durable, StoreError>>,
    outcome: Result<Durable, StoreError>,
) {
    // A caller that no longer waits has dropped its `Pending`.
    drop(caller.send(outcome));
}
