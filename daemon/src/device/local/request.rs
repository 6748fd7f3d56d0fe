//! What an application may ask: method, path, query and body become one question, or one problem.
//!
//! ```text
//!  GET /v1/desired/fan?after=9.3&wait=60 --Target::parse--> Target --into_question(body)--> Question
//! ```
//!
//! Pure: nothing here waits or knows the engine. Refuses unknown queries and members, so that a
//! misspelt one never half-works.

use super::limits::WAIT_S_MAX;
use super::problem::Problem;
use crate::applier::RESERVED_SECTIONS;
use crate::operator::{Entries, value};
use hyper::Method;
use postern_protocol::device::Applied;
use postern_protocol::limits::RESULT_OUTPUT_BYTES_MAX;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path, Value};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A resource and what is to be done with it, before its body is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Read the desired state.
    Desired {
        /// Only this path and what lies below it.
        path: Option<Path>,
        /// Answer as soon as the revision is another one.
        after: Option<Revision>,
        /// Seconds to wait for that, at most `WAIT_S_MAX`.
        wait_s: u64,
    },
    /// Read the actual state.
    Actual {
        /// Only this path and what lies below it.
        path: Option<Path>,
    },
    /// Replace the actual state.
    ReplaceActual,
    /// Set and remove several paths of the actual state.
    ChangeActual,
    /// Set one path of the actual state.
    SetActual(Path),
    /// Remove one path of the actual state.
    RemoveActual(Path),
    /// Remove all of the actual state.
    ClearActual,
    /// Tell how applying a revision ended.
    Results,
    /// Read how the device is.
    Status,
    /// Read the counters.
    Metrics,
    /// Read the last attempts to get out.
    Attempts,
    /// Read the intents.
    Intents,
    /// Tell that an intent is done.
    Done(Path),
    /// Something for the user who runs the device.
    Control(Control),
    /// Look why this device gets out or not.
    Diagnose {
        /// Try a large body too.
        is_deep: bool,
    },
}

/// What only the user who runs the device may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Look at the pause file again.
    LookAgain,
    /// Tell the controller that this device leaves, and stop.
    Leave,
    /// Ask the controller to confirm a new key.
    RotateKey,
}

/// A question with everything in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// A read of the desired state.
    Desired {
        /// Only this path and what lies below it.
        path: Option<Path>,
        /// Answer as soon as the revision is another one.
        after: Option<Revision>,
        /// Seconds to wait for that.
        wait_s: u64,
    },
    /// A read of the actual state.
    Actual {
        /// Only this path and what lies below it.
        path: Option<Path>,
    },
    /// The actual state shall hold exactly this.
    Replace(BTreeMap<Path, Value>),
    /// One decision about the actual state.
    Write(Vec<Change>),
    /// How applying a revision ended.
    Result(Applied),
    /// How the device is.
    Status,
    /// The counters.
    Metrics,
    /// The last attempts to get out.
    Attempts,
    /// The intents.
    Intents,
    /// An intent is done.
    Done(Done),
    /// Something for the user who runs the device.
    Control(Control),
    /// Look why this device gets out or not.
    Diagnose {
        /// Try a large body too.
        is_deep: bool,
    },
}

