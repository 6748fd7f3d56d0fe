//! Opens one connection to a mailbox along one route, hop by hop.
//!
//! ```text
//!   direct:  TCP --------------------------------> TLS to the target
//!   proxy:   TCP -> (TLS to the proxy) -> CONNECT or SOCKS5 -> TLS to the target
//! ```
//!
//! Each hop has its own budget and its own fault. On the proxy route the target's name is never
//! looked up here: it goes to the proxy as it is. The proxy's part stands in [`crate::tunnel`].

use crate::connect::ConnectFault;
use crate::dialer::Budgets;
use crate::fault::{Fault, TransportError};
use crate::host::Authority;
use crate::mailbox_url::MailboxUrl;
use crate::proxy_auth::ProxyAuth;
use crate::proxy_url::ProxyUrl;
use crate::route::Route;
use crate::tcp::{self, Liveness, Resolve, Traffic};
use crate::tls::{LeafReport, TlsFault, Trust};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

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
pub(crate) struct Carrier {
    pub(crate) stream: BoxStream,
    pub(crate) liveness: Liveness,
    pub(crate) peer: SocketAddr,
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

    /// Opens a connection.
    pub(crate) async fn open(&self) -> Result<Link, TransportError> {
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
        let shaken = self.handshake(&trust.config, place, carrier.stream).await;
        let stream = shaken.map_err(|fault| {
            if fault == TlsFault::NotTls && self.proxy.is_some() {
                self.error(hop(), ConnectFault::BlockPage.into())
            } else {
                self.error(hop(), fault.into())
            }
        })?;
        let session = stream.get_ref().1;
        let chain = session.peer_certificates().unwrap_or_default();
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

    pub(crate) async fn tcp(&self, place: &Authority) -> Result<Carrier, Fault> {
        let resolver = self.resolver.as_ref();
        let opened = tcp::open(resolver, place, &self.budgets, &self.traffic).await?;
        Ok(Carrier {
            stream: Box::new(opened.stream),
            liveness: opened.liveness,
            peer: opened.peer,
        })
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

fn server_name(place: &Authority) -> Result<ServerName<'static>, TlsFault> {
    ServerName::try_from(place.host.bare()).map_err(|_bad| TlsFault::Broken {
        reason: crate::foreign::Foreign::new(b"the host is no valid TLS server name"),
    })
}
