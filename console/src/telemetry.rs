//! Logs: to standard error, as text or one JSON object a line.
//!
//! Standard output belongs to results. Secrets never reach a log because no secret type can be
//! formatted. Refuses a filter that names no level or target it can understand.

use crate::config::LogConfig;
use tracing_subscriber::EnvFilter;

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
pub fn filter(level: &str) -> Result<EnvFilter, String> {
    let refused = |reason: String| {
        format!(
            "must be error, warn, info, debug, trace or a filter such as \"info,postern_egress=debug\", not \"{level}\"{reason}"
        )
    };
    // A single misspelt word would otherwise be taken for the name of a module.
    let is_target = |part: &str| part.contains('=') || part.contains("::");
    let is_level = |part: &str| part.parse::<tracing::level_filters::LevelFilter>().is_ok();
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
    EnvFilter::builder()
        .parse(if is_plain { quiet.as_str() } else { level })
        .map_err(|error| refused(format!(" ({error})")))
}

/// Starts logging for this process; a second start does nothing.
pub fn start(log: &LogConfig) {
    let filter = filter(&log.level).unwrap_or_else(|_refused| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if log.is_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_target(false).with_ansi(false).try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging has started before");
    }
}
