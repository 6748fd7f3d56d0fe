//! What the device keeps at rest, and how it is rebuilt at start.
//!
//! Refuses to start from records that are damaged or contradict each other.

use super::Identity;
use super::accept::Desired;
use super::actual::Actual;
use super::encryption::Held;
use super::evidence::{Dispute, Disputes};
use super::intents::{Intents, Mark, Refused};
use super::reporter::Reporter;
use crate::cbor::{Reader, Writer};
use crate::encryption::{KeyPlace, Life, Vault};
use crate::id::{Digest, MessageId, Thumbprint};
use crate::message::{EvidenceCode, Report};
use crate::record::{RecordError, Table, Write, damaged, read};
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Head, KeyGeneration, LineageEntry, Revision, Seq};
use crate::state::{Path, State, Value};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

const HEAD_KEY: &[u8] = b"desired";
const FROZEN_KEY: &[u8] = b"frozen";
const ACTUAL_KEY: &[u8] = b"actual";
const REPORTER_KEY: &[u8] = b"reporter";
const KEY_KEY: &[u8] = b"confirmed-key";
const PLANE_KEYS_KEY: &[u8] = b"plane-keys";

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

/// The epoch of which nothing is believed, where no head holds it.
pub(super) fn frozen(epoch: Option<Epoch>) -> Write {
    let value = epoch.map(|epoch| {
        let mut writer = Writer::new();
        writer.uint(epoch.number());
        writer.into_bytes()
    });
    write(Table::Heads, FROZEN_KEY, value)
}

/// The newest accepted envelope of the desired plane.
pub(super) fn envelope(envelope: &[u8]) -> Write {
    write(Table::Envelopes, HEAD_KEY, Some(envelope.to_vec()))
}

/// The head of the actual plane and the ends of its earlier epochs.
pub(super) fn actual_head((head, lineage): (&Head, &[LineageEntry])) -> Write {
    let mut writer = Writer::new();
    writer.array(2);
    write_entry(&mut writer, head.revision, &head.digest);
    writer.array(lineage.len());
    for entry in lineage {
        write_entry(&mut writer, entry.last, &entry.digest);
    }
    write(Table::Heads, ACTUAL_KEY, Some(writer.into_bytes()))
}

fn write_entry(writer: &mut Writer, revision: Revision, digest: &Digest) {
    writer
        .array(3)
        .uint(revision.epoch.number())
        .uint(revision.seq.number())
        .bytes(digest.as_bytes());
}

/// What was taken and done of one intent.
pub(super) fn intent(path: &Path, mark: &Mark) -> Write {
    let mut writer = Writer::new();
    writer.array(3).uint(mark.taken).uint(mark.done);
    match mark.refused {
        Some(Refused::Lower(value)) => writer.array(2).uint(2).uint(value),
        Some(Refused::Jump(value)) => writer.array(2).uint(3).uint(value),
        Some(Refused::NotUint) => writer.array(2).uint(4).uint(0),
        None => writer.null(),
    };
    write(
        Table::Intents,
        path.as_str().as_bytes(),
        Some(writer.into_bytes()),
    )
}

/// What the writer of a frozen epoch signed twice; `None` once that is resolved.
pub(super) fn dispute(dispute: Option<&Dispute>) -> Write {
    let value = dispute.map(|dispute| {
        let mut writer = Writer::new();
        writer.array(3).uint(dispute.head.generation.number());
        write_entry(&mut writer, dispute.head.revision, &dispute.head.digest);
        writer.array(dispute.proofs.len());
        for (message_id, envelope) in &dispute.proofs {
            writer.array(2).bytes(message_id.as_bytes());
            match envelope {
                Some(envelope) => writer.bytes(envelope),
                None => writer.null(),
            };
        }
        writer.into_bytes()
    });
    write(Table::Evidence, HEAD_KEY, value)
}

/// The key that the controller confirmed last.
pub(super) fn confirmed_key(key: &Thumbprint) -> Write {
    let mut writer = Writer::new();
    writer.bytes(key.as_bytes());
    write(Table::Identity, KEY_KEY, Some(writer.into_bytes()))
}

/// The keys of the channel. The value is secret.
pub(super) fn plane_keys(held: &Held) -> Write {
    let mut writer = Writer::new();
    writer
        .array(5)
        .uint(held.place.writer.number())
        .uint(held.place.epoch.number())
        .uint(held.place.number.number())
        .bytes(held.place.payload.as_bytes());
    held.vault.write(&mut writer);
    write(Table::PlaneKeys, PLANE_KEYS_KEY, Some(writer.into_bytes()))
}

