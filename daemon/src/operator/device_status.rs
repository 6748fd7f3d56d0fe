//! One device as operators see it: what it should be, what it is, and what is wrong with it.
//!
//! Everything comes from what the device signed or from this controller's own store. Refuses to
//! guess: what was never reported is absent.

use super::response::{HeadJson, RevisionJson};
use postern_protocol::Reject;
use postern_protocol::context::Now;
use postern_protocol::controller::Member;
use postern_protocol::kind::MessageKind;
use postern_protocol::message::{IntentOutcome, Report};
use postern_protocol::revision::Revision;
use postern_protocol::state::Value;
use postern_protocol::trust::Trust;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The desired path that lets a device wait.
pub const PAUSE: &str = "postern/pause";

/// Decisions that a device holds and this controller does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehindJson {
    /// Their epoch.
    pub epoch: u64,
    /// The last of them.
    pub seq: u64,
    /// True when an operator must choose with `postern recover`.
    pub conflict: bool,
}

/// Two units that run as one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClonedJson {
    /// The device epoch of the report that is held.
    pub held_epoch: u64,
    /// The device epoch of the report that contradicts it.
    pub shown_epoch: u64,
}

/// What a device showed of an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentJson {
    /// The highest value that it took.
    pub value: u64,
    /// What it said last: `recorded`, `fired`, `finished`, or why it did not fire.
    pub outcome: Option<String>,
    /// Exit status of the action, where it finished.
    pub status: Option<i64>,
}

/// An envelope that a device refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectJson {
    /// The envelope's kind: its name, or its number where this program knows none.
    pub kind: String,
    /// The claimed epoch.
    pub epoch: u64,
    /// The claimed number.
    pub seq: u64,
    /// The reject: its name, or its number where this program knows none.
    pub reason: String,
}

/// What an application said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultJson {
    /// The epoch.
    pub epoch: u64,
    /// The number.
    pub seq: u64,
    /// Exit status, 0 for success.
    pub status: i64,
    /// End of its output.
    pub output: String,
}

/// One device as the controller knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// The device.
    pub name: String,
    /// Its tenant.
    pub tenant: String,
    /// True once its key is confirmed.
    pub enrolled: bool,
    /// Thumbprint of its key, which `postern controller revoke` takes; absent before it joined.
    pub key: Option<String>,
    /// What it should be.
    pub desired: HeadJson,
    /// Newest revision that reached it.
    pub received: RevisionJson,
    /// Newest revision that it verified and stored.
    pub accepted: RevisionJson,
    /// Newest revision that its application took.
    pub applied: RevisionJson,
    /// Root digest there, absent when nothing is applied.
    pub applied_digest: Option<String>,
    /// True when it applied exactly the desired state.
    pub converged: bool,
    /// Generation of the keys that encrypt its planes, absent while mailboxes can read them.
    pub encrypted: Option<u64>,
    /// What it says it is; absent when it never said.
    pub actual: Option<HeadJson>,
    /// True when nothing proves that it was there in the last minutes.
    pub stale: bool,
    /// Milliseconds since the newest proof, absent without one.
    pub heard_ms_ago: Option<u64>,
    /// What it holds that this controller does not, absent when nothing.
    pub behind: Option<BehindJson>,
    /// The epochs of two units that run as this device, absent when there is one.
    pub cloned: Option<ClonedJson>,
    /// True when it shall not act on decisions for now.
    pub paused: bool,
    /// True when it saw this controller contradict itself and waits for a further epoch.
    pub frozen: bool,
    /// True when it left; a new invitation enrols the name again.
    pub left: bool,
    /// True when the bundle revokes its key: nothing is taken from it any more; a new invitation enrols the name again.
    pub revoked: bool,
    /// Proofs that it sent against this controller.
    pub evidence: usize,
    /// Intents that it took, by verb.
    pub intents: BTreeMap<String, IntentJson>,
    /// Envelopes that it refused, newest last, at most 16.
    pub rejects: Vec<RejectJson>,
    /// Results of its application, newest last, at most 16.
    pub results: Vec<ResultJson>,
}

