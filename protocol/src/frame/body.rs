//! What session frames say, once their tag has verified.
//!
//! Bodies travel in pieces, unsigned: down when they were fetched, up when they are wanted.
//! Refuses empty forms that would give one meaning two encodings.

use super::chunk::{BodyChunk, Wanted, read_chunks, read_fetch_list, write_chunks, write_wanted};
use super::hints::{Hints, read_hints, write_hints};
use super::plain::{read_plane, write_plane};
use super::stream::{Stream, StreamAnswer};
use super::writer::{self, Collect, Collected, Delivery};
use super::{FrameType, decode_sequence};
use crate::cbor::{Kind, Reader, Writer};
use crate::envelope::skip_envelope;
use crate::id::{ChannelId, Plane};
use crate::kind::Role;
use crate::limits::{FETCH_DIGESTS_MAX, HOLD_S_MAX};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Knock, ReceiptNumber, Revision, Seq, StoreEpoch};
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
    /// The receipt that this session gave last, until a poll that names it is answered.
    pub receipt: Option<ReceiptNumber>,
}

/// One envelope on its way (spec: #frames). Not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The plane that it is about, if it is about one.
    pub plane: Option<Plane>,
    /// The COSE_Sign1.
    pub envelope: &'a [u8],
}

/// The answer to a poll, post, need or put (spec: #answer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer<'a> {
    /// What the mailbox asks.
    pub hints: Hints,
    /// What is newer.
    pub items: Vec<Item<'a>>,
}

impl<'a> Answer<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Reject> {
        let hints = read_any_hints(reader)?;
        let items = read_items(reader)?;
        Ok(Self { hints, items })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        write_hints(writer, &self.hints);
        write_items(writer, &self.items);
    }
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
    /// Brings pieces of section bodies that the other side wants, at least one.
    Put {
        /// The plane.
        plane: Plane,
        /// The pieces.
        chunks: Vec<BodyChunk<'a>>,
    },
    /// Asks what is newer from now on.
    Stream(Stream),
    /// Asks for what devices posted.
    Collect(Collect),
    /// Brings envelopes for many channels, at least one.
    Deliver(Vec<Delivery<'a>>),
    /// Brings pieces of section bodies of one channel, at least one.
    DeliverBodies {
        /// Selects the channel.
        channel: ChannelId,
        /// The plane.
        plane: Plane,
        /// The pieces.
        chunks: Vec<BodyChunk<'a>>,
    },
    /// Asks for 1..=16 section bodies of one channel.
    FetchBodies {
        /// Selects the channel.
        channel: ChannelId,
        /// The plane.
        plane: Plane,
        /// The bodies.
        wanted: Vec<Wanted>,
    },
    /// Brings the answer to an enrolment that the mailbox holds.
    DeliverEnrolled {
        /// What the mailbox called it.
        knock: Knock,
        /// The enrolled or refused frame, type byte included.
        enrolled: &'a [u8],
    },
}

