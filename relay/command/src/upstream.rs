//! The way to an upstream: a relay line, TLS trust and proxy become exchanges.
//!
//! ```text
//!  upstream.line, [upstream], [proxy] --read--> routes (direct, by proxy) --Carry--> the link of the relay
//! ```
//!
//! Refuses an upstream whose key is this relay's own, and a line that is none.

use crate::config::RelayConfig;
use postern_console::exit::CommandError;
use postern_console::routes::{Carrier, Outlet, Routes, WayId, random};
use postern_egress::backoff::Backoff;
use postern_egress::hold::{Hold, HoldEnd, Next};
use postern_egress::limits::{HOLD_CEILING_RUNG, HOLD_RUNGS_S};
use postern_protocol::Reject;
use postern_protocol::frame::frame_type;
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
    let routes = outlet.routes(&line.urls, line.tls_ca.as_deref())?;
    Ok(Some(UpstreamConfig {
        key: line.key,
        carry: Arc::new(Road {
            state: Mutex::new(State {
                routes,
                granted: None,
                ended: None,
            }),
        }),
    }))
}

/// The ways to the upstream, and the hold under way.
struct Road {
    state: Mutex<State>,
}

struct State {
    routes: Routes,
    granted: Option<Hold>,
    /// On which way the last held exchange ended, and how.
    ended: Option<(WayId, HoldEnd)>,
}

impl Road {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, frame: Vec<u8>, hold_s: u64) -> Result<Vec<u8>, CarryError> {
        let hold = (hold_s > 0).then(|| Duration::from_secs(hold_s));
        // Asks a PAC script only when that is due.
        let preparation = self.lock().routes.preparation();
        if let Some(preparation) = preparation {
            let _later = preparation.run().await;
            let _first = self.lock().routes.handle_prepared();
        }
        let carrier: Option<Carrier> = self.lock().routes.carrier(&frame, hold);
        let Some(carrier) = carrier else {
            return Err(failed("no way leads to the upstream".into(), None));
        };
        let sent = carrier.sent;
        let result = carrier.carry(frame).await;
        let mut state = self.lock();
        let end = match &result {
            Ok((answer, _)) if frame_type(answer).is_err() => HoldEnd::Other,
            Ok((answer, age)) => {
                state.routes.note_answer(sent, answer.len());
                HoldEnd::Answered { age: *age }
            }
            Err(error) => {
                let _lesson = state.routes.note_failure(sent, error);
                let _same_relay = state.routes.advance_from(sent.way);
                error.hold_end()
            }
        };
        if hold.is_some() {
            state.ended = Some((sent.way, end));
        }
        match result {
            Ok((answer, _)) if frame_type(&answer).is_err() => Err(failed(
                format!(
                    "what answers is no mailbox ({})",
                    Reject::NotPostern.as_str()
                ),
                None,
            )),
            Ok((answer, _)) => Ok(answer),
            Err(error) => Err(failed(error.to_string(), error.retry_after_s())),
        }
    }
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
        let mut backoff = Backoff::new();
        for _ in 1..failures.min(16) {
            let _shorter = backoff.pause_after_failure(random(), None);
        }
        backoff.pause_after_failure(random(), retry_after_s)
    }
}
