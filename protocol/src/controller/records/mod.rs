//! What the controller keeps at rest: one row for each thing, all rows of a change in one commit.
//!
//! [`restore`] reads back what any released version wrote. Refuses to write a value that did not change.

mod plane_keys;
mod restore;

pub(super) use restore::restore;

use super::admissions::Withdrawn;
use super::enrol::Invitation;
use super::evidence::EvidenceHeld;
use super::member::{IntentShown, Member};
use crate::cbor::Writer;
use crate::id::{Channel, ChannelId, Plane, TokenId};
use crate::message::IntentOutcome;
use crate::record::{Table, Write};
use crate::revision::{Epoch, Head};
use crate::state::{Path, State, Value};
use alloc::vec::Vec;

const EPOCH_KEY: &[u8] = b"controller-epoch";
const RESTORED_KEY: &[u8] = b"controller-restored";
/// Members of a member's row as this version writes it.
const MEMBER_LENGTH: usize = 14;
/// Members of the row of a withdrawn device.
const WITHDRAWN_LENGTH: usize = 5;
/// Members of an invitation's row as this version writes it.
const INVITATION_LENGTH: usize = 5;

/// The highest epoch that was ever opened here or shown by a device.
pub(super) fn epoch(epoch: Epoch) -> Write {
    let mut writer = Writer::new();
    writer.uint(epoch.number());
    insert(Table::Identity, EPOCH_KEY.into(), writer)
}

/// These records come from a backup, and not every device was heard since.
pub(super) fn restored() -> Write {
    let mut writer = Writer::new();
    writer.bool(true);
    insert(Table::Identity, RESTORED_KEY.into(), writer)
}

/// Every device was heard since the restore.
pub(super) fn not_restored() -> Write {
    remove(Table::Identity, RESTORED_KEY.into())
}

/// The whole of a member but its values, its report, its actual plane and its evidence.
pub(super) fn member(member: &Member) -> Write {
    let mut writer = Writer::new();
    writer
        .array(MEMBER_LENGTH)
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
    writer.bool(member.has_left);
    write_alarms(member, &mut writer);
    insert(Table::Members, id_key(member), writer)
}

/// The next key, the clone, the contested epoch and the answered request: each null where there is none.
fn write_alarms(member: &Member, writer: &mut Writer) {
    let next = member.enrolled.as_ref().and_then(|one| one.next.as_ref());
    match next {
        Some(next) => writer
            .array(2)
            .bytes(next.key.as_bytes())
            .bytes(next.request.as_bytes()),
        None => writer.null(),
    };
    match &member.cloned {
        Some(cloned) => {
            writer.array(4);
            for ack in [cloned.held, cloned.shown] {
                writer.uint(ack.epoch.number()).uint(ack.rseq.number());
            }
        }
        None => {
            writer.null();
        }
    }
    match member.contested {
        Some(epoch) => writer.uint(epoch.number()),
        None => writer.null(),
    };
    match member.enrolled.as_ref().and_then(|one| one.request) {
        Some(request) => writer.bytes(request.as_bytes()),
        None => writer.null(),
    };
}

/// One decision: the values that changed since `before`, and the new head.
pub(super) fn decision(decided: &Member, before: &State) -> Vec<Write> {
    let mut writes = changed(Table::Values, decided, before, &decided.state);
    writes.push(member(decided));
    writes
}

/// The lists of a report that came encrypted: its keys may be forgotten before it is.
fn report_lists(reported: &Member) -> Write {
    let held = reported.report.as_ref();
    let plain = held.filter(|held| held.is_encrypted);
    Write {
        table: Table::Reports,
        key: plane_key(reported),
        value: plain.map(|held| held.report.encode()),
    }
}

/// One revision of the actual plane: the values that changed since `before`, the head, its envelope.
pub(super) fn actual(member: &Member, before: &State) -> Vec<Write> {
    let mut writes = changed(Table::Actual, member, before, &member.actual.state);
    writes.push(actual_head(member));
    writes.push(Write {
        table: Table::Envelopes,
        key: plane_key(member),
        value: member.actual.newest.clone(),
    });
    writes
}

/// The head of the actual plane, and the epoch that is frozen.
pub(super) fn actual_head(member: &Member) -> Write {
    let mut writer = Writer::new();
    let Some(head) = &member.actual.head else {
        return remove(Table::Heads, plane_key(member));
    };
    writer
        .array(4)
        .uint(head.revision.epoch.number())
        .uint(head.revision.seq.number())
        .bytes(head.digest.as_bytes());
    match member.actual.frozen {
        Some(epoch) => writer.uint(epoch.number()),
        None => writer.null(),
    };
    insert(Table::Heads, plane_key(member), writer)
}

/// Nothing of the actual plane counts any more.
pub(super) fn no_actual(member: &Member) -> Vec<Write> {
    let before = &member.actual.state;
    let mut writes = changed(Table::Actual, member, before, &State::empty());
    writes.push(remove(Table::Heads, plane_key(member)));
    writes.push(remove(Table::Envelopes, plane_key(member)));
    writes
}

/// The keys of a member's channel, and the key that its device bound. The value is secret.
pub(super) fn plane_keys(member: &Member) -> Write {
    let encryption = &member.encryption;
    let mut writer = Writer::new();
    writer.array(3);
    match &encryption.agreement {
        Some(agreement) => writer.bytes(agreement.as_bytes()),
        None => return remove(Table::PlaneKeys, id_key(member)),
    };
    match &encryption.held {
        Some(held) => {
            writer.bytes(held.vault.life().incarnation.as_bytes());
            writer.array(2).bytes(&held.payload);
            held.vault.write(&mut writer);
        }
        None => {
            writer.null().null();
        }
    }
    insert(Table::PlaneKeys, id_key(member), writer)
}

