//! Makes the copy of the repository in which every mutant is a branch, and mends it until the compiler takes it.
//!
//! Writes only what changed, so that the compiler builds only that.

use crate::listing::{self, Mutant};
use crate::mend::{self, Mended};
use crate::{Outcome, Places, sites, weave};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Appended to the crate's root.
const SWITCH: &str = include_str!("switch.rs.in");

/// The crate whose mutants these are, and its root.
const ROOT: &str = "protocol/src/lib.rs";

/// How often the compiler is asked before this gives up; each time takes at least one mutant out. Arbitrary.
const ROUNDS_MAX: usize = 60;

/// How the crate is built here: as the tests are, without what debuggers want, and fast, since every mutant runs tests.
const PROFILE: &str = "\n[profile.mutants]\ninherits = \"dev\"\ndebug = false\n\n[profile.mutants.package.postern-protocol]\nopt-level = 1\n";

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a file unless it says this already.
pub(crate) fn write(path: &Path, content: &[u8]) -> Outcome<()> {
    if std::fs::read(path).is_ok_and(|held| held == content) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    let done = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, content));
    done.map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the names of the files that git knows.
fn known(places: &Places) -> Outcome<Vec<String>> {
    let asked = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(&places.repository)
        .output();
    let output = asked.map_err(|error| format!("git ls-files: {error}"))?;
    let names =
        String::from_utf8(output.stdout).map_err(|error| format!("git ls-files: {error}"))?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// Copies everything that is not woven.
fn copy(places: &Places, woven: &BTreeSet<&str>) -> Outcome<()> {
    let names = known(places)?;
    for name in &names {
        let Ok(mut content) = std::fs::read(places.repository.join(name)) else {
            continue; // removed and not yet committed
        };
        match name.as_str() {
            "Cargo.toml" => content.extend_from_slice(PROFILE.as_bytes()),
            ROOT => content = root(&String::from_utf8_lossy(&content)).into_bytes(),
            other if woven.contains(other) => continue,
            _ => {}
        }
        write(&places.tree.join(name), &content)?;
    }
    let names = names.iter().map(String::as_str).collect();
    forget(&places.tree.join("protocol"), &places.tree, &names)
}

/// Removes the sources that the repository no longer has.
fn forget(folder: &Path, tree: &Path, known: &BTreeSet<&str>) -> Outcome<()> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.strip_prefix(tree).unwrap_or(&path).to_string_lossy();
        if path.is_dir() {
            forget(&path, tree, known)?;
        } else if !known.contains(&*name) {
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Adds the switch to the crate's root, and silences what is not about the code.
fn root(text: &str) -> String {
    let quiet = format!("#![{}(warnings, clippy::all)]\n#![no_std]", "allow");
    let quiet = text.replacen("#![no_std]", &quiet, 1);
    format!("{quiet}\n{SWITCH}")
}

fn by_file(mutants: &[Mutant]) -> BTreeMap<&str, Vec<Mutant>> {
    let mut files: BTreeMap<&str, Vec<Mutant>> = BTreeMap::new();
    for mutant in mutants {
        files.entry(&mutant.file).or_default().push(mutant.clone());
    }
    files
}

/// Writes the woven files; returns the mutants that found no place.
fn write_woven(places: &Places, mutants: &[Mutant], mended: &mut Mended) -> Outcome<Vec<usize>> {
    let mut placeless = Vec::new();
    for (file, mutants) in by_file(mutants) {
        let text = read(&places.repository.join(file))?;
        let wanted: Vec<_> = mutants
            .into_iter()
            .filter(|it| !mended.is_out(it.id))
            .collect();
        let found = sites::find(&text, &wanted, &mended.kept_const)
            .map_err(|error| format!("{file}: {error}"))?;
        placeless.extend(found.placeless.iter().map(|mutant| mutant.id));
        mended.unviable.extend(
            found
                .impossible
                .iter()
                .map(|mutant| (mutant.id, "chain".to_owned())),
        );
        write(
            &places.tree.join(file),
            weave::weave(&text, found.sites).as_bytes(),
        )?;
    }
    Ok(placeless)
}

/// Says of each mutant whether it is woven, cannot be built, or has to be built alone.
fn note(places: &Places, mutants: &[Mutant], placeless: &[usize], mended: &Mended) -> Outcome<()> {
    let mut text = String::new();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for mutant in mutants {
        let state = if let Some(code) = mended.unviable.get(&mutant.id) {
            format!("unviable {code}")
        } else if let Some(code) = mended.alone.get(&mutant.id) {
            format!("alone {code}")
        } else if placeless.contains(&mutant.id) {
            "alone placeless".to_owned()
        } else {
            "woven".to_owned()
        };
        let first = state.split(' ').next().unwrap_or_default();
        let known = ["woven", "unviable", "alone"]
            .into_iter()
            .find(|it| *it == first)
            .unwrap_or("woven");
        *count.entry(known).or_default() += 1;
        text.push_str(&format!("{state}\t{}\n", mutant.key));
    }
    println!("{} mutants: {count:?}", mutants.len());
    write(&places.work.join("states.txt"), text.as_bytes())
}

/// Makes the copy. # Errors: the compiler goes on refusing it.
pub(crate) fn weave(places: &Places) -> Outcome<()> {
    let mutants = listing::read(places)?;
    let woven: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
    copy(places, &woven)?;
    let mut mended = Mended::default();
    for targets in [["--lib"].as_slice(), ["--lib", "--tests"].as_slice()] {
        for round in 0.. {
            let placeless = write_woven(places, &mutants, &mut mended)?;
            let complaints = mend::check(places, targets)?;
            if complaints.is_empty() {
                note(places, &mutants, &placeless, &mended)?;
                break;
            }
            let before = mended.size();
            for complaint in &complaints {
                mended.take(complaint, &mutants, &places.tree)?;
            }
            println!(
                "round {round} of {targets:?}: {} complaints, {} taken out",
                complaints.len(),
                mended.size() - before
            );
            if mended.size() == before || round == ROUNDS_MAX {
                return Err(format!(
                    "the compiler still refuses: {}",
                    complaints[0].text
                ));
            }
        }
    }
    Ok(())
}
