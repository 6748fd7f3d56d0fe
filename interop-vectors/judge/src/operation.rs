//! The operations by name, each a pure function of its request.
//!
//! Refuses a name that is not in the list: `unsupported`, never a guess.

use crate::request::{Given, text, wrong};
#[cfg(feature = "all")]
use crate::{acceptance, bodies, clones, domain, encryption, enrolment, hop, lives, session, time};
use crate::{engine, frames, keys, sign1, state};
use serde_json::Value as Json;

/// Answers one request.
type Operation = fn(&Json) -> Given;

/// What every child answers: what is signed, what is held, what is sent, and a whole device.
const FIRST: &[(&str, Operation)] = &[
    ("cbor.check", keys::cbor),
    ("ed25519.verify", keys::ed25519),
    ("engine.step", engine::step),
    ("esp256.verify", keys::esp256),
    ("frame.parse", frames::parse),
    ("key.check", keys::key_names),
    ("key.thumbprint", keys::key_names),
    ("sign1.verify", sign1::verify),
    ("state.apply", state::apply),
    ("state.digest", state::digest),
];

#[cfg(not(feature = "all"))]
const FURTHER: &[(&str, Operation)] = &[];

/// The rest.
#[cfg(feature = "all")]
const FURTHER: &[(&str, Operation)] = &[
    ("admission.compare", acceptance::admission),
    ("body.check", bodies::body),
    ("bundle.accept", domain::bundle),
    ("bytes", hop::size),
    ("channel.id", domain::channel),
    ("clone.show", clones::show),
    ("encryption.digest", bodies::keyed_digest),
    ("encryption.open", encryption::open),
    ("enrol.answer", enrolment::answer),
    ("enrol.request", enrolment::request),
    ("enrol.rotation", enrolment::rotation),
    ("evidence.verify", lives::evidence),
    ("exchange.answer", hop::exchange),
    ("file.read", hop::file),
    ("freshness.watch", time::freshness),
    ("greeter.id", domain::greeter),
    ("intent.take", time::intents),
    ("line.read", domain::line),
    ("need.limit", session::need),
    ("plane-key.open", encryption::plane_key),
    ("report.accept", acceptance::report),
    ("revision.accept", acceptance::revision),
    ("session.challenge", session::challenge),
    ("session.derive", session::derive),
    ("session.down", session::down),
    ("session.greeting", session::greeting),
    ("session.hello", session::hello),
    ("session.stream", session::stream),
    ("session.switch", session::switch),
    ("session.up", session::up),
    ("session.welcome", session::welcome),
];

/// The names of the operations that are answered.
pub fn operations() -> impl Iterator<Item = &'static str> {
    FIRST.iter().chain(FURTHER).map(|(name, _)| *name)
}

/// Answers one request.
///
/// # Errors
/// [`crate::request::Fault`]: the reject of the input, or what is wrong with the request.
pub(crate) fn answer(request: &Json) -> Given {
    let wanted = text(request, "op")?;
    let found = FIRST
        .iter()
        .chain(FURTHER)
        .find(|(name, _)| *name == wanted);
    let (_, operation) = found.ok_or_else(|| wrong("the operation is not known"))?;
    operation(request)
}
