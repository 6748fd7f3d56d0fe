//! `status.json` in the device's folder: what this process sees, for people and for supervisors.
//!
//! Not durable and not authoritative: the controller's status comes from signed reports. Written
//! whole and renamed, only when something changed. Holds no secret and no address.

use postern_protocol::device::Device;
use postern_protocol::reject::Reject;
use postern_protocol::revision::Revision;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The file and what it counts since this process started.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    rejects: BTreeMap<&'static str, u64>,
    refusals: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, u64>,
    commits: u64,
    written: Option<Value>,
}

impl StatusFile {
    /// Starts all counts at 0.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            rejects: BTreeMap::new(),
            refusals: BTreeMap::new(),
            failures: BTreeMap::new(),
            commits: 0,
            written: None,
        }
    }

    /// Counts something that a peer sent and that was refused here.
    pub fn count_reject(&mut self, reject: Reject) {
        *self.rejects.entry(reject.as_str()).or_default() += 1;
    }

    /// Counts a refusal that the mailbox told of.
    pub fn count_refusal(&mut self, reason: &'static str) {
        *self.refusals.entry(reason).or_default() += 1;
    }

    /// Counts a failure on the way, by its code.
    pub fn note_failure(&mut self, code: &'static str) {
        *self.failures.entry(code).or_default() += 1;
    }

    /// Counts a commit of the store.
    pub const fn count_commit(&mut self) {
        self.commits += 1;
    }

    /// Writes the file when it would differ. A file that cannot be written is logged, never fatal.
    pub fn write(
        &mut self,
        engine: &Device,
        route: &'static str,
        (bytes_up, bytes_down): (u64, u64),
    ) {
        let channel = &engine.identity().channel;
        let head = engine.head();
        let status = json!({
            "name": channel.device.as_str(),
            "tenant": channel.tenant.as_str(),
            "accepted": head.map(|head| revision(head.revision)),
            "digest": head.map(|head| head.digest.to_string()),
            "applied": revision(engine.applied()),
            "route": route,
            "bytes_up": bytes_up,
            "bytes_down": bytes_down,
            "bundle": engine.trust().number().number(),
            "commits": self.commits,
            "rejected": self.rejects,
            "refused_by_mailbox": self.refusals,
            "failures": self.failures,
        });
        if self.written.as_ref() == Some(&status) {
            return;
        }
        let next = self.path.with_extension("json.next");
        let text = format!("{status:#}\n");
        let written = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &self.path));
        match written {
            Ok(()) => self.written = Some(status),
            Err(error) => tracing::debug!(%error, "status file not written"),
        }
    }
}

fn revision(revision: Revision) -> Value {
    json!({ "epoch": revision.epoch.number(), "seq": revision.seq.number() })
}
