//! What differs between a vector and the reply to it: result, reject, each output that both hold.
//!
//! Refuses a reply that skips a step.

use serde_json::Value as Json;

/// Compares a reply with its vector.
///
/// # Errors
/// What differs first, for people.
pub(crate) fn difference(wanted: &Json, reply: &Json) -> Result<(), String> {
    for member in ["result", "error"] {
        if wanted.get(member) != reply.get(member) {
            return Err(format!("{member} is {:?}: {reply}", reply.get(member)));
        }
    }
    for (name, output) in reply.as_object().expect("an object") {
        match wanted.get(name) {
            Some(steps) if name == "steps" => every_step(steps, output)?,
            Some(known) if known != output => return Err(format!("{name} is {output}")),
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn every_step(wanted: &Json, given: &Json) -> Result<(), String> {
    let [wanted, given] = [wanted, given].map(|steps| steps.as_array().expect("steps"));
    if wanted.len() != given.len() {
        return Err(format!("{} steps are told", given.len()));
    }
    let mut pairs = wanted.iter().zip(given).enumerate();
    pairs.try_for_each(|(at, (wanted, given))| {
        step(wanted, given).map_err(|why| format!("step {at}: {why}: {given}"))
    })
}

fn step(wanted: &Json, given: &Json) -> Result<(), String> {
    if wanted.get("error") != given.get("error") {
        return Err(format!("error is {:?}", given.get("error")));
    }
    for (name, output) in given.as_object().expect("an object") {
        if wanted.get(name).is_some_and(|known| known != output) {
            return Err(format!("{name} is {output}"));
        }
    }
    let Some(expect) = wanted.get("expect") else {
        return Ok(());
    };
    let expect = expect.as_object().expect("an object");
    let differs = expect
        .iter()
        .find(|(name, known)| given.get(*name) != Some(known));
    match differs {
        Some((name, known)) => Err(format!("{name} is not {known}")),
        None => Ok(()),
    }
}
