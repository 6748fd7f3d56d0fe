//! Routes to mailboxes: every URL along every way that the proxy policy allows. The same for both roles.
//!
//! ```text
//!   ways in order:  controller direct > controller by proxy > relay A > relay B
//!   in use:               ^--- comeback: asked again now and then ---^ (left after a failure)
//! ```
//!
//! One route is used at a time. It is left after a failure, for the next in order, and a better one is
//! taken again once it answers. Each route learns its own hold time and body sizes. Refuses to leave a
//! route because of what a mailbox answered, but for a hint in its session: only the way may fail.

mod comeback;
mod lockout;
mod outlet;
mod script;

pub use outlet::Outlet;
pub use script::{NO_WAY_PAUSE, Preparation};

use crate::clock;
use crate::exit::CommandError;
use comeback::Comeback;
use postern_egress::body_size::{BodySizes, Lesson};
use postern_egress::clock::Moment;
use postern_egress::hold::{Hold, HoldEnd, HoldLadder, Next};
use postern_egress::limits::BODY_BYTES_FLOOR;
use postern_egress::{
    Client, Dialer, ExchangeLimits, MailboxUrl, MailboxUrlError, Period, TimeKeeper, TimeRefused,
    TransportError,
};
use postern_protocol::context::draw;
use postern_protocol::frame::{FrameType, frame_type};
use postern_protocol::limits::FRAME_BYTES_MAX;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for an exchange that is not held. Arbitrary, above a slow proxy's round trip.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(20);
/// Longest time to find out whether a better way works again. Arbitrary, as short as people would wait.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);
//= spec/postern.md#http-binding
//# A client MUST send a frame as the body of `POST <base URL>/postern/1` with Content-Length and
//# the content type `application/octet-stream`.
/// The path of the HTTP binding below a mailbox's base URL (spec: #http-binding).
const BINDING_PATH: &str = "/postern/1";

/// Names a way for as long as the process runs, whatever ways come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayId(u64);

struct Way {
    id: WayId,
    /// The base URL of the mailbox to which it leads.
    url: String,
    client: Arc<Client>,
    ladder: HoldLadder,
    sizes: BodySizes,
}

/// All ways, the one in use, and what makes new ones.
pub struct Routes {
    dialer: Dialer,
    hold_ceiling: Duration,
    /// The base URLs of the mailboxes, in order.
    urls: Vec<String>,
    ways: Vec<Way>,
    current: usize,
    /// Ways made so far.
    made: u64,
    /// Bytes on the sockets of ways that are gone.
    gone_bytes: (u64, u64),
    comeback: Comeback,
}

/// A better way that is asked whether it leads to a mailbox again.
pub struct Probe {
    /// The way.
    pub way: WayId,
    client: Arc<Client>,
}

