//! What became of each frame of a file, for people and as JSON.
//!
//! Refuses to judge: outcomes come from the engines.

use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::reject::Reject;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// It was known already.
    Known,
    /// It is older than what is held.
    Older,
    /// It was refused.
    Refused,
}

impl Outcome {
    /// Returns the word in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Known => "known",
            Self::Older => "older",
            Self::Refused => "refused",
        }
    }
}

/// One frame of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The kind of its envelope, or the type of the frame.
    pub kind: String,
    /// `EPOCH.SEQ`, where the envelope has such numbers.
    pub number: Option<String>,
    /// Bytes of the frame; 0 for one whose end was not found.
    pub bytes: usize,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused: the name of a reject.
    pub reject: Option<String>,
}

impl Row {
    /// Describes a frame of which nobody said anything yet.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        let (kind, number) = describe(frame);
        Self {
            kind,
            number,
            bytes: frame.len(),
            outcome: Outcome::Taken,
            reject: None,
        }
    }

    /// Describes what no frame could be read from.
    #[must_use]
    pub fn broken(reject: Reject) -> Self {
        Self::of(&[]).refused(reject)
    }

    /// Notes what became of it.
    #[must_use]
    pub fn ended(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Notes that it was refused.
    #[must_use]
    pub fn refused(mut self, reject: Reject) -> Self {
        self.outcome = Outcome::Refused;
        self.reject = Some(reject.as_str().to_owned());
        self
    }

    /// Returns the row with the place of its frame in the file, from 0.
    #[must_use]
    pub fn to_json(&self, place: usize) -> Json {
        json!({
            "frame": place,
            "kind": self.kind,
            "number": self.number,
            "bytes": self.bytes,
            "outcome": self.outcome.as_str(),
            "reject": self.reject,
        })
    }
}

fn describe(frame: &[u8]) -> (String, Option<String>) {
    let decoded = PlainFrame::decode(frame, Direction::File);
    let Ok(decoded) = decoded else {
        return ("frame".into(), None);
    };
    let PlainFrame::Posted { envelope, .. } = decoded else {
        return (decoded.frame_type().as_str().to_owned(), None);
    };
    match ReceivedEnvelope::parse(envelope) {
        Ok(received) => {
            let header = received.unverified_header();
            let number = format!("{}.{}", header.epoch.number(), header.seq.number());
            (header.kind.as_str().to_owned(), Some(number))
        }
        Err(_) => ("posted".into(), None),
    }
}
