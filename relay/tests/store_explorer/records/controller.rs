//! A controller: members with head and lineage, their values, their newest reports, its epoch.
//!
//! A decision is one batch of values and the member over them; a new epoch puts the old head into
//! the lineage; a report and the member that it moves are one batch.

use postern_relay::store::Table;

use super::{
    Draft, Model, Random, digest, numbers, numbers_at, read_numbers, require, under, value,
};

const VALUES: Table = Table::new("values");
const MEMBERS: Table = Table::new("members");
const REPORTS: Table = Table::new("reports");
const IDENTITY: Table = Table::new("identity");
pub(super) const TABLES: &[Table] = &[VALUES, MEMBERS, REPORTS, IDENTITY];

const EPOCH_KEY: &[u8] = b"controller-epoch";
const MEMBERS_MAX: usize = 3;
const PATHS: usize = 30;
/// Epoch, sequence and digest of one revision.
const REVISION_BYTES: usize = 24;

pub(super) fn draw(draft: &mut Draft, random: &mut Random) {
    let id = [b'm', random.below(MEMBERS_MAX) as u8];
    let [opened] = numbers_at(&draft.model, IDENTITY, EPOCH_KEY).unwrap_or([1]);
    match random.below(10) {
        0 => draft.insert(IDENTITY, EPOCH_KEY, numbers(&[opened + 1])),
        1..=3 => report(draft, id, random),
        _ => decide(draft, id, opened, random),
    }
}

fn decide(draft: &mut Draft, id: [u8; 2], opened: u64, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let path = format!("/path-{}", random.below(PATHS));
        let key = [&id[..], path.as_bytes()].concat();
        if random.one_in(4) {
            draft.remove(VALUES, &key);
        } else {
            draft.insert(VALUES, &key, value(random));
        }
    }
    let mut lineage = draft
        .model
        .get(&(MEMBERS, id.to_vec()))
        .cloned()
        .unwrap_or_default();
    let last = revisions(&lineage).last().copied().unwrap_or_default();
    let seq = if last[0] == opened {
        // The newest revision stands last, and replaces the one before it in the same epoch.
        lineage.truncate(lineage.len() - REVISION_BYTES);
        last[1] + 1
    } else {
        1
    };
    let head = [opened, seq, digest(&draft.model, VALUES, &id)];
    lineage.extend_from_slice(&numbers(&head));
    draft.insert(IDENTITY, EPOCH_KEY, numbers(&[opened]));
    draft.insert(MEMBERS, &id, lineage);
}

fn report(draft: &mut Draft, id: [u8; 2], random: &mut Random) {
    let Some(member) = draft.model.get(&(MEMBERS, id.to_vec())).cloned() else {
        return;
    };
    let [number, _, _] = head_of(draft.model.get(&(REPORTS, id.to_vec())));
    let [epoch, seq, _] = revisions(&member).last().copied().unwrap_or_default();
    let envelope = [numbers(&[number + 1, epoch, seq]), value(random)].concat();
    draft.insert(REPORTS, &id, envelope);
    // A report allows to forget all but the newest two lives.
    let from = member.len().saturating_sub(2 * REVISION_BYTES);
    draft.insert(MEMBERS, &id, member[from..].to_vec());
}

fn head_of(envelope: Option<&Vec<u8>>) -> [u64; 3] {
    envelope
        .and_then(|envelope| read_numbers(envelope.get(..REVISION_BYTES)?))
        .unwrap_or_default()
}

fn revisions(member: &[u8]) -> Vec<[u64; 3]> {
    member
        .chunks(REVISION_BYTES)
        .filter_map(read_numbers)
        .collect()
}

pub(super) fn judge(records: &Model) -> Result<(), String> {
    let [opened] = numbers_at(records, IDENTITY, EPOCH_KEY).unwrap_or([1]);
    for (id, member) in under(records, MEMBERS, b"") {
        let revisions = revisions(member);
        let [epoch, seq, expected] = revisions.last().copied().unwrap_or_default();
        let held = digest(records, VALUES, id);
        require(expected == held, "a member stands with its values")?;
        require(
            epoch <= opened,
            "no head is of an epoch that was never opened",
        )?;
        let ascending = revisions.windows(2).all(|pair| pair[0][0] < pair[1][0]);
        require(ascending, "the lineage ascends")?;
        let [_, reported @ ..] = head_of(records.get(&(REPORTS, id.to_vec())));
        require(reported <= [epoch, seq], "no report is ahead of its member")?;
    }
    for (key, _) in under(records, VALUES, b"") {
        let owner = (MEMBERS, key[..2].to_vec());
        require(
            records.contains_key(&owner),
            "no value is without its member",
        )?;
    }
    Ok(())
}
