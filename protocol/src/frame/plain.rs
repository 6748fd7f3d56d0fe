//! Frames outside sessions: enrolment, the three steps of a hello, refusals, files.
//!
//! Nothing in them is believed because it arrived: each envelope is verified by its own rules,
//! and a `refused` only ever slows a client down. Refuses session frames.

use super::chunk::{BodyChunk, read_chunk, write_chunk};
use super::{Direction, FrameType, check_size, decode_sequence, first_cbor_reject, frame_type};
use crate::cbor::{Kind, Reader, Writer};
use crate::envelope::{TAG_SIGN1, skip_envelope};
use crate::id::{Challenge, ChannelId, Plane, Thumbprint, TokenId};
use crate::limits::RETRY_MS_MAX;
use crate::reject::Reject;
use crate::revision::BundleNumber;
use alloc::vec::Vec;

/// The version that an ask names (spec: #frames).
const PROTOCOL_VERSION: u64 = 1;

/// A frame without a session; envelopes in it are not verified (spec: #frames).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainFrame<'a> {
    /// A new device key asks to be enrolled.
    Enrol {
        /// The invitation.
        token: TokenId,
        /// Proves the invitation's secret over the request's message id.
        mac: [u8; 32],
        /// The enrol-request envelope.
        request: &'a [u8],
    },
    /// The controller confirms an enrolment.
    Enrolled {
        /// Bundle envelopes, ascending, at least one.
        bundles: Vec<&'a [u8]>,
        /// The enrol-answer envelope.
        answer: &'a [u8],
    },
    /// Asks for a challenge in version 1.
    Ask {
        /// The bundle that the asker holds, at least 1; `None` when it does not say.
        bundle: Option<BundleNumber>,
    },
    /// The mailbox's challenge, unsigned until the welcome repeats it in its transcript.
    Challenge {
        /// What the device must sign.
        challenge: Challenge,
        /// The mailbox's X25519 public key.
        ephemeral: [u8; 32],
        /// The mailbox's claimed identity.
        mailbox: Thumbprint,
    },
    /// The device proves its key.
    Hello {
        /// Selects the channel.
        channel: ChannelId,
        /// The session-hello envelope.
        hello: &'a [u8],
    },
    /// The mailbox proves its key.
    Welcome {
        /// The session-welcome envelope.
        welcome: &'a [u8],
    },
    /// An unsigned, advisory refusal.
    Refused {
        /// A reject's code, 1..=65535, perhaps of a newer registry than ours.
        code: u16,
        /// When to try again, clamped to `RETRY_MS_MAX`.
        retry_ms: Option<u64>,
    },
    /// One envelope in a file.
    Posted {
        /// Selects the channel.
        channel: ChannelId,
        /// The plane that the envelope is about.
        plane: Option<Plane>,
        /// The envelope, without the tag that it has in the file.
        envelope: &'a [u8],
    },
    /// A piece of a section body in a file, unsigned like every body.
    FiledBody {
        /// Selects the channel.
        channel: ChannelId,
        /// The plane whose state the body belongs to.
        plane: Plane,
        /// The piece.
        chunk: BodyChunk<'a>,
    },
}

impl<'a> PlainFrame<'a> {
    /// Reads a frame that travelled in `direction`.
    ///
    /// # Errors
    /// `oversize`, `frame-unknown`, `frame-direction`, a CBOR reject, `shape` (also for a session frame).
    pub fn decode(bytes: &'a [u8], direction: Direction) -> Result<Self, Reject> {
        let found = frame_type(bytes)?;
        found.check_direction(direction)?;
        let body = bytes.get(1..).unwrap_or_default();
        match found {
            FrameType::Enrol => decode_sequence(body, read_enrol),
            FrameType::Enrolled => decode_sequence(body, read_enrolled),
            FrameType::Ask => decode_sequence(body, read_ask),
            FrameType::Challenge => decode_sequence(body, read_challenge),
            FrameType::Hello => decode_sequence(body, read_hello),
            FrameType::Welcome => decode_sequence(body, |reader| {
                skip_envelope(reader).map(|welcome| Self::Welcome { welcome })
            }),
            FrameType::Refused => decode_sequence(body, read_refused),
            FrameType::Posted => read_posted(body),
            FrameType::FiledBody => decode_sequence(body, read_filed_body),
            FrameType::Poll
            | FrameType::Answer
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Bodies
            | FrameType::Put
            | FrameType::Collect
            | FrameType::Collected
            | FrameType::Deliver
            | FrameType::DeliverBodies
            | FrameType::FetchBodies
            | FrameType::DeliverEnrolled
            | FrameType::Stream
            | FrameType::StreamAnswer => Err(Reject::Shape),
        }
    }

