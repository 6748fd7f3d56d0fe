//! One race as it happens: the ask goes out on each way at its moment, the first challenge that counts wins.
//!
//! ```text
//!   Race (when) --start--> exchange on each way --challenge of a listed mailbox--> Won, the rest is cancelled
//!                                '-- block page, failure, refusal --> that way has ended
//! ```
//!
//! QUIC alone is let end by itself, within its own three seconds: that it met silence is worth knowing.
//! Refuses an answer of anybody whom the bundle does not list.

use super::address::{is_challenge, why_no_challenge};
use super::moment;
use postern_egress::ladder::{Race, WayId};
use postern_egress::{Answer, Client, ExchangeLimits, Route, TransportError, codes};
use postern_protocol::frame::{FrameType, frame_type};
use postern_protocol::id::Thumbprint;
use postern_protocol::limits::FRAME_BYTES_MAX;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinError, JoinSet};

/// Longest time for the answer to an ask, once a way carries it. Arbitrary, as short as people would wait.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(10);
/// Longest time for which QUIC goes on after another way has won.
const QUIC_TIME: Duration = Duration::from_secs(3);

/// A race that is about to run.
pub struct Contest {
    pub(super) number: u64,
    pub(super) race: Race,
    pub(super) clients: Vec<(WayId, Arc<Client>)>,
    pub(super) ask: Vec<u8>,
    pub(super) listed: Vec<Thumbprint>,
    pub(super) udp: Arc<UdpNews>,
}

/// How a race ended.
pub struct Raced {
    /// Which race it was.
    pub number: u64,
    /// Who won.
    pub won: Option<Won>,
    /// The ways that failed before, and why.
    pub failures: Vec<(WayId, Loss)>,
}

/// The winner.
pub struct Won {
    /// The way.
    pub way: WayId,
    /// The challenge.
    pub frame: Vec<u8>,
    /// Bytes that were sent.
    pub up_bytes: usize,
}

/// Why a way did not win.
#[derive(Debug)]
pub enum Loss {
    /// The way failed.
    Failed(Box<TransportError>),
    /// A mailbox refused, by this frame.
    Refused(Vec<u8>),
    /// What answers is no mailbox of the bundle.
    NoMailbox {
        /// Bytes of the answer.
        bytes: usize,
        /// Whether it is a stranger's mailbox or none at all.
        code: &'static str,
    },
}

impl Loss {
    /// The code for people and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed(error) => error.code(),
            Self::NoMailbox { code, .. } => code,
            Self::Refused(_) => codes::BUSY,
        }
    }
}

/// What races found out about UDP, until it is taken.
#[derive(Debug, Default)]
pub(super) struct UdpNews(AtomicU8);

const NO_NEWS: u8 = 0;
const GOOD: u8 = 1;
const HOSTILE: u8 = 2;

impl UdpNews {
    /// Takes the news: true where UDP met silence.
    pub(super) fn take(&self) -> Option<bool> {
        match self.0.swap(NO_NEWS, Ordering::Relaxed) {
            GOOD => Some(false),
            HOSTILE => Some(true),
            _none => None,
        }
    }

    fn put(&self, is_hostile: bool) {
        let news = if is_hostile { HOSTILE } else { GOOD };
        self.0.store(news, Ordering::Relaxed);
    }
}

type Ended = (WayId, Route, Result<Answer, TransportError>);

/// The exchanges under way.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Ended>,
    handles: Vec<(Route, AbortHandle)>,
}

impl Contest {
    /// Runs the race to its end.
    pub async fn run(mut self) -> Raced {
        let mut running = Running::default();
        let mut failures = Vec::new();
        let won = loop {
            while let Some(way) = self.race.poll_start(moment()) {
                self.start(way, &mut running);
            }
            if self.race.is_lost(moment()) {
                break None;
            }
            let due = self.race.due().since(moment());
            tokio::select! {
                () = tokio::time::sleep(due.max(Duration::from_millis(1))) => {}
                Some(ended) = running.tasks.join_next(), if !running.tasks.is_empty() => {
                    let Some((way, route, result)) = whole(ended) else { continue };
                    match self.judge(result) {
                        Ok(frame) => break Some((way, route, frame)),
                        Err(loss) => {
                            self.race.handle_end(way);
                            failures.push((way, loss, route));
                        }
                    }
                }
            }
        };
        self.learn(won.as_ref().map(|(_, route, _)| *route), &failures);
        let won = won.map(|(way, route, frame)| {
            if route != Route::Quic {
                self.let_quic_end(running);
            }
            Won {
                way,
                frame,
                up_bytes: self.ask.len(),
            }
        });
        let failures = failures.into_iter().map(|(way, loss, _)| (way, loss));
        Raced {
            number: self.number,
            won,
            failures: failures.collect(),
        }
    }

