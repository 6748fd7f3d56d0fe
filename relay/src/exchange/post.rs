//! Posts and puts: what a device brings, sorted before the host sees it, and its answer.
//!
//! ```text
//!   post --> shape of each item --> host (verifies, makes durable) --> answer: refusals by index,
//!   put  -------------------------> host ----------------------------> wanted bodies, what it brought about
//! ```
//!
//! Refuses kinds that a device does not sign, by index, and leaves every signature to the host.

use super::Exchanges;
use super::under_way::Ended;
use crate::mailbox::{Chunk, Entry};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{BodyChunk, Hints, Item, Refusal, Wanted};
use postern_protocol::id::{ChannelId, Plane, SessionId};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::limits::FETCH_DIGESTS_MAX;
use postern_protocol::revision::Revision;

/// One item of a post that has the right shape; its signature is the host's to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedItem {
    /// Place in the post.
    pub index: u32,
    /// The plane.
    pub plane: Option<Plane>,
    /// The untagged COSE_Sign1.
    pub envelope: Vec<u8>,
    /// Its number, where it is a report.
    report: Option<Revision>,
}

/// Who is to be answered, and since when the answer looks for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    channel: ChannelId,
    session: SessionId,
    counter: u16,
    since: u64,
}

/// A post to be made durable before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// What the host must take or refuse.
    pub items: Vec<PostedItem>,
    /// Refused already, for their shape.
    pub refused: Vec<(u32, Reject)>,
    /// The highest report that the host took.
    taken: Option<Revision>,
    asked: Asked,
}

/// Pieces of section bodies that the host wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The plane whose state they belong to.
    pub plane: Plane,
    /// The pieces, at least one.
    pub chunks: Vec<Chunk>,
    asked: Asked,
}

impl Post {
    /// Whose session brought it.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.asked.channel
    }

    /// Notes that the host took an item.
    pub fn note_taken(&mut self, item: &PostedItem) {
        self.taken = self.taken.max(item.report);
    }
}

impl Put {
    /// Whose session brought it.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.asked.channel
    }
}

impl Exchanges {
    /// Parts what a host may be asked from what no signature could make right.
    pub(super) fn sort_post(
        &mut self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        items: &[Item<'_>],
    ) -> Post {
        let mut post = Post {
            items: Vec::new(),
            refused: Vec::new(),
            taken: None,
            asked: self.begin(channel, session, counter),
        };
        for (index, item) in (0..).zip(items) {
            match check_posted(item) {
                Ok(report) => post.items.push(PostedItem {
                    index,
                    plane: item.plane,
                    envelope: item.envelope.to_vec(),
                    report,
                }),
                Err(reject) => post.refused.push((index, reject)),
            }
        }
        post
    }

    pub(super) fn copy_put(
        &mut self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        plane: Plane,
        chunks: &[BodyChunk<'_>],
    ) -> Put {
        let chunks = chunks.iter().map(|chunk| Chunk {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: chunk.bytes.to_vec(),
        });
        Put {
            plane,
            chunks: chunks.collect(),
            asked: self.begin(channel, session, counter),
        }
    }

    fn begin(&mut self, channel: ChannelId, session: SessionId, counter: u16) -> Asked {
        self.under_way.begin(channel);
        Asked {
            channel,
            session,
            counter,
            since: self.mailboxes.changes(),
        }
    }

    /// Answers a post once the host has made durable what it did not refuse. `wanted` are bodies
    /// that the host lacks, of which the first 16 are asked for; `wants_snapshot` asks for one.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile: the device posts again.
    pub fn answer_post(
        &mut self,
        post: &Post,
        refused: &[(u32, Reject)],
        wanted: &[Wanted],
        wants_snapshot: bool,
        retry_ms: Option<u64>,
    ) -> Result<Vec<u8>, Reject> {
        //= spec/postern.md#post
        //# An item that is refused MUST be named by its index and reject code in hint 4.
        let refused = refused.iter().map(|&(index, reject)| Refusal {
            index,
            code: reject.code(),
        });
        let hints = Hints {
            retry_ms,
            refused: refused.collect(),
            wanted: wanted.iter().take(FETCH_DIGESTS_MAX).copied().collect(),
            need: wants_snapshot
                .then_some(Plane::Actual)
                .into_iter()
                .collect(),
            ..Hints::default()
        };
        self.answer_asked(post.asked, post.taken, hints)
    }

    /// Answers a put; `wanted` are bodies that the host still lacks, of which the first 16 are asked for.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile.
    pub fn answer_put(&mut self, put: &Put, wanted: &[Wanted]) -> Result<Vec<u8>, Reject> {
        let hints = Hints {
            wanted: wanted.iter().take(FETCH_DIGESTS_MAX).copied().collect(),
            ..Hints::default()
        };
        self.answer_asked(put.asked, None, hints)
    }

    fn answer_asked(
        &mut self,
        asked: Asked,
        report: Option<Revision>,
        hints: Hints,
    ) -> Result<Vec<u8>, Reject> {
        let Asked {
            channel,
            session,
            counter,
            since,
        } = asked;
        if let Some(parting) = self.under_way.parting(channel) {
            return self.seal(session, counter, hints, parting);
        }
        let mut entries: Vec<Entry> = self.mailboxes.collect_carried(channel, since, report);
        let extras = self.add_extras(channel, session, false, &mut entries);
        let frame = self.seal(session, counter, hints, &entries)?;
        self.note_extras_given(extras);
        self.under_way.note_carried(channel);
        Ok(frame)
    }

    /// Counts a post or put as over, answered or not. To be called exactly once for each.
    pub fn end_post(&mut self, channel: ChannelId) -> Ended {
        let ended = self.under_way.end(channel);
        if ended.closes {
            self.close_sessions(channel);
        }
        ended
    }
}

/// Refuses what a device does not post. Returns the number of a report.
fn check_posted(item: &Item<'_>) -> Result<Option<Revision>, Reject> {
    let received = ReceivedEnvelope::parse(item.envelope)?;
    let header = received.unverified_header();
    let report = match header.kind {
        MessageKind::Report => Some(Revision::new(header.epoch, header.seq)),
        MessageKind::Delta
        | MessageKind::Snapshot
        | MessageKind::Heartbeat
        | MessageKind::Evidence => None,
        MessageKind::ReportAck
        | MessageKind::EnrolRequest
        | MessageKind::EnrolAnswer
        | MessageKind::Bundle
        | MessageKind::Admission
        | MessageKind::SessionHello
        | MessageKind::SessionWelcome
        | MessageKind::Receipt
        | MessageKind::PlaneKey
        | MessageKind::Lost => return Err(Reject::SignerRole),
    };
    header.kind.check_signer(Role::Device, item.plane)?;
    Ok(report)
}
