//! The mailboxes of a listening controller as a world uses them: what its driver and its server do with the pure parts.
//!
//! Refuses to decide anything: holds, posts and extras are decided by [`Exchanges`]. What a bad mailbox does beside
//! that, to hold back what it took, is done to posts before they get there.

use postern_protocol::Reject;
use postern_protocol::controller::Post;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{Direction, FrameType, PlainFrame, Wanted, frame_type};
use postern_protocol::id::{Channel, ChannelId, Incarnation};
use postern_protocol::key::{MemorySigner, PublicKey};
use postern_protocol::message::Heartbeat;
use postern_protocol::revision::{BundleNumber, Epoch, Generation, Revision, Seq};
use postern_protocol::session::ReceivedHello;
use postern_protocol::testing::{
    Asked, Dice, Handled, Held as Kept, HeldPoll, Hop, Piece, TestKeys,
};
use postern_protocol::trust::{BundleStep, Trust};
use postern_relay::exchange::{
    AdmittedDevice, ExchangeLimits, Exchanges, Held, MailboxKey, MailboxKeys, Post as Posted, Put,
    Step,
};
use postern_relay::mailbox::Mailboxes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Posts of one channel that are held back, and since when heartbeats drip.
#[derive(Debug, Default)]
struct Withheld {
    posts: Vec<(Generation, Post)>,
    drip_ms: Option<u64>,
    dripped_ms: u64,
}

/// A post or put that waits for the controller.
#[derive(Debug)]
enum Taking {
    Post(Posted),
    Put(Put),
}

/// See the head of this module.
#[derive(Debug)]
struct Embedded {
    exchanges: Exchanges,
    keys: Vec<MailboxKey>,
    dice: Dice,
    admitted: BTreeMap<ChannelId, Vec<AdmittedDevice>>,
    held: BTreeMap<u64, Held>,
    taking: BTreeMap<u64, Taking>,
    numbers: u64,
    /// Channels whose poll may be answered otherwise now.
    changed: BTreeSet<ChannelId>,
    is_all_changed: bool,
    /// Channels whose next heartbeat acknowledges their plane.
    unacknowledged: BTreeSet<ChannelId>,
    generations: BTreeMap<ChannelId, Generation>,
    withheld: BTreeMap<ChannelId, Withheld>,
}

/// Makes the mailboxes of a world.
pub(crate) fn embedded(keys: &TestKeys, dice: Dice) -> Box<dyn Hop> {
    let signer = keys.signing.signer("mailbox");
    let key = MailboxKey::lasting(Arc::new(signer));
    let mut made = Embedded::with(vec![key], dice, Mailboxes::default());
    let _shown = made.exchanges.mailboxes.show_bundles(keys.trust().steps());
    Box::new(made)
}

fn drawn<const LENGTH: usize>(dice: &mut Dice) -> [u8; LENGTH] {
    core::array::from_fn(|_| dice.draw().to_be_bytes()[0])
}

fn exchanges(keys: &[MailboxKey], dice: &mut Dice, mailboxes: Mailboxes) -> Exchanges {
    let window = postern_protocol::context::draw(dice);
    let limits = ExchangeLimits::default();
    let mut made = Exchanges::new(limits, keys_of(keys), window, 0);
    made.mailboxes = mailboxes;
    made
}

fn keys_of(keys: &[MailboxKey]) -> MailboxKeys {
    let mut keys = keys.to_vec();
    let newest = keys.remove(0);
    let Ok(keys) = MailboxKeys::new(newest, keys) else {
        unreachable!("the world rotates as often as is allowed")
    };
    keys
}

impl Embedded {
    fn with(keys: Vec<MailboxKey>, mut dice: Dice, mailboxes: Mailboxes) -> Self {
        Self {
            exchanges: exchanges(&keys, &mut dice, mailboxes),
            keys,
            dice,
            admitted: BTreeMap::new(),
            held: BTreeMap::new(),
            taking: BTreeMap::new(),
            numbers: 0,
            changed: BTreeSet::new(),
            is_all_changed: false,
            unacknowledged: BTreeSet::new(),
            generations: BTreeMap::new(),
            withheld: BTreeMap::new(),
        }
    }

