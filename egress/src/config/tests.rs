use super::*;
use std::ffi::OsString;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    Variables::read(|name| {
        let found = pairs.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(value))
    })
    .unwrap()
}

fn file(url: Option<&str>, mode: Option<ProxyPolicy>) -> FileSettings {
    FileSettings {
        file: PathBuf::from("device.toml"),
        url: url.map(str::to_owned),
        mode,
        ..FileSettings::default()
    }
}

/// Expected: policy, proxy, source.
fn check(
    settings: &FileSettings,
    env: &[(&str, &str)],
    policy: ProxyPolicy,
    proxy: &str,
    source: &str,
) {
    let actual = ProxySettings::resolve(settings, &variables(env)).unwrap();
    let shown = actual.choice().map_or(String::new(), |c| c.url.to_string());
    let from = actual
        .choice()
        .map_or(String::new(), |c| c.source.to_string());
    assert_eq!(
        (actual.policy(), shown.as_str(), from.as_str()),
        (policy, proxy, source),
        "{settings:?} {env:?}"
    );
}

#[test]
fn a22_file_requires_environment_prefers() {
    use ProxyPolicy::{Off, Prefer, Require};
    let env: &[(&str, &str)] = &[("https_proxy", "http://env:1")];
    let env_name = "environment variable https_proxy";
    check(&file(None, None), &[], Off, "", "");
    check(
        &file(Some("http://f:1"), None),
        env,
        Require,
        "http://f:1",
        "device.toml",
    );
    check(
        &file(Some("http://f:1"), Some(Prefer)),
        env,
        Prefer,
        "http://f:1",
        "device.toml",
    );
    check(&file(Some("http://f:1"), Some(Off)), env, Off, "", "");
    check(&file(None, Some(Off)), env, Off, "", "");
    check(&file(None, None), env, Prefer, "http://env:1", env_name);
    check(
        &file(None, Some(Prefer)),
        env,
        Prefer,
        "http://env:1",
        env_name,
    );
}

#[test]
fn a22_environment_traps_are_decided() {
    use ProxyPolicy::{Off, Prefer};
    let none = file(None, None);
    let lower = "environment variable https_proxy";
    let upper = "environment variable HTTPS_PROXY";
    let all = "environment variable ALL_PROXY";
    let both = [
        ("HTTPS_PROXY", "http://up:1"),
        ("https_proxy", "http://low:1"),
    ];
    check(&none, &both, Prefer, "http://low:1", lower);
    let hidden = [("HTTPS_PROXY", ""), ("https_proxy", "http://low:1")];
    check(&none, &hidden, Prefer, "http://low:1", lower);
    let empty_lower = [("HTTPS_PROXY", "http://up:1"), ("https_proxy", "")];
    check(&none, &empty_lower, Prefer, "http://up:1", upper);
    let cgi = [("REQUEST_METHOD", "GET"), ("HTTPS_PROXY", "http://up:1")];
    check(&none, &cgi, Prefer, "http://up:1", upper);
    check(&none, &[("HTTP_PROXY", "http://up:1")], Off, "", "");
    check(&none, &[("http_proxy", "http://up:1")], Off, "", "");
    check(
        &none,
        &[("ALL_PROXY", "http://all:1")],
        Prefer,
        "http://all:1",
        all,
    );
}

fn refused(settings: &FileSettings, env: &[(&str, &str)], expected: &str) {
    let error = ProxySettings::resolve(settings, &variables(env)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("PST-C01 "), "{text}");
    assert!(text.contains(expected), "{text:?} lacks {expected:?}");
}

#[test]
fn a22_bad_values_stop_the_start_and_name_the_place() {
    refused(
        &file(Some("http://p:1 "), None),
        &[],
        "device.toml: proxy.url",
    );
    refused(&file(Some(""), None), &[], "device.toml: proxy.url");
    refused(
        &file(None, None),
        &[("HTTPS_PROXY", " ")],
        "variable HTTPS_PROXY",
    );
    refused(
        &file(None, None),
        &[("https_proxy", "proxy")],
        "variable https_proxy",
    );
    refused(
        &file(None, Some(ProxyPolicy::Require)),
        &[("https_proxy", "http://e:1")],
        "proxy.url",
    );
    refused(&file(None, Some(ProxyPolicy::Prefer)), &[], "proxy.url");
    let mut settings = file(Some("http://p:1"), None);
    settings.no_proxy = Some("a.*.b".to_owned());
    refused(&settings, &[], "device.toml: proxy.no_proxy");
    let mut settings = file(Some("http://u:p@p:1"), None);
    settings.secret_file = Some(PathBuf::from("s"));
    refused(&settings, &[], "proxy.secret_file");
    let mut settings = file(None, None);
    settings.secret_file = Some(PathBuf::from("s"));
    refused(&settings, &[], "proxy.secret_file");
    let env = [("https_proxy", "http://e:1"), ("no_proxy", "<local>")];
    refused(&file(None, None), &env, "variable no_proxy");
}

