//! The credentials for one proxy, shared by every connection of the process.
//!
//! ```text
//!   ProxyAuth -- one for each CONNECT --> Conversation: challenge in, Proxy-Authorization out
//!       \-- shown secrets, as Tickets --> LockoutKeeper: tried, accepted, rejected
//! ```
//!
//! Reads the secret file at each use, so that a corrected password is tried at once. While a secret
//! is not proven, one connection at a time may show it to the proxy: the others wait and learn the
//! result, so that two parallel connects never cost two tries. A rejection counts for the secret,
//! whatever the scheme. Proven credentials are sent without being asked and in parallel.

mod conversation;
mod negotiate;

pub(crate) use conversation::{Answer, Conversation};

use crate::connect::ConnectFault;
use crate::environment;
use crate::fault::Fault;
use crate::host::Host;
use crate::lockout::{Fingerprint, LockoutKeeper, Mark, Verdict};
use crate::scheme::digest::DigestSession;
use crate::scheme::{Scheme, Schemes};
use crate::secret::ProxySecret;
use negotiate::{SystemTickets, Tickets};
use sha2::{Digest as _, Sha256};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

#[derive(Debug)]
enum SecretSource {
    None,
    Fixed(ProxySecret),
    File(PathBuf),
}

/// The proxy that credentials are for.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Nobody between here and the proxy reads what is sent.
    pub(crate) is_hidden: bool,
}

/// Whose password is shown at which host. Ways that are alike in it must not show it at the same time: a wrong one would
/// be counted twice. Passwords are no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordUse {
    host: Host,
    user: User,
}

/// A user, as far as it is known before a connection is opened.
#[derive(Clone, PartialEq, Eq)]
enum User {
    Named(String),
    /// Whoever stands in the file at that time.
    OfFile(PathBuf),
}

impl std::fmt::Debug for PasswordUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordUse({}, ..)", self.host)
    }
}

/// Credentials and what is known about them.
#[derive(Debug)]
pub(crate) struct ProxyAuth {
    source: SecretSource,
    place: Place,
    schemes: Schemes,
    lockout: Arc<LockoutKeeper>,
    first: Semaphore,
    tickets: Arc<dyn Tickets>,
    /// One call into the GSS-API library at a time.
    calls: Arc<Semaphore>,
    known: Mutex<Known>,
}

/// What the proxy accepted last, for as long as the process lives.
#[derive(Debug, Default)]
struct Known {
    scheme: Option<Scheme>,
    nonce: Option<(Mark, DigestSession)>,
}

/// A secret about to be shown; while it lives, nobody else shows an unproven one.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    lockout: &'a LockoutKeeper,
    mark: Mark,
    is_settled: AtomicBool,
    is_proven: bool,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_settled.load(Ordering::Relaxed) {
            self.lockout.handle_unsettled(self.mark);
        }
    }
}

impl Ticket<'_> {
    pub(crate) fn handle_accepted(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
        self.lockout.handle_accepted(self.mark);
    }

    /// Returns the time until the next try.
    pub(crate) fn handle_rejected(&self) -> Duration {
        self.is_settled.store(true, Ordering::Relaxed);
        let wait = self.lockout.handle_rejected(self.mark);
        tracing::warn!(
            reason = "proxy-credentials-rejected",
            wait_s = wait.as_secs(),
            "stopped sending the proxy credentials"
        );
        wait
    }
}

