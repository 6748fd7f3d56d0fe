//! All rate limits of one server, in the order in which they are asked.
//!
//! ```text
//!   source -> (size, shape) -> source and all handshakes, knocks -> (tag) -> device -> tenant
//!                                                                    '----> writer of a tenant
//! ```
//!
//! Refuses to be asked about an address that proved nothing, and about a device before its tag.

use super::random;
use super::settings::ServerLimits;
use crate::limiter::{Cells, Drawn, Gate, Guard, Limiter, Rate, Source, WhenFull};
use crate::limits::{CELL_BYTES, CELLS_SWEPT_TICK, SESSIONS_MAX, TENANT_KEYS_MAX};
use crate::metrics::Metrics;
use postern_protocol::Reject;
use postern_protocol::frame::FrameType;
use postern_protocol::id::{ChannelId, Tenant, TenantId};

/// Too much was asked; try again after this many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    pub(super) guard: Guard,
    pub(super) retry_ms: u64,
}

/// The limiters.
#[derive(Debug)]
pub(super) struct Gates {
    exchanges: Limiter,
    source_handshakes: Limiter,
    handshakes: Gate,
    knocks: Gate,
    quic_attempts: Gate,
    device_messages: Cells<ChannelId>,
    device_bytes: Cells<ChannelId>,
    tenant_messages: Cells<Tenant>,
    tenant_bytes: Cells<Tenant>,
    writer_messages: Cells<TenantId>,
    writer_bytes: Cells<TenantId>,
}

impl Gates {
    /// # Errors: `overloaded` when the system gives no random bytes.
    pub(super) fn new(limits: &ServerLimits) -> Result<Self, Reject> {
        let devices = |rate: Rate| Cells::new(rate, SESSIONS_MAX);
        let tenants = |rate: Rate| Cells::new(rate, TENANT_KEYS_MAX);
        let writers = |rate: Rate| Cells::new(rate, TENANT_KEYS_MAX);
        Ok(Self {
            exchanges: Limiter::new(limits.source_exchanges, random::bytes()?),
            source_handshakes: Limiter::new(limits.source_handshakes, random::bytes()?),
            handshakes: Gate::new(limits.handshakes),
            knocks: Gate::new(limits.knocks),
            quic_attempts: Gate::new(limits.quic_attempts),
            device_messages: devices(limits.device_messages),
            device_bytes: devices(limits.device_bytes),
            tenant_messages: tenants(limits.tenant_messages),
            tenant_bytes: tenants(limits.tenant_bytes),
            writer_messages: writers(limits.writer_messages),
            writer_bytes: writers(limits.writer_bytes),
        })
    }

    /// An exchange of any kind begins. # Errors: [`TooMany`].
    pub(super) fn take_exchange(&self, source: Source, now_ms: u64) -> Result<(), TooMany> {
        let taken = self.exchanges.take(source, now_ms);
        taken.map_err(too_many(Guard::SourceExchanges))
    }

    /// The kind of an exchange is known. # Errors: [`TooMany`].
    pub(super) fn take_kind(
        &self,
        source: Source,
        kind: FrameType,
        now_ms: u64,
    ) -> Result<(), TooMany> {
        match kind {
            FrameType::Ask | FrameType::Hello => self.take_handshake(source, now_ms),
            FrameType::Enrol => {
                self.take_handshake(source, now_ms)?;
                self.knocks.take(now_ms).map_err(too_many(Guard::Knocks))
            }
            FrameType::Poll
            | FrameType::Answer
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Bodies
            | FrameType::Put
            | FrameType::Collect
            | FrameType::Collected
            | FrameType::Deliver
            | FrameType::DeliverBodies
            | FrameType::FetchBodies
            | FrameType::DeliverEnrolled
            | FrameType::Stream
            | FrameType::StreamAnswer
            | FrameType::FiledBody
            | FrameType::Enrolled
            | FrameType::Challenge
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Ok(()),
        }
    }

    fn take_handshake(&self, source: Source, now_ms: u64) -> Result<(), TooMany> {
        //= spec/postern.md#hello
        //# A mailbox MUST limit the rate of asks and hellos of one source before any
        //# public-key operation.
        self.source_handshakes
            .take(source, now_ms)
            .map_err(too_many(Guard::SourceHandshakes))?;
        let taken = self.handshakes.take(now_ms);
        taken.map_err(too_many(Guard::Handshakes))
    }

