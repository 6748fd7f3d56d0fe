//! One moment of the model: two devices, their controller, a copy of its store, and every envelope ever signed.
//!
//! ```text
//!  wire: all that the writer signed, for ever      up: all that the devices signed, for ever
//!        '-- any of it may arrive now, again, late, never --'
//! ```
//!
//! What is never taken off a list may be lost, doubled, reordered and replayed: the relay is the attacker. A content is
//! a number whose parent is the content that its operator saw when he decided. Refuses time, sizes and lists of reports.

use postern_protocol::id::Digest;
use postern_protocol::revision::{Epoch, Generation, Head, LineageEntry, Revision, Seq};

/// How many devices there are.
pub(crate) const DEVICES: usize = 2;
/// The content of a state in which nothing was decided yet.
pub(crate) const EMPTY: u8 = 0;
/// The content of a state that no writer ever meant: a delta on another base.
pub(crate) const GARBAGE: u8 = 255;

/// A head: where, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) content: u8,
}

impl Mark {
    pub(crate) fn head(&self) -> Head {
        Head {
            generation: Generation::new(self.generation),
            revision: self.revision(),
            digest: digest(self.content),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision::new(Epoch::new(self.epoch), Seq::new(self.seq))
    }

    /// What ranks heads: generation, epoch, seq.
    pub(crate) const fn rank(&self) -> (u64, u64, u64) {
        (self.generation, self.epoch, self.seq)
    }
}

pub(crate) const fn digest(content: u8) -> Digest {
    Digest::from_bytes([content; 32])
}

/// The end of an earlier epoch: epoch, seq, content.
pub(crate) type End = (u64, u64, u8);

pub(crate) fn entries(lineage: &[End]) -> Vec<LineageEntry> {
    let entry = |(epoch, seq, content): &End| LineageEntry {
        last: Revision::new(Epoch::new(*epoch), Seq::new(*seq)),
        digest: digest(*content),
    };
    lineage.iter().map(entry).collect()
}

pub(crate) fn ends(entries: &[LineageEntry]) -> Vec<End> {
    let end = |entry: &LineageEntry| {
        let [content, ..] = *entry.digest.as_bytes();
        (entry.last.epoch.number(), entry.last.seq.number(), content)
    };
    entries.iter().map(end).collect()
}

/// A delta or snapshot, as far as the acceptance rules look at it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Down {
    pub(crate) to: usize,
    pub(crate) mark: Mark,
    pub(crate) form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Form {
    Delta { base: u64, from: u8 },
    Snapshot { lineage: Vec<End> },
}

/// What a device signs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Up {
    Report { rseq: u64, accepted: (u64, u64) },
    Behind { head: Mark },
    Equivocation { epoch: u64 },
}

/// What a device holds, in memory and on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) head: Option<Mark>,
    pub(crate) frozen: Option<u64>,
}

/// One device. What is in memory only is gone after a crash, and nothing of it has left the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Unit {
    pub(crate) memory: Held,
    pub(crate) disk: Held,
    /// The number of its newest report, and what that said.
    pub(crate) report: Option<(u64, (u64, u64))>,
}

/// One device as the controller knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) head: Mark,
    pub(crate) lineage: Vec<End>,
    pub(crate) contested: Option<u64>,
    pub(crate) report: Option<(u64, (u64, u64))>,
    /// The history that the device showed and the operator has to judge.
    pub(crate) behind: Option<Mark>,
    /// The highest head that the device showed in a session since the start.
    pub(crate) heard: Option<(u64, u64)>,
    pub(crate) is_withheld: bool,
    pub(crate) is_reopen_due: bool,
}

/// The controller's store. The generation is that of the newest bundle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) highest: u64,
    pub(crate) generation: u64,
    pub(crate) is_restored: bool,
    pub(crate) members: [Member; DEVICES],
}

/// How often something happened or may happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counts {
    pub(crate) decisions: u8,
    pub(crate) restarts: u8,
    pub(crate) backups: u8,
    pub(crate) restores: u8,
    pub(crate) crashes: u8,
    pub(crate) rotations: u8,
    pub(crate) twins: u8,
    /// Epochs that were opened after the first one.
    pub(crate) openings: u8,
}

/// Something that must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A head went back, or changed under its number.
    Rollback,
    /// A device took a content that knows nothing of the one that it held, and no operator had said so.
    Lost,
    /// A device holds what no writer meant for it.
    Unsigned,
    /// An envelope counts at a device that it is not for.
    Recipient,
    /// Something of a frozen epoch was applied.
    Thawed,
    /// A writer signed one revision with two contents.
    Reused,
    /// A report says more than the disk holds.
    Early,
    /// The controller dropped a decision of its own without its operator.
    Dropped,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fleet {
    /// Owner and parent of each content from 1 on.
    pub(crate) contents: Vec<(usize, u8)>,
    pub(crate) store: Store,
    pub(crate) backup: Option<Box<Store>>,
    pub(crate) units: [Unit; DEVICES],
    pub(crate) wire: [Vec<Down>; DEVICES],
    pub(crate) up: [Vec<Up>; DEVICES],
    /// Contents that an operator gave up, by device.
    pub(crate) overruled: [Vec<u8>; DEVICES],
    /// The generation of the newest bundle in the world.
    pub(crate) generation: u64,
    /// What a good clock shows, in steps.
    pub(crate) moment: u64,
    pub(crate) counts: Counts,
    pub(crate) faults: Vec<Fault>,
}

impl Fleet {
    /// Tells whether `newer` was decided by somebody who knew `older`.
    pub(crate) fn knows(&self, newer: u8, older: u8) -> bool {
        let mut at = newer;
        while at != older {
            let Some(&(_, parent)) = usize::from(at)
                .checked_sub(1)
                .and_then(|place| self.contents.get(place))
            else {
                return false;
            };
            at = parent;
        }
        true
    }

    pub(crate) fn parent(&self, content: u8) -> u8 {
        let place = usize::from(content).checked_sub(1);
        let known = place.and_then(|place| self.contents.get(place));
        known.map_or(EMPTY, |(_, parent)| *parent)
    }

    pub(crate) fn owner(&self, content: u8) -> Option<usize> {
        let place = usize::from(content).checked_sub(1)?;
        self.contents.get(place).map(|(owner, _)| *owner)
    }

    pub(crate) fn invent(&mut self, owner: usize, parent: u8) -> u8 {
        self.contents.push((owner, parent));
        u8::try_from(self.contents.len()).expect("a handful of contents")
    }

    /// An operator says that the history of the controller counts: everything else of this device is given up.
    pub(crate) fn overrule(&mut self, device: usize) {
        let kept = self.store.members[device].head.content;
        let all = (1..=self.contents.len()).map(|number| u8::try_from(number).expect("few"));
        let lost = all.filter(|one| self.owner(*one) == Some(device) && !self.knows(kept, *one));
        let lost: Vec<u8> = lost.collect();
        self.overruled[device] = lost;
    }

    pub(crate) fn has_no(&self, fault: Fault) -> bool {
        !self.faults.contains(&fault)
    }

    pub(crate) fn fail(&mut self, fault: Fault) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
            self.faults.sort_unstable();
        }
    }
}
