//! The operation `sign1.verify`: from a raw aad back to the channel that it binds.
//!
//! The protocol never takes an aad from outside; it builds its own from a channel. So the aad of
//! the request is read into a channel and must be, byte for byte, what the protocol builds from it.
//! Refuses every other aad as a signature that does not verify.

use crate::request::{Fault, Given, bytes, given, hex, member, text, unhex};
#[cfg(feature = "all")]
use crate::{published::signer_of, request::Outputs};
use postern_protocol::Reject;
use postern_protocol::cbor::Reader;
#[cfg(feature = "all")]
use postern_protocol::envelope::Draft;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope, Verified};
use postern_protocol::id::{Channel, DeviceName, Incarnation, Plane, Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::Role;
use postern_protocol::message::{PlaneMessage, REPORT_ACK_PAYLOAD, check_payload};
use serde_json::Value as Json;

/// Verifies one envelope with one key.
///
/// # Errors
/// [`Fault`]: the reject of the envelope, or what is wrong with the request.
pub(crate) fn verify(request: &Json) -> Given {
    let cose = bytes(request, "cose")?;
    let key = bytes(request, "public_key")?;
    let aad = bytes(request, "aad")?;
    let expected = Expected {
        role: role(text(request, "role")?)?,
        plane: plane(member(request, "plane")?)?,
    };
    let revoked = revoked(request)?;
    let is_revoked =
        |thumbprint: &Thumbprint| revoked.iter().any(|row| row == thumbprint.as_bytes());
    let envelope = ReceivedEnvelope::parse_tagged(&cose)?;
    let key = PublicKey::from_bytes(&key)?;
    let place = place_of(&aad)?;
    let binding = place.binding();
    let verified = envelope.verify(expected, binding, [&key], is_revoked)?;
    if binding.aad(verified.header().kind, expected.role, expected.plane) != Some(aad) {
        return Err(Reject::SignatureInvalid.into());
    }
    check_payload(&verified)?;
    check_again(&verified)?;
    let outputs = given([
        ("message_id", hex(verified.message_id().as_bytes())),
        ("payload", hex(verified.payload())),
    ]);
    #[cfg(feature = "all")]
    return with_sealed(outputs?, &verified, expected, binding, &key);
    #[cfg(not(feature = "all"))]
    outputs
}

/// Adds what sealing the same again gives, where the key is a published one.
#[cfg(feature = "all")]
fn with_sealed(
    mut outputs: Outputs,
    verified: &Verified<'_>,
    expected: Expected,
    binding: Binding<'_>,
    key: &PublicKey,
) -> Given {
    if let Some(signer) = signer_of(key) {
        let draft = Draft {
            header: *verified.header(),
            payload: verified.payload().into(),
        };
        let sealed = draft.seal_about(expected.plane, expected.role, binding, &signer)?;
        outputs.insert("sealed".into(), hex(sealed.as_bytes()));
    }
    Ok(outputs)
}

/// A payload of a plane must encode to the same bytes again. # Errors: `shape` where it does not.
fn check_again(verified: &Verified<'_>) -> Result<(), Fault> {
    let again = match PlaneMessage::decode(verified) {
        Ok(PlaneMessage::Delta(view)) => view.to_delta()?.encode(),
        Ok(PlaneMessage::Snapshot(snapshot)) => snapshot.encode(),
        Ok(PlaneMessage::Report(report)) => report.encode(),
        Ok(PlaneMessage::ReportAck) => REPORT_ACK_PAYLOAD.to_vec(),
        Ok(PlaneMessage::Heartbeat(heartbeat)) => heartbeat.encode(),
        Ok(PlaneMessage::Evidence(evidence)) => evidence.encode(),
        // Other kinds, and what is encrypted, have no meaning here.
        Err(Reject::SignerRole | Reject::PlaneKeyMissing) => return Ok(()),
        Err(reject) => return Err(reject.into()),
    };
    if again == verified.payload() {
        Ok(())
    } else {
        Err(Reject::Shape.into())
    }
}

fn role(word: &str) -> Result<Role, Fault> {
    match word {
        "writer" => Ok(Role::Writer),
        "device" => Ok(Role::Device),
        "enrolling" => Ok(Role::Enrolling),
        "root" => Ok(Role::Root),
        "mailbox" => Ok(Role::Mailbox),
        _ => Err(Fault::Unsupported("the role is not known".into())),
    }
}

fn plane(json: &Json) -> Result<Option<Plane>, Fault> {
    if json.is_null() {
        return Ok(None);
    }
    let plane = json.as_u64().map(Plane::from_number);
    match plane {
        Some(Ok(plane)) => Ok(Some(plane)),
        Some(Err(_)) | None => Err(Fault::Unsupported("plane is not 0, 1 or null".into())),
    }
}

fn revoked(request: &Json) -> Result<Vec<Vec<u8>>, Fault> {
    let unsupported = || Fault::Unsupported("revoked is no array of hexadecimal".into());
    let Some(rows) = request.get("revoked").filter(|rows| !rows.is_null()) else {
        return Ok(Vec::new());
    };
    rows.as_array()
        .ok_or_else(unsupported)?
        .iter()
        .map(|row| unhex(row.as_str().ok_or_else(unsupported)?))
        .collect()
}

/// What an aad names.
struct Place {
    channel: Channel,
    incarnation: Incarnation,
    members: usize,
}

impl Place {
    /// A welcome binds as much as is known: it is told as much as the aad names.
    const fn binding(&self) -> Binding<'_> {
        let root = self.channel.root;
        match self.members {
            3 => Binding::Trust { root },
            4 => Binding::Tenant {
                root,
                tenant: &self.channel.tenant,
            },
            _ => Binding::Device {
                channel: &self.channel,
                incarnation: self.incarnation,
            },
        }
    }
}

/// Reads what an aad names. What it does not name is filled in: the aad that the protocol builds
/// then differs from the request's, unless the kind does not bind that either.
fn place_of(aad: &[u8]) -> Result<Place, Reject> {
    let mut members = 0;
    let mut root = Thumbprint::from_bytes([0; 32]);
    let mut tenant = Tenant::parse("none")?;
    let mut device = DeviceName::parse("none")?;
    let mut incarnation = Incarnation::from_bytes([0; 16]);
    // The names read before the first that is wrong are kept; the rest decides nothing.
    let _ = (|reader: &mut Reader<'_>| -> Result<(), Reject> {
        members = reader.array()?;
        reader.text()?;
        reader.uint()?;
        root = Thumbprint::from_bytes(reader.bytes_of()?);
        tenant = Tenant::parse(reader.text()?)?;
        device = DeviceName::parse(reader.text()?)?;
        incarnation = Incarnation::from_bytes(reader.bytes_of()?);
        Ok(())
    })(&mut Reader::new(aad));
    let channel = Channel {
        root,
        tenant,
        device,
    };
    Ok(Place {
        channel,
        incarnation,
        members,
    })
}
