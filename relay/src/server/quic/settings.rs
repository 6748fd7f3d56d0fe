//! quinn's settings for many small connections; its defaults suit a file server.
//!
//! Refuses 0-RTT (it could be replayed), datagrams, unidirectional streams and client certificates.

use super::ALPN;
use super::ids::ConnectionIds;
use super::keys::ListenerSecret;
use crate::limits as fixed;
use crate::server::settings::ServerLimits;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

/// Settings of the socket, which also hold what recognises connections of a former life.
pub(super) fn endpoint(secret: &ListenerSecret) -> EndpointConfig {
    let mut endpoint = EndpointConfig::new(secret.reset_key());
    let key = secret.connection_id_key();
    endpoint
        .cid_generator(move || Box::new(ConnectionIds::new(&key)))
        // The ids cannot be guessed without the key, so a reset answers a former connection only.
        .min_reset_interval(Duration::from_micros(fixed::QUIC_RESET_INTERVAL_US));
    endpoint
}

/// Settings of connections. `tls` is that of the HTTPS door.
///
/// # Errors
/// When TLS 1.3 cannot be had, which would be a build without it.
pub(super) fn server(
    tls: &rustls::ServerConfig,
    secret: &ListenerSecret,
    limits: &ServerLimits,
) -> Result<ServerConfig, rustls::Error> {
    let mut tls = tls.clone();
    //= spec/postern.md#quic-binding
    //# A server MUST take connections with the ALPN `postern/1` only.
    tls.alpn_protocols = vec![ALPN.to_vec()];
    //= spec/postern.md#quic-binding
    //# A server MUST NOT take 0-RTT data.
    tls.max_early_data_size = 0;
    if let Some(tickets) = secret.tickets() {
        tls.ticketer = tickets;
    }
    let crypto = QuicServerConfig::try_from(tls)
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut server = ServerConfig::new(Arc::new(crypto), secret.token_key());
    server
        .max_incoming(fixed::QUIC_INCOMING_MAX)
        .incoming_buffer_size(fixed::QUIC_INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(fixed::QUIC_INCOMING_BYTES_TOTAL_MAX)
        .transport_config(Arc::new(transport(limits)));
    Ok(server)
}

fn transport(limits: &ServerLimits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle_ms = u32::try_from(limits.quic_idle_ms_max).unwrap_or(u32::MAX);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(fixed::STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(fixed::QUIC_RECEIVE_BYTES_MAX))
        .stream_receive_window(VarInt::from_u32(fixed::QUIC_STREAM_RECEIVE_BYTES_MAX))
        .send_window(fixed::QUIC_SEND_BYTES_MAX)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .mtu_discovery_config(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))));
    transport
}
