//! `device.toml`: what a device may be told, with every default.

use super::LogConfig;
use postern_egress::ProxySettings;
use std::path::PathBuf;

/// All that a device needs to know beside its join record; nothing is optional but what may be absent.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// The device's folder.
    pub dir: PathBuf,
    /// The device's key file.
    pub key: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// The proxy that applies, file first, environment second.
    pub proxy: ProxySettings,
    /// CA files or folders to trust beside the system's and the join line's.
    pub extra_ca_files: Vec<PathBuf>,
    /// Longest hold to ask for in seconds, 5..=285.
    pub hold_s_max: u64,
    /// Where the desired state is rendered.
    pub render_folder: PathBuf,
    /// The command to run after each change.
    pub on_change: Option<OnChange>,
    /// Logs.
    pub log: LogConfig,
}

/// A command that brings the application to the rendered state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnChange {
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    /// Seconds after which it is ended, 1..=3600.
    pub time_limit_s: u64,
}
