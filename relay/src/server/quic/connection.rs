//! One QUIC connection: its streams, and when it ends.
//!
//! The transport's own idle timeout only tells that the peer is gone; one that lives and asks
//! nothing is closed as an idle HTTPS connection is. Refuses to let an exchange outlive its
//! connection, except what the host has begun.

use super::stream;
use crate::server::activity::Activity;
use crate::server::clock::after_ms;
use crate::server::connection::Shared;
use crate::server::counts::Counted;
use crate::server::link::Link;
use quinn::{Connection, VarInt};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Why a connection or stream ends, as its peer is told (spec: #quic-binding).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuicError {
    /// It is not needed any more.
    Done,
    /// A request came too slowly, or what followed it was not wanted.
    Slow,
    /// There is no place for another connection.
    Full,
    /// The device has newer connections, or its sessions ended.
    Replaced,
    /// The server stops.
    Draining,
}

impl QuicError {
    pub(super) const fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Done => 0,
            Self::Slow => 1,
            Self::Full => 2,
            Self::Replaced => 3,
            Self::Draining => 4,
        })
    }

    pub(super) fn close(self, connection: &Connection) {
        connection.close(self.code(), &[]);
    }
}

/// Serves until the peer or one of the timers ends it.
pub(super) async fn serve(connection: Connection, shared: &Arc<Shared>, counted: Counted) {
    let link = Arc::new(Link::new(counted));
    let limits = *shared.limits();
    let activity = Activity::new();
    let mut draining = shared.draining.clone();
    let mut streams = JoinSet::new();
    let (error, grace_ms) = loop {
        tokio::select! {
            accepted = connection.accept_bi() => {
                let Ok((send, recv)) = accepted else {
                    // The peer is gone, and with it whoever waited for the answers.
                    return;
                };
                //= spec/postern.md#quic-binding
                //# A client MUST send each exchange on a bidirectional stream of its own: the
                //# frame, then the end of the stream.
                let in_flight = activity.begin();
                let (service, link) = (shared.service.clone(), Arc::clone(&link));
                streams.spawn(async move {
                    stream::serve(&service, &link, send, recv).await;
                    drop(in_flight);
                });
            }
            Some(_) = streams.join_next() => {}
            _ = activity.over(&limits) => break (QuicError::Done, limits.close_ms_max),
            () = link.cut() => break (QuicError::Replaced, limits.close_ms_max),
            grace = draining.wait_for(Option::is_some) => {
                let grace_ms = grace.ok().and_then(|grace| *grace).unwrap_or_default();
                break (QuicError::Draining, grace_ms);
            }
        }
    };
    let last = async { while streams.join_next().await.is_some() {} };
    // What has not ended by then is cut: the client polls again.
    let _ = tokio::time::timeout_at(after_ms(grace_ms), last).await;
    error.close(&connection);
}
