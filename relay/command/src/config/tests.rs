use super::{ADMIN_LISTEN, Limit, LogOverride, NewRelay, RelayConfig, Takes, template, unbuilt};
use postern_console::config::ConfigError;
use postern_console::config::reader::Problem;
use postern_protocol::id::Thumbprint;
use std::collections::BTreeSet;
use std::path::Path;

fn text() -> String {
    template(&NewRelay {
        listen: "127.0.0.1:8443".parse().unwrap(),
        urls: &["https://relay.example:8443".into()],
        cert: "tls/server.crt",
        key: "tls/server.key",
        ca: Some("tls/ca.crt"),
        root: Thumbprint::from_bytes([1; 32]),
        recovery: Thumbprint::from_bytes([2; 32]),
        upstream: None,
        admin_listen: ADMIN_LISTEN.parse().unwrap(),
    })
}

fn parse(text: &str) -> Result<RelayConfig, ConfigError> {
    RelayConfig::parse(Path::new("r"), Path::new("r/relay.toml"), text)
}

fn problems(text: &str) -> Vec<Problem> {
    match parse(text).unwrap_err() {
        ConfigError::Refused { problems, .. } => problems,
        ConfigError::Unreadable { .. } => panic!("the file was readable"),
    }
}

/// Takes the mark from every commented default.
fn uncommented(text: &str) -> String {
    let is_key = |rest: &str| {
        let word = rest.split(' ').next().unwrap_or_default();
        let is_word = word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        is_word && !word.is_empty() && rest[word.len()..].starts_with(" = ")
    };
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) => rest,
        Some(_) | None => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Replaces a line of the uncommented template and checks the first problem with that key.
fn check(from: &str, to: &str, key: &str, words: &str) {
    let text = uncommented(&text());
    assert!(text.contains(from), "{from}");
    let changed = text.replacen(from, to, 1);
    let found = problems(&changed);
    let problem = found.iter().find(|problem| problem.key == key);
    let problem = problem.unwrap_or_else(|| panic!("{to}: no problem at {key}: {found:?}"));
    assert!(problem.what.contains(words), "{problem:?}");
    assert!(problem.line > 0);
}

/// The names of every key that the parser asks for: it lists them where a key is far from all.
fn asked_for() -> BTreeSet<String> {
    let far = "zzzzzzzzzzzzzzzz = 1\n";
    let mut text = format!("{far}{}", uncommented(&text()));
    for section in [
        "tls", "quic", "trust", "mailbox", "server", "drain", "admin", "upstream", "log",
    ] {
        let head = format!("\n[{section}]\n");
        text = text.replacen(&head, &format!("{head}{far}"), 1);
    }
    let mut keys = BTreeSet::new();
    for problem in problems(&text) {
        let (_, known) = problem.what.split_once("known here: ").unwrap();
        let prefix = problem
            .key
            .rsplit_once('.')
            .map_or("", |(prefix, _)| prefix);
        for key in known.split(", ") {
            let key = key.trim_matches('`');
            keys.insert(if prefix.is_empty() {
                key.to_owned()
            } else {
                format!("{prefix}.{key}")
            });
        }
    }
    keys
}

#[test]
fn template_gives_the_defaults() {
    let config = parse(&text()).unwrap();
    assert_eq!(config.limits, super::Limits::default());
    assert_eq!(config.admin_listen, ADMIN_LISTEN.parse().unwrap());
    assert_eq!(config.tls.cert, Path::new("r/tls/server.crt"));
    assert_eq!(config.root, Thumbprint::from_bytes([1; 32]));
}

#[test]
fn template_comments_show_the_defaults() {
    let config = parse(&uncommented(&text())).unwrap();
    assert_eq!(config.entries(), parse(&text()).unwrap().entries());
}

#[test]
fn limits_become_those_of_the_server_unchanged() {
    let config = parse(&text()).unwrap();
    assert_eq!(
        config.server_limits(),
        postern_relay::server::ServerLimits::default()
    );
    let mailbox = postern_relay::mailbox::MailboxLimits::default();
    assert_eq!(config.exchange_limits().mailbox, mailbox);
}

#[test]
fn every_limit_has_a_default_in_its_range_and_a_reason() {
    let mut names = BTreeSet::new();
    for limit in Limit::ALL {
        let spec = limit.spec();
        assert!((spec.least..=spec.most).contains(&spec.default), "{spec:?}");
        assert!(spec.reason.len() > 10 && !spec.unit.is_empty(), "{spec:?}");
        assert!(names.insert((spec.section, spec.key)), "{spec:?}");
    }
}

