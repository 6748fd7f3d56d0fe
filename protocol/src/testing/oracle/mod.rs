//! Who remembers everything that honest ends signed, and looks after every input at what must never be.
//!
//! ```text
//!  posts, commits, events --> book of each channel --> Violation, once something contradicts it
//! ```
//!
//! Without an oracle the world stops at the few things that it checks itself. Refuses to know how an
//! engine works: it sees what goes in, what comes out, and what is durable.

mod hop;
mod watch;

use super::World;
use crate::id::{ChannelId, Digest, Incarnation};
use crate::message::Report;
use crate::revision::{Epoch, Generation, Head, Revision, Seq};
use crate::state::{Path, Value};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A durable head never goes back, in any plane and in the numbers of reports.
    HeadsForward,
    /// One number has one digest over the whole history of a channel.
    OneDigest,
    /// Nothing is accepted that no honest writer signed.
    Unsigned,
    /// Applied is at most accepted, which is durable before it is told.
    Cursors,
    /// What was acknowledged to an operator is in force, superseded, or shown as lost.
    LostDecision,
    /// An intent fires once at most.
    IntentOnce,
    /// An intent fires once a device lives and hears of it.
    IntentMissed,
    /// An accepted change costs two commits, an idle poll none.
    Commits,
    /// One input leads to a bounded number of outputs.
    Outputs,
    /// An entry of a report's lists stays until it is acknowledged.
    Lists,
    /// Nothing is fresh whose writer signed nothing for longer than allowed.
    Freshness,
    /// A drained engine does not want to be woken in the past.
    BusyLoop,
    /// Inputs do not follow each other without a pause.
    Storm,
    /// Without faults everything comes to rest in bounded time.
    Convergence,
    /// After a power cut a commit is there as a whole or not at all.
    Atomic,
    /// What no honest end made changes nothing that is durable.
    Forgery,
    /// An intent is durably marked before its action runs.
    MarkFirst,
    /// Nothing new counts that was signed by a revoked key.
    Revoked,
    /// What a mailbox took is held, superseded, handed over, or refused with a reason.
    Conservation,
    /// Stores, queues and waiting polls have a bound.
    Bounded,
    /// An idle device asks no more often than its holds end.
    IdleTraffic,
}

/// Something that must not be, and was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What was violated.
    pub invariant: Invariant,
    /// The moment of the world, in milliseconds.
    pub at_ms: u64,
    /// What was seen.
    pub detail: String,
}

/// Everything that is known of one channel.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// What the writer of the desired plane signed.
    desired: BTreeMap<(Generation, Revision), Digest>,
    /// What the device signed or made durable of its actual plane, by life.
    actual: BTreeMap<(Incarnation, Revision), Digest>,
    /// When the controller last signed a heartbeat, and when one of the device was last seen.
    beat_ms: Option<u64>,
    device_beat_ms: Option<u64>,
    /// The newest acknowledgement that the controller signed.
    acked: Option<(Incarnation, Epoch, Seq)>,
    /// The newest report that a mailbox was given.
    reported: Option<(Incarnation, Revision, Report)>,
    /// The head at which every path was looked at last; none once something was asked for or told since.
    decided: Option<Head>,
    /// What was decided by path, in order.
    paths: BTreeMap<Path, PathBook>,
    /// The highest decision of each epoch that the device made durable.
    reached: BTreeMap<Epoch, Seq>,
    /// Decisions that a restored store does not hold.
    at_risk: Vec<AtRisk>,
    /// True once a recovery or a conflict was shown.
    is_shown: bool,
    /// True while two units run one life.
    pub(super) is_cloned: bool,
    /// What a mailbox has to hold of it.
    kept: hop::Kept,
}

#[derive(Debug, Default)]
struct PathBook {
    attempts: Vec<(u64, Option<Value>)>,
    acknowledged: u64,
}

#[derive(Debug)]
struct AtRisk {
    path: Path,
    order: u64,
    revision: Revision,
}

/// The orders up to which decisions of each channel and path were acknowledged: part of a backup.
pub type Acknowledged = BTreeMap<(ChannelId, Path), u64>;

