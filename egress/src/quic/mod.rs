//! Exchanges over QUIC: one connection for a mailbox, one bidirectional stream for an exchange.
//!
//! ```text
//!   exchange --> the kept connection, or a new one (3 s) --> stream: body, end | answer, end
//!                          keeper: signs of life while an exchange waits
//! ```
//!
//! The target is that of HTTPS: the same host, the UDP port with the number of its TCP port, the same
//! certificate and trust. No socket exists before the first exchange. Refuses 0-RTT, retries, answers
//! over the bound, and to be the only way: many networks carry no UDP.

mod dial;
mod fault;
mod link;
mod liveness;
mod settings;
mod socket;
mod stream;

pub(crate) use fault::CloseReason;
pub use fault::QuicFault;

use crate::client::{Answer, ExchangeLimits};
use crate::fault::{Fault, TransportError};
use crate::path::{LinkReport, Path, seen_in_tls, server_name};
use crate::tls::{LeafReport, Period, TrustState};
use crate::trail::Stage;
use bytes::Bytes;
use dial::{Dial, dial};
use link::QuicLink;
use rustls::pki_types::CertificateDer;
use settings::Settings;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// A client of one mailbox, over QUIC.
#[derive(Debug)]
pub(crate) struct QuicClient {
    path: Path,
    kept: Mutex<Kept>,
    /// Connecting: one at a time.
    dialing: Semaphore,
}

#[derive(Debug, Default)]
struct Kept {
    link: Option<Arc<QuicLink>>,
    /// With the TLS tickets of the last connections.
    settings: Option<Settings>,
}

impl QuicClient {
    pub(crate) fn new(path: Path) -> Self {
        Self {
            path,
            kept: Mutex::default(),
            dialing: Semaphore::new(1),
        }
    }

    pub(crate) const fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn path_mut(&mut self) -> &mut Path {
        &mut self.path
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the certificate of the kept connection is valid.
    pub(crate) fn period(&self) -> Option<Period> {
        let kept = self.kept();
        kept.link.as_ref()?.report().leaf.period
    }

    pub(crate) fn close_kept(&self) {
        self.kept().link = None;
    }

    /// Closes the kept connection, and tells the server before it returns.
    pub(crate) async fn close(&self) {
        let link = self.kept().link.take();
        if let Some(link) = link {
            link.close().await;
        }
    }

    pub(crate) fn handle_network_changed(&self) {
        if let Some(link) = &self.kept().link {
            link.handle_network_changed();
        }
    }

    /// Sends one body and returns the answer. Never sends it twice.
    pub(crate) async fn exchange(
        &self,
        body: Bytes,
        limits: ExchangeLimits,
    ) -> Result<Answer, TransportError> {
        let link = self.link().await.map_err(|fault| self.error(fault))?;
        let started = Instant::now();
        let outcome = stream::exchange(&link, &body, &limits).await;
        let age = started.elapsed();
        tracing::trace!(
            transport = "quic",
            elapsed_ms = age.as_millis(),
            reason = outcome.as_ref().err().map_or("", QuicFault::code),
            "ended an exchange"
        );
        let seen = outcome.as_ref().map(|body| format!("{} bytes", body.len()));
        let seen = seen.map_err(|fault| fault.clone().into());
        let place = self.path.target.authority();
        self.path.note(Stage::Exchange, place, started, seen);
        match outcome {
            Ok(body) => Ok(Answer {
                status: 200,
                retry_after_s: None,
                content_type: None,
                body,
                age,
                link: link.report(),
            }),
            Err(fault) => Err(TransportError {
                sent_for: Some(age),
                ..self.error(fault.into())
            }),
        }
    }

    fn error(&self, fault: Fault) -> TransportError {
        let hop = format!("{} (UDP)", self.path.target.authority());
        self.path.error(hop, fault)
    }

    /// Returns the kept connection, or opens one.
    async fn link(&self) -> Result<Arc<QuicLink>, Fault> {
        if let Some(link) = self.open_link() {
            return Ok(link);
        }
        let _dialing = self.dialing.acquire().await.ok();
        // Another exchange may have connected while this one waited.
        if let Some(link) = self.open_link() {
            return Ok(link);
        }
        let link = Arc::new(self.connect().await?);
        self.kept().link = Some(Arc::clone(&link));
        Ok(link)
    }

    fn open_link(&self) -> Option<Arc<QuicLink>> {
        let mut kept = self.kept();
        kept.link.take_if(|link| !link.is_open());
        kept.link.clone()
    }

    async fn connect(&self) -> Result<QuicLink, Fault> {
        let (path, place) = (&self.path, self.path.target.authority());
        // Before anything is sent: without usable anchors there is nothing to connect for.
        let trust = path.trust.state().await?;
        let name = server_name(place)?;
        let settings = self.settings(&trust)?;
        let addresses = path.lookup(place).await?;
        let dialing = Dial {
            settings,
            host: place.host.bare(),
            traffic: Arc::clone(&path.traffic),
        };
        let started = Instant::now();
        let opened = timeout(path.budgets.quic, dial(&dialing, addresses)).await;
        let opened = opened.unwrap_or(Err(Fault::from(QuicFault::Silent)));
        let opened = opened.inspect_err(|fault| {
            path.note(Stage::Quic, place, started, Err(fault.clone()));
        })?;
        let identity = opened.connection.peer_identity();
        let chain =
            identity.and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
        let chain = chain.unwrap_or_default();
        // Whether a ticket stood for the certificate does not show here: it is looked at in either case.
        if let Some(fault) = trust.fault_of_resumed(&chain) {
            self.kept().settings = None;
            return Err(fault.into());
        }
        let report = LinkReport {
            route: path.route(),
            peer: opened.connection.remote_address(),
            http: None,
            udp_bytes_max: Some(opened.connection.stats().path.current_mtu),
            packet_bytes_max: None,
            alpn_answered: true,
            leaf: chain.first().map(LeafReport::of).unwrap_or_default(),
            intercepted: trust.is_intercepted(&chain, &name),
        };
        path.note(Stage::Quic, place, started, Ok(seen_in_tls(&report)));
        Ok(QuicLink::new(opened, report, &path.traffic))
    }

    /// Returns the settings for these anchors.
    fn settings(&self, trust: &TrustState) -> Result<Settings, Fault> {
        let mut kept = self.kept();
        if let Some(settings) = kept.settings.as_ref().filter(|kept| kept.is_of(trust)) {
            return Ok(settings.clone());
        }
        let settings = Settings::new(trust)?;
        kept.settings = Some(settings.clone());
        Ok(settings)
    }
}
