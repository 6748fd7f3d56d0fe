//! A whole relay: server, host and store, put together and handed out as one.
//!
//! ```text
//!   devices, writers --> Server --> RelayHost --> Durable --> store
//!                           '--------- Mailbox <-----'
//! ```
//!
//! Refuses to start on a store whose file does not check out, and to serve before everything that
//! was acknowledged is back.

use crate::durable::{Account, Admission, BreakerPhase, Durable, OpenError, RelayHost, limits};
use crate::exchange::{ExchangeLimits, MailboxKeys, Owner};
use crate::handover::{HandedSessions, Handover, Standing};
use crate::server::{Mailbox, Server, ServerConfig, Sockets, StartError, TlsError, after_ms};
use crate::store::{DiskStore, Profile, Store, StoreError};
use crate::upstream::{Upstream, UpstreamConfig, UpstreamStats};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, DeviceName, MailboxId, Tenant, TenantId, Thumbprint};
use postern_protocol::revision::{BundleNumber, Revision};
use postern_protocol::trust::Trust;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::info;

/// What a relay needs to start.
#[derive(Debug)]
pub struct RelayConfig {
    /// The file of the store; it is made where there is none.
    pub store: PathBuf,
    /// Thumbprint of the genesis root key: the trust domain.
    pub genesis: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// The bundles of the trust line, from number 1 on; those that the store holds are passed over.
    pub bundles: Vec<Vec<u8>>,
    /// The keys under which the relay answers.
    pub keys: MailboxKeys,
    /// Bounds of what is kept and answered.
    pub limits: ExchangeLimits,
    /// Where and how to listen, by HTTPS and by QUIC, and what each may take.
    pub server: ServerConfig,
}

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The store or what it holds.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The listener.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl From<StoreError> for RelayError {
    fn from(error: StoreError) -> Self {
        Self::Open(OpenError::Store(error))
    }
}

/// A tenant, as a relay knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStats {
    /// Its name.
    pub tenant: Tenant,
    /// Its id.
    pub id: TenantId,
    /// How far its arrivals were counted and read.
    pub account: Account,
    /// Devices that are admitted.
    pub devices: usize,
    /// Bytes kept for it in both directions.
    pub bytes: usize,
    /// Bytes that it may have kept, where an operator has bounded it.
    pub quota_bytes: Option<u64>,
    /// Bytes and charges of what waits for the writer thread.
    pub waiting: usize,
    /// Seconds since its writer was heard, by the relay's own clock.
    pub silent_s: u64,
}

/// The mailbox of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxStats {
    /// Its channel.
    pub channel: ChannelId,
    /// The tenant.
    pub tenant: Tenant,
    /// The device.
    pub device: DeviceName,
    /// True when its admission was withdrawn.
    pub is_withdrawn: bool,
    /// Bytes that wait for the device.
    pub down_bytes: usize,
    /// Bytes that the device posted.
    pub up_bytes: usize,
    /// Bytes that its admission allows it.
    pub quota_bytes: u64,
    /// Head of the desired plane that is kept.
    pub desired: Option<Revision>,
    /// Head of the actual plane that is kept.
    pub actual: Option<Revision>,
}

/// A relay at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStats {
    /// The store's id number.
    pub epoch: u64,
    /// The highest bundle.
    pub bundle: BundleNumber,
    /// Whether posts are taken.
    pub phase: BreakerPhase,
    /// Sessions, those included that no frame confirmed yet.
    pub sessions: usize,
    /// Enrolments that wait for their controller.
    pub knocks: usize,
    /// Letters that were dropped unread, for their age or with their mailbox, since this process began.
    pub dead_letters: u64,
    /// Bytes of all mailboxes.
    pub bytes: usize,
    /// Every tenant of the bundle.
    pub tenants: Vec<TenantStats>,
}

