//! Every door as a named scenario: an environment, real binaries, real messages, one row with its numbers.
//!
//! ```text
//!  ALL ──find──▶ Scenario ──needs met?──▶ run ──▶ Row { Passed | Failed | NotYet | Skipped, numbers }
//! ```
//!
//! The command `postern-lab` prints the rows; the tests call the same functions and fail on `Failed`. What the binary
//! cannot do yet stands in [`LACKING`] and is `NotYet`, never `Passed`. It refuses to judge by times alone: messages
//! are counted first.

mod doors;
mod edges;
mod load;
mod networks;
mod paths;
mod scene;
pub mod soak;
mod switches;

pub use load::{Load, Report};

use crate::LabError;
use crate::clock::Moment;

/// A feature without which a scenario says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Several routes, raced and remembered.
    Ladder,
    /// Messages that flow again at once when a cut way is back.
    QuickResume,
    /// Connections that send small segments once large ones vanished.
    SmallSegments,
}

impl Needs {
    /// Returns its word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ladder => "route ladder",
            Self::QuickResume => "quick resume",
            Self::SmallSegments => "small segments",
        }
    }
}

/// What the release binary lacks. A feature that arrives is taken out here, and its scenarios count.
pub const LACKING: &[Needs] = &[];

/// Characters of a row's text; a failed command may quote a whole value.
const ROW_CHARS_MAX: usize = 240;

/// Why a scenario did not do what it is there to show.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The scene could not be set up, or what was waited for did not come.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// What was seen is not what was promised.
    #[error("{0}")]
    Unmet(String),
}

/// The numbers of a scenario that passed; `None` when a part was not provisioned.
pub type Outcome = Result<Option<String>, ScenarioError>;

/// A scenario of the list.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its number, such as `C01`.
    pub id: &'static str,
    /// What is shown, in words.
    pub title: &'static str,
    /// Features without which it says nothing.
    pub needs: &'static [Needs],
    /// Whether `./test` runs it, besides the command: it ends within a minute.
    pub is_short: bool,
    run: fn(&'static str) -> Outcome,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything promised was seen.
    Passed,
    /// Something promised was not seen.
    Failed,
    /// The binary lacks what it needs.
    NotYet(Needs),
    /// A part was not provisioned; the skip was said loudly.
    Skipped,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scenario's number.
    pub id: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Its numbers, or what was not met.
    pub text: String,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = match &self.verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Failed => "FAILED".to_owned(),
            Verdict::NotYet(needs) => format!("NOT YET ({})", needs.as_str()),
            Verdict::Skipped => "SKIPPED".to_owned(),
        };
        let (whole, tenths) = (self.took_ms / 1_000, self.took_ms % 1_000 / 100);
        // Only the first line: evidence follows below the table.
        let text = self.text.lines().next().unwrap_or_default();
        let text: String = text.chars().take(ROW_CHARS_MAX).collect();
        write!(
            f,
            "{:<6} {verdict:<22} {whole:>4}.{tenths} s  {text}",
            self.id
        )
    }
}

impl Scenario {
    /// Runs it, and says how it ended. `is_trying` runs it although the binary lacks something.
    #[must_use]
    pub fn run(&self, is_trying: bool) -> Row {
        let lacking = self.needs.iter().find(|needs| LACKING.contains(needs));
        if let Some(needs) = lacking.filter(|_needs| !is_trying) {
            let text = self.title.to_owned();
            return self.row(Verdict::NotYet(*needs), 0, text);
        }
        let start = Moment::now();
        let outcome = (self.run)(self.id);
        let took_ms = start.elapsed_ms();
        match outcome {
            Ok(Some(numbers)) => self.row(
                Verdict::Passed,
                took_ms,
                format!("{}: {numbers}", self.title),
            ),
            Ok(None) => self.row(Verdict::Skipped, took_ms, self.title.to_owned()),
            Err(error) => self.row(Verdict::Failed, took_ms, format!("{}: {error}", self.title)),
        }
    }

    fn row(&self, verdict: Verdict, took_ms: u64, text: String) -> Row {
        Row {
            id: self.id,
            verdict,
            took_ms,
            text,
        }
    }
}

