//! How the engine is rebuilt at start, from what this version wrote or any before it.
//!
//! Envelopes were verified when they came and are not verified again: the key that signed one may
//! have been rotated since. Refuses to start from records that are damaged or contradict each other.

use super::super::actual::Actual;
use super::super::admissions::Withdrawn;
use super::super::enrol::Invitation;
use super::super::evidence::EvidenceHeld;
use super::super::member::{Cloned, Enrolled, IntentShown, Member, NextKey, ReportHeld};
use super::super::{Ack, Controller};
use super::plane_keys::restore_keys;
use super::{EPOCH_KEY, INVITATION_LENGTH, MEMBER_LENGTH, RESTORED_KEY, WITHDRAWN_LENGTH};
use crate::cbor::{Kind, Reader};
use crate::encryption::Vault;
use crate::enrol::JoinSecret;
use crate::envelope::{Binding, Expected, ReceivedEnvelope};
use crate::id::{
    Channel, ChannelId, DeviceName, Digest, Incarnation, MessageId, Plane, Tenant, Thumbprint,
    TokenId,
};
use crate::key::PublicKey;
use crate::kind::Role;
use crate::message::{Evidence, IntentNote, IntentOutcome, Report};
use crate::record::{RecordError, Table, damaged, read};
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Head, Lineage, LineageEntry, Revision, Seq};
use crate::state::{Path, State, Value};
use crate::trust::Trust;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;

/// Members of a member's row in version 0.1.
const MEMBER_LENGTH_FIRST: usize = 9;
/// Members of an invitation's row in version 0.1.
const INVITATION_LENGTH_FIRST: usize = 4;

/// Stands for the lists of a report that came encrypted until the row that holds them is read: one lost
/// reject, the least that lists can say.
const UNREAD_LISTS: &[u8] = &[0xa1, 0x04, 0x81, 0x82, 0x01, 0x01];

/// A row that belongs to a member: it is read once all members are known.
type Row<'a> = (Table, &'a [u8], &'a [u8]);
/// Values of one plane, by the member that they belong to.
type Values = BTreeMap<ChannelId, Vec<(Path, Value)>>;

/// Rebuilds the engine.
pub(in super::super) fn restore<'a>(
    trust: Trust,
    records: impl IntoIterator<Item = Row<'a>>,
) -> Result<Controller, RecordError> {
    let mut controller = Controller::new(trust);
    let (mut desired, mut actual) = (Values::new(), Values::new());
    let mut keys = Vec::new();
    let mut stored_bundles = BTreeMap::new();
    let mut of_members: Vec<Row<'a>> = Vec::new();
    for (table, key, value) in records {
        match table {
            Table::Identity if key == EPOCH_KEY => {
                controller.highest = Epoch::new(read(table, key, value, Reader::uint)?);
            }
            Table::Identity if key == RESTORED_KEY => {
                controller.is_restored = read(table, key, value, Reader::bool)?;
            }
            // What links keep is theirs.
            Table::Identity | Table::Relays => {}
            Table::Bundles => {
                stored_bundles.insert(key, value);
            }
            Table::Members => {
                let member = read_member(controller.root(), key, value)?;
                controller.members.insert(member.channel.id(), member);
            }
            Table::Values => push_value(&mut desired, table, key, value)?,
            Table::Actual => push_value(&mut actual, table, key, value)?,
            Table::Reports | Table::Heads | Table::Envelopes | Table::Intents | Table::Evidence => {
                of_members.push((table, key, value))
            }
            Table::Withdrawn => {
                let root = controller.root();
                let withdrawn = read(table, key, value, |reader| read_withdrawn(root, reader))?;
                let id = withdrawn.channel.id();
                controller.withdrawn.insert(id, withdrawn);
            }
            Table::PlaneKeys => keys.push((key, value)),
            Table::Invitations => {
                let token = TokenId::from_bytes(fixed(table, key)?);
                let invitation = read(table, key, value, read_invitation)?;
                controller.invitations.insert(token, invitation);
            }
        }
    }
    // A record below where members stand is not the newest: no epoch is opened twice, nor behind one.
    let members = controller.members.values();
    let highest = members.map(|member| member.head.revision.epoch).max();
    controller.highest = controller
        .highest
        .max(highest.unwrap_or(controller.highest));
    controller.epoch = controller.highest;
    restore_bundles(&mut controller, stored_bundles)?;
    for (key, value) in keys {
        restore_keys(&mut controller, key, value)?;
    }
    restore_desired(&mut controller, desired)?;
    for row in of_members {
        restore_row(&mut controller, row)?;
    }
    restore_actual(&mut controller, actual)?;
    controller
        .members
        .values_mut()
        .for_each(Controller::reopen_behind);
    Ok(controller)
}

