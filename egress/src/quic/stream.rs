//! One exchange on a stream of its own.
//!
//! The deadline runs until the answer begins; what follows is bounded by progress, as over HTTP.
//! Refuses to send half a frame as if it were whole, and to read beyond the bound.

use super::fault::{CloseReason, QuicFault};
use super::link::{DONE, QuicLink};
use crate::client::ExchangeLimits;
use crate::limits::{BODY_BYTES_PER_S_MIN, BODY_PROGRESS};
use bytes::{Bytes, BytesMut};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// A stream that is reset unless the whole frame was given to it.
struct Sending(SendStream);

impl Drop for Sending {
    fn drop(&mut self) {
        // Fails when the stream was finished, or ended from afar.
        let _ended = self.0.reset(DONE);
    }
}

pub(super) async fn exchange(
    link: &QuicLink,
    body: &[u8],
    limits: &ExchangeLimits,
) -> Result<Bytes, QuicFault> {
    let beginning = timeout(limits.deadline, begin(link, body, limits)).await;
    let (_waiting, sending, mut recv, first) =
        beginning.map_err(|_elapsed| QuicFault::Unanswered)??;
    let answer = read(link, &mut recv, first, limits.answer_bytes_max).await;
    drop(sending);
    answer
}

type Begun<'l> = (super::link::Waiting<'l>, Sending, RecvStream, Option<Bytes>);

/// Sends the frame and waits until the answer begins; `None` when it ends at once.
async fn begin<'l>(
    link: &'l QuicLink,
    body: &[u8],
    limits: &ExchangeLimits,
) -> Result<Begun<'l>, QuicFault> {
    //= spec/postern.md#quic-binding
    //# A client MUST send each exchange on a bidirectional stream of its own: the frame, then the
    //# end of the stream.
    let waiting = link.wait();
    let opened = link.connection.open_bi().await;
    let (send, mut recv) = opened.map_err(|error| link.fault(&error))?;
    let mut sending = Sending(send);
    match sending.0.write_all(body).await {
        Ok(()) => {
            let _stopped = sending.0.finish();
        }
        // The server may refuse a frame before it has all of it; its answer says why.
        Err(WriteError::Stopped(_)) => {}
        Err(WriteError::ConnectionLost(error)) => return Err(link.fault(&error)),
        Err(error @ (WriteError::ClosedStream | WriteError::ZeroRttRejected)) => {
            return Err(QuicFault::broken(&error.to_string()));
        }
    }
    let first = piece(link, &mut recv, 0, limits.answer_bytes_max).await?;
    Ok((waiting, sending, recv, first))
}

async fn read(
    link: &QuicLink,
    recv: &mut RecvStream,
    first: Option<Bytes>,
    bytes_max: usize,
) -> Result<Bytes, QuicFault> {
    let mut answer = BytesMut::new();
    let whole_s = u64::try_from(bytes_max).unwrap_or(u64::MAX) / BODY_BYTES_PER_S_MIN;
    let whole = Instant::now() + BODY_PROGRESS + Duration::from_secs(whole_s);
    let mut next = first;
    while let Some(bytes) = next {
        answer.extend_from_slice(&bytes);
        let until = whole.min(Instant::now() + BODY_PROGRESS);
        let piece = timeout_at(until, piece(link, recv, answer.len(), bytes_max)).await;
        next = piece.map_err(|_elapsed| QuicFault::Stalled)??;
    }
    Ok(answer.freeze())
}

/// Reads the next piece of an answer of which `came` bytes are there.
async fn piece(
    link: &QuicLink,
    recv: &mut RecvStream,
    came: usize,
    bytes_max: usize,
) -> Result<Option<Bytes>, QuicFault> {
    // One byte more than may come tells that there is more.
    let wanted = bytes_max.saturating_add(1).saturating_sub(came);
    let chunk = recv.read_chunk(wanted, true).await;
    let chunk = chunk.map_err(|error| match error {
        ReadError::Reset(code) => QuicFault::StreamReset {
            reason: CloseReason::of(code),
        },
        ReadError::ConnectionLost(error) => link.fault(&error),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            QuicFault::broken(&error.to_string())
        }
    })?;
    match chunk {
        Some(chunk) if came.saturating_add(chunk.bytes.len()) > bytes_max => {
            // Fails when the stream has ended: then nothing more comes either.
            let _ended = recv.stop(DONE);
            Err(QuicFault::Oversize { bytes_max })
        }
        Some(chunk) => Ok(Some(chunk.bytes)),
        None => Ok(None),
    }
}