    const fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn answer_hello(&mut self, frame: &[u8], now_ms: u64) -> Result<Vec<u8>, Reject> {
        let hello = ReceivedHello::parse(frame)?;
        let admitted = self.admitted.get(&hello.channel());
        let admitted = admitted.cloned().unwrap_or_default();
        let session = drawn(&mut self.dice);
        self.exchanges
            .answer_hello(&hello, &admitted, session, now_ms)
    }

    fn answer_in_session(&mut self, frame: &[u8], now_ms: u64) -> Result<Handled, Reject> {
        let handled = self.exchanges.handle_frame(frame, now_ms)?;
        let Some(channel) = handled.owner.channel() else {
            return Err(Reject::SessionRole);
        };
        if handled.displaced {
            self.changed.insert(channel);
        }
        Ok(match handled.step {
            Step::Answer(frame) | Step::Limited(frame, _) => Handled::Answer(frame),
            Step::Hold(held) => {
                let number = self.number();
                self.held.retain(|_, other| other.channel != channel);
                self.held.insert(number, held);
                let hold_ms = held.until_ms.saturating_sub(now_ms);
                Handled::Held(HeldPoll::numbered(channel, hold_ms, number))
            }
            Step::Post(post) => {
                let envelopes = post.items.iter().map(|item| item.envelope.clone());
                let envelopes = envelopes.collect();
                let number = self.number();
                self.taking.insert(number, Taking::Post(post));
                Handled::Posted(Asked::numbered(channel, number), envelopes)
            }
            Step::Put(put) => {
                let pieces = put.chunks.iter().map(|chunk| Piece {
                    digest: chunk.digest,
                    size: chunk.size,
                    offset: chunk.offset,
                    bytes: chunk.bytes.clone(),
                });
                let (plane, pieces) = (put.plane, pieces.collect());
                let number = self.number();
                self.taking.insert(number, Taking::Put(put));
                Handled::Put(Asked::numbered(channel, number), plane, pieces)
            }
            Step::Stream(_) | Step::Writer(_) => return Err(Reject::FrameUnknown),
        })
    }

    fn end_post(&mut self, channel: ChannelId) {
        let ended = self.exchanges.end_post(channel);
        if ended.wakes || ended.closes {
            self.changed.insert(channel);
        }
    }

    /// A post is news for whoever waits, unless the answer to a post brings it.
    fn wake_or_carry(&mut self, channel: ChannelId) {
        if !self.exchanges.leave_to_answer(channel) {
            self.changed.insert(channel);
        }
    }

    /// What the controller's driver does with a post. Returns true when the chain wants a snapshot.
    fn show(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        post: Post,
        now_ms: u64,
    ) -> bool {
        let mailboxes = &mut self.exchanges.mailboxes;
        let posted = match post {
            Post::Delta { envelope } => {
                let posted = mailboxes.post_delta(channel, generation, &envelope);
                let is_wanted = mailboxes.wants_snapshot(channel).is_some();
                return self.check_chain(channel, generation, posted.is_ok(), is_wanted);
            }
            Post::Snapshot { envelope, bodies } => {
                let bodies = bodies.into_iter().map(|(_, body)| body);
                let posted = mailboxes.post_snapshot(channel, generation, &envelope, bodies);
                let is_wanted = mailboxes.wants_snapshot(channel).is_some();
                return self.check_chain(channel, generation, posted.is_ok(), is_wanted);
            }
            Post::ReportAck { envelope } => mailboxes.post_report_ack(channel, &envelope),
            Post::Heartbeat { envelope } => {
                let is_awaited = self.unacknowledged.remove(&channel) || echoes(&envelope);
                mailboxes.post_heartbeat(channel, &envelope, is_awaited, now_ms)
            }
            Post::Evidence { envelope } => mailboxes.post_evidence(channel, &envelope),
            Post::EnrolAnswer { envelope } => mailboxes.post_enrol_answer(channel, &envelope),
            Post::PlaneKey { envelope } => mailboxes.post_plane_key(channel, &envelope),
            Post::Admission { .. } => return false,
        };
        if posted.is_ok() {
            self.wake_or_carry(channel);
        }
        false
    }

    fn check_chain(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        is_taken: bool,
        is_wanted: bool,
    ) -> bool {
        if is_taken {
            self.generations.insert(channel, generation);
            self.changed.insert(channel);
        }
        is_wanted || !is_taken
    }
}

