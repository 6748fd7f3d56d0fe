//! Runs scenarios and prints a row for each.
//!
//! It refuses to call a run good that ran nothing: without a passed scenario it fails.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that prints its rows"
)]

use std::process::ExitCode;

use postern_lab::scenarios::soak::{self, Soak};
use postern_lab::scenarios::{ALL, Row, Verdict, find};

const HELP: &str = "\
Runs real proxies, firewalls and faults against the release binaries

Usage: postern-lab run [--try] [--short] [ID...]
       postern-lab soak [--short] [--devices N] [--seconds N] [--fault-s N] [--per-second N] [--seed N]
       postern-lab list

  run     each scenario whose number starts with an ID, all without one; prints one row each
          (C04r and C13r wait for a return that takes a quarter of an hour each)
  soak    200 devices, ten minutes, a random fault every 20 s; prints one report
  list    prints the scenarios

  --try     run what the binary lacks features for, too
  --short   run: only what ends within a minute; soak: 20 devices, a minute

Build the binaries first: cargo build --release -p postern-daemon -p postern-relay-command.
Programs come from `./test`; namespaces need root. Exit code 0: nothing failed and something passed.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Whoever asks for help wants nothing to run, wherever the word stands.
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match words.split_first() {
        Some((command, rest)) if command == "run" => run(rest),
        Some((command, rest)) if command == "soak" => run_soak(rest),
        Some((command, [])) if command == "list" => list(),
        Some(_) | None => usage("a command is needed"),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("{problem}\n\n{HELP}");
    ExitCode::from(2)
}

fn list() -> ExitCode {
    for scenario in ALL {
        let needs: Vec<_> = scenario.needs.iter().map(|needs| needs.as_str()).collect();
        let (id, title) = (scenario.id, scenario.title);
        println!("{id:<6} {title:<34} {}", needs.join(", "));
    }
    ExitCode::SUCCESS
}

fn run(words: &[String]) -> ExitCode {
    let flag = |name: &str| words.iter().any(|word| word == name);
    let (is_trying, is_short) = (flag("--try"), flag("--short"));
    let options = |word: &&String| word.starts_with("--");
    if let Some(word) = words
        .iter()
        .filter(options)
        .find(|word| *word != "--try" && *word != "--short")
    {
        return usage(&format!("unknown option {word}"));
    }
    let ids: Vec<_> = words
        .iter()
        .filter(|word| !options(word))
        .cloned()
        .collect();
    let scenarios = match find(&ids) {
        Ok(scenarios) => scenarios,
        Err(word) => return usage(&format!("no scenario's number starts with {word}")),
    };
    let chosen = scenarios
        .into_iter()
        .filter(|one| !is_short || one.is_short);
    let mut rows = Vec::new();
    for scenario in chosen {
        let row = scenario.run(is_trying);
        println!("{row}");
        rows.push(row);
    }
    summary(&rows)
}

fn summary(rows: &[Row]) -> ExitCode {
    for row in rows.iter().filter(|row| row.verdict == Verdict::Failed) {
        println!("\n--- {} failed\n{}", row.id, row.text);
    }
    let count =
        |wanted: fn(&Verdict) -> bool| rows.iter().filter(|row| wanted(&row.verdict)).count();
    let passed = count(|verdict| *verdict == Verdict::Passed);
    let failed = count(|verdict| *verdict == Verdict::Failed);
    let skipped = count(|verdict| *verdict == Verdict::Skipped);
    let not_yet = count(|verdict| matches!(verdict, Verdict::NotYet(_)));
    println!("\n{passed} passed, {failed} failed, {not_yet} not yet, {skipped} skipped");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_soak(words: &[String]) -> ExitCode {
    let soak = match Soak::parse(words) {
        Ok(soak) => soak,
        Err(problem) => return usage(&problem),
    };
    println!("soak: {soak}");
    match soak::run(&soak) {
        Ok(Some(numbers)) => {
            println!("soak passed: {numbers}");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            println!("soak SKIPPED: it ran nothing, for the reason above");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("soak FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
