//! Operators who wait until a device applied a revision or carried out an intent. Bounded; who
//! gave up is forgotten.
//!
//! Refuses to judge by time: a wait ends with what the device reports.

use postern_protocol::controller::{Controller, Member};
use postern_protocol::id::ChannelId;
use postern_protocol::message::{IntentNote, IntentOutcome, ResultNote};
use postern_protocol::revision::Revision;
use postern_protocol::state::Path;
use tokio::sync::oneshot;

/// Waits at once. Arbitrary, far above the operators of one controller.
const WAITERS_MAX: usize = 1_024;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// That the device applied this revision or a later one.
    Applied(Revision),
    /// That the device carried out an intent at this value or a higher one.
    Fired {
        /// `intent/` and the verb.
        path: Path,
        /// The value.
        value: u64,
    },
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitEnd {
    /// The device reports that it applied this revision or a later one.
    Applied(Revision),
    /// The device reports that applying failed.
    Failed(ResultNote),
    /// The device reports how the intent ended; `None` when only its actual state shows that it did.
    Fired(Option<IntentNote>),
}

#[derive(Debug)]
struct Waiter {
    channel: ChannelId,
    awaited: Awaited,
    reply: oneshot::Sender<WaitEnd>,
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub struct Waiters(Vec<Waiter>);

impl Waiters {
    /// Answers at once when the end is known, else keeps the question.
    pub fn add(
        &mut self,
        engine: &Controller,
        channel: ChannelId,
        awaited: Awaited,
        reply: oneshot::Sender<WaitEnd>,
    ) {
        self.0.retain(|waiter| !waiter.reply.is_closed());
        if let Some(end) = end_of(engine, channel, &awaited) {
            drop(reply.send(end));
        } else if self.0.len() < WAITERS_MAX {
            self.0.push(Waiter {
                channel,
                awaited,
                reply,
            });
        }
    }

    /// Answers those whose end a new report or a new actual state shows.
    pub fn handle_news(&mut self, engine: &Controller, channel: ChannelId) {
        let waiting = std::mem::take(&mut self.0);
        for waiter in waiting {
            let is_theirs = waiter.channel == channel;
            let end = is_theirs.then(|| end_of(engine, channel, &waiter.awaited));
            match end.flatten() {
                Some(end) => drop(waiter.reply.send(end)),
                None => self.0.push(waiter),
            }
        }
    }
}

fn end_of(engine: &Controller, channel: ChannelId, awaited: &Awaited) -> Option<WaitEnd> {
    let member = engine.member_of(channel)?;
    match awaited {
        Awaited::Applied(revision) => end_of_application(member, *revision),
        Awaited::Fired { path, value } => end_of_intent(member, path, *value),
    }
}

fn end_of_application(member: &Member, revision: Revision) -> Option<WaitEnd> {
    let report = &member.report()?.report;
    if report.applied >= revision {
        return Some(WaitEnd::Applied(report.applied));
    }
    let results = report.lists.results().iter();
    let mut failures = results.filter(|note| note.status != 0 && note.revision >= revision);
    failures.next().cloned().map(WaitEnd::Failed)
}

fn end_of_intent(member: &Member, path: &Path, value: u64) -> Option<WaitEnd> {
    let shown = member.intents().get(path)?;
    let note = shown.note.as_ref();
    let ended = note.filter(|note| note.value >= value && is_end(&note.outcome));
    if let Some(note) = ended {
        return Some(WaitEnd::Fired(Some(note.clone())));
    }
    // The device writes the value into its actual state when the action has ended.
    let is_under_way = note.is_some_and(|note| note.value >= value);
    (shown.value >= value && !is_under_way).then_some(WaitEnd::Fired(None))
}

/// Tells whether nothing more comes of the intent at this value.
const fn is_end(outcome: &IntentOutcome) -> bool {
    match outcome {
        IntentOutcome::Fired => false,
        IntentOutcome::Recorded
        | IntentOutcome::Lower
        | IntentOutcome::Jump
        | IntentOutcome::NotUint
        | IntentOutcome::Finished { .. }
        | IntentOutcome::TooManyVerbs
        | IntentOutcome::Interrupted => true,
    }
}
