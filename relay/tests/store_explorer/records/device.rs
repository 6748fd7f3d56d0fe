//! A device: values, the head over them, report number and cursors, and a chain of bundles.
//!
//! An accepted change is one batch of values, head and cursors; an applied one moves a cursor and
//! the report number; a bundle names the digest of the one before it.

use postern_relay::store::Table;

use super::{Draft, Model, Random, digest, numbers, numbers_at, require, under, value};

const VALUES: Table = Table::new("values");
const HEADS: Table = Table::new("heads");
const REPORTS: Table = Table::new("reports");
const BUNDLES: Table = Table::new("bundles");
pub(super) const TABLES: &[Table] = &[VALUES, HEADS, REPORTS, BUNDLES];

const HEAD_KEY: &[u8] = b"desired";
const REPORTER_KEY: &[u8] = b"reporter";
const PATHS: usize = 60;

pub(super) fn draw(draft: &mut Draft, random: &mut Random) {
    let [epoch, seq, _] = numbers_at(&draft.model, HEADS, HEAD_KEY).unwrap_or([1, 0, 0]);
    match random.below(10) {
        0 => chain(draft, random),
        1..=3 => apply(draft),
        4 => {
            let old: Vec<Vec<u8>> = keys_of_values(&draft.model);
            for key in old {
                draft.remove(VALUES, &key);
            }
            change(draft, 8, random);
            accept(draft, [epoch + 1, 1]);
        }
        _ => {
            let changes = 1 + random.below(3);
            change(draft, changes, random);
            accept(draft, [epoch, seq + 1]);
        }
    }
}

fn keys_of_values(model: &Model) -> Vec<Vec<u8>> {
    under(model, VALUES, b"")
        .map(|(key, _)| key.to_vec())
        .collect()
}

fn change(draft: &mut Draft, changes: usize, random: &mut Random) {
    for _ in 0..changes {
        let path = format!("section-{}/path-{}", random.below(4), random.below(PATHS));
        if random.one_in(5) {
            draft.remove(VALUES, path.as_bytes());
        } else {
            draft.insert(VALUES, path.as_bytes(), value(random));
        }
    }
}

fn accept(draft: &mut Draft, [epoch, seq]: [u64; 2]) {
    let digest = digest(&draft.model, VALUES, b"");
    draft.insert(HEADS, HEAD_KEY, numbers(&[epoch, seq, digest]));
    let [number, _, _, _, _, applied_epoch, applied_seq] = reporter(&draft.model);
    let cursors = [epoch, seq, epoch, seq, applied_epoch, applied_seq];
    report(draft, number, cursors);
}

fn apply(draft: &mut Draft) {
    let [number, received_epoch, received_seq, epoch, seq, _, _] = reporter(&draft.model);
    let cursors = [received_epoch, received_seq, epoch, seq, epoch, seq];
    report(draft, number, cursors);
}

fn report(draft: &mut Draft, number: u64, cursors: [u64; 6]) {
    let record = numbers(&[&[number + 1], &cursors[..]].concat());
    draft.insert(REPORTS, REPORTER_KEY, record);
}

/// Report number, then epoch and sequence of the cursors received, accepted and applied.
fn reporter(model: &Model) -> [u64; 7] {
    numbers_at(model, REPORTS, REPORTER_KEY).unwrap_or_default()
}

fn chain(draft: &mut Draft, random: &mut Random) {
    let last = under(&draft.model, BUNDLES, b"").last();
    let (number, link) = match last {
        Some((_, bundle)) => (
            under(&draft.model, BUNDLES, b"").count() as u64,
            crc(bundle),
        ),
        None => (0, 0),
    };
    let bundle = [numbers(&[link]), value(random)].concat();
    draft.insert(BUNDLES, &numbers(&[number]), bundle);
}

fn crc(bundle: &[u8]) -> u64 {
    u64::from(crc32c::crc32c(bundle))
}

pub(super) fn judge(records: &Model) -> Result<(), String> {
    let head: Option<[u64; 3]> = numbers_at(records, HEADS, HEAD_KEY);
    let [epoch, seq, expected] = head.unwrap_or_default();
    let held = digest(records, VALUES, b"");
    require(expected == held, "the head stands with its values")?;
    let [
        _,
        received_epoch,
        received_seq,
        accepted_epoch,
        accepted_seq,
        applied @ ..,
    ] = reporter(records);
    let received = [received_epoch, received_seq];
    let accepted = [accepted_epoch, accepted_seq];
    require(accepted == [epoch, seq], "the cursor accepted is the head")?;
    require(
        received >= accepted && accepted >= applied,
        "cursors are in order",
    )?;
    let mut link = 0;
    for (n, (key, bundle)) in under(records, BUNDLES, b"").enumerate() {
        require(key == numbers(&[n as u64]), "bundles have no gap")?;
        require(
            bundle.starts_with(&numbers(&[link])),
            "a bundle names the one before it",
        )?;
        link = crc(bundle);
    }
    Ok(())
}
