//! What session frames say, once their tag has verified.
//!
//! A hint never makes a client do more: retry and hold are clamped to the protocol's limits.
//! Refuses empty forms that would give one meaning two encodings.

use super::plain::{read_plane, write_plane};
use super::{FrameType, decode_sequence};
use crate::cbor::{KeyOrder, Kind, Reader, Writer};
use crate::envelope::skip_envelope;
use crate::id::{Digest, Plane};
use crate::limits::{
    BODY_CHUNK_BYTES_MAX, FETCH_DIGESTS_MAX, HOLD_S_MAX, RETRY_MS_MAX, SECTION_BYTES_MAX,
    URL_BYTES_MAX,
};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Revision, Seq};
use alloc::string::String;
use alloc::vec::Vec;

/// Asks what is newer than what is held (spec: #poll).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Seconds that the mailbox may hold the answer, 0..=300.
    pub hold_s: u16,
    /// The bundle held.
    pub bundle: BundleNumber,
    /// The newest report that is acknowledged; `None` when no report is outstanding.
    pub acked: Option<Seq>,
    /// The desired revision held, or [`Revision::NONE`].
    pub desired: Revision,
    /// The actual revision held, where that plane is followed.
    pub actual: Option<Revision>,
}

/// One envelope on its way (spec: #frames). Not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The plane that it is about, if it is about one.
    pub plane: Option<Plane>,
    /// The COSE_Sign1.
    pub envelope: &'a [u8],
}

/// One body asked for, from an offset (spec: #bodies).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Digest of the section body.
    pub digest: Digest,
    /// First byte wanted.
    pub offset: u64,
}

/// A piece of a section body (spec: #bodies). Not verified against its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyChunk<'a> {
    /// Digest of the whole body.
    pub digest: Digest,
    /// Bytes of the whole body.
    pub size: u64,
    /// Where this piece begins.
    pub offset: u64,
    /// The piece, 1..=32768 bytes.
    pub bytes: &'a [u8],
}

/// The refusal of one posted item (spec: #answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Place of the item in the post, from 0.
    pub index: u32,
    /// A reject's code, 1..=65535, perhaps of a newer registry than ours.
    pub code: u16,
}

/// What a mailbox asks of its client; clamped, never trusted beyond slowing down (spec: #answer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// Milliseconds to wait before the next exchange, at most `RETRY_MS_MAX`.
    pub retry_ms: Option<u64>,
    /// Longest hold that is welcome, in seconds, at most `HOLD_S_MAX`.
    pub hold_s_max: Option<u64>,
    /// Another URL of the same mailbox.
    pub move_url: Option<String>,
    /// Items of the post that were refused.
    pub refused: Vec<Refusal>,
}

/// The answer to a poll, post or need (spec: #answer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer<'a> {
    /// What the mailbox asks.
    pub hints: Hints,
    /// What is newer.
    pub items: Vec<Item<'a>>,
}

/// A request within a session (spec: #frames).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpFrame<'a> {
    /// Asks what is newer.
    Poll(Poll),
    /// Brings envelopes, at least one.
    Post(Vec<Item<'a>>),
    /// Asks for a snapshot of a plane.
    Need {
        /// The plane.
        plane: Plane,
        /// What is held of it.
        held: Revision,
    },
    /// Asks for 1..=16 section bodies.
    Fetch {
        /// The plane.
        plane: Plane,
        /// The bodies.
        wanted: Vec<Wanted>,
    },
}

/// An answer within a session (spec: #frames).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownFrame<'a> {
    /// To a poll, post or need.
    Answer(Answer<'a>),
    /// To a fetch; a digest that is not held is absent.
    Bodies(Vec<BodyChunk<'a>>),
}

impl<'a> UpFrame<'a> {
    /// Returns the type byte's meaning.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Poll(_) => FrameType::Poll,
            Self::Post(_) => FrameType::Post,
            Self::Need { .. } => FrameType::Need,
            Self::Fetch { .. } => FrameType::Fetch,
        }
    }

    /// Reads what follows the counter. # Errors: CBOR rejects, `shape`, `hold-range`.
    pub(super) fn decode(frame_type: FrameType, body: &'a [u8]) -> Result<Self, Reject> {
        match frame_type {
            FrameType::Poll => decode_sequence(body, read_poll).map(Self::Poll),
            FrameType::Post => decode_sequence(body, |reader| {
                let items = read_items(reader)?;
                if items.is_empty() {
                    return Err(Reject::Shape);
                }
                Ok(Self::Post(items))
            }),
            FrameType::Need => decode_sequence(body, |reader| {
                Ok(Self::Need {
                    plane: Plane::from_number(reader.uint()?)?,
                    held: read_revision(reader)?,
                })
            }),
            FrameType::Fetch => decode_sequence(body, read_fetch),
            FrameType::Answer
            | FrameType::Bodies
            | FrameType::Enrol
            | FrameType::Enrolled
            | FrameType::Ask
            | FrameType::Challenge
            | FrameType::Hello
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection),
        }
    }

    /// Refuses what no peer would take. # Errors: `shape`, `hold-range`.
    pub(super) fn check(&self) -> Result<(), Reject> {
        let (is_right, reject) = match self {
            Self::Poll(poll) => (u64::from(poll.hold_s) <= HOLD_S_MAX, Reject::HoldRange),
            Self::Post(items) => (!items.is_empty(), Reject::Shape),
            Self::Need { .. } => (true, Reject::Shape),
            Self::Fetch { wanted, .. } => {
                let is_right = (1..=FETCH_DIGESTS_MAX).contains(&wanted.len());
                (is_right, Reject::Shape)
            }
        };
        if is_right { Ok(()) } else { Err(reject) }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Poll(poll) => write_poll(writer, poll),
            Self::Post(items) => write_items(writer, items),
            Self::Need { plane, held } => {
                writer.uint(plane.number());
                write_revision(writer, *held);
            }
            Self::Fetch { plane, wanted } => {
                writer.uint(plane.number());
                for one in wanted {
                    writer
                        .array(2)
                        .bytes(one.digest.as_bytes())
                        .uint(one.offset);
                }
            }
        }
    }
}

