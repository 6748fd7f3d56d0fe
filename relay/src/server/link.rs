//! One connection of any transport, as far as exchanges know it.
//!
//! A connection on which one device alone spoke is that device's; one on which several spoke is a
//! front's, and nobody's. Refuses to know what carries it: whoever drives the connection waits for
//! [`Link::cut`] and ends it.

use super::counts::Counted;
use crate::limiter::Source;
use postern_protocol::id::ChannelId;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

#[derive(Debug, Clone, Copy)]
enum Owner {
    Nobody,
    One(ChannelId),
    Many,
}

/// What a frame of a session says about the connection it came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is the first: the connection is this device's now.
    First,
    /// Nothing new.
    Known,
    /// A second device: it is nobody's any more.
    Shared,
}

#[derive(Debug)]
pub(super) struct Link {
    counted: Counted,
    owner: Mutex<Owner>,
    cut: Notify,
}

impl Link {
    pub(super) fn new(counted: Counted) -> Self {
        Self {
            counted,
            owner: Mutex::new(Owner::Nobody),
            cut: Notify::new(),
        }
    }

    pub(super) const fn source(&self) -> Source {
        self.counted.source()
    }

    /// A session of this channel spoke here.
    pub(super) fn claim(&self, channel: ChannelId) -> Claim {
        self.counted.prove();
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, claim) = match *owner {
            Owner::Nobody => (Owner::One(channel), Claim::First),
            Owner::One(held) if held == channel => (*owner, Claim::Known),
            Owner::One(_) => (Owner::Many, Claim::Shared),
            Owner::Many => (Owner::Many, Claim::Known),
        };
        *owner = next;
        claim
    }

    /// A session of a writer spoke here: the connection is no device's, and none ends it.
    pub(super) fn claim_for_writer(&self) {
        self.counted.prove();
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        *owner = Owner::Many;
    }

    /// True once several devices, or a writer, spoke here.
    pub(super) fn is_shared(&self) -> bool {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*owner, Owner::Many)
    }

    /// Asks whoever drives the connection to end it.
    pub(super) fn end(&self) {
        self.cut.notify_one();
    }

    /// Ends when the connection has to end.
    pub(super) async fn cut(&self) {
        self.cut.notified().await;
    }
}
