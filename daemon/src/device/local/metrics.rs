//! `/metrics`: Prometheus text with labels from closed sets only.
//!
//! Refuses names of devices, tenants, peers and paths as labels: whoever scrapes knows whom it asks.

use crate::device::status::Status;
use crate::device::view::View;
use crate::routes::{RouteFacts, Switches};
use postern_egress::attempts::{Attempts, Durations};
use postern_egress::canary::Verdict;
use postern_egress::limits::STAGE_BUCKETS_MS;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

/// Writes all families.
#[must_use]
pub fn render(view: &View, attempts: &Attempts) -> String {
    let status = &view.status;
    let mut page = Page(String::new());
    page.gauge(
        "postern_replica_lag_revisions",
        "Decisions that are accepted and not applied",
        status.lag_revisions(),
    );
    page.gauge(
        "postern_stale",
        "1 while the controller may have been silent for longer than allowed",
        u64::from(status.is_stale),
    );
    if let Some(age_ms) = view.age_ms() {
        page.gauge(
            "postern_controller_age_seconds",
            "Seconds since the newest proof that the controller lives",
            age_ms / 1_000,
        );
    }
    page.gauge(
        "postern_actual_lag_revisions",
        "Writes of the actual state that the controller has not acknowledged",
        status.actual_lag_revisions(),
    );
    page.gauge(
        "postern_applying_allowed",
        "1 while neither a pause nor a window keeps changes back",
        u64::from(status.gate.is_open()),
    );
    page.gauge(
        "postern_route_connected",
        "1 after a verified answer of a mailbox, until the way fails",
        u64::from(status.is_connected),
    );
    routes(&mut page, &status.routes);
    holds(&mut page, &status.routes);
    tries(&mut page, attempts);
    clock(&mut page, status);
    page.gauge(
        "postern_bundle_number",
        "Number of the key bundle that counts",
        status.bundle,
    );
    streams(&mut page, &status.routes.push);
    let intents = view
        .intents
        .iter()
        .filter(|intent| intent.taken > intent.done);
    page.gauge(
        "postern_intents_pending",
        "Intents that fired and are not done",
        u64::try_from(intents.count()).unwrap_or(u64::MAX),
    );
    counters(&mut page, status);
    page.0
}

fn routes(page: &mut Page, routes: &RouteFacts) {
    page.gauge(
        "postern_route_intercepted",
        "1 while only the site's own CA vouches for what answers",
        u64::from(routes.intercepted_by.is_some()),
    );
    page.gauge(
        "postern_route_races_lost",
        "Races in a row that no route won",
        u64::from(routes.rounds_lost),
    );
    page.counter(
        "postern_networks_damaged_total",
        "Records of networks that were damaged and left aside",
        routes.records_damaged,
    );
    page.switches(&routes.switches);
    page.many(
        "postern_route_state",
        "Ways of each kind that are used, ready, failed or suppressed",
        "gauge",
        routes.states.iter().map(|((route, state), count)| {
            let labels = format!("route=\"{route}\",state=\"{state}\"");
            (labels, *count)
        }),
    );
    let bytes = routes.bytes.iter().flat_map(|(route, (up, down))| {
        [("down", down), ("up", up)].map(|(direction, bytes)| {
            let labels = format!("route=\"{route}\",direction=\"{direction}\"");
            (labels, *bytes)
        })
    });
    page.many(
        "postern_route_bytes_total",
        "Bytes on the sockets of each kind of way, TLS and HTTP included",
        "counter",
        bytes,
    );
    if let Some(bytes) = routes.packet_bytes_max {
        page.gauge(
            "postern_route_packet_bytes",
            "Bytes of the largest packet that the way in use is known to carry, headers included",
            bytes,
        );
    }
}

fn clock(page: &mut Page, status: &Status) {
    if let Some(ahead_s) = status.clock_ahead_s {
        page.gauge(
            "postern_clock_offset_seconds",
            "Seconds that the machine's clock is ahead of the signed time",
            ahead_s,
        );
    }
    page.gauge(
        "postern_clock_signed",
        "1 while certificates are checked at a time that a mailbox signed",
        u64::from(status.clock_source == "mailbox"),
    );
}

fn holds(page: &mut Page, routes: &RouteFacts) {
    if let Some(hold) = &routes.hold {
        page.gauge(
            "postern_route_hold_seconds",
            "Seconds that a poll is held on the way in use; 0 while it polls plainly",
            if hold.is_polling { 0 } else { hold.rung_s },
        );
        page.gauge(
            "postern_route_hold_cap_seconds",
            "Seconds of the longest hold that the way in use lets live, as far as it is known",
            hold.cap_s.unwrap_or(hold.ceiling_s),
        );
    }
    page.labelled(
        "postern_route_hold_ends_total",
        "Ends of held polls: ok, data, cut, silent or other",
        "end",
        &routes.hold_ends,
    );
}

