//! A relay behind another one: what it is given goes on to its upstream, what is for its devices comes from there.
//!
//! ```text
//!   devices --post--> own mailboxes --up, tenant by tenant--> upstream --collected--> writer, or the next hop
//!   devices <--poll-- own mailboxes <--down, held collect---- upstream <--deliver----
//!   enrol frame --knock, the same bytes--> upstream --enrolled--> the same knock
//! ```
//!
//! The relay dials out, in one session that its mailbox key signs. It reads its own mailboxes as a writer would
//! and fills them as a writer would, but every envelope is verified: the upstream may lie. Nothing of the link
//! is stored: what was counted in a store or process that is gone is brought and collected again.
//!
//! Reading order: [`Carry`] (how a frame gets there), `session` (one handshake, one session), `down`, `up`,
//! `knocks`. Refuses to let a slow or lying upstream hold up what the relay does for its own devices.

mod down;
mod knocks;
pub mod limits;
mod session;
mod up;

use crate::durable::Durable;
use down::Down;
use knocks::Enrolments;
use postern_protocol::Reject;
use postern_protocol::id::Thumbprint;
use postern_protocol::key::PublicKey;
use session::Line;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use up::Up;

/// What carries one frame there and the answer back.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, CarryError>> + Send + 'a>>;

/// The way to the upstream failed; nothing is known of the frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CarryError {
    /// What happened, with the hop and the next step, for people.
    pub text: String,
    /// When to try again at the earliest, in seconds, where the other side said so.
    pub retry_after_s: Option<u64>,
}

/// How a held exchange ended, for whoever decides how long the next one is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// An answer verified that brought something.
    Carried,
    /// An answer verified that brought nothing, at the end of the hold.
    Empty,
    /// No answer verified.
    Failed,
}

/// The way to an upstream: frames in, frames out, whatever carries them.
pub trait Carry: Send + Sync + 'static {
    /// Sends a frame and returns what answers it, which may take `hold_s` seconds longer than usual.
    fn carry(&self, frame: Vec<u8>, hold_s: u64) -> Carried<'_>;

    /// Seconds for which the next collect may be held, at most 300.
    fn hold_s(&self) -> u64;

    /// Tells how the last held exchange ended.
    fn note_held(&self, held: Held);

    /// A pause after so many failures in a row, the first being 1.
    fn pause(&self, failures: u32, retry_after_s: Option<u64>) -> Duration;
}

/// Where the upstream is.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// Its mailbox key, as its relay line names it.
    pub key: PublicKey,
    /// How frames get there.
    pub carry: Arc<dyn Carry>,
}

impl std::fmt::Debug for UpstreamConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamConfig")
            .field("key", &self.key.thumbprint())
            .finish_non_exhaustive()
    }
}

/// How the link to the upstream does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamStats {
    /// Whether a session is open.
    pub is_open: bool,
    /// Envelopes that the upstream took, in this process.
    pub brought: u64,
    /// Envelopes that were taken from it.
    pub collected: u64,
    /// Envelopes that either side refused for good.
    pub refused: u64,
    /// Envelopes that the upstream refused for now, and that are brought again.
    pub waiting: usize,
    /// Why the last session or exchange ended, for people; `None` before the first failure.
    pub last_error: Option<String>,
}

/// The link, as it works.
#[derive(Debug)]
pub struct Upstream {
    upstream: Thumbprint,
    stats: Shared,
    task: JoinHandle<()>,
}

type Shared = Arc<Mutex<UpstreamStats>>;

impl Upstream {
    /// Starts to dial, in a task of the current runtime, until it is dropped.
    #[must_use]
    pub fn start(config: UpstreamConfig, durable: Arc<Durable>) -> Self {
        let stats = Shared::default();
        let upstream = config.key.thumbprint();
        let task = tokio::spawn(run(config, durable, Arc::clone(&stats)));
        Self {
            upstream,
            stats,
            task,
        }
    }

    /// Thumbprint of the upstream's mailbox key.
    #[must_use]
    pub const fn upstream(&self) -> Thumbprint {
        self.upstream
    }

    /// How it does now.
    #[must_use]
    pub fn stats(&self) -> UpstreamStats {
        self.stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a session with the upstream ended.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The way failed.
    #[error(transparent)]
    Way(#[from] CarryError),
    /// The upstream refused by name, or by a number of a newer registry.
    #[error("the upstream refused: {}", .reject.map_or("a newer reason", Reject::as_str))]
    Refused {
        reject: Option<Reject>,
        retry_ms: Option<u64>,
    },
    /// What the upstream sent was refused here.
    #[error("what the upstream sent was refused: {0}")]
    Rejected(#[from] Reject),
    /// The session is old enough for a new one.
    #[error("the session is renewed")]
    Renewal,
}

impl Trouble {
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Way(error) => error.retry_after_s,
            Self::Refused { retry_ms, .. } => retry_ms.map(|ms| ms.div_ceil(1_000)),
            Self::Rejected(_) | Self::Renewal => None,
        }
    }
}

/// What the halves of the link share.
struct Place {
    carry: Arc<dyn Carry>,
    durable: Arc<Durable>,
    stats: Shared,
}

impl Place {
    fn note(&self, change: impl FnOnce(&mut UpstreamStats)) {
        change(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Something was refused for good: counted and logged, as everything that is refused.
    fn note_refused(&self, way: &'static str, what: &'static str, reject: Option<Reject>) {
        self.note(|stats| stats.refused = stats.refused.saturating_add(1));
        if let Some(reject) = reject {
            self.durable.mailbox().metrics().rejected(reject);
        }
        let reason = reject.map_or("unknown", Reject::as_str);
        warn!(way, what, reason, "an envelope is not passed on");
    }
}

async fn run(config: UpstreamConfig, durable: Arc<Durable>, stats: Shared) {
    let place = Place {
        carry: Arc::clone(&config.carry),
        durable,
        stats,
    };
    let upstream = config.key.key_id();
    let (mut down, up) = (Down::default(), Up::default());
    let enrolments = Enrolments::default();
    let mut failures: u32 = 0;
    loop {
        let trouble = match Line::open(&place, &config.key).await {
            Err(trouble) => trouble,
            Ok(line) => {
                failures = 0;
                info!(%upstream, "session with the upstream is open");
                place.note(|stats| stats.is_open = true);
                tokio::select! {
                    trouble = down.run(&place, &line, &up) => trouble,
                    trouble = up.run(&place, &line, &enrolments) => trouble,
                    never = enrolments.run(&place) => match never {},
                }
            }
        };
        place.note(|stats| {
            stats.is_open = false;
            stats.last_error = Some(trouble.to_string());
        });
        if let Trouble::Renewal = trouble {
            continue;
        }
        failures = failures.saturating_add(1);
        warn!(%upstream, error = %trouble, "no session with the upstream");
        let pause = place.carry.pause(failures, trouble.retry_after_s());
        tokio::time::sleep(pause).await;
    }
}
