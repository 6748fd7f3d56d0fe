//! Routes to mailboxes: every URL along every way that the proxy policy allows. The same for both roles.
//!
//! ```text
//!   dialer, addresses --> ways --Ladder--> the one in use --Carrier--> exchanges
//!        ask of a session: Contest (race) --Won--> in use     failures, probes, another network --> Ladder
//!        Whereabouts (which network, what worked there) --hints--> races
//! ```
//!
//! Each route learns its own hold time and body sizes. Which way is used is the ladder's part; what is
//! here carries it out. Refuses to leave a route because of what a mailbox answered, but for a hint in
//! its session: only the way may fail.

mod address;
mod asks;
mod contest;
mod facts;
mod learnt;
mod lockout;
mod outlet;
mod push;
mod script;
mod standing;
mod switching;
mod whereabouts;

pub use address::{Address, is_challenge};
pub use asks::{Probe, TimeAsk};
pub use contest::{Contest, Loss, Raced, Won};
pub(crate) use facts::packet_bytes_of;
pub use facts::{BetterWay, RouteFacts, Switches};
pub use learnt::{HoldFacts, Sizes};
pub use outlet::{Outlet, proxy_word};
pub use postern_egress::ladder::WayId;
pub use push::{PushFacts, Pushed, StreamPiece, StreamReader, StreamStop, Streamer, flow_end};
pub use script::{NO_WAY_PAUSE, Preparation};
pub use standing::WayRow;
pub use switching::{Change, Ruling};
pub use whereabouts::Whereabouts;

use crate::clock;
use crate::exit::CommandError;
use contest::UdpNews;
use postern_egress::body_size::{BodySizes, Lesson};
use postern_egress::clock::Moment;
use postern_egress::hold::{Hold, HoldEnd, HoldLadder, Next};
use postern_egress::ladder::{Ladder, Way as LadderWay, WayKey};
use postern_egress::limits::BODY_BYTES_FLOOR;
use postern_egress::push::{Push, PushMode};
use postern_egress::{
    Client, Dialer, ExchangeLimits, LinkReport, MailboxUrl, MailboxUrlError, PasswordUse, Period,
    TimeKeeper, TimeRefused, TransportError,
};
use postern_protocol::context::draw;
use postern_protocol::frame::{FrameType, frame_type};
use postern_protocol::id::Thumbprint;
use postern_protocol::limits::FRAME_BYTES_MAX;
use std::collections::BTreeMap;
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
    id: WayId,
    key: WayKey,
    address: Address,
    client: Arc<Client>,
    ladder: HoldLadder,
    sizes: BodySizes,
    /// The statuses of its last failure and of the one that taught its ladder's cap.
    last_status: Option<u16>,
    taught_status: Option<u16>,
    push: Push,
}

/// All ways, the one in use, and what makes new ones.
pub struct Routes {
    dialer: Dialer,
    hold_ceiling: Duration,
    /// Where the mailboxes are, in order.
    addresses: Vec<Address>,
    whereabouts: Whereabouts,
    ways: Vec<Way>,
    ladder: Ladder,
    /// Ways made so far.
    made: u64,
    /// Races begun so far; only the newest counts.
    races: u64,
    is_racing: bool,
    /// Changes of the network that were seen.
    changes: u64,
    /// The way that is kept warm after a promotion.
    warm: Option<WayId>,
    udp: Arc<UdpNews>,
    /// The last ask of a session, which probes repeat, and whose challenge counts.
    ask: Vec<u8>,
    listed: Vec<Thumbprint>,
    /// Bytes on the sockets of ways that are gone, by label.
    gone_bytes: BTreeMap<&'static str, (u64, u64)>,
    switches: Switches,
    /// Ends of holds, by their words.
    hold_ends: BTreeMap<&'static str, u64>,
    /// Which ways lead to each mailbox and why, for people.
    explained: Arc<[String]>,
    push_mode: PushMode,
    push: push::PushCounts,
    /// The connection that carried the last answer.
    link: Option<Arc<LinkReport>>,
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
    /// When it began.
    begun: Moment,
    /// Whether the mailbox was to hold it.
    is_held: bool,
}

/// What an exchange brought.
#[derive(Debug)]
pub struct Brought {
    /// The body.
    pub body: Vec<u8>,
    /// Time from sending the request to the end of the answer.
    pub age: Duration,
    /// The connection that carried it.
    pub link: Arc<LinkReport>,
}

