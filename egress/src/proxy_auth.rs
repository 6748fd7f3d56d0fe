//! The credentials for one proxy, shared by every connection of the process.
//!
//! Reads the secret file at each use, so that a corrected password is tried at once. While a secret
//! is not proven, one connection at a time may show it to the proxy: the others wait and learn the
//! result, so that two parallel connects never cost two tries. Proven credentials are sent without
//! being asked and in parallel.

use crate::connect::{Authenticator, ConnectFault};
use crate::fault::Fault;
use crate::lockout::{LockoutKeeper, Mark, Verdict};
use crate::secret::ProxySecret;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// The proxy's host and port.
    place: String,
    lockout: Arc<LockoutKeeper>,
    first: Semaphore,
}

/// Credentials about to be sent; while it lives, nobody else tries unproven ones.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    lockout: &'a LockoutKeeper,
    mark: Mark,
    is_settled: AtomicBool,
    pub(crate) header: Zeroizing<String>,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_settled.load(Ordering::Relaxed) {
            self.lockout.handle_unsettled(self.mark);
        }
    }
}

impl ProxyAuth {
    pub(crate) fn new(
        place: String,
        secret: Option<ProxySecret>,
        file: Option<PathBuf>,
        lockout: Arc<LockoutKeeper>,
    ) -> Self {
        let source = match (file, secret) {
            (Some(file), _) => SecretSource::File(file),
            (None, Some(secret)) => SecretSource::Fixed(secret),
            (None, None) => SecretSource::None,
        };
        Self {
            source,
            place,
            lockout,
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
        let mark = self.lockout.mark(&self.place, secret.fingerprint());
        let is_proven = self.lockout.verdict(mark) == Verdict::Proven;
        is_proven.then(|| self.ticket(mark, &secret, None))
    }

    /// Waits for the turn and returns the credentials, unless they are locked.
    pub(crate) async fn ask(&self) -> Result<Ticket<'_>, Fault> {
        let turn = self.first.acquire().await.ok();
        let Some(secret) = self.load()? else {
            unreachable!("an anonymous authenticator never asks for credentials")
        };
        let mark = self.lockout.mark(&self.place, secret.fingerprint());
        match self.lockout.verdict(mark) {
            Verdict::Locked { wait } => Err(ConnectFault::Locked { wait }.into()),
            Verdict::Proven | Verdict::MayTry => {
                let durable = self.lockout.handle_try(mark);
                durable.map_err(|error| Fault::LockoutRecord(error.kind()))?;
                Ok(self.ticket(mark, &secret, turn))
            }
        }
    }

    fn ticket<'a>(
        &'a self,
        mark: Mark,
        secret: &ProxySecret,
        turn: Option<SemaphorePermit<'a>>,
    ) -> Ticket<'a> {
        Ticket {
            lockout: &self.lockout,
            mark,
            is_settled: AtomicBool::new(false),
            header: secret.basic(),
            _turn: turn,
        }
    }

    pub(crate) fn handle_accepted(&self, ticket: &Ticket<'_>) {
        ticket.is_settled.store(true, Ordering::Relaxed);
        self.lockout.handle_accepted(ticket.mark);
    }

    pub(crate) fn handle_rejected(&self, ticket: &Ticket<'_>) {
        ticket.is_settled.store(true, Ordering::Relaxed);
        let wait = self.lockout.handle_rejected(ticket.mark);
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
}