    /// Returns the type byte's meaning.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Enrol { .. } => FrameType::Enrol,
            Self::Enrolled { .. } => FrameType::Enrolled,
            Self::Ask { .. } => FrameType::Ask,
            Self::Challenge { .. } => FrameType::Challenge,
            Self::Hello { .. } => FrameType::Hello,
            Self::Welcome { .. } => FrameType::Welcome,
            Self::Refused { .. } => FrameType::Refused,
            Self::Posted { .. } => FrameType::Posted,
            Self::FiledBody { .. } => FrameType::FiledBody,
        }
    }

    /// Writes the frame. # Errors: `oversize`.
    pub fn encode(&self) -> Result<Vec<u8>, Reject> {
        let mut writer = Writer::new();
        writer.raw(&[self.frame_type().number()]);
        match self {
            Self::Enrol {
                token,
                mac,
                request,
            } => writer.bytes(token.as_bytes()).bytes(mac).raw(request),
            Self::Enrolled { bundles, answer } => {
                writer.array(bundles.len());
                bundles.iter().for_each(|bundle| {
                    writer.raw(bundle);
                });
                writer.raw(answer)
            }
            Self::Ask { bundle } => {
                writer.uint(PROTOCOL_VERSION);
                if let Some(bundle) = bundle {
                    writer.uint(bundle.number());
                }
                &mut writer
            }
            Self::Challenge {
                challenge,
                ephemeral,
                mailbox,
            } => writer
                .bytes(challenge.as_bytes())
                .bytes(ephemeral)
                .bytes(mailbox.as_bytes()),
            Self::Hello { channel, hello } => writer.bytes(channel.as_bytes()).raw(hello),
            Self::Welcome { welcome } => writer.raw(welcome),
            Self::Refused { code, retry_ms } => {
                writer.uint(u64::from(*code));
                if let Some(retry_ms) = retry_ms {
                    writer.uint(*retry_ms);
                }
                &mut writer
            }
            Self::Posted {
                channel,
                plane,
                envelope,
            } => {
                writer.bytes(channel.as_bytes());
                write_plane(&mut writer, *plane);
                writer.raw(&[TAG_SIGN1]).raw(envelope)
            }
            Self::FiledBody {
                channel,
                plane,
                chunk,
            } => {
                writer.bytes(channel.as_bytes()).uint(plane.number());
                write_chunk(&mut writer, chunk)
            }
        };
        check_size(writer.into_bytes())
    }
}

/// Reads a plane's number or null.
pub(super) fn read_plane(reader: &mut Reader<'_>) -> Result<Option<Plane>, Reject> {
    if reader.peek()? == Kind::Null {
        return reader.null().map(|()| None);
    }
    Plane::from_number(reader.uint()?).map(Some)
}

/// Writes a plane's number or null.
pub(super) fn write_plane(writer: &mut Writer, plane: Option<Plane>) {
    match plane {
        Some(plane) => writer.uint(plane.number()),
        None => writer.null(),
    };
}

fn read_enrol<'a>(reader: &mut Reader<'a>) -> Result<PlainFrame<'a>, Reject> {
    Ok(PlainFrame::Enrol {
        token: TokenId::from_bytes(reader.bytes_of()?),
        mac: reader.bytes_of()?,
        request: skip_envelope(reader)?,
    })
}