/// Tells whether a heartbeat answers a device's nonce.
fn echoes(envelope: &[u8]) -> bool {
    let payload = ReceivedEnvelope::parse(envelope).map(|received| received.unverified_payload());
    payload
        .and_then(Heartbeat::decode)
        .is_ok_and(|heartbeat| heartbeat.echo.is_some())
}

impl Hop for Embedded {
    fn restart(&mut self) {
        let mailboxes = std::mem::take(&mut self.exchanges.mailboxes);
        self.exchanges = exchanges(&self.keys, &mut self.dice, mailboxes);
        (self.held, self.taking) = (BTreeMap::new(), BTreeMap::new());
        self.is_all_changed = true;
    }

    fn file_of(&self, _: ChannelId) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn keys(&self) -> usize {
        self.keys.len()
    }

    fn rotate(&mut self, signer: MemorySigner, first: u64) {
        for key in &mut self.keys {
            let last = BundleNumber::new(first.saturating_sub(1));
            key.last = Some(key.last.map_or(last, |held| held.min(last)));
        }
        let newest = MailboxKey {
            signer: Arc::new(signer),
            first: BundleNumber::new(first),
            last: None,
        };
        self.keys.insert(0, newest);
        self.exchanges.replace_keys(keys_of(&self.keys));
    }

    fn begin(&mut self, _: &Trust, _: &[Vec<u8>]) -> bool {
        let (keys, dice) = (self.keys.clone(), self.dice.clone());
        *self = Self::with(keys, dice, Mailboxes::default());
        self.is_all_changed = true;
        true
    }

    fn lose(&mut self) {
        self.exchanges.mailboxes = Mailboxes::default();
    }

    fn is_serving(&self, channel: ChannelId) -> bool {
        self.admitted.contains_key(&channel)
    }

    fn held(&self, channel: ChannelId) -> Kept {
        if self.withheld.contains_key(&channel) {
            // What is held back is held.
            let most = (Epoch::new(u64::MAX), Seq::new(u64::MAX));
            return (
                Some((Generation::new(u64::MAX), Revision::NONE)),
                Some(most),
            );
        }
        let mailboxes = &self.exchanges.mailboxes;
        let generation = self.generations.get(&channel).copied();
        let head = generation.zip(mailboxes.head(channel));
        let ack = mailboxes.report_ack(channel).and_then(|entry| {
            let received = ReceivedEnvelope::parse(&entry.envelope).ok()?;
            let header = received.unverified_header();
            Some((header.epoch, header.seq))
        });
        (head, ack)
    }

    fn admit(
        &mut self,
        channel: Channel,
        incarnation: Incarnation,
        key: PublicKey,
        next: Option<PublicKey>,
    ) -> bool {
        let id = channel.id();
        if next.is_none() {
            self.exchanges.mailboxes.drop_enrol_answer(id);
        }
        let device = AdmittedDevice {
            channel,
            incarnation,
            key,
        };
        let next = next.map(|key| AdmittedDevice {
            key,
            ..device.clone()
        });
        let devices = std::iter::once(device).chain(next).collect();
        let before = self.admitted.insert(id, devices);
        let mut before = before.into_iter().flatten();
        let is_new = before.any(|before| before.incarnation != incarnation);
        if is_new {
            self.exchanges.remove(id);
            self.changed.insert(id);
        }
        is_new
    }

    fn evict(&mut self, channel: ChannelId) {
        self.admitted.remove(&channel);
        self.exchanges.evict(channel);
        self.unacknowledged.remove(&channel);
        self.changed.insert(channel);
    }

    fn take(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        post: Post,
        now_ms: u64,
    ) -> bool {
        // What is about a life that ended stays out of the way of the next one.
        if !self.admitted.contains_key(&channel) {
            return false;
        }
        let Some(withheld) = self.withheld.get_mut(&channel) else {
            return self.show(channel, generation, post, now_ms);
        };
        let is_dripped = withheld.drip_ms.is_some_and(|drip_ms| {
            matches!(post, Post::Heartbeat { .. })
                && now_ms.saturating_sub(withheld.dripped_ms) >= drip_ms
        });
        if is_dripped {
            withheld.dripped_ms = now_ms;
            return self.show(channel, generation, post, now_ms);
        }
        withheld.posts.push((generation, post));
        false
    }