    /// An address that proved nothing wants a QUIC connection. Returns false when there are many.
    pub(super) fn take_quic_attempt(&self, now_ms: u64) -> bool {
        self.quic_attempts.take(now_ms).is_ok()
    }

    /// A frame of a device's session verified. # Errors: [`TooMany`].
    pub(super) fn take_device(
        &self,
        channel: ChannelId,
        tenant: Option<&Tenant>,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), TooMany> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let of_device = [
            (Guard::DeviceMessages, &self.device_messages, 1),
            (Guard::DeviceBytes, &self.device_bytes, bytes),
        ];
        for (guard, cells, count) in of_device {
            judge(guard, cells.take(&channel, count, now_ms))?;
        }
        // A session that was opened before this server started has no tenant here until its next hello.
        let Some(tenant) = tenant else {
            return Ok(());
        };
        let of_tenant = [
            (Guard::TenantMessages, &self.tenant_messages, 1),
            (Guard::TenantBytes, &self.tenant_bytes, bytes),
        ];
        for (guard, cells, count) in of_tenant {
            judge(guard, cells.take(tenant, count, now_ms))?;
        }
        Ok(())
    }

    /// A frame of a writer's session verified. It speaks for all devices of its tenant, so none of
    /// their limits is its own. # Errors: [`TooMany`].
    pub(super) fn take_writer(
        &self,
        tenant: TenantId,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), TooMany> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let of_writer = [
            (Guard::WriterMessages, &self.writer_messages, 1),
            (Guard::WriterBytes, &self.writer_bytes, bytes),
        ];
        for (guard, cells, count) in of_writer {
            judge(guard, cells.take(&tenant, count, now_ms))?;
        }
        Ok(())
    }

    /// Drops cells that are full again and shows how many are left. Returns their bytes.
    pub(super) fn sweep(&self, metrics: &Metrics, now_ms: u64) -> usize {
        self.exchanges.sweep(CELLS_SWEPT_TICK, now_ms);
        self.source_handshakes.sweep(CELLS_SWEPT_TICK, now_ms);
        for cells in [&self.device_messages, &self.device_bytes] {
            cells.sweep(CELLS_SWEPT_TICK, now_ms);
        }
        for cells in [&self.tenant_messages, &self.tenant_bytes] {
            cells.sweep(CELLS_SWEPT_TICK, now_ms);
        }
        for cells in [&self.writer_messages, &self.writer_bytes] {
            cells.sweep(CELLS_SWEPT_TICK, now_ms);
        }
        let mut keys = 0_usize;
        for guard in Guard::ALL {
            let count = self.keys(*guard);
            metrics.limiter_keys(*guard, count);
            keys = keys.saturating_add(count);
        }
        keys.saturating_mul(CELL_BYTES)
    }

    fn keys(&self, guard: Guard) -> usize {
        match guard {
            Guard::SourceExchanges => self.exchanges.keys(),
            Guard::SourceHandshakes => self.source_handshakes.keys(),
            Guard::Handshakes | Guard::Knocks | Guard::QuicAttempts => 1,
            Guard::DeviceMessages => self.device_messages.keys(),
            Guard::DeviceBytes => self.device_bytes.keys(),
            Guard::TenantMessages => self.tenant_messages.keys(),
            Guard::TenantBytes => self.tenant_bytes.keys(),
            Guard::WriterMessages => self.writer_messages.keys(),
            Guard::WriterBytes => self.writer_bytes.keys(),
        }
    }
}

fn too_many(guard: Guard) -> impl Fn(u64) -> TooMany {
    move |retry_ms| TooMany { guard, retry_ms }
}

/// Applies what the guard does without room.
fn judge(guard: Guard, taken: Drawn) -> Result<(), TooMany> {
    match (taken, guard.when_full()) {
        (Drawn::Yes, _) | (Drawn::NoCell, WhenFull::Open | WhenFull::Shares | WhenFull::Never) => {
            Ok(())
        }
        (Drawn::NotFor(retry_ms), _) => Err(TooMany { guard, retry_ms }),
        (Drawn::NoCell, WhenFull::Closed) => Err(TooMany { guard, retry_ms: 1 }),
    }
}