impl ProxyAuth {
    pub(crate) fn new(
        place: Place,
        secret: Option<ProxySecret>,
        file: Option<PathBuf>,
        schemes: Schemes,
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
            schemes,
            lockout,
            first: Semaphore::new(1),
            tickets: Arc::new(SystemTickets),
            calls: Arc::new(Semaphore::new(1)),
            known: Mutex::default(),
        }
    }

    #[cfg(test)]
    fn with_tickets(mut self, tickets: Arc<dyn Tickets>) -> Self {
        self.tickets = tickets;
        self
    }

    /// Tells whether a user name and a password are configured.
    pub(crate) const fn has_secret(&self) -> bool {
        !matches!(self.source, SecretSource::None)
    }

    /// Waits until no other connection shows an unproven secret.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.first.acquire().await.ok()
    }

    /// Returns the secret and the right to show it, `None` without one.
    pub(crate) fn secret<'a>(
        &'a self,
        turn: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Option<(ProxySecret, Ticket<'a>)>, Fault> {
        let Some(secret) = self.load()? else {
            return Ok(None);
        };
        let mark = self.mark(&secret);
        match self.lockout.verdict(mark) {
            Verdict::Locked { wait } => Err(ConnectFault::Locked { wait }.into()),
            verdict @ (Verdict::Proven | Verdict::MayTry) => {
                let ticket = self.show(mark, verdict, turn)?;
                Ok(Some((secret, ticket)))
            }
        }
    }

    /// Returns a secret that this proxy accepted before. An unreadable file is no error here: the
    /// proxy may not ask.
    fn proven(&self) -> Option<(ProxySecret, Ticket<'_>)> {
        let secret = self.load().ok()??;
        let mark = self.mark(&secret);
        let is_proven = self.lockout.verdict(mark) == Verdict::Proven;
        let ticket = self.ticket(mark, is_proven, None);
        is_proven.then_some((secret, ticket))
    }

    /// Makes a try durable. Nothing may be sent when this fails.
    fn show<'a>(
        &'a self,
        mark: Mark,
        verdict: Verdict,
        turn: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Ticket<'a>, Fault> {
        let durable = self.lockout.handle_try(mark);
        durable.map_err(|error| Fault::LockoutRecord(error.kind()))?;
        let is_proven = verdict == Verdict::Proven;
        let turn = if is_proven { None } else { turn.take() };
        Ok(self.ticket(mark, is_proven, turn))
    }

    fn ticket<'a>(
        &'a self,
        mark: Mark,
        is_proven: bool,
        turn: Option<SemaphorePermit<'a>>,
    ) -> Ticket<'a> {
        Ticket {
            lockout: &self.lockout,
            mark,
            is_settled: AtomicBool::new(false),
            is_proven,
            _turn: turn,
        }
    }

    /// Whose password is shown; `None` where there is none.
    pub(crate) fn password_use(&self) -> Option<PasswordUse> {
        let user = match &self.source {
            SecretSource::None => return None,
            SecretSource::Fixed(secret) => User::Named(secret.user().to_owned()),
            SecretSource::File(file) => User::OfFile(file.clone()),
        };
        let host = self.place.host.clone();
        Some(PasswordUse { host, user })
    }

    /// A list that the operator chose is another way to be rejected: changing it is a new try.
    fn name(&self, kind: &str) -> String {
        let Place { host, port, .. } = &self.place;
        let place = crate::host::Authority {
            host: host.clone(),
            port: *port,
        };
        if self.schemes.is_chosen() {
            format!("{kind}{place} {}", self.schemes)
        } else {
            format!("{kind}{place}")
        }
    }

    fn mark(&self, secret: &ProxySecret) -> Mark {
        self.lockout.mark(&self.name(""), secret.fingerprint())
    }

    /// Proven once the proxy accepted the secret in a scheme that hides it.
    fn hidden_mark(&self, secret: &ProxySecret) -> Mark {
        self.lockout
            .mark(&self.name("hidden "), secret.fingerprint())
    }

    fn was_hidden(&self, secret: &ProxySecret) -> bool {
        self.lockout.verdict(self.hidden_mark(secret)) == Verdict::Proven
    }

    /// Tickets have no password to tell them apart by; a client keytab has.
    fn negotiate_mark(&self) -> Mark {
        let mut hash = Sha256::new();
        hash.update(b"postern client keytab");
        if let Some(file) = environment::client_keytab()
            && let Ok(file) = std::fs::File::open(file)
        {
            let mut bytes = Vec::new();
            let read = file
                .take(crate::limits::KEYTAB_BYTES_MAX)
                .read_to_end(&mut bytes);
            if read.is_ok() {
                hash.update(&bytes);
            }
        }
        let fingerprint = Fingerprint::new(hash.finalize().into());
        self.lockout.mark(&self.name("negotiate "), fingerprint)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> Result<Option<ProxySecret>, Fault> {
        match &self.source {
            SecretSource::None => Ok(None),
            SecretSource::Fixed(secret) => Ok(Some(secret.clone())),
            SecretSource::File(path) => Ok(Some(ProxySecret::from_file(path)?)),
        }
    }
}

#[cfg(test)]
mod tests;
