//! A device that missed a change of one of 500 values, by every way that it can catch up.
//!
//! By deltas when the mailbox still has them; else by a snapshot, whose section table names what
//! differs, and the bodies of those sections. Changed is 1 of 500 values; the lineage is empty.
//! Refuses to leave out a frame: the poll that asks is counted too.

use super::{down, poll, up};
use crate::error::BenchError;
use crate::fixture::Fleet;
use crate::table::Row;
use postern_protocol::Reject;
use postern_protocol::frame::{Answer, BodyChunk, DownFrame, Hints, Item, UpFrame, Wanted};
use postern_protocol::id::Plane;
use postern_protocol::kind::MessageKind;
use postern_protocol::limits::BODY_CHUNK_BYTES_MAX;
use postern_protocol::message::Snapshot;
use postern_protocol::revision::Lineage;
use postern_protocol::state::{Change, Delta, Path, State, Value};

/// Values of the state.
const VALUES: usize = 500;
/// Bytes that a resynchronisation may take.
const TARGET_BYTES: u32 = 1_150;

/// How a state is laid out.
struct Layout {
    /// What it is like.
    title: &'static str,
    sections: usize,
    path: fn(section: usize, index: usize) -> String,
    /// Bytes of text of each value, or an integer when 0.
    text_bytes: usize,
    /// What a snapshot may take, where that is promised.
    snapshot_bytes_max: Option<u32>,
}

/// The first layout is the one that the target is kept for: a section is fetched whole, so that
/// the bytes are least with about ten sections and grow with paths and values.
const LAYOUTS: [Layout; 3] = [
    Layout {
        title: "integers, 10 sections, 5 B paths",
        sections: 10,
        path: |section, index| format!("{section}/{index:03}"),
        text_bytes: 0,
        snapshot_bytes_max: Some(TARGET_BYTES),
    },
    Layout {
        title: "integers, 16 sections, 13 B paths",
        sections: 16,
        path: |section, index| format!("line-{section:x}/sp-{index:03}"),
        text_bytes: 0,
        snapshot_bytes_max: None,
    },
    Layout {
        title: "1000 B values, 10 sections, 13 B paths",
        sections: 10,
        path: |section, index| format!("line-{section:x}/sp-{index:03}"),
        text_bytes: 1_000,
        snapshot_bytes_max: None,
    },
];

/// Measures every layout, by delta and by snapshot.
///
/// # Errors
/// When an encoder refuses the benchmark's own input.
pub fn measure(fleet: &Fleet) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for layout in &LAYOUTS {
        let (before, after, delta) = layout.states()?;
        // A value of 1000 B leaves no room below the target for the rest of the frames.
        let delta_max = (layout.text_bytes == 0).then_some(TARGET_BYTES);
        rows.push(Row::bytes(
            format!("resync by delta: {}", layout.title),
            by_delta(fleet, &after, &delta)?,
            delta_max,
        ));
        rows.push(Row::bytes(
            format!("resync by snapshot: {}", layout.title),
            by_snapshot(fleet, &before, &after)?,
            layout.snapshot_bytes_max,
        ));
    }
    Ok(rows)
}

impl Layout {
    fn states(&self) -> Result<(State, State, Delta), Reject> {
        let entries = (0..VALUES)
            .map(|index| {
                let path = Path::parse(&(self.path)(index % self.sections, index))?;
                Ok((path, self.value(index)))
            })
            .collect::<Result<Vec<_>, Reject>>()?;
        let middle = entries.get(VALUES / 2).ok_or(Reject::Shape)?;
        let change = Change::Set(middle.0.clone(), self.value(VALUES));
        let before = State::from_entries(entries)?;
        let (after, delta) = before.change(&[change])?.ok_or(Reject::DeltaEmpty)?;
        Ok((before, after, delta))
    }

    fn value(&self, index: usize) -> Value {
        match self.text_bytes {
            0 => Value::Int(u64::try_from(index).unwrap_or_default().into()),
            bytes => Value::Text(format!("{index:0bytes$}")),
        }
    }
}

/// Bytes of the poll and of the answer with the delta that was missed.
fn by_delta(fleet: &Fleet, after: &State, delta: &Delta) -> Result<usize, Reject> {
    let sealed = fleet.seal(MessageKind::Delta, *after.root(), delta.encode())?;
    asked_and_answered(sealed.as_bytes())
}

/// Bytes of poll, answer with the snapshot, and as many fetches as the bodies need.
fn by_snapshot(fleet: &Fleet, before: &State, after: &State) -> Result<usize, Reject> {
    let payload = Snapshot {
        table: after.section_table(),
        lineage: Lineage::default(),
    }
    .encode();
    let sealed = fleet.seal(MessageKind::Snapshot, *after.root(), payload)?;
    let mut bytes = asked_and_answered(sealed.as_bytes())?;
    for (_, digest) in after.section_digests() {
        if before.body(digest).is_some() {
            continue;
        }
        let body = after.body(digest).ok_or(Reject::BodyMismatch)?;
        let mut offset = 0_u64;
        for chunk in body.chunks(BODY_CHUNK_BYTES_MAX) {
            bytes += up(&UpFrame::Fetch {
                plane: Plane::Desired,
                wanted: vec![Wanted {
                    digest: *digest,
                    offset,
                }],
            })?;
            bytes += down(&DownFrame::Bodies(vec![BodyChunk {
                digest: *digest,
                size: body.len() as u64,
                offset,
                bytes: chunk,
            }]))?;
            offset += chunk.len() as u64;
        }
    }
    Ok(bytes)
}

fn asked_and_answered(envelope: &[u8]) -> Result<usize, Reject> {
    let item = Item {
        plane: Some(Plane::Desired),
        envelope,
    };
    let answer = DownFrame::Answer(Answer {
        hints: Hints::default(),
        items: vec![item],
    });
    Ok(up(&UpFrame::Poll(poll(None)))? + down(&answer)?)
}