/// Takes up bundles that were accepted after those that the caller brought.
fn restore_bundles(
    controller: &mut Controller,
    stored: BTreeMap<&[u8], &[u8]>,
) -> Result<(), RecordError> {
    for (key, envelope) in stored {
        let number = u64::from_be_bytes(fixed(Table::Bundles, key)?);
        if number <= controller.trust.number().number() {
            continue;
        }
        let offered = controller.trust.offer(envelope);
        controller.trust = offered.map_err(|reject| damaged(Table::Bundles, key, reject))?;
    }
    Ok(())
}

fn push_value(
    values: &mut Values,
    table: Table,
    key: &[u8],
    value: &[u8],
) -> Result<(), RecordError> {
    let (id, path) = split_path_key(table, key)?;
    let value = read(table, key, value, Value::decode)?;
    values.entry(id).or_default().push((path, value));
    Ok(())
}

fn restore_desired(controller: &mut Controller, mut values: Values) -> Result<(), RecordError> {
    for (id, member) in &mut controller.members {
        let held = values.remove(id).unwrap_or_default();
        let vault = member.encryption.vault();
        member.state = whole(Table::Values, *id, held, &member.head.digest, vault)?;
    }
    Ok(())
}

fn restore_actual(controller: &mut Controller, mut values: Values) -> Result<(), RecordError> {
    let nothing = State::empty();
    for (id, member) in &mut controller.members {
        let held = values.remove(id).unwrap_or_default();
        let head = member.actual.head.as_ref();
        let digest = head.map_or(*nothing.root(), |head| head.digest);
        let vault = member.encryption.vault();
        member.actual.state = whole(Table::Actual, *id, held, &digest, vault)?;
    }
    Ok(())
}

/// Puts a state together and proves that it is the one of the head.
fn whole(
    table: Table,
    id: ChannelId,
    values: Vec<(Path, Value)>,
    digest: &Digest,
    vault: Option<&Vault>,
) -> Result<State, RecordError> {
    let error = |reject| damaged(table, id.as_bytes(), reject);
    let state = State::from_entries(values).map_err(error)?;
    if state.root() == digest {
        return Ok(state);
    }
    let vault = vault.ok_or_else(|| error(Reject::DigestMismatch))?;
    let state = state.under(vault.digester()).map_err(error)?;
    if state.root() == digest {
        Ok(state)
    } else {
        Err(error(Reject::DigestMismatch))
    }
}

/// Reads a row into the member that it belongs to; one of a member that is gone says nothing.
fn restore_row(controller: &mut Controller, row: Row<'_>) -> Result<(), RecordError> {
    let (table, key, value) = row;
    let error = |reject| damaged(table, key, reject);
    let (id, rest) = key
        .split_first_chunk::<16>()
        .ok_or_else(|| error(Reject::Shape))?;
    let Some(member) = controller.members.get_mut(&ChannelId::from_bytes(*id)) else {
        return Ok(());
    };
    match table {
        Table::Reports if rest.is_empty() => {
            member.report = read_report(member, value).map_err(error)?;
        }
        Table::Reports => {
            // The lists of the report before, which came encrypted.
            let report = Report::decode(value).map_err(error)?;
            if let Some(held) = &mut member.report {
                held.report = report;
            }
        }
        Table::Heads => {
            let (head, frozen) = read(table, key, value, read_actual_head)?;
            (member.actual.head, member.actual.frozen) = (Some(head), frozen);
        }
        Table::Envelopes => member.actual.newest = Some(value.to_vec()),
        Table::Intents => {
            let (_, path) = split_path_key(table, key)?;
            let shown = read(table, key, value, |reader| read_intent(reader, &path))?;
            member.intents.insert(path, shown);
        }
        Table::Evidence => {
            let number = rest.try_into().map_err(|_| error(Reject::Shape))?;
            let held = read(table, key, value, |reader| {
                read_evidence(reader, u64::from_be_bytes(number), member.head.generation)
            })?;
            member.evidence.push(held);
            member.evidence.sort_by_key(|held| held.number);
        }
        Table::Identity
        | Table::Bundles
        | Table::Values
        | Table::Actual
        | Table::Members
        | Table::PlaneKeys
        | Table::Invitations
        | Table::Withdrawn
        | Table::Relays => {}
    }
    Ok(())
}

