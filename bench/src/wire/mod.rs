//! Bytes: what each frame and envelope weighs, built by the product's own encoders.
//!
//! Refuses to estimate: every row is the length of bytes that the other side would take. HTTP and
//! TLS around them are not in these rows.

mod resync;
#[cfg(test)]
mod tests;

use crate::error::BenchError;
use crate::fixture::{EPOCH, Fleet, REVISION, SEQ};
use crate::table::Row;
use postern_protocol::Reject;
use postern_protocol::envelope::SealedEnvelope;
use postern_protocol::frame::{
    Answer, DownFrame, FrameKey, PlainFrame, Poll, UpFrame, seal_down, seal_up,
};
use postern_protocol::id::{Challenge, Plane, SessionId};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::MessageKind;
use postern_protocol::message::{Report, ReportLists};
use postern_protocol::revision::{BundleNumber, Revision, Seq};
use postern_protocol::session::{Asking, Identity, ephemeral_public};
use postern_protocol::state::{Change, Path, State, Value};

/// A counter that needs both of its bytes.
const COUNTER: u16 = 40_000;
/// Seconds of the usual hold.
const HOLD_S: u16 = 55;

/// Measures every row.
///
/// # Errors
/// When an encoder refuses the benchmark's own input.
pub fn measure() -> Result<Vec<Row>, BenchError> {
    let fleet = Fleet::new()?;
    let delta = one_key_delta(&fleet)?;
    let posted = PlainFrame::Posted {
        channel: fleet.channel.id(),
        plane: Some(Plane::Desired),
        envelope: delta.as_bytes(),
    };
    let report = plain_report(&fleet)?;
    let asked = up(&UpFrame::Poll(poll(None)))?;
    let idle = down(&DownFrame::Answer(Answer::default()))?;
    let rows = [
        Row::bytes("poll, one plane", asked, Some(40)),
        Row::bytes(
            "poll, two planes",
            up(&UpFrame::Poll(poll(Some(REVISION))))?,
            Some(52),
        ),
        Row::bytes("idle answer", idle, Some(16)),
        Row::bytes("hello", hello(&fleet)?, Some(250)),
        Row::bytes("delta of one key", delta.as_bytes().len(), Some(172)),
        Row::bytes(
            "delta of one key, posted",
            posted.encode()?.len(),
            Some(190),
        ),
        Row::bytes("plain report", report.as_bytes().len(), Some(165)),
        Row::bytes(
            "idle hour at a 55 s hold, frames only",
            (asked + idle) * 3_600 / usize::from(HOLD_S),
            None,
        ),
    ];
    Ok(rows.into_iter().chain(resync::measure(&fleet)?).collect())
}

/// Sets one 13-character path to a short text.
fn one_key_delta(fleet: &Fleet) -> Result<SealedEnvelope, Reject> {
    let change = Change::Set(
        Path::parse("network/zones")?,
        Value::Text("hall-B".to_owned()),
    );
    let (after, delta) = State::empty()
        .change(&[change])?
        .ok_or(Reject::DeltaEmpty)?;
    fleet.seal(MessageKind::Delta, *after.root(), delta.encode())
}

/// Says that received, accepted and applied are the same revision, and nothing else.
fn plain_report(fleet: &Fleet) -> Result<SealedEnvelope, Reject> {
    let report = Report {
        received: REVISION,
        accepted: REVISION,
        applied: REVISION,
        lists: ReportLists::default(),
    };
    let applied = *State::empty().root();
    fleet.seal(MessageKind::Report, applied, report.encode())
}

/// Answers a challenge as a device does.
fn hello(fleet: &Fleet) -> Result<usize, Reject> {
    let mailbox = MemorySigner::from_seed(&[5; 32]);
    let challenge = PlainFrame::Challenge {
        challenge: Challenge::from_bytes([6; 16]),
        ephemeral: ephemeral_public(&[7; 32]),
        mailbox: mailbox.public_key().thumbprint(),
    }
    .encode()?;
    let identity = Identity::device(&fleet.channel, fleet.incarnation, &fleet.device);
    let (asking, _) = Asking::start(BundleNumber::new(1))?;
    let (_, hello) =
        asking.handle_challenge(&challenge, [mailbox.public_key()], identity, &[8; 32])?;
    Ok(hello.len())
}

/// Asks for what is newer than the desired revision of a device without outstanding reports.
pub const fn poll(actual: Option<Revision>) -> Poll {
    Poll {
        hold_s: HOLD_S,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: Revision::new(EPOCH, Seq::new(SEQ.number() - 1)),
        actual,
        receipt: None,
    }
}

pub fn up(frame: &UpFrame<'_>) -> Result<usize, Reject> {
    seal_up(&frame_key(), SESSION, COUNTER, frame).map(|bytes| bytes.len())
}

pub fn down(frame: &DownFrame<'_>) -> Result<usize, Reject> {
    seal_down(&frame_key(), SESSION, COUNTER, frame).map(|bytes| bytes.len())
}

const SESSION: SessionId = SessionId::from_bytes([9; 4]);

const fn frame_key() -> FrameKey {
    FrameKey::from_bytes([10; 32])
}
