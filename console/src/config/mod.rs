//! One strict TOML file for each role: read key by key, refused as a whole when misspelt anywhere.
//!
//! ```text
//!  text --resolve--> Section --closure of the role--> its configuration, or every problem at once
//! ```
//!
//! This is the only module that reads the environment of Postern's own variables.

pub mod egress;
pub mod reader;
mod suggest;

pub use reader::ConfigError;

use crate::exit::CommandError;
use reader::{Document, Placed, Problem, Section};
use std::path::{Path, PathBuf};

/// Explains the `[log]` table in templates; the same in every role.
pub const LOG_TEMPLATE: &str = "
[log]
# error, warn, info, debug, trace, or a filter such as \"info,postern_egress=debug\".
# level = \"info\"
# One JSON object a line instead of text.
# json = false
";

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace` or a filter such as `info,postern=debug`.
    pub level: String,
    /// One JSON object a line instead of text.
    pub is_json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".into(),
            is_json: false,
        }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        match error {
            ConfigError::Unreadable { next, .. } => {
                Self::configuration("config-unreadable", message, next)
            }
            ConfigError::Refused { problems, .. } => {
                let next = match problems.len() {
                    1 => "correct that line and start again",
                    _ => "correct these lines and start again",
                };
                Self::configuration("config-refused", message, next)
            }
        }
    }
}

/// Parses a file and hands its sections to `resolve`, which gives nothing unless all is well.
///
/// # Errors
/// [`ConfigError::Refused`] with everything that is wrong.
pub fn resolve<T>(
    file: &Path,
    text: &str,
    resolve: impl FnOnce(&mut Section<'_, '_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let refused = |problems| ConfigError::Refused {
        file: file.into(),
        problems,
    };
    let document = Document::parse(text).map_err(|problem| refused(vec![problem]))?;
    let mut root = document.root();
    let resolved = resolve(&mut root);
    root.finish();
    let mut problems = document.into_problems();
    match resolved {
        Some(resolved) if problems.is_empty() => Ok(resolved),
        Some(_) | None => {
            if problems.is_empty() {
                problems.push(Problem {
                    line: 1,
                    key: String::new(),
                    what: "is not complete".into(),
                });
            }
            Err(refused(problems))
        }
    }
}

/// Reads a path; relative ones begin at the folder of the configuration file.
pub fn path_in(dir: &Path, section: &mut Section<'_, '_>, key: &str) -> Option<PathBuf> {
    let text = section.text(key)?;
    if text.value.is_empty() {
        section.refuse(text.line, key, "must name a file; remove the line for none");
        return None;
    }
    Some(dir.join(text.value))
}

/// Reads the `[log]` table; what it does not say has its default. `more` reads the keys that only one role has.
pub fn read_log(root: &mut Section<'_, '_>, more: impl FnOnce(&mut Section<'_, '_>)) -> LogConfig {
    let mut section = root.section("log");
    let mut log = LogConfig::default();
    if let Some(Placed { value, line }) = section.text("level") {
        match crate::telemetry::check_level(&value) {
            Ok(()) => log.level = value,
            Err(reason) => section.refuse(line, "level", reason),
        }
    }
    log.is_json = section.flag("json", log.is_json);
    more(&mut section);
    section.finish();
    log
}

/// Reads an environment variable of Postern's own; the one place that does.
#[must_use]
pub fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
