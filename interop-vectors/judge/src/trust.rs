//! The operations on keys and names: thumbprints, ids, signatures, bundles, lines.
//!
//! Refuses lines without the prefix of their form: those are no rejects.

use crate::request::{
    Fault, Given, blobs, bytes, channel_below, given, hex, key, nothing, text, thumbprint,
    untagged, wrong,
};
use postern_protocol::Reject;
use postern_protocol::cbor;
use postern_protocol::id::{MailboxId, Tenant, TenantId};
use postern_protocol::key::{Algorithm, PublicKey};
use postern_protocol::trust::Trust;
use postern_protocol::trust_line::{LineError, RelayLine, TrustLine};
use serde_json::Value as Json;

/// One item of the profile.
pub(crate) fn cbor(request: &Json) -> Given {
    cbor::check(&bytes(request, "input")?)?;
    nothing()
}

/// The key check and what follows from a key.
pub(crate) fn key_names(request: &Json) -> Given {
    let key = key(request, "public_key")?;
    let mut writer = cbor::Writer::new();
    key.encode(&mut writer);
    given([
        ("cose_key", hex(writer.as_bytes())),
        ("thumbprint", hex(key.thumbprint().as_bytes())),
        ("kid", hex(key.key_id().as_bytes())),
    ])
}

/// The id of a channel.
pub(crate) fn channel(request: &Json) -> Given {
    let channel = channel_below(request, "root")?;
    given([("channel_id", hex(channel.id().as_bytes()))])
}

/// The id of a tenant or of a mailbox.
pub(crate) fn greeter(request: &Json) -> Given {
    let root = thumbprint(request, "root")?;
    let id = match request.get("tenant").and_then(Json::as_str) {
        Some(tenant) => *TenantId::of(root, &Tenant::parse(tenant)?).as_bytes(),
        None => *MailboxId::of(root, thumbprint(request, "mailbox")?).as_bytes(),
    };
    given([("id", hex(&id))])
}

/// A signature of Ed25519.
pub(crate) fn ed25519(request: &Json) -> Given {
    verify(request, Algorithm::Ed25519)
}

/// A signature of ESP256.
pub(crate) fn esp256(request: &Json) -> Given {
    verify(request, Algorithm::Esp256)
}

fn verify(request: &Json, algorithm: Algorithm) -> Given {
    let key = bytes(request, "public_key")?;
    let (message, signature) = (bytes(request, "message")?, bytes(request, "signature")?);
    let key = PublicKey::from_bytes(&key)?;
    if key.algorithm() != algorithm {
        return Err(Reject::KeyRefused.into());
    }
    key.verify(&message, &signature)?;
    nothing()
}

/// The next bundle after those that are held.
pub(crate) fn bundle(request: &Json) -> Given {
    let genesis = thumbprint(request, "genesis")?;
    let recovery = thumbprint(request, "recovery")?;
    let held: Vec<Vec<u8>> = blobs(request, "held")?.into_iter().map(untagged).collect();
    let trust = Trust::from_chain(genesis, recovery, held.iter().map(Vec::as_slice))
        .map_err(|_| wrong("what is held is no chain of bundles"))?;
    let next = trust.offer(&untagged(bytes(request, "incoming")?))?;
    let held = next.held().ok_or(Reject::Shape)?;
    given([("message_id", hex(held.message_id().as_bytes()))])
}

fn content(error: LineError) -> Fault {
    match error {
        LineError::Content(reject) => reject.into(),
        LineError::Prefix(_) | LineError::Length(_) | LineError::Base64 => {
            wrong("the text is no line of this form")
        }
    }
}

/// A trust line or a relay line, which must be written the same again.
pub(crate) fn line(request: &Json) -> Given {
    let line = text(request, "text")?;
    if text(request, "form")? == "relay" {
        let relay = RelayLine::parse(line).map_err(content)?;
        check_again(relay.text(), line)?;
        return given([
            ("thumbprint", hex(relay.key.thumbprint().as_bytes())),
            ("urls", relay.urls.into()),
        ]);
    }
    let trust = TrustLine::parse(line).map_err(content)?;
    let number = trust.trust()?.number().number();
    check_again(trust.text(), line.trim())?;
    given([
        ("root", hex(trust.root.as_bytes())),
        ("recovery", hex(trust.recovery.as_bytes())),
        ("bundles", number.into()),
    ])
}

fn check_again<E>(again: Result<String, E>, line: &str) -> Result<(), Fault> {
    match again {
        Ok(again) if again == line => Ok(()),
        Ok(_) | Err(_) => Err(Reject::Shape.into()),
    }
}
