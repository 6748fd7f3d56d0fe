//! Runs every test once with all mutants off, and notes which mutants each test comes by.
//!
//! A test that does not come by a mutant cannot notice it, so it is not asked.

use crate::{Outcome, Places, mend};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tests that judge: those beside the code, then those of whole pairs that take seconds. Left out are the ones about text (`tidy`,
/// `citations`, `diagrams`), and the slow ones of lossy pairs and fleets (`pair`, `simulation`, `simulation_days`, the model): what only they
/// would notice is worth a test that says why.
const TARGETS: [&str; 7] = [
    "lib",
    "attacks",
    "bugs",
    "encryption",
    "fuzz_corpus",
    "lives",
    "names_and_rejects",
];

/// One test of one program.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// Place of its program in [`TARGETS`].
    pub(crate) program: usize,
    pub(crate) name: String,
    /// How long it took with the mutants off.
    pub(crate) micros: u64,
}

/// Which tests come by each mutant, by their places in `tests`.
pub(crate) struct Reached {
    pub(crate) programs: Vec<PathBuf>,
    pub(crate) tests: Vec<Test>,
    pub(crate) by_mutant: BTreeMap<usize, Vec<usize>>,
}

/// Builds the tests; returns their programs in the order of [`TARGETS`].
fn build(places: &Places) -> Outcome<Vec<PathBuf>> {
    let mut targets = vec!["--no-run", "--lib"];
    for target in &TARGETS[1..] {
        targets.extend(["--test", target]);
    }
    let output = mend::cargo(places, "test", &targets)
        .output()
        .map_err(|error| format!("cargo test: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut programs = BTreeMap::new();
    for message in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        if let (Some(program), Some(name)) = (
            message["executable"].as_str(),
            message["target"]["name"].as_str(),
        ) {
            let name = if name == "postern_protocol" {
                "lib"
            } else {
                name
            };
            programs.insert(name.to_owned(), PathBuf::from(program));
        }
    }
    let each = TARGETS.iter().map(|name| {
        programs
            .remove(*name)
            .ok_or_else(|| format!("the tests {name} were not built"))
    });
    each.collect()
}

/// Returns a test program, about to run where cargo would run it.
pub(crate) fn program(places: &Places, path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .current_dir(places.tree.join("protocol"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn names(places: &Places, path: &Path) -> Outcome<Vec<String>> {
    let output = program(places, path)
        .args(["--list", "--format", "terse"])
        .stdout(Stdio::piped())
        .output();
    let output = output.map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect())
}

/// Runs all tests of a program. # Errors: one fails, so that nothing can be judged by it.
fn run(places: &Places, path: &Path, folder: &Path) -> Outcome<()> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // With one thread the tests would have no thread of their own, and no name.
    let status = program(places, path)
        .arg("--test-threads=2")
        .env("POSTERN_MUTANTS_REACHED", folder)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!(
            "{} fails with every mutant off: {other:?}",
            path.display()
        )),
    }
}

/// Builds, runs and writes down which test comes by which mutant.
pub(crate) fn record(places: &Places) -> Outcome<()> {
    let programs = build(places)?;
    for (number, path) in programs.iter().enumerate() {
        run(
            places,
            path,
            &places.work.join("reached").join(number.to_string()),
        )?;
        println!(
            "{}: every test passes with every mutant off",
            TARGETS[number]
        );
    }
    let text: Vec<String> = programs
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    crate::tree::write(
        &places.work.join("programs.txt"),
        text.join("\n").as_bytes(),
    )
}

/// One record of a thread: how long, and what it came by.
fn thread(path: &Path) -> Option<(u64, Vec<usize>)> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let micros = lines.next()?.parse().ok()?;
    Some((micros, lines.filter_map(|line| line.parse().ok()).collect()))
}

/// Reads what [`record`] has written. # Errors: it has not run.
pub(crate) fn read(places: &Places) -> Outcome<Reached> {
    let path = places.work.join("programs.txt");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{}: {error}: call `reach` first", path.display()))?;
    let programs: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    let mut reached = Reached {
        programs,
        tests: Vec::new(),
        by_mutant: BTreeMap::new(),
    };
    for number in 0..reached.programs.len() {
        let mut records: BTreeMap<String, (u64, Vec<usize>)> = BTreeMap::new();
        let folder = places.work.join("reached").join(number.to_string());
        let entries =
            std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let name = file
                .split('@')
                .next()
                .unwrap_or_default()
                .replace('+', "::");
            if let Some((micros, ids)) = thread(&entry.path()) {
                let record = records.entry(name).or_default();
                record.0 += micros;
                record.1.extend(ids);
            }
        }
        join(places, number, records, &mut reached)?;
    }
    Ok(reached)
}

/// Adds the tests of one program; what threads without a name came by counts for each of its tests.
fn join(
    places: &Places,
    program: usize,
    mut records: BTreeMap<String, (u64, Vec<usize>)>,
    reached: &mut Reached,
) -> Outcome<()> {
    let shared = records.remove("unnamed").unwrap_or_default();
    for name in names(places, &reached.programs[program])? {
        let (micros, mut ids) = records.remove(&name).unwrap_or_default();
        ids.extend(&shared.1);
        ids.sort_unstable();
        ids.dedup();
        let test = reached.tests.len();
        reached.tests.push(Test {
            program,
            name,
            micros: micros + shared.0,
        });
        for id in ids {
            reached.by_mutant.entry(id).or_default().push(test);
        }
    }
    Ok(())
}
