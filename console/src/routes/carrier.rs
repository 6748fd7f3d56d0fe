//! One request on one way: an exchange of the one in use, a probe of a better one, a question for the time.
//!
//! Each holds its client, so that it may run beside the loop that owns the routes. Refuses to send twice: what an end
//! means is decided by the routes.

use super::WayId;
use super::contest::ask_limits;
use postern_egress::clock::Moment;
use postern_egress::{Client, ExchangeLimits, LinkReport, TransportError};
use postern_protocol::limits::FRAME_BYTES_MAX;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for an exchange that is not held. Arbitrary, above a slow proxy's round trip.
pub(super) const EXCHANGE_DEADLINE: Duration = Duration::from_secs(20);
/// A better way that is asked whether it leads to a mailbox again.
pub struct Probe {
    /// The way.
    pub way: WayId,
    pub(super) client: Arc<Client>,
    pub(super) ask: Vec<u8>,
}

/// A way whose certificate is not valid by the time that is believed here.
pub struct TimeAsk {
    pub(super) client: Arc<Client>,
}

/// One exchange on the way in use.
pub struct Carrier {
    pub(super) client: Arc<Client>,
    pub(super) limits: ExchangeLimits,
    /// What is sent, and where.
    pub sent: Sent,
}

/// What an exchange says about the sizes of its way, once it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Which way carries it.
    pub way: WayId,
    /// Bytes of the frame.
    pub(super) up_bytes: usize,
    /// Bytes of the answer, where they follow from what the frame asks for, else 0.
    pub(super) asked_bytes: usize,
    /// When it began.
    pub(super) begun: Moment,
    /// Whether the mailbox was to hold it.
    pub(super) is_held: bool,
}

/// What an exchange brought.
#[derive(Debug)]
pub struct Brought {
    /// The body.
    pub body: Vec<u8>,
    /// Time from sending the request to the end of the answer.
    pub age: Duration,
    /// The connection that carried it.
    pub link: Arc<LinkReport>,
}

/// The bodies that a way carries, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Largest request.
    pub up_bytes_max: usize,
    /// Largest answer to ask for; 0 when not even the smallest useful one passes.
    pub down_bytes_max: usize,
}

impl TimeAsk {
    /// Sends a frame over a connection of its own whose certificate's period is relaxed. Nothing but the time may be
    /// taken from the body that comes back.
    ///
    /// # Errors
    /// [`TransportError`] with code, hop and next step.
    pub async fn carry(&self, frame: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let limits = ExchangeLimits {
            deadline: EXCHANGE_DEADLINE,
            answer_bytes_max: FRAME_BYTES_MAX,
        };
        let answer = self.client.exchange_for_time(frame.into(), limits).await?;
        Ok(answer.body.to_vec())
    }

    /// Finds out whether everything is right on this way at a time that was stated, in seconds since 1970.
    ///
    /// # Errors
    /// [`TransportError`]: the time must not be taken.
    pub async fn prove(&self, unix_s: u64) -> Result<(), TransportError> {
        self.client.prove_time(unix_s).await
    }
}

impl Probe {
    /// Sends the ask and brings back the body.
    ///
    /// # Errors
    /// The code of the failure.
    pub async fn ask(&self) -> Result<Vec<u8>, &'static str> {
        let ask = self.ask.clone();
        let answer = self.client.exchange(ask.into(), ask_limits()).await;
        let answer = answer.map_err(|error| error.code())?;
        Ok(answer.body.to_vec())
    }
}

impl Carrier {
    /// Sends a frame and brings back the body.
    ///
    /// # Errors
    /// [`TransportError`] with code, hop and next step.
    pub async fn carry(&self, frame: Vec<u8>) -> Result<Brought, TransportError> {
        let answer = self.client.exchange(frame.into(), self.limits).await?;
        Ok(Brought {
            body: answer.body.to_vec(),
            age: answer.age,
            link: answer.link,
        })
    }
}
