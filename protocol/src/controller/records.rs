//! What the controller keeps at rest, and how it is rebuilt at start.
//!
//! Refuses to start from records that are damaged or contradict each other.

use super::enrol::Invitation;
use super::member::{Enrolled, Member};
use super::{Controller, reports};
use crate::cbor::{Kind, Reader, Writer};
use crate::enrol::JoinSecret;
use crate::envelope::{Binding, Expected, ReceivedEnvelope};
use crate::id::{
    Channel, ChannelId, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint, TokenId,
};
use crate::key::PublicKey;
use crate::kind::Role;
use crate::record::{RecordError, Table, Write, damaged, read};
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Head, Lineage, LineageEntry, Revision, Seq};
use crate::state::{Delta, Path, State, Value};
use crate::trust::Trust;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

const EPOCH_KEY: &[u8] = b"controller-epoch";

/// The highest epoch that was ever opened here or shown by a device.
pub(super) fn epoch(epoch: Epoch) -> Write {
    let mut writer = Writer::new();
    writer.uint(epoch.number());
    insert(Table::Identity, EPOCH_KEY.into(), writer)
}

/// The whole of a member but its values and its report.
pub(super) fn member(member: &Member) -> Write {
    let mut writer = Writer::new();
    writer
        .array(9)
        .text(member.channel.tenant.as_str())
        .text(member.channel.device.as_str());
    match &member.enrolled {
        Some(enrolled) => writer
            .bytes(enrolled.incarnation.as_bytes())
            .bytes(enrolled.key.as_bytes()),
        None => writer.null().null(),
    };
    let Head {
        generation,
        revision,
        digest,
    } = &member.head;
    writer
        .uint(generation.number())
        .uint(revision.epoch.number())
        .uint(revision.seq.number());
    writer.bytes(digest.as_bytes()).array(member.lineage.len());
    for entry in &member.lineage {
        writer
            .array(3)
            .uint(entry.last.epoch.number())
            .uint(entry.last.seq.number());
        writer.bytes(entry.digest.as_bytes());
    }
    insert(
        Table::Members,
        member.channel.id().as_bytes().to_vec(),
        writer,
    )
}

/// One decision: the values that changed and the new head.
pub(super) fn decision(decided: &Member, delta: &Delta) -> Vec<Write> {
    let id = decided.channel.id();
    let mut writes = Vec::new();
    for path in delta.remove() {
        writes.push(Write {
            table: Table::Values,
            key: value_key(id, path),
            value: None,
        });
    }
    for (path, value) in delta.set() {
        let mut writer = Writer::new();
        value.encode(&mut writer);
        writes.push(insert(Table::Values, value_key(id, path), writer));
    }
    writes.push(member(decided));
    writes
}

/// A newer report, as the device signed it, and the lineage that it allows to forget.
pub(super) fn report(reported: &Member, envelope: &[u8]) -> Vec<Write> {
    let key = reported.channel.id().as_bytes().to_vec();
    let report = Write {
        table: Table::Reports,
        key,
        value: Some(envelope.to_vec()),
    };
    Vec::from([report, member(reported)])
}

/// The report of an earlier life counts no more.
pub(super) fn no_report(member: &Member) -> Write {
    Write {
        table: Table::Reports,
        key: member.channel.id().as_bytes().to_vec(),
        value: None,
    }
}

/// An invitation, open or used.
pub(super) fn invitation(token: TokenId, invitation: &Invitation) -> Write {
    let mut writer = Writer::new();
    writer
        .array(4)
        .text(invitation.tenant.as_str())
        .text(invitation.device.as_str());
    writer.bytes(invitation.secret.danger_bytes());
    match &invitation.used_by {
        Some(thumbprint) => writer.bytes(thumbprint.as_bytes()),
        None => writer.null(),
    };
    insert(Table::Invitations, token.as_bytes().to_vec(), writer)
}

fn value_key(id: ChannelId, path: &Path) -> Vec<u8> {
    let mut key = id.as_bytes().to_vec();
    key.extend_from_slice(path.as_str().as_bytes());
    key
}

fn insert(table: Table, key: Vec<u8>, writer: Writer) -> Write {
    Write {
        table,
        key,
        value: Some(writer.into_bytes()),
    }
}

/// Rebuilds the engine.
pub(super) fn restore<'a>(
    trust: Trust,
    bundles: Vec<Vec<u8>>,
    records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
) -> Result<Controller, RecordError> {
    let mut controller = Controller {
        trust,
        bundles,
        epoch: Epoch::new(0),
        shown: Epoch::new(0),
        members: BTreeMap::new(),
        invitations: BTreeMap::new(),
        outputs: VecDeque::new(),
    };
    let mut values: BTreeMap<ChannelId, Vec<(Path, Value)>> = BTreeMap::new();
    let mut reports = Vec::new();
    for (table, key, value) in records {
        match table {
            Table::Identity if key == EPOCH_KEY => {
                controller.epoch = Epoch::new(read(table, key, value, Reader::uint)?);
            }
            Table::Identity
            | Table::Bundles
            | Table::Heads
            | Table::Actual
            | Table::Intents
            | Table::Evidence
            | Table::Envelopes => {}
            Table::Members => {
                let member = read_member(controller.root(), key, value)?;
                controller.members.insert(member.channel.id(), member);
            }
            Table::Values => {
                let (id, path) = split_value_key(key)?;
                values
                    .entry(id)
                    .or_default()
                    .push((path, read(table, key, value, Value::decode)?));
            }
            Table::Reports => reports.push((key, value)),
            Table::Invitations => {
                let token = fixed(table, key)?;
                let invitation = read(table, key, value, read_invitation)?;
                controller
                    .invitations
                    .insert(TokenId::from_bytes(token), invitation);
            }
        }
    }
    restore_states(&mut controller, values)?;
    for (key, value) in reports {
        restore_report(&mut controller, key, value)?;
    }
    Ok(controller)
}

