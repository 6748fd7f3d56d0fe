//! The report as a tree for people.
//!
//! One line a step; what went wrong has its next step below it. Refuses colours where nobody sees them:
//! the caller says.

use super::place::IssuerReport;
use super::report::{
    HopReport, Outcome, Report, Settings, State, TargetReport, Verdict, WayReport,
};
use crate::routes::HoldFacts;
use postern_egress::{Date, codes};
use std::fmt::Write as _;

/// What the words below are about, for readers who never heard of it.
const HEAD: &str = "\
How this machine reaches its mailbox, the server of Postern: over HTTPS or QUIC, always from here to there.

";

const GREEN: &str = "32";
const RED: &str = "31";
const FAINT: &str = "2";

/// Widest place that is padded for, in characters.
const PLACE_CHARS: usize = 28;

impl Report {
    /// Lays the report out for people, with colours on a terminal.
    #[must_use]
    pub fn tree(&self, has_colours: bool) -> String {
        let paint = Paint { has_colours };
        let mut text = String::new();
        text.push_str(HEAD);
        place(&mut text, self);
        let _infallible = writeln!(text, "{}", settings(&self.settings));
        hold_lines(&mut text, self.hold.as_ref());
        for target in &self.targets {
            target_lines(&mut text, target, &paint);
        }
        text.push_str(&verdict(&self.verdict, &paint));
        text
    }
}

struct Paint {
    has_colours: bool,
}

impl Paint {
    fn word(&self, colour: &str, word: &str) -> String {
        match self.has_colours {
            true => format!("\x1b[{colour}m{word}\x1b[0m"),
            false => word.to_owned(),
        }
    }
}

/// Which network and which clock, as far as they are known.
fn place(text: &mut String, report: &Report) {
    let network = &report.network;
    let known = |part: &Option<String>| part.clone().unwrap_or_else(|| "unknown".into());
    let _infallible = match &network.interface {
        Some(interface) => writeln!(
            text,
            "network  {interface} ({}), address {}, gateway {}, id {}",
            known(&network.kind),
            known(&network.address),
            network.gateway.as_deref().unwrap_or("none"),
            network.id,
        ),
        None => writeln!(
            text,
            "network  no default route: interface, address and gateway are unknown"
        ),
    };
    let clock = &report.clock;
    let _infallible = match (clock.ahead_s, clock.source.as_str()) {
        (Some(0), _) => writeln!(
            text,
            "clock    {}, confirmed by a mailbox",
            Date(clock.checked_s)
        ),
        (Some(ahead_s), _) => writeln!(
            text,
            "clock    {}, confirmed by a mailbox; this machine's is {} s {}",
            Date(clock.checked_s),
            ahead_s.unsigned_abs(),
            if ahead_s < 0 { "behind" } else { "ahead" },
        ),
        (None, "floor") => writeln!(
            text,
            "clock    this machine's is WRONG: {}, and it is at least {}, which counts for certificates",
            Date(clock.machine_s),
            Date(clock.checked_s),
        ),
        (None, _) => writeln!(
            text,
            "clock    {} by this machine; no mailbox has confirmed it yet",
            Date(clock.machine_s),
        ),
    };
}

/// What the running device has learnt of its way.
fn hold_lines(text: &mut String, hold: Option<&HoldFacts>) {
    let Some(hold) = hold else {
        let _infallible = writeln!(
            text,
            "hold     how long a request may wait here is unknown: no device runs that has learnt it"
        );
        return;
    };
    let _infallible = writeln!(text, "hold     {hold}");
    if let Some(bodies) = hold.bodies() {
        let _infallible = writeln!(text, "bodies   {bodies}");
    }
}

fn settings(settings: &Settings) -> String {
    let mut text = match (&settings.proxy, &settings.source) {
        (Some(proxy), Some(source)) => format!("proxy    {proxy}, from {source}"),
        (_, _) => "proxy    none: neither device.toml nor the environment names one".to_owned(),
    };
    text.push_str(match settings.mode.as_str() {
        "require" => "; required: nothing is sent around it",
        "prefer" => "; preferred: ways around it are used too",
        _off => "",
    });
    if settings.proxy.is_some() {
        text.push_str(match settings.has_credentials {
            true => "; with credentials",
            false => "; no credentials are configured",
        });
    }
    if !settings.extra_ca_files.is_empty() {
        let _infallible = write!(
            text,
            "\ntrust    the system's CAs and those in {}",
            settings.extra_ca_files.join(", ")
        );
    }
    text
}

