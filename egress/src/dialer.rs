//! Which routes may be tried for a target, in which order, and a client for each.
//!
//! The only place where the proxy policy becomes an action. Under [`ProxyPolicy::Require`] the
//! direct route does not exist: there is no client to be had for it, so no code can leak a packet.
//! A host on the `no_proxy` list is direct only. No racing here: the caller tries in order.

use crate::client::Client;
use crate::config::{ProxyPolicy, ProxySettings};
use crate::limits::{CONNECT_BUDGET, DNS_BUDGET, TCP_BUDGET, TLS_BUDGET};
use crate::lockout::{LockoutKeeper, LockoutMemory};
use crate::mailbox_url::MailboxUrl;
use crate::path::{Path, Proxy};
use crate::proxy_auth::{Place, ProxyAuth};
use crate::proxy_url::ProxyScheme;
use crate::route::Route;
use crate::tcp::{Resolve, SystemResolver, Traffic};
use crate::tls::Trust;
use hyper::header::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// How long each hop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Name lookup.
    pub dns: Duration,
    /// TCP connect, all addresses.
    pub tcp: Duration,
    /// CONNECT, all authentication legs.
    pub connect: Duration,
    /// One TLS handshake.
    pub tls: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            dns: DNS_BUDGET,
            tcp: TCP_BUDGET,
            connect: CONNECT_BUDGET,
            tls: TLS_BUDGET,
        }
    }
}

/// A dialer or client that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialerError {
    /// The user agent is no header value.
    #[error("PST-C04 the user agent must be 1 to 256 printable ASCII characters")]
    UserAgent,
    /// The record of rejected proxy credentials cannot be kept.
    #[error("PST-C05 the record of rejected proxy credentials cannot be read or written ({0})")]
    LockoutRecord(std::io::ErrorKind),
    /// The policy forbids this route to this target.
    #[error("the proxy policy forbids the {route} route to this target")]
    Forbidden {
        /// The route.
        route: Route,
    },
}

/// Makes clients, according to the proxy policy. One per process: it shares credentials' state.
#[derive(Clone, Debug)]
pub struct Dialer {
    settings: ProxySettings,
    proxy: Option<Proxy>,
    trust: Arc<Trust>,
    user_agent: String,
    resolver: Arc<dyn Resolve>,
    budgets: Budgets,
}

impl Dialer {
    /// Starts with the system's resolver and the default budgets.
    ///
    /// # Errors
    /// [`DialerError::UserAgent`] when the user agent cannot be sent.
    pub fn new(
        settings: ProxySettings,
        trust: Arc<Trust>,
        user_agent: &str,
    ) -> Result<Self, DialerError> {
        let printable = user_agent.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let legal = printable && (1..=256).contains(&user_agent.len());
        if !legal || HeaderValue::from_str(user_agent).is_err() {
            return Err(DialerError::UserAgent);
        }
        let proxy = proxy(&settings, LockoutKeeper::in_process());
        Ok(Self {
            settings,
            proxy,
            trust,
            user_agent: user_agent.to_owned(),
            resolver: Arc::new(SystemResolver),
            budgets: Budgets::default(),
        })
    }

    /// Keeps the lock-out of rejected proxy credentials beyond this process. Touches nothing when
    /// no proxy is configured.
    ///
    /// # Errors
    /// [`DialerError::LockoutRecord`] when the record can be neither read nor written.
    pub fn with_lockout_memory(
        mut self,
        memory: Arc<dyn LockoutMemory>,
    ) -> Result<Self, DialerError> {
        if self.proxy.is_some() {
            let keeper = LockoutKeeper::open(memory);
            let keeper = keeper.map_err(|error| DialerError::LockoutRecord(error.kind()))?;
            self.proxy = proxy(&self.settings, keeper);
        }
        Ok(self)
    }

    /// Replaces the resolver.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Replaces the budgets.
    #[must_use]
    pub const fn with_budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = budgets;
        self
    }

    /// Returns the settings, for status output.
    #[must_use]
    pub const fn settings(&self) -> &ProxySettings {
        &self.settings
    }

    /// Returns the routes to try for this target, in order; never empty.
    #[must_use]
    pub fn routes(&self, target: &MailboxUrl) -> Vec<Route> {
        if self.settings.is_exempt(target.authority()) {
            return vec![Route::Direct];
        }
        match self.settings.policy() {
            ProxyPolicy::Off => vec![Route::Direct],
            ProxyPolicy::Prefer => vec![Route::Proxy(0), Route::Direct],
            ProxyPolicy::Require => vec![Route::Proxy(0)],
        }
    }

    /// Makes a client for one target and route. It connects at its first exchange.
    ///
    /// # Errors
    /// [`DialerError::Forbidden`] when [`Dialer::routes`] does not have this route.
    pub fn client(&self, target: &MailboxUrl, route: Route) -> Result<Client, DialerError> {
        if !self.routes(target).contains(&route) {
            return Err(DialerError::Forbidden { route });
        }
        let proxy = match route {
            Route::Direct => None,
            Route::Quic => return Err(DialerError::Forbidden { route }),
            Route::Proxy(_) => Some(self.proxy.clone().ok_or(DialerError::Forbidden { route })?),
        };
        Ok(Client::new(Path {
            target: target.clone(),
            proxy,
            trust: Arc::clone(&self.trust),
            resolver: Arc::clone(&self.resolver),
            budgets: self.budgets,
            user_agent: self.user_agent.clone(),
            traffic: Arc::new(Traffic::default()),
        }))
    }
}

fn proxy(settings: &ProxySettings, lockout: LockoutKeeper) -> Option<Proxy> {
    let choice = settings.choice()?;
    let auth = ProxyAuth::new(
        Place {
            host: choice.url.authority.host.clone(),
            port: choice.url.authority.port,
            is_hidden: choice.url.scheme == ProxyScheme::Https,
        },
        choice.url.secret.clone(),
        choice.secret_file.clone(),
        choice.schemes.clone(),
        Arc::new(lockout),
    );
    Some(Proxy {
        url: choice.url.clone(),
        auth: Arc::new(auth),
    })
}
