//! A mailbox: messages under their arrival number, and how far they were written and fetched.
//!
//! Some messages are large, and an acknowledgement removes many at once, so the file grows and
//! shrinks under the cut.

use postern_relay::store::Table;

use super::{Draft, Model, Random, numbers, numbers_at, require, under};

const MESSAGES: Table = Table::new("messages");
const ENDS: Table = Table::new("ends");
pub(super) const TABLES: &[Table] = &[MESSAGES, ENDS];

const ENDS_KEY: &[u8] = b"mailbox";
const LARGE_BYTES: usize = 400_000;

pub(super) fn draw(draft: &mut Draft, random: &mut Random) {
    let [mut first, mut next] = ends(&draft.model);
    if random.one_in(4) {
        let keep = random.below(4) as u64;
        while first + keep < next {
            draft.remove(MESSAGES, &numbers(&[first]));
            first += 1;
        }
    } else {
        for _ in 0..=random.below(4) {
            let length = match random.below(6) {
                0 => LARGE_BYTES / 2 + random.below(LARGE_BYTES / 2),
                _ => random.below(2_000),
            };
            let message = [numbers(&[next]), random.bytes(length)].concat();
            draft.insert(MESSAGES, &numbers(&[next]), message);
            next += 1;
        }
    }
    draft.insert(ENDS, ENDS_KEY, numbers(&[first, next]));
}

fn ends(model: &Model) -> [u64; 2] {
    numbers_at(model, ENDS, ENDS_KEY).unwrap_or_default()
}

pub(super) fn judge(records: &Model) -> Result<(), String> {
    let [first, next] = ends(records);
    let mut expected = first;
    for (key, message) in under(records, MESSAGES, b"") {
        let number = numbers(&[expected]);
        require(key == number, "messages have no gap")?;
        require(
            message.starts_with(&number),
            "a message lies under its number",
        )?;
        expected += 1;
    }
    require(
        expected == next,
        "the last message is the last that was numbered",
    )
}
