//! What people and metrics are told of the routes.
//!
//! Labels come from closed sets. Refuses to hold a secret.

use super::standing::state_of;
use super::{HoldFacts, PushFacts, Routes, Way, WayRow, moment};
use crate::clock;
use postern_egress::LinkReport;
use postern_egress::ladder::label;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Switches counted: from, to and reason, each of a closed set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches(BTreeMap<(&'static str, &'static str, &'static str), u64>);

impl Switches {
    pub(super) fn count(&mut self, from: &'static str, to: &'static str, reason: &'static str) {
        *self.0.entry((from, to, reason)).or_default() += 1;
    }

    /// Each kind of switch with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, u64)> {
        self.0
            .iter()
            .map(|((from, to, reason), count)| (*from, *to, *reason, *count))
    }
}

/// A way that would be better than the one in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BetterWay {
    /// Its label.
    pub name: &'static str,
    /// The code of its last failure, where it failed.
    pub last_error: Option<&'static str>,
    /// Whether it is left alone because it flapped.
    pub is_suppressed: bool,
    /// The clock's milliseconds at which it is asked again, where that is planned.
    pub next_try_ms: Option<u64>,
}

/// How the routes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteFacts {
    /// The name of the network, shortened.
    pub network: String,
    /// The label of the way in use.
    pub current: &'static str,
    /// Who issued the certificate that the last answer came under, where only the site's own CA vouches for it.
    pub intercepted_by: Option<String>,
    /// The best way that is not in use, where it would be better than the one that is.
    pub better: Option<BetterWay>,
    /// Why the way in use was taken: the reason, and the clock's milliseconds.
    pub last_switch: Option<(&'static str, u64)>,
    /// Switches since the start.
    pub switches: Switches,
    /// What the way in use has learnt about holds and bodies.
    pub hold: Option<HoldFacts>,
    /// Ends of holds since the start: `ok`, `data`, `cut`, `silent` or `other`.
    pub hold_ends: BTreeMap<&'static str, u64>,
    /// How many ways of each label are `used`, `ready`, `failed` or `suppressed`.
    pub states: BTreeMap<(&'static str, &'static str), u64>,
    /// Bytes on the sockets by label, up and down.
    pub bytes: BTreeMap<&'static str, (u64, u64)>,
    /// The largest packet in bytes, headers included, that the way in use is known to carry.
    pub packet_bytes_max: Option<u32>,
    /// Which ways lead to each mailbox and why: policy, source of the proxies, exceptions.
    pub explained: Arc<[String]>,
    /// Races in a row that nobody won.
    pub rounds_lost: u32,
    /// Records of networks that were damaged.
    pub records_damaged: u64,
    /// How news come.
    pub push: PushFacts,
    /// How each way stands and why, the best first.
    pub ways: Vec<WayRow>,
}

impl Routes {
    /// Tells how the routes are.
    #[must_use]
    pub fn facts(&self) -> RouteFacts {
        let mut facts = self.ladder.facts(moment());
        let better = facts.next().filter(|best| !best.is_current);
        let has_current = self.ladder.current().is_some();
        let link = self.link.as_ref().filter(|link| link.intercepted);
        let last_switch = self.ladder.last_switch();
        RouteFacts {
            network: self.whereabouts.network().to_string(),
            current: self.ladder.current().map_or("none", |way| way.as_str()),
            intercepted_by: link.map(|link| link.leaf.issuer.to_string()),
            better: better.filter(|_| has_current).map(|best| BetterWay {
                name: best.way.as_str(),
                last_error: best.last_error,
                is_suppressed: best.is_suppressed,
                next_try_ms: best.next_try.map(|at| at.as_millis()),
            }),
            last_switch: last_switch.map(|(at, made)| (made.reason.as_str(), at.as_millis())),
            switches: self.switches.clone(),
            hold: self.hold_facts(),
            hold_ends: self.hold_ends.clone(),
            states: self.states(),
            bytes: self.bytes_by_label(),
            packet_bytes_max: self.link.as_deref().and_then(packet_bytes_of),
            explained: Arc::clone(&self.explained),
            rounds_lost: self.ladder.rounds_lost(),
            records_damaged: self.whereabouts.damaged(),
            push: self.push_facts(),
            ways: self.rows(),
        }
    }
}

impl Way {
    /// The label of its kind.
    pub(super) fn label(&self) -> &'static str {
        label(self.client.route(), self.address.mailbox > 0)
    }
}

impl Routes {
    fn states(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let mut states = BTreeMap::new();
        for fact in self.ladder.facts(moment()) {
            let key = (fact.way.as_str(), state_of(&fact));
            *states.entry(key).or_default() += 1;
        }
        states
    }

    pub(super) fn bytes_by_label(&self) -> BTreeMap<&'static str, (u64, u64)> {
        let mut all = self.gone_bytes.clone();
        add_bytes(&mut all, &self.ways);
        all
    }
}

/// Adds what crossed the sockets of these ways.
pub(super) fn add_bytes(all: &mut BTreeMap<&'static str, (u64, u64)>, ways: &[Way]) {
    for way in ways {
        let traffic = way.client.traffic();
        let (up, down) = all.entry(way.label()).or_default();
        *up += traffic.bytes_up();
        *down += traffic.bytes_down();
    }
}

/// The largest packet that the path of a connection is known to carry, headers included.
pub(crate) fn packet_bytes_of(link: &LinkReport) -> Option<u32> {
    // A UDP header, and one of IPv4 or IPv6.
    let headers = if link.peer.is_ipv4() { 8 + 20 } else { 8 + 40 };
    let over_udp = link.udp_bytes_max.map(|bytes| u32::from(bytes) + headers);
    over_udp.or(link.packet_bytes_max)
}

impl RouteFacts {
    /// Returns what `status` shows.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let now_ms = clock::mono_ms();
        let better = self.better.as_ref().map(|better| {
            serde_json::json!({
                "route": better.name,
                "last_error": better.last_error,
                "suppressed": better.is_suppressed,
                "next_try_s": better.next_try_ms.map(|at| at.saturating_sub(now_ms) / 1_000),
            })
        });
        let ways = self.ways.iter().map(|way| {
            serde_json::json!({
                "route": way.route,
                "mailbox": way.mailbox,
                "url": way.url,
                "state": way.state,
                "reason": way.reason,
                "next_try_s": way.next_try_ms.map(|at| at.saturating_sub(now_ms) / 1_000),
            })
        });
        let switches = self.switches.iter();
        serde_json::json!({
            "network": self.network,
            "way": self.current,
            "intercepted": self.intercepted_by.is_some(),
            "issuer": self.intercepted_by,
            "better": better,
            "last_switch": self.last_switch.map(|(reason, at)| serde_json::json!({
                "reason": reason,
                "age_s": now_ms.saturating_sub(at) / 1_000,
            })),
            "switches": switches.map(|(from, to, reason, count)| serde_json::json!({
                "from": from, "to": to, "reason": reason, "count": count,
            })).collect::<Vec<_>>(),
            "races_lost": self.rounds_lost,
            "hold": self.hold,
            "packet_bytes_max": self.packet_bytes_max,
            "explained": *self.explained,
            "push": self.push.to_json(),
            "ways": ways.collect::<Vec<_>>(),
        })
    }
}
