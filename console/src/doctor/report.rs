//! What a diagnosis found: plain data, the same for the tree, for `--json` and for a support bundle.
//!
//! Refuses to hold anything that would have to be cut out before it is shown to strangers.

use super::place::{ClockReport, IssuerReport, NetworkReport};
use crate::routes::HoldFacts;
use postern_egress::{ProxyPolicy, ProxySettings};
use serde::{Deserialize, Serialize};

/// How something is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It works.
    Works,
    /// It was not tried: the policy forbids it.
    Skipped,
    /// It does not work.
    Fails,
}

/// Everything that one diagnosis found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the program that looked.
    pub version: String,
    /// Who looked: `running device`, `this command`.
    pub by: String,
    /// When, in seconds since 1970 by this machine's clock; `None` where it is not set.
    pub unix_s: Option<u64>,
    /// The network that this machine is in.
    #[serde(default)]
    pub network: NetworkReport,
    /// The time at which certificates were checked.
    #[serde(default)]
    pub clock: ClockReport,
    /// Which proxy applies, and why.
    pub settings: Settings,
    /// What the running device has learnt about holds and bodies on its way; `None` where none runs or no way is in use.
    pub hold: Option<HoldFacts>,
    /// One entry for each mailbox URL, in the order of preference.
    pub targets: Vec<TargetReport>,
    /// What it comes to.
    pub verdict: Verdict,
}

/// Which proxy applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The proxy's URL without credentials.
    pub proxy: Option<String>,
    /// The file, variable or script that names it.
    pub source: Option<String>,
    /// `off`, `prefer` or `require`.
    pub mode: String,
    /// Whether credentials are configured.
    pub has_credentials: bool,
    /// Files of CA certificates beside the system's.
    pub extra_ca_files: Vec<String>,
}

/// What was found about one mailbox URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetReport {
    /// The mailbox URL.
    pub url: String,
    /// Which ways there are and why: the setting, its source, exceptions, what was left out.
    pub why: String,
    /// Why there is nothing to try, where the URL cannot be used.
    pub unusable: Option<String>,
    /// The ways, in the order of preference, then those that the policy forbids.
    pub ways: Vec<WayReport>,
}

/// What was found about one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayReport {
    /// `quic`, `direct` or `proxy`.
    pub route: String,
    /// The proxy on the way, without credentials.
    pub proxy: Option<String>,
    /// Whether it works.
    pub state: State,
    /// Why it was not tried.
    pub reason: Option<String>,
    /// Who answered at its end.
    pub answerer: Option<Answerer>,
    /// True where only a CA of the site vouches for the certificate that was shown.
    pub is_intercepted: bool,
    /// The issuer of the certificate that was shown, escaped.
    pub issuer: Option<String>,
    /// What the certificate of an issuer that is not trusted shows.
    pub unknown_issuer: Option<IssuerReport>,
    /// Milliseconds from the first packet to the last answer.
    pub took_ms: u64,
    /// Each step, in order.
    pub hops: Vec<HopReport>,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answerer {
    /// A mailbox that the bundle lists; its signature comes with the session.
    Listed,
    /// A mailbox; which ones are right is not known before joining.
    Mailbox,
    /// A mailbox that the bundle does not list.
    Stranger,
    /// A mailbox that has no time for this now.
    Busy,
    /// Something that is no mailbox.
    Nobody,
}

/// One step of a way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopReport {
    /// `lookup`, `tcp`, `proxy-tls`, `tunnel`, `tls`, `quic`, `exchange`, `answer`, `body`, `mtu` or
    /// `buffering`.
    pub stage: String,
    /// With whom: a host and port, or a proxy's URL.
    pub place: String,
    /// Whether it went well.
    pub is_ok: bool,
    /// False where it was not tried; the evidence says why.
    #[serde(default = "tried")]
    pub is_tried: bool,
    /// Microseconds that it took; 0 for what took none.
    pub took_us: u64,
    /// What was seen; escaped where others chose it.
    pub evidence: String,
    /// The stable code of what went wrong, such as `PST-P01`.
    pub code: Option<String>,
    /// What went wrong, as a sentence.
    pub what: Option<String>,
    /// What to do, and whom to ask for what.
    pub next: Option<String>,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// `ok`, `degraded` or `down`.
    pub state: Outcome,
    /// The sentence for people.
    pub sentence: String,
    /// The code of the hop that refused the most preferred way, unless all is well.
    pub code: Option<String>,
    /// What to do about that.
    pub next: Option<String>,
}

