//! The proxies of a dialer, each with a number and its credentials' state.
//!
//! A configured proxy is number 0. Those of a PAC script get numbers as they are named and keep them while a
//! remembered answer names them; beyond [`PROXIES_MAX`] at a time they are left out. The one place
//! that decides whether a proxy gets credentials: a proxy that a script names, and that the operator
//! did not list, has none to show.

use crate::config::ProxySettings;
use crate::limits::PROXIES_MAX;
use crate::lockout::LockoutKeeper;
use crate::pac::PacEntry;
use crate::path::Proxy;
use crate::proxy_auth::{Place, ProxyAuth};
use crate::proxy_url::{ProxyScheme, ProxyUrl};
use crate::scheme::Schemes;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(crate) struct Proxies {
    settings: ProxySettings,
    lockout: Arc<LockoutKeeper>,
    known: Mutex<Vec<Proxy>>,
}

impl Proxies {
    pub(crate) fn new(settings: &ProxySettings, lockout: LockoutKeeper) -> Self {
        let proxies = Self {
            settings: settings.clone(),
            lockout: Arc::new(lockout),
            known: Mutex::default(),
        };
        if let Some(choice) = settings.choice() {
            let proxy = proxies.make(0, &choice.url);
            proxies.known().push(proxy);
        }
        proxies
    }

    fn known(&self) -> MutexGuard<'_, Vec<Proxy>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn at(&self, place: u8) -> Option<Proxy> {
        self.known().get(usize::from(place)).cloned()
    }

    pub(crate) fn place(&self, url: &ProxyUrl) -> Option<u8> {
        let known = self.known();
        let found = known.iter().find(|proxy| is_same(&proxy.url, url));
        found.map(|proxy| proxy.place)
    }

    /// Numbers the proxies of all remembered answers, at the cost of those that none names.
    pub(crate) fn keep(&self, entries: &[PacEntry]) {
        let named = || {
            entries.iter().filter_map(|entry| match entry {
                PacEntry::Direct => None,
                PacEntry::Proxy(url) => Some(url),
            })
        };
        let mut known = self.known();
        for url in named() {
            if known.iter().any(|proxy| is_same(&proxy.url, url)) {
                continue;
            }
            if known.len() < PROXIES_MAX {
                let Ok(place) = u8::try_from(known.len()) else {
                    return;
                };
                known.push(self.make(place, url));
                continue;
            }
            let free = known
                .iter_mut()
                .find(|proxy| !named().any(|url| is_same(&proxy.url, url)));
            if let Some(free) = free {
                *free = self.make(free.place, url);
            }
        }
    }

    /// Tells whether credentials exist that this proxy may see.
    pub(crate) fn may_see_credentials(&self, url: &ProxyUrl) -> bool {
        let has_some = match &self.settings {
            ProxySettings::Off => false,
            ProxySettings::Prefer(choice) | ProxySettings::Require(choice) => {
                choice.url.secret.is_some() || choice.secret_file.is_some()
            }
            ProxySettings::Pac(choice) => choice.secret_file.is_some(),
        };
        has_some && self.is_listed(url)
    }

    fn is_listed(&self, url: &ProxyUrl) -> bool {
        match &self.settings {
            ProxySettings::Off => false,
            ProxySettings::Prefer(choice) | ProxySettings::Require(choice) => {
                choice.may_see_credentials()
            }
            ProxySettings::Pac(choice) => choice.credentials_for.allows(&url.authority),
        }
    }

    fn secret_file(&self) -> Option<PathBuf> {
        match &self.settings {
            ProxySettings::Off => None,
            ProxySettings::Prefer(choice) | ProxySettings::Require(choice) => {
                choice.secret_file.clone()
            }
            ProxySettings::Pac(choice) => choice.secret_file.clone(),
        }
    }

    fn make(&self, place: u8, url: &ProxyUrl) -> Proxy {
        // Nothing for a proxy that is not listed: neither a password nor a ticket of this machine.
        let (secret, file, schemes) = if self.is_listed(url) {
            (url.secret.clone(), self.secret_file(), self.schemes())
        } else {
            (None, None, Schemes::none())
        };
        let auth = ProxyAuth::new(
            Place {
                host: url.authority.host.clone(),
                port: url.authority.port,
                is_hidden: url.scheme == ProxyScheme::Https,
            },
            secret,
            file,
            schemes,
            Arc::clone(&self.lockout),
        );
        Proxy {
            place,
            url: url.clone(),
            auth: Arc::new(auth),
        }
    }

    fn schemes(&self) -> Schemes {
        match &self.settings {
            ProxySettings::Off => Schemes::none(),
            ProxySettings::Prefer(choice) | ProxySettings::Require(choice) => {
                choice.schemes.clone()
            }
            ProxySettings::Pac(choice) => choice.schemes.clone(),
        }
    }
}

fn is_same(one: &ProxyUrl, other: &ProxyUrl) -> bool {
    one.scheme == other.scheme && one.authority == other.authority
}