/// A relay that serves.
pub struct Relay {
    server: Server,
    mailbox: Mailbox,
    durable: Arc<Durable>,
    sweeper: JoinHandle<()>,
    upstream: Option<Upstream>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Checks and opens the store, rebuilds all mailboxes, then listens and serves in tasks of the
    /// current tokio runtime.
    ///
    /// # Errors
    /// [`RelayError`]; nothing is left running then.
    pub fn start(config: RelayConfig) -> Result<Self, RelayError> {
        let store = open_checked(&config.store)?;
        Self::start_on(Arc::new(store), config)
    }

    /// As [`Self::start`], on a store that the caller has opened.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(store: Arc<dyn Store>, config: RelayConfig) -> Result<Self, RelayError> {
        let sockets = Sockets::bind(&config.server)?;
        Self::serve(store, config, sockets, None).map(|(relay, _)| relay)
    }

    /// As [`Self::start`], in place of a process that has handed over and closed the store.
    /// `gone_ms` tells how long ago that was. Returns as well how many sessions go on: those that
    /// nothing speaks against.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn take_over(
        config: RelayConfig,
        handover: Handover,
        gone_ms: &dyn Fn() -> u64,
    ) -> Result<(Self, usize), RelayError> {
        let store = Arc::new(open_checked(&config.store)?);
        let handed = handover.sessions.map(|sessions| (sessions, gone_ms));
        Self::serve(store, config, handover.sockets, handed)
    }

    fn serve(
        store: Arc<dyn Store>,
        config: RelayConfig,
        sockets: Sockets,
        handed: Option<(HandedSessions, &dyn Fn() -> u64)>,
    ) -> Result<(Self, usize), RelayError> {
        let mailbox = Mailbox::with_keys(config.keys, config.limits);
        let mailbox = mailbox.map_err(|_| RelayError::Random)?;
        let pinned = Trust::new(config.genesis, config.recovery);
        let limits = config.limits.mailbox;
        let durable = Durable::open(store, pinned, &config.bundles, mailbox.clone(), limits)?;
        let durable = Arc::new(durable);
        let host = Arc::new(RelayHost::new(Arc::clone(&durable)));
        let devices = match handed {
            Some((sessions, gone_ms)) => adopt(&durable, &mailbox, &sessions, gone_ms()),
            None => Vec::new(),
        };
        let adopted = mailbox.sessions();
        let server = Server::start_on(&config.server, sockets, mailbox.clone(), host, devices)?;
        let sweeper = tokio::spawn(sweep(Arc::clone(&durable)));
        info!(listen = %server.local_address(), "started relay");
        let relay = Self {
            server,
            mailbox,
            durable,
            sweeper,
            upstream: None,
        };
        Ok((relay, adopted))
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.server.local_address()
    }

    /// Where it listens for QUIC, if it does.
    #[must_use]
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.server.quic_address()
    }

    /// Dials an upstream from now on, in the place of one that was dialled before.
    pub fn dial(&mut self, config: UpstreamConfig) {
        self.upstream = Some(Upstream::start(config, Arc::clone(&self.durable)));
    }

    /// The upstream that it dials, if it does: thumbprint of its key, and how the link does.
    #[must_use]
    pub fn upstream(&self) -> Option<(Thumbprint, UpstreamStats)> {
        let upstream = self.upstream.as_ref()?;
        Some((upstream.upstream(), upstream.stats()))
    }

    /// The mailboxes: events, counters, sessions.
    #[must_use]
    pub const fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The durable part: admissions, accounts, breaker.
    #[must_use]
    pub const fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// Becomes `Some` when the store has failed: nothing is acknowledged any more, and the process
    /// has to end and start anew.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<StoreError>> {
        self.durable.failed()
    }

    /// Takes another certificate and key for new connections.
    /// # Errors: [`TlsError`]; the old ones stay in use then.
    pub fn replace_certificate(
        &self,
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<(), TlsError> {
        self.server.replace_certificate(certificate_pem, key_pem)
    }

    /// Takes other keys of the relay; sessions that are open stay.
    pub fn replace_keys(&self, keys: MailboxKeys) {
        self.mailbox.replace_keys(keys);
    }

    /// Lets devices go, or takes them again, as [`Mailbox::set_leaving`] says. With `moves` they are
    /// sent to the other mailboxes of the bundle, where there are any.
    pub fn set_leaving(&self, retry_ms: Option<u64>, moves: bool) {
        let own = self.mailbox.thumbprint();
        let trust = self.durable.trust();
        let mailboxes = trust.mailboxes().iter().filter(|_| moves);
        let others = mailboxes.filter(|one| one.key.thumbprint() != own);
        let urls: Vec<String> = others.flat_map(|one| one.urls.clone()).collect();
        self.mailbox.set_leaving(retry_ms, &urls);
    }

    /// Ends the sessions of a device; it may open another one.
    pub fn disconnect(&self, channel: ChannelId) {
        self.mailbox.close_sessions(channel);
    }

    /// Ends the sessions of a tenant's writer; it may open another one.
    pub fn disconnect_writer(&self, tenant: TenantId) {
        self.mailbox.close_writer(tenant);
    }

    /// Drops all that is kept for a channel. Its admission stays: only the controller withdraws it.
    ///
    /// # Errors
    /// `not-admitted` for a channel that was never admitted; `overloaded`.
    pub async fn forget(&self, channel: ChannelId) -> Result<(), Reject> {
        self.durable.forget(channel).await
    }

    /// The relay as it stands now.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        let trust = self.durable.trust();
        let clock_s = self.durable.clock_s();
        let mut devices: BTreeMap<TenantId, (usize, usize)> = BTreeMap::new();
        for (channel, admission) in self.durable.admissions() {
            let (down, up) = self.mailbox.lane_bytes(channel);
            let (count, bytes) = devices.entry(admission.tenant()).or_default();
            *count += usize::from(!admission.is_withdrawn);
            *bytes = bytes.saturating_add(down).saturating_add(up);
        }
        let writers = trust
            .held()
            .into_iter()
            .flat_map(|held| &held.content().writers);
        let tenants = writers.map(|(tenant, _)| {
            let id = TenantId::of(trust.root(), tenant);
            let account = self.durable.account(id);
            let (devices, bytes) = devices.get(&id).copied().unwrap_or_default();
            TenantStats {
                tenant: tenant.clone(),
                id,
                account,
                devices,
                bytes,
                quota_bytes: self.durable.quota(id),
                waiting: self.durable.waiting(id),
                silent_s: clock_s.saturating_sub(account.contact_s),
            }
        });
        RelayStats {
            epoch: self.durable.epoch(),
            bundle: trust.number(),
            phase: self.durable.phase(),
            sessions: self.mailbox.sessions(),
            knocks: self.durable.knocks(),
            dead_letters: self.durable.dead_letters(),
            bytes: self.mailbox.bytes(),
            tenants: tenants.collect(),
        }
    }

    /// Every mailbox, by channel.
    #[must_use]
    pub fn mailboxes(&self) -> Vec<MailboxStats> {
        let admissions = self.durable.admissions().into_iter();
        let stats = admissions.map(|(channel, admission)| self.mailbox_stats(channel, admission));
        stats.collect()
    }

    fn mailbox_stats(&self, channel: ChannelId, admission: Admission) -> MailboxStats {
        let (down_bytes, up_bytes) = self.mailbox.lane_bytes(channel);
        let (desired, actual) = self.mailbox.lane_heads(channel);
        MailboxStats {
            channel,
            tenant: admission.channel.tenant,
            device: admission.channel.device,
            is_withdrawn: admission.is_withdrawn,
            down_bytes,
            up_bytes,
            quota_bytes: admission.quota_bytes,
            desired,
            actual,
        }
    }

    /// Stops accepting, answers what waits with randomised retry hints, waits for connections to
    /// end, at most `grace_ms`, then commits what is queued and closes the store.
    pub async fn shutdown(self, grace_ms: u64) {
        self.sweeper.abort();
        drop(self.upstream);
        self.server.shutdown(grace_ms).await;
        close(self.durable).await;
        info!("stopped relay");
    }

    /// As [`Self::shutdown`], but leaves sockets and confirmed sessions to the process that goes on.
    /// From now on no session is known here, and no mailbox. `None` without sockets.
    pub async fn hand_over(self, grace_ms: u64) -> Option<Handover> {
        self.sweeper.abort();
        drop(self.upstream);
        let sockets = self.server.hand_over(grace_ms).await;
        let standing = standing(&self.durable, &self.mailbox);
        // What is queued is decided by what the mailboxes hold: they go after the last commit.
        close(self.durable).await;
        let rows = {
            let now_ms = self.mailbox.clock().now_ms();
            self.mailbox.lock().exchanges.hand_over(now_ms)
        };
        info!(sessions = rows.len(), "handed over relay");
        let sessions = Some(HandedSessions { standing, rows });
        sockets.map(|sockets| Handover { sockets, sessions })
    }
}

