//! The way to an upstream: a relay line, TLS trust and proxy become exchanges.
//!
//! ```text
//!  upstream.line, [upstream], [proxy] --read--> routes (direct, by proxy) --Carry--> the link of the relay
//! ```
//!
//! Refuses an upstream whose key is this relay's own, and a line that is none.

use crate::config::RelayConfig;
use postern_console::exit::CommandError;
use postern_console::routes::{
    Address, Brought, Carrier, Loss, Outlet, Routes, Ruling, Sent, WayId, random,
};
use postern_egress::TransportError;
use postern_egress::backoff::Backoff;
use postern_egress::hold::{Hold, HoldEnd, Next};
use postern_egress::limits::{HOLD_CEILING_RUNG, HOLD_RUNGS_S};
use postern_protocol::Reject;
use postern_protocol::frame::{FrameType, frame_type};
use postern_protocol::id::Thumbprint;
use postern_protocol::key::PublicKey;
use postern_protocol::trust_line::RelayLine;
use postern_relay::upstream::{Carried, Carry, CarryError, Held, UpstreamConfig};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How this program calls itself in HTTP.
const USER_AGENT: &str = concat!("postern-relay/", env!("CARGO_PKG_VERSION"));

/// Reads the relay line of an upstream.
///
/// # Errors
/// A file that cannot be read, a text that is no relay line, the line of this relay itself.
pub fn read_line(file: &Path, own: &PublicKey) -> Result<RelayLine, CommandError> {
    let refused = |reason: String| {
        CommandError::configuration(
            "upstream-line",
            format!("{}: {reason}", file.display()),
            "write there what `postern-relay line` prints at the relay that this one dials",
        )
    };
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let line = RelayLine::parse(&text).map_err(|error| refused(error.to_string()))?;
    if line.key == *own {
        return Err(refused(
            "this is the line of this relay, which cannot dial itself".into(),
        ));
    }
    Ok(line)
}

/// Puts the way to the upstream together; `None` where the configuration names none.
///
/// # Errors
/// As [`read_line`]; a CA file, proxy or URL that cannot be used.
pub fn read(config: &RelayConfig, own: &PublicKey) -> Result<Option<UpstreamConfig>, CommandError> {
    let Some(upstream) = &config.upstream else {
        return Ok(None);
    };
    let line = read_line(&upstream.line, own)?;
    let ceiling = HOLD_RUNGS_S.get(HOLD_CEILING_RUNG).copied();
    let outlet = Outlet {
        dir: &config.dir,
        proxy: &upstream.proxy,
        extra_ca_files: &upstream.extra_ca_files,
        hold_ceiling: Duration::from_secs(ceiling.unwrap_or_default()),
        user_agent: USER_AGENT,
        // One connection to one server, and its operator chose how.
        has_quic: false,
        last_time_s: None,
    };
    let addresses = Address::of_one(&line.urls);
    let routes = outlet.routes(&addresses, line.tls_ca.as_deref())?;
    let upstream = line.key.thumbprint();
    Ok(Some(UpstreamConfig {
        key: line.key,
        carry: Arc::new(Road {
            upstream,
            state: Arc::new(Mutex::new(State {
                routes,
                granted: None,
                ended: None,
                unproven: None,
            })),
        }),
    }))
}

/// The ways to the upstream, and the hold under way.
#[derive(Clone)]
struct Road {
    upstream: Thumbprint,
    state: Arc<Mutex<State>>,
}

struct State {
    routes: Routes,
    granted: Option<Hold>,
    /// On which way the last held exchange ended, and how.
    ended: Option<(WayId, HoldEnd)>,
    /// The way that won the race for the present handshake, until a frame of its session follows.
    unproven: Option<WayId>,
}

impl Road {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries the ask of a session along every way; the challenge of the upstream wins.
    async fn race(&self, ask: Vec<u8>) -> Result<Vec<u8>, CarryError> {
        let contest = self.lock().routes.race(ask, vec![self.upstream]);
        let raced = contest.run().await;
        let mut state = self.lock();
        match state.routes.handle_raced(raced) {
            Some(Ok(won)) => {
                state.routes.handle_won(won.way);
                state.unproven = Some(won.way);
                Ok(won.frame)
            }
            Some(Err(failures)) => {
                // How long to wait is the link's own part.
                let _pause = state.routes.handle_lost();
                lost(failures)
            }
            None => Err(failed("another race took its place".into(), None)),
        }
    }

    /// Looks at the network, and asks better ways again when it is time. Called before each collect.
    fn look_at_routes(&self) {
        let (is_elsewhere, probes) = {
            let routes = &mut self.lock().routes;
            (routes.look(), routes.poll_probes())
        };
        if is_elsewhere {
            self.race_for_replacement();
        }
        for probe in probes {
            let road = self.clone();
            let _task = tokio::spawn(async move {
                let answer = probe.ask().await;
                let routes = &mut road.lock().routes;
                if routes.handle_probed(probe.way, &answer) {
                    routes.promote(probe.way);
                }
            });
        }
    }

