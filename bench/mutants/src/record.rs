//! Keeps the verdicts, and writes the two files that are committed: the score of each file, and the survivors with a line each.
//!
//! Refuses to believe a verdict about a file that has changed since.

use crate::listing::{self, Mutant};
use crate::{Outcome, Places, tree};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::process::Command;

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// A test failed.
    Caught,
    /// No test failed.
    Missed,
    /// The tests did not end, which a person would notice.
    Timeout,
    /// The compiler refuses it.
    Unviable,
}

impl Verdict {
    const ALL: [(Self, &str); 4] = [
        (Self::Caught, "caught"),
        (Self::Missed, "missed"),
        (Self::Timeout, "timeout"),
        (Self::Unviable, "unviable"),
    ];

    fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(it, _)| *it == self)
            .map_or("", |(_, word)| word)
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, word)| *word == text)
            .map(|(it, _)| *it)
    }
}

/// One verdict, and what it is about.
struct Judged {
    verdict: Verdict,
    why: String,
    /// The commit whose tests judged.
    commit: String,
}

/// The verdicts so far; one line each, appended as they fall, so that a run goes on where it stopped. A verdict about a file that has
/// changed since is none.
pub(crate) struct Verdicts {
    all: BTreeMap<String, Judged>,
    file: File,
    /// What each file says now, by a number that changes with it.
    files: BTreeMap<String, String>,
    commit: String,
}

impl Verdicts {
    /// Opens what was judged; without the missed where they are to be judged again.
    pub(crate) fn open(places: &Places, is_again: bool) -> Outcome<Self> {
        let path = places.work.join("verdicts.txt");
        let file = File::options().append(true).create(true).open(&path);
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut verdicts = Self {
            all: BTreeMap::new(),
            file,
            files: BTreeMap::new(),
            commit: commit(places),
        };
        for mutant in listing::read(places)? {
            verdicts
                .files
                .entry(mutant.file.clone())
                .or_insert_with(|| number(places, &mutant.file));
        }
        for line in text.lines() {
            let Some((key, judged)) = verdicts.line(line) else {
                continue;
            };
            verdicts.all.insert(key, judged);
        }
        verdicts
            .all
            .retain(|_, judged| !is_again || judged.verdict != Verdict::Missed);
        Ok(verdicts)
    }

    fn line(&self, line: &str) -> Option<(String, Judged)> {
        let [verdict, key, number, commit, why] =
            line.splitn(5, '\t').collect::<Vec<_>>().try_into().ok()?;
        let file = key.split(": ").next()?;
        let verdict = Verdict::read(verdict)
            .filter(|_| self.files.get(file).is_some_and(|now| now == number))?;
        Some((
            key.to_owned(),
            Judged {
                verdict,
                why: why.to_owned(),
                commit: commit.to_owned(),
            },
        ))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.all.contains_key(key)
    }

    pub(crate) fn add(&mut self, mutant: &Mutant, verdict: Verdict, why: &str) -> Outcome<()> {
        let number = self.files.get(&mutant.file).map_or("", String::as_str);
        let line = format!(
            "{}\t{}\t{number}\t{}\t{why}\n",
            verdict.word(),
            mutant.key,
            self.commit
        );
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| format!("verdicts.txt: {error}"))?;
        self.all.insert(
            mutant.key.clone(),
            Judged {
                verdict,
                why: why.to_owned(),
                commit: self.commit.clone(),
            },
        );
        Ok(())
    }
}