/// A way whose certificate is not valid by the time that is believed here.
pub struct TimeAsk {
    client: Arc<Client>,
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
    pub way: WayId,
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
        dialer: Dialer,
        urls: &[String],
        hold_ceiling: Duration,
    ) -> Result<Self, CommandError> {
        let mut routes = Self {
            dialer,
            hold_ceiling,
            urls: urls.to_vec(),
            ways: Vec::new(),
            current: 0,
            made: 0,
            gone_bytes: (0, 0),
            comeback: Comeback::new(),
        };
        for url in urls {
            let ways = routes.make(url).map_err(|error| {
                CommandError::configuration(
                    "mailbox-url-invalid",
                    format!("the mailbox URL {url:?} cannot be used: {error}"),
                    "ask for a new join line with a URL such as https://controller.example:8443",
                )
            })?;
            routes.ways.extend(ways);
        }
        Ok(routes)
    }

    fn make(&mut self, url: &str) -> Result<Vec<Way>, MailboxUrlError> {
        let target = target_of(url)?;
        let mut ways = Vec::new();
        for route in self.dialer.routes(&target) {
            if let Ok(client) = self.dialer.client(&target, route) {
                self.made += 1;
                ways.push(Way {
                    id: WayId(self.made),
                    url: url.to_owned(),
                    client: Arc::new(client),
                    ladder: HoldLadder::with_ceiling(self.hold_ceiling),
                    sizes: BodySizes::new(),
                });
            }
        }
        Ok(ways)
    }

    /// Takes another list of mailbox URLs. Ways that stay keep what they learnt; the one in use stays in use
    /// while its URL is listed. A URL that is no target is left out: it was signed, but nobody can go there.
    /// Returns true when another mailbox is in use now.
    pub fn replace_urls(&mut self, urls: &[String]) -> bool {
        let used = self
            .ways
            .get(self.current)
            .map(|way| (way.id, way.url.clone()));
        let mut before = std::mem::take(&mut self.ways);
        for url in urls {
            let kept: Vec<Way> = before.extract_if(.., |way| way.url == *url).collect();
            if !kept.is_empty() {
                self.ways.extend(kept);
                continue;
            }
            match self.make(url) {
                Ok(ways) => self.ways.extend(ways),
                Err(error) => tracing::warn!(%error, "the bundle lists a URL that cannot be used"),
            }
        }
        if self.ways.is_empty() {
            // A bundle without a usable URL must not strand the device.
            self.ways = std::mem::take(&mut before);
        } else {
            self.urls = urls.to_vec();
        }
        let (up, down) = bytes_of(&before);
        self.gone_bytes = (self.gone_bytes.0 + up, self.gone_bytes.1 + down);
        let place = used.as_ref().and_then(|(id, _)| self.place(*id));
        self.current = place.unwrap_or(0);
        if self.current > 0 {
            self.comeback.leave(clock::mono_ms(), random());
        }
        let now = self.ways.get(self.current).map(|way| way.url.clone());
        used.map(|(_, url)| url) != now
    }

    fn place(&self, id: WayId) -> Option<usize> {
        self.ways.iter().position(|way| way.id == id)
    }

    fn way(&self, id: WayId) -> Option<&Way> {
        self.ways.iter().find(|way| way.id == id)
    }

    fn way_mut(&mut self, id: WayId) -> Option<&mut Way> {
        self.ways.iter_mut().find(|way| way.id == id)
    }

    /// What makes the ways.
    #[must_use]
    pub const fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Number of ways.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// The word for the way in use: direct or proxy.
    #[must_use]
    pub fn current_name(&self) -> &'static str {
        let way = self.ways.get(self.current);
        way.map_or("none", |way| way.client.route().as_str())
    }

    /// The time at which certificates are checked on every way.
    #[must_use]
    pub fn time(&self) -> &Arc<TimeKeeper> {
        self.dialer.time()
    }

    /// When the certificate of the way in use is valid; `None` before a connection was made on it.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        self.ways.get(self.current)?.client.period()
    }

    /// Takes a time that was verified, in seconds since 1970. Where certificates are judged at another time from
    /// now on, the kept connections go: each way has to show its certificate again.
    ///
    /// # Errors
    /// [`TimeRefused`] for a time before the release.
    pub fn take_time(&self, unix_s: u64) -> Result<(), TimeRefused> {
        if self.dialer.time().take(unix_s)? {
            self.ways.iter().for_each(|way| way.client.close_kept());
        }
        Ok(())
    }

    /// Prepares to ask on a way what time it is, after its certificate failed by its period alone. `None` while a
    /// time was taken lately.
    #[must_use]
    pub fn time_ask(&self, way: WayId) -> Option<TimeAsk> {
        let way = self.way(way).filter(|_| self.time().is_ask_due())?;
        Some(TimeAsk {
            client: Arc::clone(&way.client),
        })
    }

    /// The base URL of the mailbox in use.
    #[must_use]
    pub fn current_url(&self) -> Option<&str> {
        self.ways.get(self.current).map(|way| way.url.as_str())
    }

    /// The word for a way: direct or proxy.
    #[must_use]
    pub fn name_of(&self, way: WayId) -> &'static str {
        self.way(way)
            .map_or("none", |way| way.client.route().as_str())
    }

    /// Bytes on the sockets of all ways, up and down, TLS and HTTP included.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let (up, down) = bytes_of(&self.ways);
        (self.gone_bytes.0 + up, self.gone_bytes.1 + down)
    }

    /// Asks the ladder of the way in use what to do next.
    pub fn next_poll(&mut self) -> Option<Next> {
        let way = self.ways.get_mut(self.current)?;
        Some(way.ladder.poll_next(moment(), random()))
    }

    /// Tells the ladder of a way how a hold ended.
    pub fn end_hold(&mut self, way: WayId, hold: Hold, end: HoldEnd) {
        if let Some(way) = self.way_mut(way) {
            way.ladder.handle_end(moment(), random(), hold, end);
        }
    }

    /// Goes on to the next way after a failure of the one in use. Returns true when that leads to another mailbox.
    pub fn advance_from(&mut self, way: WayId) -> bool {
        let Some(failed) = self.ways.get(self.current).filter(|used| used.id == way) else {
            return false;
        };
        let url = failed.url.clone();
        self.current = (self.current + 1) % self.ways.len();
        if self.current == 0 {
            self.comeback.arrive(clock::mono_ms());
        } else {
            self.comeback.leave(clock::mono_ms(), random());
        }
        self.current_url() != Some(url.as_str())
    }

    /// Goes to the first way to another mailbox, because the one in use says so. Returns true when
    /// that is in use now; false where no way leads there, or it is in use already.
    pub fn move_to(&mut self, url: &str) -> bool {
        let place = self.ways.iter().position(|way| way.url == url);
        let Some(place) = place.filter(|_| self.current_url() != Some(url)) else {
            return false;
        };
        self.current = place;
        if place == 0 {
            self.comeback.arrive(clock::mono_ms());
        } else {
            self.comeback.leave(clock::mono_ms(), random());
        }
        true
    }

    /// The clock's milliseconds at which [`Self::poll_probes`] has something to ask, if it ever has.
    #[must_use]
    pub const fn probe_due_ms(&self) -> Option<u64> {
        self.comeback.due_ms()
    }

    /// Names the better ways, best first, when it is time to ask them again.
    pub fn poll_probes(&mut self) -> Vec<Probe> {
        if !self.comeback.poll(clock::mono_ms()) {
            return Vec::new();
        }
        let better = self.ways.iter().take(self.current);
        let probes = better.map(|way| Probe {
            way: way.id,
            client: Arc::clone(&way.client),
        });
        probes.collect()
    }

    /// Takes which of the asked ways leads to a mailbox again, if one does. Returns true when
    /// another mailbox is in use now.
    pub fn handle_probed(&mut self, found: Option<WayId>) -> bool {
        let place = found.and_then(|way| self.place(way));
        let Some(place) = place.filter(|place| *place < self.current) else {
            self.comeback.miss(clock::mono_ms(), random());
            return false;
        };
        let url = self.current_url().map(str::to_owned);
        self.current = place;
        if place == 0 {
            self.comeback.arrive(clock::mono_ms());
        } else {
            self.comeback.leave(clock::mono_ms(), random());
        }
        self.current_url() != url.as_deref()
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
        if let Some(way) = self.way_mut(sent.way) {
            way.sizes.handle_answer(sent.up_bytes, down_bytes);
        }
    }

    /// Records a failure; returns what it taught about the sizes of its way.
    pub fn note_failure(&mut self, sent: Sent, error: &TransportError) -> Option<Lesson> {
        let way = self.way_mut(sent.way)?;
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
                way: way.id,
                up_bytes: frame.len(),
                asked_bytes: if is_fetch { asked } else { 0 },
            },
        })
    }
}

