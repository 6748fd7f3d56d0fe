//! The operations on a trust domain: ids, bundles, lines.
//!
//! Refuses lines without the prefix of their form: those are no rejects.

use crate::request::{
    Fault, Given, blobs, bytes, channel_below, given, hex, text, thumbprint, untagged, wrong,
};
use postern_protocol::Reject;
use postern_protocol::id::{MailboxId, Tenant, TenantId};
use postern_protocol::trust::Trust;
use postern_protocol::trust_line::{LineError, RelayLine, TrustLine};
use serde_json::Value as Json;

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
    given([("greeter_id", hex(&id))])
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
        check_again(relay.text(), line.trim())?;
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