    fn set_actual_held(&mut self, channel: ChannelId, revision: Revision) {
        let mailboxes = &mut self.exchanges.mailboxes;
        mailboxes.set_actual_head(channel, revision);
        self.unacknowledged.insert(channel);
    }

    fn freeze(&mut self, channel: ChannelId, drip_ms: Option<u64>) {
        let withheld = self.withheld.entry(channel).or_default();
        withheld.drip_ms = drip_ms;
    }

    fn thaw(&mut self, channel: ChannelId, now_ms: u64) -> bool {
        let withheld = self.withheld.remove(&channel).unwrap_or_default();
        let posts = withheld.posts.into_iter();
        posts.fold(false, |is_wanted, (generation, post)| {
            self.show(channel, generation, post, now_ms) | is_wanted
        })
    }

    /// A mailbox that tells old things again is another one.
    fn tell_again(&mut self, _: ChannelId, _: u64) {}

    fn entries_max(&self) -> usize {
        0
    }

    fn show_bundles(&mut self, steps: Vec<BundleStep>) {
        let _posted = self.exchanges.mailboxes.show_bundles(&steps);
        self.is_all_changed = true;
    }

    fn is_stirred(&self) -> bool {
        self.is_all_changed || !self.changed.is_empty()
    }

    fn is_stirred_for(&self, held: &HeldPoll) -> bool {
        self.is_all_changed || self.changed.contains(&held.channel)
    }

    fn is_asking(&self, _: &HeldPoll) -> bool {
        false
    }

    fn settle(&mut self) {
        self.is_all_changed = false;
        self.changed.clear();
    }

    fn wants_heartbeat(&mut self, held: &HeldPoll, now_ms: u64) -> bool {
        let held = held.number().and_then(|number| self.held.get(&number));
        held.is_some_and(|held| self.exchanges.ask_heartbeat(held, now_ms))
    }

    fn handle(&mut self, frame: &[u8], now_ms: u64) -> Result<Handled, Reject> {
        let window = postern_protocol::context::draw(&mut self.dice);
        self.exchanges.handle_tick(now_ms, window);
        let kind = frame_type(frame)?;
        if kind.is_in_session() {
            return self.answer_in_session(frame, now_ms);
        }
        if kind == FrameType::Ask {
            let nonce = drawn(&mut self.dice);
            let answer = self.exchanges.answer_ask(frame, nonce);
            return answer.map(Handled::Answer);
        }
        if kind == FrameType::Hello {
            return self.answer_hello(frame, now_ms).map(Handled::Answer);
        }
        if kind == FrameType::Enrol {
            PlainFrame::decode(frame, Direction::Up)?;
            return Ok(Handled::Enrol(frame.to_vec()));
        }
        Err(Reject::FrameDirection)
    }

    fn answer_post(
        &mut self,
        asked: Asked,
        refused: &[(u32, u16)],
        wanted: Vec<Wanted>,
    ) -> Result<Vec<u8>, Reject> {
        let taking = asked
            .number()
            .and_then(|number| self.taking.remove(&number));
        let answer = match taking {
            None => return Err(Reject::SessionUnknown),
            Some(Taking::Put(put)) => self.exchanges.answer_put(&put, &wanted),
            Some(Taking::Post(mut post)) => {
                let mut all = std::mem::take(&mut post.refused);
                let items = std::mem::take(&mut post.items);
                for (place, item) in (0..).zip(&items) {
                    let mut refusals = refused.iter().filter(|(index, _)| *index == place);
                    match refusals.find_map(|(_, code)| Reject::from_code((*code).into())) {
                        Some(reject) => all.push((item.index, reject)),
                        None => post.note_taken(item),
                    }
                }
                all.sort_unstable_by_key(|(index, _)| *index);
                self.exchanges
                    .answer_post(&post, &all, &wanted, false, None)
            }
        };
        self.end_post(asked.channel);
        answer
    }

    fn release(
        &mut self,
        held: &HeldPoll,
        is_over: bool,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let number = held.number().ok_or(Reject::SessionUnknown)?;
        let held = self.held.get(&number).copied();
        let held = held.ok_or(Reject::SessionUnknown)?;
        if !is_over && !self.exchanges.has_news(&held) {
            return Ok(None);
        }
        self.held.remove(&number);
        self.exchanges.release(&held, now_ms, None).map(Some)
    }
}
