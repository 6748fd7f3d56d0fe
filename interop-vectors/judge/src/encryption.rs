//! What decrypts and which plane-keys count, through the paths that the engines use.
//!
//! An encrypted payload goes through a signed envelope, a stored body through an assembly. Refuses to
//! decrypt on its own: a vector that only this file understands would prove nothing.

use crate::request::{
    Fault, Given, array, bytes, given, hex, member, place, present, rows, text, uint, unhex, wrong,
};
use postern_protocol::Reject;
use postern_protocol::encryption::{
    AgreementSecret, Arriving, CipherKey, DigestKey, KeyPlace, Life, PlaneKey, Vault,
    check_plane_key,
};
use postern_protocol::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope};
use postern_protocol::id::{Digest, Plane};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::message::{Opened, PlaneMessage, Reading};
use postern_protocol::revision::{Epoch, Generation, KeyGeneration, Seq};
use postern_protocol::state::{SectionName, SectionTable, SnapshotAssembly, State};
use serde_json::Value as Json;

fn life(request: &Json) -> Result<Life, Fault> {
    let (channel, incarnation) = place(request)?;
    Ok(Life {
        channel,
        incarnation,
    })
}

/// The digest key of a request.
pub(crate) fn digest_key(request: &Json) -> Result<DigestKey, Fault> {
    array(request, "digest_key").map(DigestKey::from_bytes)
}

fn vault(request: &Json) -> Result<Option<Vault>, Fault> {
    let mut vault: Option<Vault> = None;
    for row in rows(request, "keys")? {
        let key = PlaneKey {
            generation: KeyGeneration::new(uint(row, "generation")?),
            digest: digest_key(request)?,
            desired: CipherKey::from_bytes(array(row, "desired")?),
            actual: CipherKey::from_bytes(array(row, "actual")?),
        };
        match &mut vault {
            Some(vault) => vault.take(key)?,
            None => vault = Some(Vault::new(life(request)?, key)),
        }
    }
    Ok(vault)
}

/// Opens a payload or a stored body.
pub(crate) fn open(request: &Json) -> Given {
    let plane = Plane::from_number(uint(request, "plane")?)?;
    let plaintext = if request.get("position").is_some() {
        open_payload(request, plane)?
    } else {
        open_body(request, plane)?
    };
    given([("plaintext", hex(&plaintext))])
}

fn header(request: &Json) -> Result<Header, Fault> {
    let position = rows(request, "position")?;
    let malformed = || wrong("position is kind, epoch, seq, base, digest");
    let number = |at: usize| {
        position
            .get(at)
            .and_then(Json::as_u64)
            .ok_or_else(malformed)
    };
    let digest = position
        .get(4)
        .and_then(Json::as_str)
        .ok_or_else(malformed)?;
    let digest = <[u8; 32]>::try_from(unhex(digest)?).map_err(|_| malformed())?;
    Ok(Header {
        kind: MessageKind::from_number(number(0)?)?,
        epoch: Epoch::new(number(1)?),
        seq: Seq::new(number(2)?),
        base: Seq::new(number(3)?),
        digest: Some(Digest::from_bytes(digest)),
    })
}

fn open_payload(request: &Json, plane: Plane) -> Result<Vec<u8>, Fault> {
    let signer = MemorySigner::from_seed(&[1; 32]);
    let life = life(request)?;
    let binding = Binding::Device {
        channel: &life.channel,
        incarnation: life.incarnation,
    };
    let role = match plane {
        Plane::Desired => Role::Writer,
        Plane::Actual => Role::Device,
    };
    let draft = Draft {
        header: header(request)?,
        payload: bytes(request, "input")?,
    };
    let sealed = draft.seal_about(Some(plane), role, binding, &signer)?;
    let expected = Expected {
        role,
        plane: Some(plane),
    };
    let received = ReceivedEnvelope::parse(sealed.as_bytes())?;
    let verified = received.verify(expected, binding, [signer.public_key()], |_| false)?;
    let opened = Opened::of(&verified, plane, vault(request)?.as_ref(), Reading::Refused)?;
    match opened.message()? {
        PlaneMessage::Delta(view) => Ok(view.to_delta()?.encode()),
        PlaneMessage::Snapshot(_)
        | PlaneMessage::Report(_)
        | PlaneMessage::ReportAck
        | PlaneMessage::Heartbeat(_)
        | PlaneMessage::Evidence(_) => Err(wrong("the position is not that of a delta")),
    }
}

fn open_body(request: &Json, plane: Plane) -> Result<Vec<u8>, Fault> {
    let stored = bytes(request, "input")?;
    let name = SectionName::parse(text(request, "section")?)?;
    let digest = Digest::from_bytes(array(request, "digest")?);
    let row = (name, digest, Digest::of(&stored));
    let table = SectionTable::encrypted(KeyGeneration::new(1), [row]);
    let vault = vault(request)?.ok_or(Reject::PlaneKeyMissing)?;
    let held = State::empty_under(vault.digester());
    let mut assembly = SnapshotAssembly::encrypted(&table, &held, &vault, plane);
    let size = u64::try_from(stored.len()).map_err(|_| Reject::Oversize)?;
    assembly.put(&Digest::of(&stored), size, 0, &stored)?;
    let state = assembly.finish()?;
    let body = state.body(&digest).ok_or(Reject::BodyMismatch)?;
    Ok(body.to_vec())
}

/// Judges a plane-key after the one that is held.
pub(crate) fn plane_key(request: &Json) -> Given {
    let (input, held) = (bytes(request, "input")?, present(request, "held"));
    member(request, "held")?;
    let place_of = |json: &Json, payload| -> Result<KeyPlace, Fault> {
        Ok(KeyPlace {
            writer: Generation::new(uint(json, "writer")?),
            epoch: Epoch::new(uint(json, "epoch")?),
            number: KeyGeneration::new(uint(json, "generation")?),
            payload,
        })
    };
    let before = match held {
        Some(held) => Some(place_of(held, Digest::from_bytes(array(held, "payload")?))?),
        None => None,
    };
    check_plane_key(&input)?;
    let place = place_of(request, Digest::of(&input))?;
    match place.judge(before.as_ref())? {
        Arriving::New => {}
        Arriving::Again => return given([("outcome", "again".into())]),
        Arriving::Known => return given([("outcome", "known".into())]),
    }
    let secret = AgreementSecret::from_bytes(array(request, "secret")?);
    let key = PlaneKey::decrypt(&input, &life(request)?, place.number, &secret)?;
    if let Some(held) = held {
        let former = PlaneKey {
            generation: KeyGeneration::new(uint(held, "generation")?),
            digest: digest_key(held)?,
            ..key.clone()
        };
        Vault::new(life(request)?, former).take(key.clone())?;
    }
    given([
        ("outcome", "new".into()),
        ("digest_key", hex(key.digest.danger_bytes())),
        ("desired", hex(key.desired.danger_bytes())),
        ("actual", hex(key.actual.danger_bytes())),
    ])
}
