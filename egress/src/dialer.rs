//! Which routes may be tried for a target, in which order, and a client for each.
//!
//! The only place where the proxy policy becomes an action. Under [`ProxyPolicy::Require`] the
//! direct route does not exist: there is no client to be had for it, so no code can leak a packet.
//! A host on the `no_proxy` list is direct only. No racing here: the caller tries in order.
//!
//! Where a PAC script names the proxies, [`Dialer::prepare`] asks it and waits; [`Dialer::routes`] reads what is
//! known and never waits. A proxy keeps its number while an answer that names it is remembered.

use crate::attempts::Attempts;
use crate::client::Client;
use crate::codes;
use crate::config::{ProxyPolicy, ProxySettings};
use crate::explanation::Explanation;
use crate::limits::{CONNECT_BUDGET, DNS_BUDGET, QUIC_BUDGET, TCP_BUDGET, TLS_BUDGET};
use crate::lockout::{LockoutKeeper, LockoutMemory};
use crate::mailbox_url::MailboxUrl;
use crate::pac::{Decision, Evaluate, Fetcher, Keeper, Means, PacEntry, PacFault};
use crate::path::Path;
use crate::proxies::Proxies;
use crate::route::Route;
use crate::tcp::{Resolve, SystemResolver, Traffic};
use crate::tls::{TimeKeeper, Trust};
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
    /// QUIC connect, all addresses, TLS included.
    pub quic: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            dns: DNS_BUDGET,
            tcp: TCP_BUDGET,
            connect: CONNECT_BUDGET,
            tls: TLS_BUDGET,
            quic: QUIC_BUDGET,
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
    #[error("{code} the record of rejected proxy credentials cannot be read or written ({0})", code = codes::LOCKOUT_RECORD)]
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
    proxies: Arc<Proxies>,
    keeper: Option<Arc<Keeper>>,
    evaluator: Option<Arc<dyn Evaluate>>,
    trust: Arc<Trust>,
    user_agent: String,
    resolver: Arc<dyn Resolve>,
    budgets: Budgets,
    has_quic: bool,
    attempts: Arc<Attempts>,
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
        let proxies = Proxies::new(&settings, LockoutKeeper::in_process());
        let keeper = settings.pac().cloned().map(Keeper::new);
        Ok(Self {
            settings,
            proxies: Arc::new(proxies),
            keeper: keeper.map(Arc::new),
            evaluator: None,
            trust,
            user_agent: user_agent.to_owned(),
            resolver: Arc::new(SystemResolver),
            budgets: Budgets::default(),
            has_quic: false,
            attempts: Arc::default(),
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
        if self.settings.policy() != ProxyPolicy::Off {
            let keeper = LockoutKeeper::open(memory);
            let keeper = keeper.map_err(|error| DialerError::LockoutRecord(error.kind()))?;
            self.proxies = Arc::new(Proxies::new(&self.settings, keeper));
        }
        Ok(self)
    }

    /// Says who evaluates PAC scripts; without it a script's proxies cannot be found out.
    #[must_use]
    pub fn with_evaluator(mut self, evaluator: Arc<dyn Evaluate>) -> Self {
        self.evaluator = Some(evaluator);
        self
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

    /// Offers QUIC too wherever the direct route may be taken. Off at first.
    #[must_use]
    pub const fn with_quic(mut self, has_quic: bool) -> Self {
        self.has_quic = has_quic;
        self
    }

    /// Returns the settings, for status output.
    #[must_use]
    pub const fn settings(&self) -> &ProxySettings {
        &self.settings
    }

    /// Returns the last attempts of all clients of this dialer.
    #[must_use]
    pub const fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    /// Returns the time at which certificates are checked.
    #[must_use]
    pub fn time(&self) -> &Arc<TimeKeeper> {
        self.trust.time()
    }

    /// Finds out what [`Dialer::routes`] needs to know of this target; at once where no script is asked.
    /// Waits [`PAC_PREPARE_BUDGET`](crate::limits::PAC_PREPARE_BUDGET) at most. To be called before each
    /// round of attempts: it asks again only what is due.
    ///
    /// # Errors
    /// [`PacFault`]: the last good answer stays in use. Without one there is the direct route
    /// where a proxy is preferred, and none at all where it is required.
    pub async fn prepare(&self, target: &MailboxUrl) -> Result<(), PacFault> {
        let target = target.authority();
        let Some(keeper) = &self.keeper else {
            return Ok(());
        };
        if self.settings.is_exempt(target) {
            return Ok(());
        }
        let means = Means {
            fetcher: Fetcher {
                resolver: self.resolver.as_ref(),
                trust: &self.trust,
                budgets: &self.budgets,
                user_agent: &self.user_agent,
            },
            resolver: &self.resolver,
            evaluator: self.evaluator.as_ref(),
        };
        let prepared = keeper.prepare(target, &means).await;
        self.proxies.keep(&keeper.entries());
        prepared
    }

    /// Asks every script again at the next [`Dialer::prepare`]: the network is another one.
    pub fn handle_network_change(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.handle_network_change();
        }
    }

    /// Returns the routes to try for this target, the best first: whoever does not race them pays QUIC's budget
    /// wherever UDP is dropped. Empty only where a PAC script is required and has
    /// not named a proxy (yet).
    #[must_use]
    pub fn routes(&self, target: &MailboxUrl) -> Vec<Route> {
        let direct = [Route::Quic, Route::Direct];
        let direct = direct
            .into_iter()
            .filter(|route| *route != Route::Quic || self.has_quic);
        if self.settings.is_exempt(target.authority()) {
            return direct.collect();
        }
        match &self.settings {
            ProxySettings::Off => direct.collect(),
            ProxySettings::Prefer(_) => [Route::Proxy(0)].into_iter().chain(direct).collect(),
            // Not one UDP packet either.
            ProxySettings::Require(_) => vec![Route::Proxy(0)],
            ProxySettings::Pac(choice) => {
                let decision = self.decision(target);
                let entries = decision.entries.iter().flatten();
                let mut routes: Vec<Route> = entries
                    .filter_map(|entry| match entry {
                        PacEntry::Direct => Some(Route::Direct),
                        PacEntry::Proxy(url) => self.proxies.place(url).map(Route::Proxy),
                    })
                    .collect();
                if choice.is_required {
                    // The keeper leaves it out already; this is where it would become a packet.
                    routes.retain(|route| matches!(route, Route::Proxy(_)));
                } else {
                    routes.extend(
                        direct
                            .filter(|route| !routes.contains(route))
                            .collect::<Vec<_>>(),
                    );
                }
                routes
            }
        }
    }

    fn decision(&self, target: &MailboxUrl) -> Decision {
        let keeper = self.keeper.as_ref();
        keeper.map_or_else(Decision::default, |keeper| {
            keeper.decision(target.authority())
        })
    }

    /// Says which routes there are for a target and why, from what is known; asks and looks up nothing.
    #[must_use]
    pub fn explain(&self, target: &MailboxUrl) -> Explanation {
        let script_from = self.keeper.as_ref().and_then(|keeper| keeper.script_from());
        Explanation::new(
            &self.settings,
            target.authority(),
            &self.routes(target),
            &self.proxies,
            script_from,
            self.decision(target),
        )
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
            Route::Direct | Route::Quic => None,
            Route::Proxy(place) => {
                let proxy = self.proxies.at(place);
                Some(proxy.ok_or(DialerError::Forbidden { route })?)
            }
        };
        let path = Path {
            target: target.clone(),
            proxy,
            is_quic: route == Route::Quic,
            trust: Arc::clone(&self.trust),
            resolver: Arc::clone(&self.resolver),
            budgets: self.budgets,
            user_agent: self.user_agent.clone(),
            traffic: Arc::new(Traffic::default()),
            trail: None,
            attempts: Arc::clone(&self.attempts),
            is_relay: Arc::default(),
        };
        Ok(match route {
            Route::Quic => Client::quic(path),
            Route::Direct | Route::Proxy(_) => Client::http(path),
        })
    }
}