impl Routes {
    /// Makes the ways to these addresses that the proxy policy allows.
    ///
    /// # Errors
    /// A URL that is no target.
    pub fn new(
        dialer: Dialer,
        whereabouts: Whereabouts,
        addresses: &[Address],
        hold_ceiling: Duration,
    ) -> Result<Self, CommandError> {
        let mut routes = Self {
            dialer,
            hold_ceiling,
            addresses: addresses.to_vec(),
            changes: whereabouts.look(),
            whereabouts,
            ways: Vec::new(),
            ladder: Ladder::new(),
            made: 0,
            races: 0,
            is_racing: false,
            warm: None,
            udp: Arc::default(),
            ask: Vec::new(),
            listed: Vec::new(),
            gone_bytes: BTreeMap::new(),
            switches: Switches::default(),
            hold_ends: BTreeMap::new(),
            explained: Arc::default(),
            push_mode: PushMode::Held,
            push: push::PushCounts::default(),
            link: None,
        };
        for address in addresses {
            let url = &address.url;
            let ways = routes.make(address).map_err(|error| {
                CommandError::configuration(
                    "mailbox-url-invalid",
                    format!("the mailbox URL {url:?} cannot be used: {error}"),
                    "ask for a new join line with a URL such as https://controller.example:8443",
                )
            })?;
            routes.ways.extend(ways);
        }
        routes.tell_ways();
        Ok(routes)
    }

    fn make(&mut self, address: &Address) -> Result<Vec<Way>, MailboxUrlError> {
        let target = target_of(&address.url)?;
        let mut ways = Vec::new();
        for route in self.dialer.routes(&target) {
            if let Ok(client) = self.dialer.client(&target, route) {
                self.made += 1;
                let key = WayKey::of(&address.url, route);
                let mut way = Way {
                    id: WayId(self.made),
                    key,
                    address: address.clone(),
                    client: Arc::new(client),
                    ladder: HoldLadder::with_ceiling(self.hold_ceiling),
                    sizes: BodySizes::new(),
                    last_status: None,
                    taught_status: None,
                    push: Push::new(self.push_mode),
                };
                way.resume(self.whereabouts.limits(key));
                ways.push(way);
            }
        }
        Ok(ways)
    }

    /// Tells the ladder which ways there are. True when the one in use is gone.
    fn tell_ways(&mut self) -> bool {
        let mut groups = Vec::new();
        let ways = self.ways.iter().map(|way| {
            way.client.set_relay(way.address.mailbox > 0);
            LadderWay {
                id: way.id,
                key: way.key,
                route: way.client.route(),
                mailbox: way.address.mailbox,
                url: way.address.place,
                secret: way
                    .client
                    .password_use()
                    .map(|it| group_of(&mut groups, it)),
            }
        });
        let ways: Vec<_> = ways.collect();
        self.explained = self.explained();
        self.ladder.set_ways(ways)
    }

    /// Takes another list of addresses. Ways that stay keep what they learnt; the one in use stays in use
    /// while its URL is listed. A URL that is no target is left out: it was signed, but nobody can go there.
    /// Returns true when the mailbox in use is not to be used any more.
    pub fn replace_addresses(&mut self, addresses: &[Address]) -> bool {
        let mut before = std::mem::take(&mut self.ways);
        for address in addresses {
            let is_its = |way: &mut Way| way.address.url == address.url;
            let mut kept: Vec<Way> = before.extract_if(.., is_its).collect();
            if !kept.is_empty() {
                kept.iter_mut()
                    .for_each(|way| way.address = address.clone());
                self.ways.extend(kept);
                continue;
            }
            match self.make(address) {
                Ok(ways) => self.ways.extend(ways),
                Err(error) => tracing::warn!(%error, "the bundle lists a URL that cannot be used"),
            }
        }
        if self.ways.is_empty() {
            // A bundle without a usable URL must not strand the device.
            self.ways = std::mem::take(&mut before);
        } else {
            self.addresses = addresses.to_vec();
        }
        facts::add_bytes(&mut self.gone_bytes, &before);
        self.tell_ways()
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

    /// The way in use; the best one while nothing was found out yet.
    fn used(&self) -> Option<&Way> {
        let current = self.ladder.current().map(|way| way.id);
        self.way(current.or_else(|| self.in_order().next())?)
    }

    /// The ways in order of preference.
    fn in_order(&self) -> impl Iterator<Item = WayId> {
        self.ladder.facts(moment()).map(|fact| fact.way.id)
    }

    /// Number of ways.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ways.len()
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// The word for the way in use: quic, direct or proxy.
    #[must_use]
    pub fn current_name(&self) -> &'static str {
        let way = self.used();
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
        self.used()?.client.period()
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
        self.used().map(|way| way.address.url.as_str())
    }

