//! Streams: polls that are answered again and again, until their device has something else to ask.
//!
//! ```text
//!   stream --> Streaming --poll_stream--> the next answer   (news | its interval is over | the first)
//!                   '--------------------> Wait(until)       otherwise
//!                   '--------------------> None              behind its last answer, or too old
//! ```
//!
//! What was sent counts as held while the stream lasts: heads move on with the chain and the bundles, and of
//! what lies in slots the stream remembers what it sent. Refuses to drop anything because it was sent.

use super::poll::Held;
use super::{Exchanges, Step, answer_of};
use crate::mailbox::Entry;
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{DownFrame, Hints, Stream, StreamAnswer};
use postern_protocol::id::{ChannelId, Plane, SessionId};
use postern_protocol::kind::MessageKind;
use postern_protocol::limits::STREAM_AGE_S_MAX;
use postern_protocol::revision::{BundleNumber, Revision, Seq};
use std::sync::Arc;

/// A stream between two of its answers.
#[derive(Debug)]
pub struct Streaming {
    held: Held,
    asked: Stream,
    /// Places of answers given so far.
    index: u16,
    began_ms: u64,
    /// When the next answer is due without news.
    due_ms: u64,
    /// Until when what is newer is not given: it was, and could not be used.
    entries_from_ms: u64,
    /// What lies in slots, was sent, and is still there.
    sent: Vec<Arc<[u8]>>,
}

/// What a stream does next.
#[derive(Debug, PartialEq, Eq)]
pub enum StreamStep {
    /// Send this.
    Answer {
        /// The frame.
        frame: Vec<u8>,
        /// True when nothing follows.
        is_last: bool,
    },
    /// Nothing until this moment of the caller's monotonic clock, in milliseconds, or until it is woken.
    Wait(u64),
}

/// Why a stream ends with its next answer, and what the device is told.
#[derive(Debug, Clone, Default)]
pub struct Parting {
    /// Milliseconds to wait before it comes again.
    pub retry_ms: Option<u64>,
    /// Tells it to go to another mailbox, where one was named.
    pub elsewhere: bool,
}

impl Streaming {
    /// Whose it is.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.held.channel
    }

    /// How it waits among the polls.
    #[must_use]
    pub const fn held(&self) -> Held {
        self.held
    }

    fn session(&self) -> SessionId {
        self.held.session()
    }

    /// When there may be something to say, if nothing wakes it before.
    fn wait_until(&self, now_ms: u64) -> u64 {
        let asks = self.held.has_difference().then_some(self.held.until_ms);
        let entries = Some(self.entries_from_ms);
        let later = [asks, entries].into_iter().flatten();
        let later = later.filter(|at_ms| *at_ms > now_ms);
        later.fold(self.due_ms, u64::min)
    }
}

impl Exchanges {
    pub(super) fn handle_stream(
        &mut self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        stream: &Stream,
        now_ms: u64,
    ) -> Step {
        let mut held = Held::new(channel, session, counter, &stream.heads, now_ms);
        held.is_stream = true;
        self.compare_actual(&mut held, now_ms);
        let version = self.mailboxes.version(channel);
        let wait_ms = self.repeats.wait_ms(channel, held.heads(), version, now_ms);
        Step::Stream(Box::new(Streaming {
            held,
            asked: *stream,
            index: 0,
            began_ms: now_ms,
            due_ms: now_ms,
            entries_from_ms: now_ms.saturating_add(wait_ms),
            sent: Vec::new(),
        }))
    }

    /// Gives the next answer of a stream where one is due; `None` once it is over. A `parting` makes the next
    /// answer the last, whatever there is to say.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile.
    pub fn poll_stream(
        &mut self,
        streaming: &mut Streaming,
        now_ms: u64,
        parting: Option<&Parting>,
    ) -> Result<Option<StreamStep>, Reject> {
        //= spec/postern.md#stream
        //# A mailbox MUST end a stream after its last frame, and at the latest 900 s after it began.
        let age_ms = now_ms.saturating_sub(streaming.began_ms);
        if streaming.index >= streaming.asked.frames
            || age_ms >= STREAM_AGE_S_MAX.saturating_mul(1_000)
        {
            return Ok(None);
        }
        let channel = streaming.channel();
        let mut entries = self.newer(streaming, now_ms);
        let has_news = !entries.is_empty();
        let is_due = self.is_snapshot_due(&streaming.held, now_ms);
        let is_awaited = self.is_anything_awaited(&streaming.held);
        //= spec/postern.md#stream
        //# A mailbox MUST send the first answer of a stream at once, as to a poll that is not held.
        //= spec/postern.md#stream
        //# A mailbox MUST send another answer when it has anything newer than it sent, and at the latest
        //# interval_ms after the one before.
        let is_answering = has_news || is_due || is_awaited || parting.is_some();
        if !is_answering && now_ms < streaming.due_ms {
            return Ok(Some(StreamStep::Wait(streaming.wait_until(now_ms))));
        }
        let extras = self.add_extras(channel, streaming.session(), has_news, &mut entries);
        let elsewhere = parting.is_some_and(|parting| parting.elsewhere);
        let hints = Hints {
            retry_ms: parting.and_then(|parting| parting.retry_ms),
            move_url: elsewhere.then(|| self.url_for(channel)).flatten(),
            need: is_due.then_some(Plane::Actual).into_iter().collect(),
            ..Hints::default()
        };
        let frame = self.seal_stream(streaming, age_ms, hints, &entries)?;
        self.note_streamed(streaming, has_news, now_ms);
        self.note_extras_given(extras);
        if let (true, Some(shown)) = (is_due, streaming.held.heads().actual) {
            self.mailboxes.note_actual_asked(channel, shown, now_ms);
            streaming.held.forget_difference();
        }
        self.move_on(streaming, &entries, now_ms);
        let is_last = parting.is_some() || streaming.index >= streaming.asked.frames;
        Ok(Some(StreamStep::Answer { frame, is_last }))
    }

