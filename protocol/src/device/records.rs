//! What the device keeps at rest, and how it is rebuilt at start.
//!
//! Refuses to start from records that are damaged or contradict each other.

use super::accept::Desired;
use super::reporter::Reporter;
use crate::cbor::{Reader, Writer};
use crate::id::Digest;
use crate::message::Report;
use crate::record::{RecordError, Table, Write, damaged, read};
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Head, Revision, Seq};
use crate::state::{Delta, Path, State, Value};
use alloc::vec::Vec;

const HEAD_KEY: &[u8] = b"desired";
const REPORTER_KEY: &[u8] = b"reporter";

/// The head of the desired plane.
pub(super) fn head(head: &Head, frozen: Option<Epoch>) -> Write {
    let mut writer = Writer::new();
    writer.array(5).uint(head.generation.number());
    writer
        .uint(head.revision.epoch.number())
        .uint(head.revision.seq.number())
        .bytes(head.digest.as_bytes());
    match frozen {
        Some(epoch) => writer.uint(epoch.number()),
        None => writer.null(),
    };
    Write {
        table: Table::Heads,
        key: HEAD_KEY.into(),
        value: Some(writer.into_bytes()),
    }
}

/// The values that a delta changes, in the state that it leads to.
pub(super) fn values(delta: &Delta, after: &State) -> Vec<Write> {
    let removed = delta.remove().iter().map(|path| value(path, None));
    let set = delta.set().iter().map(|(path, new)| value(path, Some(new)));
    let edited = delta.edit().iter();
    let edited = edited.map(|(path, _)| value(path, after.value(path.as_str())));
    removed.chain(set).chain(edited).collect()
}

/// The values in which two states differ.
pub(super) fn replacement(old: &State, new: &State) -> Vec<Write> {
    old.diff(new)
        .map(|delta| values(&delta, new))
        .unwrap_or_default()
}

fn value(path: &Path, value: Option<&Value>) -> Write {
    let encoded = value.map(|value| {
        let mut writer = Writer::new();
        value.encode(&mut writer);
        writer.into_bytes()
    });
    Write {
        table: Table::Values,
        key: path.as_str().as_bytes().to_vec(),
        value: encoded,
    }
}

/// Report numbers, cursors and lists.
pub(super) fn reporter(reporter: &Reporter) -> Write {
    let report = Report {
        received: reporter.received,
        accepted: reporter.accepted,
        applied: reporter.applied,
        lists: reporter.lists.clone(),
    };
    let mut writer = Writer::new();
    writer
        .array(4)
        .uint(reporter.epoch.number())
        .uint(reporter.rseq.number());
    match &reporter.applied_digest {
        Some(digest) => writer.bytes(digest.as_bytes()),
        None => writer.null(),
    };
    writer.bytes(&report.encode());
    Write {
        table: Table::Reports,
        key: REPORTER_KEY.into(),
        value: Some(writer.into_bytes()),
    }
}

/// The engine's state at rest.
pub(super) struct Restored {
    pub(super) desired: Desired,
    pub(super) reporter: Reporter,
}

/// Reads everything back and proves that the values have the digest of the head.
pub(super) fn restore<'a>(
    records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
) -> Result<Restored, RecordError> {
    let mut restored = Restored {
        desired: Desired::default(),
        reporter: Reporter::default(),
    };
    let mut values = Vec::new();
    for (table, key, value) in records {
        match table {
            Table::Heads if key == HEAD_KEY => {
                let (head, frozen) = read(table, key, value, read_head)?;
                restored.desired.head = Some(head);
                restored.desired.frozen = frozen;
            }
            Table::Values => {
                let path = core::str::from_utf8(key)
                    .map_err(|_| damaged(table, key, Reject::PathInvalid))?;
                let path = Path::parse(path).map_err(|reject| damaged(table, key, reject))?;
                values.push((path, read(table, key, value, Value::decode)?));
            }
            Table::Reports if key == REPORTER_KEY => {
                restored.reporter = read(table, key, value, read_reporter)?
            }
            Table::Identity
            | Table::Bundles
            | Table::Heads
            | Table::Reports
            | Table::Members
            | Table::Invitations
            | Table::Actual
            | Table::Intents
            | Table::Evidence
            | Table::Envelopes => {}
        }
    }
    let state =
        State::from_entries(values).map_err(|reject| damaged(Table::Values, b"", reject))?;
    let expected = restored.desired.head.map(|head| head.digest);
    if expected.unwrap_or(*State::empty().root()) != *state.root() {
        return Err(damaged(Table::Values, b"", Reject::DigestMismatch));
    }
    restored.desired.state = state;
    Ok(restored)
}

fn read_head(reader: &mut Reader<'_>) -> Result<(Head, Option<Epoch>), Reject> {
    reader.array_of(5)?;
    let generation = Generation::new(reader.uint()?);
    let revision = Revision::new(Epoch::new(reader.uint()?), Seq::new(reader.uint()?));
    let digest = Digest::from_bytes(reader.bytes_of()?);
    let frozen = reader.optional(|reader| reader.uint().map(Epoch::new))?;
    Ok((
        Head {
            generation,
            revision,
            digest,
        },
        frozen,
    ))
}

fn read_reporter(reader: &mut Reader<'_>) -> Result<Reporter, Reject> {
    reader.array_of(4)?;
    let (epoch, rseq) = (Epoch::new(reader.uint()?), Seq::new(reader.uint()?));
    let applied_digest = reader.optional(|reader| reader.bytes_of().map(Digest::from_bytes))?;
    let Report {
        received,
        accepted,
        applied,
        lists,
    } = Report::decode(reader.bytes()?)?;
    let mut reporter = Reporter::default();
    (reporter.epoch, reporter.rseq) = (epoch, rseq);
    (reporter.received, reporter.accepted, reporter.applied) = (received, accepted, applied);
    (reporter.applied_digest, reporter.lists) = (applied_digest, lists);
    Ok(reporter)
}