fn read_enrolled<'a>(reader: &mut Reader<'a>) -> Result<PlainFrame<'a>, Reject> {
    let count = reader.array()?;
    if count == 0 {
        return Err(Reject::Shape);
    }
    let bundles = (0..count)
        .map(|_| skip_envelope(reader))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(PlainFrame::Enrolled {
        bundles,
        answer: skip_envelope(reader)?,
    })
}

fn read_ask<'a>(reader: &mut Reader<'a>) -> Result<PlainFrame<'a>, Reject> {
    if reader.uint()? != PROTOCOL_VERSION {
        return Err(Reject::Shape);
    }
    if reader.is_at_end() {
        return Ok(PlainFrame::Ask { bundle: None });
    }
    match reader.uint()? {
        0 => Err(Reject::Shape),
        number => Ok(PlainFrame::Ask {
            bundle: Some(BundleNumber::new(number)),
        }),
    }
}

fn read_challenge<'a>(reader: &mut Reader<'a>) -> Result<PlainFrame<'a>, Reject> {
    Ok(PlainFrame::Challenge {
        challenge: Challenge::from_bytes(reader.bytes_of()?),
        ephemeral: reader.bytes_of()?,
        mailbox: Thumbprint::from_bytes(reader.bytes_of()?),
    })
}

fn read_hello<'a>(reader: &mut Reader<'a>) -> Result<PlainFrame<'a>, Reject> {
    Ok(PlainFrame::Hello {
        channel: ChannelId::from_bytes(reader.bytes_of()?),
        hello: skip_envelope(reader)?,
    })
}

fn read_refused<'a>(reader: &mut Reader<'a>) -> Result<PlainFrame<'a>, Reject> {
    let code = u16::try_from(reader.uint()?).map_err(|_| Reject::Shape)?;
    if code == 0 {
        return Err(Reject::Shape);
    }
    let retry_ms = if reader.is_at_end() {
        None
    } else {
        Some(reader.uint()?.min(RETRY_MS_MAX))
    };
    Ok(PlainFrame::Refused { code, retry_ms })
}

fn read_filed_body<'a>(reader: &mut Reader<'a>) -> Result<PlainFrame<'a>, Reject> {
    Ok(PlainFrame::FiledBody {
        channel: ChannelId::from_bytes(reader.bytes_of()?),
        plane: Plane::from_number(reader.uint()?)?,
        chunk: read_chunk(reader)?,
    })
}

/// Splits the fixed head from the envelope, which alone in all frames carries its tag.
fn read_posted(body: &[u8]) -> Result<PlainFrame<'_>, Reject> {
    let (head, rest) = split_posted(body)?;
    let untagged = match rest.split_first() {
        //= spec/postern.md#envelope
        //# An envelope MUST carry tag 18 in a posted frame and a vector, else `shape`; the tag is
        //# stripped before the strict decoder runs.
        Some((&TAG_SIGN1, untagged)) => Some(untagged),
        Some(_) => None,
        None => return Err(Reject::CborTruncated),
    };
    // Every item is in the profile before the first is judged.
    if let Some(reject) = first_cbor_reject(untagged.unwrap_or(rest)) {
        return Err(reject);
    }
    let (channel, plane) = decode_sequence(head, |reader| {
        let channel = ChannelId::from_bytes(reader.bytes_of()?);
        Ok((channel, read_plane(reader)?))
    })?;
    let envelope = decode_sequence(untagged.ok_or(Reject::Shape)?, skip_envelope)?;
    Ok(PlainFrame::Posted {
        channel,
        plane,
        envelope,
    })
}

/// Cuts a body behind its second item. # Errors: a CBOR reject.
fn split_posted(body: &[u8]) -> Result<(&[u8], &[u8]), Reject> {
    let mut reader = Reader::new(body);
    reader.item()?;
    reader.item()?;
    body.split_at_checked(reader.position())
        .ok_or(Reject::CborTruncated)
}
