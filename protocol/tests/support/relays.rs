//! The operations around a mailbox of its own: ids, admissions, lines.
//!
//! Refuses prefixes that no line has: those are no rejects.

use super::{bytes, hex_of, text, uint};
use postern_protocol::Reject;
use postern_protocol::admission::{AdmissionHead, Offered};
use postern_protocol::id::{Digest, MailboxId, Tenant, TenantId, Thumbprint};
use postern_protocol::revision::{Epoch, Generation, Revision, Seq};
use postern_protocol::trust_line::{LineError, RelayLine, TrustLine};
use serde_json::Value as Json;

/// What one vector gives: its outputs as JSON members, or a reject.
type Given = Result<Vec<(&'static str, Json)>, Reject>;

fn thumbprint(json: &Json, member: &str) -> Thumbprint {
    Thumbprint::from_bytes(bytes(json, member).try_into().expect("32 bytes"))
}

/// The id of a tenant or a mailbox.
pub(crate) fn greeter(test: &Json) -> Given {
    let root = thumbprint(test, "root");
    let id = if test["tenant"].is_string() {
        *TenantId::of(root, &Tenant::parse(text(test, "tenant"))?).as_bytes()
    } else {
        *MailboxId::of(root, thumbprint(test, "mailbox")).as_bytes()
    };
    Ok(vec![("id", hex_of(&id))])
}

/// The comparison of two admissions.
pub(crate) fn admission(test: &Json) -> Given {
    let head = |json: &Json| AdmissionHead {
        generation: Generation::new(uint(json, "generation")),
        revision: Revision::new(
            Epoch::new(uint(json, "epoch")),
            Seq::new(uint(json, "number")),
        ),
        digest: Digest::from_bytes(bytes(json, "digest").try_into().expect("32 bytes")),
    };
    let stored = test.get("stored").filter(|stored| !stored.is_null());
    let outcome = match head(&test["incoming"]).judge(stored.map(head).as_ref())? {
        Offered::Newer => "accept",
        Offered::Same => "duplicate",
    };
    Ok(vec![("outcome", outcome.into())])
}

/// A trust line or a relay line.
pub(crate) fn line(test: &Json) -> Given {
    let content = |error| match error {
        LineError::Content(reject) => reject,
        LineError::Prefix(_) | LineError::Length(_) | LineError::Base64 => {
            panic!("the vectors hold lines whose content is judged")
        }
    };
    let line = text(test, "text");
    if text(test, "form") == "relay" {
        let relay = RelayLine::parse(line).map_err(content)?;
        assert_eq!(relay.text().as_deref(), Ok(line), "written again");
        return Ok(vec![
            ("thumbprint", hex_of(relay.key.thumbprint().as_bytes())),
            ("urls", relay.urls.into()),
        ]);
    }
    let trust = TrustLine::parse(line).map_err(content)?;
    let number = trust.trust()?.number().number();
    assert_eq!(trust.text().as_deref(), Ok(line.trim()), "written again");
    Ok(vec![
        ("root", hex_of(trust.root.as_bytes())),
        ("recovery", hex_of(trust.recovery.as_bytes())),
        ("bundles", number.into()),
    ])
}
