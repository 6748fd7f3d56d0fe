//! quinn's and rustls' settings for a client of one mailbox.
//!
//! Certificates are judged as over TCP, by the same code. Refuses 0-RTT, streams and datagrams
//! that the server would begin, versions of QUIC other than 1, and an ALPN other than `postern/1`.

use crate::limits::{
    QUIC_IDLE, QUIC_INITIAL_RTT, QUIC_RECEIVE_BYTES_MAX, QUIC_SEND_BYTES_MAX,
    QUIC_STREAM_BYTES_MAX, QUIC_TICKETS_MAX, QUIC_UDP_BYTES, QUIC_UDP_BYTES_AGAIN,
    QUIC_UDP_BYTES_MAX, QUIC_UDP_BYTES_STEP,
};
use crate::tls::{Refusal, TlsFault, TrustState};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    TransportConfig, VarInt,
};
use rustls::ClientConfig;
use rustls::client::Resumption;
use std::sync::Arc;
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
        let (mut tls, refusal) = trust.config_that_keeps_refusals();
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
