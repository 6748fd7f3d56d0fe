//! The bodies of responses: one frame, or the answers of a stream as they come.
//!
//! Refuses to know what stands in them.

use super::activity::InFlight;
use super::stream::Rest;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body on its way out.
pub(super) enum ServedBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// Piece by piece, until whoever makes them ends it.
    Stream {
        first: Option<Bytes>,
        rest: Rest,
        /// Its request is under way as long as it lasts.
        in_flight: Option<InFlight>,
    },
}

impl ServedBody {
    /// Counts the request as under way until the last piece is out.
    pub(super) fn under_way(self, counted: InFlight) -> Self {
        match self {
            Self::Whole(body) => Self::Whole(body),
            Self::Stream { first, rest, .. } => Self::Stream {
                first,
                rest,
                in_flight: Some(counted),
            },
        }
    }
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Stream {
                first,
                rest,
                in_flight,
            } => {
                if let Some(bytes) = first.take() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                let next = rest.0.poll_recv(context);
                if let Poll::Ready(None) = next {
                    in_flight.take();
                }
                next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}
