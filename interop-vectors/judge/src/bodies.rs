//! The operations on what is stored of a state: bodies, and digests under a key.
//!
//! Refuses nothing that `state` would take.

use crate::encryption::digest_key;
use crate::request::{Given, array, bytes, nothing, text};
use crate::state::{describe, state_of};
use postern_protocol::encryption::Digester;
use postern_protocol::id::Digest;
use postern_protocol::state::{SectionName, check_body};
use serde_json::Value as Json;

/// The digest of a state under a key.
pub(crate) fn keyed_digest(request: &Json) -> Given {
    let digester = Digester::Keyed(digest_key(request)?);
    Ok(describe(&state_of(request)?.under(digester)?))
}

/// A stored body against the digest of its row.
pub(crate) fn body(request: &Json) -> Given {
    let name = SectionName::parse(text(request, "section")?)?;
    let digest = Digest::from_bytes(array(request, "digest")?);
    check_body(&name, &digest, &bytes(request, "body")?)?;
    nothing()
}