fn commit(places: &Places) -> String {
    let asked = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .current_dir(&places.repository)
        .output();
    asked.map_or_else(
        |_| "none".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Returns a number that changes with the text of a file (FNV-1a).
fn number(places: &Places, file: &str) -> String {
    let content = std::fs::read(places.repository.join(file)).unwrap_or_default();
    let step = |number: u64, byte: &u8| (number ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", content.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Returns, by mutant, what weaving said of it.
pub(crate) fn states(places: &Places) -> Outcome<BTreeMap<String, String>> {
    let path = places.work.join("states.txt");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(pairs
        .map(|(state, key)| (key.to_owned(), state.to_owned()))
        .collect())
}

/// Takes over what cargo-mutants said of the mutants that were built alone.
pub(crate) fn take_alone(places: &Places) -> Outcome<()> {
    let mutants = listing::read(places)?;
    let mut verdicts = Verdicts::open(places, false)?;
    let mut count = 0;
    for (verdict, word) in Verdict::ALL {
        let path = places.work.join("mutants.out").join(format!("{word}.txt"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for line in text.lines() {
            if let Some(mutant) = mutants.iter().find(|mutant| mutant.name == line)
                && !verdicts.has(&mutant.key)
            {
                verdicts.add(mutant, verdict, "built alone")?;
                count += 1;
            }
        }
    }
    println!("{count} verdicts of cargo-mutants taken over");
    Ok(())
}

/// Prints an expression for the name of each mutant that has to be built alone and has no verdict, in the files whose name contains one of
/// the words.
pub(crate) fn names_left(places: &Places, words: &[String]) -> Outcome<()> {
    let verdicts = Verdicts::open(places, false)?;
    let states = states(places)?;
    for mutant in listing::read(places)? {
        let is_meant =
            words.is_empty() || words.iter().any(|word| mutant.file.contains(word.as_str()));
        let is_alone = states
            .get(&mutant.key)
            .is_some_and(|state| state.starts_with("alone"));
        if is_meant && is_alone && !verdicts.has(&mutant.key) {
            println!("^{}$", literal(&mutant.name));
        }
    }
    Ok(())
}

/// Returns an expression that matches a text alone.
fn literal(text: &str) -> String {
    let mut written = String::new();
    for letter in text.chars() {
        if "\\.+*?()|[]{}^$".contains(letter) {
            written.push('\\');
        }
        written.push(letter);
    }
    written
}

/// Writes `score.txt` and `survivors.txt`; what a survivor's line said stays.
pub(crate) fn table(places: &Places) -> Outcome<()> {
    let mutants = listing::read(places)?;
    let verdicts = Verdicts::open(places, false)?;
    let explained = explanations(places);
    let mut files: BTreeMap<&str, Row> = BTreeMap::new();
    let mut survivors = String::new();
    for mutant in &mutants {
        let row = files.entry(&mutant.file).or_default();
        let Some(judged) = verdicts.all.get(&mutant.key) else {
            row.counts[NOT_RUN] += 1;
            continue;
        };
        let column = Verdict::ALL
            .iter()
            .position(|(it, _)| *it == judged.verdict)
            .unwrap_or(NOT_RUN);
        row.counts[column] += 1;
        row.commit.clone_from(&judged.commit);
        if judged.verdict == Verdict::Missed {
            let said = explained
                .get(&mutant.key)
                .cloned()
                .unwrap_or_else(|| format!("not yet killed: {}", judged.why));
            survivors.push_str(&format!("{}\n    {said}\n", mutant.key));
        }
    }
    let mut text = String::from("file viable caught missed timeout unviable not-run commit\n");
    let mut total = Row {
        counts: [0; 5],
        commit: String::new(),
    };
    for (file, row) in &files {
        text.push_str(&row.shown(file));
        total
            .counts
            .iter_mut()
            .zip(&row.counts)
            .for_each(|(sum, count)| *sum += count);
    }
    text.push_str(&total.shown("total"));
    print!("{}", total.shown("total"));
    tree::write(&places.recorded.join("score.txt"), text.as_bytes())?;
    tree::write(&places.recorded.join("survivors.txt"), survivors.as_bytes())
}

/// Place in a row of those without a verdict, after one for each verdict.
const NOT_RUN: usize = 4;

/// One line of the score.
#[derive(Default)]
struct Row {
    counts: [usize; 5],
    commit: String,
}

impl Row {
    fn shown(&self, name: &str) -> String {
        let [caught, missed, timeout, unviable, left] = self.counts;
        let viable = caught + missed + timeout;
        let commit = if self.commit.is_empty() {
            "-"
        } else {
            &self.commit
        };
        format!("{name} {viable} {caught} {missed} {timeout} {unviable} {left} {commit}\n")
    }
}

fn explanations(places: &Places) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(places.recorded.join("survivors.txt")).unwrap_or_default();
    let mut found = BTreeMap::new();
    let mut key = String::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(said) if !said.starts_with("not yet killed:") => {
                found.insert(key.clone(), said.to_owned());
            }
            Some(_) => {}
            None => key = line.to_owned(),
        }
    }
    found
}
