//! Opens one connection to a mailbox along one route, hop by hop.
//!
//! ```text
//!   direct:  TCP --------------------------------> TLS to the target
//!   proxy:   TCP -> (TLS to the proxy) -> CONNECT or SOCKS5 -> TLS to the target
//! ```
//!
//! Each hop has its own budget and its own fault. On the proxy route the target's name is never
//! looked up here: it goes to the proxy as it is. The proxy's part stands in [`crate::tunnel`].

use crate::attempts::Attempts;
use crate::connect::ConnectFault;
use crate::dialer::Budgets;
use crate::fault::{Fault, TransportError};
use crate::host::{Authority, Host};
use crate::ladder::label;
use crate::limits::ADDRESSES_MAX;
use crate::mailbox_url::MailboxUrl;
use crate::proxy_auth::ProxyAuth;
use crate::proxy_url::ProxyUrl;
use crate::route::Route;
use crate::tcp::{self, Liveness, Resolve, Traffic};
use crate::tls::{LeafReport, TimeCheck, TlsFault, Trust};
use crate::trail::{Hop, Stage, Trail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Every connection looks the same to HTTP: one copy of its code, not one for each kind of stream.
pub(crate) type BoxStream = Box<dyn Stream>;

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1, also when nothing was negotiated.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What is known about the connection that carried an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReport {
    /// The route.
    pub route: Route,
    /// The machine at the other end of the socket: the target, or the proxy.
    pub peer: SocketAddr,
    /// The HTTP version in use; `None` over QUIC, where there is no HTTP.
    pub http: Option<HttpVersion>,
    /// Over QUIC the largest UDP payload in bytes that the path is known to carry, 1200 to 1452.
    pub udp_bytes_max: Option<u16>,
    /// Over TCP the largest packet in bytes that the system knows the path to the peer to carry, headers included; at
    /// most 1280, because larger ones are not sent.
    pub packet_bytes_max: Option<u32>,
    /// Whether ALPN was answered; inspecting proxies often leave it out.
    pub alpn_answered: bool,
    /// The certificate that was shown.
    pub leaf: LeafReport,
    /// Only a CA from the site's files vouches for that certificate: neither the system's roots
    /// nor the join line do. True behind an inspecting proxy.
    pub intercepted: bool,
}

/// A proxy with its credentials.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    /// Its number among the proxies of the dialer.
    pub(crate) place: u8,
    pub(crate) url: ProxyUrl,
    pub(crate) auth: Arc<ProxyAuth>,
}

/// Everything it takes to open a connection.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) target: MailboxUrl,
    /// `None` means straight to the target.
    pub(crate) proxy: Option<Proxy>,
    /// Over UDP; never through a proxy.
    pub(crate) is_quic: bool,
    pub(crate) trust: Arc<Trust>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) budgets: Budgets,
    pub(crate) user_agent: String,
    pub(crate) traffic: Arc<Traffic>,
    /// Where every hop is written down, when somebody wants to know.
    pub(crate) trail: Option<Arc<Trail>>,
    /// Where its end is written down otherwise.
    pub(crate) attempts: Arc<Attempts>,
    /// Whether the target counts as a relay; decides on the label only.
    pub(crate) is_relay: Arc<AtomicBool>,
}

/// An open connection, ready for HTTP.
pub(crate) struct Link {
    pub(crate) stream: TlsStream<BoxStream>,
    pub(crate) liveness: Liveness,
    pub(crate) http: HttpVersion,
    pub(crate) report: LinkReport,
}

/// The connection below the target's TLS.
pub(crate) struct Carrier {
    pub(crate) stream: BoxStream,
    pub(crate) liveness: Liveness,
    pub(crate) peer: SocketAddr,
}

impl Path {
    pub(crate) const fn route(&self) -> Route {
        match (self.is_quic, &self.proxy) {
            (true, _) => Route::Quic,
            (false, Some(proxy)) => Route::Proxy(proxy.place),
            (false, None) => Route::Direct,
        }
    }

