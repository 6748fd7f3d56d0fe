//! What became of intents: one note for each value that a device judged or acted on.
//!
//! Refuses an end without an action that ended, and an action that ended without its end.

use crate::cbor::{Reader, Writer};
use crate::limits::RESULT_OUTPUT_BYTES_MAX;
use crate::reject::Reject;
use crate::state::Path;
use alloc::string::String;

/// What became of an intent (spec: #intents).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentOutcome {
    /// It stood in the first snapshot and was only recorded.
    Recorded,
    /// It was taken and its action started.
    Fired,
    /// It is below what was taken.
    Lower,
    /// It is too far above what was taken.
    Jump,
    /// It is no unsigned integer.
    NotUint,
    /// Its action ended.
    Finished {
        /// Exit status of the action, 0 for success.
        status: i64,
        /// End of its output, at most 512 bytes.
        output: String,
    },
    /// There are too many verbs.
    TooManyVerbs,
    /// Its action runs at most once and its end is unknown after a restart.
    Interrupted,
}

impl IntentOutcome {
    /// Returns the number on the wire.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Recorded => 0,
            Self::Fired => 1,
            Self::Lower => 2,
            Self::Jump => 3,
            Self::NotUint => 4,
            Self::Finished { .. } => 5,
            Self::TooManyVerbs => 6,
            Self::Interrupted => 7,
        }
    }

    /// Returns the one word for this outcome.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Fired => "fired",
            Self::Lower => "lower",
            Self::Jump => "jump",
            Self::NotUint => "not-uint",
            Self::Finished { .. } => "finished",
            Self::TooManyVerbs => "too-many-verbs",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What became of one value of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentNote {
    /// The intent's path in the desired state.
    pub path: Path,
    /// Its value; 0 where that is no unsigned integer.
    pub value: u64,
    /// What became of it.
    pub outcome: IntentOutcome,
}

pub(super) fn write_intent(writer: &mut Writer, note: &IntentNote) {
    let is_finished = matches!(note.outcome, IntentOutcome::Finished { .. });
    writer
        .array(if is_finished { 4 } else { 3 })
        .text(note.path.as_str())
        .uint(note.value)
        .uint(note.outcome.number());
    if let IntentOutcome::Finished { status, output } = &note.outcome {
        writer.array(2).int(*status).text(output);
    }
}

pub(super) fn read_intent(reader: &mut Reader<'_>) -> Result<IntentNote, Reject> {
    let members = reader.array()?;
    if !matches!(members, 3 | 4) {
        return Err(Reject::Shape);
    }
    let path = Path::parse(reader.text()?)?;
    let value = reader.uint()?;
    let outcome = match (reader.uint()?, members) {
        (0, 3) => IntentOutcome::Recorded,
        (1, 3) => IntentOutcome::Fired,
        (2, 3) => IntentOutcome::Lower,
        (3, 3) => IntentOutcome::Jump,
        (4, 3) => IntentOutcome::NotUint,
        (5, 4) => {
            reader.array_of(2)?;
            let status = i64::try_from(reader.int()?).map_err(|_| Reject::Shape)?;
            let output = reader.text()?;
            if output.len() > RESULT_OUTPUT_BYTES_MAX {
                return Err(Reject::ReportListOversize);
            }
            IntentOutcome::Finished {
                status,
                output: output.into(),
            }
        }
        (6, 3) => IntentOutcome::TooManyVerbs,
        (7, 3) => IntentOutcome::Interrupted,
        //= spec/postern.md#report
        //# An entry of list 5 MUST have its fourth member with the outcome 5 and with no other,
        //# else `shape`.
        (_, _) => return Err(Reject::Shape),
    };
    Ok(IntentNote {
        path,
        value,
        outcome,
    })
}
