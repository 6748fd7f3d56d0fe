//! Why a target is reached the way it is: policy, source, exception, routes, what was left out.
//!
//! A value for status output and doctor; its text is for people. Holds no secret. Says only what is
//! known: it asks no script and looks nothing up.

use crate::config::{ProxyPolicy, ProxySettings};
use crate::foreign::Foreign;
use crate::host::Authority;
use crate::pac::{Decision, PacFault, Skipped};
use crate::proxies::Proxies;
use crate::route::Route;
use std::fmt;

/// Which routes a target has, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Host and port of the target.
    pub target: String,
    /// How binding the proxy is.
    pub policy: ProxyPolicy,
    /// Which file and key, variable or script says so: `device.toml: proxy.url`,
    /// `environment variable https_proxy`, `http://pac.corp.test/p.pac (device.toml: proxy.pac)`.
    pub source: Option<String>,
    /// The entry of `no_proxy` because of which the proxy does not count.
    pub exempt_by: Option<String>,
    /// The routes in order.
    pub routes: Vec<ExplainedRoute>,
    /// Entries of the script's answer that were left out.
    pub skipped: Vec<(Foreign, Skipped)>,
    /// Why the newest question to the script was not answered; the routes follow from an older answer, if any.
    pub fault: Option<PacFault>,
    /// What an operator might not expect.
    pub notes: Vec<String>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedRoute {
    /// Its name.
    pub route: Route,
    /// The proxy, without credentials.
    pub proxy: Option<String>,
    /// Whether the proxy would be shown credentials if it asked.
    pub has_credentials: bool,
}

impl Explanation {
    pub(crate) fn new(
        settings: &ProxySettings,
        target: &Authority,
        routes: &[Route],
        proxies: &Proxies,
        script_from: Option<String>,
        decision: Decision,
    ) -> Self {
        let exempt_by = settings.exempt_by(target).map(str::to_owned);
        let is_asked = exempt_by.is_none() && settings.pac().is_some();
        let routes = routes.iter().map(|route| {
            let proxy = match route {
                Route::Direct | Route::Quic => None,
                Route::Proxy(place) => proxies.at(*place),
            };
            ExplainedRoute {
                route: *route,
                has_credentials: proxy
                    .as_ref()
                    .is_some_and(|proxy| proxies.may_see_credentials(&proxy.url)),
                proxy: proxy.map(|proxy| proxy.url.to_string()),
            }
        });
        Self {
            target: target.to_string(),
            policy: settings.policy(),
            source: source(settings, script_from),
            exempt_by,
            routes: routes.collect(),
            skipped: if is_asked {
                decision.skipped
            } else {
                Vec::new()
            },
            fault: decision.fault.filter(|_| is_asked),
            notes: notes(settings),
        }
    }
}

fn source(settings: &ProxySettings, script_from: Option<String>) -> Option<String> {
    match settings {
        ProxySettings::Off => None,
        ProxySettings::Prefer(choice) | ProxySettings::Require(choice) => {
            Some(choice.source.describe("proxy.url"))
        }
        ProxySettings::Pac(choice) => {
            let from = script_from.unwrap_or_else(|| choice.place.to_string());
            Some(format!("{from} ({})", choice.source.describe(choice.key())))
        }
    }
}

fn notes(settings: &ProxySettings) -> Vec<String> {
    let mut notes = Vec::new();
    let withheld = "no credentials are sent: proxy.credentials_for does not list the proxy";
    match settings {
        ProxySettings::Off => {}
        ProxySettings::Prefer(choice) | ProxySettings::Require(choice) => {
            if let Some(key) = choice.overrides {
                notes.push(format!(
                    "{key} does not count: {} comes first",
                    choice.source
                ));
            }
            let has_some = choice.url.secret.is_some() || choice.secret_file.is_some();
            if has_some && !choice.may_see_credentials() {
                notes.push(withheld.to_owned());
            }
        }
        ProxySettings::Pac(choice) => {
            if choice.secret_file.is_some() && choice.credentials_for == Default::default() {
                notes.push(withheld.to_owned());
            }
        }
    }
    notes
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.target)?;
        for (place, one) in self.routes.iter().enumerate() {
            f.write_str(if place == 0 { " " } else { ", then " })?;
            match &one.proxy {
                Some(proxy) => write!(f, "{proxy}")?,
                None => write!(f, "{}", one.route)?,
            }
            if one.has_credentials {
                f.write_str(" with credentials")?;
            }
        }
        if self.routes.is_empty() {
            f.write_str(" no way")?;
        }
        match (&self.exempt_by, &self.source) {
            (Some(entry), _) => write!(f, " (no_proxy: {entry})")?,
            (None, Some(source)) => {
                let mode = match self.policy {
                    ProxyPolicy::Off => "off",
                    ProxyPolicy::Prefer => "prefer",
                    ProxyPolicy::Require => "require",
                };
                write!(f, " (source {source}, mode={mode}, no_proxy: no match)")?;
            }
            (None, None) => f.write_str(" (no proxy is configured)")?,
        }
        for (entry, why) in &self.skipped {
            write!(f, "; left out \"{entry}\": {why}")?;
        }
        if let Some(fault) = &self.fault {
            write!(
                f,
                "; {} {fault}; next step: {}",
                fault.code(),
                fault.remedy()
            )?;
        }
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}
