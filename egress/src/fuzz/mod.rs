//! Bodies of the fuzz targets: plain functions over bytes, also called by ordinary tests.
//!
//! Each states what must hold for every input. They refuse to return anything: a finding is a panic.

#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a finding is a panic"
)]

#[cfg(feature = "pac")]
mod pac_script;
mod proxy_answer;

#[cfg(feature = "pac")]
pub use pac_script::{pac_pipe, pac_script};
pub use proxy_answer::proxy_answer;

use crate::config::CredentialsFor;
use crate::host::{Authority, Host};
use crate::limits::{PAC_ENTRIES_MAX, PAC_ENTRIES_READ_MAX};
use crate::no_proxy::NoProxy;
use crate::pac::{PacEntry, PacResult, PacUrl};
use crate::proxy_url::ProxyUrl;

/// A target like any other.
fn target() -> Authority {
    Authority {
        host: Host::Name("controller.test".to_owned()),
        port: 443,
    }
}

/// An answer of a script is read within the bounds, without credentials, and what was read means the same again.
pub fn pac_result(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let result = PacResult::parse(&text, &target());
    assert!(result.entries.len() <= PAC_ENTRIES_MAX, "{result:?}");
    assert!(
        result.skipped.len() <= PAC_ENTRIES_READ_MAX + 1,
        "{result:?}"
    );
    let written: Vec<String> = result.entries.iter().map(write).collect();
    let again = PacResult::parse(&written.join("; "), &target());
    let again: Vec<String> = again.entries.iter().map(write).collect();
    assert_eq!(again, written, "{text:?}");
}

fn write(entry: &PacEntry) -> String {
    match entry {
        PacEntry::Direct => "DIRECT".to_owned(),
        PacEntry::Proxy(url) => {
            assert!(url.secret.is_none(), "{url}");
            assert_ne!(url.authority, target(), "a loop");
            let kind = match url.scheme.as_str() {
                "http" => "PROXY",
                "https" => "HTTPS",
                _socks => "SOCKS5",
            };
            format!("{kind} {}", url.authority)
        }
    }
}

/// Letters that no sentence of ours has.
const MARK: &str = "q7Zx";

/// A proxy value that is taken is written in one way, and its refusal never repeats it.
pub fn proxy_url(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match ProxyUrl::parse(&text) {
        Ok(url) => {
            let shown = url.to_string();
            let again = ProxyUrl::parse(&shown).map(|again| again.to_string());
            assert_eq!(again, Ok(shown), "{text:?}");
        }
        Err(error) => assert!(!error.to_string().contains(MARK), "{error}"),
    }
    let within = text.replacen("://", &format!("://{MARK}:"), 1);
    for marked in [format!("{MARK}{text}"), format!("{text}{MARK}"), within] {
        if let Err(error) = ProxyUrl::parse(&marked) {
            assert!(!error.to_string().contains(MARK), "{error} of {marked:?}");
        }
    }
    if let Ok(url) = PacUrl::parse(&text) {
        assert_eq!(PacUrl::parse(&url.to_string()), Ok(url), "{text:?}");
    }
}

/// The entry that exempts a target stands in the list, and exempts it alone too.
pub fn no_proxy(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let words: Vec<&str> = text.split(',').collect();
    if let Ok(list) = CredentialsFor::parse(&words) {
        let mut other = target();
        other.host = Host::Name("unlisted".to_owned());
        let is_listed = text.to_ascii_lowercase().contains("unlisted");
        assert!(is_listed || !list.allows(&other), "{text:?}");
    }
    let Ok(list) = NoProxy::parse(&text) else {
        return;
    };
    for host in ["controller.test", "10.1.2.3", "[2001:db8::1]"] {
        let Ok(host) = Host::parse(host) else {
            panic!("{host} is a host");
        };
        let target = Authority { host, port: 443 };
        let Some(entry) = list.matching(&target) else {
            continue;
        };
        assert!(text.contains(entry), "{entry:?} of {text:?}");
        let alone = NoProxy::parse(entry);
        assert!(alone.is_ok_and(|alone| alone.matches(&target)), "{entry:?}");
    }
}
