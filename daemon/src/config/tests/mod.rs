mod proxy;

use super::controller::{ControllerConfig, ControllerLimits, NewController, NewListener};
use super::device::DeviceConfig;
use super::reader::{ConfigError, Problem};
use crate::exit::{CommandError, Exit};
use postern_egress::{ProxyPolicy, Variables};
use postern_protocol::id::{Tenant, Thumbprint};
use std::path::{Path, PathBuf};

fn controller_text() -> String {
    ControllerConfig::template(&NewController {
        listener: Some(NewListener {
            listen: "127.0.0.1:8443".parse().unwrap(),
            cert: "tls/server.crt",
            key: "tls/server.key",
            ca: Some("tls/ca.crt"),
        }),
        urls: &["https://controller.example:8443".into()],
        root: Thumbprint::from_bytes([1; 32]),
        recovery: Thumbprint::from_bytes([2; 32]),
        writers: &[(
            Tenant::parse("default").unwrap(),
            "writer-default.key".into(),
        )],
    })
}

fn controller(text: &str) -> Result<ControllerConfig, ConfigError> {
    let variables = Variables::default();
    ControllerConfig::parse(
        Path::new("c"),
        Path::new("c/controller.toml"),
        text,
        &variables,
    )
}

fn device(text: &str) -> Result<DeviceConfig, ConfigError> {
    let variables = Variables::default();
    DeviceConfig::parse(Path::new("d"), Path::new("d/device.toml"), text, &variables)
}

fn problems<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> Vec<Problem> {
    match result.unwrap_err() {
        ConfigError::Refused { problems, .. } => problems,
        ConfigError::Unreadable { .. } => panic!("the file was readable"),
    }
}

/// Checks that the first problem names `line` and `key` and says `words`.
fn check(found: &[Problem], line: usize, key: &str, words: &str) {
    let first = &found[0];
    assert_eq!((first.line, first.key.as_str()), (line, key), "{found:?}");
    assert!(first.what.contains(words), "{found:?}");
}

/// Takes the mark from every commented default.
fn uncommented(text: &str) -> String {
    let is_key = |rest: &str| {
        let word = rest.split(' ').next().unwrap_or_default();
        let is_word = word
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_');
        is_word && !word.is_empty() && rest[word.len()..].starts_with(" = ")
    };
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) || rest.starts_with('[') => rest,
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn controller_template_gives_defaults() {
    let config = controller(&controller_text()).unwrap();
    assert_eq!(config.listen.unwrap().port(), 8443);
    assert_eq!(config.urls, ["https://controller.example:8443"]);
    let tls = config.tls.unwrap();
    assert_eq!(tls.cert, PathBuf::from("c/tls/server.crt"));
    assert_eq!(tls.ca, Some(PathBuf::from("c/tls/ca.crt")));
    assert_eq!(config.root, Thumbprint::from_bytes([1; 32]));
    assert_eq!(config.recovery, Thumbprint::from_bytes([2; 32]));
    assert_eq!(config.limits, ControllerLimits::default());
    assert_eq!(config.writers.len(), 1);
    assert_eq!(config.log.level, "info");
}

#[test]
fn controller_template_comments_show_the_defaults() {
    let text = uncommented(&controller_text());
    assert!(text.contains("\nhold_s_max = "));
    let config = controller(&text).unwrap();
    assert_eq!(config.limits, ControllerLimits::default());
    assert_eq!(config.log, super::LogConfig::default());
}

#[test]
fn device_template_gives_defaults() {
    let config = device(&DeviceConfig::template()).unwrap();
    assert_eq!(config.hold_s_max, 115);
    assert_eq!(config.render_folder, PathBuf::from("d/desired"));
    assert_eq!(config.on_change, None);
    assert_eq!(config.proxy.policy(), ProxyPolicy::Off);
    assert_eq!(config.log, super::LogConfig::default());
}