/// An intent that the application has acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The intent's path, `intent/<verb>`.
    pub path: Path,
    /// The value that was acted on.
    pub value: u64,
    /// 0 for success.
    pub status: i64,
    /// What to tell the operator, at most `RESULT_OUTPUT_BYTES_MAX` bytes.
    pub output: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChanges {
    #[serde(default)]
    set: Entries,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResult {
    epoch: u64,
    seq: u64,
    status: i64,
    #[serde(default)]
    output: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDone {
    value: u64,
    #[serde(default)]
    status: i64,
    #[serde(default)]
    output: String,
}

impl Target {
    /// Finds out what a request is about.
    ///
    /// # Errors
    /// [`Problem::NotFound`], [`Problem::MethodNotAllowed`], [`Problem::Malformed`].
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Self, Problem> {
        let (resource, rest) = split(path).ok_or(Problem::NotFound)?;
        if query.is_some_and(|query| !query.is_empty()) && resource != "desired" {
            return Err(malformed("only /v1/desired takes a query"));
        }
        match (resource, rest) {
            ("desired", rest) => {
                only(method, &Method::GET, "GET")?;
                let (after, wait_s) = parse_query(query.unwrap_or_default())?;
                let path = rest.map(parse_path).transpose()?;
                Ok(Self::Desired {
                    path,
                    after,
                    wait_s,
                })
            }
            ("actual", None) => Self::all_actual(method),
            ("actual", Some(path)) => Self::one_actual(method, parse_path(path)?),
            ("results", None) => only(method, &Method::POST, "POST").map(|()| Self::Results),
            ("status", None) => only(method, &Method::GET, "GET").map(|()| Self::Status),
            ("attempts", None) => only(method, &Method::GET, "GET").map(|()| Self::Attempts),
            ("metrics", None) => only(method, &Method::GET, "GET").map(|()| Self::Metrics),
            ("intents", None) => only(method, &Method::GET, "GET").map(|()| Self::Intents),
            ("intents", Some(rest)) => {
                let verb = rest.strip_suffix("/done").ok_or(Problem::NotFound)?;
                only(method, &Method::POST, "POST")?;
                parse_path(&format!("intent/{verb}")).map(Self::Done)
            }
            ("control", Some(word)) => {
                let control = Control::parse(word).ok_or(Problem::NotFound)?;
                only(method, &Method::POST, "POST").map(|()| Self::Control(control))
            }
            ("doctor", depth @ (None | Some("deep"))) => {
                only(method, &Method::POST, "POST")?;
                let is_deep = depth.is_some();
                Ok(Self::Diagnose { is_deep })
            }
            (_, _) => Err(Problem::NotFound),
        }
    }

    fn all_actual(method: &Method) -> Result<Self, Problem> {
        match method.as_str() {
            "GET" => Ok(Self::Actual { path: None }),
            "PUT" => Ok(Self::ReplaceActual),
            "PATCH" => Ok(Self::ChangeActual),
            "DELETE" => Ok(Self::ClearActual),
            _ => Err(Problem::MethodNotAllowed {
                allow: "GET, PUT, PATCH, DELETE",
            }),
        }
    }

    fn one_actual(method: &Method, path: Path) -> Result<Self, Problem> {
        match method.as_str() {
            "GET" => Ok(Self::Actual { path: Some(path) }),
            "PUT" => Ok(Self::SetActual(path)),
            "DELETE" => Ok(Self::RemoveActual(path)),
            _ => Err(Problem::MethodNotAllowed {
                allow: "GET, PUT, DELETE",
            }),
        }
    }

    /// Tells whether the body matters; of other requests it is not read.
    #[must_use]
    pub const fn has_body(&self) -> bool {
        match self {
            Self::ReplaceActual
            | Self::ChangeActual
            | Self::SetActual(_)
            | Self::Results
            | Self::Done(_) => true,
            Self::Desired { .. }
            | Self::Actual { .. }
            | Self::RemoveActual(_)
            | Self::ClearActual
            | Self::Status
            | Self::Metrics
            | Self::Attempts
            | Self::Intents
            | Self::Control(_)
            | Self::Diagnose { .. } => false,
        }
    }

    /// Reads the body into the question.
    ///
    /// # Errors
    /// [`Problem::Malformed`], [`Problem::PathReserved`].
    pub fn into_question(self, body: &[u8]) -> Result<Question, Problem> {
        Ok(match self {
            Self::Desired {
                path,
                after,
                wait_s,
            } => Question::Desired {
                path,
                after,
                wait_s,
            },
            Self::Actual { path } => Question::Actual { path },
            Self::ReplaceActual => Question::Replace(parse_all(body)?),
            Self::ClearActual => Question::Replace(BTreeMap::new()),
            Self::ChangeActual => Question::Write(parse_changes(body)?),
            Self::SetActual(path) => {
                check_own(&path)?;
                let set = value::from_typed(text(body)?).map_err(Problem::Malformed)?;
                Question::Write(vec![Change::Set(path, set)])
            }
            Self::RemoveActual(path) => {
                check_own(&path)?;
                Question::Write(vec![Change::Remove(path)])
            }
            Self::Results => Question::Result(parse_result(body)?),
            Self::Status => Question::Status,
            Self::Metrics => Question::Metrics,
            Self::Attempts => Question::Attempts,
            Self::Intents => Question::Intents,
            Self::Done(path) => Question::Done(parse_done(path, body)?),
            Self::Control(control) => Question::Control(control),
            Self::Diagnose { is_deep } => Question::Diagnose { is_deep },
        })
    }
}

impl Control {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "look-again" => Some(Self::LookAgain),
            "leave" => Some(Self::Leave),
            "rotate-key" => Some(Self::RotateKey),
            _ => None,
        }
    }

    /// Returns the last segment of its resource.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LookAgain => "look-again",
            Self::Leave => "leave",
            Self::RotateKey => "rotate-key",
        }
    }
}