/// An answer within a session (spec: #frames).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownFrame<'a> {
    /// To a poll, post, need or put.
    Answer(Answer<'a>),
    /// To a fetch; a digest that is not held is absent.
    Bodies(Vec<BodyChunk<'a>>),
    /// To a collect.
    Collected(Collected<'a>),
    /// To a stream, one of many.
    StreamAnswer(StreamAnswer<'a>),
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
            Self::Put { .. } => FrameType::Put,
            Self::Stream(_) => FrameType::Stream,
            Self::Collect(_) => FrameType::Collect,
            Self::Deliver(_) => FrameType::Deliver,
            Self::DeliverBodies { .. } => FrameType::DeliverBodies,
            Self::FetchBodies { .. } => FrameType::FetchBodies,
            Self::DeliverEnrolled { .. } => FrameType::DeliverEnrolled,
        }
    }

    /// Checks that whoever opened the session may send this. # Errors: `session-role`.
    pub const fn check_greeter(&self, greeter: Role) -> Result<(), Reject> {
        let is_of_device = match self {
            Self::Poll(_)
            | Self::Post(_)
            | Self::Need { .. }
            | Self::Fetch { .. }
            | Self::Put { .. }
            | Self::Stream(_) => true,
            Self::Collect(_)
            | Self::Deliver(_)
            | Self::DeliverBodies { .. }
            | Self::FetchBodies { .. }
            | Self::DeliverEnrolled { .. } => false,
        };
        //= spec/relays.md#writer-sessions
        //# A mailbox MUST refuse with `session-role` frames 7 to 12 in a session that a device opened, and
        //# frames 0 to 6 and 13 in any other.
        if is_of_device == matches!(greeter, Role::Device) {
            Ok(())
        } else {
            Err(Reject::SessionRole)
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
            FrameType::Put => decode_sequence(body, read_put),
            FrameType::Stream => decode_sequence(body, Stream::read).map(Self::Stream),
            FrameType::Collect => decode_sequence(body, writer::read_collect).map(Self::Collect),
            FrameType::Deliver => decode_sequence(body, writer::read_deliver),
            FrameType::DeliverBodies => decode_sequence(body, writer::read_deliver_bodies),
            FrameType::FetchBodies => decode_sequence(body, writer::read_fetch_bodies),
            FrameType::DeliverEnrolled => decode_sequence(body, writer::read_deliver_enrolled),
            FrameType::Answer
            | FrameType::Bodies
            | FrameType::Collected
            | FrameType::StreamAnswer
            | FrameType::FiledBody
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
            Self::Stream(stream) => return stream.check(),
            Self::Collect(collect) => return writer::check_collect(collect),
            Self::Deliver(deliveries) => (!deliveries.is_empty(), Reject::Shape),
            Self::DeliverEnrolled { .. } => (true, Reject::Shape),
            Self::Fetch { wanted, .. } | Self::FetchBodies { wanted, .. } => {
                let is_right = (1..=FETCH_DIGESTS_MAX).contains(&wanted.len());
                (is_right, Reject::Shape)
            }
            Self::Put { chunks, .. } | Self::DeliverBodies { chunks, .. } => {
                (!chunks.is_empty(), Reject::Shape)
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
                wanted.iter().for_each(|one| write_wanted(writer, one));
            }
            Self::Put { plane, chunks } => {
                writer.uint(plane.number());
                write_chunks(writer, chunks);
            }
            Self::Stream(stream) => stream.write(writer),
            Self::Collect(collect) => writer::write_collect(writer, collect),
            Self::Deliver(deliveries) => writer::write_deliver(writer, deliveries),
            Self::DeliverBodies {
                channel,
                plane,
                chunks,
            } => writer::write_deliver_bodies(writer, *channel, *plane, chunks),
            Self::FetchBodies {
                channel,
                plane,
                wanted,
            } => {
                writer::write_place(writer, *channel, *plane);
                wanted.iter().for_each(|one| write_wanted(writer, one));
            }
            Self::DeliverEnrolled { knock, enrolled } => {
                writer.uint(knock.number()).bytes(enrolled);
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
            Self::Collected(_) => FrameType::Collected,
            Self::StreamAnswer(_) => FrameType::StreamAnswer,
        }
    }

    /// Reads what follows the counter. # Errors: CBOR rejects, `shape`.
    pub(super) fn decode(frame_type: FrameType, body: &'a [u8]) -> Result<Self, Reject> {
        match frame_type {
            FrameType::Answer => decode_sequence(body, Answer::read).map(Self::Answer),
            FrameType::StreamAnswer => {
                decode_sequence(body, StreamAnswer::read).map(Self::StreamAnswer)
            }
            FrameType::Bodies => decode_sequence(body, read_chunks).map(Self::Bodies),
            FrameType::Collected => decode_sequence(body, |reader| {
                let hints = read_any_hints(reader)?;
                writer::read_collected(reader, hints).map(Self::Collected)
            }),
            FrameType::Poll
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Put
            | FrameType::Collect
            | FrameType::Deliver
            | FrameType::DeliverBodies
            | FrameType::FetchBodies
            | FrameType::DeliverEnrolled
            | FrameType::Stream
            | FrameType::FiledBody
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
            Self::Answer(answer) => answer.write(writer),
            Self::StreamAnswer(answer) => answer.write(writer),
            Self::Bodies(chunks) => write_chunks(writer, chunks),
            Self::Collected(collected) => {
                write_hints(writer, &collected.hints);
                writer::write_collected(writer, collected);
            }
        }
    }
}

/// Reads the hints where there are some.
fn read_any_hints(reader: &mut Reader<'_>) -> Result<Hints, Reject> {
    if !reader.is_at_end() && reader.peek()? == Kind::Map {
        read_hints(reader)
    } else {
        Ok(Hints::default())
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
    Ok(Poll {
        hold_s: u16::try_from(hold_s).map_err(|_| Reject::HoldRange)?,
        ..read_heads(reader)?
    })
}

/// Reads what a poll and a stream have in common; the hold is 0.
pub(super) fn read_heads(reader: &mut Reader<'_>) -> Result<Poll, Reject> {
    let bundle = BundleNumber::new(reader.uint()?);
    let acked = if reader.peek()? == Kind::Null {
        reader.null().map(|()| None)?
    } else {
        Some(Seq::new(reader.uint()?))
    };
    let desired = read_revision(reader)?;
    let actual = if reader.is_at_end() || reader.peek()? == Kind::Array {
        None
    } else {
        Some(read_revision(reader)?)
    };
    let receipt = if !reader.is_at_end() && reader.peek()? == Kind::Array {
        Some(read_receipt_number(reader)?)
    } else {
        None
    };
    Ok(Poll {
        hold_s: 0,
        bundle,
        acked,
        desired,
        actual,
        receipt,
    })
}

fn read_receipt_number(reader: &mut Reader<'_>) -> Result<ReceiptNumber, Reject> {
    reader.array_of(2)?;
    let (store, number) = (reader.uint()?, reader.uint()?);
    //= spec/postern.md#poll
    //# The store epoch and the number of a receipt in a poll MUST be at least 1, else `shape`.
    if store == 0 || number == 0 {
        return Err(Reject::Shape);
    }
    Ok(ReceiptNumber {
        store: StoreEpoch::new(store),
        number: Seq::new(number),
    })
}

fn write_poll(writer: &mut Writer, poll: &Poll) {
    writer.uint(u64::from(poll.hold_s));
    write_heads(writer, poll);
}

/// Writes what a poll and a stream have in common.
pub(super) fn write_heads(writer: &mut Writer, poll: &Poll) {
    writer.uint(poll.bundle.number());
    match poll.acked {
        Some(acked) => writer.uint(acked.number()),
        None => writer.null(),
    };
    write_revision(writer, poll.desired);
    if let Some(actual) = poll.actual {
        write_revision(writer, actual);
    }
    if let Some(receipt) = poll.receipt {
        writer
            .array(2)
            .uint(receipt.store.number())
            .uint(receipt.number.number());
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
    let wanted = read_fetch_list(reader)?;
    Ok(UpFrame::Fetch { plane, wanted })
}

fn read_put<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    let plane = Plane::from_number(reader.uint()?)?;
    let chunks = read_chunks(reader)?;
    //= spec/postern.md#bodies
    //# A put MUST bring at least one chunk, else `shape`.
    if chunks.is_empty() {
        return Err(Reject::Shape);
    }
    Ok(UpFrame::Put { plane, chunks })
}
