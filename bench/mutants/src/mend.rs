//! Asks the compiler about the woven copy, and takes out what it refuses.
//!
//! A refusal between the marks of one mutant is that mutant's own, where it would be the same without a switch: it cannot be built.
//! Everything else that is refused may be the switch's fault; those mutants are built alone, by cargo-mutants.

use crate::listing::{Genre, Mutant};
use crate::{Outcome, Places};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Refusals that come from what the replacement says, wherever it stands: types, traits and names.
const OWN: [&str; 12] = [
    "E0277", "E0308", "E0369", "E0368", "E0600", "E0599", "E0433", "E0425", "E0061", "E0282",
    "E0283", "E0412",
];

/// One refusal of the compiler.
pub(crate) struct Complaint {
    pub(crate) code: String,
    pub(crate) text: String,
    file: String,
    at: usize,
}

/// What was taken out, and why.
#[derive(Default)]
pub(crate) struct Mended {
    /// Cannot be built, by the compiler's code.
    pub(crate) unviable: BTreeMap<usize, String>,
    /// Has to be built alone, by the compiler's code.
    pub(crate) alone: BTreeMap<usize, String>,
    /// Functions that constants call.
    pub(crate) kept_const: BTreeSet<String>,
}

impl Mended {
    pub(crate) fn is_out(&self, id: usize) -> bool {
        self.unviable.contains_key(&id) || self.alone.contains_key(&id)
    }

    pub(crate) fn size(&self) -> usize {
        self.unviable.len() + self.alone.len() + self.kept_const.len()
    }

    /// Takes out what a refusal is about. # Errors: it is about nothing that was woven.
    pub(crate) fn take(
        &mut self,
        complaint: &Complaint,
        mutants: &[Mutant],
        tree: &Path,
    ) -> Outcome<()> {
        if complaint.code == "E0015" && !complaint.text.contains("mutant_switch") {
            self.kept_const
                .insert(function_named(&complaint.text).ok_or_else(|| complaint.text.clone())?);
            return Ok(());
        }
        let path = tree.join(&complaint.file);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        if complaint.code == "E0004" {
            // The match is named, an arm of it is meant: the compiler does not count arms that have a guard.
            let next =
                places_after(&text, complaint.at).find(|id| mutants[*id].genre == Genre::Arm);
            let id = next.ok_or_else(|| format!("{}: {}", complaint.file, complaint.text))?;
            self.alone.insert(id, complaint.code.clone());
            return Ok(());
        }
        if complaint.code == "E0271" {
            // What an iterator gives is named before the body: it is the thing put in its place that has another type.
            let around = marks_around(&text, complaint.at);
            let next = around
                .mutant
                .or(around.place)
                .or_else(|| places_after(&text, complaint.at).next());
            let first = next.ok_or_else(|| format!("{}: {}", complaint.file, complaint.text))?;
            let is_once = |it: &&Mutant| {
                is_beside(it, &mutants[first]) && it.replacement.starts_with("::core::iter::once(")
            };
            self.unviable.extend(
                mutants
                    .iter()
                    .filter(is_once)
                    .map(|it| (it.id, complaint.code.clone())),
            );
            return Ok(());
        }
        let around = marks_around(&text, complaint.at);
        if let Some(id) = around.mutant {
            let is_sure = OWN.contains(&complaint.code.as_str())
                && !(mutants[id].genre == Genre::Body && mutants[id].is_opaque);
            let list = if is_sure {
                &mut self.unviable
            } else {
                &mut self.alone
            };
            list.insert(id, complaint.code.clone());
            return Ok(());
        }
        let Some(first) = around.place else {
            return Err(format!(
                "{}: {} {}",
                complaint.file, complaint.code, complaint.text
            ));
        };
        for mutant in mutants
            .iter()
            .filter(|it| is_beside(it, &mutants[first]))
            .filter(|it| !self.unviable.contains_key(&it.id))
        {
            self.alone.insert(mutant.id, complaint.code.clone());
        }
        Ok(())
    }
}

