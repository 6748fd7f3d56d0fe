//! What a ladder knows of a way: its class, its place, whom it shows a password to.
//!
//! Plain data and its order. Refuses to hold an address: a way is named by a number, and by a hash.

use crate::limits::{
    RACE_DIRECT_DELAY, RACE_LAST_DELAY, RACE_NEXT_DELAY, RACE_PROXY_DELAY, RACE_RELAY_DELAY,
};
use crate::route::Route;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Names a way for as long as the process runs, whatever ways come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WayId(pub u64);

/// Names a way in the record of networks: the same in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WayKey(pub [u8; 8]);

impl WayKey {
    /// Returns the name of the way to `url` along `route`.
    #[must_use]
    pub fn of(url: &str, route: Route) -> Self {
        let place = match route {
            Route::Quic | Route::Direct => 0,
            Route::Proxy(place) => place,
        };
        let mut hash = Sha256::new();
        hash.update(b"postern way 1\0");
        hash.update(route.as_str().as_bytes());
        hash.update([0, place]);
        hash.update(url.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        Self([a, b, c, d, e, f, g, h])
    }
}

/// Returns the label of a kind of way, of a closed set.
#[must_use]
pub const fn label(route: Route, is_relay: bool) -> &'static str {
    match (is_relay, route) {
        (false, route) => route.as_str(),
        (true, Route::Quic) => "relay-quic",
        (true, Route::Direct) => "relay-direct",
        (true, Route::Proxy(_)) => "relay-proxy",
    }
}

/// One way to a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Its name in this process.
    pub id: WayId,
    /// Its name in the record of networks.
    pub key: WayKey,
    /// How it leaves.
    pub route: Route,
    /// The place of its mailbox in the bundle's order. All but the first count as relays.
    pub mailbox: u8,
    /// The place of its URL among those of its mailbox.
    pub url: u8,
    /// Whom it shows a password to: two ways of the same group are never tried at the same time.
    pub secret: Option<u8>,
}

impl Way {
    /// Returns the label of this kind of way, of a closed set.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        label(self.route, self.mailbox > 0)
    }

    /// Returns what using this way costs: nothing, a proxy's goodwill, or a relay's quota.
    #[must_use]
    pub const fn cost(&self) -> u8 {
        let relay = if self.mailbox > 0 { 5 } else { 0 };
        let proxy = match self.route {
            Route::Quic | Route::Direct => 0,
            Route::Proxy(_) => 1,
        };
        relay + proxy
    }

    /// Returns the place of this way in the order of preference; the smallest is the best.
    #[must_use]
    pub const fn rank(&self) -> (u8, u8, Route, u8) {
        (self.cost(), self.mailbox, self.route, self.url)
    }

    /// Returns when this way starts in a race, where nothing else is known of it.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let relay = match self.mailbox {
            0 => Duration::ZERO,
            place => RACE_RELAY_DELAY + RACE_NEXT_DELAY * u32::from(place - 1),
        };
        // Beside a relay's own delay, QUIC needs no head start.
        let head_start = match self.route {
            Route::Direct if self.mailbox > 0 => RACE_DIRECT_DELAY,
            Route::Direct | Route::Quic | Route::Proxy(_) => Duration::ZERO,
        };
        (self.route_delay() + relay)
            .saturating_sub(head_start)
            .min(RACE_LAST_DELAY)
    }

    /// Returns when this way starts in a race that is about its mailbox.
    #[must_use]
    pub fn route_delay(&self) -> Duration {
        let route = match self.route {
            Route::Quic => Duration::ZERO,
            Route::Direct => RACE_DIRECT_DELAY,
            Route::Proxy(place) => RACE_PROXY_DELAY + RACE_NEXT_DELAY * u32::from(place),
        };
        route + RACE_NEXT_DELAY * u32::from(self.url)
    }
}