fn read_plane_keys(reader: &mut Reader<'_>, life: Life) -> Result<Held, Reject> {
    reader.array_of(5)?;
    let place = KeyPlace {
        writer: Generation::new(reader.uint()?),
        epoch: Epoch::new(reader.uint()?),
        number: KeyGeneration::new(reader.uint()?),
        payload: Digest::from_bytes(reader.bytes_of()?),
    };
    Ok(Held {
        vault: Vault::read(reader, life)?,
        place,
    })
}

fn write(table: Table, key: &[u8], value: Option<Vec<u8>>) -> Write {
    Write {
        table,
        key: key.to_vec(),
        value,
    }
}

/// The values in which two states of a plane differ.
pub(super) fn changes(table: Table, old: &State, new: &State) -> Vec<Write> {
    let names = |from: &State, to: &State| {
        let digests = from.section_digests();
        let changed =
            digests.filter(|(name, digest)| to.section_digest(name.as_str()) != Some(*digest));
        changed.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let mut writes = Vec::new();
    for name in names(old, new) {
        let entries = old.section(name.as_str());
        let gone = entries.filter(|(path, _)| new.value(path.as_str()).is_none());
        writes.extend(gone.map(|(path, _)| value(table, path, None)));
    }
    for name in names(new, old) {
        let entries = new.section(name.as_str());
        let set = entries.filter(|(path, value)| old.value(path.as_str()) != Some(value));
        writes.extend(set.map(|(path, set)| value(table, path, Some(set))));
    }
    writes
}

fn value(table: Table, path: &Path, value: Option<&Value>) -> Write {
    let encoded = value.map(|value| {
        let mut writer = Writer::new();
        value.encode(&mut writer);
        writer.into_bytes()
    });
    write(table, path.as_str().as_bytes(), encoded)
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
#[derive(Default)]
pub(super) struct Restored {
    pub(super) desired: Desired,
    pub(super) actual: Actual,
    pub(super) reporter: Reporter,
    pub(super) intents: Intents,
    pub(super) disputes: Disputes,
    pub(super) confirmed: Option<Thumbprint>,
    pub(super) keys: Option<Held>,
}

/// Reads everything back and proves that the values of both planes have the digests of their heads.
pub(super) fn restore<'a>(
    identity: &Identity,
    records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
) -> Result<Restored, RecordError> {
    let mut restored = Restored::default();
    let (mut desired, mut actual, mut marks) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (table, key, value) in records {
        match table {
            Table::Heads => restored.read_heads(key, value)?,
            Table::Values => desired.push(read_value(table, key, value)?),
            Table::Actual => actual.push(read_value(table, key, value)?),
            Table::Reports if key == REPORTER_KEY => {
                restored.reporter = read(table, key, value, read_reporter)?;
            }
            Table::Intents => {
                let mark = read(table, key, value, read_mark)?;
                marks.insert(read_path(table, key)?, mark);
            }
            Table::Evidence if key == HEAD_KEY => {
                let dispute = read(table, key, value, read_dispute)?;
                restored.disputes.open(dispute);
            }
            Table::Envelopes if key == HEAD_KEY => {
                restored.desired.envelope = Some(value.to_vec());
            }
            Table::Identity if key == KEY_KEY => {
                let thumbprint = |reader: &mut Reader<'_>| reader.bytes_of();
                let key = read(table, key, value, thumbprint)?;
                restored.confirmed = Some(Thumbprint::from_bytes(key));
            }
            Table::PlaneKeys if key == PLANE_KEYS_KEY => {
                let life = Life {
                    channel: identity.channel.clone(),
                    incarnation: identity.incarnation,
                };
                let held = read(table, key, value, |reader| read_plane_keys(reader, life))?;
                restored.keys = Some(held);
            }
            Table::Identity
            | Table::PlaneKeys
            | Table::Bundles
            | Table::Reports
            | Table::Members
            | Table::Invitations
            | Table::Evidence
            | Table::Withdrawn
            | Table::Relays
            | Table::Envelopes => {}
        }
    }
    restored.intents = Intents::restore(marks);
    let vault = restored.keys.as_ref().map(|held| &held.vault);
    let digest = restored.desired.head.map(|head| head.digest);
    restored.desired.state = state_of(Table::Values, desired, digest, vault)?;
    let digest = restored.actual.head.map(|head| head.digest);
    restored.actual.state = state_of(Table::Actual, actual, digest, vault)?;
    Ok(restored)
}

impl Restored {
    fn read_heads(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        let table = Table::Heads;
        match key {
            HEAD_KEY => {
                let (head, frozen) = read(table, key, value, read_head)?;
                self.desired.head = Some(head);
                self.desired.frozen = frozen;
            }
            FROZEN_KEY => {
                let epoch = read(table, key, value, |reader| reader.uint())?;
                self.desired.frozen = Some(Epoch::new(epoch));
            }
            ACTUAL_KEY => {
                let (head, lineage) = read(table, key, value, read_actual)?;
                self.actual.head = Some(head);
                self.actual.lineage = lineage;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Puts a plane together and compares it with its head.
fn state_of(
    table: Table,
    values: Vec<(Path, Value)>,
    expected: Option<Digest>,
    vault: Option<&Vault>,
) -> Result<State, RecordError> {
    let error = |reject| damaged(table, b"", reject);
    let state = State::from_entries(values).map_err(error)?;
    let keyed = vault.map(|vault| state.under(vault.digester())).transpose();
    match (expected, keyed.map_err(error)?) {
        // Nothing was ever written: what comes first is of the present kind.
        (None, Some(keyed)) if keyed.is_empty() => Ok(keyed),
        (None, _) if state.is_empty() => Ok(state),
        // A head from before the keys came has a plain digest.
        (Some(expected), _) if expected == *state.root() => Ok(state),
        (Some(expected), Some(keyed)) if expected == *keyed.root() => Ok(keyed),
        (Some(_) | None, _) => Err(error(Reject::DigestMismatch)),
    }
}

fn read_path(table: Table, key: &[u8]) -> Result<Path, RecordError> {
    let path = core::str::from_utf8(key).map_err(|_| damaged(table, key, Reject::PathInvalid))?;
    Path::parse(path).map_err(|reject| damaged(table, key, reject))
}

fn read_value(table: Table, key: &[u8], value: &[u8]) -> Result<(Path, Value), RecordError> {
    Ok((
        read_path(table, key)?,
        read(table, key, value, Value::decode)?,
    ))
}

fn read_entry(reader: &mut Reader<'_>) -> Result<LineageEntry, Reject> {
    reader.array_of(3)?;
    let last = Revision::new(Epoch::new(reader.uint()?), Seq::new(reader.uint()?));
    let digest = Digest::from_bytes(reader.bytes_of()?);
    Ok(LineageEntry { last, digest })
}

fn read_actual(reader: &mut Reader<'_>) -> Result<(Head, Vec<LineageEntry>), Reject> {
    reader.array_of(2)?;
    let LineageEntry { last, digest } = read_entry(reader)?;
    let head = Head {
        generation: Generation::new(0),
        revision: last,
        digest,
    };
    let length = reader.array()?;
    let lineage: Result<_, Reject> = (0..length).map(|_| read_entry(reader)).collect();
    Ok((head, lineage?))
}

fn read_mark(reader: &mut Reader<'_>) -> Result<Mark, Reject> {
    reader.array_of(3)?;
    let (taken, done) = (reader.uint()?, reader.uint()?);
    let refused = reader.optional(|reader| {
        reader.array_of(2)?;
        match (reader.uint()?, reader.uint()?) {
            (2, value) => Ok(Refused::Lower(value)),
            (3, value) => Ok(Refused::Jump(value)),
            (4, 0) => Ok(Refused::NotUint),
            _ => Err(Reject::Shape),
        }
    })?;
    Ok(Mark {
        taken,
        done,
        refused,
    })
}

fn read_dispute(reader: &mut Reader<'_>) -> Result<Dispute, Reject> {
    reader.array_of(3)?;
    let generation = Generation::new(reader.uint()?);
    let LineageEntry { last, digest } = read_entry(reader)?;
    let head = Head {
        generation,
        revision: last,
        digest,
    };
    let count = reader.array()?;
    let proofs: Result<_, Reject> = (0..count)
        .map(|_| {
            reader.array_of(2)?;
            let message_id = MessageId::from_bytes(reader.bytes_of()?);
            let envelope = reader.optional(|reader| reader.bytes().map(Vec::from))?;
            Ok((message_id, envelope))
        })
        .collect();
    Ok(Dispute::new(EvidenceCode::Equivocation, head, proofs?))
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