fn read_report(member: &Member, envelope: &[u8]) -> Result<Option<ReportHeld>, Reject> {
    let Some(enrolled) = &member.enrolled else {
        return Ok(None);
    };
    let received = ReceivedEnvelope::parse(envelope)?;
    let binding = Binding::Device {
        channel: &member.channel,
        incarnation: enrolled.incarnation,
    };
    let expected = Expected {
        role: Role::Device,
        plane: Some(Plane::Actual),
    };
    let message_id = received.unverified_message_id(expected, binding);
    let header = received.unverified_header();
    let is_encrypted = Cell::new(false);
    let report = Report::decode_with(received.unverified_payload(), |_| {
        // A row of its own holds what they said.
        is_encrypted.set(true);
        Ok(UNREAD_LISTS.to_vec())
    })?;
    Ok(Some(ReportHeld {
        ack: Ack {
            epoch: header.epoch,
            rseq: header.seq,
        },
        message_id: message_id.ok_or(Reject::SignerRole)?,
        applied_digest: header.digest,
        is_encrypted: is_encrypted.get(),
        report,
    }))
}

fn read_withdrawn(root: Thumbprint, reader: &mut Reader<'_>) -> Result<Withdrawn, Reject> {
    reader.array_of(WITHDRAWN_LENGTH)?;
    Ok(Withdrawn {
        channel: Channel {
            root,
            tenant: Tenant::parse(reader.text()?)?,
            device: DeviceName::parse(reader.text()?)?,
        },
        incarnation: Incarnation::from_bytes(reader.bytes_of()?),
        key: PublicKey::from_bytes(reader.bytes()?)?,
        serial: reader.uint()?,
    })
}

fn read_actual_head(reader: &mut Reader<'_>) -> Result<(Head, Option<Epoch>), Reject> {
    reader.array_of(4)?;
    let head = Head {
        generation: Generation::new(0),
        revision: read_revision(reader)?,
        digest: Digest::from_bytes(reader.bytes_of()?),
    };
    let frozen = reader.optional(|reader| reader.uint().map(Epoch::new))?;
    Ok((head, frozen))
}

fn read_intent(reader: &mut Reader<'_>, path: &Path) -> Result<IntentShown, Reject> {
    reader.array_of(2)?;
    let value = reader.uint()?;
    let note = reader.optional(|reader| read_note(reader, path))?;
    Ok(IntentShown { value, note })
}

fn read_note(reader: &mut Reader<'_>, path: &Path) -> Result<IntentNote, Reject> {
    let members = reader.array()?;
    let (value, outcome) = (reader.uint()?, reader.uint()?);
    let outcome = match (members, outcome) {
        (2, 0) => IntentOutcome::Recorded,
        (2, 1) => IntentOutcome::Fired,
        (2, 2) => IntentOutcome::Lower,
        (2, 3) => IntentOutcome::Jump,
        (2, 4) => IntentOutcome::NotUint,
        (4, 5) => IntentOutcome::Finished {
            status: i64::try_from(reader.int()?).map_err(|_| Reject::Shape)?,
            output: reader.text()?.into(),
        },
        (2, 6) => IntentOutcome::TooManyVerbs,
        (2, 7) => IntentOutcome::Interrupted,
        (_, _) => return Err(Reject::Shape),
    };
    Ok(IntentNote {
        path: path.clone(),
        value,
        outcome,
    })
}

fn read_evidence(
    reader: &mut Reader<'_>,
    number: u64,
    generation: Generation,
) -> Result<EvidenceHeld, Reject> {
    reader.array_of(2)?;
    let is_proven = reader.bool()?;
    let envelope = reader.bytes()?;
    let received = ReceivedEnvelope::parse(envelope)?;
    let header = received.unverified_header();
    Ok(EvidenceHeld {
        number,
        code: Evidence::decode(received.unverified_payload())?.code,
        head: Head {
            generation,
            revision: Revision::new(header.epoch, header.seq),
            digest: header.digest.ok_or(Reject::DigestLength)?,
        },
        is_proven,
        envelope: envelope.to_vec(),
    })
}

