//! Tells another network from a hiccup of the present one. Pure.
//!
//! A change counts once it was seen again a second later. That the gateway's MAC is not known for a moment is
//! no change; that it becomes known is another name, not another network.

use super::{NetworkId, Signs};
use crate::clock::Moment;
use crate::limits::{NETWORK_LOOK, NETWORK_SETTLE};

/// Watches the signs of the network.
#[derive(Clone, Debug)]
pub struct Watch {
    signs: Signs,
    id: NetworkId,
    /// Other signs, and since when they are seen.
    pending: Option<(Moment, Signs)>,
    looked: Moment,
}

impl Watch {
    /// Begins in this network.
    #[must_use]
    pub fn new(now: Moment, signs: Signs) -> Self {
        Self {
            id: signs.id(),
            signs,
            pending: None,
            looked: now,
        }
    }

    /// Returns the name of the network.
    #[must_use]
    pub const fn id(&self) -> NetworkId {
        self.id
    }

    /// The moment of the next look: every 30 seconds, a second later where something changed.
    #[must_use]
    pub fn due(&self) -> Moment {
        match &self.pending {
            Some((since, _)) => since.after(NETWORK_SETTLE),
            None => self.looked.after(NETWORK_LOOK),
        }
    }

    /// Takes what is seen now. Returns true when this is another network.
    pub fn handle_signs(&mut self, now: Moment, seen: Signs) -> bool {
        self.looked = now;
        let is_same = Signs {
            gateway_mac: String::new(),
            ..seen.clone()
        } == Signs {
            gateway_mac: String::new(),
            ..self.signs.clone()
        };
        let is_known = !seen.gateway_mac.is_empty() && !self.signs.gateway_mac.is_empty();
        if is_same && (!is_known || seen.gateway_mac == self.signs.gateway_mac) {
            self.pending = None;
            if !seen.gateway_mac.is_empty() {
                self.id = seen.id();
                self.signs = seen;
            }
            return false;
        }
        match self.pending.take() {
            Some((since, pending)) if pending == seen => {
                if now.since(since) < NETWORK_SETTLE {
                    self.pending = Some((since, pending));
                    return false;
                }
                self.id = seen.id();
                self.signs = seen;
                true
            }
            Some(_) | None => {
                self.pending = Some((now, seen));
                false
            }
        }
    }
}
