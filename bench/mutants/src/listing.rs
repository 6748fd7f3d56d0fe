//! Reads what `cargo mutants --list --json` says: which mutants there are.
//!
//! A mutant is known by its file, its description and, where a function has several alike, the how many-th: lines move, this does not.

use crate::{Outcome, Places};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Genre {
    /// The body of a function, by a value.
    Body,
    /// A binary operator, by another one.
    Binary,
    /// A unary operator, by nothing.
    Unary,
    /// The guard of an arm, by true or false.
    Guard,
    /// An arm before a wildcard, by nothing.
    Arm,
    /// A field before `..base`, by nothing.
    Field,
}

/// One mutant.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// Its number in this listing; what the switch compares with.
    pub(crate) id: usize,
    /// What it is known by from one commit to the next.
    pub(crate) key: String,
    /// What cargo-mutants calls it.
    pub(crate) name: String,
    /// The file below the repository.
    pub(crate) file: String,
    pub(crate) genre: Genre,
    /// Line from 1 and column from 1 of its first character.
    pub(crate) start: (usize, usize),
    /// Without names that a crate without the standard library does not have: cargo-mutants would take those for its own mistake.
    pub(crate) replacement: String,
    /// True where the function names only a trait of what it returns: there a branch must have the same type as the rest.
    pub(crate) is_opaque: bool,
}

fn start(value: &Value) -> Option<(usize, usize)> {
    let at = &value["span"]["start"];
    let number = |name: &str| usize::try_from(at[name].as_u64()?).ok();
    Some((number("line")?, number("column")?))
}

fn genre(name: &str) -> Option<Genre> {
    match name {
        "FnValue" => Some(Genre::Body),
        "BinaryOperator" => Some(Genre::Binary),
        "UnaryOperator" => Some(Genre::Unary),
        "MatchArmGuard" => Some(Genre::Guard),
        "MatchArm" => Some(Genre::Arm),
        "StructField" => Some(Genre::Field),
        _ => None,
    }
}

/// Names what stands in `core` and `alloc` by its place.
fn without_std(replacement: &str) -> String {
    const PLACES: [(&str, &str); 5] = [
        ("::std::", "::core::"),
        ("Vec::", "::alloc::vec::Vec::"),
        ("String::", "::alloc::string::String::"),
        ("Box::", "::alloc::boxed::Box::"),
        ("vec![", "::alloc::vec!["),
    ];
    let name = |text: String, (short, full): &(&str, &str)| text.replace(short, full);
    PLACES.iter().fold(replacement.to_owned(), name)
}

fn mutant(id: usize, value: &Value, seen: &mut BTreeMap<String, usize>) -> Option<Mutant> {
    let file = value["file"].as_str()?.to_owned();
    let name = value["name"].as_str()?.to_owned();
    // `file:line:column: description`
    let description = name.strip_prefix(&file)?.splitn(4, ':').nth(3)?.trim();
    let plain = format!("{file}: {description}");
    let count = seen.entry(plain.clone()).or_insert(0);
    *count += 1;
    let key = if *count == 1 {
        plain
    } else {
        format!("{plain} #{count}")
    };
    Some(Mutant {
        id,
        key,
        genre: genre(value["genre"].as_str()?)?,
        start: start(value)?,
        replacement: without_std(value["replacement"].as_str()?),
        is_opaque: value["function"]["return_type"]
            .as_str()
            .is_some_and(|it| it.contains("impl ")),
        name,
        file,
    })
}

/// Returns the listing that `run` has made. # Errors: it cannot be read, or has a genre that this program does not know.
pub(crate) fn read(places: &Places) -> Outcome<Vec<Mutant>> {
    let path = places.work.join("list.json");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let values: Vec<Value> =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut seen = BTreeMap::new();
    let each = values.iter().enumerate().map(|(id, value)| {
        mutant(id, value, &mut seen).ok_or_else(|| {
            format!(
                "mutant {id} of list.json is of another form: {}",
                value["name"]
            )
        })
    });
    each.collect()
}
