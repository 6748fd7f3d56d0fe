//! What the commands of Postern share, `postern` and `postern-relay`: how an operator is spoken to.
//!
//! Reading order: [`exit`] (how a command ends), [`output`], [`config`] (strict TOML), [`keys`]
//! (private key files), [`listener_secret`] (of a QUIC door), [`certificate`] (TLS of the hop), [`telemetry`] (logs),
//! [`routes`] (the ways to mailboxes), [`doctor`] (why they do not work). Time is read in [`clock`] only, random bytes
//! in [`random`] only.
//! Refuses to know what any command is about.

pub mod certificate;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod exit;
pub mod folder;
pub mod keys;
pub mod listener_secret;
pub mod output;
pub mod pem;
pub mod random;
pub mod routes;
pub mod script_child;
mod store;
pub mod telemetry;
