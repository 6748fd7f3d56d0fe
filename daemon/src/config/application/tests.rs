use super::{ApplyBy, Delivery};
use crate::config::DeviceConfig;
use crate::config::reader::ConfigError;
use postern_egress::Variables;
use std::path::{Path, PathBuf};

fn device(text: &str) -> Result<DeviceConfig, ConfigError> {
    let variables = Variables::default();
    DeviceConfig::parse(Path::new("d"), Path::new("d/device.toml"), text, &variables)
}

#[test]
fn sections_that_are_absent_change_nothing() {
    let config = device("").unwrap();
    assert_eq!(config.apply.by, ApplyBy::Files);
    assert!(config.apply.windows.is_always());
    assert_eq!((&config.apply.confirm, &config.apply.user), (&None, &None));
    assert!(config.intents.is_empty());
    assert_eq!(config.local_api.socket, PathBuf::from("d/local.sock"));
    assert_eq!((config.local_api.mode, config.local_api.gid), (0o600, None));
}

#[test]
fn sections_are_read_as_they_stand() {
    let own = rustix::process::geteuid().as_raw();
    let text = format!(
        "[apply]\nwindows = [\"Sun 02:00-04:00\"]\nutc_offset = \"+01:00\"\nsoak_s = 60\n\
        health = [\"/bin/true\"]\nuser = \"{own}\"\ngroup = \"7\"\nfile_mode = \"640\"\n\
        [intents.restart]\ncommand = [\"/bin/true\"]\ndelivery = \"at-least-once\"\n\
        [local_api]\npath = \"/run/postern/s\"\ngroup = \"8\"\n"
    );
    let config = device(&text).unwrap();
    let confirm = config.apply.confirm.unwrap();
    assert_eq!(
        (confirm.soak_s, confirm.interval_s, confirm.failures),
        (60, 5, 3)
    );
    assert_eq!(confirm.health.unwrap().time_limit_s, 5);
    assert_eq!(
        (config.apply.gid, config.apply.file_mode),
        (Some(7), Some(0o640))
    );
    assert_eq!(config.apply.user.unwrap().gid, 7);
    let (path, intent) = config.intents.first_key_value().unwrap();
    assert_eq!(
        (path.as_str(), intent.delivery),
        ("intent/restart", Delivery::AtLeastOnce)
    );
    assert_eq!(
        (config.local_api.mode, config.local_api.gid),
        (0o660, Some(8))
    );
}

#[test]
fn section_that_is_wrong_is_refused_with_key() {
    for (text, key, words) in REFUSED.iter().copied() {
        let Err(ConfigError::Refused { problems, .. }) = device(text) else {
            panic!("accepted: {text}");
        };
        let found = problems
            .iter()
            .any(|problem| problem.key == key && problem.what.contains(words));
        assert!(found, "{text}: {problems:?}");
    }
}

#[test]
fn application_that_applies_itself_has_no_command() {
    let text = "[apply]\nby = \"application\"\n[on_change]\ncommand = [\"a\"]\n";
    let Err(ConfigError::Refused { problems, .. }) = device(text) else {
        panic!("accepted");
    };
    assert_eq!(problems[0].key, "on_change.command");
    assert!(problems[0].what.contains("remove one of the two"));
}

/// Text, key of a problem, and words that it says.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "[apply]\nby = \"hand\"",
        "apply.by",
        "\"files\", \"application\"",
    ),
    ("[apply]\nwindows = []", "apply.windows", "1 to 64"),
    (
        "[apply]\nwindows = [\"Sunday\"]",
        "apply.windows",
        "Sun 02:00-04:00",
    ),
    (
        "[apply]\nutc_offset = \"CET\"",
        "apply.utc_offset",
        "+02:00",
    ),
    ("[apply]\nsoak_s = 86401", "apply.soak_s", "0 to 86400"),
    (
        "[apply]\nhealth = []",
        "apply.health",
        "begin with a program",
    ),
    (
        "[apply]\nhealth_failures = 0",
        "apply.health_failures",
        "1 to 100",
    ),
    (
        "[apply]\nuser = \"nobody-here\"",
        "apply.user",
        "write its number",
    ),
    (
        "[apply]\ngroup = \"nobody-here\"",
        "apply.group",
        "write its number",
    ),
    ("[apply]\nfile_mode = \"0o644\"", "apply.file_mode", "octal"),
    (
        "[apply]\nfile_mode = \"0040\"",
        "apply.file_mode",
        "at least 0400",
    ),
    ("[apply]\nfile_mode = \"4755\"", "apply.file_mode", "octal"),
    (
        "[apply]\ndir_mode = \"0650\"",
        "apply.dir_mode",
        "at least 0700",
    ),
    ("[apply]\nsoak = 3", "apply.soak", "`soak_s`"),
    (
        "[apply]\nby = \"application\"\nsoak_s = 3",
        "apply.soak_s",
        "is for files",
    ),
    (
        "[intents.Restart]\ncommand = [\"a\"]",
        "intents.Restart",
        "is no verb",
    ),
    ("[intents.restart]", "intents.restart.command", "is missing"),
    (
        "[intents.restart]\ncommand = [\"a\"]\ndelivery = \"once\"",
        "intents.restart.delivery",
        "at-most-once",
    ),
    (
        "[local_api]\nmode = \"0060\"",
        "local_api.mode",
        "at least 0600",
    ),
    (
        "[local_api]\npath = \"\"",
        "local_api.path",
        "must name a file",
    ),
    (
        "[local_api]\nlisten = \"127.0.0.1:80\"",
        "local_api.listen",
        "no key",
    ),
];
