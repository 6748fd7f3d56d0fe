//! The routes of this device: every mailbox URL along every way that the proxy policy allows.
//!
//! One route is used at a time. It is left after a failure, for the next in order, and kept after
//! a verified answer. Each route learns its own hold time and body sizes. Refuses to leave a route
//! because of what a mailbox answered: only the way may fail.

use crate::clock;
use crate::exit::CommandError;
use postern_egress::body_size::{BodySizes, Lesson};
use postern_egress::clock::Moment;
use postern_egress::hold::{Hold, HoldEnd, HoldLadder, Next};
use postern_egress::limits::BODY_BYTES_FLOOR;
use postern_egress::{Client, Dialer, ExchangeLimits, MailboxUrl, TransportError};
use postern_protocol::context::draw;
use postern_protocol::frame::{FrameType, frame_type};
use postern_protocol::limits::FRAME_BYTES_MAX;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for an exchange that is not held. Arbitrary, above a slow proxy's round trip.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(20);
//= spec/postern.md#http-binding
//# A client MUST send a frame as the body of `POST <base URL>/postern/1` with Content-Length and
//# the content type `application/octet-stream`.
/// The path of the HTTP binding below a mailbox's base URL (spec: #http-binding).
const BINDING_PATH: &str = "/postern/1";

struct Way {
    client: Arc<Client>,
    ladder: HoldLadder,
    sizes: BodySizes,
}

/// All ways, and the one in use.
pub struct Routes {
    ways: Vec<Way>,
    current: usize,
}

/// One exchange on the way in use.
pub struct Carrier {
    client: Arc<Client>,
    limits: ExchangeLimits,
    /// What is sent, and where.
    pub sent: Sent,
}

/// What an exchange says about the sizes of its way, once it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Which way carries it.
    pub way: usize,
    /// Bytes of the frame.
    up_bytes: usize,
    /// Bytes of the answer, where they follow from what the frame asks for, else 0.
    asked_bytes: usize,
}

/// The bodies that a way carries, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Largest request.
    pub up_bytes_max: usize,
    /// Largest answer to ask for; 0 when not even the smallest useful one passes.
    pub down_bytes_max: usize,
}

impl Routes {
    /// Makes the ways in order of preference: URL by URL, as the proxy policy orders them.
    ///
    /// # Errors
    /// A URL that is no target.
    pub fn new(
        dialer: &Dialer,
        urls: &[String],
        hold_ceiling: Duration,
    ) -> Result<Self, CommandError> {
        let mut ways = Vec::new();
        for url in urls {
            let full = format!("{}{BINDING_PATH}", url.trim_end_matches('/'));
            let target = MailboxUrl::parse(&full).map_err(|error| {
                CommandError::configuration(
                    "mailbox-url-invalid",
                    format!("the mailbox URL {url:?} cannot be used: {error}"),
                    "ask for a new join line with a URL such as https://controller.example:8443",
                )
            })?;
            for route in dialer.routes(&target) {
                let client = dialer.client(&target, route);
                ways.extend(client.into_iter().map(|client| Way {
                    client: Arc::new(client),
                    ladder: HoldLadder::with_ceiling(hold_ceiling),
                    sizes: BodySizes::new(),
                }));
            }
        }
        Ok(Self { ways, current: 0 })
    }

    /// Number of ways.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// The word for the way in use: direct or proxy.
    #[must_use]
    pub fn current_name(&self) -> &'static str {
        self.name_of(self.current)
    }

    /// The word for a way: direct or proxy.
    #[must_use]
    pub fn name_of(&self, way: usize) -> &'static str {
        self.ways
            .get(way)
            .map_or("none", |way| way.client.route().as_str())
    }

    /// Bytes on the sockets of all ways, up and down, TLS and HTTP included.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let each = self.ways.iter().map(|way| way.client.traffic());
        each.fold((0, 0), |(up, down), traffic| {
            (up + traffic.bytes_up(), down + traffic.bytes_down())
        })
    }

    /// Asks the ladder of the way in use what to do next.
    pub fn next_poll(&mut self) -> Option<Next> {
        let way = self.ways.get_mut(self.current)?;
        Some(way.ladder.poll_next(moment(), random()))
    }

    /// Tells the ladder of a way how a hold ended.
    pub fn end_hold(&mut self, way: usize, hold: Hold, end: HoldEnd) {
        if let Some(way) = self.ways.get_mut(way) {
            way.ladder.handle_end(moment(), random(), hold, end);
        }
    }

    /// Goes on to the next way after a failure of the one in use.
    pub fn advance_from(&mut self, way: usize) {
        if way == self.current && !self.ways.is_empty() {
            self.current = (self.current + 1) % self.ways.len();
        }
    }

    /// The bodies that the way in use carries.
    #[must_use]
    pub fn sizes(&self) -> Option<Sizes> {
        let sizes = &self.ways.get(self.current)?.sizes;
        let down = Some(sizes.down_bytes_max()).filter(|bytes| *bytes >= BODY_BYTES_FLOOR);
        Some(Sizes {
            up_bytes_max: sizes.up_bytes_max(),
            down_bytes_max: down.unwrap_or_default(),
        })
    }

    /// Records an answer that verified.
    pub fn note_answer(&mut self, sent: Sent, down_bytes: usize) {
        if let Some(way) = self.ways.get_mut(sent.way) {
            way.sizes.handle_answer(sent.up_bytes, down_bytes);
        }
    }

    /// Records a failure; returns what it taught about the sizes of its way.
    pub fn note_failure(&mut self, sent: Sent, error: &TransportError) -> Option<Lesson> {
        let way = self.ways.get_mut(sent.way)?;
        way.sizes
            .handle_failure(sent.up_bytes, sent.asked_bytes, error.size_clue())
    }

    /// Prepares an exchange on the way in use.
    #[must_use]
    pub fn carrier(&self, frame: &[u8], hold: Option<Duration>) -> Option<Carrier> {
        let way = self.ways.get(self.current)?;
        let deadline = hold.unwrap_or_default() + EXCHANGE_DEADLINE;
        let is_fetch = frame_type(frame) == Ok(FrameType::Fetch);
        // Past the floor the smallest fetch is still tried now and then.
        let asked = way.sizes.down_bytes_max().max(BODY_BYTES_FLOOR);
        Some(Carrier {
            client: Arc::clone(&way.client),
            limits: ExchangeLimits {
                deadline,
                answer_bytes_max: FRAME_BYTES_MAX,
            },
            sent: Sent {
                way: self.current,
                up_bytes: frame.len(),
                asked_bytes: if is_fetch { asked } else { 0 },
            },
        })
    }
}

impl Carrier {
    /// Sends a frame and brings back the body, with the time that it took.
    ///
    /// # Errors
    /// [`TransportError`] with code, hop and next step.
    pub async fn carry(&self, frame: Vec<u8>) -> Result<(Vec<u8>, Duration), TransportError> {
        let answer = self.client.exchange(frame.into(), self.limits).await?;
        Ok((answer.body.to_vec(), answer.age))
    }
}

fn moment() -> Moment {
    Moment::from_millis(clock::mono_ms())
}

/// Random bits for jitter.
#[must_use]
pub fn random() -> u64 {
    u64::from_be_bytes(draw(&mut crate::random::OsRandom))
}