/// The member itself and its desired values are gone.
pub(super) fn no_member(member: &Member) -> Vec<Write> {
    let mut writes = changed(Table::Values, member, &member.state, &State::empty());
    writes.push(remove(Table::Members, id_key(member)));
    writes.push(remove(Table::PlaneKeys, id_key(member)));
    writes
}

fn changed(table: Table, member: &Member, before: &State, after: &State) -> Vec<Write> {
    let id = member.channel.id();
    let Some(delta) = before.diff(after) else {
        return Vec::new();
    };
    let gone = delta.remove().iter();
    let mut writes: Vec<Write> = gone.map(|path| remove(table, path_key(id, path))).collect();
    for (path, value) in delta.set() {
        let mut writer = Writer::new();
        Value::encode(value, &mut writer);
        writes.push(insert(table, path_key(id, path), writer));
    }
    writes
}

/// A newer report, as the device signed it, and the lineage that it allows to forget.
pub(super) fn report(reported: &Member, envelope: &[u8]) -> Vec<Write> {
    let report = Write {
        table: Table::Reports,
        key: id_key(reported),
        value: Some(envelope.to_vec()),
    };
    Vec::from([report, report_lists(reported), member(reported)])
}

/// The report of an earlier life counts no more.
pub(super) fn no_report(member: &Member) -> [Write; 2] {
    [id_key(member), plane_key(member)].map(|key| remove(Table::Reports, key))
}

/// What a device showed of an intent.
pub(super) fn intent(channel: &Channel, path: &Path, shown: &IntentShown) -> Write {
    let mut writer = Writer::new();
    writer.array(2).uint(shown.value);
    match &shown.note {
        None => {
            writer.null();
        }
        Some(note) => match &note.outcome {
            IntentOutcome::Finished { status, output } => {
                writer.array(4).uint(note.value).uint(note.outcome.number());
                writer.int(*status).text(output);
            }
            IntentOutcome::Recorded
            | IntentOutcome::Fired
            | IntentOutcome::Lower
            | IntentOutcome::Jump
            | IntentOutcome::NotUint
            | IntentOutcome::TooManyVerbs
            | IntentOutcome::Interrupted => {
                writer.array(2).uint(note.value).uint(note.outcome.number());
            }
        },
    }
    insert(Table::Intents, path_key(channel.id(), path), writer)
}

/// An intent of an earlier life counts no more.
pub(super) fn no_intent(channel: &Channel, path: &Path) -> Write {
    remove(Table::Intents, path_key(channel.id(), path))
}

/// Evidence, as the device signed it, and whether our own key proves it.
pub(super) fn evidence(member: &Member, held: &EvidenceHeld) -> Write {
    let mut writer = Writer::new();
    writer.array(2).bool(held.is_proven).bytes(&held.envelope);
    insert(Table::Evidence, evidence_key(member, held.number), writer)
}

/// Evidence that others pushed out.
pub(super) fn no_evidence(member: &Member, number: u64) -> Write {
    remove(Table::Evidence, evidence_key(member, number))
}

/// An invitation, open or used.
pub(super) fn invitation(token: TokenId, invitation: &Invitation) -> Write {
    let mut writer = Writer::new();
    writer
        .array(INVITATION_LENGTH)
        .text(invitation.tenant.as_str())
        .text(invitation.device.as_str());
    writer.bytes(invitation.secret.danger_bytes());
    match &invitation.used_by {
        Some(thumbprint) => writer.bytes(thumbprint.as_bytes()),
        None => writer.null(),
    };
    match invitation.expires_unix_s {
        Some(unix_s) => writer.uint(unix_s),
        None => writer.null(),
    };
    insert(Table::Invitations, token.as_bytes().to_vec(), writer)
}

/// An invitation that expired or was taken back.
pub(super) fn no_invitation(token: TokenId) -> Write {
    remove(Table::Invitations, token.as_bytes().to_vec())
}

/// A device that mailboxes shall serve no more.
pub(super) fn withdrawn(withdrawn: &Withdrawn) -> Write {
    let mut writer = Writer::new();
    writer
        .array(WITHDRAWN_LENGTH)
        .text(withdrawn.channel.tenant.as_str())
        .text(withdrawn.channel.device.as_str());
    writer
        .bytes(withdrawn.incarnation.as_bytes())
        .bytes(withdrawn.key.as_bytes())
        .uint(withdrawn.serial);
    let key = withdrawn.channel.id().as_bytes().to_vec();
    insert(Table::Withdrawn, key, writer)
}

/// A device that was enrolled again, or that others pushed out.
pub(super) fn not_withdrawn(withdrawn: &Withdrawn) -> Write {
    let key = withdrawn.channel.id().as_bytes().to_vec();
    remove(Table::Withdrawn, key)
}

fn id_key(member: &Member) -> Vec<u8> {
    member.channel.id().as_bytes().to_vec()
}

/// The channel, then the number of the actual plane.
fn plane_key(member: &Member) -> Vec<u8> {
    let mut key = id_key(member);
    key.extend(u8::try_from(Plane::Actual.number()));
    key
}

fn evidence_key(member: &Member, number: u64) -> Vec<u8> {
    let mut key = id_key(member);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn path_key(id: ChannelId, path: &Path) -> Vec<u8> {
    let mut key = id.as_bytes().to_vec();
    key.extend_from_slice(path.as_str().as_bytes());
    key
}

fn remove(table: Table, key: Vec<u8>) -> Write {
    Write {
        table,
        key,
        value: None,
    }
}

fn insert(table: Table, key: Vec<u8>, writer: Writer) -> Write {
    Write {
        table,
        key,
        value: Some(writer.into_bytes()),
    }
}
