//! The relay of this process behind the operator's questions: the one file that knows the server.
//!
//! ```text
//!  Operable --> Mailbox (sessions, holds, counters), Durable (admissions, accounts), Relay (certificate, end)
//! ```
//!
//! Refuses what the host cannot do by name, so that nobody takes silence for success.

use super::{
    Leaving, MailboxStanding, Operable, Page, Quota, Refusal, SessionStanding, Standing,
    TenantStanding, UpstreamStanding,
};
use crate::config::{Limit, RelayConfig};
use crate::handover::Inherited;
use postern_console::exit::CommandError;
use postern_protocol::id::TenantId;
use postern_protocol::revision::Revision;
use postern_relay::durable::{BreakerPhase, Durable, OpenError};
use postern_relay::exchange::{MailboxKeys, MailboxSigner, Owner};
use postern_relay::metrics::Sample;
use postern_relay::server::{Fronts, Mailbox, QuicListener, ServerConfig, Sockets};
use postern_relay::store::StoreError;
use postern_relay::upstream::UpstreamConfig;
use postern_relay::{Handover, MailboxStats, Relay, RelayError, TenantStats};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What the relay is started with beside the configuration.
pub struct StartedWith {
    /// The mailbox's key.
    pub signer: MailboxSigner,
    /// Certificate chain, PEM.
    pub chain_pem: Vec<u8>,
    /// Its private key, PEM.
    pub key_pem: Vec<u8>,
    /// The QUIC door, if there shall be one.
    pub quic: Option<QuicListener>,
    /// The relay that it dials, if it dials one.
    pub upstream: Option<UpstreamConfig>,
    /// Bundles of the trust line, from number 1 on, verified.
    pub bundles: Vec<Vec<u8>>,
}

/// The relay of this process.
pub struct Served {
    mailbox: Mailbox,
    durable: Arc<Durable>,
    /// Taken out when it stops.
    relay: Mutex<Option<Relay>>,
    bytes_max: u64,
}

impl Served {
    /// Opens the store and starts to serve in tasks of the current runtime, perhaps where another
    /// process stood. Returns as well how many sessions go on.
    ///
    /// # Errors
    /// A store that is damaged or of another trust domain, an address that is taken, a certificate
    /// that cannot be used.
    pub fn start(
        config: &RelayConfig,
        with: StartedWith,
        inherited: Option<Inherited>,
    ) -> Result<(Self, usize), CommandError> {
        let config_of_relay = postern_relay::RelayConfig {
            store: config.store.clone(),
            genesis: config.root,
            recovery: config.recovery,
            bundles: with.bundles,
            keys: MailboxKeys::one(with.signer),
            limits: config.exchange_limits(),
            server: ServerConfig {
                listen: config.listen,
                prefix: String::new(),
                certificate_pem: with.chain_pem,
                key_pem: with.key_pem,
                quic: with.quic,
                limits: config.server_limits(),
            },
        };
        let fronts = Fronts::new(config.fronts.clone());
        let started = go_on(config_of_relay, fronts, inherited.unwrap_or_default());
        let (mut relay, sessions) = started.map_err(not_started)?;
        if let Some(upstream) = with.upstream {
            relay.dial(upstream);
        }
        let served = Self {
            mailbox: relay.mailbox().clone(),
            durable: Arc::clone(relay.durable()),
            relay: Mutex::new(Some(relay)),
            bytes_max: config.limits.of(Limit::MailboxesBytes),
        };
        Ok((served, sessions))
    }

