//! Tells what a file is from its first bytes, then explains it.
//!
//! Refuses to guess on: a file that begins like an envelope or posted file is judged as one.

use super::diagnostic;
use super::envelope::{self, Belief, Judgement};
use super::frame::explain_frame;
use super::show::Show;
use crate::exit::CommandError;
use postern_protocol::Reject;
use postern_protocol::cbor::{Reader, check};
use postern_protocol::envelope::TAG_SIGN1;
use postern_protocol::frame::{FileFrames, FrameType, frame_type};
use postern_protocol::join_line::{JOIN_LINE_PREFIX, JoinLine, JoinLineError};
use std::path::Path;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) show: Show,
    pub(super) judgements: Vec<Judgement>,
}

/// Why a file is not explained.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is, or begins like, something of Postern's and breaks a rule at this byte, where known.
    Reject(Reject, Option<usize>),
    /// It is a broken join line.
    JoinLine(JoinLineError),
}

impl Refusal {
    /// Words the refusal for the operator.
    pub(super) fn to_error(&self, file: &Path) -> CommandError {
        let file = file.display();
        let next = "make sure that the file is complete and of Postern's";
        match self {
            Self::Reject(reject, offset) => {
                let place = offset.map_or(String::new(), |offset| format!(" at byte {offset}"));
                let message = format!("{file}: {reject}{place}: {}", reject.sentence());
                CommandError::configuration(reject.as_str(), message, next)
            }
            Self::JoinLine(error) => {
                let next = "copy the whole line again, from postern1: to its end";
                CommandError::configuration("join-line", format!("{file}: {error}"), next)
            }
        }
    }
}

/// Explains a file. # Errors: [`Refusal`].
pub(super) fn explain(bytes: &[u8], belief: Option<&Belief>) -> Result<Found, Refusal> {
    if let Some(line) = join_line(bytes) {
        let show = explain_join_line(line).map_err(Refusal::JoinLine)?;
        return Ok(found(
            "join line",
            bytes,
            vec![("join_line", show)],
            Vec::new(),
        ));
    }
    match bytes.first() {
        Some(&TAG_SIGN1) => explain_envelopes(bytes, belief),
        Some(first) if *first == FrameType::Posted.number() || is_file(bytes) => {
            explain_posted(bytes, belief)
        }
        Some(_) | None => explain_rest(bytes, belief),
    }
}

