//! The loop around the controller's engine: one thread, one commit for all that waited.
//!
//! ```text
//!   work, work, work --> engine --> writes + everything else
//!                         writes --commit--> then posts, answers, events
//! ```
//!
//! The thread takes whatever is queued and commits at once; it never waits to fill a batch.
//! Nothing leaves before the commit. A store that fails ends the process.

use super::host::Directory;
use super::replies::{Replies, Reply};
use super::waiting::{WaitEnd, Waiters};
use super::work::{Decided, Work};
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::{clock, records};
use postern_protocol::Reject;
use postern_protocol::context::Keyring;
use postern_protocol::controller::{Context, Controller, Event, Input, Output, Post};
use postern_protocol::id::ChannelId;
use postern_protocol::record::Write;
use postern_protocol::revision::{Generation, Revision};
use postern_relay::exchange::AdmittedDevice;
use postern_relay::server::Mailbox;
use postern_relay::store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pieces of work in one commit at most. Arbitrary; bounds what one failure takes along.
const BATCH_MAX: usize = 256;

/// What happens after the commit.
enum Deferred {
    Output(Box<Output>),
    Posted(oneshot::Sender<Result<(), Reject>>, Result<(), Reject>),
    Wait(ChannelId, Revision, oneshot::Sender<WaitEnd>),
    Read(Box<dyn FnOnce(&Controller) + Send>),
}

/// What one commit holds, and what waits for it.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    deferred: Vec<Deferred>,
}

/// The engine and everything that it needs.
pub struct Driver {
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
    replies: Replies,
    waiters: Waiters,
    wants_snapshot: BTreeSet<ChannelId>,
}