#[test]
fn device_template_comments_are_valid_and_show_the_defaults() {
    let text = uncommented(&DeviceConfig::template());
    let config = device(&text).unwrap();
    assert_eq!(config.hold_s_max, 115);
    assert_eq!(config.proxy.policy(), ProxyPolicy::Require);
    let on_change = config.on_change.unwrap();
    assert_eq!(on_change.time_limit_s, 60);
    assert_eq!(on_change.words, ["/usr/local/bin/apply-desired"]);
}

#[test]
fn device_proxy_of_environment_is_preferred() {
    let variables = Variables {
        proxy: Some(("https_proxy", "http://proxy.example:3128".into())),
        no_proxy: None,
    };
    let parse = |text: &str| {
        DeviceConfig::parse(Path::new("d"), Path::new("d/device.toml"), text, &variables).unwrap()
    };
    assert_eq!(parse("").proxy.policy(), ProxyPolicy::Prefer);
    assert_eq!(
        parse("[proxy]\nmode = \"off\"").proxy.policy(),
        ProxyPolicy::Off
    );
}

#[test]
fn controller_with_changed_line_is_refused_with_place() {
    for (from, to, key, words) in CONTROLLER_REFUSED.iter().copied() {
        let text = controller_text().replace(from, to);
        let line = text
            .lines()
            .position(|line| line.contains(to.lines().next().unwrap().trim_end_matches(" = ")))
            .unwrap();
        let mut found = problems(controller(&text));
        found.retain(|problem| problem.key == key);
        assert!(!found.is_empty(), "{to} gave no problem at {key}");
        check(&found, line + 1, key, words);
    }
}

#[test]
fn controller_without_required_key_is_refused() {
    let required = [
        ("listen = ", "listen"),
        ("urls = ", "urls"),
        ("cert_file = ", "tls.cert_file"),
        ("key_file = \"tls/", "tls.key_file"),
        ("root = ", "trust.root"),
        ("recovery = ", "trust.recovery"),
        ("writer_key_file = ", "tenants.default.writer_key_file"),
        ("key_file = \"mailbox", "mailbox.key_file"),
    ];
    for (line, key) in required {
        let lines = controller_text();
        let kept: Vec<_> = lines
            .lines()
            .filter(|found| !found.starts_with(line))
            .collect();
        let found = problems(controller(&kept.join("\n")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].key, key);
        assert!(found[0].what.contains("is missing"));
    }
    assert!(problems(controller("")).len() >= 7);
}

#[test]
fn controller_with_invalid_tenant_is_refused() {
    let text = controller_text().replace("[tenants.\"default\"]", "[tenants.\"De fault\"]");
    let found = problems(controller(&text));
    assert_eq!(found[0].key, "tenants.De fault");
}

#[test]
fn device_with_bad_text_is_refused_with_place() {
    for (text, line, key, words) in DEVICE_REFUSED.iter().copied() {
        check(&problems(device(text)), line, key, words);
    }
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_lines() {
    let found = problems(device(
        "hold_s_max = 1\nx = 1\n[proxy]\nmode = 1\n[log]\njson = 0",
    ));
    let lines: Vec<_> = found.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 4, 6]);
}

#[test]
fn refused_file_names_file_line_key_and_remedy() {
    let error = CommandError::from(device("[proxy]\nulr = \"x\"").unwrap_err());
    assert_eq!(error.exit, Exit::Configuration);
    assert!(
        error.message.starts_with("d/device.toml:2: `proxy.ulr`"),
        "{}",
        error.message
    );
    assert!(!error.next.is_empty());
}

#[test]
fn refused_proxy_url_does_not_show_its_password() {
    let found = problems(device("[proxy]\nurl = \"http://user:hunter2@p:x\""));
    assert!(
        found
            .iter()
            .all(|problem| !problem.what.contains("hunter2"))
    );
}