fn target_lines(text: &mut String, target: &TargetReport, paint: &Paint) {
    let _infallible = writeln!(text, "\n{}", target.url);
    if let Some((_, why)) = target.why.split_once(": ") {
        let _infallible = writeln!(text, "ways: {why}");
    }
    if let Some(unusable) = &target.unusable {
        let _infallible = writeln!(text, "└─ {}  {unusable}", paint.word(RED, "cannot be used"));
    }
    for (at, way) in target.ways.iter().enumerate() {
        way_lines(text, way, at + 1 == target.ways.len(), paint);
    }
}

fn way_lines(text: &mut String, way: &WayReport, is_last: bool, paint: &Paint) {
    let (branch, below) = match is_last {
        true => ("└─", "   "),
        false => ("├─", "│  "),
    };
    let head = match way.state {
        State::Works => format!("{}  {}", paint.word(GREEN, "works"), millis(way.took_ms)),
        State::Fails => {
            let code = way.failed_hop().and_then(|hop| hop.code.as_deref());
            format!("{}  {}", paint.word(RED, "FAILS"), code.unwrap_or_default())
        }
        State::Skipped => {
            let reason = way.reason.as_deref().unwrap_or_default();
            format!("{}   {reason}", paint.word(FAINT, "skip"))
        }
    };
    let mark = if way.is_intercepted {
        "  TLS is inspected"
    } else {
        ""
    };
    let _infallible = writeln!(text, "{branch} {:<6}  {head}{mark}", way.route);
    for (at, hop) in way.hops.iter().enumerate() {
        let shown = way.unknown_issuer.as_ref();
        let shown = shown.filter(|_| hop.code.as_deref() == Some(codes::UNKNOWN_ISSUER));
        hop_lines(text, hop, below, at + 1 == way.hops.len(), shown, paint);
    }
}

fn hop_lines(
    text: &mut String,
    hop: &HopReport,
    below: &str,
    is_last: bool,
    shown: Option<&IssuerReport>,
    paint: &Paint,
) {
    let (branch, indent) = match is_last {
        true => ("└─", "   "),
        false => ("├─", "│  "),
    };
    let word = match (hop.is_tried, hop.is_ok) {
        (false, _) => paint.word(FAINT, "skip"),
        (true, true) => paint.word(GREEN, "ok  "),
        (true, false) => paint.word(RED, "FAIL"),
    };
    let evidence = match (&hop.code, &hop.what) {
        (Some(code), Some(what)) => format!("{code} {what}"),
        (_, _) => hop.evidence.clone(),
    };
    let line = format!(
        "{below}{branch} {word} {:<9} {:<PLACE_CHARS$} {:>8}  {evidence}",
        hop.stage,
        hop.place,
        micros(hop.took_us),
    );
    let _infallible = writeln!(text, "{}", line.trim_end());
    if let Some(shown) = shown {
        let whose = match shown.is_issuer {
            true => "shown",
            false => "shown, the server's own",
        };
        let IssuerReport {
            subject,
            fingerprint,
            ..
        } = shown;
        let _infallible = writeln!(
            text,
            "{below}{indent}      {whose}: \"{subject}\", SHA-256 fingerprint {fingerprint}"
        );
    }
    if let Some(next) = &hop.next {
        let _infallible = writeln!(text, "{below}{indent}      next: {next}");
    }
}

fn verdict(verdict: &Verdict, paint: &Paint) -> String {
    let (colour, word) = match verdict.state {
        Outcome::Ok => (GREEN, "ok"),
        Outcome::Degraded => (RED, "DEGRADED"),
        Outcome::Down => (RED, "DOWN"),
    };
    let mut text = format!("\n{}  {}\n", paint.word(colour, word), verdict.sentence);
    if let (Some(code), Some(next)) = (&verdict.code, &verdict.next) {
        let _infallible = writeln!(text, "next: {next} ({code})");
    }
    text
}

fn micros(us: u64) -> String {
    match us {
        0 => String::new(),
        1..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _more => millis(us / 1_000),
    }
}

fn millis(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        _more => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    }
}