/// How attempts ended, and how long their steps took.
fn tries(page: &mut Page, attempts: &Attempts) {
    let ends = attempts.ends().into_iter().map(|(route, code, count)| {
        let (result, code) = match code {
            Some(code) => ("failed", code),
            None => ("ok", ""),
        };
        let labels = format!("route=\"{route}\",result=\"{result}\",code=\"{code}\"");
        (labels, count)
    });
    page.many(
        "postern_route_attempts_total",
        "Attempts to get an answer, by how they ended",
        "counter",
        ends,
    );
    page.counter(
        "postern_route_proxy_challenges_total",
        "Demands of proxies for credentials (407)",
        attempts.challenges(),
    );
    let proofs = attempts
        .proofs()
        .into_iter()
        .map(|(scheme, result, count)| {
            let labels = format!("scheme=\"{scheme}\",result=\"{result}\"");
            (labels, count)
        });
    page.many(
        "postern_route_proxy_auth_total",
        "Credentials that proxies accepted or rejected",
        "counter",
        proofs,
    );
    let name = "postern_route_stage_seconds";
    page.family(
        name,
        "Seconds that each step of connecting took",
        "histogram",
    );
    for (route, stage, durations) in attempts.stages() {
        let labels = format!("route=\"{route}\",stage=\"{}\"", stage.as_str());
        page.durations(name, &labels, &durations);
    }
}

fn counters(page: &mut Page, status: &Status) {
    let counts = &status.counts;
    page.counter(
        "postern_store_commits_total",
        "Commits of the store",
        counts.commits,
    );
    let [well, badly] = counts.applied;
    page.labelled(
        "postern_applications_total",
        "Applications of a revision that ended",
        "outcome",
        &BTreeMap::from([("failure", badly), ("success", well)]),
    );
    page.labelled(
        "postern_envelopes_rejected_total",
        "Messages and answers that were refused here",
        "reason",
        &counts.rejects,
    );
    page.labelled(
        "postern_mailbox_refusals_total",
        "Refusals that mailboxes told of",
        "reason",
        &counts.refusals,
    );
    page.labelled(
        "postern_mailbox_put_aside_total",
        "Messages that mailboxes put aside before the controller came for them",
        "reason",
        &counts.put_aside,
    );
    page.labelled(
        "postern_exchange_failures_total",
        "Exchanges that failed on the way",
        "reason",
        &counts.failures,
    );
    let (up, down) = status.bytes;
    page.labelled(
        "postern_socket_bytes_total",
        "Bytes on the sockets, TLS and HTTP included",
        "direction",
        &BTreeMap::from([("down", down), ("up", up)]),
    );
}

/// Milliseconds as seconds.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

struct Page(String);

impl Page {
    /// A family whose labels are written already.
    fn many(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        numbers: impl Iterator<Item = (String, u64)>,
    ) {
        self.family(name, help, kind);
        for (labels, number) in numbers {
            let _infallible = writeln!(self.0, "{name}{{{labels}}} {number}");
        }
    }

    fn durations(&mut self, name: &str, labels: &str, durations: &Durations) {
        for (bound, count) in STAGE_BUCKETS_MS.iter().zip(durations.buckets) {
            let bound = seconds(*bound);
            let _infallible = writeln!(self.0, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let (count, sum) = (durations.count, seconds(durations.sum_ms));
        let _infallible = writeln!(self.0, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _infallible = writeln!(self.0, "{name}_sum{{{labels}}} {sum}");
        let _infallible = writeln!(self.0, "{name}_count{{{labels}}} {count}");
    }

    fn switches(&mut self, switches: &Switches) {
        let name = "postern_route_switches_total";
        self.family(name, "Switches to another route", "counter");
        for (from, to, reason, count) in switches.iter() {
            let labels = format!("from=\"{from}\",to=\"{to}\",reason=\"{reason}\"");
            let _infallible = writeln!(self.0, "{name}{{{labels}}} {count}");
        }
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let _infallible = writeln!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, number: impl Display) {
        self.family(name, help, "gauge");
        let _infallible = writeln!(self.0, "{name} {number}");
    }

    fn counter(&mut self, name: &str, help: &str, number: u64) {
        self.family(name, help, "counter");
        let _infallible = writeln!(self.0, "{name} {number}");
    }

    fn labelled(&mut self, name: &str, help: &str, label: &str, numbers: &BTreeMap<&str, u64>) {
        self.family(name, help, "counter");
        for (value, number) in numbers {
            let _infallible = writeln!(self.0, "{name}{{{label}=\"{value}\"}} {number}");
        }
    }
}

fn streams(page: &mut Page, push: &crate::routes::PushFacts) {
    page.gauge(
        "postern_push_streaming",
        "1 while news come on a stream and not by held polls",
        u64::from(push.is_streaming),
    );
    page.gauge(
        "postern_push_canary",
        "1 where the route in use lets streams through, 0 where it holds them back, -1 while that is not known",
        match push.canary.map(|canary| canary.verdict) {
            Some(Verdict::Flows { .. }) => 1,
            Some(Verdict::Buffers) => 0,
            None => -1,
        },
    );
    page.counter(
        "postern_push_streams_total",
        "Streams that brought an answer",
        push.streams,
    );
    page.counter(
        "postern_push_stream_answers_total",
        "Answers of streams",
        push.answers,
    );
    page.labelled(
        "postern_push_stream_ends_total",
        "Streams that ended",
        "reason",
        &push.ends,
    );
}