#[test]
fn template_and_parser_know_the_same_keys() {
    let shown: BTreeSet<String> = parse(&text()).unwrap().entries().into_keys().collect();
    let is_key = |key: &String| key.contains('.') || key == "listen" || key == "urls";
    let asked: BTreeSet<String> = asked_for().into_iter().filter(is_key).collect();
    let unbuilt = ["drain.move_url", "server.proxy_protocol"];
    let asked: BTreeSet<String> = asked
        .into_iter()
        .filter(|key| !unbuilt.contains(&key.as_str()))
        .collect();
    assert_eq!(shown, asked);
}

#[test]
fn readme_lists_exactly_the_keys_of_the_parser() {
    let readme = include_str!("../../../README.md");
    let table = readme
        .split("<!-- keys -->")
        .nth(1)
        .expect("the table of keys");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<String> = rows
        .filter_map(|row| row.split('`').next())
        .map(str::to_owned)
        .collect();
    let shown: BTreeSet<String> = parse(&text()).unwrap().entries().into_keys().collect();
    assert_eq!(listed, shown);
    for limit in Limit::ALL {
        let spec = limit.spec();
        let row = format!(
            "| `{}.{}` | {} | {} to {} | {} |",
            spec.section,
            spec.key,
            spec.default,
            spec.least,
            spec.most,
            spec.takes.as_str()
        );
        assert!(table.contains(&row), "the README lacks: {row}");
    }
}

#[test]
fn misspelt_key_is_refused_with_the_one_that_was_meant() {
    check(
        "connections_max = ",
        "conections_max = ",
        "server.conections_max",
        "`connections_max`",
    );
    check("within_s = ", "within-s = ", "drain.within-s", "`within_s`");
    check("[server]", "[servers]", "servers", "did you mean `server`?");
    check("cert_file", "certfile", "tls.certfile", "`cert_file`");
    check(
        "listen = \"127.0.0.1:8443\"",
        "lisen = \"127.0.0.1:8443\"",
        "lisen",
        "`listen`",
    );
}

#[test]
fn value_out_of_range_or_of_another_type_is_refused() {
    for limit in Limit::ALL {
        let spec = limit.spec();
        let line = format!("\n{} = {}\n", spec.key, spec.default);
        let name = format!("{}.{}", spec.section, spec.key);
        let above = format!("\n{} = {}\n", spec.key, u128::from(spec.most) + 1);
        let head = format!("[{}]", spec.section);
        let text = uncommented(&text());
        let (before, after) = text.split_once(&head).unwrap();
        let text = format!("{before}{head}{}", after.replacen(&line, &above, 1));
        let found = problems(&text);
        assert!(
            found.iter().any(|problem| problem.key == name),
            "{name}: {found:?}"
        );
    }
    check(
        "hold_s_max = 300",
        "hold_s_max = 4",
        "server.hold_s_max",
        "must be 5 to 300",
    );
    check(
        "within_s = 120",
        "within_s = \"120\"",
        "drain.within_s",
        "must be a whole number",
    );
    check(
        "listen = \"127.0.0.1:8443\"",
        "listen = \"here\"",
        "listen",
        "an address and a port",
    );
    check(
        "listen = \"127.0.0.1:9464\"",
        "listen = \"9464\"",
        "admin.listen",
        "an address and a port",
    );
    check(
        "\"https://relay.example:8443\"",
        "\"http://relay.example\"",
        "urls",
        "is refused",
    );
    check("\"https://relay.example:8443\"", "", "urls", "1 to 8 URLs");
    check(
        "level = \"info\"",
        "level = \"loud\"",
        "log.level",
        "must be error",
    );
    check(
        "root = \"01",
        "root = \"+1",
        "trust.root",
        "64 hexadecimal digits",
    );
}

#[test]
fn missing_key_is_refused_with_what_to_write() {
    for (line, key) in [
        ("listen = \"127.0.0.1:8443\"\n", "listen"),
        ("cert_file = \"tls/server.crt\"\n", "tls.cert_file"),
        ("key_file = \"mailbox.key\"\n", "mailbox.key_file"),
        ("file = \"trust.line\"\n", "trust.file"),
    ] {
        check(line, "", key, "is missing: ");
    }
}