impl<'a> DownFrame<'a> {
    /// Returns the type byte's meaning.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Answer(_) => FrameType::Answer,
            Self::Bodies(_) => FrameType::Bodies,
        }
    }

    /// Reads what follows the counter. # Errors: CBOR rejects, `shape`.
    pub(super) fn decode(frame_type: FrameType, body: &'a [u8]) -> Result<Self, Reject> {
        match frame_type {
            FrameType::Answer => decode_sequence(body, |reader| {
                let hints = if !reader.is_at_end() && reader.peek()? == Kind::Map {
                    read_hints(reader)?
                } else {
                    Hints::default()
                };
                let items = read_items(reader)?;
                Ok(Self::Answer(Answer { hints, items }))
            }),
            FrameType::Bodies => decode_sequence(body, read_chunks).map(Self::Bodies),
            FrameType::Poll
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Enrol
            | FrameType::Enrolled
            | FrameType::Ask
            | FrameType::Challenge
            | FrameType::Hello
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Answer(answer) => {
                write_hints(writer, &answer.hints);
                write_items(writer, &answer.items);
            }
            Self::Bodies(chunks) => {
                for chunk in chunks {
                    writer.array(4).bytes(chunk.digest.as_bytes());
                    writer
                        .uint(chunk.size)
                        .uint(chunk.offset)
                        .bytes(chunk.bytes);
                }
            }
        }
    }
}

/// Epoch 0 and seq 0 together mean nothing; one without the other means no place at all.
fn read_revision(reader: &mut Reader<'_>) -> Result<Revision, Reject> {
    let (epoch, seq) = (reader.uint()?, reader.uint()?);
    //= spec/postern.md#frames
    //# A head in a frame MUST NOT have only one of epoch and seq 0, else `shape`.
    if (epoch == 0) != (seq == 0) {
        return Err(Reject::Shape);
    }
    Ok(Revision::new(Epoch::new(epoch), Seq::new(seq)))
}

fn write_revision(writer: &mut Writer, revision: Revision) {
    writer
        .uint(revision.epoch.number())
        .uint(revision.seq.number());
}

fn read_poll(reader: &mut Reader<'_>) -> Result<Poll, Reject> {
    let hold_s = reader.uint()?;
    //= spec/postern.md#poll
    //# A hold above 300 s MUST be refused with `hold-range`.
    if hold_s > HOLD_S_MAX {
        return Err(Reject::HoldRange);
    }
    let bundle = BundleNumber::new(reader.uint()?);
    let acked = if reader.peek()? == Kind::Null {
        reader.null().map(|()| None)?
    } else {
        Some(Seq::new(reader.uint()?))
    };
    let desired = read_revision(reader)?;
    let actual = if reader.is_at_end() {
        None
    } else {
        Some(read_revision(reader)?)
    };
    Ok(Poll {
        hold_s: u16::try_from(hold_s).map_err(|_| Reject::HoldRange)?,
        bundle,
        acked,
        desired,
        actual,
    })
}

fn write_poll(writer: &mut Writer, poll: &Poll) {
    writer
        .uint(u64::from(poll.hold_s))
        .uint(poll.bundle.number());
    match poll.acked {
        Some(acked) => writer.uint(acked.number()),
        None => writer.null(),
    };
    write_revision(writer, poll.desired);
    if let Some(actual) = poll.actual {
        write_revision(writer, actual);
    }
}

fn read_items<'a>(reader: &mut Reader<'a>) -> Result<Vec<Item<'a>>, Reject> {
    let mut items = Vec::new();
    while !reader.is_at_end() {
        reader.array_of(2)?;
        items.push(Item {
            plane: read_plane(reader)?,
            envelope: skip_envelope(reader)?,
        });
    }
    Ok(items)
}