fn restore_states(
    controller: &mut Controller,
    mut values: BTreeMap<ChannelId, Vec<(Path, Value)>>,
) -> Result<(), RecordError> {
    for (id, member) in &mut controller.members {
        let held = values.remove(id).unwrap_or_default();
        let key = id.as_bytes();
        member.state =
            State::from_entries(held).map_err(|reject| damaged(Table::Values, key, reject))?;
        if *member.state.root() != member.head.digest {
            return Err(damaged(Table::Values, key, Reject::DigestMismatch));
        }
    }
    Ok(())
}

fn restore_report(
    controller: &mut Controller,
    key: &[u8],
    value: &[u8],
) -> Result<(), RecordError> {
    let error = |reject| damaged(Table::Reports, key, reject);
    let id = ChannelId::from_bytes(fixed(Table::Reports, key)?);
    let Some(member) = controller.members.get_mut(&id) else {
        return Ok(());
    };
    let Some(enrolled) = &member.enrolled else {
        return Ok(());
    };
    let expected = Expected {
        role: Role::Device,
        plane: Some(Plane::Actual),
    };
    let binding = Binding::Device {
        channel: &member.channel,
        incarnation: enrolled.incarnation,
    };
    let received = ReceivedEnvelope::parse(value).map_err(error)?;
    // A report of an earlier incarnation no longer verifies; it says nothing about this one.
    match received.verify(expected, binding, [&enrolled.key], |_| false) {
        Ok(verified) => member.report = Some(reports::held_report(&verified).map_err(error)?),
        Err(_) => member.report = None,
    }
    Ok(())
}

fn read_member(root: Thumbprint, key: &[u8], value: &[u8]) -> Result<Member, RecordError> {
    read(Table::Members, key, value, |reader| {
        reader.array_of(9)?;
        let tenant = Tenant::parse(reader.text()?)?;
        let device = DeviceName::parse(reader.text()?)?;
        let enrolled = read_enrolled(reader)?;
        let generation = Generation::new(reader.uint()?);
        let revision = Revision::new(Epoch::new(reader.uint()?), Seq::new(reader.uint()?));
        let digest = Digest::from_bytes(reader.bytes_of()?);
        let entries = reader.array()?;
        let lineage = (0..entries)
            .map(|_| read_lineage_entry(reader))
            .collect::<Result<_, _>>()?;
        let lineage = Lineage::new(lineage, revision.epoch)?.entries().to_vec();
        let head = Head {
            generation,
            revision,
            digest,
        };
        let channel = Channel {
            root,
            tenant,
            device,
        };
        Ok(Member {
            channel,
            enrolled,
            state: State::empty(),
            head,
            lineage,
            report: None,
        })
    })
}

fn read_enrolled(reader: &mut Reader<'_>) -> Result<Option<Enrolled>, Reject> {
    if reader.peek()? == Kind::Null {
        reader.null()?;
        reader.null()?;
        return Ok(None);
    }
    let incarnation = Incarnation::from_bytes(reader.bytes_of()?);
    let key = PublicKey::from_bytes(reader.bytes()?)?;
    Ok(Some(Enrolled { key, incarnation }))
}

fn read_lineage_entry(reader: &mut Reader<'_>) -> Result<LineageEntry, Reject> {
    reader.array_of(3)?;
    let last = Revision::new(Epoch::new(reader.uint()?), Seq::new(reader.uint()?));
    Ok(LineageEntry {
        last,
        digest: Digest::from_bytes(reader.bytes_of()?),
    })
}

fn read_invitation(reader: &mut Reader<'_>) -> Result<Invitation, Reject> {
    reader.array_of(4)?;
    let tenant = Tenant::parse(reader.text()?)?;
    let device = DeviceName::parse(reader.text()?)?;
    let secret = JoinSecret::from_bytes(reader.bytes_of()?);
    let used_by = reader.optional(|reader| reader.bytes_of().map(Thumbprint::from_bytes))?;
    Ok(Invitation {
        tenant,
        device,
        secret,
        used_by,
    })
}

fn split_value_key(key: &[u8]) -> Result<(ChannelId, Path), RecordError> {
    let error = |reject| damaged(Table::Values, key, reject);
    let (id, path) = key
        .split_first_chunk::<16>()
        .ok_or_else(|| error(Reject::Shape))?;
    let path = core::str::from_utf8(path).map_err(|_| error(Reject::PathInvalid))?;
    Ok((
        ChannelId::from_bytes(*id),
        Path::parse(path).map_err(error)?,
    ))
}

fn fixed<const N: usize>(table: Table, key: &[u8]) -> Result<[u8; N], RecordError> {
    key.try_into()
        .map_err(|_| damaged(table, key, Reject::Shape))
}
