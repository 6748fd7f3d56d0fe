//! How a device or a controller gets out of its site: `[proxy]`, `[transport]` and `extra_ca_files`, the same in both files.
//!
//! Refuses a malformed proxy: it would otherwise mean a direct connection.

use super::reader::{Placed, Section};
use super::{ConfigError, path_in};
use postern_egress::config::PacLookups;
use postern_egress::push::PushMode;
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

/// Reads `[transport]`: whether QUIC may be tried.
pub fn read_quic(root: &mut Section<'_, '_>) -> bool {
    let mut section = root.section("transport");
    let has_quic = section.flag("quic", true);
    section.finish();
    has_quic
}

/// What `[transport]` of a device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// Whether QUIC may be tried.
    pub has_quic: bool,
    /// How news are to come.
    pub push: PushMode,
    /// How the device calls itself in HTTP, where a proxy lets certain programs through only.
    pub user_agent: Option<String>,
}

/// Reads `[transport]` of a device.
pub fn read_transport(root: &mut Section<'_, '_>) -> Transport {
    let modes = PushMode::ALL.map(|mode| (mode.as_str(), mode));
    let mut section = root.section("transport");
    let has_quic = section.flag("quic", true);
    let push = section.choice("push", &modes).unwrap_or_default();
    let user_agent = section.text("user_agent").map(|text| text.value);
    section.finish();
    Transport {
        has_quic,
        push,
        user_agent,
    }
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
    let lookups = [("allow", PacLookups::Allow), ("deny", PacLookups::Deny)];
    let mut section = root.section("proxy");
    let url = section.text("url");
    let mode = section.choice("mode", &modes);
    let secret_file = path_in(dir, &mut section, "secret_file");
    let no_proxy = section.text("no_proxy");
    let pac = read_pac(dir, &mut section);
    let wpad = section.flag("wpad", false);
    let pac_dns = section.choice("pac_dns", &lookups);
    let list = section.texts("credentials_for");
    let schemes = section.texts("schemes");
    let lines = Lines {
        section: section.line(),
        url: line_of(&section, url.as_ref()),
        no_proxy: line_of(&section, no_proxy.as_ref()),
        pac: line_of(&section, pac.as_ref()),
        credentials_for: line_of(&section, list.as_ref()),
        schemes: line_of(&section, schemes.as_ref()),
    };
    let settings = FileSettings {
        file: file.into(),
        url: url.map(|url| url.value),
        no_proxy: no_proxy.map(|list| list.value),
        secret_file,
        schemes: schemes.map(|list| list.value.into_iter().map(|word| word.value).collect()),
        mode,
        pac: pac.map(|pac| pac.value),
        wpad,
        pac_dns,
        credentials_for: list.map(|list| list.value.into_iter().map(|one| one.value).collect()),
    };
    let resolved = match ProxySettings::resolve(&settings, variables) {
        Ok(resolved) => Some(resolved),
        Err(error) => {
            let (line, key, what) = place(&error, &lines);
            section.refuse(line, key, what);
            None
        }
    };
    section.finish();
    resolved
}

/// Reads `pac`; a file is looked for now, so that a misspelt name is no surprise on the day of need.
fn read_pac(dir: &Path, section: &mut Section<'_, '_>) -> Option<Placed<String>> {
    let pac = section.text("pac")?;
    if !pac.value.contains("://") && !dir.join(&pac.value).is_file() {
        let what = format!(
            "names {}, which is no file; write a file, or a URL that begins with http:// or https://",
            dir.join(&pac.value).display()
        );
        section.refuse(pac.line, "pac", what);
    }
    Some(pac)
}

/// Where the keys stand; the table's line for a key that does not.
struct Lines {
    section: usize,
    url: usize,
    no_proxy: usize,
    pac: usize,
    credentials_for: usize,
    schemes: usize,
}

fn line_of<T>(section: &Section<'_, '_>, key: Option<&Placed<T>>) -> usize {
    key.map_or(section.line(), |placed| placed.line)
}

