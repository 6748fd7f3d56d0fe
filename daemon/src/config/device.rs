//! `device.toml`: what a device may be told, with every default.
//!
//! Names, keys and URLs of the controller come from the join record, not from here. Credentials
//! stand in a file of their own.

use super::application::{self, Apply, ApplyBy, Command, IntentCommand, LocalApi};
use super::egress::{
    PROXY, PUSH, TRANSPORT, environment, read_ca_files, read_proxy, read_transport,
};
use super::reader::read_file;
use super::{ConfigError, LogConfig, path_in, read_log, resolve};
use postern_console::config::LOG_TEMPLATE as LOG;
use postern_egress::limits::{HOLD_CEILING_RUNG, HOLD_RUNGS_S};
use postern_egress::push::PushMode;
use postern_egress::{ProxySettings, Variables};
use postern_protocol::limits::FRESHNESS_MS_DEFAULT;
use postern_protocol::state::Path as StatePath;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the file in the device's folder.
const FILE: &str = "device.toml";
/// Seconds of the shortest rung of the hold ladder.
const HOLD_S_MIN: u64 = 5;
/// Seconds of the controller's silence after which the device is stale, unless the file says otherwise.
const MAX_AGE_S: u64 = FRESHNESS_MS_DEFAULT / 1_000;

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
    /// Whether QUIC may be tried.
    pub has_quic: bool,
    /// How news are to come.
    pub push: PushMode,
    /// How it calls itself in HTTP, where the file says so.
    pub user_agent: Option<String>,
    /// CA files or folders to trust beside the system's and the join line's.
    pub extra_ca_files: Vec<PathBuf>,
    /// Longest hold to ask for in seconds, 5..=285.
    pub hold_s_max: u64,
    /// Seconds of the controller's silence that still count as fresh, 60..=86400.
    pub max_age_s: u64,
    /// Where the desired state is rendered.
    pub render_folder: PathBuf,
    /// How, when and as whom state reaches the application.
    pub apply: Apply,
    /// The command to run after each change.
    pub on_change: Option<Command>,
    /// Commands of intents, by path.
    pub intents: BTreeMap<StatePath, IntentCommand>,
    /// The socket for applications.
    pub local_api: LocalApi,
    /// Logs.
    pub log: LogConfig,
}

impl DeviceConfig {
    /// Returns the configuration file of a device's folder.
    #[must_use]
    pub fn file(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// Reads `device.toml` of a folder, and the proxy variables of the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, key and remedy of everything that is wrong.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let file = Self::file(dir);
        let missing = format!(
            "join first with `postern device join --dir {}`, or name the device's folder with --dir",
            dir.display()
        );
        let text = read_file(&file, &missing)?;
        Self::parse(dir, &file, &text, &environment()?)
    }

    /// Writes the default `device.toml` unless one stands there, then reads it.
    ///
    /// # Errors
    /// As [`Self::load`]; a folder that cannot be written.
    pub fn load_or_create(dir: &Path) -> Result<Self, ConfigError> {
        let file = Self::file(dir);
        if !file.exists() {
            let unwritable = |error: std::io::Error| ConfigError::Unreadable {
                file: file.clone(),
                reason: error.to_string(),
                next: "choose a folder that you may write to".into(),
            };
            crate::folder::create_private(dir).map_err(unwritable)?;
            crate::keys::write_private(&file, Self::template().as_bytes()).map_err(unwritable)?;
        }
        Self::load(dir)
    }

    /// Reads the configuration of a folder, or what holds without one; makes nothing.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_or_default(dir: &Path) -> Result<Self, ConfigError> {
        let file = Self::file(dir);
        match file.exists() {
            true => Self::load(dir),
            false => Self::parse(dir, &file, "", &environment()?),
        }
    }

    /// Reads the text of `device.toml`; `variables` are the environment's.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(
        dir: &Path,
        file: &Path,
        text: &str,
        variables: &Variables,
    ) -> Result<Self, ConfigError> {
        resolve(file, text, |root| {
            let proxy = read_proxy(dir, file, root, variables);
            let transport = read_transport(root);
            let extra_ca_files = read_ca_files(dir, root);
            let longest = HOLD_RUNGS_S.iter().copied().max().unwrap_or(HOLD_S_MIN);
            let hold_s_max = root.uint("hold_s_max", HOLD_S_MIN..=longest, default_hold_s());
            let max_age_s = root.uint("max_age_s", 60..=86_400, MAX_AGE_S);
            let render_folder =
                path_in(dir, root, "render_folder").unwrap_or_else(|| dir.join("desired"));
            let apply = application::read_apply(root);
            let by = apply.as_ref().map_or(ApplyBy::Files, |apply| apply.by);
            let on_change = application::read_on_change(root, by);
            let intents = application::read_intents(root);
            let local_api = application::read_local_api(dir, root);
            let log = read_log(root, |_| ());
            Some(Self {
                dir: dir.into(),
                key: dir.join("device.key"),
                store: dir.join("device.redb"),
                proxy: proxy?,
                has_quic: transport.has_quic,
                push: transport.push,
                user_agent: transport.user_agent,
                extra_ca_files,
                hold_s_max,
                max_age_s,
                render_folder,
                apply: apply?,
                on_change,
                intents,
                local_api,
                log,
            })
        })
    }

    /// Returns the text of a new `device.toml`, with every key and its meaning.
    #[must_use]
    pub fn template() -> String {
        format!(
            "{HEAD}{HOLD}# hold_s_max = {}\n{FRESH}# max_age_s = {}\n{PROXY}{}\n{PUSH}{REST}# time_limit_s = {}\n\n{}{LOG}",
            default_hold_s(),
            MAX_AGE_S,
            TRANSPORT.trim_end_matches('\n'),
            application::TIME_LIMIT_S,
            application::TEMPLATE,
        )
    }
}

fn default_hold_s() -> u64 {
    HOLD_RUNGS_S
        .get(HOLD_CEILING_RUNG)
        .copied()
        .unwrap_or(HOLD_S_MIN)
}

const HEAD: &str = "\
# Postern device. Read once at start; an unknown or misspelt key is refused.
# A line that begins with `# key =` shows a default or an example. Paths are relative to this folder.

# CA certificates (PEM files or folders of them) to trust beside the system's: a TLS-inspecting
# proxy's, for example. Read again whenever they change.
# extra_ca_files = []

# Folder in which the desired state appears as files. It belongs to Postern: do not keep files there.
# render_folder = \"desired\"

";
const HOLD: &str = "# Longest time in seconds for which a request is left open, 5 to 285.\n";
const FRESH: &str = "\
# Seconds of the controller's silence after which the device shows itself as stale, 60 to 86400. It
# goes on all the same.
";
const REST: &str = "\
# To run a program after each change, take the # from [on_change] and command. It gets JSON on
# standard input; its exit status and output travel to the controller in the device's report.
# [on_change]
# Program and arguments; no shell.
# command = [\"/usr/local/bin/apply-desired\"]
# Seconds after which it is ended, 1 to 3600.
";
