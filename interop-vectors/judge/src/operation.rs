//! The operations by name, each a pure function of its request.
//!
//! Refuses a name that is not in the list: `unsupported`, never a guess.

use crate::request::{Given, text, wrong};
use crate::{
    acceptance, clones, encryption, engine, enrolment, frames, lives, session, sign1, state, time,
    trust,
};
use serde_json::Value as Json;

/// Answers one request.
type Operation = fn(&Json) -> Given;

const TABLE: &[(&str, Operation)] = &[
    ("admission.compare", acceptance::admission),
    ("body.check", state::body),
    ("bundle.accept", trust::bundle),
    ("bytes", frames::size),
    ("cbor.check", trust::cbor),
    ("channel.id", trust::channel),
    ("clone.show", clones::show),
    ("ed25519.verify", trust::ed25519),
    ("encryption.digest", state::keyed_digest),
    ("encryption.open", encryption::open),
    ("engine.step", engine::step),
    ("enrol.answer", enrolment::answer),
    ("enrol.request", enrolment::request),
    ("enrol.rotation", enrolment::rotation),
    ("esp256.verify", trust::esp256),
    ("evidence.verify", lives::evidence),
    ("exchange.answer", frames::exchange),
    ("file.read", frames::file),
    ("frame.parse", frames::parse),
    ("freshness.watch", time::freshness),
    ("greeter.id", trust::greeter),
    ("intent.take", time::intents),
    ("key.check", trust::key_names),
    ("key.thumbprint", trust::key_names),
    ("line.read", trust::line),
    ("need.limit", session::need),
    ("plane-key.open", encryption::plane_key),
    ("report.accept", acceptance::report),
    ("revision.accept", acceptance::revision),
    ("session.challenge", session::challenge),
    ("session.derive", session::derive),
    ("session.down", session::down),
    ("session.greeting", session::greeting),
    ("session.hello", session::hello),
    ("session.switch", session::switch),
    ("session.up", session::up),
    ("session.welcome", session::welcome),
    ("sign1.verify", sign1::verify),
    ("state.apply", state::apply),
    ("state.digest", state::digest),
];

/// The names of the operations that are answered, ascending.
pub fn operations() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// Answers one request.
///
/// # Errors
/// [`crate::request::Fault`]: the reject of the input, or what is wrong with the request.
pub(crate) fn answer(request: &Json) -> Given {
    let wanted = text(request, "op")?;
    let found = TABLE.iter().find(|(name, _)| *name == wanted);
    let (_, operation) = found.ok_or_else(|| wrong("the operation is not known"))?;
    operation(request)
}