impl Driver {
    /// Puts the loop together; [`Self::run`] starts it.
    #[must_use]
    pub fn new(
        engine: Controller,
        keys: Box<dyn Keyring + Send>,
        store: Arc<dyn Store>,
        mailbox: Mailbox,
        directory: Directory,
    ) -> Self {
        Self {
            engine,
            keys,
            store,
            mailbox,
            directory,
            replies: Replies::default(),
            waiters: Waiters::default(),
            wants_snapshot: BTreeSet::new(),
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
        self.store.close().map_err(CommandError::from)
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
        Ok(())
    }

    fn release(&mut self, batch: Batch) -> Result<(), CommandError> {
        if !batch.writes.is_empty() {
            let _durable = records::commit(self.store.as_ref(), batch.writes)?;
        }
        for one in batch.deferred {
            match one {
                Deferred::Output(output) => self.execute(*output),
                Deferred::Posted(reply, result) => drop(reply.send(result)),
                Deferred::Wait(channel, revision, reply) => {
                    self.waiters.add(&self.engine, channel, revision, reply);
                }
                Deferred::Read(read) => read(&self.engine),
            }
        }
        Ok(())
    }

    /// Gives one piece of work to the engine. Returns true when it was the last.
    fn take(&mut self, work: Work, batch: &mut Batch) -> bool {
        match work {
            Work::Invite {
                tenant,
                device,
                token,
                secret,
                reply,
            } => {
                let ticket = self.replies.ticket(Reply::Invite(reply));
                let input = Input::Invite {
                    ticket,
                    tenant,
                    device,
                    token,
                    secret,
                    expires_unix_s: None,
                };
                self.feed(input, batch);
            }
            Work::Decide {
                tenant,
                device,
                changes,
                reply,
            } => {
                let ticket = self.replies.ticket(Reply::Decide(reply));
                let input = Input::Decide {
                    ticket,
                    tenant,
                    device,
                    changes,
                };
                self.feed(input, batch);
            }
            Work::Enrol { frame, reply } => {
                let ticket = self.replies.ticket(Reply::Enrol(reply));
                let frame = frame.as_slice();
                self.feed(Input::Enrol { ticket, frame }, batch);
            }
            Work::Posted {
                channel,
                envelope,
                reply,
            } => {
                self.take_posted(channel, &envelope, reply, batch);
            }
            Work::Wait {
                channel,
                revision,
                reply,
            } => {
                batch
                    .deferred
                    .push(Deferred::Wait(channel, revision, reply));
            }
            Work::Read(read) => batch.deferred.push(Deferred::Read(read)),
            Work::Stop => return true,
        }
        false
    }

    fn take_posted(
        &mut self,
        channel: ChannelId,
        envelope: &[u8],
        reply: oneshot::Sender<Result<(), Reject>>,
        batch: &mut Batch,
    ) {
        let input = Input::Received {
            channel,
            envelope,
            is_live: true,
        };
        let result = self.feed_posted(input, batch);
        batch.deferred.push(Deferred::Posted(reply, result));
    }

    /// Feeds the engine and sorts its outputs.
    fn feed(&mut self, input: Input<'_>, batch: &mut Batch) {
        let _refused = self.feed_posted(input, batch);
    }

    /// Feeds the engine what a peer sent and sorts its outputs. Tells whether it was refused.
    fn feed_posted(&mut self, input: Input<'_>, batch: &mut Batch) -> Result<(), Reject> {
        let mut random = OsRandom;
        let mut context = Context {
            now: clock::now(),
            random: &mut random,
            keys: self.keys.as_ref(),
        };
        self.engine.handle_input(&mut context, input);
        let mut result = Ok(());
        while let Some(output) = self.engine.poll_output() {
            if let Output::Persist(more) = output {
                batch.writes.extend(more);
                continue;
            }
            if let Output::Event(Event::Rejected { reject, .. }) = &output {
                result = Err(*reject);
            }
            batch.deferred.push(Deferred::Output(Box::new(output)));
        }
        result
    }

    fn execute(&mut self, output: Output) {
        match output {
            Output::Persist(_) => unreachable!("writes were taken out and committed before"),
            Output::Admit {
                channel,
                incarnation,
                key,
                next: _,
            } => {
                let id = channel.id();
                let before = self.directory.admit(AdmittedDevice {
                    channel,
                    incarnation,
                    key,
                });
                if before.is_some_and(|before| before.incarnation != incarnation) {
                    self.mailbox.remove(id);
                }
            }
            Output::Evict { channel } => self.mailbox.remove(channel),
            Output::Wanted { .. } | Output::ActualHeld { .. } | Output::PostBundle { .. } => {}
            Output::Post {
                channel,
                generation,
                post,
            } => self.post(channel, generation, post),
            Output::Answer { ticket, frame } => {
                self.replies.settle_enrol(ticket, frame);
            }
            Output::Event(event) => self.note(event),
        }
    }

    fn post(&mut self, channel: ChannelId, generation: Generation, post: Post) {
        let posted = match post {
            Post::Delta { envelope } => self.mailbox.post_delta(channel, generation, &envelope),
            Post::Snapshot { envelope, bodies } => {
                let bodies = bodies.into_iter().map(|(_, body)| body);
                self.mailbox
                    .post_snapshot(channel, generation, &envelope, bodies)
            }
            Post::ReportAck { envelope } => self.mailbox.post_report_ack(channel, &envelope),
            Post::Heartbeat { .. } | Post::Evidence { .. } | Post::EnrolAnswer { .. } => return,
        };
        if let Err(reject) = posted {
            tracing::warn!(channel = %channel, reason = reject.as_str(), "mailbox refused a post");
        }
        if posted.is_err() || self.mailbox.wants_snapshot(channel).is_some() {
            self.wants_snapshot.insert(channel);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Started { epoch, members } => {
                tracing::info!(epoch = epoch.number(), members, "epoch opened");
            }
            Event::Invited { ticket } => {
                self.replies.settle_invite(ticket);
            }
            Event::Decided {
                ticket,
                channel,
                revision,
                digest,
                is_change,
            } => {
                let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
                tracing::info!(device = %channel, epoch, seq, is_change, "decided");
                let decided = Decided {
                    revision,
                    digest,
                    is_change,
                };
                self.replies.settle_decide(ticket, decided);
            }
            Event::Refused { ticket, reject } => {
                tracing::warn!(reason = reject.as_str(), "request refused");
                self.replies.refuse(ticket, reject);
            }
            Event::Enrolled { channel } => tracing::info!(device = %channel, "enrolled"),
            Event::Reported {
                channel,
                ack,
                report,
            } => {
                let (epoch, seq) = (report.applied.epoch.number(), report.applied.seq.number());
                tracing::info!(device = %channel, epoch, seq, rseq = ack.rseq.number(), "reported applied");
                self.waiters.handle_report(&self.engine, channel);
            }
            Event::Withdrawn { .. }
            | Event::Intended { .. }
            | Event::ActualAccepted { .. }
            | Event::Behind { .. }
            | Event::Recovered { .. }
            | Event::Cloned { .. }
            | Event::EvidenceKept { .. }
            | Event::Left { .. }
            | Event::KeyRotated { .. }
            | Event::FreshnessChanged { .. }
            | Event::BundleAccepted { .. }
            | Event::Removed { .. } => {}
            Event::Rejected { channel, reject } => {
                tracing::warn!(device = %channel, reason = reject.as_str(), "rejected");
            }
        }
    }
}
