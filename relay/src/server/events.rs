//! What happened, for whoever wants to show it. Nothing that is refused goes unsaid.
//!
//! Events are lossy for slow listeners, counters are not. Refuses to carry what a peer sent.

use crate::limiter::Source;
use crate::limits::EVENTS_MAX;
use crate::metrics::{ConnectionRefusal, HttpRefusal, Metrics};
use postern_protocol::Reject;
use postern_protocol::frame::FrameType;
use postern_protocol::id::{ChannelId, MailboxId, TenantId};
use tokio::sync::broadcast;
use tracing::{debug, info};

/// Something that an operator may want to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A device proved its key; its session counts from its first frame on.
    Greeted {
        /// The device's channel.
        channel: ChannelId,
    },
    /// A tenant's writer proved its key; its session counts from its first frame on.
    WriterGreeted {
        /// The tenant's id.
        tenant: TenantId,
    },
    /// A newer session of a tenant's writer took the place of its older one.
    WriterDisplaced {
        /// The tenant's id.
        tenant: TenantId,
    },
    /// A mailbox that depends on this one proved its key; its session counts from its first frame on.
    MailboxGreeted {
        /// The mailbox's id.
        mailbox: MailboxId,
    },
    /// A newer session of such a mailbox took the place of its older one.
    MailboxDisplaced {
        /// The mailbox's id.
        mailbox: MailboxId,
    },
    /// A newer session of a device took the place of its older one.
    Displaced {
        /// The device's channel.
        channel: ChannelId,
    },
    /// A frame or an item of a post was refused.
    Rejected {
        /// Why.
        reason: Reject,
        /// Whose session, where that is known.
        channel: Option<ChannelId>,
        /// What it was, where that is known.
        kind: Option<FrameType>,
        /// Where it came from.
        source: Source,
    },
    /// A request was answered below Postern.
    HttpRefused {
        /// Why.
        reason: HttpRefusal,
        /// Where it came from.
        source: Source,
    },
    /// A connection ended before its first request.
    ConnectionRefused {
        /// Why.
        reason: ConnectionRefusal,
        /// Where it came from.
        source: Source,
    },
}

/// Counts, logs and tells.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) metrics: Metrics,
    events: broadcast::Sender<Event>,
}

impl Default for Telling {
    fn default() -> Self {
        Self {
            metrics: Metrics::default(),
            events: broadcast::Sender::new(EVENTS_MAX),
        }
    }
}

impl Telling {
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(super) fn tell(&self, event: Event) {
        match event {
            Event::Greeted { channel } => info!(%channel, "opened session"),
            Event::WriterGreeted { tenant } => info!(%tenant, "opened session of a writer"),
            Event::WriterDisplaced { tenant } => info!(%tenant, "displaced session of a writer"),
            Event::MailboxGreeted { mailbox } => info!(%mailbox, "opened session of a mailbox"),
            Event::MailboxDisplaced { mailbox } => {
                info!(%mailbox, "displaced session of a mailbox");
            }
            Event::Displaced { channel } => info!(%channel, "displaced session"),
            Event::Rejected {
                reason,
                channel,
                kind,
                source,
            } => {
                self.metrics.rejected(reason);
                let channel = channel.map(tracing::field::display);
                let kind = kind.map(FrameType::as_str);
                debug!(%reason, channel, kind, peer = %source, "rejected frame");
            }
            Event::HttpRefused { reason, source } => {
                self.metrics.problem(reason);
                debug!(reason = reason.as_str(), peer = %source, "refused request");
            }
            Event::ConnectionRefused { reason, source } => {
                self.metrics.connection_refused(reason);
                debug!(reason = reason.as_str(), peer = %source, "refused connection");
            }
        }
        // Nobody listening is no fault: counters and the log have it.
        let _ = self.events.send(event);
    }
}
