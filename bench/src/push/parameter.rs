//! Bytes of turning one parameter inside a 2.4 KB document, on devices with 1, 10 and 100 of them.
//!
//! Beside Postern's frames stand the bodies that polling for whole documents needs for the same
//! change: the manifest, the one document, and the status that goes back, compact JSON and plain YAML.
//! HTTP, TLS and signatures in headers are left out on both sides, which favours the documents.
//! Refuses to count a way that reproduces anything but the exact bytes.

use super::document::{id, manifest, status, text};
use crate::error::BenchError;
use crate::fixture::{Fleet, REVISION};
use crate::table::Row;
use crate::wire::{down, poll, up};
use postern_protocol::frame::{Answer, DownFrame, Hints, Item, UpFrame};
use postern_protocol::id::Plane;
use postern_protocol::kind::MessageKind;
use postern_protocol::message::{Report, ReportLists};
use postern_protocol::state::{Change, Path, State, Value};

/// How many deployments the devices hold.
const COUNTS: [usize; 3] = [1, 10, 100];
/// Bytes that the edit of one parameter may take as an envelope: that of a one-key delta and some.
const ENVELOPE_BYTES_MAX: u32 = 190;

/// Measures every row.
///
/// # Errors
/// When an encoder refuses the benchmark's own input.
pub fn measure() -> Result<Vec<Row>, BenchError> {
    let fleet = Fleet::new()?;
    let mut rows = Vec::new();
    for count in COUNTS {
        let (envelope, exchange) = push(&fleet, count)?;
        let documents = manifest(count, true).len() + text(1, true).len() + status().len();
        let of = |what: &str| {
            format!(
                "1 parameter of a {} B document, {count} deployments: {what}",
                text(1, false).len()
            )
        };
        rows.push(Row::bytes(
            of("delta envelope"),
            envelope,
            Some(ENVELOPE_BYTES_MAX),
        ));
        rows.push(Row::bytes(of("all frames of the push"), exchange, None));
        rows.push(Row::bytes(
            of("manifest, document, status"),
            documents,
            None,
        ));
    }
    Ok(rows)
}

/// Returns the bytes of the delta's envelope, and of poll, answer, report and its answer.
fn push(fleet: &Fleet, count: usize) -> Result<(usize, usize), BenchError> {
    let path = |number: usize| Path::parse(&format!("{}/document", id(number)));
    let mut state = State::empty();
    for number in 1..=count {
        let set = Change::Set(path(number)?, Value::Text(text(number, false)));
        if let Some((next, _)) = state.change(&[set])? {
            state = next;
        }
    }
    let turned = Change::Set(path(1)?, Value::Text(text(1, true)));
    let Some((after, delta)) = state.change(&[turned])? else {
        return Err(BenchError::Unsteady(
            "turning the parameter changed nothing",
        ));
    };
    let sealed = fleet.seal(
        MessageKind::Delta,
        *after.root(),
        delta.shortened(&state).encode(),
    )?;
    let report = Report {
        received: REVISION,
        accepted: REVISION,
        applied: REVISION,
        lists: ReportLists::default(),
    };
    let report = fleet.seal(MessageKind::Report, *after.root(), report.encode())?;
    let frames = [
        up(&UpFrame::Poll(poll(None)))?,
        answer(Plane::Desired, sealed.as_bytes())?,
        up(&UpFrame::Post(vec![Item {
            plane: Some(Plane::Actual),
            envelope: report.as_bytes(),
        }]))?,
        down(&DownFrame::Answer(Answer::default()))?,
    ];
    Ok((sealed.as_bytes().len(), frames.iter().sum()))
}

fn answer(plane: Plane, envelope: &[u8]) -> Result<usize, BenchError> {
    let answer = Answer {
        hints: Hints::default(),
        items: vec![Item {
            plane: Some(plane),
            envelope,
        }],
    };
    Ok(down(&DownFrame::Answer(answer))?)
}
