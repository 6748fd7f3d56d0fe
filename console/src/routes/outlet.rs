//! From the configuration of a role to its routes: proxy, TLS anchors, the memory of rejected passwords.
//!
//! Refuses to start with a CA file or proxy setting that cannot be used.

use super::lockout::LockoutFile;
use super::{Address, Routes, Whereabouts};
use crate::clock::MachineClocks;
use crate::exit::CommandError;
use postern_egress::pac::ProcessEvaluator;
use postern_egress::{Dialer, ProxySettings, TimeKeeper, TlsClock, Trust as TlsTrust};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The word for a proxy setting that is a part of the network's name.
#[must_use]
pub fn proxy_word(proxy: &ProxySettings) -> String {
    let choice = proxy.choice();
    choice.map_or_else(
        || "none".to_owned(),
        |choice| format!("{} {:?}", choice.url.authority, choice.source),
    )
}

/// What decides how one role gets out.
#[derive(Debug, Clone, Copy)]
pub struct Outlet<'a> {
    /// The folder of the role: rejected passwords are remembered there.
    pub dir: &'a Path,
    /// The proxy, if any.
    pub proxy: &'a ProxySettings,
    /// PEM files that vouch for TLS beside the system.
    pub extra_ca_files: &'a [PathBuf],
    /// Longest hold that is tried.
    pub hold_ceiling: Duration,
    /// How this program calls itself in HTTP.
    pub user_agent: &'a str,
    /// Whether QUIC may be tried, where the proxy policy allows a direct way.
    pub has_quic: bool,
    /// The time that this role took last in an earlier life, in seconds since 1970.
    pub last_time_s: Option<u64>,
}

impl Outlet<'_> {
    /// Makes the routes to mailboxes at `addresses`, trusted through the system, the configuration and `anchor`, the
    /// certificate (DER) that came with the join or relay line.
    ///
    /// # Errors
    /// A CA file, proxy setting or URL that cannot be used.
    pub fn routes(
        &self,
        addresses: &[Address],
        anchor: Option<&[u8]>,
    ) -> Result<Routes, CommandError> {
        self.routes_by(self.dialer(anchor)?, self.whereabouts(), addresses)
    }

    /// Looks where this machine is; once for a folder.
    #[must_use]
    pub fn whereabouts(&self) -> Whereabouts {
        Whereabouts::open(self.dir, proxy_word(self.proxy))
    }

    /// Makes the routes to mailboxes along a dialer, and with a memory, that others use too.
    ///
    /// # Errors
    /// A URL that cannot be used.
    pub fn routes_by(
        &self,
        dialer: Dialer,
        whereabouts: Whereabouts,
        addresses: &[Address],
    ) -> Result<Routes, CommandError> {
        Routes::new(dialer, whereabouts, addresses, self.hold_ceiling)
    }

    /// Makes the dialer of a process: `anchors` (DER) vouch for TLS beside the system and the configuration.
    ///
    /// # Errors
    /// A CA file or proxy setting that cannot be used.
    pub fn dialer<'b>(
        &self,
        anchors: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<Dialer, CommandError> {
        let dialer = self.passing_dialer(anchors)?;
        let memory = LockoutFile::new(self.dir);
        let place = memory.path().display().to_string();
        dialer
            .with_lockout_memory(Arc::new(memory))
            .map_err(|error| {
                let message = format!("{place}: {error}");
                let next = "make room and correct the mode of the file, or remove it";
                CommandError::configuration("proxy-lockout", message, next)
            })
    }

    /// Makes a dialer for a command that has no folder: it remembers rejected passwords until it ends.
    ///
    /// # Errors
    /// A CA file or proxy setting that cannot be used.
    pub fn passing_dialer<'b>(
        &self,
        anchors: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<Dialer, CommandError> {
        let pem: String = anchors.into_iter().map(crate::pem::certificate).collect();
        let pem = Some(pem).filter(|pem| !pem.is_empty());
        //= spec/lives.md#join-line
        //# Field 8 adds a trust anchor for TLS to the mailbox; a device MUST NOT take it as authority
        //# over messages.
        let trust =
            TlsTrust::new(self.extra_ca_files.to_vec(), pem.as_deref()).map_err(|error| {
                CommandError::configuration("tls-trust", error.to_string(), "ask for a new line")
            })?;
        let clock = TlsClock::new(self.last_time_s);
        let keeper = TimeKeeper::new(clock, Arc::new(MachineClocks));
        let trust = trust.with_time(Arc::new(keeper));
        let dialer = Dialer::new(self.proxy.clone(), Arc::new(trust), self.user_agent);
        let dialer = dialer.map_err(|error| {
            let next =
                "give transport.user_agent 1 to 256 printable ASCII characters, or leave it out";
            CommandError::configuration("user-agent", error.to_string(), next)
        })?;
        let evaluator = ProcessEvaluator::of_this_program(crate::script_child::SUBCOMMAND);
        let dialer = dialer.with_evaluator(Arc::new(evaluator));
        Ok(dialer.with_quic(self.has_quic))
    }
}