impl TimeAsk {
    /// Sends a frame over a connection of its own whose certificate's period is relaxed. Nothing but the time may be
    /// taken from the body that comes back.
    ///
    /// # Errors
    /// [`TransportError`] with code, hop and next step.
    pub async fn carry(&self, frame: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let limits = ExchangeLimits {
            deadline: EXCHANGE_DEADLINE,
            answer_bytes_max: FRAME_BYTES_MAX,
        };
        let answer = self.client.exchange_for_time(frame.into(), limits).await?;
        Ok(answer.body.to_vec())
    }

    /// Finds out whether everything is right on this way at a time that was stated, in seconds since 1970.
    ///
    /// # Errors
    /// [`TransportError`]: the time must not be taken.
    pub async fn prove(&self, unix_s: u64) -> Result<(), TransportError> {
        self.client.prove_time(unix_s).await
    }
}

impl Probe {
    /// Sends a frame that needs no session and brings back the body; `None` when the way fails.
    pub async fn ask(&self, frame: Vec<u8>) -> Option<Vec<u8>> {
        let limits = ExchangeLimits {
            deadline: PROBE_DEADLINE,
            answer_bytes_max: FRAME_BYTES_MAX,
        };
        let answer = self.client.exchange(frame.into(), limits).await;
        answer.ok().map(|answer| answer.body.to_vec())
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

/// Returns where frames for a mailbox go, by its base URL.
pub(crate) fn target_of(url: &str) -> Result<MailboxUrl, MailboxUrlError> {
    MailboxUrl::parse(&format!("{}{BINDING_PATH}", url.trim_end_matches('/')))
}

fn bytes_of(ways: &[Way]) -> (u64, u64) {
    let each = ways.iter().map(|way| way.client.traffic());
    each.fold((0, 0), |(up, down), traffic| {
        (up + traffic.bytes_up(), down + traffic.bytes_down())
    })
}

fn moment() -> Moment {
    Moment::from_millis(clock::mono_ms())
}

/// Random bits for jitter.
#[must_use]
pub fn random() -> u64 {
    u64::from_be_bytes(draw(&mut crate::random::OsRandom))
}
