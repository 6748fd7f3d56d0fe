//! One strict TOML file for each role.

mod controller;
mod device;

pub use controller::{ControllerConfig, ControllerLimits, ServerTls};
pub use device::{DeviceConfig, OnChange};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace` or a filter such as `info,postern=debug`.
    pub level: String,
    /// One JSON object a line instead of text.
    pub is_json: bool,
}
