//! Acceptance scenarios of getting out, against in-process fakes on loopback with real TLS.
//!
//! Each test's name begins with the scenario it stands for.

#![expect(
    clippy::unwrap_used,
    reason = "a fake that cannot do its part fails the test"
)]

mod answers;
mod attempts;
mod authentication;
mod authentication_hostile;
mod direct;
mod fronts;
mod inspection;
mod lockout;
mod origin;
mod pac_fetch;
mod pac_routes;
mod pac_scripts;
mod pki;
mod proxied;
mod proxy;
mod quic;
mod site;
mod socks;
mod time;
