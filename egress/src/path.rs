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
use crate::host::Authority;
use crate::mailbox_url::MailboxUrl;
use crate::proxy_auth::{ProxyAuth, Ticket};
use crate::proxy_url::{ProxyScheme, ProxyUrl};
use crate::route::Route;
use crate::tcp::{self, Liveness, Resolve, Traffic};
use crate::tls::{LeafReport, TimeCheck, TlsFault, Trust};
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

type BoxStream = Box<dyn Stream>;

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
    /// The HTTP version in use.
    pub http: HttpVersion,
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
    pub(crate) url: ProxyUrl,
    pub(crate) auth: Arc<ProxyAuth>,
}

/// Everything it takes to open a connection.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) target: MailboxUrl,
    /// `None` means direct.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) budgets: Budgets,
    pub(crate) user_agent: String,
    pub(crate) traffic: Arc<Traffic>,
}

/// An open connection, ready for HTTP.
pub(crate) struct Link {
    pub(crate) stream: TlsStream<BoxStream>,
    pub(crate) liveness: Liveness,
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
        if self.proxy.is_some() {
            Route::Proxy(0)
        } else {
            Route::Direct
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
        let config = trust.config_for(check);
        let shaken = self.handshake(&config, place, carrier.stream).await;
        let stream = shaken.map_err(|fault| {
            if fault == TlsFault::NotTls && self.proxy.is_some() {
                self.error(hop(), ConnectFault::BlockPage.into())
            } else {
                self.error(hop(), fault.into())
            }
        })?;
        let session = stream.get_ref().1;
        let chain = session.peer_certificates().unwrap_or_default();
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        if let Some(fault) = resumed.then(|| trust.fault_of_resumed(chain)).flatten() {
            self.trust.forget_tickets();
            return Err(self.error(hop(), fault.into()));
        }
        let name = server_name(place).map_err(|fault| self.error(hop(), fault.into()))?;
        let report = LinkReport {
            route: self.route(),
            peer: carrier.peer,
            http: match session.alpn_protocol() {
                Some(b"h2") => HttpVersion::Http2,
                Some(_) | None => HttpVersion::Http1,
            },
            alpn_answered: session.alpn_protocol().is_some(),
            leaf: chain.first().map(LeafReport::of).unwrap_or_default(),
            intercepted: trust.is_intercepted(chain, &name),
        };
        Ok(Link {
            stream,
            liveness: carrier.liveness,
            report,
        })
    }

    async fn tcp(&self, place: &Authority) -> Result<Carrier, Fault> {
        let resolver = self.resolver.as_ref();
        let opened = tcp::open(resolver, place, &self.budgets, &self.traffic).await?;
        Ok(Carrier {
            stream: Box::new(opened.stream),
            liveness: opened.liveness,
            peer: opened.peer,
        })
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
        let tunnel = self.connect(proxy).await;
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
                let stream = self.handshake(config, place, carrier.stream).await?;
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

fn server_name(place: &Authority) -> Result<ServerName<'static>, TlsFault> {
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
