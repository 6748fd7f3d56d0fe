//! A device's end of QUIC: connections, one stream for each exchange, sessions over them.

use super::{Certificate, Running};
use crate::fixtures::{ask, greet};
use crate::server::ALPN;
use postern_protocol::session::ClientSession;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, IdleTimeout, TransportConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::rustls;

/// How a client behaves.
#[derive(Clone, Copy)]
pub(super) struct Manners {
    pub(super) alpn: &'static [u8],
    /// Milliseconds of silence after which it gives up.
    pub(super) idle_ms: u32,
    pub(super) is_early: bool,
}

pub(super) const POLITE: Manners = Manners {
    alpn: ALPN,
    idle_ms: 30_000,
    is_early: false,
};

/// How to reach the server under test by QUIC.
#[derive(Clone)]
pub(super) struct QuicSite {
    pub(super) address: SocketAddr,
    endpoint: Endpoint,
}

fn client_config(certificate_pem: &str, manners: Manners) -> ClientConfig {
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let offered = (!manners.alpn.is_empty()).then(|| manners.alpn.to_vec());
    tls.alpn_protocols = offered.into_iter().collect();
    tls.enable_early_data = manners.is_early;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(IdleTimeout::from(quinn::VarInt::from_u32(
        manners.idle_ms,
    ))));
    config.transport_config(Arc::new(transport));
    config
}

impl QuicSite {
    pub(super) fn new(address: SocketAddr, certificate_pem: &str, manners: Manners) -> Self {
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(client_config(certificate_pem, manners));
        Self { address, endpoint }
    }

    /// The site of a running server.
    pub(super) fn of(running: &Running, certificate: &Certificate) -> Self {
        let address = running.server.quic_address().unwrap();
        Self::new(address, &certificate.certificate_pem, POLITE)
    }

    pub(super) fn connecting(&self) -> quinn::Connecting {
        self.endpoint.connect(self.address, "localhost").unwrap()
    }

    pub(super) async fn try_connect(&self) -> Result<QuicClient, ConnectionError> {
        let connection = self.connecting().await?;
        Ok(QuicClient { connection })
    }

    pub(super) async fn connect(&self) -> QuicClient {
        self.try_connect().await.unwrap()
    }
}

/// A connection that carries exchanges.
#[derive(Clone)]
pub(super) struct QuicClient {
    pub(super) connection: Connection,
}

impl QuicClient {
    /// One exchange, whatever comes of it.
    pub(super) async fn try_exchange(&self, frame: &[u8]) -> Result<Vec<u8>, String> {
        let opened = self.connection.open_bi().await;
        let (mut send, mut recv) = opened.map_err(|error| error.to_string())?;
        // A server that knows enough stops reading; its answer counts.
        let _ = send.write_all(frame).await;
        let _ = send.finish();
        let answer = recv.read_to_end(1 << 20).await;
        answer.map_err(|error| format!("{error:?}"))
    }

    pub(super) async fn exchange(&self, frame: &[u8]) -> Vec<u8> {
        self.try_exchange(frame).await.unwrap()
    }

    /// Opens a session of the fixture's device.
    pub(super) async fn open(&self, seed: u8) -> ClientSession {
        let challenge = self.exchange(&ask()).await;
        let (greeting, hello) = greet(&challenge, seed);
        let welcome = self.exchange(&hello).await;
        greeting.handle_welcome(&welcome, 0).unwrap()
    }
}