/// True for mutants of one place.
fn is_beside(mutant: &Mutant, other: &Mutant) -> bool {
    mutant.file == other.file && mutant.start == other.start
}

/// Returns `Type::name` or `name` of the function in "cannot call non-const … `a::b::Type::name` in …".
fn function_named(text: &str) -> Option<String> {
    let path = text.split('`').nth(1)?;
    let mut plain = String::new();
    let mut depth = 0_usize;
    for letter in path.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            other if depth == 0 => plain.push(other),
            _ => {}
        }
    }
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.is_empty()).collect();
    let (name, before) = parts.split_last()?;
    let owner = before
        .last()
        .filter(|it| it.starts_with(char::is_uppercase));
    Some(owner.map_or_else(|| (*name).to_owned(), |owner| format!("{owner}::{name}")))
}

struct Around {
    mutant: Option<usize>,
    place: Option<usize>,
}

/// Returns the innermost marks around a byte of the text.
fn marks_around(text: &str, at: usize) -> Around {
    let mut mutants = Vec::new();
    let mut places = Vec::new();
    let mut rest = 0;
    while let Some(found) = text[rest..at].find("/*") {
        let start = rest + found + 2;
        let Some(length) = text[start..].find("*/") else {
            break;
        };
        let mark = &text[start..start + length];
        rest = (start + length + 2).min(at);
        if let Some(id) = mark
            .strip_prefix('<')
            .and_then(|it| it.parse::<usize>().ok())
        {
            mutants.push(id);
        } else if mark
            .strip_suffix('>')
            .is_some_and(|it| it.parse::<usize>().is_ok())
        {
            mutants.pop();
        } else if let Some(id) = mark
            .strip_prefix('[')
            .and_then(|it| it.parse::<usize>().ok())
        {
            places.push(id);
        } else if mark
            .strip_suffix(']')
            .is_some_and(|it| it.parse::<usize>().is_ok())
        {
            places.pop();
        }
    }
    Around {
        mutant: mutants.pop(),
        place: places.pop(),
    }
}

/// Returns the first mutant of each place that begins behind a byte of the text.
fn places_after(text: &str, at: usize) -> impl Iterator<Item = usize> {
    text[at..]
        .split("/*[")
        .skip(1)
        .filter_map(|rest| rest.split("*/").next()?.parse().ok())
}

fn complaint(message: &Value) -> Option<Complaint> {
    if message["reason"] != "compiler-message" || message["message"]["level"] != "error" {
        return None;
    }
    let said = &message["message"];
    let spans = said["spans"].as_array()?;
    let span = spans.iter().find(|span| span["is_primary"] == true)?;
    Some(Complaint {
        code: said["code"]["code"].as_str().unwrap_or("none").to_owned(),
        text: said["message"].as_str()?.to_owned(),
        file: span["file_name"].as_str()?.to_owned(),
        at: usize::try_from(span["byte_start"].as_u64()?).ok()?,
    })
}

/// Returns cargo, about to work in the copy.
pub(crate) fn cargo(places: &Places, command: &str, targets: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args([
        command,
        "--offline",
        "--profile",
        "mutants",
        "-p",
        "postern-protocol",
        "--message-format=json",
    ]);
    cargo
        .args(targets)
        .current_dir(&places.tree)
        .env("CARGO_TARGET_DIR", places.work.join("build"));
    cargo.stderr(std::process::Stdio::null());
    cargo
}

/// Returns what the compiler refuses; nothing when it takes everything. # Errors: it did not run, or failed without a place.
pub(crate) fn check(places: &Places, targets: &[&str]) -> Outcome<Vec<Complaint>> {
    let output = cargo(places, "check", targets)
        .output()
        .map_err(|error| format!("cargo check: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let complaints: Vec<_> = messages.filter_map(|message| complaint(&message)).collect();
    if complaints.is_empty() && !output.status.success() {
        return Err(
            "cargo check failed without a message: run it in target/mutants/tree".to_owned(),
        );
    }
    Ok(complaints)
}
