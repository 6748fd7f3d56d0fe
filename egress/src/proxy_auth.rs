//! The credentials for one proxy, shared by every connection of the process.
//!
//! Reads the secret file at each use, so that a corrected password is tried at once. While a secret
//! is not proven, one connection at a time may show it to the proxy: the others wait and learn the
//! result, so that two parallel connects never cost two tries. Proven credentials are sent without
//! being asked and in parallel.

use crate::clock::Clock;
use crate::connect::{Authenticator, ConnectFault};
use crate::fault::Fault;
use crate::lockout::{Fingerprint, Lockout, Verdict};
use crate::secret::ProxySecret;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

#[derive(Debug)]
enum SecretSource {
    None,
    Fixed(ProxySecret),
    File(PathBuf),
}

/// Credentials and what is known about them.
#[derive(Debug)]
pub(crate) struct ProxyAuth {
    source: SecretSource,
    clock: Clock,
    lockout: Mutex<Lockout>,
    first: Semaphore,
}

/// Credentials about to be sent; while it lives, nobody else tries unproven ones.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    fingerprint: Fingerprint,
    pub(crate) header: Zeroizing<String>,
    _turn: Option<SemaphorePermit<'a>>,
}

impl ProxyAuth {
    pub(crate) fn new(secret: Option<ProxySecret>, file: Option<PathBuf>) -> Self {
        let source = match (file, secret) {
            (Some(file), _) => SecretSource::File(file),
            (None, Some(secret)) => SecretSource::Fixed(secret),
            (None, None) => SecretSource::None,
        };
        Self {
            source,
            clock: Clock::start(),
            lockout: Mutex::new(Lockout::new()),
            first: Semaphore::new(1),
        }
    }

    pub(crate) const fn authenticator(&self) -> Authenticator {
        match self.source {
            SecretSource::None => Authenticator::Anonymous,
            SecretSource::Fixed(_) | SecretSource::File(_) => Authenticator::Basic,
        }
    }

    /// Returns credentials that this proxy accepted before. An unreadable file is no error here:
    /// the proxy may not ask.
    pub(crate) fn proven(&self) -> Option<Ticket<'_>> {
        let secret = self.load().ok()??;
        let fingerprint = secret.fingerprint();
        let verdict = self.lockout().verdict(self.clock.now(), fingerprint);
        (verdict == Verdict::Proven).then(|| Ticket {
            fingerprint,
            header: secret.basic(),
            _turn: None,
        })
    }

    /// Waits for the turn and returns the credentials, unless they are locked.
    pub(crate) async fn ask(&self) -> Result<Ticket<'_>, Fault> {
        let turn = self.first.acquire().await.ok();
        let Some(secret) = self.load()? else {
            unreachable!("an anonymous authenticator never asks for credentials")
        };
        let fingerprint = secret.fingerprint();
        match self.lockout().verdict(self.clock.now(), fingerprint) {
            Verdict::Locked { wait } => Err(ConnectFault::Locked { wait }.into()),
            Verdict::Proven | Verdict::MayTry => Ok(Ticket {
                fingerprint,
                header: secret.basic(),
                _turn: turn,
            }),
        }
    }

    pub(crate) fn handle_accepted(&self, ticket: &Ticket<'_>) {
        self.lockout().handle_accepted(ticket.fingerprint);
    }

    pub(crate) fn handle_rejected(&self, ticket: &Ticket<'_>) {
        let now = self.clock.now();
        let wait = self.lockout().handle_rejected(now, ticket.fingerprint);
        tracing::warn!(
            reason = "proxy-credentials-rejected",
            wait_s = wait.as_secs(),
            "stopped sending the proxy credentials"
        );
    }

    fn load(&self) -> Result<Option<ProxySecret>, Fault> {
        match &self.source {
            SecretSource::None => Ok(None),
            SecretSource::Fixed(secret) => Ok(Some(secret.clone())),
            SecretSource::File(path) => Ok(Some(ProxySecret::from_file(path)?)),
        }
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
