//! Runs the interop vectors against a child program in any language.
//!
//! ```text
//!   manifest --> vectors --> requests --> child (JSON lines) --> replies --> compared --> table, JSON, JUnit
//! ```
//!
//! Follows `interop-vectors/CLIENT-CLI.md`. Refuses to run vectors that are not those of the manifest.

mod child;
mod clock;
mod compare;
mod limits;
mod operation;
mod report;
mod run;
mod summary;
mod vectors;
mod words;

use clap::{Args, Parser, Subcommand};
use limits::{JOBS_MAX, TIMEOUT_S_MAX};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use summary::Summary;
use vectors::Vector;

/// Exit code when the child differs.
const DIFFERS: u8 = 1;

/// Exit code for a wrong command line or broken vectors.
const WRONG: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "postern-conformance",
    version,
    about = "Checks an implementation of Postern against the interop vectors",
    long_about = "Checks an implementation of Postern against the interop vectors.\n\n\
        The implementation stands behind a child program: one JSON request a line on its standard input, one reply a line on its \
        standard output. interop-vectors/CLIENT-CLI.md says what each operation is given and replies.\n\n\
        A first child answers one operation and nothing else:\n\n  \
        read a line; if \"op\" is \"cbor.check\", check \"input\"\n  \
        write {\"id\": <id of the line>, \"result\": \"valid\"}\n  \
        or {\"id\": .., \"result\": \"invalid\", \"error\": \"cbor-truncated\"}\n  \
        or {\"id\": .., \"result\": \"unsupported\"}\n\n\
        Then:\n\n  \
        postern-conformance run --cmd \"./my-implementation child\" --only 01-cbor interop-vectors/v1",
    after_help = "Exit codes: 0 nothing differs, 1 something does, 2 wrong command line or broken vectors."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks a child every vector and compares its replies
    Run(Run),
    /// Lists the vectors: folder, operation, result, name
    List {
        /// Vectors of this folder, or whose name fits this pattern (`*` and `?`)
        #[arg(long)]
        only: Option<String>,
        /// The folder with manifest.json
        vectors: PathBuf,
    },
    /// Prints a vector and the exact line that a child is asked
    Show {
        /// The vector
        name: String,
        /// The folder with manifest.json
        #[arg(default_value = "interop-vectors/v1")]
        vectors: PathBuf,
    },
    /// Is a child: answers every operation from standard input
    Child,
}

#[derive(Debug, Args)]
struct Run {
    /// The child, split into words as a shell would; no shell takes part
    #[arg(long, value_name = "COMMAND")]
    cmd: String,
    /// Seconds that a reply may take before the child is killed and started anew
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_S_MAX))]
    timeout_s: u64,
    /// A file of vectors that are known to fail: one name or pattern a line, # begins a comment
    #[arg(long, value_name = "FILE")]
    xfail: Option<PathBuf>,
    /// Vectors of this folder, or whose name fits this pattern (`*` and `?`)
    #[arg(long, value_name = "FOLDER|PATTERN")]
    only: Option<String>,
    /// Writes JUnit XML to a file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Prints JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Children at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX as i64))]
    jobs: u16,
    /// Failures that are shown in detail
    #[arg(long, default_value_t = 10)]
    details: usize,
    /// Counts an operation that the child does not build as a failure
    #[arg(long)]
    complete: bool,
    /// The folder with manifest.json
    vectors: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Command::Run(run) => run.run(),
        Command::List { only, vectors } => list(only.as_deref(), &vectors),
        Command::Show { name, vectors } => show(&name, &vectors),
        Command::Child => postern_judge::serve(io::stdin().lock(), io::stdout().lock())
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| format!("standard input or output broke: {error}")),
    };
    ended.unwrap_or_else(|error| {
        // Nobody reads an error that cannot be written.
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitCode::from(WRONG)
    })
}

impl Run {
    fn run(&self) -> Result<ExitCode, String> {
        let start = child::Start {
            words: words::split(&self.cmd).map_err(|error| format!("--cmd: {error}"))?,
            timeout: Duration::from_secs(self.timeout_s),
        };
        let known = self
            .xfail
            .as_deref()
            .map_or(Ok(Vec::new()), known_failures)?;
        let vectors = vectors::read(&self.vectors)?;
        let chosen = choose(&vectors, self.only.as_deref())?;
        let taken = run::all(&chosen, &start, usize::from(self.jobs))?;
        let summary = Summary::new(&chosen, taken, &known);
        if let Some(file) = &self.junit {
            let failed = |error| format!("{}: {error}", file.display());
            fs::write(file, report::junit(&summary)).map_err(failed)?;
        }
        let text = match self.json {
            true => report::json(&summary),
            false => report::table(&summary, self.details),
        };
        print(&text)?;
        let is_good = summary.is_good(self.complete);
        Ok(if is_good {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(DIFFERS)
        })
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    written.map_err(|error| format!("standard output broke: {error}"))
}

/// Reads patterns of names, one a line.
fn known_failures(file: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

fn choose<'v>(vectors: &'v [Vector], only: Option<&str>) -> Result<Vec<&'v Vector>, String> {
    let is_chosen = |vector: &&Vector| {
        only.is_none_or(|only| vector.folder() == only || words::fits(only, &vector.name))
    };
    let chosen: Vec<_> = vectors.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err("no vector is chosen: see postern-conformance list".into());
    }
    Ok(chosen)
}

fn list(only: Option<&str>, folder: &Path) -> Result<ExitCode, String> {
    let vectors = vectors::read(folder)?;
    let lines = choose(&vectors, only)?.into_iter().map(|vector| {
        let (operation, result) = (&vector.operation, vector.text("result"));
        format!(
            "{:<14} {operation:<18} {result:<8} {}\n",
            vector.folder(),
            vector.name
        )
    });
    print(&lines.collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

fn show(name: &str, folder: &Path) -> Result<ExitCode, String> {
    let vectors = vectors::read(folder)?;
    let vector = vectors.iter().find(|vector| vector.name == name);
    let vector = vector.ok_or(format!("no vector is called {name}"))?;
    let pretty = serde_json::to_string_pretty(&vector.test).map_err(|error| error.to_string())?;
    let request = vector.request(1)?;
    print(&format!(
        "{} {}\n{pretty}\n\n{request}\n",
        vector.file, vector.operation
    ))?;
    Ok(ExitCode::SUCCESS)
}
