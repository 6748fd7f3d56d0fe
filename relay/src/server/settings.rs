//! What an operator may change about the server; the defaults stand in [`crate::limits`].
//!
//! Refuses to read files or the environment: whoever embeds the server fills them in.

use crate::limiter::Rate;
use crate::limits as default;

/// Bounds of both doors of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one source (IPv4 address or IPv6 /64).
    pub source_connections_max: usize,
    /// Of those, connections on which no session has spoken yet.
    pub source_unproven_max: usize,
    /// Connections at once from one IPv6 /48.
    pub site_connections_max: usize,
    /// Connections at once on which one device alone speaks; the newest stay.
    pub device_connections_max: usize,
    /// Polls held at once.
    pub holds_max: usize,
    /// Exchanges of any kind from one source.
    pub source_exchanges: Rate,
    /// Asks, hellos and enrolments from one source.
    pub source_handshakes: Rate,
    /// Asks, hellos and enrolments from all sources.
    pub handshakes: Rate,
    /// Enrolments from all sources.
    pub knocks: Rate,
    /// QUIC connection attempts from addresses that proved nothing; beyond it they must prove it.
    pub quic_attempts: Rate,
    /// Exchanges in the sessions of one device.
    pub device_messages: Rate,
    /// Bytes that one device sends in its sessions.
    pub device_bytes: Rate,
    /// Exchanges in the sessions of one tenant's devices.
    pub tenant_messages: Rate,
    /// Bytes that one tenant's devices send in their sessions.
    pub tenant_bytes: Rate,
    /// Exchanges in the sessions of one tenant's writer.
    pub writer_messages: Rate,
    /// Bytes that one tenant's writer sends in its sessions.
    pub writer_bytes: Rate,
    /// Milliseconds for the TLS handshake.
    pub tls_handshake_ms_max: u64,
    /// Milliseconds for a request head of HTTP/1.1, from its first byte.
    pub header_ms_max: u64,
    /// Milliseconds of silence allowed at the begin of a body.
    pub body_grace_ms: u64,
    /// Least bytes per second of a body after the grace.
    pub body_bytes_per_s_min: u64,
    /// Milliseconds for a whole body, however fast it comes.
    pub body_ms_max: u64,
    /// Bytes of all bodies being read at once.
    pub bodies_bytes_max: usize,
    /// Bytes of everything in memory together.
    pub budget_bytes_max: usize,
    /// Milliseconds for which a connection without a request is kept.
    pub idle_ms_max: u64,
    /// Milliseconds of silence after which a QUIC peer counts as gone.
    pub quic_idle_ms_max: u64,
    /// Milliseconds that a closing connection has to take its last answer.
    pub close_ms_max: u64,
}

const fn rate(burst: u32, per_s: u32) -> Rate {
    Rate { burst, per_s }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: default::CONNECTIONS_MAX,
            source_connections_max: default::SOURCE_CONNECTIONS_MAX,
            source_unproven_max: default::SOURCE_UNPROVEN_MAX,
            site_connections_max: default::SITE_CONNECTIONS_MAX,
            device_connections_max: default::DEVICE_CONNECTIONS_MAX,
            holds_max: default::HOLDS_MAX,
            source_exchanges: rate(
                default::SOURCE_EXCHANGES_BURST,
                default::SOURCE_EXCHANGES_PER_S,
            ),
            source_handshakes: rate(
                default::SOURCE_HANDSHAKES_BURST,
                default::SOURCE_HANDSHAKES_PER_S,
            ),
            handshakes: rate(default::HANDSHAKES_BURST, default::HANDSHAKES_PER_S),
            knocks: rate(default::KNOCKS_BURST, default::KNOCKS_PER_S),
            quic_attempts: rate(default::QUIC_ATTEMPTS_BURST, default::QUIC_ATTEMPTS_PER_S),
            device_messages: rate(
                default::DEVICE_MESSAGES_BURST,
                default::DEVICE_MESSAGES_PER_S,
            ),
            device_bytes: rate(default::DEVICE_BYTES_BURST, default::DEVICE_BYTES_PER_S),
            tenant_messages: rate(
                default::TENANT_MESSAGES_BURST,
                default::TENANT_MESSAGES_PER_S,
            ),
            tenant_bytes: rate(default::TENANT_BYTES_BURST, default::TENANT_BYTES_PER_S),
            writer_messages: rate(
                default::WRITER_MESSAGES_BURST,
                default::WRITER_MESSAGES_PER_S,
            ),
            writer_bytes: rate(default::WRITER_BYTES_BURST, default::WRITER_BYTES_PER_S),
            tls_handshake_ms_max: default::TLS_HANDSHAKE_MS_MAX,
            header_ms_max: default::HEADER_MS_MAX,
            body_grace_ms: default::BODY_GRACE_MS,
            body_bytes_per_s_min: default::BODY_BYTES_PER_S_MIN,
            body_ms_max: default::BODY_MS_MAX,
            bodies_bytes_max: default::BODIES_BYTES_MAX,
            budget_bytes_max: default::BUDGET_BYTES_MAX,
            idle_ms_max: default::IDLE_MS_MAX,
            quic_idle_ms_max: default::QUIC_IDLE_MS_MAX,
            close_ms_max: default::CLOSE_MS_MAX,
        }
    }
}

/// What the server needs to start.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes any.
    pub listen: std::net::SocketAddr,
    /// Path before `/postern/1`: empty, or `/` and more without a final `/`.
    pub prefix: String,
    /// Certificate chain, PEM.
    pub certificate_pem: Vec<u8>,
    /// Private key, PEM.
    pub key_pem: Vec<u8>,
    /// The second door, if there is one.
    pub quic: Option<super::QuicListener>,
    /// Bounds.
    pub limits: ServerLimits,
}
