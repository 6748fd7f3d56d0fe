//! The loop around the controller's engine: one thread, one commit for all that waited.
//!
//! ```text
//!   work, work, work --> engine --> writes + everything else
//!                         writes --commit--> then posts, answers, events
//! ```
//!
//! The thread takes whatever is queued and commits at once; it never waits to fill a batch.
//! Nothing leaves before the commit. A store that fails ends the process.

mod carry_out;
mod note;
mod take;

use super::host::Directory;
use super::metrics::EventCounts;
use super::relays::Relays;
use super::replies::Replies;
use super::timer::TimerHandle;
use super::waiting::{Awaited, WaitEnd, Waiters};
use super::work::Work;
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::records::Loaded;
use crate::{clock, records};
use postern_protocol::Reject;
use postern_protocol::context::Keyring;
use postern_protocol::controller::{Context, Controller, Event, Input, Output};
use postern_protocol::id::{ChannelId, DeviceName, Tenant};
use postern_protocol::record::Write;
use postern_relay::exchange::MailboxKeys;
use postern_relay::server::{Mailbox, Taken};
use postern_relay::store::{Store, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pieces of work in one commit at most. Arbitrary; bounds what one failure takes along.
const BATCH_MAX: usize = 256;

/// What happens after the commit.
enum Deferred {
    Output(Box<Output>),
    Taken(
        oneshot::Sender<Result<Taken, Reject>>,
        Result<Taken, Reject>,
    ),
    Done(oneshot::Sender<Result<(), Reject>>),
    Exported(
        oneshot::Sender<Result<Vec<Vec<u8>>, Reject>>,
        Result<Vec<Vec<u8>>, Reject>,
    ),
    MailboxKeys(MailboxKeys),
    Wait(ChannelId, Awaited, oneshot::Sender<WaitEnd>),
    Read(Box<dyn FnOnce(&Controller) + Send>),
    Copy(oneshot::Sender<Result<Vec<Loaded>, StoreError>>),
}

/// What one commit holds, and what waits for it.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    deferred: Vec<Deferred>,
}

/// What the driver works with.
pub struct Parts {
    /// The engine.
    pub engine: Controller,
    /// The writer keys.
    pub keys: Box<dyn Keyring + Send>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The embedded mailbox.
    pub mailbox: Mailbox,
    /// Who is admitted.
    pub directory: Directory,
    /// What happened, counted.
    pub counts: Arc<EventCounts>,
    /// The relays, beside the embedded mailbox.
    pub relays: Relays,
    /// Wakes the loop at the moment that the engine names.
    pub timer: TimerHandle,
}

/// The engine and everything that it needs.
pub struct Driver {
    parts: Parts,
    replies: Replies,
    waiters: Waiters,
    wants_snapshot: BTreeSet<ChannelId>,
    /// Devices whose plane got a new head that no heartbeat has acknowledged yet.
    unacknowledged: BTreeSet<ChannelId>,
}

impl Driver {
    /// Puts the loop together; [`Self::run`] starts it.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            replies: Replies::default(),
            waiters: Waiters::default(),
            wants_snapshot: BTreeSet::new(),
            unacknowledged: BTreeSet::new(),
        }
    }

    /// Opens this start's epoch: members are admitted and their snapshots posted.
    ///
    /// # Errors
    /// The store failed.
    pub fn open(&mut self) -> Result<(), CommandError> {
        let mut batch = Batch::default();
        self.feed(Input::Start, &mut batch);
        self.finish(batch)
    }

    /// Works until it is told to stop or nobody can ask any more.
    ///
    /// # Errors
    /// The store failed; nothing of the failed batch left the process.
    pub fn run(mut self, mut work: mpsc::Receiver<Work>) -> Result<(), CommandError> {
        while let Some(first) = work.blocking_recv() {
            let mut batch = Batch::default();
            let mut is_last = self.take(first, &mut batch);
            for _ in 1..BATCH_MAX {
                if is_last {
                    break;
                }
                let Ok(next) = work.try_recv() else { break };
                is_last = self.take(next, &mut batch);
            }
            self.finish(batch)?;
            if is_last {
                break;
            }
        }
        self.parts.store.close().map_err(CommandError::from)
    }

    /// Commits, then lets everything else happen, until no mailbox wants a snapshot.
    fn finish(&mut self, batch: Batch) -> Result<(), CommandError> {
        self.release(batch)?;
        let wanting = std::mem::take(&mut self.wants_snapshot);
        let mut batch = Batch::default();
        for channel in wanting {
            self.feed(Input::SnapshotWanted { channel }, &mut batch);
        }
        self.release(batch)?;
        self.wants_snapshot.clear();
        self.parts.timer.set(self.parts.engine.poll_timeout());
        Ok(())
    }

    fn release(&mut self, batch: Batch) -> Result<(), CommandError> {
        if !batch.writes.is_empty() {
            let _durable = records::commit(self.parts.store.as_ref(), batch.writes)?;
        }
        for one in batch.deferred {
            match one {
                Deferred::Output(output) => self.carry_out(*output),
                Deferred::Taken(reply, result) => drop(reply.send(result)),
                Deferred::Done(reply) => drop(reply.send(Ok(()))),
                Deferred::Exported(reply, result) => drop(reply.send(result)),
                Deferred::MailboxKeys(keys) => self.parts.mailbox.replace_keys(keys),
                Deferred::Wait(channel, awaited, reply) => {
                    self.waiters
                        .add(&self.parts.engine, channel, awaited, reply);
                }
                Deferred::Read(read) => read(&self.parts.engine),
                Deferred::Copy(reply) => {
                    drop(reply.send(records::load(self.parts.store.as_ref())));
                }
            }
        }
        Ok(())
    }

    /// Writes a file for a device from what the engine holds; it leaves behind the commit.
    fn export(&mut self, tenant: &Tenant, device: &DeviceName) -> Result<Vec<Vec<u8>>, Reject> {
        let mut random = OsRandom;
        let Parts { engine, keys, .. } = &mut self.parts;
        let mut context = Context {
            now: clock::now(),
            random: &mut random,
            keys: keys.as_ref(),
        };
        engine.export(&mut context, tenant, device)
    }

    /// Feeds the engine and sorts its outputs.
    fn feed(&mut self, input: Input<'_>, batch: &mut Batch) {
        let _refused = self.feed_posted(input, batch);
    }

    /// Feeds the engine what a peer sent and sorts its outputs. Tells what is wanted for it, or
    /// why it was refused.
    fn feed_posted(&mut self, input: Input<'_>, batch: &mut Batch) -> Result<Taken, Reject> {
        let mut random = OsRandom;
        let Parts { engine, keys, .. } = &mut self.parts;
        let mut context = Context {
            now: clock::now(),
            random: &mut random,
            keys: keys.as_ref(),
        };
        engine.handle_input(&mut context, input);
        let mut result = Ok(Taken::default());
        while let Some(output) = engine.poll_output() {
            if let Output::Persist(more) = output {
                batch.writes.extend(more);
                continue;
            }
            if let Output::Wanted { wanted, .. } = output {
                if let Ok(taken) = &mut result {
                    taken.wanted.extend(wanted);
                }
                continue;
            }
            if let Output::Event(Event::Rejected { reject, .. }) = &output {
                result = Err(*reject);
            }
            batch.deferred.push(Deferred::Output(Box::new(output)));
        }
        result
    }
}
