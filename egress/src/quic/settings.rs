//! quinn's and rustls' settings for a client of one mailbox.
//!
//! Certificates are judged as over TCP, by the same verifier. Refuses 0-RTT, streams and datagrams
//! that the server would begin, versions of QUIC other than 1, and an ALPN other than `postern/1`.

use crate::limits::{
    QUIC_IDLE, QUIC_INITIAL_RTT, QUIC_RECEIVE_BYTES_MAX, QUIC_SEND_BYTES_MAX,
    QUIC_STREAM_BYTES_MAX, QUIC_TICKETS_MAX, QUIC_UDP_BYTES, QUIC_UDP_BYTES_AGAIN,
    QUIC_UDP_BYTES_MAX, QUIC_UDP_BYTES_STEP,
};
use crate::tls::{TlsFault, TrustState};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    TransportConfig, VarInt,
};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The protocol's name in the TLS handshake (spec: #quic-binding).
pub(super) const ALPN: &[u8] = b"postern/1";
/// QUIC version 1 (RFC 9000).
const VERSION_1: u32 = 1;

/// Settings for one generation of trust anchors; tickets of another one are worth nothing.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Identifies the generation.
    trust: Arc<ClientConfig>,
    pub(super) client: quinn::ClientConfig,
    pub(super) refusal: Arc<Refusal>,
}

impl Settings {
    /// # Errors
    /// When TLS 1.3 cannot be had, which would be a build without it.
    pub(super) fn new(trust: &TrustState) -> Result<Self, TlsFault> {
        let refusal = Arc::new(Refusal {
            inner: Arc::clone(&trust.verifier),
            last: Mutex::new(None),
        });
        let mut tls = ClientConfig::clone(&trust.config);
        tls.dangerous()
            .set_certificate_verifier(Arc::clone(&refusal) as Arc<dyn ServerCertVerifier>);
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.enable_early_data = false;
        tls.resumption = Resumption::in_memory_sessions(QUIC_TICKETS_MAX);
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| TlsFault::Broken {
            reason: crate::foreign::Foreign::new(error.to_string().as_bytes()),
        })?;
        let mut client = quinn::ClientConfig::new(Arc::new(crypto));
        client
            .version(VERSION_1)
            .transport_config(Arc::new(transport()));
        Ok(Self {
            trust: Arc::clone(&trust.config),
            client,
            refusal,
        })
    }

    pub(super) fn is_of(&self, trust: &TrustState) -> bool {
        Arc::ptr_eq(&self.trust, &trust.config)
    }
}

pub(super) fn endpoint() -> EndpointConfig {
    let mut endpoint = EndpointConfig::default();
    endpoint
        .supported_versions(vec![VERSION_1])
        .cid_generator(|| Box::new(NoIds));
    endpoint
}

fn transport() -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(QUIC_UDP_BYTES_MAX)
        .minimum_change(QUIC_UDP_BYTES_STEP)
        .interval(QUIC_UDP_BYTES_AGAIN);
    let idle_ms = u32::try_from(QUIC_IDLE.as_millis()).unwrap_or(u32::MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(QUIC_STREAM_BYTES_MAX))
        .receive_window(VarInt::from_u32(QUIC_RECEIVE_BYTES_MAX))
        .send_window(QUIC_SEND_BYTES_MAX)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .initial_rtt(QUIC_INITIAL_RTT)
        .initial_mtu(QUIC_UDP_BYTES)
        .mtu_discovery_config(Some(mtu))
        // Pings are ours: only while an exchange waits, and at a pace that the library does not know.
        .keep_alive_interval(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))));
    transport
}

/// A socket has one connection, so that packets to us need no id: eight bytes less each.
#[derive(Debug)]
struct NoIds;

impl ConnectionIdGenerator for NoIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&[])
    }

    fn cid_len(&self) -> usize {
        0
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Decides as the verifier underneath and remembers why it refused, which QUIC does not hand through.
#[derive(Debug)]
pub(super) struct Refusal {
    inner: Arc<dyn ServerCertVerifier>,
    last: Mutex<Option<TlsFault>>,
}

impl Refusal {
    pub(super) fn take(&self) -> Option<TlsFault> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.take()
    }
}

impl ServerCertVerifier for Refusal {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let decision = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        if let Err(error) = &decision {
            let fault = TlsFault::from_io(&std::io::Error::other(error.clone()));
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        }
        decision
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
