//! Judges what decrypts and which plane-keys count, through the paths that the engines use.
//!
//! An encrypted payload goes through a signed envelope, a stored body through an assembly. Refuses to
//! decrypt on its own: a vector that only this file understands would prove nothing.

use super::{bytes, hex_of, text, uint};
use postern_protocol::Reject;
use postern_protocol::encryption::{
    AgreementSecret, Arriving, CipherKey, DigestKey, KeyPlace, Life, PlaneKey, Vault,
};
use postern_protocol::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope};
use postern_protocol::id::{Channel, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::message::{Opened, PlaneMessage, Reading};
use postern_protocol::revision::{Epoch, Generation, KeyGeneration, Seq};
use postern_protocol::state::{SectionName, SectionTable, SnapshotAssembly, State};
use serde_json::Value as Json;

type Given = Result<Vec<(&'static str, Json)>, Reject>;

fn array<const N: usize>(test: &Json, member: &str) -> [u8; N] {
    bytes(test, member).try_into().expect("the right size")
}

fn life(test: &Json) -> Life {
    Life {
        channel: Channel {
            root: Thumbprint::from_bytes(array(test, "root")),
            tenant: Tenant::parse(text(test, "tenant")).expect("a name"),
            device: DeviceName::parse(text(test, "device")).expect("a name"),
        },
        incarnation: Incarnation::from_bytes(array(test, "incarnation")),
    }
}

/// The digest key of a test.
pub(crate) fn digest_key(test: &Json) -> DigestKey {
    DigestKey::from_bytes(array(test, "digest_key"))
}

fn vault(test: &Json) -> Option<Vault> {
    let rows = test["keys"].as_array().expect("keys");
    let mut keys = rows.iter().map(|row| PlaneKey {
        generation: KeyGeneration::new(uint(row, "generation")),
        digest: digest_key(test),
        desired: CipherKey::from_bytes(array(row, "desired")),
        actual: CipherKey::from_bytes(array(row, "actual")),
    });
    let mut vault = Vault::new(life(test), keys.next()?);
    keys.for_each(|key| vault.take(key).expect("one digest key"));
    Some(vault)
}

/// Runs an operation on a payload or on a stored body.
pub(crate) fn open(test: &Json) -> Given {
    let plane = Plane::from_number(uint(test, "plane"))?;
    let plaintext = if test.get("position").is_some() {
        open_payload(test, plane)?
    } else {
        open_body(test, plane)?
    };
    Ok(vec![("plaintext", hex_of(&plaintext))])
}

fn header(test: &Json) -> Header {
    let position = test["position"].as_array().expect("five members");
    let number = |at: usize| position[at].as_u64().expect("a number");
    let digest = super::unhex(position[4].as_str().expect("hexadecimal"));
    Header {
        kind: MessageKind::from_number(number(0)).expect("a kind"),
        epoch: Epoch::new(number(1)),
        seq: Seq::new(number(2)),
        base: Seq::new(number(3)),
        digest: Some(Digest::from_bytes(digest.try_into().expect("32 bytes"))),
    }
}

fn open_payload(test: &Json, plane: Plane) -> Result<Vec<u8>, Reject> {
    let signer = MemorySigner::from_seed(&[1; 32]);
    let life = life(test);
    let binding = Binding::Device {
        channel: &life.channel,
        incarnation: life.incarnation,
    };
    let role = match plane {
        Plane::Desired => Role::Writer,
        Plane::Actual => Role::Device,
    };
    let draft = Draft {
        header: header(test),
        payload: bytes(test, "input"),
    };
    let sealed = draft.seal_about(Some(plane), role, binding, &signer)?;
    let expected = Expected {
        role,
        plane: Some(plane),
    };
    let received = ReceivedEnvelope::parse(sealed.as_bytes())?;
    let verified = received.verify(expected, binding, [signer.public_key()], |_| false)?;
    let opened = Opened::of(&verified, plane, vault(test).as_ref(), Reading::Refused)?;
    let PlaneMessage::Delta(view) = opened.message()? else {
        panic!("the vectors hold deltas only");
    };
    Ok(view.to_delta()?.encode())
}

//= spec/encryption.md#encrypted-snapshot type=test
//# A reader MUST check a stored body against the second digest of its row, decrypt it, and check
//# the body against the first, else `body-mismatch`.
fn open_body(test: &Json, plane: Plane) -> Result<Vec<u8>, Reject> {
    let stored = bytes(test, "input");
    let name = SectionName::parse(text(test, "section"))?;
    let digest = Digest::from_bytes(array(test, "digest"));
    let row = (name, digest, Digest::of(&stored));
    let table = SectionTable::encrypted(KeyGeneration::new(1), [row]);
    let vault = vault(test).ok_or(Reject::PlaneKeyMissing)?;
    let held = State::empty_under(vault.digester());
    let mut assembly = SnapshotAssembly::encrypted(&table, &held, &vault, plane);
    let size = stored.len() as u64;
    assembly.put(&Digest::of(&stored), size, 0, &stored)?;
    let state = assembly.finish()?;
    Ok(state.body(&digest).expect("it was put").to_vec())
}

/// Judges a plane-key after the one that is held.
pub(crate) fn plane_key(test: &Json) -> Given {
    let (input, held) = (bytes(test, "input"), &test["held"]);
    let place_of = |json: &Json, payload| KeyPlace {
        writer: Generation::new(uint(json, "writer")),
        epoch: Epoch::new(uint(json, "epoch")),
        number: KeyGeneration::new(uint(json, "generation")),
        payload,
    };
    let before =
        (!held.is_null()).then(|| place_of(held, Digest::from_bytes(array(held, "payload"))));
    let place = place_of(test, Digest::of(&input));
    let outcome = match place.judge(before.as_ref())? {
        Arriving::New => "new",
        Arriving::Again => "again",
        Arriving::Known => "known",
    };
    let mut given = vec![("outcome", outcome.into())];
    if outcome == "new" {
        let secret = AgreementSecret::from_bytes(array(test, "secret"));
        let key = PlaneKey::decrypt(&input, &life(test), place.number, &secret)?;
        if !held.is_null() {
            let mut vault = Vault::new(
                life(test),
                PlaneKey {
                    generation: KeyGeneration::new(uint(held, "generation")),
                    digest: digest_key(held),
                    ..key.clone()
                },
            );
            vault.take(key.clone())?;
        }
        given.push(("digest_key", hex_of(key.digest.danger_bytes())));
        given.push(("desired", hex_of(key.desired.danger_bytes())));
        given.push(("actual", hex_of(key.actual.danger_bytes())));
    }
    Ok(given)
}
