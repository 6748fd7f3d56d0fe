//! Walks the ways: connects, asks for a challenge, and judges who answers.
//!
//! An ask costs a mailbox no memory and changes nothing. Whether the one who answers holds the mailbox's
//! key is proven by a session, not here: a stranger's challenge is told apart, a copied one is not.
//! Refuses to walk a way twice at a time, and any way that the dialer does not offer.

use super::buffering::{self, Canaries};
use super::mtu;
use super::place::{IssuerReport, NetworkReport};
use super::remedy;
use super::report::{
    Answerer, HopReport, Report, Settings, State, TargetReport, Verdict, WayReport,
};
use crate::clock;
use crate::routes::{HoldFacts, target_of};
use postern_egress::ladder::WayKey;
use postern_egress::{
    Answer, Client, Dialer, ExchangeLimits, Hop, LinkReport, MailboxUrl, Route, Trail,
    TransportError, codes,
};
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::id::Thumbprint;
use postern_protocol::limits::FRAME_BYTES_MAX;
use postern_protocol::reject::Reject;
use postern_protocol::revision::BundleNumber;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the answer to an ask. As long as people look at a command that says nothing.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Mailbox URLs that are looked at, each with some connections of its own; a device that has more tries those first, too.
const TARGETS_MAX: usize = 16;
/// Size of the large body, in bytes: more than one packet of any network, less than any known bound.
const LARGE_BODY_BYTES: usize = 16 * 1024;

/// What is to be examined.
#[derive(Debug, Clone)]
pub struct Case {
    /// Makes the connections.
    pub dialer: Dialer,
    /// Mailbox URLs, in the order of preference.
    pub targets: Vec<Target>,
    /// The bundle that the asker holds, if any.
    pub bundle: Option<BundleNumber>,
    /// Which proxy applies.
    pub settings: Settings,
    /// The word for the proxy setting in the network's name.
    pub proxy_word: String,
    /// What the running device has learnt.
    pub hold: Option<HoldFacts>,
    /// What the device knows of streams; `None` before it has joined.
    pub canaries: Option<Canaries>,
    /// Who looks: `running device`, `this command`.
    pub by: String,
    /// Whether to try a large body too.
    pub is_deep: bool,
}

/// A mailbox URL, and which mailboxes may answer there.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL, as the bundle or the join line has it.
    pub url: String,
    /// The mailboxes of the bundle; none before joining.
    pub listed: Vec<Thumbprint>,
}

/// Walks every way of every target at once, and draws the conclusion.
pub async fn examine(case: &Case) -> Report {
    prepare(case).await;
    let examined = case.targets.iter().take(TARGETS_MAX);
    let walks: Vec<_> = examined
        .map(|target| (target, begin(case, target)))
        .collect();
    let mut targets = Vec::new();
    for (target, begun) in walks {
        let mut report = end(target, begun).await;
        let explained = target_of(&target.url).map(|mailbox| case.dialer.explain(&mailbox));
        report.why = explained.map(|why| why.to_string()).unwrap_or_default();
        targets.push(report);
    }
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        by: case.by.clone(),
        unix_s: clock::unix_s(),
        network: network(case),
        clock: case.dialer.time().report().into(),
        hold: case.hold.clone(),
        settings: case.settings.clone(),
        verdict: Verdict::of(&targets),
        targets,
    }
}

/// Looks where this machine is, and which setting names the proxies there.
fn network(case: &Case) -> NetworkReport {
    let first = case.targets.first();
    let mailbox = first.and_then(|target| target_of(&target.url).ok());
    let explained = mailbox.map(|mailbox| case.dialer.explain(&mailbox));
    NetworkReport {
        proxies_from: explained.and_then(|explained| explained.source),
        ..NetworkReport::look(&case.proxy_word)
    }
}

type Walk = tokio::task::JoinHandle<WayReport>;

/// Asks the script for proxies, if there is one, about every target at once.
async fn prepare(case: &Case) {
    let mut asked = Vec::new();
    for target in case.targets.iter().take(TARGETS_MAX) {
        if let Ok(mailbox) = target_of(&target.url) {
            let dialer = case.dialer.clone();
            asked.push(tokio::spawn(async move { dialer.prepare(&mailbox).await }));
        }
    }
    for asked in asked {
        if let Ok(Err(fault)) = asked.await {
            tracing::debug!(%fault, "the script for proxies gave no answer");
        }
    }
}

/// Sets out on every way to one target.
fn begin(case: &Case, target: &Target) -> Result<Vec<Result<Walk, WayReport>>, String> {
    let mailbox = target_of(&target.url).map_err(|error| error.to_string())?;
    let offered = case.dialer.routes(&mailbox);
    let mut walks = Vec::new();
    for route in &offered {
        walks.push(match case.dialer.client(&mailbox, *route) {
            Ok(client) => {
                let walker = Walker {
                    buffering: case.buffering(target, &mailbox, *route),
                    place: mailbox.authority().to_string(),
                    listed: target.listed.clone(),
                    bundle: case.bundle,
                    is_deep: case.is_deep,
                };
                Ok(tokio::spawn(walker.walk(client)))
            }
            Err(error) => Err(skipped(*route, error.to_string())),
        });
    }
    for route in [Route::Quic, Route::Direct] {
        if !offered.contains(&route) {
            walks.push(Err(skipped(route, why_not(&case.settings))));
        }
    }
    Ok(walks)
}