const fn row(
    id: &'static str,
    title: &'static str,
    needs: &'static [Needs],
    is_short: bool,
    run: fn(&'static str) -> Outcome,
) -> Scenario {
    Scenario {
        id,
        title,
        needs,
        is_short,
        run,
    }
}

/// Every scenario, in the order in which they run.
pub const ALL: &[Scenario] = &[
    row("A01", "HTTPS, nothing between", &[], true, doors::a01),
    row("A02", "QUIC, nothing between", &[], true, doors::a02),
    row(
        "A21",
        "two connections at most, HTTP/1.1",
        &[],
        true,
        networks::a21,
    ),
    row("B01", "squid, port list", &[], true, doors::b01),
    row("B03", "squid, Digest", &[], true, doors::b03),
    row("B08", "squid breaks TLS open", &[], true, doors::b08),
    row(
        "B09",
        "silent tunnels cut after 6 s",
        &[],
        false,
        doors::b09,
    ),
    row("B12", "https proxy, 16 kB/s", &[], false, doors::b12),
    row("B13t", "tinyproxy", &[], true, doors::b13_tinyproxy),
    row("B13p", "privoxy", &[], true, doors::b13_privoxy),
    row("B13a", "apache", &[], true, doors::b13_apache),
    row("B13d", "dante", &[], true, doors::b13_dante),
    row(
        "B14m",
        "mitmproxy, bodies at their end",
        &[],
        true,
        doors::b14_at_end,
    ),
    row(
        "B14s",
        "mitmproxy, bodies as they come",
        &[],
        false,
        doors::b14_streaming,
    ),
    row("B15", "squid killed under load", &[], true, doors::b15),
    row(
        "B15q",
        "squid killed, back within 5 s",
        &[Needs::QuickResume],
        true,
        doors::b15_quick,
    ),
    row("B16h", "haproxy passes TCP", &[], true, edges::haproxy_pass),
    row(
        "B16e",
        "haproxy as an h2 edge",
        &[],
        true,
        edges::haproxy_edge,
    ),
    row(
        "B16n",
        "nginx edge, HTTP/1.1 behind",
        &[],
        true,
        edges::nginx_11,
    ),
    row(
        "B16o",
        "nginx edge, HTTP/1.0 behind",
        &[],
        true,
        edges::nginx_10,
    ),
    row("B16s", "nginx stream", &[], true, edges::nginx_stream),
    row(
        "C01",
        "only the proxy, no DNS, no UDP",
        &[],
        true,
        networks::c01,
    ),
    row("C02", "UDP dropped", &[Needs::Ladder], true, networks::c02),
    row("C03", "UDP rejected", &[Needs::Ladder], true, networks::c03),
    row(
        "C04",
        "UDP dies later",
        &[Needs::Ladder],
        false,
        switches::c04,
    ),
    row(
        "C04r",
        "UDP is back",
        &[Needs::Ladder],
        false,
        switches::c04_back,
    ),
    row("C05", "IPv6 black hole", &[], true, networks::c05),
    row(
        "C09a",
        "50 ms RTT, 1 % loss, 256 kbit",
        &[],
        false,
        paths::c09_light,
    ),
    row(
        "C09b",
        "50 ms RTT, 5 % loss, 256 kbit",
        &[],
        true,
        paths::c09_heavy,
    ),
    row(
        "C09c",
        "the same, 1,000 messages",
        &[],
        false,
        paths::c09_heavy_long,
    ),
    row("C10", "transparent inspection", &[], true, networks::c10),
    row("C11", "captive portal", &[], true, networks::c11),
    row("C12", "three connections at most", &[], true, networks::c12),
    row(
        "C13",
        "controller dropped, relay alive",
        &[Needs::Ladder],
        true,
        switches::c13,
    ),
    row(
        "C13r",
        "controller is back",
        &[Needs::Ladder],
        false,
        switches::c13_back,
    ),
    row("C15", "rogue WPAD", &[], true, networks::c15),
    row("C17", "silent cut after 5 s", &[], true, paths::silent_cut),
    row(
        "C18p",
        "black hole, hosts that probe",
        &[],
        true,
        paths::black_hole_probing,
    ),
    row(
        "C18",
        "black hole, hosts that do not",
        &[],
        true,
        paths::black_hole,
    ),
    row(
        "C18t",
        "black hole, TCP alone",
        &[Needs::SmallSegments],
        true,
        paths::black_hole_tcp,
    ),
    row("C19", "changing NAT ports", &[], true, paths::translated),
];

/// Finds scenarios: all of them for no word, else those whose number starts with one of the words.
///
/// # Errors
/// The word that no number starts with.
pub fn find(words: &[String]) -> Result<Vec<&'static Scenario>, String> {
    let matches = |word: &str, scenario: &Scenario| {
        let id = scenario.id.to_ascii_lowercase();
        id.starts_with(&word.to_ascii_lowercase())
    };
    if let Some(word) = words
        .iter()
        .find(|word| !ALL.iter().any(|one| matches(word, one)))
    {
        return Err(word.clone());
    }
    let wanted = |one: &&Scenario| words.is_empty() || words.iter().any(|word| matches(word, one));
    Ok(ALL.iter().filter(wanted).collect())
}

/// Says what was promised where it is not so.
pub(crate) fn expect(is_met: bool, promise: impl FnOnce() -> String) -> Result<(), ScenarioError> {
    if is_met {
        return Ok(());
    }
    Err(ScenarioError::Unmet(promise()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_found_by_the_start_of_their_number_and_nothing_else() {
        let count = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            find(&words).map(|found| found.len())
        };
        assert_eq!(count(&[]), Ok(ALL.len()));
        assert_eq!(count(&["c01"]), Ok(1));
        assert_eq!(count(&["B13", "C01"]), Ok(5));
        assert_eq!(count(&["Z"]), Err("Z".to_owned()));
    }

    #[test]
    fn scenario_numbers_are_different() {
        let mut ids: Vec<_> = ALL.iter().map(|one| one.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }

    #[test]
    fn scenario_that_needs_what_is_lacking_is_not_passed() {
        let lacking = ALL.iter().filter(|one| !one.needs.is_empty());
        for scenario in lacking.filter(|one| one.needs.iter().any(|needs| LACKING.contains(needs)))
        {
            let verdict = scenario.run(false).verdict;
            assert!(matches!(verdict, Verdict::NotYet(_)), "{}", scenario.id);
        }
    }
}
