//! Files of devices that no network reaches: frames in, frames out, as if a mailbox carried them.
//!
//! Nothing that a file brings counts as live: it proves no session. Refuses frames of any type that
//! belongs to a network.

use super::Desk;
use crate::controller::work::Work;
use crate::exit::{CommandError, Exit};
use crate::filed::{Outcome, Row};
use crate::operator::request::Target;
use crate::operator::response::Response;
use base64ct::{Base64, Encoding as _};
use postern_protocol::Reject;
use postern_protocol::controller::{Ack, Controller};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{BodyChunk, Direction, PlainFrame};
use postern_protocol::id::{ChannelId, Plane, Thumbprint};
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::Head;
use postern_relay::mailbox::Chunk;

/// What the engine holds of a device, as far as a file can change it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Mark {
    keys: [Option<Thumbprint>; 2],
    report: Option<Ack>,
    actual: Option<Head>,
    evidence: usize,
    is_behind: bool,
}

impl Mark {
    fn of(engine: &Controller, channel: ChannelId) -> Self {
        let Some(member) = engine.member_of(channel) else {
            return Self::default();
        };
        Self {
            keys: [member.key(), member.next_key()],
            report: member.report().map(|held| held.ack),
            actual: member.actual_head().copied(),
            evidence: member.evidence().len(),
            is_behind: member.is_behind(),
        }
    }
}

impl Desk {
    /// Gives the file of a device.
    pub(super) async fn export(&self, target: Target) -> Result<Response, CommandError> {
        let Target { tenant, device } = target.clone();
        let exported = self.send(|reply| Work::Export {
            tenant,
            device,
            reply,
        });
        match exported.await? {
            Ok(frames) => Ok(Response::Exported {
                frames: frames
                    .iter()
                    .map(|frame| Base64::encode_string(frame))
                    .collect(),
            }),
            Err(Reject::NotAdmitted) => Err(CommandError::new(
                Exit::Refused,
                "not-admitted",
                format!(
                    "{} has not joined: there is nobody to write for",
                    target.device
                ),
                "import the file that `postern device join --to-file` wrote on the device",
            )),
            Err(reject) => Err(super::refused(reject, &target.tenant)),
        }
    }

    /// Takes some frames of a file, in order.
    pub(super) async fn import(
        &self,
        frames: Vec<String>,
        mut missing: usize,
    ) -> Result<Response, CommandError> {
        let mut rows = Vec::new();
        for frame in frames {
            let frame = Base64::decode_vec(&frame).map_err(|_| {
                CommandError::failure(
                    "request-malformed",
                    "a frame is not base64",
                    "use the same version of postern for the controller and for this command",
                )
            })?;
            rows.push(self.import_frame(&frame, &mut missing).await?);
        }
        Ok(Response::Imported { rows, missing })
    }

    async fn import_frame(&self, frame: &[u8], missing: &mut usize) -> Result<Row, CommandError> {
        let row = Row::of(frame);
        Ok(match PlainFrame::decode(frame, Direction::File) {
            Ok(PlainFrame::Posted {
                channel, envelope, ..
            }) => {
                self.import_envelope(row, channel, envelope, missing)
                    .await?
            }
            Ok(PlainFrame::FiledBody {
                channel,
                plane,
                chunk,
            }) => {
                self.import_body(row, (channel, plane), &chunk, missing)
                    .await?
            }
            Ok(PlainFrame::Enrol { .. }) => {
                let frame = frame.to_vec();
                match self.send(|reply| Work::Enrol { frame, reply }).await? {
                    Ok(_answer) => row,
                    Err(reject) => row.refused(reject),
                }
            }
            Ok(
                PlainFrame::Enrolled { .. }
                | PlainFrame::Ask { .. }
                | PlainFrame::Challenge { .. }
                | PlainFrame::Hello { .. }
                | PlainFrame::Welcome { .. }
                | PlainFrame::Refused { .. },
            ) => row.refused(Reject::FrameDirection),
            Err(reject) => row.refused(reject),
        })
    }

    async fn import_envelope(
        &self,
        row: Row,
        channel: ChannelId,
        envelope: &[u8],
        missing: &mut usize,
    ) -> Result<Row, CommandError> {
        let mark = move |engine: &Controller| Mark::of(engine, channel);
        let before = self.read(mark).await?;
        let envelope_owned = envelope.to_vec();
        let posted = self.send(|reply| Work::Posted {
            channel,
            envelope: envelope_owned,
            is_live: false,
            reply,
        });
        let taken = match posted.await? {
            Ok(taken) => taken,
            Err(reject) => return Ok(row.refused(reject)),
        };
        let kind = ReceivedEnvelope::parse(envelope).map(|one| one.unverified_header().kind);
        let is_beat = kind == Ok(MessageKind::Heartbeat);
        let is_wanted = !taken.wanted.is_empty();
        if !is_beat {
            *missing = taken.wanted.len();
        }
        let is_known = !is_beat && !is_wanted && self.read(mark).await? == before;
        Ok(if is_known {
            row.ended(Outcome::Known)
        } else {
            row
        })
    }

    async fn import_body(
        &self,
        row: Row,
        (channel, plane): (ChannelId, Plane),
        chunk: &BodyChunk<'_>,
        missing: &mut usize,
    ) -> Result<Row, CommandError> {
        if *missing == 0 {
            // Nothing waits for a body: what it belongs to was known or refused.
            return Ok(row.ended(Outcome::Known));
        }
        let chunks = vec![Chunk {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: chunk.bytes.to_vec(),
        }];
        let put = self.send(|reply| Work::Put {
            channel,
            plane,
            chunks,
            reply,
        });
        Ok(match put.await? {
            Ok(taken) => {
                *missing = taken.wanted.len();
                row
            }
            Err(reject) => row.refused(reject),
        })
    }
}
