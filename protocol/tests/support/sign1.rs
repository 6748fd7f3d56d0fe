//! The operation `sign1.verify`: parse, verify, decode, and seal the same bytes again.
//!
//! Its role and binding come from the vector. Refuses an aad that it cannot explain.

use super::{bytes, hex_of, signer_of, text};
use postern_protocol::Reject;
use postern_protocol::cbor::Reader;
use postern_protocol::envelope::{Binding, Draft, Expected, ReceivedEnvelope, Verified};
use postern_protocol::id::{Channel, DeviceName, Incarnation, Plane, Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::Role;
use postern_protocol::message::{PlaneMessage, check_payload};
use serde_json::Value as Json;

/// What an aad of the vectors names.
struct Place {
    channel: Channel,
    incarnation: Incarnation,
    members: usize,
}

impl Place {
    fn read(aad: &[u8]) -> Self {
        let mut reader = Reader::new(aad);
        let members = reader.array().expect("an array");
        assert_eq!(reader.text(), Ok("postern/1"));
        reader.uint().expect("a kind");
        let root = Thumbprint::from_bytes(reader.bytes_of().expect("a root"));
        let mut name = |is_named: bool| match is_named {
            true => reader.text().expect("a name"),
            false => "none",
        };
        let (tenant, device) = (name(members >= 4), name(members >= 6));
        let (tenant, device) = (Tenant::parse(tenant), DeviceName::parse(device));
        let incarnation = if members >= 6 {
            reader.bytes_of().expect("an incarnation")
        } else {
            [0; 16]
        };
        Self {
            channel: Channel {
                root,
                tenant: tenant.expect("a tenant"),
                device: device.expect("a device"),
            },
            incarnation: Incarnation::from_bytes(incarnation),
            members,
        }
    }

    fn binding(&self) -> Binding<'_> {
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

fn expected(test: &Json) -> Expected {
    let role = match text(test, "role") {
        "writer" => Role::Writer,
        "device" => Role::Device,
        "enrolling" => Role::Enrolling,
        "root" => Role::Root,
        "mailbox" => Role::Mailbox,
        other => panic!("{other} is no role"),
    };
    let plane = test["plane"]
        .as_u64()
        .map(|number| Plane::from_number(number).expect("a plane"));
    Expected { role, plane }
}

/// Runs one vector.
pub(crate) fn verify(test: &Json) -> Result<Vec<(&'static str, Json)>, Reject> {
    let cose = bytes(test, "cose");
    let envelope = ReceivedEnvelope::parse_tagged(&cose)?;
    let aad = bytes(test, "aad");
    let place = Place::read(&aad);
    let key = PublicKey::from_bytes(&bytes(test, "public_key"))?;
    let revoked: Vec<Vec<u8>> = test["revoked"].as_array().map_or(vec![], |rows| {
        let hex = rows.iter().map(|row| row.as_str().expect("hexadecimal"));
        hex.map(super::unhex).collect()
    });
    let is_revoked = |key: &Thumbprint| revoked.iter().any(|row| row == key.as_bytes());
    let expected = expected(test);
    let verified = envelope.verify(expected, place.binding(), [&key], is_revoked)?;
    let kind = verified.header().kind;
    if place.binding().aad(kind, expected.role, expected.plane) != Some(aad) {
        return Err(Reject::SignatureInvalid);
    }
    decode_payload(&verified)?;
    let signer = signer_of(key.as_bytes());
    let draft = Draft {
        header: *verified.header(),
        payload: verified.payload().into(),
    };
    let sealed = draft.seal_about(expected.plane, expected.role, place.binding(), &signer)?;
    if !has_flag(test, "other-signature") {
        assert_eq!(sealed.as_bytes(), envelope.as_bytes());
    }
    assert_eq!(sealed.message_id(), verified.message_id());
    Ok(vec![
        ("message_id", hex_of(verified.message_id().as_bytes())),
        ("payload", hex_of(verified.payload())),
    ])
}

/// Tells whether the vector bears a flag.
fn has_flag(test: &Json, flag: &str) -> bool {
    let flags = test["flags"].as_array().expect("flags");
    flags.iter().any(|one| one == flag)
}

//= spec/encryption.md#encrypted-snapshot type=test
//# All rows of a table MUST have one form, else `shape`.
//= spec/encryption.md#encrypted-snapshot type=test
//# A snapshot with a key generation MUST have no readable row, and one without it no
//# encrypted row, else `shape`.
/// Checks the payload; one of a plane must encode to the same bytes again.
fn decode_payload(verified: &Verified<'_>) -> Result<(), Reject> {
    check_payload(verified)?;
    let again = match PlaneMessage::decode(verified) {
        Ok(PlaneMessage::Delta(view)) => view.to_delta()?.encode(),
        Ok(PlaneMessage::Snapshot(snapshot)) => snapshot.encode(),
        Ok(PlaneMessage::Report(report)) => report.encode(),
        Ok(PlaneMessage::ReportAck) => vec![0x80],
        Ok(PlaneMessage::Heartbeat(heartbeat)) => heartbeat.encode(),
        Ok(PlaneMessage::Evidence(evidence)) => evidence.encode(),
        Err(reject) => {
            assert!(
                [Reject::SignerRole, Reject::PlaneKeyMissing].contains(&reject),
                "only other kinds, and what is encrypted, have no meaning here"
            );
            return Ok(());
        }
    };
    assert_eq!(again, verified.payload());
    Ok(())
}
