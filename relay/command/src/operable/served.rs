//! The relay of this process behind the operator's questions: the one file that knows the server.
//!
//! ```text
//!  Operable --> Mailbox (sessions, holds, counters), Server (certificate), host (tenants, quotas)
//! ```
//!
//! Until a host of its own is started here, [`Nobody`] is asked: it admits nobody and keeps nothing.

use super::{
    Leaving, MailboxStanding, Operable, Page, Quota, Refusal, SessionStanding, Standing,
    TenantStanding,
};
use crate::config::{Limit, RelayConfig};
use postern_console::exit::CommandError;
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Plane, Tenant};
use postern_protocol::trust::Trust;
use postern_relay::exchange::{AdmittedDevice, MailboxSigner};
use postern_relay::mailbox::Chunk;
use postern_relay::metrics::Sample;
use postern_relay::server::{Host, HostAnswer, Mailbox, Server, ServerConfig, Taken};
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A host that admits nobody.
#[derive(Debug, Clone, Copy, Default)]
struct Nobody;

impl Host for Nobody {
    fn admitted(&self, _channel: ChannelId) -> Vec<AdmittedDevice> {
        Vec::new()
    }

    fn enrol(&self, _frame: Vec<u8>) -> HostAnswer<Vec<u8>> {
        refused()
    }

    fn posted(&self, _: ChannelId, _: Option<Plane>, _: Vec<u8>) -> HostAnswer<Taken> {
        refused()
    }

    fn put(&self, _: ChannelId, _: Plane, _: Vec<Chunk>) -> HostAnswer<Taken> {
        refused()
    }

    fn heartbeat_wanted(&self, _: ChannelId) -> HostAnswer<()> {
        refused()
    }
}

fn refused<T: Send + 'static>() -> HostAnswer<T> {
    Box::pin(std::future::ready(Err(Reject::Overloaded)))
}

/// What the server is started with beside the configuration.
pub struct StartedWith {
    /// The mailbox's key.
    pub signer: MailboxSigner,
    /// Certificate chain, PEM.
    pub chain_pem: Vec<u8>,
    /// Its private key, PEM.
    pub key_pem: Vec<u8>,
    /// Bundles of the trust line, from number 1 on, verified.
    pub bundles: Vec<Vec<u8>>,
    /// What the highest of them says.
    pub trust: Trust,
}

/// The relay of this process.
pub struct Served {
    mailbox: Mailbox,
    /// Taken out when it stops.
    server: Mutex<Option<Server>>,
    bytes_max: u64,
    trust: Trust,
}

impl Served {
    /// Starts to serve in tasks of the current runtime.
    ///
    /// # Errors
    /// An address that is taken, a certificate that cannot be used.
    pub fn start(config: &RelayConfig, with: StartedWith) -> Result<Self, CommandError> {
        let rejected = |reject: Reject| {
            CommandError::configuration(
                reject.as_str(),
                format!("the mailbox cannot start: {}", reject.sentence()),
                "take a new trust line with `postern controller trust`",
            )
        };
        let mailbox = Mailbox::new(with.signer, config.exchange_limits()).map_err(rejected)?;
        for bundle in &with.bundles {
            mailbox.post_bundle(bundle).map_err(rejected)?;
        }
        let server = ServerConfig {
            listen: config.listen,
            prefix: String::new(),
            certificate_pem: with.chain_pem,
            key_pem: with.key_pem,
            limits: config.server_limits(),
        };
        let server = Server::start(&server, mailbox.clone(), Arc::new(Nobody)).map_err(|error| {
            let source = error.source().map(|source| format!(": {source}"));
            CommandError::configuration(
                "server-start",
                format!("{error}{}", source.unwrap_or_default()),
                "run `postern-relay check`; correct listen, tls.cert_file or tls.key_file in relay.toml",
            )
        })?;
        tracing::warn!("this relay has no durable host: it admits nobody and keeps nothing");
        Ok(Self {
            mailbox,
            server: Mutex::new(Some(server)),
            bytes_max: config.limits.of(Limit::MailboxesBytes),
            trust: with.trust,
        })
    }

    /// Tenants that the bundle names.
    fn names(&self) -> impl Iterator<Item = &Tenant> {
        let bundle = self.trust.held().into_iter();
        bundle.flat_map(|bundle| bundle.content().writers.keys())
    }

    /// What nobody here can do, about a tenant that is known.
    fn not_built<T>(&self, tenant: &str) -> Result<T, Refusal> {
        if self.names().any(|known| known.as_str() == tenant) {
            Err(Refusal::NotBuilt)
        } else {
            Err(Refusal::Unknown(format!("tenant {tenant}")))
        }
    }

    /// Where the server listens.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.as_ref().map(Server::local_address)
    }

    /// Stops listening and waits for exchanges under way, at most `grace_ms`.
    pub async fn stop(&self, grace_ms: u64) {
        let server = {
            let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
            server.take()
        };
        if let Some(server) = server {
            server.shutdown(grace_ms).await;
        }
    }
}

impl Operable for Served {
    fn standing(&self) -> Standing {
        let metrics = self.mailbox.metrics();
        let samples = self.mailbox.snapshot();
        let bytes = samples
            .iter()
            .find(|sample| sample.name == "postern_mailbox_bytes");
        Standing {
            mailbox: self.mailbox.thumbprint().to_string(),
            bundle: self.mailbox.bundle_number().number(),
            sessions: self.mailbox.sessions() as u64,
            holds: metrics.holds(),
            connections: metrics.connections(),
            mailbox_bytes: bytes.map_or(0, |sample| sample.value),
            mailbox_bytes_max: self.bytes_max,
            ..Standing::default()
        }
    }

    fn tenants(&self) -> Vec<TenantStanding> {
        let row = |tenant: &Tenant| TenantStanding {
            tenant: tenant.to_string(),
            is_connected: false,
            contact_age_s: None,
            mailboxes: 0,
            sessions: 0,
            bytes: 0,
            quota_bytes: self.bytes_max,
            arrivals: 0,
            cursor: 0,
            posts: 0,
            refusals: 0,
        };
        self.names().map(row).collect()
    }

    fn mailboxes(&self, _page: &Page) -> Vec<MailboxStanding> {
        Vec::new()
    }

    fn sessions(&self, _page: &Page) -> Vec<SessionStanding> {
        Vec::new()
    }

    fn quota(&self, tenant: &str) -> Result<Quota, Refusal> {
        self.not_built(tenant)
    }

    fn set_quota(&self, tenant: &str, _quota: Option<Quota>) -> Result<Quota, Refusal> {
        self.not_built(tenant)
    }

    fn disconnect(&self, tenant: &str, _device: Option<&str>) -> Result<u64, Refusal> {
        self.not_built(tenant)
    }

    fn set_leaving(&self, leaving: Option<Leaving>) {
        self.mailbox
            .set_leaving(leaving.map(|leaving| leaving.retry_ms));
    }

    fn release(&self, count: usize) -> usize {
        self.mailbox.release(count)
    }

    fn replace_certificate(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), String> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(server) = server.as_ref() else {
            return Err("the server has stopped".into());
        };
        server
            .replace_certificate(chain_pem, key_pem)
            .map_err(|error| error.to_string())
    }

    fn store_writable(&self) -> Result<(), String> {
        Ok(())
    }

    fn samples(&self) -> Vec<Sample> {
        self.mailbox.snapshot()
    }
}