    /// The word for a way: quic, direct or proxy.
    #[must_use]
    pub fn name_of(&self, way: WayId) -> &'static str {
        self.way(way)
            .map_or("none", |way| way.client.route().as_str())
    }

    /// Bytes on the sockets of all ways, up and down, TLS and HTTP included.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let all = self.bytes_by_label();
        all.values()
            .fold((0, 0), |sum, (up, down)| (sum.0 + up, sum.1 + down))
    }

    /// Asks the hold ladder of the way in use what to do next; nothing before there is one.
    pub fn next_poll(&mut self) -> Option<Next> {
        let current = self.ladder.current()?.id;
        let way = self.way_mut(current)?;
        Some(way.ladder.poll_next(moment(), random()))
    }

    /// Tells the hold ladder of a way how a hold ended.
    pub fn end_hold(&mut self, way: WayId, hold: Hold, end: HoldEnd) {
        *self.hold_ends.entry(learnt::end_name(end)).or_default() += 1;
        if let Some(way) = self.way_mut(way) {
            way.end_hold(hold, end);
            let limits = way.limits();
            self.whereabouts.note_limits(limits);
        }
    }

    /// Records an answer that verified.
    pub fn note_answer(&mut self, sent: Sent, down_bytes: usize, link: &Arc<LinkReport>) {
        self.ladder.handle_verified(sent.way);
        if let Some(way) = self.way_mut(sent.way) {
            way.sizes.handle_answer(sent.up_bytes, down_bytes);
            let key = way.key;
            self.whereabouts.note_good(key);
        }
        self.link = Some(Arc::clone(link));
    }

    /// Records what a failure taught about the sizes of its way.
    pub fn note_failure(&mut self, sent: Sent, error: &TransportError) -> Option<Lesson> {
        self.ladder.note_error(sent.way, error.code());
        let way = self.way_mut(sent.way)?;
        way.note_status(error);
        let clue = error.size_clue();
        let lesson = way
            .sizes
            .handle_failure(sent.up_bytes, sent.asked_bytes, clue);
        let limits = way.limits();
        if lesson.is_some() {
            self.whereabouts.note_limits(limits);
        }
        lesson
    }

    /// Prepares an exchange on the way in use.
    #[must_use]
    pub fn carrier(&self, frame: &[u8], hold: Option<Duration>) -> Option<Carrier> {
        self.carrier_on(self.used()?.id, frame, hold)
    }

    /// Prepares an exchange on a way.
    #[must_use]
    pub fn carrier_on(&self, way: WayId, frame: &[u8], hold: Option<Duration>) -> Option<Carrier> {
        let way = self.way(way)?;
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
                begun: moment(),
                is_held: hold.is_some_and(|hold| !hold.is_zero()),
            },
        })
    }
}

impl Carrier {
    /// Sends a frame and brings back the body.
    ///
    /// # Errors
    /// [`TransportError`] with code, hop and next step.
    pub async fn carry(&self, frame: Vec<u8>) -> Result<Brought, TransportError> {
        let answer = self.client.exchange(frame.into(), self.limits).await?;
        Ok(Brought {
            body: answer.body.to_vec(),
            age: answer.age,
            link: answer.link,
        })
    }
}

/// The group of the ways on which this password is shown. Those beyond a byte share the last one.
fn group_of(groups: &mut Vec<PasswordUse>, shown: PasswordUse) -> u8 {
    let place = groups.iter().position(|known| *known == shown);
    let place = place.unwrap_or_else(|| {
        groups.push(shown);
        groups.len().saturating_sub(1)
    });
    u8::try_from(place).unwrap_or(u8::MAX)
}

/// Returns where frames for a mailbox go, by its base URL.
pub(crate) fn target_of(url: &str) -> Result<MailboxUrl, MailboxUrlError> {
    MailboxUrl::parse(&format!("{}{BINDING_PATH}", url.trim_end_matches('/')))
}

fn moment() -> Moment {
    Moment::from_millis(clock::mono_ms())
}

/// Random bits for jitter.
#[must_use]
pub fn random() -> u64 {
    u64::from_be_bytes(draw(&mut crate::random::OsRandom))
}

#[cfg(test)]
mod tests;
