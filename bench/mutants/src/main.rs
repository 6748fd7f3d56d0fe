//! Weaves every mutant of one crate into one build, behind a switch, and judges each by the tests that reach it.
//!
//! cargo-mutants says which mutants there are; it would build the crate once for each of them. Here a mutant is a branch that the
//! environment switches on, so that judging one costs only its tests. What cannot be a branch is left to cargo-mutants itself.

mod clock;
mod judge;
mod listing;
mod mend;
mod reach;
mod record;
mod sites;
mod tree;
mod weave;

use std::path::PathBuf;

/// Where everything is, relative to the folder of the repository.
pub(crate) struct Places {
    /// The repository.
    pub(crate) repository: PathBuf,
    /// Everything that is built or found on the way; ignored by git.
    pub(crate) work: PathBuf,
    /// The copy with the switches.
    pub(crate) tree: PathBuf,
    /// The recorded score and the explained survivors.
    pub(crate) recorded: PathBuf,
}

impl Places {
    fn of(repository: PathBuf) -> Self {
        let work = repository.join("target/mutants");
        Self {
            tree: work.join("tree"),
            recorded: repository.join("bench/mutants"),
            work,
            repository,
        }
    }
}

/// Anything that ends the run; the text says what to look at.
pub(crate) type Outcome<T> = Result<T, String>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let repository = std::env::current_dir().expect("a folder to work in");
    let places = Places::of(repository);
    let answer = match arguments.first().map(String::as_str) {
        Some("weave") => tree::weave(&places),
        Some("reach") => reach::record(&places),
        Some("judge") => judge::all(&places, &arguments[1..]),
        Some("alone") => record::take_alone(&places),
        Some("left") => record::names_left(&places, &arguments[1..]),
        Some("table") => record::table(&places),
        Some(_) | None => Err("call bench/mutants/run: it says what there is".to_owned()),
    };
    if let Err(what) = answer {
        eprintln!("{what}");
        std::process::exit(1);
    }
}