/// Splits `/v1/<resource>[/<rest>]`; `/metrics` has no version, because scrapers expect it there.
fn split(path: &str) -> Option<(&str, Option<&str>)> {
    if path == "/metrics" {
        return Some(("metrics", None));
    }
    let below = path.strip_prefix("/v1/")?;
    Some(match below.split_once('/') {
        Some((resource, rest)) => (resource, Some(rest)),
        None if below == "metrics" => return None,
        None => (below, None),
    })
}

fn only(method: &Method, wanted: &Method, allow: &'static str) -> Result<(), Problem> {
    if method == wanted {
        return Ok(());
    }
    Err(Problem::MethodNotAllowed { allow })
}

fn malformed(text: impl Into<String>) -> Problem {
    Problem::Malformed(text.into())
}

fn parse_path(text: &str) -> Result<Path, Problem> {
    Path::parse(text).map_err(|reject| malformed(format!("the path: {}", reject.sentence())))
}

fn parse_query(query: &str) -> Result<(Option<Revision>, u64), Problem> {
    let (mut after, mut wait_s) = (None, None);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, text) = part.split_once('=').unwrap_or((part, ""));
        match key {
            "after" if after.is_none() => after = Some(parse_revision(text)?),
            "wait" if wait_s.is_none() => {
                let seconds: u64 = text
                    .parse()
                    .map_err(|_| malformed("wait is a number of seconds"))?;
                wait_s = Some(seconds.min(WAIT_S_MAX));
            }
            "after" | "wait" => return Err(malformed("after and wait may stand there once")),
            _ => {
                return Err(malformed(
                    "the query may hold after=EPOCH.SEQ and wait=SECONDS",
                ));
            }
        }
    }
    if wait_s.is_some() && after.is_none() {
        return Err(malformed("wait needs after=EPOCH.SEQ"));
    }
    Ok((after, wait_s.unwrap_or_default()))
}

/// Reads `EPOCH.SEQ`, as the ETag without its quotes; `0.0` is before everything.
fn parse_revision(text: &str) -> Result<Revision, Problem> {
    let refused = || malformed("after is EPOCH.SEQ, such as the ETag without its quotes");
    let (epoch, seq) = text.split_once('.').ok_or_else(refused)?;
    let number = |text: &str| text.parse().map_err(|_| refused());
    Ok(Revision::new(
        Epoch::new(number(epoch)?),
        Seq::new(number(seq)?),
    ))
}

fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| malformed(format!("the body: {error}")))
}

fn check_own(path: &Path) -> Result<(), Problem> {
    if RESERVED_SECTIONS.contains(&path.section()) {
        return Err(Problem::PathReserved);
    }
    Ok(())
}

fn parse_all(body: &[u8]) -> Result<BTreeMap<Path, Value>, Problem> {
    let entries = json::<Entries>(body)?.named().map_err(Problem::Malformed)?;
    entries.keys().try_for_each(check_own)?;
    Ok(entries)
}

fn parse_changes(body: &[u8]) -> Result<Vec<Change>, Problem> {
    let raw: RawChanges = json(body)?;
    let sets = raw.set.named().map_err(Problem::Malformed)?;
    sets.keys().try_for_each(check_own)?;
    let mut changes: Vec<_> = sets
        .into_iter()
        .map(|(path, set)| Change::Set(path, set))
        .collect();
    for path in &raw.remove {
        let path = parse_path(path)?;
        check_own(&path)?;
        changes.push(Change::Remove(path));
    }
    if changes.is_empty() {
        return Err(malformed("set and remove are both empty"));
    }
    Ok(changes)
}

fn parse_result(body: &[u8]) -> Result<Applied, Problem> {
    let raw: RawResult = json(body)?;
    Ok(Applied {
        revision: Revision::new(Epoch::new(raw.epoch), Seq::new(raw.seq)),
        status: raw.status,
        output: check_output(raw.output)?,
    })
}

fn parse_done(path: Path, body: &[u8]) -> Result<Done, Problem> {
    let raw: RawDone = json(body)?;
    Ok(Done {
        path,
        value: raw.value,
        status: raw.status,
        output: check_output(raw.output)?,
    })
}

fn check_output(output: String) -> Result<String, Problem> {
    if output.len() > RESULT_OUTPUT_BYTES_MAX {
        let reason = format!("output has at most {RESULT_OUTPUT_BYTES_MAX} bytes");
        return Err(malformed(reason));
    }
    Ok(output)
}
