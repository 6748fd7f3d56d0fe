//! Operators who wait until a device applied a revision. Bounded; who gave up is forgotten.
//!
//! Refuses to judge by time: a wait ends with what the device reports.

use postern_protocol::controller::Controller;
use postern_protocol::id::ChannelId;
use postern_protocol::message::ResultNote;
use postern_protocol::revision::Revision;
use tokio::sync::oneshot;

/// Waits at once. Arbitrary, far above the operators of one controller.
const WAITERS_MAX: usize = 1_024;

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitEnd {
    /// The device reports that it applied this revision or a later one.
    Applied(Revision),
    /// The device reports that applying failed.
    Failed(ResultNote),
}

#[derive(Debug)]
struct Waiter {
    channel: ChannelId,
    revision: Revision,
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
        revision: Revision,
        reply: oneshot::Sender<WaitEnd>,
    ) {
        self.0.retain(|waiter| !waiter.reply.is_closed());
        if let Some(end) = end_of(engine, channel, revision) {
            drop(reply.send(end));
        } else if self.0.len() < WAITERS_MAX {
            self.0.push(Waiter {
                channel,
                revision,
                reply,
            });
        }
    }

    /// Answers those whose end a new report shows.
    pub fn handle_report(&mut self, engine: &Controller, channel: ChannelId) {
        let waiting = std::mem::take(&mut self.0);
        for waiter in waiting {
            let end = (waiter.channel == channel).then(|| end_of(engine, channel, waiter.revision));
            match end.flatten() {
                Some(end) => drop(waiter.reply.send(end)),
                None => self.0.push(waiter),
            }
        }
    }
}

fn end_of(engine: &Controller, channel: ChannelId, revision: Revision) -> Option<WaitEnd> {
    let report = &engine.member_of(channel)?.report()?.report;
    if report.applied >= revision {
        return Some(WaitEnd::Applied(report.applied));
    }
    let results = report.lists.results().iter();
    let mut failures = results.filter(|note| note.status != 0 && note.revision >= revision);
    failures.next().cloned().map(WaitEnd::Failed)
}
