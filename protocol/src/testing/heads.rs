//! The heads that are durable, as rows tell them: the oracle compares what is said with what is kept.
//!
//! Refuses to ask the engine, which may be ahead of its store.

use crate::cbor::Reader;
use crate::record::{Table, Write};
use crate::revision::{BundleNumber, Epoch, Generation, Revision, Seq};

/// The heads that a store holds: none of them may ever go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Durable {
    pub(super) desired: Option<(Generation, Revision)>,
    pub(super) actual: Option<Revision>,
    pub(super) report: Option<Revision>,
    pub(super) bundle: BundleNumber,
}

impl Durable {
    pub(super) fn is_from(&self, before: &Self) -> bool {
        self.desired >= before.desired
            && self.actual >= before.actual
            && self.report >= before.report
            && self.bundle >= before.bundle
    }
}

/// What the driver says when a commit is there in part.
pub(super) const TORN: &str = "a commit is there in part";
/// And when one brings an older head.
pub(super) const WENT_BACK: &str = "a durable head went back";

/// The heads that a store holds with these writes: the engine may be ahead of what it asked to persist.
/// A row that is removed reads as zeros, which is behind everything.
pub(super) fn read_heads(before: Durable, writes: &[Write]) -> Durable {
    let mut held = before;
    for write in writes {
        let mut reader = Reader::new(write.value.as_deref().unwrap_or_default());
        match (write.table, write.key.as_slice()) {
            (Table::Heads, b"desired") => {
                let generation = Generation::new(first(&mut reader));
                let epoch = Epoch::new(number(&mut reader));
                let seq = Seq::new(number(&mut reader));
                held.desired = Some((generation, Revision::new(epoch, seq)));
            }
            (Table::Heads, b"actual") => {
                reader.array().unwrap_or(0);
                let epoch = Epoch::new(first(&mut reader));
                held.actual = Some(Revision::new(epoch, Seq::new(number(&mut reader))));
            }
            (Table::Reports, b"reporter") => {
                let epoch = Epoch::new(first(&mut reader));
                held.report = Some(Revision::new(epoch, Seq::new(number(&mut reader))));
            }
            (Table::Bundles, key) => {
                let number = key.try_into().map(u64::from_be_bytes);
                held.bundle = held.bundle.max(BundleNumber::new(number.unwrap_or(0)));
            }
            _ => {}
        }
    }
    held
}

fn first(reader: &mut Reader<'_>) -> u64 {
    reader.array().unwrap_or(0);
    number(reader)
}

fn number(reader: &mut Reader<'_>) -> u64 {
    reader.uint().unwrap_or(0)
}