    /// Where it listens; `None` once it has stopped.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.lock().as_ref().map(Relay::local_address)
    }

    /// Where it listens for QUIC; `None` without that door, and once it has stopped.
    #[must_use]
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.lock().as_ref().and_then(Relay::quic_address)
    }

    /// Becomes `Some` when the store has failed: the process has to end and start anew.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<StoreError>> {
        self.durable.failed()
    }

    /// Stops listening, waits for exchanges under way, at most `grace_ms`, and closes the store.
    pub async fn stop(&self, grace_ms: u64) {
        let relay = self.lock().take();
        if let Some(relay) = relay {
            relay.shutdown(grace_ms).await;
        }
    }

    /// As [`Self::stop`], but leaves sockets and sessions to another process.
    pub async fn hand_over(&self, grace_ms: u64) -> Option<Handover> {
        let relay = self.lock().take()?;
        relay.hand_over(grace_ms).await
    }

    fn upstream(&self) -> Option<UpstreamStanding> {
        let (key, stats) = self.lock().as_ref()?.upstream()?;
        Some(UpstreamStanding {
            key: key.to_string(),
            is_open: stats.is_open,
            brought: stats.brought,
            collected: stats.collected,
            refused: stats.refused,
            waiting: stats.waiting as u64,
            last_error: stats.last_error,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Relay>> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Devices that are connected, by tenant.
    fn connected(&self) -> BTreeMap<TenantId, u64> {
        let mut connected = BTreeMap::new();
        for (channel, admission) in self.durable.admissions() {
            if self.mailbox.is_connected(Owner::Device(channel)) {
                let count: &mut u64 = connected.entry(admission.tenant()).or_default();
                *count = count.saturating_add(1);
            }
        }
        connected
    }

    /// The tenants that the bundle names, with their ids.
    fn named(&self) -> Vec<(String, TenantId)> {
        let trust = self.durable.trust();
        let held = trust.held().into_iter();
        let names = held.flat_map(|bundle| bundle.content().writers.keys());
        names
            .map(|tenant| (tenant.to_string(), TenantId::of(trust.root(), tenant)))
            .collect()
    }

    fn tenant(&self, name: &str) -> Result<TenantId, Refusal> {
        let found = self.named().into_iter().find(|(known, _)| known == name);
        let unknown = || Refusal::Unknown(format!("tenant {name}"));
        found.map(|(_, id)| id).ok_or_else(unknown)
    }

    fn mailbox_row(&self, row: MailboxStats) -> MailboxStanding {
        MailboxStanding {
            tenant: row.tenant.to_string(),
            device: row.device.to_string(),
            channel: row.channel.to_string(),
            is_connected: self.mailbox.is_connected(Owner::Device(row.channel)),
            is_withdrawn: row.is_withdrawn,
            down_bytes: row.down_bytes as u64,
            up_bytes: row.up_bytes as u64,
            quota_bytes: row.quota_bytes,
            desired: row.desired.map(dotted),
            actual: row.actual.map(dotted),
        }
    }

    fn tenant_row(&self, row: &TenantStats, connected: &BTreeMap<TenantId, u64>) -> TenantStanding {
        let was_heard = row.account.contact_s > 0;
        TenantStanding {
            tenant: row.tenant.to_string(),
            is_connected: self.mailbox.is_connected(Owner::Writer(row.id)),
            contact_age_s: was_heard.then_some(row.silent_s),
            devices: row.devices as u64,
            sessions: connected.get(&row.id).copied().unwrap_or_default(),
            bytes: row.bytes as u64,
            quota_bytes: row.quota_bytes,
            queued_bytes: row.waiting as u64,
            arrivals: row.account.arrivals,
            cursor: row.account.cursor,
        }
    }
}

/// Serves, where another process stood if there was one.
fn go_on(
    config: postern_relay::RelayConfig,
    fronts: Fronts,
    mut inherited: Inherited,
) -> Result<(Relay, usize), RelayError> {
    let (https, quic) = (inherited.https.take(), inherited.quic.take());
    let handover = Handover {
        sockets: Sockets::take(&config.server, https, quic)?.behind(fronts),
        sessions: inherited.sessions.take(),
    };
    Relay::take_over(config, handover, &|| inherited.gone_ms())
}

fn dotted(revision: Revision) -> String {
    format!("{}.{}", revision.epoch.number(), revision.seq.number())
}

fn not_started(error: RelayError) -> CommandError {
    let source = error.source().map(|source| format!(": {source}"));
    let message = format!("{error}{}", source.unwrap_or_default());
    match error {
        RelayError::Open(OpenError::Store(error)) => error.into(),
        RelayError::Open(_) => CommandError::store(
            "store-refused",
            message,
            "a relay for another trust domain needs a folder of its own; for a damaged store move relay.redb away: controllers fill a new one",
        ),
        RelayError::Start(_) | RelayError::Random => server_failed(message),
        // The library may learn further reasons; each says itself what it is about.
        _ => server_failed(message),
    }
}

fn server_failed(message: String) -> CommandError {
    CommandError::configuration(
        "server-start",
        message,
        "run `postern-relay check`; correct listen, quic.listen, tls.cert_file or tls.key_file in relay.toml",
    )
}

impl Operable for Served {
    fn standing(&self) -> Standing {
        let metrics = self.mailbox.metrics();
        let (memory_bytes, memory_bytes_max) = metrics.memory_bytes();
        let quic = self.quic_address().map(|address| address.to_string());
        let named = self.named();
        let is_connected =
            |(_, id): &&(String, TenantId)| self.mailbox.is_connected(Owner::Writer(*id));
        Standing {
            mailbox: self.mailbox.thumbprint().to_string(),
            store_epoch: self.durable.epoch(),
            bundle: self.durable.trust().number().number(),
            sessions: self.mailbox.sessions() as u64,
            writers: named.iter().filter(is_connected).count() as u64,
            holds: metrics.holds(),
            connections: metrics.connections(),
            mailboxes: self.durable.admissions().len() as u64,
            knocks: self.durable.knocks() as u64,
            dead_letters: self.durable.dead_letters(),
            tenant_refusals: self.durable.tenant_refusals(),
            mailbox_bytes: self.mailbox.bytes() as u64,
            mailbox_bytes_max: self.bytes_max,
            memory_bytes,
            memory_bytes_max,
            pressure: metrics.pressure().as_str().into(),
            quic,
            upstream: self.upstream(),
        }
    }

    fn held(&self) -> usize {
        usize::try_from(self.mailbox.metrics().holds()).unwrap_or(usize::MAX)
    }

    fn tenants(&self) -> Vec<TenantStanding> {
        let connected = self.connected();
        let Some(stats) = self.lock().as_ref().map(Relay::stats) else {
            return Vec::new();
        };
        let rows = stats.tenants.iter();
        rows.map(|row| self.tenant_row(row, &connected)).collect()
    }

    fn mailboxes(&self, page: &Page) -> Vec<MailboxStanding> {
        let Some(stats) = self.lock().as_ref().map(Relay::mailboxes) else {
            return Vec::new();
        };
        let is_wanted = |row: &MailboxStats| {
            let tenant = page.tenant.as_ref();
            let after = page.after.as_ref();
            tenant.is_none_or(|tenant| tenant == row.tenant.as_str())
                && after.is_none_or(|after| row.channel.to_string() > *after)
        };
        let rows = stats.into_iter().filter(is_wanted).take(page.rows_max);
        rows.map(|row| self.mailbox_row(row)).collect()
    }

    fn sessions(&self, page: &Page) -> Vec<SessionStanding> {
        let is_wanted = |name: &str| page.tenant.as_ref().is_none_or(|tenant| tenant == name);
        let row = |tenant: String, device: Option<String>, owner: Owner| {
            let is_connected = is_wanted(&tenant) && self.mailbox.is_connected(owner);
            is_connected.then(|| SessionStanding {
                tenant,
                device,
                is_held: self.mailbox.is_held(owner),
            })
        };
        let writers = self.named().into_iter();
        let writers = writers.filter_map(|(tenant, id)| row(tenant, None, Owner::Writer(id)));
        let devices = self.durable.admissions().into_iter();
        let devices = devices.filter_map(|(id, admission)| {
            let channel = admission.channel;
            let device = Some(channel.device.to_string());
            row(channel.tenant.to_string(), device, Owner::Device(id))
        });
        let mut rows: Vec<_> = writers.chain(devices).take(page.rows_max).collect();
        rows.sort_by(|left, right| {
            (&left.tenant, &left.device).cmp(&(&right.tenant, &right.device))
        });
        rows
    }

    fn quota(&self, tenant: &str) -> Result<Quota, Refusal> {
        let id = self.tenant(tenant)?;
        let own = self.durable.quota(id);
        Ok(Quota {
            bytes_max: own.unwrap_or(self.bytes_max),
            is_usual: own.is_none(),
        })
    }

    fn set_quota(&self, tenant: &str, bytes_max: Option<u64>) -> Result<Quota, Refusal> {
        let id = self.tenant(tenant)?;
        let set = self.durable.set_quota(id, bytes_max);
        set.map_err(|reject| Refusal::Store(reject.to_string()))?;
        self.quota(tenant)
    }

    fn disconnect(&self, tenant: &str, device: Option<&str>) -> Result<u64, Refusal> {
        let id = self.tenant(tenant)?;
        let admissions = self.durable.admissions().into_iter();
        let of_tenant = admissions.filter(|(_, admission)| admission.tenant() == id);
        let wanted: Vec<_> = of_tenant
            .filter(|(_, admission)| {
                device.is_none_or(|device| device == admission.channel.device.as_str())
            })
            .collect();
        if let (Some(device), true) = (device, wanted.is_empty()) {
            return Err(Refusal::Unknown(format!("device {device} of {tenant}")));
        }
        let mut ended = 0_u64;
        for (channel, _) in wanted {
            ended += u64::from(self.mailbox.is_connected(Owner::Device(channel)));
            self.mailbox.close_sessions(channel);
        }
        if device.is_none() {
            ended += u64::from(self.mailbox.is_connected(Owner::Writer(id)));
            self.mailbox.close_writer(id);
        }
        Ok(ended)
    }

    fn set_leaving(&self, leaving: Option<Leaving>) {
        if let Some(relay) = self.lock().as_ref() {
            let moves = leaving.is_some_and(|leaving| leaving.moves);
            relay.set_leaving(leaving.map(|leaving| leaving.retry_ms), moves);
        }
    }

    fn release(&self, count: usize) -> usize {
        self.mailbox.release(count)
    }

    fn replace_certificate(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), String> {
        let relay = self.lock();
        let Some(relay) = relay.as_ref() else {
            return Err("the relay has stopped".into());
        };
        relay
            .replace_certificate(chain_pem, key_pem)
            .map_err(|error| error.to_string())
    }

    fn store_writable(&self) -> Result<(), String> {
        match self.durable.phase() {
            BreakerPhase::Closed => Ok(()),
            BreakerPhase::Open => {
                Err("the store is slow: posts are refused until commits are quick again".into())
            }
            BreakerPhase::Failed => {
                Err("a commit has failed: nothing is acknowledged until a new start".into())
            }
        }
    }

    fn samples(&self) -> Vec<Sample> {
        self.mailbox.snapshot()
    }
}
