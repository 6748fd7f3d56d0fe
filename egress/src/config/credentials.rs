//! Which proxies may see credentials: the operator's list `proxy.credentials_for`.
//!
//! An entry is a host, or `*.` and a domain for the hosts below it, each with an optional `:port`. A host
//! means itself alone, unlike in `no_proxy`. Refuses a star alone: a list of everybody is none.

use crate::host::{Authority, Host, HostError, split_port};
use crate::limits::CREDENTIALS_FOR_ENTRIES_MAX;

/// The proxies that may see credentials; the empty list allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialsFor {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: Host,
    /// The hosts below it, not itself.
    is_below: bool,
    port: Option<u16>,
}

/// Why a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsForError {
    /// A star elsewhere than in front of a domain.
    #[error("'*.' stands in front of a domain; a list of everybody protects nobody")]
    Star,
    /// A URL or credentials in place of a host.
    #[error("write host or host:port alone")]
    Url,
    /// The port is no number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// The host is none.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Too many entries.
    #[error("there are more than {CREDENTIALS_FOR_ENTRIES_MAX} entries")]
    Long,
}

impl CredentialsFor {
    /// Parses the entries of a list.
    ///
    /// # Errors
    /// The place of the first entry that is not understood, from 0, and what is wrong with it.
    pub fn parse<S: AsRef<str>>(list: &[S]) -> Result<Self, (usize, CredentialsForError)> {
        if list.len() > CREDENTIALS_FOR_ENTRIES_MAX {
            return Err((CREDENTIALS_FOR_ENTRIES_MAX, CredentialsForError::Long));
        }
        let entries = list
            .iter()
            .enumerate()
            .map(|(place, text)| Entry::parse(text.as_ref()).map_err(|error| (place, error)));
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// Tells whether this proxy may see credentials.
    #[must_use]
    pub fn allows(&self, proxy: &Authority) -> bool {
        self.entries.iter().any(|entry| entry.allows(proxy))
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, CredentialsForError> {
        if text.contains(['/', '@']) {
            return Err(CredentialsForError::Url);
        }
        let (is_below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if rest.contains('*') {
            return Err(CredentialsForError::Star);
        }
        let (host, port) = split_port(rest).map_err(|_bad| CredentialsForError::Port)?;
        let host = Host::parse(host)?;
        match (&host, is_below) {
            (Host::Address(_), true) => Err(CredentialsForError::Star),
            // All of a public zone is as good as everybody.
            (Host::Name(name), true) if !name.contains('.') => Err(CredentialsForError::Star),
            (Host::Name(_), _) | (Host::Address(_), false) => Ok(Self {
                host,
                is_below,
                port,
            }),
        }
    }

    fn allows(&self, proxy: &Authority) -> bool {
        if self.port.is_some_and(|port| port != proxy.port) {
            return false;
        }
        match (&self.host, &proxy.host) {
            (Host::Name(domain), Host::Name(name)) if self.is_below => name
                .strip_suffix(domain.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
            (Host::Address(listed), Host::Address(address)) => {
                listed.to_canonical() == address.to_canonical()
            }
            (Host::Name(listed), Host::Name(name)) => listed == name,
            (Host::Name(_), Host::Address(_)) | (Host::Address(_), Host::Name(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a24_listed_proxies_may_see_credentials_and_no_others() {
        let check = |list: &[&str], host: &str, port: u16, expected: bool| {
            let proxy = Authority {
                host: Host::parse(host).unwrap(),
                port,
            };
            let allowed = CredentialsFor::parse(list).unwrap().allows(&proxy);
            assert_eq!(allowed, expected, "{list:?} for {proxy}");
        };
        check(&[], "proxy.corp.test", 3128, false);
        check(&["proxy.corp.test"], "proxy.corp.test", 3128, true);
        check(&["proxy.corp.test"], "PROXY.corp.test.", 80, true);
        check(&["proxy.corp.test"], "a.proxy.corp.test", 80, false);
        check(&["proxy.corp.test"], "xproxy.corp.test", 80, false);
        check(&["proxy.corp.test"], "proxy.corp.test.evil", 80, false);
        check(&["proxy.corp.test:3128"], "proxy.corp.test", 3128, true);
        check(&["proxy.corp.test:3128"], "proxy.corp.test", 80, false);
        check(&["*.corp.test"], "proxy.corp.test", 80, true);
        check(&["*.corp.test"], "a.b.corp.test", 80, true);
        check(&["*.corp.test"], "corp.test", 80, false);
        check(&["*.corp.test"], "xcorp.test", 80, false);
        check(&["*.corp.test:1"], "proxy.corp.test", 2, false);
        check(&["10.0.0.1"], "10.0.0.1", 80, true);
        check(&["10.0.0.1"], "[::ffff:10.0.0.1]", 80, true);
        check(&["10.0.0.1"], "10.0.0.2", 80, false);
        check(&["[::1]:1"], "[::1]", 1, true);
        check(&["a.test", "b.test"], "b.test", 1, true);
    }

    #[test]
    fn a24_lists_that_say_too_much_or_nothing_are_refused() {
        use CredentialsForError as E;
        let check = |text: &str, error: E| {
            let list = ["good.test", text];
            assert_eq!(CredentialsFor::parse(&list), Err((1, error)), "{text:?}");
        };
        check("*", E::Star);
        check("*.", E::Host(HostError::Empty));
        check("*.test", E::Star);
        check("*corp.test", E::Star);
        check("a.*.test", E::Star);
        check("*.10.0.0.1", E::Star);
        check("", E::Host(HostError::Empty));
        check("http://proxy.test", E::Url);
        check("u@proxy.test", E::Url);
        check("10.0.0.0/8", E::Url);
        check("proxy.test:0", E::Port);
        check("proxy.test:x", E::Port);
        let long = vec!["a.test"; CREDENTIALS_FOR_ENTRIES_MAX + 1];
        let place = CREDENTIALS_FOR_ENTRIES_MAX;
        assert_eq!(CredentialsFor::parse(&long), Err((place, E::Long)));
    }
}