/// The memory of the world.
#[derive(Debug, Default)]
pub struct Oracle {
    /// What was seen that must not be; the first counts.
    pub violations: Vec<Violation>,
    /// Recoveries that were shown, conflicts included.
    pub recoveries: u64,
    /// Acknowledged decisions that the controller lost with its store and that no device had then.
    pub forgotten: u64,
    /// Decisions, with the number that each was acknowledged under.
    revisions: BTreeMap<u64, Revision>,
    books: BTreeMap<ChannelId, Book>,
    orders: u64,
    revoked: hop::Revoked,
}

impl Oracle {
    pub(super) fn book(&mut self, channel: ChannelId) -> &mut Book {
        self.books.entry(channel).or_default()
    }

    /// Notes that an operator asks for something. Returns its place in the order of all such.
    pub fn note_attempt(&mut self, channel: ChannelId, path: &Path, value: Option<Value>) -> u64 {
        self.orders += 1;
        let order = self.orders;
        let book = self.book(channel);
        book.decided = None;
        let book = book.paths.entry(path.clone()).or_default();
        book.attempts.push((order, value));
        order
    }

    /// Notes that the operator was told that it counts.
    pub fn note_acknowledged(
        &mut self,
        channel: ChannelId,
        path: &Path,
        order: u64,
        revision: Revision,
    ) {
        self.revisions.insert(order, revision);
        let book = self.book(channel);
        book.decided = None;
        if let Some(book) = book.paths.get_mut(path) {
            book.acknowledged = book.acknowledged.max(order);
        }
    }

    /// What is acknowledged now: to be kept with a backup.
    #[must_use]
    pub fn acknowledged(&self) -> Acknowledged {
        let books = self.books.iter();
        let paths = books.flat_map(|(channel, book)| {
            let paths = book.paths.iter();
            paths.map(move |(path, one)| ((*channel, path.clone()), one.acknowledged))
        });
        paths.collect()
    }

    /// The controller goes on from a backup: what came after it is at risk.
    pub fn note_restored(&mut self, backup: &Acknowledged) {
        for (channel, book) in &mut self.books {
            book.decided = None;
            for (path, one) in &mut book.paths {
                let before = backup.get(&(*channel, path.clone())).copied();
                let order = core::mem::replace(&mut one.acknowledged, before.unwrap_or(0));
                if order > one.acknowledged
                    && let Some(revision) = self.revisions.get(&order)
                {
                    book.at_risk.push(AtRisk {
                        path: path.clone(),
                        order,
                        revision: *revision,
                    });
                }
            }
            book.is_shown = false;
        }
    }

    /// A name is enrolled anew: what the device reached before says nothing any more.
    pub fn note_new_life(&mut self, channel: ChannelId) {
        let book = self.book(channel);
        book.decided = None;
        book.reached.clear();
        book.at_risk.clear();
        book.is_cloned = false;
    }

    /// A device signs a heartbeat that no mailbox sees.
    pub fn note_device_beat(&mut self, channel: ChannelId, now_ms: u64) {
        self.book(channel).device_beat_ms = Some(now_ms);
    }

    /// Two units run one life from now on.
    pub fn note_cloned(&mut self, channel: ChannelId) {
        self.book(channel).is_cloned = true;
    }

    /// A controller was started: nothing of what was seen of the former counts.
    pub(super) fn note_started(&mut self) {
        self.books.values_mut().for_each(|book| book.decided = None);
    }

    fn violate(&mut self, invariant: Invariant, at_ms: u64, detail: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation {
                invariant,
                at_ms,
                detail,
            });
        }
    }
}

/// Violations that are kept: the first one tells, the rest follow from it.
const VIOLATIONS_MAX: usize = 8;

impl World {
    /// Tells the oracle; without one, stops. # Panics: when it is not so and nobody watches.
    pub(super) fn expect_true(&mut self, invariant: Invariant, is_so: bool, detail: &str) {
        if is_so {
            return;
        }
        assert!(self.oracle.is_some(), "{invariant:?}: {detail}");
        let now_ms = self.now_ms;
        if let Some(oracle) = &mut self.oracle {
            oracle.violate(invariant, now_ms, detail.to_string());
        }
    }
}
