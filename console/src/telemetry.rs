//! Logs: to standard error, as text or one JSON object a line.
//!
//! Standard output belongs to results. Secrets never reach a log because no secret type can be
//! formatted. Refuses a filter that names no level or target it can understand.

use crate::config::LogConfig;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Checks a level or filter.
///
/// # Errors
/// What is wrong, for people.
pub fn check_level(level: &str) -> Result<(), String> {
    filter(level).map(|_| ())
}

/// Returns the filter of a level.
///
/// # Errors
/// What is wrong, for people.
pub fn filter(level: &str) -> Result<Targets, String> {
    let refused = |reason: String| {
        format!(
            "must be error, warn, info, debug, trace or a filter such as \"info,postern_egress=debug\", not \"{level}\"{reason}"
        )
    };
    // A single misspelt word would otherwise be taken for the name of a module.
    let is_target = |part: &str| part.contains('=') || part.contains("::");
    let is_level = |part: &str| part.parse::<LevelFilter>().is_ok();
    if level.is_empty()
        || !level
            .split(',')
            .all(|part| is_target(part) || is_level(part))
    {
        return Err(refused(String::new()));
    }
    // The workings of the HTTP library would drown what Postern says; a filter can still ask for them.
    let is_plain = matches!(level, "debug" | "trace");
    let quiet = format!("{level},h2=info,hyper=info,hyper_util=info,rustls=info");
    let filter = if is_plain { quiet.as_str() } else { level };
    filter
        .parse()
        .map_err(|error| refused(format!(" ({error})")))
}

/// Returns the filter of a configuration that names no level.
#[must_use]
pub fn plain() -> Targets {
    Targets::new().with_default(LevelFilter::INFO)
}

/// Starts logging for this process; a second start does nothing.
pub fn start(log: &LogConfig) {
    let filter = filter(&log.level).unwrap_or_else(|_refused| plain());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match log.is_json {
        true => lines.json().flatten_event(true).boxed(),
        false => lines.with_target(false).with_ansi(false).boxed(),
    };
    let started = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging has started before");
    }
}