#[test]
fn key_that_would_not_be_obeyed_is_refused() {
    for addition in unbuilt::names() {
        let text = uncommented(&text());
        let table = addition.lines().next().unwrap().to_owned();
        let changed = match text.contains(&format!("\n{table}\n")) {
            true => text.replacen(&table, addition.trim_end(), 1),
            false => format!("{text}\n{addition}"),
        };
        let found = problems(&changed);
        assert_eq!(found.len(), 1, "{addition}: {found:?}");
        assert!(
            found[0].what.contains("this version does not obey it"),
            "{found:?}"
        );
    }
}

#[test]
fn quic_has_no_door_until_it_is_given_an_address() {
    let config = parse(&text()).unwrap();
    assert_eq!(config.quic.listen, None);
    assert_eq!(config.quic.key, Path::new("r/quic.key"));
    let text = uncommented(&text()).replacen("\"none\"", "\"[::]:8443\"", 1);
    let config = parse(&text).unwrap();
    assert_eq!(config.quic.listen, Some("[::]:8443".parse().unwrap()));
    check(
        "listen = \"none\"",
        "listen = \"udp\"",
        "quic.listen",
        "an address and a port",
    );
}

#[test]
fn changes_name_key_values_and_when_they_count() {
    let old = parse(&text()).unwrap();
    assert!(old.changes(&old).is_empty());
    let text = uncommented(&text())
        .replacen("within_s = 120", "within_s = 60", 1)
        .replacen("connections_max = 20000", "connections_max = 100", 1);
    let changes = old.changes(&parse(&text).unwrap());
    let found: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change.key.as_str(),
                change.from.as_str(),
                change.to.as_str(),
                change.takes,
            )
        })
        .collect();
    let expected = [
        ("drain.within_s", "120", "60", Takes::Reload),
        ("server.connections_max", "20000", "100", Takes::Restart),
    ];
    assert_eq!(found, expected);
}

#[test]
fn command_line_wins_over_the_file() {
    let mut config = parse(&text()).unwrap();
    config.override_log(&LogOverride::default());
    assert_eq!(config.log.level, "info");
    config.override_log(&LogOverride {
        level: Some("debug".into()),
        is_json: Some(true),
    });
    assert_eq!(
        (config.log.level.as_str(), config.log.is_json),
        ("debug", true)
    );
}

#[test]
fn upstream_is_read_with_its_proxy_and_none_is_none() {
    let config = parse(&text()).unwrap();
    assert!(config.upstream.is_none());
    let named = text().replace("# line_file = \"none\"", "line_file = \"up.line\"");
    let upstream = parse(&named).unwrap().upstream.unwrap();
    assert_eq!(upstream.line, Path::new("r/up.line"));
    assert!(upstream.extra_ca_files.is_empty());
}

#[test]
fn upstream_that_cannot_be_reached_as_written_is_refused() {
    let named = text().replace("# line_file = \"none\"", "line_file = \"up.line\"");
    let cases = [
        (
            "# extra_ca_files = []",
            "extra_ca_files = [\"none.pem\"]",
            "upstream.extra_ca_files",
        ),
        (
            "line_file = \"up.line\"",
            "line_fil = \"up.line\"",
            "upstream.line_fil",
        ),
        (
            "# url = \"http://proxy.example:3128\"",
            "url = \"p p:1\"",
            "proxy.url",
        ),
        ("# mode = \"require\"", "mode = \"maybe\"", "proxy.mode"),
    ];
    for (from, to, key) in cases {
        assert!(named.contains(from), "{from}");
        let found = problems(&named.replacen(from, to, 1));
        assert!(
            found.iter().any(|problem| problem.key == key),
            "{key}: {found:?}"
        );
    }
}

#[test]
fn load_balancers_are_named_strictly_and_nobody_is_one_by_itself() {
    let key = "server.proxy_protocol_from";
    let line = "proxy_protocol_from = []";
    let written = |networks: &str| format!("proxy_protocol_from = [{networks}]");
    assert_eq!(parse(&text()).unwrap().entries()[key].0, "none");
    let named = uncommented(&text()).replacen(line, &written("\"10.0.0.0/24\", \"::1\""), 1);
    let named = parse(&named).unwrap();
    assert_eq!(named.entries()[key].0, "10.0.0.0/24 ::1/128");
    let many = vec!["\"10.0.0.1\""; 65].join(", ");
    for (networks, words) in [
        ("\"0.0.0.0/0\"", "would believe everybody"),
        ("\"10.0.0.5/24\"", "10.0.0.0/24 may be meant"),
        ("\"balancer.example\"", "must be an address"),
        ("7", "a list of texts"),
        (many.as_str(), "at most 64 networks, not 65"),
    ] {
        check(line, &written(networks), key, words);
    }
}