    /// Looks for another way than the one in use, which goes on meanwhile: its session is the same.
    fn race_for_replacement(&self) {
        let contest = self.lock().routes.race_for_replacement();
        let road = self.clone();
        let _task = tokio::spawn(async move {
            let raced = contest.run().await;
            let routes = &mut road.lock().routes;
            match routes.handle_raced(raced) {
                Some(Ok(won)) => {
                    routes.handle_won(won.way);
                }
                Some(Err(_)) => {
                    let _pause = routes.handle_lost();
                }
                None => {}
            }
        });
    }

    async fn exchange(&self, frame: Vec<u8>, hold_s: u64) -> Result<Vec<u8>, CarryError> {
        let kind = frame_type(&frame);
        if kind == Ok(FrameType::Ask) {
            return self.race(frame).await;
        }
        let hold = (hold_s > 0).then(|| Duration::from_secs(hold_s));
        // Asks a PAC script only when that is due.
        let preparation = self.lock().routes.preparation();
        if let Some(preparation) = preparation {
            let _later = preparation.run().await;
            let _first = self.lock().routes.handle_prepared();
        }
        let carrier: Option<Carrier> = {
            let mut state = self.lock();
            // Frames of a session are written by nobody whose welcome did not verify.
            if !matches!(kind, Ok(FrameType::Hello | FrameType::Enrol))
                && let Some(way) = state.unproven.take()
            {
                state.routes.handle_verified(way);
            }
            state.routes.carrier(&frame, hold)
        };
        let Some(carrier) = carrier else {
            return Err(failed("no way leads to the upstream".into(), None));
        };
        let sent = carrier.sent;
        let result = carrier.carry(frame).await;
        let (ended, end, ruling) = self.take(sent, result);
        if hold.is_some() {
            self.lock().ended = Some((sent.way, end));
        }
        if ruling == Ruling::Leave {
            self.race_for_replacement();
        }
        ended
    }

    /// Takes what an exchange brought, and what it says of its way.
    fn take(
        &self,
        sent: Sent,
        result: Result<Brought, TransportError>,
    ) -> (Result<Vec<u8>, CarryError>, HoldEnd, Ruling) {
        let routes = &mut self.lock().routes;
        match result {
            Ok(Brought { body, .. }) if frame_type(&body).is_err() => {
                let ruling = routes.handle_no_mailbox(sent);
                (Err(no_mailbox()), HoldEnd::Other, ruling)
            }
            Ok(Brought { body, age, link }) => {
                routes.note_answer(sent, body.len(), &link);
                (Ok(body), HoldEnd::Answered { age }, Ruling::Stay)
            }
            Err(error) => {
                let _lesson = routes.note_failure(sent, &error);
                let ruling = routes.handle_failure(sent, &error);
                let carried = failed(error.to_string(), error.retry_after_s());
                (Err(carried), error.hold_end(), ruling)
            }
        }
    }
}

/// What becomes of an ask that nobody answered with a challenge: a refusal, or the failure of the best way.
fn lost(failures: Vec<(WayId, Loss)>) -> Result<Vec<u8>, CarryError> {
    let mut first = None;
    for (_, loss) in failures {
        match loss {
            Loss::Refused(frame) => return Ok(frame),
            Loss::Failed(error) => {
                first.get_or_insert_with(|| failed(error.to_string(), error.retry_after_s()));
            }
            Loss::NoMailbox { .. } => {
                first.get_or_insert_with(no_mailbox);
            }
        }
    }
    Err(first.unwrap_or_else(|| failed("no way leads to the upstream".into(), None)))
}

fn no_mailbox() -> CarryError {
    let reason = Reject::NotPostern.as_str();
    failed(format!("what answers is no mailbox ({reason})"), None)
}

fn failed(text: String, retry_after_s: Option<u64>) -> CarryError {
    CarryError {
        text,
        retry_after_s,
    }
}

impl Carry for Road {
    fn carry(&self, frame: Vec<u8>, hold_s: u64) -> Carried<'_> {
        Box::pin(self.exchange(frame, hold_s))
    }

    fn hold_s(&self) -> u64 {
        self.look_at_routes();
        let mut state = self.lock();
        match state.routes.next_poll() {
            Some(Next::Hold(hold)) => {
                state.granted = Some(hold);
                hold.asked().as_secs()
            }
            Some(Next::Poll { .. }) | None => {
                state.granted = None;
                0
            }
        }
    }

    fn note_held(&self, held: Held) {
        let mut state = self.lock();
        let (granted, ended) = (state.granted.take(), state.ended.take());
        let (Some(hold), Some((way, end))) = (granted, ended) else {
            return;
        };
        let end = match (held, end) {
            (Held::Carried, HoldEnd::Answered { .. }) => HoldEnd::Carried,
            (Held::Failed, HoldEnd::Answered { .. }) => HoldEnd::Other,
            (Held::Carried | Held::Empty | Held::Failed, end) => end,
        };
        state.routes.end_hold(way, hold, end);
    }

    fn pause(&self, failures: u32, retry_after_s: Option<u64>) -> Duration {
        let unproven = self.lock().unproven.take();
        if let (Some(way), None) = (unproven, retry_after_s) {
            // The handshake failed on the way that won: the race goes on without it.
            return self.lock().routes.handle_unproven(way);
        }
        let mut backoff = Backoff::new();
        for _ in 1..failures.min(16) {
            let _shorter = backoff.pause_after_failure(random(), None);
        }
        backoff.pause_after_failure(random(), retry_after_s)
    }
}
