//! From the numbers of `relay.toml` to the bounds of server and mailboxes.
//!
//! Each bound that an operator may change is named here; what is not named keeps the library's
//! default. Refuses to judge: the parser has checked the ranges.

use super::{Limit, RelayConfig};
use postern_relay::exchange::ExchangeLimits;
use postern_relay::limiter::Rate;
use postern_relay::mailbox::MailboxLimits;
use postern_relay::server::ServerLimits;

impl RelayConfig {
    /// Returns the bounds of both doors.
    #[must_use]
    pub fn server_limits(&self) -> ServerLimits {
        let limits = &self.limits;
        let rate = |burst, per_s| Rate {
            burst: limits.small(burst),
            per_s: limits.small(per_s),
        };
        ServerLimits {
            connections_max: limits.size(Limit::Connections),
            source_connections_max: limits.size(Limit::SourceConnections),
            source_unproven_max: limits.size(Limit::SourceUnproven),
            site_connections_max: limits.size(Limit::SiteConnections),
            device_connections_max: limits.size(Limit::DeviceConnections),
            holds_max: limits.size(Limit::Holds),
            source_exchanges: rate(Limit::SourceExchangesBurst, Limit::SourceExchangesRate),
            source_handshakes: rate(Limit::SourceHandshakesBurst, Limit::SourceHandshakesRate),
            handshakes: rate(Limit::HandshakesBurst, Limit::HandshakesRate),
            knocks: rate(Limit::KnocksBurst, Limit::KnocksRate),
            quic_attempts: rate(Limit::QuicAttemptsBurst, Limit::QuicAttemptsRate),
            device_messages: rate(Limit::DeviceMessagesBurst, Limit::DeviceMessagesRate),
            device_bytes: rate(Limit::DeviceBytesBurst, Limit::DeviceBytesRate),
            tenant_messages: rate(Limit::TenantMessagesBurst, Limit::TenantMessagesRate),
            tenant_bytes: rate(Limit::TenantBytesBurst, Limit::TenantBytesRate),
            writer_messages: rate(Limit::WriterMessagesBurst, Limit::WriterMessagesRate),
            writer_bytes: rate(Limit::WriterBytesBurst, Limit::WriterBytesRate),
            tls_handshake_ms_max: limits.of(Limit::TlsHandshakeMs),
            header_ms_max: limits.of(Limit::HeaderMs),
            body_grace_ms: limits.of(Limit::BodyGraceMs),
            body_bytes_per_s_min: limits.of(Limit::BodyRate),
            body_ms_max: limits.of(Limit::BodyMs),
            bodies_bytes_max: limits.size(Limit::BodiesBytes),
            budget_bytes_max: limits.size(Limit::BudgetBytes),
            idle_ms_max: limits.of(Limit::IdleMs),
            quic_idle_ms_max: limits.of(Limit::QuicIdleMs),
            close_ms_max: limits.of(Limit::CloseMs),
        }
    }

    /// Returns the bounds of mailboxes and exchanges.
    #[must_use]
    pub fn exchange_limits(&self) -> ExchangeLimits {
        ExchangeLimits {
            mailbox: MailboxLimits {
                bytes_max: self.limits.size(Limit::MailboxBytes),
                total_bytes_max: self.limits.size(Limit::MailboxesBytes),
                bundles_bytes_max: self.limits.size(Limit::BundlesBytes),
                ..MailboxLimits::default()
            },
            hold_s_max: self.limits.of(Limit::HoldS),
            ..ExchangeLimits::default()
        }
    }
}
