//! Getting out of the site: how a device reaches a mailbox from behind a strict network.
//!
//! ```text
//!   config + environment -> ProxySettings --+             prepare(target): asks the PAC script, if any
//!                              Trust (CAs) -+-> Dialer -- routes(target) -> direct | proxy 0..
//!                                                  |
//!                                                  +-- client(target, route) -> Client
//!                                                                                 |
//!   HoldLadder (how long to hold) <- age, end ------- exchange(body, limits) -----+-> Answer
//!   Backoff (when to try again)   <- TransportError (code, hop, next step) -------+
//! ```
//!
//! Start with [`ProxySettings::resolve`], [`Trust::new`] and [`Dialer::new`]; ask
//! [`Dialer::routes`] what may be tried, [`Dialer::explain`] why, and [`Client::exchange`] to do it. Bodies are opaque bytes.
//! An answer is only a candidate until its signature is verified, which is the caller's part: a
//! block page with status 200 is an [`Answer`] too. What this crate refuses: retries, redirects,
//! `Upgrade`, chunked uploads, unverified TLS, a direct connection where a proxy is required.
//!
//! Pure modules (no IO, no clock): [`connect`], [`socks`], [`scheme`], [`hold`], [`body_size`], [`lockout`], [`backoff`],
//! [`proxy_url`], [`no_proxy`], [`ladder`] (which way is in use). [`network`] tells networks apart. Time is read in [`clock`], the environment in [`environment`], every bound stands
//! in [`limits`].

pub mod attempts;
pub mod backoff;
pub mod body_size;
pub mod canary;
mod client;
pub mod clock;
pub mod codes;
pub mod config;
pub mod connect;
mod dialer;
pub mod environment;
mod explanation;
mod fault;
mod foreign;
#[cfg(feature = "testing")]
pub mod fuzz;
pub mod hold;
mod host;
mod http;
pub mod ladder;
pub mod limits;
pub mod lockout;
mod mailbox_url;
pub mod network;
pub mod no_proxy;
pub mod pac;
mod path;
mod pool;
mod proxies;
mod proxy_auth;
pub mod proxy_url;
pub mod push;
mod quic;
mod route;
pub mod scheme;
mod secret;
pub mod socks;
mod tcp;
mod tls;
mod trail;
mod tunnel;

pub use client::{Answer, Client, ExchangeLimits};
pub use config::{FileSettings, ProxyConfigError, ProxyPolicy, ProxySettings, Source};
pub use dialer::{Budgets, Dialer, DialerError};
pub use environment::Variables;
pub use explanation::{ExplainedRoute, Explanation};
pub use fault::{Fault, TransportError};
pub use foreign::Foreign;
pub use host::{Authority, Host, HostError};
pub use http::OpenBody;
pub use lockout::LockoutMemory;
pub use mailbox_url::{MailboxUrl, MailboxUrlError};
pub use path::{HttpVersion, LinkReport};
pub use proxy_auth::PasswordUse;
pub use quic::QuicFault;
pub use route::Route;
pub use scheme::{Schemes, SchemesError};
pub use secret::{ProxySecret, SecretError};
pub use tcp::{Lookup, Resolve, SystemResolver, Traffic};
pub use tls::{
    Date, LeafReport, Period, Reading, ShownIssuer, SystemTimeSource, TimeKeeper, TimeRefused,
    TimeReport, TimeSource, TlsClock, TlsFault, Trust, TrustError,
};
pub use trail::{Hop, Stage, Trail};
