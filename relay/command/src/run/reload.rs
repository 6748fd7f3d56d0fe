//! Reading configuration and certificate again without dropping a connection: all of it, or none.
//!
//! ```text
//!  relay.toml -> parse -> certificate and key fit? -> server takes them -> the new configuration counts
//!       '----------------'---------- any error: the old one goes on ----'
//! ```
//!
//! Refuses to pretend: keys that take a restart are named and go on with their old value.

use crate::check::{Certificate, read_certificate};
use crate::config::{Change, Limit, LogOverride, RelayConfig, Takes};
use crate::health::Health;
use crate::operable::Operable;
use crate::telemetry::LevelHandle;
use postern_console::exit::CommandError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reloaded {
    /// Keys that count now.
    pub(super) changed: Vec<Change>,
    /// Keys that count at the next start.
    pub(super) needs_restart: Vec<Change>,
}

/// The configuration that counts, and what is needed to change it.
pub(super) struct Reloader {
    config: Arc<RelayConfig>,
    relay: Arc<dyn Operable>,
    health: Arc<Health>,
    level: LevelHandle,
    over: LogOverride,
    seen: Seen,
}

/// When the certificate's files were changed last, as far as they could be looked at.
type Seen = [Option<SystemTime>; 2];

impl Reloader {
    /// Takes over what `run` has started with.
    pub(super) fn new(
        config: Arc<RelayConfig>,
        certificate: &Certificate,
        relay: Arc<dyn Operable>,
        health: Arc<Health>,
        level: LevelHandle,
        over: LogOverride,
    ) -> Self {
        let seen = seen(&config);
        show(&health, certificate, &config);
        Self {
            config,
            relay,
            health,
            level,
            over,
            seen,
        }
    }

    /// Returns the configuration that counts.
    pub(super) const fn config(&self) -> &Arc<RelayConfig> {
        &self.config
    }

    /// Reads everything again.
    pub(super) fn reload(&mut self) -> Result<Reloaded, CommandError> {
        let result = self.try_reload();
        self.health.count_reload(result.is_ok());
        match &result {
            Ok(done) => {
                for change in &done.changed {
                    tracing::info!(key = %change.key, from = %change.from, to = %change.to, "changed configuration");
                }
                for change in &done.needs_restart {
                    tracing::warn!(key = %change.key, to = %change.to, "this key takes a restart");
                }
                tracing::info!(
                    changed = done.changed.len(),
                    needs_restart = done.needs_restart.len(),
                    "reloaded configuration"
                );
            }
            Err(error) => {
                tracing::error!(reason = %error.message, next = %error.next, "refused configuration; the old one goes on");
            }
        }
        result
    }

    fn try_reload(&mut self) -> Result<Reloaded, CommandError> {
        let mut newer = RelayConfig::load(&self.config.dir)?;
        newer.override_log(&self.over);
        let seen = seen(&newer);
        let certificate = read_certificate(&newer)?;
        // The last step that can fail; what follows are assignments.
        self.take_certificate(&certificate)?;
        let all = self.config.changes(&newer).into_iter();
        let (changed, needs_restart) = all.partition(|change| change.takes == Takes::Reload);
        let config = RelayConfig {
            urls: newer.urls,
            tls: newer.tls,
            limits: self.merged(&newer.limits),
            log: postern_console::config::LogConfig {
                level: newer.log.level,
                is_json: self.config.log.is_json,
            },
            ..(*self.config).clone()
        };
        self.config = Arc::new(config);
        self.level.set(&self.config.log.level);
        self.seen = seen;
        show(&self.health, &certificate, &self.config);
        Ok(Reloaded {
            changed,
            needs_restart,
        })
    }

    /// Takes the certificate again when one of its files has changed. Returns whether it did.
    pub(super) fn look_at_certificate(&mut self) -> bool {
        let seen = seen(&self.config);
        if seen == self.seen {
            return false;
        }
        // Chain and key are two files: between their changes they do not fit, and are looked at again.
        let taken = read_certificate(&self.config).and_then(|certificate| {
            self.take_certificate(&certificate)?;
            Ok(certificate)
        });
        match taken {
            Ok(certificate) => {
                self.seen = seen;
                show(&self.health, &certificate, &self.config);
                true
            }
            Err(error) => {
                tracing::warn!(reason = %error.message, "the changed certificate is not taken; the old one stays");
                false
            }
        }
    }

    fn take_certificate(&self, certificate: &Certificate) -> Result<(), CommandError> {
        let pem = &certificate.pem;
        let (chain, key) = (pem.chain.as_bytes(), pem.key.as_bytes());
        self.relay
            .replace_certificate(chain, key)
            .map_err(|reason| {
                let next = "put chain and key in place together, then reload";
                CommandError::configuration("certificate-refused", reason, next)
            })
    }

    /// The new numbers, but the old ones where a change takes a restart.
    fn merged(&self, newer: &crate::config::Limits) -> crate::config::Limits {
        let mut merged = self.config.limits.clone();
        for limit in Limit::ALL {
            if limit.spec().takes == Takes::Reload {
                merged.set(*limit, newer.of(*limit));
            }
        }
        merged
    }
}

fn show(health: &Health, certificate: &Certificate, config: &RelayConfig) {
    let days = config.limits.of(Limit::CertificateDays);
    health.set_certificate(certificate.validity.not_after_s, days);
}

fn seen(config: &RelayConfig) -> Seen {
    let changed = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        metadata.modified().ok()
    };
    [changed(&config.tls.cert), changed(&config.tls.key)]
}