#[test]
fn a22_exceptions_of_the_environment_follow_the_same_rule() {
    let target = Authority {
        host: crate::host::Host::parse("a.test").unwrap(),
        port: 443,
    };
    let check = |list: Option<&str>, env: &[(&str, &str)], expected: Option<&str>| {
        let mut settings = file(None, None);
        settings.no_proxy = list.map(str::to_owned);
        let proxy = ("https_proxy", "http://p:1");
        let env: Vec<_> = env.iter().copied().chain([proxy]).collect();
        let resolved = ProxySettings::resolve(&settings, &variables(&env)).unwrap();
        assert_eq!(resolved.exempt_by(&target), expected, "{list:?} {env:?}");
    };
    check(None, &[], None);
    check(None, &[("no_proxy", "a.test")], Some("a.test"));
    check(None, &[("NO_PROXY", ".test")], Some(".test"));
    check(
        None,
        &[("no_proxy", ""), ("NO_PROXY", ".test")],
        Some(".test"),
    );
    check(None, &[("no_proxy", "x.test"), ("NO_PROXY", ".test")], None);
    check(None, &[("no_proxy", "x.test  A.Test.")], Some("A.Test."));
    check(
        None,
        &[("REQUEST_METHOD", "GET"), ("NO_PROXY", "*")],
        Some("*"),
    );
    check(Some("x.test"), &[("no_proxy", "*")], None);
    check(Some(""), &[("no_proxy", "*")], None);
    check(Some("a.test:443"), &[], Some("a.test:443"));
}

fn script(pac: &str, mode: Option<ProxyPolicy>) -> FileSettings {
    FileSettings {
        pac: Some(pac.to_owned()),
        ..file(None, mode)
    }
}

#[test]
fn a22_file_comes_before_environment_before_script() {
    use ProxyPolicy::{Off, Prefer, Require};
    let env: &[(&str, &str)] = &[("https_proxy", "http://env:1")];
    let check = |file: &FileSettings, env, policy, place: &str| {
        let resolved = ProxySettings::resolve(file, &variables(env)).unwrap();
        let shown = match (resolved.choice(), resolved.pac()) {
            (Some(choice), _) => choice.url.to_string(),
            (None, Some(pac)) => format!("{} by {}", pac.place, pac.key()),
            (None, None) => "none".to_owned(),
        };
        assert_eq!(
            (resolved.policy(), shown.as_str()),
            (policy, place),
            "{file:?}"
        );
    };
    check(&script("p.pac", None), &[], Prefer, "p.pac by proxy.pac");
    check(
        &script("p.pac", Some(Require)),
        &[],
        Require,
        "p.pac by proxy.pac",
    );
    check(&script("p.pac", Some(Off)), env, Off, "none");
    check(
        &script("http://pac.test/x", None),
        &[],
        Prefer,
        "http://pac.test/x by proxy.pac",
    );
    check(&script("p.pac", None), env, Prefer, "http://env:1");
    // What the file requires is not loosened by a variable.
    check(
        &script("p.pac", Some(Require)),
        env,
        Require,
        "http://env:1",
    );
    let mut wpad = file(None, None);
    wpad.wpad = true;
    check(&wpad, &[], Prefer, "WPAD by proxy.wpad");
    check(&wpad, env, Prefer, "http://env:1");
    wpad.mode = Some(Off);
    check(&wpad, &[], Off, "none");
    // Nothing looks for a script unless it is asked to.
    check(&file(None, None), &[], Off, "none");
    let mut beside = script("p.pac", None);
    beside.file = PathBuf::from("d/device.toml");
    check(&beside, &[], Prefer, "d/p.pac by proxy.pac");
}

#[test]
fn a22_scripts_that_cannot_be_meant_are_refused() {
    for bad in [
        "",
        "ftp://pac.test/x",
        "file:///p.pac",
        "http://",
        "http://u:p@pac.test/",
    ] {
        refused(&script(bad, None), &[], "device.toml: proxy.pac");
    }
    let mut both = file(Some("http://p:1"), None);
    both.pac = Some("p.pac".to_owned());
    refused(&both, &[], "exclude each other");
    let mut both = file(Some("http://p:1"), None);
    both.wpad = true;
    refused(&both, &[], "exclude each other");
    let mut both = script("p.pac", None);
    both.wpad = true;
    refused(&both, &[], "exclude each other");
    let mut list = script("p.pac", None);
    list.credentials_for = Some(vec!["a.test".to_owned(), "*".to_owned()]);
    refused(&list, &[], "entry 2 in device.toml: proxy.credentials_for");
    let mut exceptions = script("p.pac", None);
    exceptions.no_proxy = Some("<local>".to_owned());
    refused(&exceptions, &[], "device.toml: proxy.no_proxy");
    refused(
        &script("p.pac", None),
        &[("no_proxy", "<local>")],
        "variable no_proxy",
    );
    refused(
        &script("p.pac", None),
        &[("https_proxy", "x")],
        "variable https_proxy",
    );
}

#[test]
fn a25_lookups_are_denied_where_a_proxy_is_required_unless_allowed() {
    use PacLookups::{Allow, Deny};
    let check = |mode, word, expected| {
        let mut file = script("p.pac", mode);
        file.pac_dns = word;
        let resolved = ProxySettings::resolve(&file, &Variables::default()).unwrap();
        assert_eq!(
            resolved.pac().unwrap().lookups,
            expected,
            "{mode:?} {word:?}"
        );
    };
    let require = Some(ProxyPolicy::Require);
    check(None, None, Allow);
    check(require, None, Deny);
    check(None, Some(Deny), Deny);
    check(require, Some(Allow), Allow);
}

#[cfg(unix)]
#[test]
fn a22_variable_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let error = Variables::read(|name| {
        (name == "HTTPS_PROXY").then(|| OsString::from_vec(vec![b'h', 0xff]))
    });
    assert_eq!(
        error,
        Err(ProxyConfigError::NotUtf8 {
            name: "HTTPS_PROXY"
        })
    );
}