async fn end(target: &Target, begun: Result<Vec<Result<Walk, WayReport>>, String>) -> TargetReport {
    let url = target.url.clone();
    let walks = match begun {
        Ok(walks) => walks,
        Err(unusable) => {
            return TargetReport {
                url,
                why: String::new(),
                unusable: Some(unusable),
                ways: Vec::new(),
            };
        }
    };
    let mut ways = Vec::new();
    for walk in walks {
        match walk {
            Ok(walk) => ways.extend(walk.await),
            Err(skipped) => ways.push(skipped),
        }
    }
    TargetReport {
        url,
        why: String::new(),
        unusable: None,
        ways,
    }
}

fn why_not(settings: &Settings) -> String {
    match settings.mode.as_str() {
        "require" => "not allowed: the proxy is required (proxy.mode)".into(),
        _other => "not used for this mailbox".into(),
    }
}

fn skipped(route: Route, reason: String) -> WayReport {
    WayReport {
        route: route.as_str().to_owned(),
        proxy: None,
        state: State::Skipped,
        reason: Some(reason),
        answerer: None,
        is_intercepted: false,
        issuer: None,
        unknown_issuer: None,
        took_ms: 0,
        hops: Vec::new(),
    }
}

impl Case {
    fn buffering(&self, target: &Target, mailbox: &MailboxUrl, route: Route) -> HopReport {
        let way = WayKey::of(&target.url, route);
        let place = mailbox.authority().to_string();
        buffering::hop(self.canaries.as_ref(), way, route, &place)
    }
}

/// What is needed on one way.
struct Walker {
    place: String,
    listed: Vec<Thumbprint>,
    bundle: Option<BundleNumber>,
    is_deep: bool,
    /// What is known of streams on this way.
    buffering: HopReport,
}

impl Walker {
    /// Walks one way to its end.
    async fn walk(self, client: Client) -> WayReport {
        let started_us = clock::mono_us();
        let trail = Arc::new(Trail::default());
        let client = client.with_trail(Arc::clone(&trail));
        let place = &self.place;
        let mut way = WayReport {
            proxy: client.proxy(),
            state: State::Fails,
            reason: None,
            ..skipped(client.route(), String::new())
        };
        let bundle = self.bundle;
        if let Ok(ask) = (PlainFrame::Ask { bundle }).encode() {
            let asked_us = clock::mono_us();
            let answer = client.exchange(ask.into(), limits()).await;
            let mut link = link_of(&answer);
            note_hops(&mut way, &trail, place);
            judge(&mut way, place, asked_us, answer, &self.listed);
            if self.is_deep && way.state == State::Works {
                link = try_large(&client, &trail, place, &mut way).await.or(link);
            }
            if way.state == State::Works {
                let is_lossy = way.hops.iter().any(|hop| !hop.is_ok);
                let packets = link.as_deref().and_then(|link| mtu::hop(link, is_lossy));
                way.hops.extend(packets);
                way.hops.push(self.buffering);
            }
        }
        client.close().await;
        way.took_ms = since(started_us) / 1_000;
        way
    }
}

const fn limits() -> ExchangeLimits {
    ExchangeLimits {
        deadline: ANSWER_DEADLINE,
        answer_bytes_max: FRAME_BYTES_MAX,
    }
}

/// Turns what the client wrote down into steps of the report.
fn note_hops(way: &mut WayReport, trail: &Trail, target: &str) {
    for hop in trail.take() {
        let shown = hop.fault.as_ref().and_then(IssuerReport::of);
        way.unknown_issuer = shown.or(way.unknown_issuer.take());
        way.hops.push(hop_report(hop, target));
    }
}

fn link_of(answer: &Result<Answer, TransportError>) -> Option<Arc<LinkReport>> {
    answer.as_ref().ok().map(|answer| Arc::clone(&answer.link))
}

fn hop_report(hop: Hop, target: &str) -> HopReport {
    let fault = hop.fault;
    HopReport {
        stage: hop.stage.as_str().to_owned(),
        is_ok: fault.is_none(),
        is_tried: true,
        took_us: micros(hop.took),
        evidence: hop.evidence,
        code: fault.as_ref().map(|fault| fault.code().to_owned()),
        what: fault.as_ref().map(ToString::to_string),
        next: fault.map(|fault| remedy::of(&fault, &hop.place, target)),
        place: hop.place,
    }
}