fn read_member(root: Thumbprint, key: &[u8], value: &[u8]) -> Result<Member, RecordError> {
    read(Table::Members, key, value, |reader| {
        let length = reader.array()?;
        if length != MEMBER_LENGTH_FIRST && length != MEMBER_LENGTH {
            return Err(Reject::Shape);
        }
        let channel = Channel {
            root,
            tenant: Tenant::parse(reader.text()?)?,
            device: DeviceName::parse(reader.text()?)?,
        };
        let enrolled = read_enrolled(reader)?;
        let generation = Generation::new(reader.uint()?);
        let revision = read_revision(reader)?;
        let digest = Digest::from_bytes(reader.bytes_of()?);
        let entries = reader.array()?;
        let lineage = (0..entries)
            .map(|_| read_lineage_entry(reader))
            .collect::<Result<_, _>>()?;
        let mut member = Member::new(channel, revision.epoch, generation);
        member.lineage = Lineage::new(lineage, revision.epoch)?.entries().to_vec();
        (member.head.revision, member.head.digest) = (revision, digest);
        (member.enrolled, member.actual) = (enrolled, Actual::default());
        if length == MEMBER_LENGTH {
            read_alarms(reader, &mut member)?;
        }
        Ok(member)
    })
}

fn read_alarms(reader: &mut Reader<'_>, member: &mut Member) -> Result<(), Reject> {
    member.has_left = reader.bool()?;
    let next = reader.optional(|reader| {
        reader.array_of(2)?;
        Ok(NextKey {
            key: PublicKey::from_bytes(reader.bytes()?)?,
            request: MessageId::from_bytes(reader.bytes_of()?),
        })
    })?;
    if let Some(enrolled) = &mut member.enrolled {
        enrolled.next = next;
    }
    member.cloned = reader.optional(|reader| {
        reader.array_of(4)?;
        Ok(Cloned {
            held: read_ack(reader)?,
            shown: read_ack(reader)?,
        })
    })?;
    member.contested = reader.optional(|reader| reader.uint().map(Epoch::new))?;
    let request = reader.optional(|reader| reader.bytes_of().map(MessageId::from_bytes))?;
    if let Some(enrolled) = &mut member.enrolled {
        enrolled.request = request;
    }
    Ok(())
}

fn read_ack(reader: &mut Reader<'_>) -> Result<Ack, Reject> {
    Ok(Ack {
        epoch: Epoch::new(reader.uint()?),
        rseq: Seq::new(reader.uint()?),
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
    Ok(Some(Enrolled {
        key,
        incarnation,
        next: None,
        request: None,
    }))
}

fn read_revision(reader: &mut Reader<'_>) -> Result<Revision, Reject> {
    let epoch = Epoch::new(reader.uint()?);
    Ok(Revision::new(epoch, Seq::new(reader.uint()?)))
}

fn read_lineage_entry(reader: &mut Reader<'_>) -> Result<LineageEntry, Reject> {
    reader.array_of(3)?;
    Ok(LineageEntry {
        last: read_revision(reader)?,
        digest: Digest::from_bytes(reader.bytes_of()?),
    })
}

fn read_invitation(reader: &mut Reader<'_>) -> Result<Invitation, Reject> {
    let length = reader.array()?;
    if length != INVITATION_LENGTH_FIRST && length != INVITATION_LENGTH {
        return Err(Reject::Shape);
    }
    let tenant = Tenant::parse(reader.text()?)?;
    let device = DeviceName::parse(reader.text()?)?;
    let secret = JoinSecret::from_bytes(reader.bytes_of()?);
    let used_by = reader.optional(|reader| reader.bytes_of().map(Thumbprint::from_bytes))?;
    let expires_unix_s = if length == INVITATION_LENGTH {
        reader.optional(Reader::uint)?
    } else {
        None
    };
    Ok(Invitation {
        tenant,
        device,
        secret,
        expires_unix_s,
        used_by,
    })
}

fn split_path_key(table: Table, key: &[u8]) -> Result<(ChannelId, Path), RecordError> {
    let error = |reject| damaged(table, key, reject);
    let (id, path) = key
        .split_first_chunk::<16>()
        .ok_or_else(|| error(Reject::Shape))?;
    let path = core::str::from_utf8(path).map_err(|_| error(Reject::PathInvalid))?;
    Ok((
        ChannelId::from_bytes(*id),
        Path::parse(path).map_err(error)?,
    ))
}

pub(super) fn fixed<const N: usize>(table: Table, key: &[u8]) -> Result<[u8; N], RecordError> {
    key.try_into()
        .map_err(|_| damaged(table, key, Reject::Shape))
}
