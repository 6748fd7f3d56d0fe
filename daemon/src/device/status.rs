//! What this process sees of its device: `status.json` in its folder, `/v1/status`, and the numbers of `/metrics`.
//!
//! Not durable and not authoritative: the controller's status comes from signed reports. Holds no
//! secret; of addresses, those of proxies only.

use super::gate::Gate;
use crate::clock;
use crate::routes::RouteFacts;
use postern_protocol::device::Device;
use postern_protocol::id::Digest;
use postern_protocol::reject::Reject;
use postern_protocol::revision::{Epoch, Head, Revision};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What was counted since this process started; labels come from closed sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// What peers sent and this device refused, by reject.
    pub rejects: BTreeMap<&'static str, u64>,
    /// Refusals that the mailbox told of, by reject.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Messages of this device that a mailbox put aside before the controller came for them, by reject.
    pub put_aside: BTreeMap<&'static str, u64>,
    /// Failures on the way, by code.
    pub failures: BTreeMap<&'static str, u64>,
    /// Commits of the store.
    pub commits: u64,
    /// Applications that ended, well and badly.
    pub applied: [u64; 2],
}

impl Counts {
    /// Counts something that a peer sent and that was refused here.
    pub fn count_reject(&mut self, reject: Reject) {
        *self.rejects.entry(reject.as_str()).or_default() += 1;
    }

    /// Counts a refusal that the mailbox told of.
    pub fn count_refusal(&mut self, reason: &'static str) {
        *self.refusals.entry(reason).or_default() += 1;
    }

    /// Counts a message that a mailbox put aside.
    pub fn count_put_aside(&mut self, reason: &'static str) {
        *self.put_aside.entry(reason).or_default() += 1;
    }

    /// Counts a failure on the way, by its code.
    pub fn count_failure(&mut self, code: &'static str) {
        *self.failures.entry(code).or_default() += 1;
    }

    /// Counts the end of an application.
    pub const fn count_applied(&mut self, is_success: bool) {
        let [well, badly] = &mut self.applied;
        if is_success {
            *well += 1;
        } else {
            *badly += 1;
        }
    }
}

/// A revision and the digest that the state has at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The revision.
    pub revision: Revision,
    /// The digest.
    pub digest: Digest,
}

impl From<&Head> for Shown {
    fn from(head: &Head) -> Self {
        Self {
            revision: head.revision,
            digest: head.digest,
        }
    }
}

/// How the last application that ended badly ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The revision.
    pub revision: Revision,
    /// Its status, never 0.
    pub status: i64,
    /// The end of what was printed, or the cause.
    pub output: String,
}

/// One moment of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The device's name.
    pub device: String,
    /// Its tenant.
    pub tenant: String,
    /// What it accepted, if anything.
    pub accepted: Option<Shown>,
    /// What it finished applying.
    pub applied: Revision,
    /// How the newest revision failed, until a later one succeeds.
    pub failure: Option<Failure>,
    /// What it is, as its application wrote it; `None` when nothing was ever written.
    pub actual: Option<Shown>,
    /// The newest revision of that which the controller signed to hold, in this process.
    pub actual_acknowledged: Revision,
    /// True while the controller may have been silent for longer than allowed.
    pub is_stale: bool,
    /// The epoch of which nothing is believed any more, because its writer contradicted itself.
    pub frozen: Option<u64>,
    /// True while a new key waits for the controller's word.
    pub is_rotating: bool,
    /// Whether applying is allowed now.
    pub gate: Gate,
    /// The word for the way in use.
    pub route: &'static str,
    /// True after a verified answer on that way, until a failure.
    pub is_connected: bool,
    /// Bytes on the sockets.
    pub bytes: (u64, u64),
    /// How the routes are.
    pub routes: RouteFacts,
    /// Seconds that the machine's clock is ahead of the signed time; `None` before one was taken.
    pub clock_ahead_s: Option<i64>,
    /// Where the time comes from at which certificates are checked: `mailbox`, `machine` or `floor`.
    pub clock_source: &'static str,
    /// The number of the bundle that counts.
    pub bundle: u64,
    /// True when the controller has shown a higher one, which does not arrive here.
    pub is_bundle_behind: bool,
    /// Counts since the start.
    pub counts: Counts,
}