/// Microseconds since a moment.
fn since(us: u64) -> u64 {
    clock::mono_us().saturating_sub(us)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// Looks at who answered the ask.
fn judge(
    way: &mut WayReport,
    place: &str,
    asked_us: u64,
    answer: Result<Answer, TransportError>,
    listed: &[Thumbprint],
) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return add_error(way, place, asked_us, &error),
    };
    way.is_intercepted = answer.link.intercepted;
    way.issuer = Some(answer.link.leaf.issuer.to_string());
    let (answerer, evidence) = answerer(&answer.body, listed);
    way.answerer = Some(answerer);
    let is_ok = matches!(
        answerer,
        Answerer::Listed | Answerer::Mailbox | Answerer::Busy
    );
    if is_ok {
        way.state = State::Works;
    }
    let (code, what, next) = match remedy::of_answerer(answerer, place) {
        Some((code, what, next)) => (Some(code), Some(what), Some(next)),
        None => (None, None, None),
    };
    way.hops.push(HopReport {
        stage: "answer".into(),
        place: place.to_owned(),
        is_ok,
        is_tried: true,
        took_us: 0,
        evidence,
        code,
        what,
        next,
    });
}

/// A failure that no hop tells of, such as a CA file that cannot be read, is a step of its own.
fn add_error(way: &mut WayReport, place: &str, asked_us: u64, error: &TransportError) {
    if way.failed_hop().is_some() {
        return;
    }
    way.hops.push(HopReport {
        stage: "prepare".into(),
        place: error.hop.clone(),
        is_ok: false,
        is_tried: true,
        took_us: since(asked_us),
        evidence: String::new(),
        code: Some(error.code().to_owned()),
        what: Some(error.fault.to_string()),
        next: Some(remedy::of(&error.fault, &error.hop, place)),
    });
}

/// Tells who gave this answer to an ask, and what shows it.
fn answerer(body: &[u8], listed: &[Thumbprint]) -> (Answerer, String) {
    match PlainFrame::decode(body, Direction::Down) {
        Ok(PlainFrame::Challenge { mailbox, .. }) if listed.contains(&mailbox) => (
            Answerer::Listed,
            format!("mailbox {}, one that this device knows", short(mailbox)),
        ),
        Ok(PlainFrame::Challenge { mailbox, .. }) if listed.is_empty() => {
            (Answerer::Mailbox, format!("mailbox {}", short(mailbox)))
        }
        Ok(PlainFrame::Challenge { mailbox, .. }) => {
            (Answerer::Stranger, format!("mailbox {}", short(mailbox)))
        }
        Ok(PlainFrame::Refused { code, retry_ms }) => {
            let reject =
                Reject::from_code(u64::from(code)).map_or("unknown reason", Reject::as_str);
            let again = retry_ms
                .map(|ms| format!(", again in {ms} ms"))
                .unwrap_or_default();
            (Answerer::Busy, format!("refused for now: {reject}{again}"))
        }
        Ok(_other) => (
            Answerer::Nobody,
            format!("{} bytes, another frame", body.len()),
        ),
        Err(_reject) => (
            Answerer::Nobody,
            format!("{} bytes that are no frame", body.len()),
        ),
    }
}

/// The beginning of a thumbprint, enough to compare by eye.
fn short(mailbox: Thumbprint) -> String {
    let whole = mailbox.to_string();
    whole.get(..16).unwrap_or(&whole).to_owned()
}

/// Sends a body of many packets. A mailbox refuses it by name, which shows that all of it came. Returns the connection
/// as it is known afterwards.
async fn try_large(
    client: &Client,
    trail: &Trail,
    place: &str,
    way: &mut WayReport,
) -> Option<Arc<LinkReport>> {
    let mut body = (PlainFrame::Ask { bundle: None }).encode().ok()?;
    body.resize(LARGE_BODY_BYTES, 0);
    let asked_us = clock::mono_us();
    let answer = client.exchange(body.into(), limits()).await;
    let link = link_of(&answer);
    let _hops_of_the_same_way = trail.take();
    let mut hop = HopReport {
        stage: "body".into(),
        place: place.to_owned(),
        is_ok: true,
        is_tried: true,
        took_us: since(asked_us),
        evidence: format!("{LARGE_BODY_BYTES} bytes pass"),
        code: None,
        what: None,
        next: None,
    };
    let is_refusal = |answer: &Answer| {
        let frame = PlainFrame::decode(&answer.body, Direction::Down);
        matches!(frame, Ok(PlainFrame::Refused { .. }))
    };
    let fault = match answer {
        Ok(answer) if is_refusal(&answer) => None,
        Ok(_other) => Some("something else than a mailbox answers a large body".to_owned()),
        Err(error) => Some(error.fault.to_string()),
    };
    if let Some(what) = fault {
        hop.is_ok = false;
        hop.evidence.clear();
        hop.code = Some(codes::LARGE_BODY_LOST.into());
        hop.what = Some(format!("{LARGE_BODY_BYTES} bytes do not pass: {what}"));
        hop.next = Some(remedy::of_large_body());
    }
    way.hops.push(hop);
    link
}
