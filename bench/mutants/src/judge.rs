//! Switches mutants on, one after the other, and runs the tests that come by each until one fails.
//!
//! Quick tests first, a few at a time: most mutants fall to the first few.

use crate::listing::{self, Mutant};
use crate::reach::{self, Reached, Test};
use crate::record::{self, Verdict};
use crate::{Outcome, Places, clock};
use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

/// How long the tests of the batches may take with the mutants off, in turn; the last one is as long as all that are left.
const BATCHES_MICROS: [u64; 3] = [30_000, 300_000, 1_500_000];

/// A batch that takes this much longer than with the mutants off does not end. Arbitrary; the second is for a busy machine.
const TIMES_MAX: u32 = 8;
const GRACE: Duration = Duration::from_secs(10);

/// Judges the woven mutants of the files whose name contains one of the words; of all files without a word. What has a verdict is
/// skipped, with `--again` what was caught.
pub(crate) fn all(places: &Places, words: &[String]) -> Outcome<()> {
    let mutants = listing::read(places)?;
    let reached = reach::read(places)?;
    let states = record::states(places)?;
    let is_again = words.iter().any(|word| word == "--again");
    let words: Vec<&String> = words.iter().filter(|word| *word != "--again").collect();
    let mut verdicts = record::Verdicts::open(places, is_again)?;
    let since = clock::now();
    let mut count = 0_u32;
    for mutant in &mutants {
        let is_meant =
            words.is_empty() || words.iter().any(|word| mutant.file.contains(word.as_str()));
        if !is_meant || verdicts.has(&mutant.key) {
            continue;
        }
        let (verdict, why) = match states.get(&mutant.key).map(String::as_str) {
            Some("woven") => judge(places, mutant, &reached)?,
            Some(state) if state.starts_with("unviable") => (Verdict::Unviable, state.to_owned()),
            Some(_) => continue, // built alone
            None => return Err(format!("no state of {}: call `weave` first", mutant.key)),
        };
        if verdict == Verdict::Missed {
            println!("MISSED {} ({why})", mutant.name);
        }
        verdicts.add(mutant, verdict, &why)?;
        count += 1;
    }
    let seconds = since.elapsed().as_secs_f64();
    println!(
        "{count} judged in {seconds:.0} s, {:.3} s each",
        seconds / f64::from(count.max(1))
    );
    Ok(())
}

fn judge(places: &Places, mutant: &Mutant, reached: &Reached) -> Outcome<(Verdict, String)> {
    let Some(tests) = reached.by_mutant.get(&mutant.id) else {
        return Ok((Verdict::Missed, "no test comes by".to_owned()));
    };
    let tests: Vec<&Test> = tests.iter().map(|test| &reached.tests[*test]).collect();
    for batch in batches(&tests) {
        for (program, tests) in by_program(&batch) {
            match run(places, reached, mutant.id, program, &tests)? {
                Ended::Passed => {}
                Ended::Failed => {
                    return Ok((
                        Verdict::Caught,
                        tests.first().map(|it| it.name.clone()).unwrap_or_default(),
                    ));
                }
                Ended::Never => {
                    return Ok((
                        Verdict::Timeout,
                        tests.first().map(|it| it.name.clone()).unwrap_or_default(),
                    ));
                }
            }
        }
    }
    Ok((Verdict::Missed, format!("{} tests come by", tests.len())))
}

/// Puts the tests beside the code first, the quick before the slow, in few runs.
fn batches<'a>(tests: &[&'a Test]) -> Vec<Vec<&'a Test>> {
    let mut sorted = tests.to_vec();
    sorted.sort_by_key(|test| (test.micros > 200_000, test.program > 0, test.micros));
    let mut batches = vec![Vec::new()];
    let mut micros = 0;
    for test in sorted {
        let bound = BATCHES_MICROS
            .get(batches.len() - 1)
            .copied()
            .unwrap_or(u64::MAX);
        if micros + test.micros > bound && !batches.last().is_some_and(Vec::is_empty) {
            batches.push(Vec::new());
            micros = 0;
        }
        micros += test.micros;
        if let Some(last) = batches.last_mut() {
            last.push(test);
        }
    }
    batches
}

fn by_program<'a>(tests: &[&'a Test]) -> BTreeMap<usize, Vec<&'a Test>> {
    let mut programs: BTreeMap<usize, Vec<&Test>> = BTreeMap::new();
    for test in tests {
        programs.entry(test.program).or_default().push(test);
    }
    programs
}

enum Ended {
    Passed,
    Failed,
    Never,
}

fn run(
    places: &Places,
    reached: &Reached,
    id: usize,
    program: usize,
    tests: &[&Test],
) -> Outcome<Ended> {
    let expected: Duration = tests
        .iter()
        .map(|test| Duration::from_micros(test.micros))
        .sum();
    let mut command = reach::program(places, &reached.programs[program]);
    command
        .args(["--test-threads=1", "--exact", "-q"])
        .args(tests.iter().map(|test| &test.name));
    let child = command.env("POSTERN_MUTANT", id.to_string()).spawn();
    wait(
        child.map_err(|error| format!("a test program: {error}"))?,
        expected * TIMES_MAX + GRACE,
    )
}

fn wait(mut child: Child, patience: Duration) -> Outcome<Ended> {
    let since = clock::now();
    loop {
        match child
            .try_wait()
            .map_err(|error| format!("a test program: {error}"))?
        {
            Some(status) if status.success() => return Ok(Ended::Passed),
            Some(_) => return Ok(Ended::Failed),
            None if since.elapsed() > patience => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Ended::Never);
            }
            None => clock::rest(),
        }
    }
}