fn write_items(writer: &mut Writer, items: &[Item<'_>]) {
    for item in items {
        writer.array(2);
        write_plane(writer, item.plane);
        writer.raw(item.envelope);
    }
}

fn read_fetch<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    let plane = Plane::from_number(reader.uint()?)?;
    let mut wanted = Vec::new();
    while !reader.is_at_end() {
        reader.array_of(2)?;
        let digest = Digest::from_bytes(reader.bytes_of()?);
        let offset = reader.uint()?;
        //= spec/postern.md#fetch
        //# A fetch MUST ask for 1 to 16 section bodies by digest, each from a byte offset, else
        //# `shape`.
        if wanted.len() == FETCH_DIGESTS_MAX {
            return Err(Reject::Shape);
        }
        wanted.push(Wanted { digest, offset });
    }
    if wanted.is_empty() {
        return Err(Reject::Shape);
    }
    Ok(UpFrame::Fetch { plane, wanted })
}

fn read_chunks<'a>(reader: &mut Reader<'a>) -> Result<Vec<BodyChunk<'a>>, Reject> {
    let mut chunks = Vec::new();
    while !reader.is_at_end() {
        reader.array_of(4)?;
        let chunk = BodyChunk {
            digest: Digest::from_bytes(reader.bytes_of()?),
            size: reader.uint()?,
            offset: reader.uint()?,
            bytes: reader.bytes()?,
        };
        let end = chunk.offset.checked_add(chunk.bytes.len() as u64);
        //= spec/postern.md#bodies
        //# A device MUST refuse a size above 65536 with `section-oversize`.
        if chunk.size > SECTION_BYTES_MAX as u64 {
            return Err(Reject::SectionOversize);
        }
        //= spec/postern.md#bodies
        //# A chunk MUST hold 1 to 32768 bytes of the body from the offset that it names, else
        //# `shape`.
        //= spec/postern.md#bodies
        //# A device MUST refuse an offset plus chunk beyond the size with `shape`.
        let is_within = end.is_some_and(|end| end <= chunk.size)
            && (1..=BODY_CHUNK_BYTES_MAX).contains(&chunk.bytes.len());
        if !is_within {
            return Err(Reject::Shape);
        }
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn read_hints(reader: &mut Reader<'_>) -> Result<Hints, Reject> {
    let entries = reader.map()?;
    //= spec/postern.md#answer
    //# An empty hints map, an unknown hint, a URL outside 1 to 512 bytes or a code outside 1..65535
    //# MUST be refused with `shape`.
    if entries == 0 {
        return Err(Reject::Shape);
    }
    let mut hints = Hints::default();
    let mut order = KeyOrder::new();
    for _ in 0..entries {
        match reader.int_key(&mut order)? {
            //= spec/postern.md#answer
            //# A device MUST treat retry_ms above 3600000 as 3600000 and hold_s_max above 300 as
            //# 300.
            1 => hints.retry_ms = Some(reader.uint()?.min(RETRY_MS_MAX)),
            2 => hints.hold_s_max = Some(reader.uint()?.min(HOLD_S_MAX)),
            3 => {
                let url = reader.text()?;
                if url.is_empty() || url.len() > URL_BYTES_MAX {
                    return Err(Reject::Shape);
                }
                hints.move_url = Some(url.into());
            }
            4 => hints.refused = read_refusals(reader)?,
            _ => return Err(Reject::Shape),
        }
    }
    Ok(hints)
}

fn read_refusals(reader: &mut Reader<'_>) -> Result<Vec<Refusal>, Reject> {
    let count = reader.array()?;
    if count == 0 {
        return Err(Reject::Shape);
    }
    let mut refusals = Vec::new();
    for _ in 0..count {
        reader.array_of(2)?;
        let index = u32::try_from(reader.uint()?).map_err(|_| Reject::Shape)?;
        let code = u16::try_from(reader.uint()?).map_err(|_| Reject::Shape)?;
        if code == 0 {
            return Err(Reject::Shape);
        }
        refusals.push(Refusal { index, code });
    }
    Ok(refusals)
}

fn write_hints(writer: &mut Writer, hints: &Hints) {
    let entries = usize::from(hints.retry_ms.is_some())
        + usize::from(hints.hold_s_max.is_some())
        + usize::from(hints.move_url.is_some())
        + usize::from(!hints.refused.is_empty());
    if entries == 0 {
        return;
    }
    writer.map(entries);
    if let Some(retry_ms) = hints.retry_ms {
        writer.uint(1).uint(retry_ms);
    }
    if let Some(hold_s_max) = hints.hold_s_max {
        writer.uint(2).uint(hold_s_max);
    }
    if let Some(url) = &hints.move_url {
        writer.uint(3).text(url);
    }
    if !hints.refused.is_empty() {
        writer.uint(4).array(hints.refused.len());
        for refusal in &hints.refused {
            writer.array(2).uint(u64::from(refusal.index));
            writer.uint(u64::from(refusal.code));
        }
    }
}