fn found(
    form: &str,
    bytes: &[u8],
    more: Vec<(&'static str, Show)>,
    judgements: Vec<Judgement>,
) -> Found {
    let mut rows = vec![
        ("form", Show::text(form)),
        ("bytes", Show::count(bytes.len())),
    ];
    rows.extend(more);
    Found {
        show: Show::Rows(rows),
        judgements,
    }
}

/// Explains tagged envelopes, one after the other: a chain of bundles, for one.
fn explain_envelopes(bytes: &[u8], belief: Option<&Belief>) -> Result<Found, Refusal> {
    let (mut shows, mut judgements) = (Vec::new(), Vec::new());
    let mut start = 0;
    while start < bytes.len() {
        let inner = bytes
            .get(start..)
            .and_then(|rest| rest.strip_prefix(&[TAG_SIGN1]));
        let inner = inner.ok_or(Refusal::Reject(Reject::CborTrailing, Some(start)))?;
        let envelope = first_item(inner, start + 1)?;
        let (show, judgement) = envelope::explain(envelope, belief)
            .map_err(|reject| Refusal::Reject(reject, Some(start)))?;
        shows.push(show);
        judgements.push(judgement);
        start += 1 + envelope.len();
    }
    let (form, shown) = listed("envelope, tag 18", "envelopes, tag 18", shows);
    Ok(found(form, bytes, vec![("envelope", shown)], judgements))
}

/// Tells whether these are several frames of a file; one alone is explained as a frame.
fn is_file(bytes: &[u8]) -> bool {
    FileFrames::new(bytes)
        .filter(Result::is_ok)
        .nth(1)
        .is_some()
}

/// Explains the frames of a file, one after the other.
fn explain_posted(bytes: &[u8], belief: Option<&Belief>) -> Result<Found, Refusal> {
    let (mut shows, mut judgements) = (Vec::new(), Vec::new());
    let mut frames = FileFrames::new(bytes);
    let mut start = 0;
    let mut is_posted = true;
    while let Some(frame) = frames.next() {
        let frame = frame.map_err(|reject| Refusal::Reject(reject, Some(frames.position())))?;
        let (show, judged) =
            explain_frame(frame, belief).map_err(|reject| Refusal::Reject(reject, Some(start)))?;
        is_posted &= frame.first() == Some(&FrameType::Posted.number());
        shows.push(show);
        judgements.extend(judged);
        start = frames.position();
    }
    let many = if is_posted {
        "posted files"
    } else {
        "file of frames"
    };
    let (form, shown) = listed("posted file", many, shows);
    Ok(found(form, bytes, vec![("posted", shown)], judgements))
}

/// Explains an untagged envelope, a frame, or else one item of CBOR.
fn explain_rest(bytes: &[u8], belief: Option<&Belief>) -> Result<Found, Refusal> {
    if let Ok((show, judgement)) = envelope::explain(bytes, belief) {
        let rows = vec![("envelope", show)];
        return Ok(found("envelope, no tag", bytes, rows, vec![judgement]));
    }
    let as_frame = explain_frame(bytes, belief);
    if let Ok((show, judgements)) = as_frame {
        return Ok(found("frame", bytes, vec![("frame", show)], judgements));
    }
    match diagnostic::item(bytes) {
        Ok(text) => Ok(found(
            "CBOR",
            bytes,
            vec![("item", Show::Text(text))],
            Vec::new(),
        )),
        Err(as_item) => Err(match as_frame {
            // What begins like a frame and is no CBOR either was most likely meant to be a frame.
            Err(reject) if frame_type(bytes).is_ok() => Refusal::Reject(reject, None),
            Ok(_) | Err(_) => Refusal::Reject(as_item, Some(stop_of(bytes))),
        }),
    }
}

fn listed(one: &'static str, many: &'static str, mut shows: Vec<Show>) -> (&'static str, Show) {
    match (shows.len(), shows.pop()) {
        (1, Some(show)) => (one, show),
        (_, last) => {
            shows.extend(last);
            (many, Show::List(shows))
        }
    }
}

/// Returns the bytes of the first item. # Errors: the CBOR reject and its byte in the file.
fn first_item(bytes: &[u8], offset: usize) -> Result<&[u8], Refusal> {
    let mut reader = Reader::new(bytes);
    match reader.item() {
        Ok(item) => Ok(item),
        Err(reject) => Err(Refusal::Reject(reject, Some(offset + reader.position()))),
    }
}

/// Returns the byte at which strict reading stops.
fn stop_of(bytes: &[u8]) -> usize {
    let mut reader = Reader::new(bytes);
    match check(bytes) {
        Err(Reject::Oversize) => bytes.len(),
        Ok(()) | Err(_) => {
            // Where reading stops is wanted; why is known already.
            let _ = reader.item();
            reader.position()
        }
    }
}

fn join_line(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    text.starts_with(JOIN_LINE_PREFIX).then_some(text)
}

fn explain_join_line(text: &str) -> Result<Show, JoinLineError> {
    let line = JoinLine::parse(text)?;
    let anchor = line
        .tls_ca
        .as_ref()
        .map_or("none".into(), |der| format!("{} bytes, DER", der.len()));
    let mailbox = line
        .mailbox
        .map_or("any".into(), |mailbox| mailbox.to_string());
    // Texts of the line are quoted: they come from outside and end up on a terminal.
    let urls = line.urls.iter().map(|url| Show::Text(format!("{url:?}")));
    Ok(Show::Rows(vec![
        ("tenant", Show::text(&line.tenant)),
        ("device", Show::text(&line.device)),
        ("urls", Show::List(urls.collect())),
        ("root", Show::text(line.root)),
        ("recovery", Show::text(line.recovery)),
        ("token", Show::text(line.token)),
        ("secret", Show::text("there, not shown")),
        ("tls_anchor", Show::Text(anchor)),
        ("mailbox", Show::Text(mailbox)),
    ]))
}
