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
use super::waiting::{WaitEnd, Waiters};
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::{clock, records};
use postern_protocol::Reject;
use postern_protocol::context::Keyring;
use postern_protocol::controller::{Context, Controller, Event, Input, Output, Post, Ticket};
use postern_protocol::enrol::JoinSecret;
use postern_protocol::id::{ChannelId, DeviceName, Digest, Tenant, TokenId};
use postern_protocol::record::Write;
use postern_protocol::revision::{Generation, Revision};
use postern_protocol::state::Change;
use postern_relay::exchange::AdmittedDevice;
use postern_relay::server::Mailbox;
use postern_relay::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pieces of work in one commit at most. Arbitrary; bounds what one failure takes along.
const BATCH_MAX: usize = 256;

/// A decision that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// The revision after it.
    pub revision: Revision,
    /// The digest there.
    pub digest: Digest,
    /// False when nothing changed.
    pub is_change: bool,
}

/// What others ask of the engine.
pub enum Work {
    /// Opens an invitation.
    Invite {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// The public id to use.
        token: TokenId,
        /// The secret to use.
        secret: JoinSecret,
        /// Answered when durable.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Takes changes as one decision.
    Decide {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// The changes.
        changes: Vec<Change>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<Decided, Reject>>,
    },
    /// Takes an envelope from a device.
    Posted {
        /// Its channel.
        channel: ChannelId,
        /// The bytes.
        envelope: Vec<u8>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Takes an enrol frame.
    Enrol {
        /// The frame.
        frame: Vec<u8>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<Vec<u8>, Reject>>,
    },
    /// Waits until a device applied a revision, or failed to.
    Wait {
        /// The device's channel.
        channel: ChannelId,
        /// The revision.
        revision: Revision,
        /// Answered once.
        reply: oneshot::Sender<WaitEnd>,
    },
    /// Looks at what is durable.
    Read(Box<dyn FnOnce(&Controller) + Send>),
    /// Ends the loop.
    Stop,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

/// Who waits for the engine's answer to a ticket.
enum Reply {
    Invite(oneshot::Sender<Result<(), Reject>>),
    Decide(oneshot::Sender<Result<Decided, Reject>>),
    Enrol(oneshot::Sender<Result<Vec<u8>, Reject>>),
}

/// What happens after the commit.
enum Deferred {
    Output(Output),
    Posted(oneshot::Sender<Result<(), Reject>>, Result<(), Reject>),
    Wait(ChannelId, Revision, oneshot::Sender<WaitEnd>),
    Read(Box<dyn FnOnce(&Controller) + Send>),
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
    tickets: u64,
    replies: BTreeMap<Ticket, Reply>,
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
            tickets: 0,
            replies: BTreeMap::new(),
            waiters: Waiters::default(),
            wants_snapshot: BTreeSet::new(),
        }
    }

    /// Opens this start's epoch: members are admitted and their snapshots posted.
    ///
    /// # Errors
    /// The store failed.
    pub fn open(&mut self) -> Result<(), CommandError> {
        let (mut writes, mut deferred) = (Vec::new(), Vec::new());
        self.feed(Input::Start, &mut writes, &mut deferred);
        self.finish(writes, deferred)
    }

    /// Works until it is told to stop or nobody can ask any more.
    ///
    /// # Errors
    /// The store failed; nothing of the failed batch left the process.
    pub fn run(mut self, mut work: mpsc::Receiver<Work>) -> Result<(), CommandError> {
        while let Some(first) = work.blocking_recv() {
            let (mut writes, mut deferred) = (Vec::new(), Vec::new());
            let mut is_last = self.take(first, &mut writes, &mut deferred);
            for _ in 1..BATCH_MAX {
                if is_last {
                    break;
                }
                let Ok(next) = work.try_recv() else { break };
                is_last = self.take(next, &mut writes, &mut deferred);
            }
            self.finish(writes, deferred)?;
            if is_last {
                break;
            }
        }
        self.store.close().map_err(CommandError::from)
    }

    /// Commits, then lets everything else happen, until no mailbox wants a snapshot.
    fn finish(&mut self, writes: Vec<Write>, deferred: Vec<Deferred>) -> Result<(), CommandError> {
        self.release(writes, deferred)?;
        let wanting = std::mem::take(&mut self.wants_snapshot);
        let (mut writes, mut deferred) = (Vec::new(), Vec::new());
        for channel in wanting {
            self.feed(Input::SnapshotWanted { channel }, &mut writes, &mut deferred);
        }
        self.release(writes, deferred)?;
        self.wants_snapshot.clear();
        Ok(())
    }

    fn release(&mut self, writes: Vec<Write>, deferred: Vec<Deferred>) -> Result<(), CommandError> {
        if !writes.is_empty() {
            let _durable = records::commit(self.store.as_ref(), writes)?;
        }
        for one in deferred {
            match one {
                Deferred::Output(output) => self.execute(output),
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
    fn take(&mut self, work: Work, writes: &mut Vec<Write>, deferred: &mut Vec<Deferred>) -> bool {
        match work {
            Work::Invite { tenant, device, token, secret, reply } => {
                let ticket = self.ticket(Reply::Invite(reply));
                let input = Input::Invite { ticket, tenant, device, token, secret };
                self.feed(input, writes, deferred);
            }
            Work::Decide { tenant, device, changes, reply } => {
                let ticket = self.ticket(Reply::Decide(reply));
                self.feed(Input::Decide { ticket, tenant, device, changes }, writes, deferred);
            }
            Work::Enrol { frame, reply } => {
                let ticket = self.ticket(Reply::Enrol(reply));
                self.feed(Input::Enrol { ticket, frame: &frame }, writes, deferred);
            }
            Work::Posted { channel, envelope, reply } => {
                let input = Input::Received { channel, envelope: &envelope };
                let result = self.feed(input, writes, deferred);
                deferred.push(Deferred::Posted(reply, result));
            }
            Work::Wait { channel, revision, reply } => {
                deferred.push(Deferred::Wait(channel, revision, reply));
            }
            Work::Read(read) => deferred.push(Deferred::Read(read)),
            Work::Stop => return true,
        }
        false
    }

    fn ticket(&mut self, reply: Reply) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.replies.insert(ticket, reply);
        ticket
    }

    /// Feeds the engine and sorts its outputs. Tells whether a peer's bytes were refused.
    fn feed(
        &mut self,
        input: Input<'_>,
        writes: &mut Vec<Write>,
        deferred: &mut Vec<Deferred>,
    ) -> Result<(), Reject> {
        let mut random = OsRandom;
        let mut context =
            Context { now: clock::now(), random: &mut random, keys: self.keys.as_ref() };
        self.engine.handle_input(&mut context, input);
        let mut result = Ok(());
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(more) => writes.extend(more),
                Output::Event(Event::Rejected { channel, reject }) => {
                    result = Err(reject);
                    deferred.push(Deferred::Output(Output::Event(Event::Rejected { channel, reject })));
                }
                other => deferred.push(Deferred::Output(other)),
            }
        }
        result
    }

    fn execute(&mut self, output: Output) {
        match output {
            Output::Persist(_) => unreachable!("writes were taken out and committed before"),
            Output::Admit { channel, incarnation, key } => {
                let id = channel.id();
                let before = self.directory.admit(AdmittedDevice { channel, incarnation, key });
                if before.is_some_and(|before| before.incarnation != incarnation) {
                    self.mailbox.remove(id);
                }
            }
            Output::Post { channel, generation, post } => self.post(channel, generation, post),
            Output::Answer { ticket, frame } => {
                if let Some(Reply::Enrol(reply)) = self.replies.remove(&ticket) {
                    drop(reply.send(Ok(frame)));
                }
            }
            Output::Event(event) => self.note(event),
        }
    }

    fn post(&mut self, channel: ChannelId, generation: Generation, post: Post) {
        let posted = match post {
            Post::Delta { envelope } => self.mailbox.post_delta(channel, generation, &envelope),
            Post::Snapshot { envelope, bodies } => {
                let bodies = bodies.into_iter().map(|(_, body)| body);
                self.mailbox.post_snapshot(channel, generation, &envelope, bodies)
            }
            Post::ReportAck { envelope } => self.mailbox.post_report_ack(channel, &envelope),
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
                if let Some(Reply::Invite(reply)) = self.replies.remove(&ticket) {
                    drop(reply.send(Ok(())));
                }
            }
            Event::Decided { ticket, channel, revision, digest, is_change } => {
                let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
                tracing::info!(device = %channel, epoch, seq, is_change, "decided");
                if let Some(Reply::Decide(reply)) = self.replies.remove(&ticket) {
                    drop(reply.send(Ok(Decided { revision, digest, is_change })));
                }
            }
            Event::Refused { ticket, reject } => self.refuse(ticket, reject),
            Event::Enrolled { channel } => tracing::info!(device = %channel, "enrolled"),
            Event::Reported { channel, ack, report } => {
                let (epoch, seq) = (report.applied.epoch.number(), report.applied.seq.number());
                tracing::info!(device = %channel, epoch, seq, rseq = ack.rseq.number(), "reported applied");
                self.waiters.handle_report(&self.engine, channel);
            }
            Event::Rejected { channel, reject } => {
                tracing::warn!(device = %channel, reason = reject.as_str(), "rejected");
            }
        }
    }

    fn refuse(&mut self, ticket: Ticket, reject: Reject) {
        tracing::warn!(reason = reject.as_str(), "request refused");
        match self.replies.remove(&ticket) {
            Some(Reply::Invite(reply)) => drop(reply.send(Err(reject))),
            Some(Reply::Decide(reply)) => drop(reply.send(Err(reject))),
            Some(Reply::Enrol(reply)) => drop(reply.send(Err(reject))),
            None => {}
        }
    }
}
