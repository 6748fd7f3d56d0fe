//! One exchange: the frame up to the end of the stream, and a frame back on the same stream.
//!
//! Whatever can be said is said in Postern, refusals included. Refuses to read beyond a frame, to
//! wait for a trickle, and to work for a peer that stopped listening.

use super::connection::QuicError;
use crate::budget::Pool;
use crate::limits::RETRY_MS_BASE;
use crate::metrics::HttpRefusal;
use crate::server::clock::{after_ms, now};
use crate::server::events::Event;
use crate::server::gates::TooMany;
use crate::server::http::{Service, body_deadline};
use crate::server::link::Link;
use crate::server::random;
use postern_protocol::Reject;
use postern_protocol::frame::{FrameType, frame_type};
use postern_protocol::limits::FRAME_BYTES_MAX;
use quinn::{RecvStream, SendStream};
use std::sync::Arc;

/// Why there is no frame to answer.
enum Unread {
    /// It is refused by name.
    Refused(Reject),
    /// It came too slowly, or broke off.
    Broken,
}

/// Serves one stream.
pub(super) async fn serve(
    service: &Service,
    link: &Arc<Link>,
    mut send: SendStream,
    mut recv: RecvStream,
) {
    let answerer = &service.answerer;
    let answer = match answerer.admit(link.source()) {
        Err(too_many) => too_many_answer(service, link, too_many).into(),
        Ok(()) => match read(service, &mut recv).await {
            //= spec/postern.md#quic-binding
            //# A server MUST refuse a stream over QUIC with `frame-unknown`.
            Ok(frame) if frame_type(&frame) == Ok(FrameType::Stream) => answerer
                .refuse_unread(link.source(), Reject::FrameUnknown, None)
                .into(),
            Ok(frame) => {
                let answering = answerer.answer(link, frame);
                let answered = tokio::select! {
                    answered = answering => answered,
                    // Nobody listens any more: a held poll gives its place back.
                    _ = send.stopped() => return,
                };
                answered.unwrap_or_else(|too_many| too_many_answer(service, link, too_many).into())
            }
            Err(Unread::Refused(reject)) => {
                let is_passing = reject == Reject::Overloaded;
                let retry_ms = is_passing.then(|| random::retry_ms(RETRY_MS_BASE));
                answerer
                    .refuse_unread(link.source(), reject, retry_ms)
                    .into()
            }
            Err(Unread::Broken) => {
                let (reason, source) = (HttpRefusal::BodyBroken, link.source());
                answerer.mailbox.tell(Event::HttpRefused { reason, source });
                // Either fails only when the peer has ended the stream already.
                let _ = recv.stop(QuicError::Slow.code());
                let _ = send.reset(QuicError::Slow.code());
                return;
            }
        },
    };
    // What was not read is not wanted.
    let _ = recv.stop(QuicError::Done.code());
    //= spec/postern.md#quic-binding
    //# A server MUST answer each exchange on its stream with one frame and the end of the stream,
    //# refusals included.
    let sent = async {
        send.write_chunk(answerer.queued(answer)).await.ok()?;
        send.finish().ok()?;
        // Until the peer has it: whoever closes the connection after us would throw it away.
        send.stopped().await.ok()
    };
    let deadline = after_ms(service.limits.body_ms_max);
    if tokio::time::timeout_at(deadline, sent).await.is_err() {
        let _ = send.reset(QuicError::Slow.code());
    }
}

//= spec/postern.md#quic-binding
//# A server that is asked too much MUST answer with frame 22, `overloaded` and retry_ms.
fn too_many_answer(service: &Service, link: &Link, too_many: TooMany) -> Vec<u8> {
    let retry_ms = random::retry_ms(too_many.retry_ms.max(RETRY_MS_BASE));
    let answerer = &service.answerer;
    answerer.refuse_unread(link.source(), Reject::Overloaded, Some(retry_ms))
}

/// Reads a whole frame, as long as it keeps coming.
async fn read(service: &Service, recv: &mut RecvStream) -> Result<Vec<u8>, Unread> {
    let started = now();
    let mut frame = Vec::new();
    let mut room = None;
    loop {
        let deadline = body_deadline(started, frame.len(), &service.limits);
        // One byte more than may come tells that there is more.
        let wanted = (FRAME_BYTES_MAX + 1).saturating_sub(frame.len());
        let next = tokio::time::timeout_at(deadline, recv.read_chunk(wanted, true)).await;
        let next = next.map_err(|_| Unread::Broken)?;
        let Some(chunk) = next.map_err(|_| Unread::Broken)? else {
            return Ok(frame);
        };
        //= spec/postern.md#quic-binding
        //# A server MUST refuse a request with `oversize` as soon as more than 49152 bytes of it
        //# came.
        if frame.len().saturating_add(chunk.bytes.len()) > FRAME_BYTES_MAX {
            return Err(Unread::Refused(Reject::Oversize));
        }
        if !take_room(service, chunk.bytes.len(), &mut room) {
            return Err(Unread::Refused(Reject::Overloaded));
        }
        frame.extend_from_slice(&chunk.bytes);
    }
}

fn take_room(service: &Service, bytes: usize, room: &mut Option<crate::budget::Reserved>) -> bool {
    match room {
        Some(room) => room.grow(bytes),
        None => {
            *room = service.answerer.budget.take(Pool::Bodies, bytes);
            room.is_some()
        }
    }
}
