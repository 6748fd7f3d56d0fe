//! A child with one bug: the real judge, and one thing that implementations get wrong.
//!
//! `postern-broken-child --bug N` is what the tests of the runner ask. Refuses a number that is no bug.

use postern_judge::reply;
use serde_json::{Map, Value as Json, json};
use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

/// Changes a request or its reply.
type Bug = fn(&Json) -> Json;

/// The bugs, by their number from 1.
const BUGS: [Bug; 12] = [
    accepts_long_forms,
    ignores_the_algorithm,
    accepts_low_order_keys,
    skips_the_plane,
    names_the_wrong_error,
    forgets_revocation,
    takes_trailing_bytes,
    accepts_rollback,
    freezes_nothing,
    counts_bytes_wrong,
    dies,
    hangs,
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let number = words.nth(1).and_then(|number| number.parse::<usize>().ok());
    let bug = number.and_then(|number| BUGS.get(number.checked_sub(1)?));
    match bug.map(serve) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) | None => ExitCode::FAILURE,
    }
}

fn serve(bug: &Bug) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = bug(&serde_json::from_str(&line?)?);
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn is(request: &Json, operation: &str) -> bool {
    request.get("op").and_then(Json::as_str) == Some(operation)
}

/// What an implementation that misses a check says in its place.
fn without(request: &Json, operation: &str, error: &str) -> Json {
    let answer = reply(request);
    if is(request, operation) && answer.get("error").and_then(Json::as_str) == Some(error) {
        return json!({ "id": request.get("id"), "result": "valid" });
    }
    answer
}

/// Integers and lengths in more bytes than they need.
fn accepts_long_forms(request: &Json) -> Json {
    without(request, "cbor.check", "cbor-not-shortest")
}

/// The algorithm of the header and of the key differ.
fn ignores_the_algorithm(request: &Json) -> Json {
    without(request, "sign1.verify", "algorithm-mismatch")
}

/// Keys of a small subgroup.
fn accepts_low_order_keys(request: &Json) -> Json {
    without(request, "ed25519.verify", "key-refused")
}

/// A kind that its role signs for another plane.
fn skips_the_plane(request: &Json) -> Json {
    without(request, "sign1.verify", "plane-mismatch")
}

/// One reject under the name of another.
fn names_the_wrong_error(request: &Json) -> Json {
    let mut answer = reply(request);
    if answer.get("error").and_then(Json::as_str) == Some("cbor-tag")
        && let Some(error) = answer.get_mut("error")
    {
        *error = "shape".into();
    }
    answer
}

/// A key that a bundle revoked.
fn forgets_revocation(request: &Json) -> Json {
    let mut request = request.clone();
    if let Some(members) = request.as_object_mut() {
        members.remove("revoked");
    }
    reply(&request)
}

/// Bytes behind the end of a frame.
fn takes_trailing_bytes(request: &Json) -> Json {
    without(request, "frame.parse", "cbor-trailing")
}

/// A lower epoch counts like a higher one.
fn accepts_rollback(request: &Json) -> Json {
    let answer = reply(request);
    let is_it = answer.get("error").and_then(Json::as_str) == Some("epoch-stale");
    if is(request, "revision.accept") && is_it {
        return json!({ "id": request.get("id"), "result": "valid", "outcome": "accept" });
    }
    answer
}

/// Equivocation is refused and forgotten.
fn freezes_nothing(request: &Json) -> Json {
    let mut answer = reply(request);
    let steps = answer.get_mut("steps").and_then(Json::as_array_mut);
    for step in steps.into_iter().flatten().filter_map(Json::as_object_mut) {
        if is(request, "engine.step") {
            step.insert("frozen".into(), Json::Null);
        }
    }
    answer
}

/// An output is wrong, not the result.
fn counts_bytes_wrong(request: &Json) -> Json {
    let mut answer = reply(request);
    if is(request, "state.digest")
        && let Some(sections) = answer.get_mut("sections").and_then(Json::as_object_mut)
    {
        *sections = Map::new();
    }
    answer
}

/// The process ends at a question about a line.
fn dies(request: &Json) -> Json {
    if is(request, "line.read") {
        std::process::exit(3);
    }
    reply(request)
}

/// The answer to a rotation never comes.
fn hangs(request: &Json) -> Json {
    while is(request, "need.limit") {
        std::thread::park();
    }
    reply(request)
}
