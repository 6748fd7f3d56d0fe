//! Reads the members of a request and makes those of a reply.
//!
//! Refuses to guess: a member that is missing or of another type is the runner's fault, never a reject.

use crate::limits::STEPS_MAX;
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{Channel, DeviceName, Incarnation, Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use serde_json::{Map, Value as Json};
use std::fmt::Write as _;

/// Why an operation gives no valid answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The input is refused.
    Refused(Reject),
    /// A scenario in which a step was refused, with what every step gave.
    RefusedWith(Reject, Outputs),
    /// The runner asks for something that is not offered, or not in a way that can be understood.
    Unsupported(String),
}

impl From<Reject> for Fault {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

/// Members of a reply.
pub(crate) type Outputs = Map<String, Json>;

/// What one request gives.
pub(crate) type Given = Result<Outputs, Fault>;

/// Gives members.
pub(crate) fn given<const N: usize>(members: [(&str, Json); N]) -> Given {
    Ok(members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// Gives nothing but that it is valid.
pub(crate) fn nothing() -> Given {
    Ok(Outputs::new())
}

/// Says what is wrong with a request.
pub(crate) fn wrong(what: &str) -> Fault {
    Fault::Unsupported(what.into())
}

/// Writes hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> Json {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// Reads hexadecimal. # Errors: [`Fault::Unsupported`].
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, Fault> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|n| n as u8);
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect();
    bytes
        .filter(|_| rest.is_empty())
        .ok_or_else(|| Fault::Unsupported(format!("no hexadecimal: {:.40}", text)))
}

/// Returns a member that is there and not null.
pub(crate) fn present<'r>(request: &'r Json, name: &str) -> Option<&'r Json> {
    request.get(name).filter(|member| !member.is_null())
}

/// Returns a member. # Errors: [`Fault::Unsupported`] when it is missing.
pub(crate) fn member<'r>(request: &'r Json, name: &str) -> Result<&'r Json, Fault> {
    request
        .get(name)
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is missing")))
}

/// Returns a text member. # Errors: [`Fault::Unsupported`].
pub(crate) fn text<'r>(request: &'r Json, name: &str) -> Result<&'r str, Fault> {
    member(request, name)?
        .as_str()
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is no text")))
}

/// Returns a hexadecimal member. # Errors: [`Fault::Unsupported`].
pub(crate) fn bytes(request: &Json, name: &str) -> Result<Vec<u8>, Fault> {
    unhex(text(request, name)?)
}

/// Returns a hexadecimal member of a fixed size. # Errors: [`Fault::Unsupported`].
pub(crate) fn array<const N: usize>(request: &Json, name: &str) -> Result<[u8; N], Fault> {
    bytes(request, name)?
        .try_into()
        .map_err(|_| Fault::Unsupported(format!("the member {name} is not {N} bytes")))
}

/// Returns a number; large ones may be decimal text or `{"int": ..}`. # Errors: [`Fault::Unsupported`].
pub(crate) fn uint(request: &Json, name: &str) -> Result<u64, Fault> {
    number(member(request, name)?)
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is no number")))
}

/// Reads a number as [`uint`] does.
pub(crate) fn number(json: &Json) -> Option<u64> {
    let text = json.as_str().or_else(|| json.get("int")?.as_str());
    json.as_u64().or_else(|| text?.parse().ok())
}

/// Returns true or false. # Errors: [`Fault::Unsupported`].
pub(crate) fn flag(request: &Json, name: &str) -> Result<bool, Fault> {
    member(request, name)?
        .as_bool()
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is not true or false")))
}

/// Returns a list. # Errors: [`Fault::Unsupported`].
pub(crate) fn rows<'r>(request: &'r Json, name: &str) -> Result<&'r [Json], Fault> {
    let rows = member(request, name)?
        .as_array()
        .ok_or_else(|| Fault::Unsupported(format!("the member {name} is no list")))?;
    if rows.len() > STEPS_MAX {
        return Err(wrong("a list is too long"));
    }
    Ok(rows)
}

/// Reads a list of hexadecimal texts. # Errors: [`Fault::Unsupported`].
pub(crate) fn blobs(request: &Json, name: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let text = |row: &Json| row.as_str().map(str::to_owned);
    rows(request, name)?
        .iter()
        .map(|row| unhex(&text(row).ok_or_else(|| wrong("a list holds no hexadecimal"))?))
        .collect()
}

/// Returns a thumbprint. # Errors: [`Fault::Unsupported`].
pub(crate) fn thumbprint(request: &Json, name: &str) -> Result<Thumbprint, Fault> {
    array(request, name).map(Thumbprint::from_bytes)
}

/// Reads a public key. # Errors: the reject of the key.
pub(crate) fn key(request: &Json, name: &str) -> Result<PublicKey, Fault> {
    Ok(PublicKey::from_bytes(&bytes(request, name)?)?)
}

/// Reads a channel below a root. # Errors: the reject of a name.
pub(crate) fn channel_below(request: &Json, root: &str) -> Result<Channel, Fault> {
    Ok(Channel {
        root: thumbprint(request, root)?,
        tenant: Tenant::parse(text(request, "tenant")?)?,
        device: DeviceName::parse(text(request, "device")?)?,
    })
}

/// Reads a channel and the life of its device. # Errors: the reject of a name.
pub(crate) fn place(request: &Json) -> Result<(Channel, Incarnation), Fault> {
    let channel = channel_below(request, "root")?;
    Ok((
        channel,
        Incarnation::from_bytes(array(request, "incarnation")?),
    ))
}

/// Bundles and requests lie in files with their tag, which frames strip.
pub(crate) fn untagged(bytes: Vec<u8>) -> Vec<u8> {
    let untagged = ReceivedEnvelope::parse_tagged(&bytes).map(|it| it.as_bytes().to_vec());
    untagged.unwrap_or(bytes)
}

/// Runs the steps of a scenario: each gives members or a reject, and a refused one changes nothing.
/// The scenario is valid when all steps are, else refused with the first reject.
pub(crate) fn scenario(request: &Json, mut take: impl FnMut(&Json) -> Given) -> Given {
    let mut refusal = None;
    let mut taken = Vec::new();
    for step in rows(request, "steps")? {
        let (result, reject, mut outputs) = match take(step) {
            Ok(outputs) => ("valid", None, outputs),
            Err(Fault::Refused(reject)) => ("invalid", Some(reject), Outputs::new()),
            Err(Fault::RefusedWith(reject, outputs)) => ("invalid", Some(reject), outputs),
            Err(fault @ Fault::Unsupported(_)) => return Err(fault),
        };
        outputs.insert("result".into(), result.into());
        if let Some(reject) = reject {
            outputs.insert("error".into(), reject.as_str().into());
        }
        refusal = refusal.or(reject);
        taken.push(Json::Object(outputs));
    }
    let outputs = Outputs::from_iter([("steps".to_owned(), Json::Array(taken))]);
    match refusal {
        Some(reject) => Err(Fault::RefusedWith(reject, outputs)),
        None => Ok(outputs),
    }
}