#[test]
fn file_that_is_not_utf8_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(DeviceConfig::file(folder.path()), b"# ok\nlevel = \"\xff\"").unwrap();
    let found = problems(DeviceConfig::load(folder.path()));
    check(&found, 2, "", "UTF-8");
}

#[test]
fn file_that_is_missing_is_refused_with_the_command_that_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let controller = CommandError::from(ControllerConfig::load(folder.path()).unwrap_err());
    assert!(controller.next.contains("postern controller init"));
    let device = CommandError::from(DeviceConfig::load(folder.path()).unwrap_err());
    assert!(device.next.contains("postern device join"));
}

#[test]
fn device_file_is_made_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("device");
    drop(DeviceConfig::load_or_create(&dir).unwrap());
    std::fs::write(
        DeviceConfig::file(&dir),
        "hold_s_max = 55\n[proxy]\nmode = \"off\"",
    )
    .unwrap();
    assert_eq!(DeviceConfig::load_or_create(&dir).unwrap().hold_s_max, 55);
}

/// What is written instead of what, at which key, and what the refusal says.
const CONTROLLER_REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "listen = \"127.0.0.1:8443\"",
        "listen = \"8443\"",
        "listen",
        "such as",
    ),
    (
        "listen = \"127.0.0.1:8443\"",
        "listen = 8443",
        "listen",
        "a text in quotes",
    ),
    (
        "listen = \"127.0.0.1:8443\"",
        "listen = \"localhost:8443\"",
        "listen",
        "not \"localhost",
    ),
    (
        "urls = [\"https://controller.example:8443\"]",
        "urls = []",
        "urls",
        "1 to 8",
    ),
    (
        "urls = [\"https://controller.example:8443\"]",
        "urls = \"https://a\"",
        "urls",
        "a list",
    ),
    (
        "urls = [\"https://controller.example:8443\"]",
        "urls = [1]",
        "urls",
        "a list",
    ),
    (
        "urls = [\"https://controller.example:8443\"]",
        "urls = [\"http://a\"]",
        "urls",
        "refused",
    ),
    (
        "urls = [\"https://controller.example:8443\"]",
        "urls = [\"https://u:p@a\"]",
        "urls",
        "refused",
    ),
    (
        "cert_file = \"tls/server.crt\"",
        "cert_file = \"\"",
        "tls.cert_file",
        "name a file",
    ),
    (
        "cert_file = \"tls/server.crt\"",
        "cert_file = [\"a\"]",
        "tls.cert_file",
        "an array",
    ),
    (
        "root = \"0101",
        "root = \"01",
        "trust.root",
        "64 hexadecimal",
    ),
    (
        "root = \"0101",
        "root = \"+1+1",
        "trust.root",
        "64 hexadecimal",
    ),
    (
        "key_file = \"mailbox.key\"",
        "key_file = true",
        "mailbox.key_file",
        "a boolean",
    ),
    (
        "# bytes_max = ",
        "bytes_max = 1 #",
        "mailbox.bytes_max",
        "must be",
    ),
    (
        "# connections_max = ",
        "connections_max = 0 #",
        "server.connections_max",
        "1 to 1000000",
    ),
    (
        "# connections_max = ",
        "connections_max = -5 #",
        "server.connections_max",
        "not -5",
    ),
    (
        "# connections_max = ",
        "connections_max = 1.5 #",
        "server.connections_max",
        "a whole number",
    ),
    (
        "# hold_s_max = ",
        "hold_s_max = 301 #",
        "server.hold_s_max",
        "5 to 300",
    ),
    (
        "# hold_s_max = ",
        "hold_s_max = 99999999999999999999 #",
        "server.hold_s_max",
        "5 to 300",
    ),
    (
        "# hold_s_max = ",
        "hold_max_s = 30 #",
        "server.hold_max_s",
        "known here",
    ),
    (
        "# hold_s_max = ",
        "hold_s_mx = 30 #",
        "server.hold_s_mx",
        "did you mean `hold_s_max`",
    ),
    ("# json = false", "json = 1", "log.json", "true or false"),
    (
        "# level = \"info\"",
        "level = \"loud\"",
        "log.level",
        "not \"loud\"",
    ),
    ("[log]", "[logs]", "logs", "did you mean `log`"),
    (
        "[log]",
        "password = 1\n[log]",
        "server.password",
        "known here",
    ),
    (
        "writer_key_file = ",
        "writer_file = ",
        "tenants.default.writer_file",
        "known here",
    ),
];