/// Commits what is queued and closes the store.
async fn close(durable: Arc<Durable>) {
    // Joins the writer thread: not for a worker of the runtime.
    let closed = tokio::task::spawn_blocking(move || durable.close()).await;
    if closed.is_err() {
        tracing::error!("closing the store panicked");
    }
}

fn standing(durable: &Durable, mailbox: &Mailbox) -> Standing {
    let trust = durable.trust();
    Standing {
        genesis: trust.root(),
        store: durable.epoch(),
        bundle: trust.number(),
        mailbox: mailbox.thumbprint(),
    }
}

/// Goes on with the sessions of those that are still served; returns the devices among them.
fn adopt(
    durable: &Durable,
    mailbox: &Mailbox,
    handed: &HandedSessions,
    gone_ms: u64,
) -> Vec<(ChannelId, Tenant)> {
    // A new bundle may have revoked a key, a new store may have another admission.
    if handed.standing != standing(durable, mailbox) {
        tracing::warn!(
            sessions = handed.len(),
            "no session goes on: the relay has another bundle, store or key than before"
        );
        return Vec::new();
    }
    let admissions: BTreeMap<ChannelId, Admission> = durable.admissions().into_iter().collect();
    let trust = durable.trust();
    let served = trust.held().map(|held| &held.content().writers);
    let tenants = served.into_iter().flat_map(BTreeMap::keys);
    let tenants: BTreeSet<TenantId> = tenants
        .map(|tenant| TenantId::of(trust.root(), tenant))
        .collect();
    let now_ms = mailbox.clock().now_ms();
    let mut state = mailbox.lock();
    let mut devices = Vec::new();
    for (owner, session) in &handed.rows {
        let device = owner.channel().and_then(|channel| admissions.get(&channel));
        let is_served = match owner {
            Owner::Device(_) => device.is_some_and(|device| !device.is_withdrawn),
            Owner::Writer(tenant) => tenants.contains(tenant),
            Owner::Mailbox(mailbox) => {
                let mut keys = durable.mailbox_keys().into_iter();
                keys.any(|key| MailboxId::of(trust.root(), key.thumbprint()) == *mailbox)
            }
        };
        let taken = is_served
            .then_some(())
            .ok_or(Reject::NotAdmitted)
            .and_then(|()| state.exchanges.take_over(*owner, session, gone_ms, now_ms));
        match (taken, owner.channel(), device) {
            (Ok(()), Some(channel), Some(device)) => {
                devices.push((channel, device.channel.tenant.clone()));
            }
            (Ok(()), _, _) => {}
            (Err(reason), _, _) => tracing::debug!(%reason, "a session does not go on"),
        }
    }
    devices
}

/// Opens the store of a server, whose every page was checked once before.
fn open_checked(path: &Path) -> Result<DiskStore, StoreError> {
    DiskStore::open(path, Profile::Device)?.close()?;
    DiskStore::open(path, Profile::Server)
}

/// Looks after mailboxes, some at a time, until it is aborted.
async fn sweep(durable: Arc<Durable>) {
    loop {
        tokio::time::sleep_until(after_ms(limits::SWEEP_MS)).await;
        durable.sweep();
    }
}
