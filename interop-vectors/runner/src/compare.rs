//! Compares a reply with its vector, and names the first member that differs.
//!
//! Outputs that a child leaves out are not missed, but for what a conversation must show.

use crate::operation;
use crate::vectors::Vector;
use serde_json::Value as Json;

/// Where a reply and a vector part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The member, as `steps[3].head`, or what became of the child: `died`, `timeout`, `reply`.
    pub(crate) member: String,
    /// What the vector says.
    pub(crate) wanted: Json,
    /// What the child said.
    pub(crate) given: Json,
}

/// What one vector came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The child agrees.
    Passed,
    /// It does not.
    Failed(Difference),
    /// The child does not build this.
    Unsupported,
}

/// Judges a reply.
pub(crate) fn judge(vector: &Vector, reply: &Json) -> Verdict {
    if reply.get("result").and_then(Json::as_str) == Some("unsupported") {
        return Verdict::Unsupported;
    }
    let found = steps(vector, reply)
        .or_else(|| members(&["result", "error"], "", &vector.test, reply))
        .or_else(|| outputs(vector, reply));
    found.map_or(Verdict::Passed, Verdict::Failed)
}

fn different(place: &str, member: &str, wanted: Option<&Json>, given: Option<&Json>) -> Difference {
    Difference {
        member: format!("{place}{member}"),
        wanted: wanted.cloned().unwrap_or_default(),
        given: given.cloned().unwrap_or_default(),
    }
}

/// The first of some members in which two objects differ; a missing one differs from any other.
fn members(names: &[&str], place: &str, wanted: &Json, given: &Json) -> Option<Difference> {
    let differs = |name: &&&str| wanted.get(**name) != given.get(**name);
    let name = names.iter().find(differs)?;
    Some(different(place, name, wanted.get(*name), given.get(*name)))
}

fn outputs(vector: &Vector, reply: &Json) -> Option<Difference> {
    let operation = vector.operation.as_str();
    let names = operation::of(operation).outputs.iter();
    // The digest of a delta is an input and, where it holds, an output.
    for output in names.chain(&["digest"]) {
        let given = reply.get(operation::member_of(operation, output));
        let wanted = vector.test.get(*output);
        if given.is_some() && wanted.is_some() && given != wanted {
            return Some(different("", output, wanted, given));
        }
    }
    None
}

/// Compares the steps, where a reply tells of them.
fn steps(vector: &Vector, reply: &Json) -> Option<Difference> {
    let wanted = vector.test.get("steps").and_then(Json::as_array)?;
    let is_engine = vector.operation == "engine.step";
    let Some(given) = reply.get("steps").and_then(Json::as_array) else {
        return is_engine.then(|| different("", "steps", Some(&"the steps".into()), None));
    };
    let outputs = operation::of(&vector.operation).steps;
    for (at, (wanted, given)) in wanted.iter().zip(given).enumerate() {
        let place = format!("steps[{at}].");
        let found = expected(&place, wanted, given)
            .or_else(|| members(&["error"], &place, wanted, given))
            .or_else(|| told(outputs, &place, wanted, given));
        if found.is_some() {
            return found;
        }
    }
    let (count, told) = (Json::from(wanted.len()), Json::from(given.len()));
    (count != told).then(|| different("steps.", "length", Some(&count), Some(&told)))
}

/// What a step of a conversation must show.
fn expected(place: &str, wanted: &Json, given: &Json) -> Option<Difference> {
    let expect = wanted.get("expect")?.as_object()?;
    let (name, known) = expect
        .iter()
        .find(|(name, known)| given.get(name) != Some(known))?;
    Some(different(place, name, Some(known), given.get(name)))
}

/// The outputs of a step, where the child tells them.
fn told(outputs: &[&str], place: &str, wanted: &Json, given: &Json) -> Option<Difference> {
    let differs = |name: &&&str| {
        let told = given.get(**name);
        told.is_some() && wanted.get(**name).is_some() && told != wanted.get(**name)
    };
    let name = outputs.iter().find(differs)?;
    Some(different(place, name, wanted.get(*name), given.get(*name)))
}
