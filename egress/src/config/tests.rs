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