/// A text, the line and key of its first problem, and what the refusal says.
const DEVICE_REFUSED: &[(&str, usize, &str, &str)] = &[
    ("hold_s_max = 4", 1, "hold_s_max", "5 to 285"),
    ("\n\nhold_s_max = 286", 3, "hold_s_max", "5 to 285"),
    ("hold_s_max = \"55\"", 1, "hold_s_max", "a string"),
    ("hold_s = 5", 1, "hold_s", "known here"),
    ("[transport]\npush = \"x\"", 2, "transport.push", "stream"),
    ("push = \"held\"", 1, "push", "known here"),
    ("render_folder = \"\"", 1, "render_folder", "name a file"),
    (
        "render-folder = \"x\"",
        1,
        "render-folder",
        "did you mean `render_folder`",
    ),
    ("extra_ca_files = \"ca.pem\"", 1, "extra_ca_files", "a list"),
    (
        "extra_ca_files = [\n\"no-such.pem\"]",
        2,
        "extra_ca_files",
        "does not exist",
    ),
    ("proxy = \"http://p:1\"", 1, "proxy", "a table, [proxy]"),
    (
        "[proxy]\nulr = \"http://p:1\"",
        2,
        "proxy.ulr",
        "did you mean `url`",
    ),
    ("[proxy]\nurl = \"p p:1\"", 2, "proxy.url", "PST-C01"),
    ("[proxy]\nurl = \"http://p:x\"", 2, "proxy.url", "PST-C01"),
    (
        "[proxy]\n# c\nurl = \"socks5://p:1\"",
        3,
        "proxy.url",
        "PST-C01",
    ),
    (
        "[proxy]\nurl = \"http://u:p@p:1\"\nsecret_file = \"s\"",
        2,
        "proxy.url",
        "keep one",
    ),
    (
        "[proxy]\nmode = \"require\"",
        1,
        "proxy.mode",
        "there is neither url nor pac",
    ),
    (
        "[proxy]\nmode = \"maybe\"",
        2,
        "proxy.mode",
        "\"off\", \"prefer\", \"require\"",
    ),
    (
        "[proxy]\nsecret_file = \"s\"",
        1,
        "proxy.secret_file",
        "no proxy is",
    ),
    (
        "[proxy]\nurl = \"http://p:1\"\nno_proxy = \"http://host\"",
        3,
        "proxy.no_proxy",
        "PST-C01",
    ),
    ("[on_change]", 1, "on_change.command", "is missing"),
    (
        "[on_change]\ncommand = []",
        2,
        "on_change.command",
        "begin with a program",
    ),
    (
        "[on_change]\ncommand = [\"\"]",
        2,
        "on_change.command",
        "begin with a program",
    ),
    (
        "[on_change]\ncommand = \"true\"",
        2,
        "on_change.command",
        "a list",
    ),
    (
        "[on_change]\ncommand = [\"a\"]\ntime_limit_s = 0",
        3,
        "on_change.time_limit_s",
        "1 to 3600",
    ),
    ("[log]\nlevel = \"\"", 2, "log.level", "must be"),
    ("insecure = true", 1, "insecure", "known here"),
    ("hold_s_max = ", 1, "", ""),
    ("hold_s_max = 5\nhold_s_max = 5", 2, "", "duplicate"),
    ("[proxy]\n[proxy]", 2, "", "duplicate"),
    ("= 5", 1, "", ""),
    ("a = \"\n", 1, "", ""),
];