impl DeviceStatus {
    /// Describes a member as it is known at a moment, under the bundle that counts then.
    #[must_use]
    pub fn of(member: &Member, trust: &Trust, now: Now) -> Self {
        let freshness = member.freshness(now);
        let held = member.report();
        let report = held.map(|held| &held.report);
        let cursor = |pick: fn(&Report) -> Revision| report.map_or(Revision::NONE, pick).into();
        Self {
            name: member.channel().device.to_string(),
            tenant: member.channel().tenant.to_string(),
            enrolled: member.is_enrolled(),
            key: member.key().map(|key| key.to_string()),
            desired: HeadJson::new(member.head().revision, member.head().digest),
            received: cursor(|report| report.received),
            accepted: cursor(|report| report.accepted),
            applied: cursor(|report| report.applied),
            applied_digest: held
                .and_then(|held| held.applied_digest)
                .map(|digest| digest.to_string()),
            converged: member.is_converged(),
            encrypted: member
                .key_generation()
                .map(|generation| generation.number()),
            actual: member.actual_head().map(HeadJson::from),
            stale: member.is_enrolled() && freshness.is_stale,
            heard_ms_ago: freshness.age_ms,
            behind: behind_of(member),
            cloned: member.cloned().map(|cloned| ClonedJson {
                held_epoch: cloned.held.epoch.number(),
                shown_epoch: cloned.shown.epoch.number(),
            }),
            paused: member.desired().value(PAUSE) == Some(&Value::Bool(true)),
            frozen: report.is_some_and(|report| is_frozen(report, member)),
            left: member.has_left(),
            revoked: member.key().is_some_and(|key| trust.is_revoked(&key)),
            evidence: member.evidence().len(),
            intents: intents_of(member),
            rejects: report.map(rejects_of).unwrap_or_default(),
            results: report.map(results_of).unwrap_or_default(),
        }
    }
}

fn rejects_of(report: &Report) -> Vec<RejectJson> {
    let describe = |note: &postern_protocol::message::RejectNote| RejectJson {
        kind: MessageKind::from_number(note.kind)
            .map_or_else(|_| note.kind.to_string(), |kind| kind.as_str().to_owned()),
        epoch: note.revision.epoch.number(),
        seq: note.revision.seq.number(),
        reason: note.reject().map_or_else(
            || note.code.to_string(),
            |reject| reject.as_str().to_owned(),
        ),
    };
    report.lists.rejects().iter().map(describe).collect()
}

fn results_of(report: &Report) -> Vec<ResultJson> {
    let describe = |note: &postern_protocol::message::ResultNote| ResultJson {
        epoch: note.revision.epoch.number(),
        seq: note.revision.seq.number(),
        status: note.status,
        output: note.output.clone(),
    };
    report.lists.results().iter().map(describe).collect()
}

fn behind_of(member: &Member) -> Option<BehindJson> {
    let revision = member.is_behind().then(|| member.shown())?;
    Some(BehindJson {
        epoch: revision.epoch.number(),
        seq: revision.seq.number(),
        conflict: member.is_in_conflict(),
    })
}

/// Tells whether the device refused this epoch for good.
fn is_frozen(report: &Report, member: &Member) -> bool {
    let epoch = member.head().revision.epoch;
    report.lists.rejects().iter().any(|note| {
        let is_frozen = matches!(
            note.reject(),
            Some(Reject::Equivocation | Reject::EpochFrozen)
        );
        is_frozen && note.revision.epoch == epoch
    })
}

fn intents_of(member: &Member) -> BTreeMap<String, IntentJson> {
    let describe = |shown: &postern_protocol::controller::IntentShown| {
        let outcome = shown.note.as_ref().map(|note| &note.outcome);
        IntentJson {
            value: shown.value,
            outcome: outcome.map(|outcome| outcome.as_str().to_owned()),
            status: outcome.and_then(|outcome| match outcome {
                IntentOutcome::Finished { status, .. } => Some(*status),
                IntentOutcome::Recorded
                | IntentOutcome::Fired
                | IntentOutcome::Lower
                | IntentOutcome::Jump
                | IntentOutcome::NotUint
                | IntentOutcome::TooManyVerbs
                | IntentOutcome::Interrupted => None,
            }),
        }
    };
    let intents = member.intents().iter();
    intents
        .map(|(path, shown)| {
            let verb = path.as_str().strip_prefix("intent/");
            (verb.unwrap_or(path.as_str()).to_owned(), describe(shown))
        })
        .collect()
}