impl Status {
    /// Returns how many decisions are accepted and not applied; all of an epoch when none of it is.
    #[must_use]
    pub fn lag_revisions(&self) -> u64 {
        lag(self.accepted, self.applied)
    }

    /// Returns how many writes of the actual state the controller has not acknowledged.
    #[must_use]
    pub fn actual_lag_revisions(&self) -> u64 {
        lag(self.actual, self.actual_acknowledged)
    }

    /// Returns the status as the documentation shows it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let failure = self.failure.as_ref().map(|failure| {
            json!({
                "epoch": failure.revision.epoch.number(),
                "seq": failure.revision.seq.number(),
                "status": failure.status,
                "output": failure.output,
            })
        });
        json!({
            "name": self.device,
            "tenant": self.tenant,
            "accepted": self.accepted.map(|shown| revision_json(shown.revision)),
            "digest": self.accepted.map(|shown| shown.digest.to_string()),
            "applied": revision_json(self.applied),
            "failure": failure,
            "apply": self.gate.as_str(),
            "route": self.route,
            "connected": self.is_connected,
            "bytes_up": self.bytes.0,
            "bytes_down": self.bytes.1,
            "routes": self.routes.to_json(),
            "clock_ahead_s": self.clock_ahead_s,
            "clock_source": self.clock_source,
            "bundle": self.bundle,
            "bundle_behind": self.is_bundle_behind,
            "stale": self.is_stale,
            "frozen_epoch": self.frozen,
            "rotating": self.is_rotating,
            "actual": self.actual.map(|shown| revision_json(shown.revision)),
            "actual_acknowledged": revision_json(self.actual_acknowledged),
            "commits": self.counts.commits,
            "rejected": self.counts.rejects,
            "refused_by_mailbox": self.counts.refusals,
            "put_aside_by_mailbox": self.counts.put_aside,
            "failures": self.counts.failures,
        })
    }
}

fn lag(newest: Option<Shown>, done: Revision) -> u64 {
    let Some(Shown { revision, .. }) = newest else {
        return 0;
    };
    let done = match done.epoch == revision.epoch {
        true => done.seq.number(),
        false => 0,
    };
    revision.seq.number().saturating_sub(done)
}

/// Writes a revision as `{"epoch","seq"}`.
#[must_use]
pub fn revision_json(revision: Revision) -> Value {
    json!({ "epoch": revision.epoch.number(), "seq": revision.seq.number() })
}

/// What only the driver knows about a moment.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// Counts since the start.
    pub counts: &'a Counts,
    /// How the newest revision failed.
    pub failure: Option<&'a Failure>,
    /// Whether applying is allowed now.
    pub gate: Gate,
    /// The word for the way in use.
    pub route: &'static str,
    /// Whether that way works.
    pub is_connected: bool,
    /// Bytes on the sockets.
    pub bytes: (u64, u64),
    /// How the routes are.
    pub routes: RouteFacts,
    /// Seconds that the machine's clock is ahead of the signed time.
    pub clock_ahead_s: Option<i64>,
    /// Where the time comes from at which certificates are checked.
    pub clock_source: &'static str,
}

impl Status {
    /// Looks at the engine.
    #[must_use]
    pub fn of(engine: &Device, around: &Surroundings<'_>) -> Self {
        let channel = &engine.identity().channel;
        let freshness = engine.freshness(clock::now());
        let bundle = engine.trust().number();
        Self {
            device: channel.device.as_str().to_owned(),
            tenant: channel.tenant.as_str().to_owned(),
            accepted: engine.head().map(Shown::from),
            applied: engine.applied(),
            failure: around.failure.cloned(),
            gate: around.gate,
            route: around.route,
            is_connected: around.is_connected,
            bytes: around.bytes,
            routes: around.routes.clone(),
            clock_ahead_s: around.clock_ahead_s,
            clock_source: around.clock_source,
            bundle: bundle.number(),
            is_bundle_behind: freshness.bundle_shown.is_some_and(|shown| shown > bundle),
            actual: engine.actual_head().map(Shown::from),
            actual_acknowledged: engine.actual_acknowledged(),
            is_stale: freshness.is_stale,
            frozen: engine.frozen().map(Epoch::number),
            is_rotating: engine.rotation().is_some(),
            counts: around.counts.clone(),
        }
    }
}