/// Returns line, key and sentence of a refused proxy setting.
fn place(error: &ProxyConfigError, lines: &Lines) -> (usize, &'static str, String) {
    let (url_line, list_line, section_line) = (lines.url, lines.no_proxy, lines.section);
    match error {
        ProxyConfigError::Pac { reason, .. } => {
            (lines.pac, "pac", format!("is refused (PST-C01): {reason}"))
        }
        ProxyConfigError::CredentialsFor { place, reason, .. } => (
            lines.credentials_for,
            "credentials_for",
            format!("is refused (PST-C01): entry {}: {reason}", place + 1),
        ),
        ProxyConfigError::TwoProxies { .. } => (
            lines.pac,
            "pac",
            "url, pac and wpad exclude each other; keep one (PST-C01)".into(),
        ),
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
            "asks for a proxy, but there is neither url nor pac; set one or remove the mode (PST-C01)".into(),
        ),
        ProxyConfigError::SecretWithoutUrl { .. } => (
            section_line,
            "secret_file",
            "is set, but no proxy is; set url or pac, or remove it (PST-C01)".into(),
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
# Which proxy: url here, else https_proxy or all_proxy of the environment, else pac or wpad here, else none.
# URL of the site's proxy. Written here, the proxy is required: nothing ever leaves without it.
# http://, https:// (TLS to the proxy) or socks5h:// (the proxy looks names up; nothing here does).
# url = \"http://proxy.example:3128\"
# off, prefer or require. Unset: require where url is set, prefer for the environment's and for a script's.
# prefer: the proxies first, then a direct connection. require: a script's DIRECT is ignored, and without
# an answer of the script nothing leaves.
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
# A PAC script that names the proxies, a file or an http:// or https:// URL that is fetched directly; in place of url:
#     pac = \"http://pac.example/proxy.pac\"
# Look for a script at http://wpad.DOMAIN/wpad.dat of this machine's domain. Whoever answers for that name, or
# hands out the domain (DHCP), then chooses the proxy: messages stay signed, but may be held back.
# wpad = false
# Whether a script may look names up: allow or deny. Unset: deny where the proxy is required, else allow.
# The name of a controller or relay is never looked up where the proxy is required.
# pac_dns = \"deny\"
# Proxies that may see the credentials: HOST, HOST:PORT or *.DOMAIN. Unset: the one of url or of the environment,
# and none that a script names.
# credentials_for = [\"proxy.example:3128\", \"*.corp.example\"]

";

/// Explains the `[transport]` table.
pub const TRANSPORT: &str = "\
[transport]
# Whether QUIC (UDP, the port of the URL) is tried beside HTTPS. Never where a proxy is required.
# quic = true

";

/// What only a device has below `[transport]`.
pub const PUSH: &str = "\
# How news come: \"held\" leaves one request open at a time, \"stream\" leaves one answer open wherever
# that comes through, \"auto\" does the second where requests left open are cut at 28 s or sooner.
# push = \"auto\"
# How the device calls itself to proxies and servers, for proxies that let certain programs through only.
# user_agent = \"postern\"

";

#[cfg(test)]
mod tests {
    use super::super::reader::{Document, Problem};
    use super::*;

    /// Reads a `[proxy]` table in a folder that holds `proxy.pac`.
    fn read(table: &str, variables: &Variables) -> (Option<ProxySettings>, Vec<Problem>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("proxy.pac"), "").unwrap();
        let text = format!("[proxy]\n{table}");
        let document = Document::parse(&text).unwrap();
        let mut root = document.root();
        let file = folder.path().join("device.toml");
        let settings = read_proxy(folder.path(), &file, &mut root, variables);
        root.finish();
        (settings, document.into_problems())
    }

    #[test]
    fn script_is_taken_from_a_file_a_url_or_the_domain() {
        let check = |table: &str, policy, place: &str| {
            let (settings, problems) = read(table, &Variables::default());
            assert_eq!(problems, [], "{table}");
            let settings = settings.unwrap();
            assert_eq!(settings.policy(), policy, "{table}");
            let found = settings.pac().unwrap().place.to_string();
            assert!(found.ends_with(place), "{table}: {found}");
        };
        check("pac = \"proxy.pac\"", ProxyPolicy::Prefer, "/proxy.pac");
        let required = "pac = \"https://pac.test/p\"\nmode = \"require\"\npac_dns = \"allow\"";
        check(required, ProxyPolicy::Require, "https://pac.test/p");
        check("wpad = true", ProxyPolicy::Prefer, "WPAD");
        let listed =
            "pac = \"proxy.pac\"\nsecret_file = \"s\"\ncredentials_for = [\"*.corp.test\"]";
        check(listed, ProxyPolicy::Prefer, "/proxy.pac");
    }

    #[test]
    fn nothing_looks_for_a_script_unasked() {
        for table in ["", "wpad = false", "mode = \"off\"\nwpad = true"] {
            let (settings, problems) = read(table, &Variables::default());
            assert_eq!(problems, [], "{table}");
            assert_eq!(settings.unwrap().policy(), ProxyPolicy::Off, "{table}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let rows = [
            ("pac = \"none.pac\"", 2, "pac", "which is no file"),
            ("pac = \"ftp://p/x\"", 2, "pac", "PST-C01"),
            ("pac = \"http://u:p@p/x\"", 2, "pac", "PST-C01"),
            ("pacs = \"proxy.pac\"", 2, "pacs", "did you mean `pac`"),
            (
                "url = \"http://p:1\"\npac = \"proxy.pac\"",
                3,
                "pac",
                "keep one",
            ),
            ("wpad = true\npac = \"proxy.pac\"", 3, "pac", "keep one"),
            ("wpad = true\nurl = \"http://p:1\"", 1, "pac", "keep one"),
            ("wpad = \"yes\"", 2, "wpad", "true or false"),
            ("pac_dns = \"no\"", 2, "pac_dns", "\"allow\", \"deny\""),
            (
                "url = \"http://p:1\"\ncredentials_for = [\"*\"]",
                3,
                "credentials_for",
                "entry 1",
            ),
            (
                "credentials_for = \"a.test\"",
                2,
                "credentials_for",
                "a list",
            ),
            (
                "credential_for = []",
                2,
                "credential_for",
                "did you mean `credentials_for`",
            ),
            ("mode = \"require\"", 1, "mode", "neither url nor pac"),
        ];
        for (table, line, key, words) in rows {
            let (_settings, problems) = read(table, &Variables::default());
            let first = problems.first().unwrap();
            let place = (first.line, first.key.as_str());
            assert_eq!(
                place,
                (line, format!("proxy.{key}").as_str()),
                "{problems:?}"
            );
            assert!(first.what.contains(words), "{problems:?}");
        }
    }
}
