//! How a device or a controller gets out of its site: `[proxy]` and `extra_ca_files`, the same in both files.
//!
//! Refuses a malformed proxy: it would otherwise mean a direct connection.

use super::reader::Section;
use super::{ConfigError, path_in};
use postern_egress::{FileSettings, ProxyConfigError, ProxyPolicy, ProxySettings, Variables};
use std::path::{Path, PathBuf};

/// Reads the proxy variables of the environment.
///
/// # Errors
/// A variable that is no text.
pub fn environment() -> Result<Variables, ConfigError> {
    Variables::of_process().map_err(|error| ConfigError::Unreadable {
        file: "environment".into(),
        reason: error.to_string(),
        next: "correct or unset the variable".into(),
    })
}

/// Reads `extra_ca_files`.
pub fn read_ca_files(dir: &Path, root: &mut Section<'_, '_>) -> Vec<PathBuf> {
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

/// Reads `[proxy]`; the environment stands in where the file names no proxy.
pub fn read_proxy(
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
    let schemes = section.texts("schemes");
    let schemes_line = schemes.as_ref().map_or(section.line(), |it| it.line);
    let url_line = url.as_ref().map_or(section.line(), |url| url.line);
    let list_line = no_proxy.as_ref().map_or(section.line(), |list| list.line);
    let settings = FileSettings {
        file: file.into(),
        url: url.map(|url| url.value),
        no_proxy: no_proxy.map(|list| list.value),
        secret_file,
        schemes: schemes.map(|list| list.value.into_iter().map(|word| word.value).collect()),
        mode,
    };
    let resolved = match ProxySettings::resolve(&settings, variables) {
        Ok(resolved) => Some(resolved),
        Err(error) => {
            let lines = Lines {
                section: section.line(),
                url: url_line,
                no_proxy: list_line,
                schemes: schemes_line,
            };
            let (line, key, what) = place(&error, &lines);
            section.refuse(line, key, what);
            None
        }
    };
    section.finish();
    resolved
}

/// Where the keys of `[proxy]` stand; those that do not, at its head.
struct Lines {
    section: usize,
    url: usize,
    no_proxy: usize,
    schemes: usize,
}

/// Returns line, key and sentence of a refused proxy setting.
fn place(error: &ProxyConfigError, lines: &Lines) -> (usize, &'static str, String) {
    let (section_line, url_line, list_line) = (lines.section, lines.url, lines.no_proxy);
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
        ProxyConfigError::Schemes { reason, .. } => {
            (lines.schemes, "schemes", format!("{reason} (PST-C01)"))
        }
        ProxyConfigError::SchemesWithSocks { .. } => (
            lines.schemes,
            "schemes",
            "is about HTTP proxies, and url is a SOCKS one; remove it (PST-C01)".into(),
        ),
        ProxyConfigError::NoProxy { .. } | ProxyConfigError::NotUtf8 { .. } => {
            (section_line, "url", error.to_string())
        }
    }
}

/// Explains the `[proxy]` table.
pub const PROXY: &str = "
[proxy]
# URL of the site's proxy. Written here, the proxy is required: nothing ever leaves without it.
# Without it, https_proxy or all_proxy of the environment is tried first, then a direct connection.
# http://, https:// (TLS to the proxy) or socks5h:// (the proxy looks names up; nothing here does).
# url = \"http://proxy.example:3128\"
# off, prefer or require. Unset: require where url is set, prefer for one of the environment.
# mode = \"require\"
# File with one line, user:password, readable by the owner only. Read at each connect. NTLM wants DOMAIN\\user or
# user@domain. A rejected password is not sent again for 15 minutes, then an hour, then 6 hours; a changed file is.
# secret_file = \"proxy.secret\"
# How to authenticate, in this order. Unset: the strongest that the proxy offers and that works here, of \"negotiate\"
# (Kerberos, with the ticket cache or client keytab of the daemon's environment; url has the proxy's full name), \"ntlm\",
# \"digest\", \"basic\". Over http:// Basic shows the password to that network: leave it out where the proxy knows better.
# schemes = [\"negotiate\", \"ntlm\", \"digest\", \"basic\"]
# Hosts reached without the proxy: names, .domains, addresses, networks, with commas.
# no_proxy = \"localhost,.internal.example,10.0.0.0/8\"

";
