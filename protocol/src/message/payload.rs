//! The check of a payload alone: what an envelope of any kind must hold, whatever is done with it.
//!
//! For inspection, relays of files and conformance. Engines decode instead, in the context that
//! they hold. Refuses to return anything: nothing here may be acted on.

use super::PlaneMessage;
use crate::admission::Admission;
use crate::cbor::{Reader, decode_all};
use crate::encryption::{AgreementKey, check_plane_key};
use crate::envelope::Verified;
use crate::id::{DeviceName, Digest, Plane};
use crate::key::PublicKey;
use crate::kind::MessageKind;
use crate::limits::SESSION_AGE_S_MAX;
use crate::receipt::{Lost, Receipt};
use crate::reject::Reject;
use crate::signed_time::SignedTime;
use crate::trust::BundleContent;

/// Checks the payload of a verified envelope of any kind (spec: #verification-order, last step).
///
/// # Errors
/// The CBOR reject, `shape`, or the kind's own reject; `digest-mismatch` for a header digest that
/// the payload itself contradicts.
pub fn check_payload(verified: &Verified<'_>) -> Result<(), Reject> {
    let payload = verified.payload();
    match verified.header().kind {
        MessageKind::Delta
        | MessageKind::Snapshot
        | MessageKind::Report
        | MessageKind::ReportAck
        | MessageKind::Heartbeat
        | MessageKind::Evidence => {
            let form = super::opened::check_form(verified.header(), payload);
            form.unwrap_or_else(|| PlaneMessage::decode(verified).map(|_| ()))
        }
        MessageKind::PlaneKey => {
            check_plane_key(payload)?;
            check_digest_of(verified, payload)
        }
        MessageKind::EnrolRequest => {
            decode_all(payload, read_enrol_request)?;
            check_digest_of(verified, payload)
        }
        MessageKind::EnrolAnswer => decode_all(payload, read_enrol_answer),
        MessageKind::Admission => Admission::decode(verified).map(|_| ()),
        MessageKind::Receipt => Receipt::decode(verified).map(|_| ()),
        // The plane is in the signature and not in the payload: either will do.
        MessageKind::Lost => Lost::decode_about(verified, Plane::Desired).map(|_| ()),
        MessageKind::Bundle => BundleContent::decode(payload).map(|_| ()),
        MessageKind::SessionHello => decode_all(payload, read_hello),
        MessageKind::SessionWelcome => decode_all(payload, read_welcome),
    }
}

fn read_enrol_request(reader: &mut Reader<'_>) -> Result<(), Reject> {
    let members = reader.array()?;
    if !(5..=6).contains(&members) {
        return Err(Reject::Shape);
    }
    reader.bytes_of::<8>()?;
    DeviceName::parse(reader.text()?)?;
    PublicKey::decode(reader)?;
    reader.bytes_of::<16>()?;
    reader.bytes_of::<16>()?;
    if members == 6 {
        AgreementKey::from_bytes(reader.bytes_of()?)?;
    }
    Ok(())
}

fn check_digest_of(verified: &Verified<'_>, payload: &[u8]) -> Result<(), Reject> {
    if verified.header().digest == Some(Digest::of(payload)) {
        Ok(())
    } else {
        Err(Reject::DigestMismatch)
    }
}

fn read_enrol_answer(reader: &mut Reader<'_>) -> Result<(), Reject> {
    let has_time = SignedTime::read_array(reader, 2)?;
    if reader.uint()? == 0 {
        return Err(Reject::Shape);
    }
    reader.bytes_of::<32>()?;
    SignedTime::read_last(reader, has_time).map(|_| ())
}

fn read_hello(reader: &mut Reader<'_>) -> Result<(), Reject> {
    reader.array_of(2)?;
    reader.bytes_of::<16>()?;
    reader.bytes_of::<32>().map(|_| ())
}

fn read_welcome(reader: &mut Reader<'_>) -> Result<(), Reject> {
    let has_time = SignedTime::read_array(reader, 3)?;
    reader.bytes_of::<4>()?;
    reader.uint()?;
    read_session_age(reader)?;
    SignedTime::read_last(reader, has_time).map(|_| ())
}

/// Reads the age of a session in a welcome, in seconds. # Errors: `shape` above a day.
pub(crate) fn read_session_age(reader: &mut Reader<'_>) -> Result<u64, Reject> {
    let age_s = reader.uint()?;
    //= spec/postern.md#hello
    //# A device MUST refuse a welcome that names an age above 86400 s with `shape`.
    if age_s > SESSION_AGE_S_MAX {
        return Err(Reject::Shape);
    }
    Ok(age_s)
}