    /// Tells whether the writer should sign a heartbeat before the stream's next answer, which has nothing else
    /// to say. A yes is remembered.
    pub fn ask_stream_heartbeat(&mut self, streaming: &Streaming, now_ms: u64) -> bool {
        let channel = streaming.channel();
        now_ms >= streaming.due_ms
            && !streaming.asked.is_probe()
            && self.newer(streaming, now_ms).is_empty()
            && !self.is_anything_awaited(&streaming.held)
            && self.mailboxes.ask_heartbeat(channel, now_ms)
    }

    //= spec/postern.md#stream
    //# A mailbox MUST take what it sent on a stream as held by the device until that stream ends, and no
    //# longer.
    /// What is newer than what was sent.
    fn newer(&self, streaming: &Streaming, now_ms: u64) -> Vec<Entry> {
        if now_ms < streaming.entries_from_ms {
            return Vec::new();
        }
        let heads = streaming.held.heads();
        let mut entries = self.mailboxes.collect(streaming.channel(), heads);
        entries.retain(|entry| !streaming.sent.contains(&entry.envelope));
        entries
    }

    fn seal_stream(
        &self,
        streaming: &Streaming,
        age_ms: u64,
        hints: Hints,
        entries: &[Entry],
    ) -> Result<Vec<u8>, Reject> {
        let mut answer = StreamAnswer {
            //= spec/postern.md#stream
            //# A mailbox MUST number the answers of a stream from 0 without gaps.
            index: streaming.index,
            age_ms,
            padding: 0,
            answer: answer_of(hints, entries),
        };
        let (session, counter) = (streaming.session(), streaming.held.counter());
        let bare = DownFrame::StreamAnswer(answer.clone());
        let frame = self.seal_frame(session, counter, &bare)?;
        let lacking = usize::from(streaming.asked.pad).saturating_sub(frame.len());
        if lacking == 0 {
            return Ok(frame);
        }
        answer.padding = u16::try_from(lacking).unwrap_or(streaming.asked.pad);
        self.seal_frame(session, counter, &DownFrame::StreamAnswer(answer))
    }

    /// The first news of a stream are those of a poll with the same heads.
    fn note_streamed(&mut self, streaming: &Streaming, has_news: bool, now_ms: u64) {
        if has_news && streaming.index == 0 {
            let channel = streaming.channel();
            let version = self.mailboxes.version(channel);
            let heads = streaming.held.heads();
            self.repeats.note(channel, heads, version, now_ms);
        }
    }

    fn move_on(&self, streaming: &mut Streaming, entries: &[Entry], now_ms: u64) {
        let channel = streaming.channel();
        if streaming.index == 0 {
            // From now on every acknowledgement that is new is news, and only that.
            let held = self.mailboxes.report_ack(channel);
            streaming.sent.extend(held.map(|ack| ack.envelope));
            streaming.held.heads_mut().acked = Some(Seq::new(0));
        }
        for entry in entries {
            let Ok(envelope) = ReceivedEnvelope::parse(&entry.envelope) else {
                continue;
            };
            let header = envelope.unverified_header();
            match header.kind {
                MessageKind::Delta | MessageKind::Snapshot => {
                    streaming.held.heads_mut().desired = Revision::new(header.epoch, header.seq);
                }
                MessageKind::Bundle => {
                    let number = BundleNumber::new(header.seq.number());
                    streaming.held.heads_mut().bundle = number;
                }
                MessageKind::Report
                | MessageKind::ReportAck
                | MessageKind::Heartbeat
                | MessageKind::EnrolRequest
                | MessageKind::EnrolAnswer
                | MessageKind::Admission
                | MessageKind::SessionHello
                | MessageKind::SessionWelcome
                | MessageKind::Receipt
                | MessageKind::Evidence
                | MessageKind::PlaneKey
                | MessageKind::Lost => streaming.sent.push(Arc::clone(&entry.envelope)),
            }
        }
        let kept = self.mailboxes.collect(channel, streaming.held.heads());
        let is_kept = |sent: &Arc<[u8]>| kept.iter().any(|entry| entry.envelope == *sent);
        streaming.sent.retain(is_kept);
        streaming.index = streaming.index.saturating_add(1);
        let interval_ms = u64::from(streaming.asked.interval_ms);
        streaming.due_ms = now_ms.saturating_add(interval_ms);
    }
}
