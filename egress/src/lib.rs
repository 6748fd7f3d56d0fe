//! Getting out of the site: how a device reaches a mailbox from behind a strict network.
//!
//! ```text
//!   config + environment -> ProxySettings --+
//!                              Trust (CAs) -+-> Dialer -- routes(target) -> direct | proxy
//!                                                  |
//!                                                  +-- client(target, route) -> Client
//!                                                                                 |
//!   HoldLadder (how long to hold) <- age, end ------- exchange(body, limits) -----+-> Answer
//!   Backoff (when to try again)   <- TransportError (code, hop, next step) -------+
//! ```
//!
//! Start with [`ProxySettings::resolve`], [`Trust::new`] and [`Dialer::new`]; ask
//! [`Dialer::routes`] what may be tried and [`Client::exchange`] to do it. Bodies are opaque bytes.
//! An answer is only a candidate until its signature is verified, which is the caller's part: a
//! block page with status 200 is an [`Answer`] too. What this crate refuses: retries, redirects,
//! `Upgrade`, chunked uploads, unverified TLS, a direct connection where a proxy is required.
//!
//! Pure modules (no IO, no clock): [`connect`], [`socks`], [`scheme`], [`hold`], [`body_size`], [`lockout`], [`backoff`],
//! [`proxy_url`], [`no_proxy`]. Time is read in [`clock`], the environment in [`environment`], every bound stands
//! in [`limits`].

pub mod backoff;
pub mod body_size;
mod client;
pub mod clock;
pub mod config;
pub mod connect;
mod dialer;
pub mod environment;
mod fault;
mod foreign;
pub mod fuzz;
pub mod hold;
mod host;
pub mod limits;
pub mod lockout;
mod mailbox_url;
pub mod no_proxy;
mod path;
mod pool;
mod proxy_auth;
pub mod proxy_url;
mod route;
pub mod scheme;
mod secret;
pub mod socks;
mod tcp;
mod tls;
mod tunnel;

pub use client::{Answer, Client, ExchangeLimits};
pub use config::{FileSettings, ProxyConfigError, ProxyPolicy, ProxySettings};
pub use dialer::{Budgets, Dialer, DialerError};
pub use environment::Variables;
pub use fault::{Fault, TransportError};
pub use foreign::Foreign;
pub use host::{Authority, Host, HostError};
pub use lockout::LockoutMemory;
pub use mailbox_url::{MailboxUrl, MailboxUrlError};
pub use path::{HttpVersion, LinkReport};
pub use route::Route;
pub use scheme::{Schemes, SchemesError};
pub use secret::{ProxySecret, SecretError};
pub use tcp::{Lookup, Resolve, SystemResolver, Traffic};
pub use tls::{LeafReport, TlsFault, Trust, TrustError};