    fn start(&mut self, way: WayId, running: &mut Running) {
        let found = self.clients.iter().find(|(id, _)| *id == way);
        let Some((_, client)) = found else {
            self.race.handle_end(way);
            return;
        };
        let (client, ask) = (Arc::clone(client), self.ask.clone());
        let route = client.route();
        let handle = running.tasks.spawn(async move {
            let answer = client.exchange(ask.into(), ask_limits()).await;
            (way, route, answer)
        });
        running.handles.push((route, handle));
    }

    fn judge(&self, result: Result<Answer, TransportError>) -> Result<Vec<u8>, Loss> {
        let body = result.map_err(|error| Loss::Failed(Box::new(error)))?;
        let body = body.body.to_vec();
        if is_challenge(&body, &self.listed) {
            return Ok(body);
        }
        Err(match frame_type(&body) {
            Ok(FrameType::Refused) => Loss::Refused(body),
            Ok(_) | Err(_) => Loss::NoMailbox {
                bytes: body.len(),
                code: why_no_challenge(&body),
            },
        })
    }

    /// QUIC that failed where another way won says something of the network; where all failed, it does not.
    fn learn(&self, won: Option<Route>, failures: &[(WayId, Loss, Route)]) {
        let met_silence =
            |(_, loss, route): &(WayId, Loss, Route)| *route == Route::Quic && loss.blames_udp();
        match won {
            Some(Route::Quic) => self.udp.put(false),
            Some(Route::Direct | Route::Proxy(_)) if failures.iter().any(met_silence) => {
                self.udp.put(true);
            }
            Some(Route::Direct | Route::Proxy(_)) | None => {}
        }
    }

    /// Cancels everything but QUIC, which ends within its own budget.
    fn let_quic_end(&self, mut running: Running) {
        for (route, handle) in running.handles.drain(..) {
            if route != Route::Quic {
                handle.abort();
            }
        }
        if running.tasks.is_empty() {
            return;
        }
        let udp = Arc::clone(&self.udp);
        let _task = tokio::spawn(async move {
            let ends = async {
                while let Some(ended) = running.tasks.join_next().await {
                    if let Some((_, Route::Quic, result)) = whole(ended) {
                        match &result {
                            Ok(_challenge) => udp.put(false),
                            Err(loss) if loss.blames_udp() => udp.put(true),
                            Err(_other) => {}
                        }
                        return;
                    }
                }
            };
            let _gave_up = tokio::time::timeout(QUIC_TIME, ends).await;
        });
    }
}

impl Loss {
    /// Shortens the pause after a race that all lost, where one of them waits for something that a person or a program
    /// of this machine does, such as a ticket.
    #[must_use]
    pub fn shorten(pause: Duration, losses: &[(WayId, Self)]) -> Duration {
        let most = losses.iter().filter_map(|(_, loss)| match loss {
            Self::Failed(error) => error.pause_max(),
            Self::Refused(_) | Self::NoMailbox { .. } => None,
        });
        most.min().map_or(pause, |most| pause.min(most))
    }

    /// Tells whether this failure says that the network does not carry UDP.
    fn blames_udp(&self) -> bool {
        matches!(self, Self::Failed(error) if error.blames_udp())
    }
}

/// The bounds of an ask.
pub(super) const fn ask_limits() -> ExchangeLimits {
    ExchangeLimits {
        deadline: ASK_DEADLINE,
        answer_bytes_max: FRAME_BYTES_MAX,
    }
}

/// An exchange that panicked or was cancelled brought nothing.
fn whole(ended: Result<Ended, JoinError>) -> Option<Ended> {
    ended.ok()
}