    /// The label of this kind of way.
    pub(crate) fn label(&self) -> &'static str {
        label(self.route(), self.is_relay.load(Ordering::Relaxed))
    }

    pub(crate) fn error(&self, hop: String, fault: Fault) -> TransportError {
        TransportError {
            route: self.route(),
            hop,
            fault,
            sent_for: None,
        }
    }

    /// The same way over TCP, for a way over QUIC.
    pub(crate) fn over_tcp(&self) -> Self {
        Self {
            is_quic: false,
            ..self.clone()
        }
    }

    /// Writes a hop down: what was seen, or what went wrong.
    pub(crate) fn note(
        &self,
        stage: Stage,
        place: impl ToString,
        started: Instant,
        seen: Result<String, Fault>,
    ) {
        let took = started.elapsed();
        let Some(trail) = &self.trail else {
            return self.attempts.note_stage(self.label(), stage, took);
        };
        let (evidence, fault) = match seen {
            Ok(evidence) => (evidence, None),
            Err(fault) => (String::new(), Some(fault)),
        };
        trail.note(Hop {
            stage,
            place: place.to_string(),
            took,
            evidence,
            fault,
        });
    }

    /// Opens a connection; `check` says at which time the target's certificate has to be valid.
    pub(crate) async fn open(&self, check: TimeCheck) -> Result<Link, TransportError> {
        let place = self.target.authority();
        let hop = || place.to_string();
        // Before anything is sent: without usable anchors there is nothing to connect for.
        let trust = self.trust.state().await;
        let trust = trust.map_err(|fault| self.error(hop(), fault.into()))?;
        let carrier = match &self.proxy {
            Some(proxy) => self.tunnel(proxy).await?,
            None => {
                let opened = self.tcp(place).await;
                opened.map_err(|fault| self.error(hop(), fault))?
            }
        };
        let started = Instant::now();
        let config = trust.config_for(check);
        let shaken = self.handshake(&config, place, carrier.stream).await;
        let stream = shaken.map_err(|fault| {
            let fault = match fault == TlsFault::NotTls && self.proxy.is_some() {
                true => ConnectFault::BlockPage.into(),
                false => Fault::from(fault),
            };
            self.note(Stage::Tls, place, started, Err(fault.clone()));
            self.error(hop(), fault)
        })?;
        let session = stream.get_ref().1;
        let chain = session.peer_certificates().unwrap_or_default();
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        if let Some(fault) = resumed.then(|| trust.fault_of_resumed(chain)).flatten() {
            self.trust.forget_tickets();
            let fault = Fault::from(fault);
            self.note(Stage::Tls, place, started, Err(fault.clone()));
            return Err(self.error(hop(), fault));
        }
        let name = server_name(place).map_err(|fault| self.error(hop(), fault.into()))?;
        let http = match session.alpn_protocol() {
            Some(b"h2") => HttpVersion::Http2,
            Some(_) | None => HttpVersion::Http1,
        };
        let report = LinkReport {
            route: self.route(),
            peer: carrier.peer,
            http: Some(http),
            udp_bytes_max: None,
            packet_bytes_max: carrier.liveness.packet_bytes_max(),
            alpn_answered: session.alpn_protocol().is_some(),
            leaf: chain.first().map(LeafReport::of).unwrap_or_default(),
            intercepted: trust.is_intercepted(chain, &name),
        };
        self.note(Stage::Tls, place, started, Ok(seen_in_tls(&report)));
        Ok(Link {
            stream,
            liveness: carrier.liveness,
            http,
            report,
        })
    }

    pub(crate) async fn tcp(&self, place: &Authority) -> Result<Carrier, Fault> {
        let addresses = self.lookup(place).await?;
        let started = Instant::now();
        let opened = tcp::open(addresses, &self.budgets, &self.traffic).await;
        let seen = opened.as_ref().map(|opened| opened.peer.to_string());
        self.note(Stage::Tcp, place, started, seen.map_err(Fault::clone));
        let opened = opened?;
        Ok(Carrier {
            stream: Box::new(opened.stream),
            liveness: opened.liveness,
            peer: opened.peer,
        })
    }

    /// Looks up what to connect to.
    pub(crate) async fn lookup(&self, place: &Authority) -> Result<Vec<SocketAddr>, Fault> {
        let started = Instant::now();
        let found = tcp::addresses(self.resolver.as_ref(), place, &self.budgets).await;
        if matches!(place.host, Host::Name(_)) {
            let seen = found.as_ref().map(|addresses| listed(addresses));
            self.note(Stage::Lookup, place, started, seen.map_err(Fault::clone));
        }
        found
    }

    pub(crate) async fn handshake(
        &self,
        config: &Arc<ClientConfig>,
        place: &Authority,
        stream: BoxStream,
    ) -> Result<TlsStream<BoxStream>, TlsFault> {
        let name = server_name(place)?;
        let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        match timeout(self.budgets.tls, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(TlsFault::from_io(&error)),
            Err(_elapsed) => Err(TlsFault::Slow),
        }
    }
}

/// Names addresses, as many as are tried.
fn listed(addresses: &[SocketAddr]) -> String {
    let names = addresses.iter().take(ADDRESSES_MAX);
    let names: Vec<_> = names.map(|address| address.ip().to_string()).collect();
    names.join(" ")
}

/// Says what a handshake has shown, for people.
pub(crate) fn seen_in_tls(report: &LinkReport) -> String {
    let alpn = match (report.alpn_answered, report.http) {
        (false, _) => "none",
        (true, Some(HttpVersion::Http1)) => "http/1.1",
        (true, Some(HttpVersion::Http2)) => "h2",
        (true, None) => "postern/1",
    };
    format!("issuer \"{}\", alpn {alpn}", report.leaf.issuer)
}

pub(crate) fn server_name(place: &Authority) -> Result<ServerName<'static>, TlsFault> {
    ServerName::try_from(place.host.bare()).map_err(|_bad| TlsFault::Broken {
        reason: crate::foreign::Foreign::new(b"the host is no valid TLS server name"),
    })
}
