//! `device.toml`: what a device may be told, with every default.
//!
//! Names, keys and URLs of the controller come from the join record, not from here. Credentials
//! stand in a file of their own.

use super::application::{self, Apply, ApplyBy, Command, IntentCommand, LocalApi};
use super::reader::{Section, read_file};
use super::{ConfigError, LogConfig, path_in, read_log, resolve};
use postern_console::config::LOG_TEMPLATE as LOG;
use postern_egress::limits::{HOLD_CEILING_RUNG, HOLD_RUNGS_S};
use postern_egress::{FileSettings, ProxyConfigError, ProxyPolicy, ProxySettings, Variables};
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
        let variables = Variables::of_process().map_err(|error| ConfigError::Unreadable {
            file: "environment".into(),
            reason: error.to_string(),
            next: "correct or unset the variable".into(),
        })?;
        Self::parse(dir, &file, &text, &variables)
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
            "{HEAD}{HOLD}# hold_s_max = {}\n{FRESH}# max_age_s = {}\n{REST}# time_limit_s = {}\n\n{}{LOG}",
            default_hold_s(),
            MAX_AGE_S,
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

fn read_ca_files(dir: &Path, root: &mut Section<'_, '_>) -> Vec<PathBuf> {
    let Some(files) = root.texts("extra_ca_files") else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    for file in files.value {
        let path = dir.join(&file.value);
        if file.value.is_empty() || !path.exists() {
            let what = format!(
                "names {}, which does not exist; relative paths begin at the folder of this file",
                path.display()
            );
            root.refuse(file.line, "extra_ca_files", what);
        }
        paths.push(path);
    }
    paths
}

fn read_proxy(
    dir: &Path,
    file: &Path,
    root: &mut Section<'_, '_>,
    variables: &Variables,
) -> Option<ProxySettings> {
    let modes = [
        ("off", ProxyPolicy::Off),
        ("prefer", ProxyPolicy::Prefer),
        ("require", ProxyPolicy::Require),
    ];
    let mut section = root.section("proxy");
    let url = section.text("url");
    let mode = section.choice("mode", &modes);
    let secret_file = path_in(dir, &mut section, "secret_file");
    let no_proxy = section.text("no_proxy");
    let url_line = url.as_ref().map_or(section.line(), |url| url.line);
    let list_line = no_proxy.as_ref().map_or(section.line(), |list| list.line);
    let settings = FileSettings {
        file: file.into(),
        url: url.map(|url| url.value),
        no_proxy: no_proxy.map(|list| list.value),
        secret_file,
        mode,
    };
    let resolved = match ProxySettings::resolve(&settings, variables) {
        Ok(resolved) => Some(resolved),
        Err(error) => {
            let (line, key, what) = place(&error, url_line, list_line, section.line());
            section.refuse(line, key, what);
            None
        }
    };
    section.finish();
    resolved
}

/// Returns line, key and sentence of a refused proxy setting.
fn place(
    error: &ProxyConfigError,
    url_line: usize,
    list_line: usize,
    section_line: usize,
) -> (usize, &'static str, String) {
    match error {
        ProxyConfigError::Url { setting, reason } if setting.ends_with("proxy.url") => {
            (url_line, "url", format!("is refused (PST-C01): {reason}"))
        }
        ProxyConfigError::Url { setting, reason } => {
            let what = format!(
                "is not set, and {setting} is refused (PST-C01): {reason}; correct or unset that"
            );
            (url_line, "url", what)
        }
        ProxyConfigError::NoProxy { setting, reason } if setting.ends_with("proxy.no_proxy") => (
            list_line,
            "no_proxy",
            format!("is refused (PST-C01): {reason}"),
        ),
        ProxyConfigError::TwoSecrets { .. } => (
            url_line,
            "url",
            "holds credentials, and so does secret_file; keep one (PST-C01)".into(),
        ),
        ProxyConfigError::ModeWithoutUrl { .. } => (
            section_line,
            "mode",
            "asks for a proxy, but there is no url; set it or remove the mode (PST-C01)".into(),
        ),
        ProxyConfigError::SecretWithoutUrl { .. } => (
            section_line,
            "secret_file",
            "is set, but no proxy is; set url or remove it (PST-C01)".into(),
        ),
        ProxyConfigError::NoProxy { .. } | ProxyConfigError::NotUtf8 { .. } => {
            (section_line, "url", error.to_string())
        }
    }
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
const REST: &str = "
[proxy]
# URL of the site's proxy. Written here, the proxy is required: nothing ever leaves without it.
# Without it, https_proxy or all_proxy of the environment is tried first, then a direct connection.
# url = \"http://proxy.example:3128\"
# off, prefer or require. Unset: require where url is set, prefer for one of the environment.
# mode = \"require\"
# File with one line, user:password, readable by the owner only. Read at each connect.
# secret_file = \"proxy.secret\"
# Hosts reached without the proxy: names, .domains, addresses, networks, with commas.
# no_proxy = \"localhost,.internal.example,10.0.0.0/8\"

# To run a program after each change, take the # from [on_change] and command. It gets JSON on
# standard input; its exit status and output travel to the controller in the device's report.
# [on_change]
# Program and arguments; no shell.
# command = [\"/usr/local/bin/apply-desired\"]
# Seconds after which it is ended, 1 to 3600.
";