/// How well this machine gets out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The first mailbox is reached.
    Ok,
    /// A mailbox is reached, but not the first one.
    Degraded,
    /// None is reached.
    Down,
}

/// Reports of older devices hold only what was tried.
const fn tried() -> bool {
    true
}

impl Outcome {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl Settings {
    /// Describes proxy settings without their secrets.
    #[must_use]
    pub fn of(settings: &ProxySettings, extra_ca_files: &[std::path::PathBuf]) -> Self {
        let mode = match settings.policy() {
            ProxyPolicy::Off => "off",
            ProxyPolicy::Prefer => "prefer",
            ProxyPolicy::Require => "require",
        };
        let (proxy, source, has_credentials) = match settings {
            ProxySettings::Off => (None, None, false),
            ProxySettings::Prefer(choice) | ProxySettings::Require(choice) => (
                Some(choice.url.to_string()),
                Some(choice.source.to_string()),
                choice.url.secret.is_some() || choice.secret_file.is_some(),
            ),
            ProxySettings::Pac(choice) => (
                Some(format!("as the script {} says", choice.place)),
                Some(choice.source.to_string()),
                choice.secret_file.is_some(),
            ),
        };
        let files = extra_ca_files.iter();
        Self {
            proxy,
            source,
            mode: mode.to_owned(),
            has_credentials,
            extra_ca_files: files.map(|file| file.display().to_string()).collect(),
        }
    }
}

impl Report {
    /// Returns the certificate of an issuer that is not trusted, as the most preferred way shows it that shows one.
    #[must_use]
    pub fn unknown_issuer(&self) -> Option<&IssuerReport> {
        let ways = self.targets.iter().flat_map(|target| &target.ways);
        let mut shown = ways.filter_map(|way| way.unknown_issuer.as_ref());
        shown.find(|shown| shown.is_issuer)
    }
}

impl WayReport {
    /// Returns the hop that went wrong, if one did.
    #[must_use]
    pub fn failed_hop(&self) -> Option<&HopReport> {
        self.hops.iter().rev().find(|hop| !hop.is_ok)
    }

    /// Says for people which way this is.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.route.as_str() {
            "quic" => "by QUIC",
            "proxy" => "through the proxy",
            _direct => "directly",
        }
    }
}

impl Verdict {
    /// Draws the conclusion from what was found.
    #[must_use]
    pub fn of(targets: &[TargetReport]) -> Self {
        let works = |target: &TargetReport| {
            let way = target.ways.iter().find(|way| way.state == State::Works);
            way.map(|way| (target.url.clone(), way.name(), way.is_intercepted))
        };
        let mut found = targets.iter().enumerate();
        let reached = found.find_map(|(place, target)| works(target).map(|way| (place, way)));
        let failed = targets.iter().find_map(first_failure);
        match reached {
            Some((place, (url, name, is_intercepted))) => Self {
                state: if place == 0 {
                    Outcome::Ok
                } else {
                    Outcome::Degraded
                },
                sentence: sentence(&url, name, is_intercepted, place),
                code: failed
                    .filter(|_| place > 0)
                    .and_then(|hop| hop.code.clone()),
                next: failed
                    .filter(|_| place > 0)
                    .and_then(|hop| hop.next.clone()),
            },
            None => Self {
                state: Outcome::Down,
                sentence: "no way out: no mailbox answers on any way that may be used".into(),
                code: failed.and_then(|hop| hop.code.clone()),
                next: failed.and_then(|hop| hop.next.clone()),
            },
        }
    }
}

/// Returns what stops the first target's way that came farthest. QUIC is no help where HTTPS fails, and no
/// loss where it works: it is named only where nothing else was tried.
fn first_failure(target: &TargetReport) -> Option<&HopReport> {
    let failed = target.ways.iter().filter(|way| way.state == State::Fails);
    let farthest = failed.rev().max_by_key(|way| {
        let steps = way.hops.iter().filter(|hop| hop.is_ok).count();
        (way.route != "quic", steps)
    });
    farthest.and_then(WayReport::failed_hop)
}

fn sentence(url: &str, way: &str, is_intercepted: bool, place: usize) -> String {
    let mut sentence = format!("{url} is reached {way}");
    if place > 0 {
        sentence.push_str(", the mailboxes before it are not");
    }
    if is_intercepted {
        sentence.push_str("; TLS is inspected on the way: the inspector can change no message, and reads those that are not encrypted");
    }
    sentence
}
