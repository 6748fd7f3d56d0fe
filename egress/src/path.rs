//! Opens one connection to a mailbox along one route, hop by hop.
//!
//! ```text
//!   direct:  TCP --------------------------------> TLS to the target
//!   proxy:   TCP -> (TLS to the proxy) -> CONNECT -> TLS to the target
//! ```
//!
//! Each hop has its own budget and its own fault. On the proxy route the target's name is never
//! looked up here: it goes into CONNECT as it is.

use crate::connect::{Connect, ConnectFault, Step};
use crate::dialer::Budgets;
use crate::fault::{Fault, TransportError};
use crate::host::{Authority, Host};
use crate::limits::ADDRESSES_MAX;
use crate::mailbox_url::MailboxUrl;
use crate::proxy_auth::{ProxyAuth, Ticket};
use crate::proxy_url::{ProxyScheme, ProxyUrl};
use crate::route::Route;
use crate::tcp::{self, Liveness, Resolve, Traffic};
use crate::tls::{LeafReport, TimeCheck, TlsFault, Trust};
use crate::trail::{Hop, Stage, Trail};
use bytes::{Buf, Bytes};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
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
}

/// An open connection, ready for HTTP.
pub(crate) struct Link {
    pub(crate) stream: TlsStream<BoxStream>,
    pub(crate) liveness: Liveness,
    pub(crate) http: HttpVersion,
    pub(crate) report: LinkReport,
}

/// The connection below the target's TLS.
struct Carrier {
    stream: BoxStream,
    liveness: Liveness,
    peer: SocketAddr,
}

impl Path {
    pub(crate) const fn route(&self) -> Route {
        match (self.is_quic, &self.proxy) {
            (true, _) => Route::Quic,
            (false, Some(proxy)) => Route::Proxy(proxy.place),
            (false, None) => Route::Direct,
        }
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
        if let Some(trail) = &self.trail {
            let (evidence, fault) = match seen {
                Ok(evidence) => (evidence, None),
                Err(fault) => (String::new(), Some(fault)),
            };
            trail.note(Hop {
                stage,
                place: place.to_string(),
                took: started.elapsed(),
                evidence,
                fault,
            });
        }
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

    async fn tcp(&self, place: &Authority) -> Result<Carrier, Fault> {
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

    async fn handshake(
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

    async fn tunnel(&self, proxy: &Proxy) -> Result<Carrier, TransportError> {
        let started = Instant::now();
        let tunnel = self.connect(proxy).await;
        let seen = tunnel.as_ref().map(|_open| "open".to_owned());
        // A proxy that is not reached has its hop already.
        if seen
            .as_ref()
            .err()
            .is_none_or(|fault| !is_before_tunnel(fault))
        {
            self.note(
                Stage::Tunnel,
                &proxy.url,
                started,
                seen.map_err(Fault::clone),
            );
        }
        tunnel.map_err(|fault| self.error(format!("proxy {}", proxy.url), fault))
    }

    /// TCP to the proxy, and TLS where its scheme says so.
    async fn reach(&self, proxy: &Proxy) -> Result<Carrier, Fault> {
        let carrier = self.tcp(&proxy.url.authority).await?;
        match proxy.url.scheme {
            ProxyScheme::Http => Ok(carrier),
            ProxyScheme::Https => {
                let trust = self.trust.state().await?;
                //= spec/freshness.md#signed-time
                //# A device MUST NOT relax the period of a proxy's certificate.
                let config = &trust.proxy_config;
                let place = &proxy.url.authority;
                let started = Instant::now();
                let shaken = self.handshake(config, place, carrier.stream).await;
                let seen = shaken.as_ref().map(|_stream| String::new());
                let seen = seen.map_err(|fault| fault.clone().into());
                self.note(Stage::ProxyTls, place, started, seen);
                let stream = shaken?;
                Ok(Carrier {
                    stream: Box::new(stream),
                    ..carrier
                })
            }
        }
    }

    /// Drives the CONNECT state machine.
    async fn connect(&self, proxy: &Proxy) -> Result<Carrier, Fault> {
        let mut carrier = self.reach(proxy).await?;
        let mut ticket = proxy.auth.proven();
        let mut machine = Connect::new(
            self.target.authority().clone(),
            &self.user_agent,
            proxy.auth.authenticator(),
            ticket.as_ref().map(|ticket| ticket.header.clone()),
        );
        let mut deadline = Instant::now() + self.budgets.connect;
        loop {
            match machine.step() {
                Step::Send(request) => {
                    let sending = carrier.stream.write_all(&request);
                    match timeout_at(deadline, sending).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_reset)) => machine.handle_close()?,
                        Err(_elapsed) => return Err(machine.handle_timeout().into()),
                    }
                }
                Step::Receive => {
                    let read = receive(&mut carrier.stream, &mut machine, deadline).await;
                    settle(&proxy.auth, ticket.as_ref(), read)?;
                }
                Step::Credentials(_scheme) => {
                    // Waiting for another connection's try is not this proxy's slowness.
                    let asked = Instant::now();
                    let granted = proxy.auth.ask().await?;
                    deadline += asked.elapsed();
                    machine.authorize(granted.header.clone());
                    ticket = Some(granted);
                }
                Step::Reopen => {
                    carrier = self.reach(proxy).await?;
                    machine.handle_reopened();
                }
                Step::Open => break,
            }
        }
        if let Some(ticket) = &ticket {
            proxy.auth.handle_accepted(ticket);
        }
        Ok(Carrier {
            stream: Box::new(Prefixed::new(machine.into_leftover(), carrier.stream)),
            ..carrier
        })
    }
}

async fn receive(
    stream: &mut BoxStream,
    machine: &mut Connect,
    deadline: Instant,
) -> Result<(), ConnectFault> {
    let mut buffer = [0; 4096];
    match timeout_at(deadline, stream.read(&mut buffer)).await {
        Ok(Ok(0) | Err(_)) => machine.handle_close(),
        Ok(Ok(size)) => machine.handle_bytes(buffer.get(..size).unwrap_or_default()),
        Err(_elapsed) => Err(machine.handle_timeout()),
    }
}

/// Remembers a rejection before it becomes an error.
fn settle(
    auth: &ProxyAuth,
    ticket: Option<&Ticket<'_>>,
    outcome: Result<(), ConnectFault>,
) -> Result<(), Fault> {
    if let (Err(ConnectFault::Rejected), Some(ticket)) = (&outcome, ticket) {
        auth.handle_rejected(ticket);
    }
    outcome.map_err(Fault::Connect)
}

/// Tells whether a fault is one of the way to the proxy.
const fn is_before_tunnel(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Lookup(_) | Fault::LookupSlow | Fault::Tcp(_) | Fault::TcpSlow | Fault::Tls(_)
    )
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

/// A stream whose first bytes were read already.
pub(crate) struct Prefixed<S> {
    prefix: Bytes,
    inner: S,
}

impl<S> Prefixed<S> {
    pub(crate) fn new(prefix: Vec<u8>, inner: S) -> Self {
        Self {
            prefix: prefix.into(),
            inner,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let size = self.prefix.len().min(buf.remaining());
        buf.put_slice(self.prefix.get(..size).unwrap_or_default());
        self.prefix.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
