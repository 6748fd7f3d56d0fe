//! What is asked beside the session: a better way whether it is there again, a mailbox what time it is.
//!
//! Refuses to let such an answer count for more than that.

use super::EXCHANGE_DEADLINE;
use super::contest::ask_limits;
use postern_egress::ladder::WayId;
use postern_egress::{Client, ExchangeLimits, TransportError};
use postern_protocol::limits::FRAME_BYTES_MAX;
use std::sync::Arc;

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
