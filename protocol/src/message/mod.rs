//! What an envelope of a plane means: delta, snapshot, report and its ack, heartbeat, evidence.
//!
//! ```text
//!  Verified --PlaneMessage::decode--> PlaneMessage
//! ```
//!
//! The only way in is a verified envelope. The kinds of enrolment, trust and sessions have codecs of
//! their own beside what they are about. Refuses to decide whether a message is the next one.

mod evidence;
mod heartbeat;
mod intent;
mod opened;
mod payload;
mod report;
mod report_lists;
mod report_order;
mod snapshot;
#[cfg(test)]
mod tests;

pub use evidence::{Evidence, EvidenceCode, Proof};
pub use heartbeat::Heartbeat;
pub use intent::{IntentNote, IntentOutcome};
pub use opened::{Opened, Reading};
pub use payload::check_payload;
pub(crate) use payload::read_session_age;
pub use report::Report;
pub use report_lists::{
    ListNumber, LostCounts, RejectNote, ReportLists, ResultNote, SupersededNote,
};
pub use report_order::{ReportHead, accept_report};
pub use snapshot::Snapshot;

use crate::cbor::decode_all;
use crate::encryption::Digester;
use crate::envelope::{Header, Verified};
use crate::kind::MessageKind;
use crate::reject::Reject;
use crate::revision::Revision;
use crate::state::{DeltaView, SectionTable};

/// Payload of a report-ack: the header says it all (spec: #kinds).
pub const REPORT_ACK_PAYLOAD: &[u8] = &[0x80];

/// The meaning of a verified envelope of a plane.
#[derive(Debug, Clone)]
pub enum PlaneMessage<'a> {
    /// The change from the header's base to its seq.
    Delta(DeltaView<'a>),
    /// A whole state.
    Snapshot(Snapshot),
    /// Where a device stands.
    Report(Report),
    /// The header's report and all before it are held by the controller.
    ReportAck,
    /// The header's head is the newest of the signer's own plane, and when that was true.
    Heartbeat(Heartbeat),
    /// The header's head is what the signer holds against the writer of the plane.
    Evidence(Evidence<'a>),
}

impl<'a> PlaneMessage<'a> {
    /// Decodes the readable payload of a verified envelope.
    ///
    /// # Errors
    /// `plane-key-missing` for one that is encrypted: see [`Opened`].
    /// `signer-role` for a kind that is not of a plane: the caller verified it for another purpose.
    /// `digest-mismatch` for a snapshot or evidence whose table has another root; `digest-length` for a report
    /// whose header has a digest without an applied revision, or none with one; the rejects of the
    /// payload.
    pub fn decode(verified: &Verified<'a>) -> Result<Self, Reject> {
        opened::check_readable(verified.header(), verified.payload())?;
        Self::decode_payload(verified.header(), verified.payload(), &Digester::Plain)
    }

    /// Decodes what a message says once nothing of it is encrypted any more; `digester` makes the
    /// digests of its plane. Lists of a report are decrypted elsewhere.
    fn decode_payload(
        header: &Header,
        payload: &'a [u8],
        digester: &Digester,
    ) -> Result<Self, Reject> {
        match header.kind {
            MessageKind::Delta => DeltaView::decode(payload).map(Self::Delta),
            MessageKind::Snapshot => {
                let snapshot = Snapshot::decode(payload, header.epoch)?;
                //= spec/postern.md#snapshot
                //# The root digest over the table MUST equal the digest of the header, else
                //# `digest-mismatch`.
                if header.digest != Some(snapshot.table.root_under(digester)) {
                    return Err(Reject::DigestMismatch);
                }
                Ok(Self::Snapshot(snapshot))
            }
            MessageKind::Report => {
                let report = Report::decode(payload)?;
                check_applied(header, &report)?;
                Ok(Self::Report(report))
            }
            MessageKind::ReportAck => {
                decode_all(payload, |reader| reader.array_of(0)).map(|()| Self::ReportAck)
            }
            MessageKind::Heartbeat => Heartbeat::decode(payload).map(Self::Heartbeat),
            MessageKind::Evidence => {
                let evidence = Evidence::decode(payload)?;
                let root_of = |table: &SectionTable| {
                    // What was held before a plane was encrypted has plain digests.
                    let plain = table.root();
                    if header.digest == Some(plain) {
                        plain
                    } else {
                        table.root_under(digester)
                    }
                };
                let root = evidence.table.as_ref().map(root_of);
                //= spec/lives.md#evidence
                //# The root digest over a table MUST equal the digest of the header, else
                //# `digest-mismatch`.
                if root.is_some() && header.digest != root {
                    return Err(Reject::DigestMismatch);
                }
                Ok(Self::Evidence(evidence))
            }
            MessageKind::EnrolRequest
            | MessageKind::EnrolAnswer
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome
            | MessageKind::Receipt
            | MessageKind::PlaneKey
            | MessageKind::Lost => Err(Reject::SignerRole),
        }
    }
}

/// # Errors
/// `digest-length` for a digest without an applied revision, or none with one.
fn check_applied(header: &Header, report: &Report) -> Result<(), Reject> {
    //= spec/postern.md#report
    //# The header digest of a report MUST be the root digest at the applied cursor, and
    //# empty when nothing is applied.
    if header.digest.is_some() == (report.applied != Revision::NONE) {
        Ok(())
    } else {
        Err(Reject::DigestLength)
    }
}
