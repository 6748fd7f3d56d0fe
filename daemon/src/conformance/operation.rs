//! The operations of the child, each a pure function of its request.
//!
//! Refuses to guess: a member that is missing or of another type is the runner's fault.

use super::{sign1, typed};
use crate::inspect::hex::{from_hex, to_hex};
use postern_protocol::Reject;
use postern_protocol::cbor;
use postern_protocol::frame::{Direction, PlainFrame, SessionFrame, frame_type};
use postern_protocol::id::Digest;
use postern_protocol::key::{Algorithm, PublicKey};
use postern_protocol::state::{Delta, State};
use serde_json::{Map, Value as Json};

/// Why an operation gives no valid answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The input is refused.
    Refused(Reject),
    /// The runner asks for something that is not offered, or not in a way that can be understood.
    Unsupported(String),
}

impl From<Reject> for Fault {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

/// Members of a valid answer.
pub(super) type Outputs = Map<String, Json>;

/// Answers one request.
///
/// # Errors
/// [`Fault`]: the reject of the input, or what is wrong with the request.
pub(super) fn answer(request: &Json) -> Result<Outputs, Fault> {
    match text(request, "op")? {
        "cbor.check" => {
            cbor::check(&bytes(request, "input")?)?;
            Ok(Outputs::new())
        }
        "ed25519.verify" => verify(request, Algorithm::Ed25519),
        "esp256.verify" => verify(request, Algorithm::Esp256),
        "sign1.verify" => sign1::verify(request),
        "state.digest" => typed::state(member(request, "state")?).map(|state| describe(&state)),
        "state.apply" => apply(request),
        "frame.parse" => parse(request),
        _ => Err(Fault::Unsupported("the operation is not known".into())),
    }
}

fn verify(request: &Json, algorithm: Algorithm) -> Result<Outputs, Fault> {
    let key = bytes(request, "public_key")?;
    let (message, signature) = (bytes(request, "message")?, bytes(request, "signature")?);
    let key = PublicKey::from_bytes(&key)?;
    if key.algorithm() != algorithm {
        return Err(Reject::KeyRefused.into());
    }
    key.verify(&message, &signature)?;
    Ok(Outputs::new())
}

fn apply(request: &Json) -> Result<Outputs, Fault> {
    let (delta, digest) = (bytes(request, "delta")?, bytes(request, "digest")?);
    let digest = <[u8; 32]>::try_from(digest).map_err(|_| Reject::DigestLength)?;
    let before = typed::state(member(request, "state")?)?;
    let after = before.apply(&Delta::decode(&delta)?, &Digest::from_bytes(digest))?;
    Ok(describe(&after))
}

fn describe(state: &State) -> Outputs {
    let sections = state
        .section_digests()
        .map(|(name, digest)| (name.to_string(), digest.to_string().into()));
    Outputs::from_iter([
        ("digest".into(), state.root().to_string().into()),
        ("sections".into(), Json::Object(sections.collect())),
    ])
}

fn parse(request: &Json) -> Result<Outputs, Fault> {
    let input = bytes(request, "input")?;
    let direction = match text(request, "direction")? {
        "up" => Direction::Up,
        "down" => Direction::Down,
        "file" => Direction::File,
        _ => {
            return Err(Fault::Unsupported(
                "direction is not up, down or file".into(),
            ));
        }
    };
    if !frame_type(&input)?.is_in_session() {
        PlainFrame::decode(&input, direction)?;
        return Ok(Outputs::new());
    }
    let body = SessionFrame::split(&input, direction)?.danger_unverified_body()?;
    match direction {
        Direction::Up => body.decode_up().map(|_| ())?,
        Direction::Down => body.decode_down().map(|_| ())?,
        Direction::File => return Err(Reject::FrameDirection.into()),
    }
    Ok(Outputs::new())
}

/// Returns a member. # Errors: [`Fault::Unsupported`] when it is missing.
pub(super) fn member<'r>(request: &'r Json, name: &str) -> Result<&'r Json, Fault> {
    request
        .get(name)
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is missing")))
}

/// Returns a text member. # Errors: [`Fault::Unsupported`].
pub(super) fn text<'r>(request: &'r Json, name: &str) -> Result<&'r str, Fault> {
    member(request, name)?
        .as_str()
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is no text")))
}

/// Returns a hexadecimal member. # Errors: [`Fault::Unsupported`].
pub(super) fn bytes(request: &Json, name: &str) -> Result<Vec<u8>, Fault> {
    from_hex(text(request, name)?)
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is no hexadecimal")))
}

/// Adds a hexadecimal output.
pub(super) fn put(outputs: &mut Outputs, name: &str, bytes: &[u8]) {
    outputs.insert(name.into(), to_hex(bytes).into());
}
