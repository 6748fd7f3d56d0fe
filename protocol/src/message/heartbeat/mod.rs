//! Heartbeats: where a writer stands, signed now, and the answer to a reader's nonce.
//!
//! Only an echo of an own nonce proves freshness; everything else in a heartbeat may be old.
//! Refuses to be kept: a heartbeat is never stored durably, counted twice or acknowledged.

#[cfg(test)]
mod tests;

use crate::cbor::{Reader, Writer, decode_all};
use crate::id::{Nonce, StartId};
use crate::reject::Reject;
use crate::revision::{Epoch, Revision, Seq};
use alloc::vec::Vec;

/// What a heartbeat says beside its header (spec: #heartbeat).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// The running of the writer's process.
    pub start: StartId,
    /// Milliseconds since that start, of a clock that counts suspension.
    pub uptime_ms: u64,
    /// The head of the other plane as the signer accepted it, or [`Revision::NONE`].
    pub other: Revision,
    /// The nonce of the other side that this heartbeat answers.
    pub echo: Option<Nonce>,
    /// The nonce that the other side shall repeat.
    pub ask: Option<Nonce>,
}

impl Heartbeat {
    /// Encodes the payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .array(6)
            .bytes(self.start.as_bytes())
            .uint(self.uptime_ms)
            .uint(self.other.epoch.number())
            .uint(self.other.seq.number());
        for nonce in [&self.echo, &self.ask] {
            match nonce {
                Some(nonce) => writer.bytes(nonce.as_bytes()),
                None => writer.null(),
            };
        }
        writer.into_bytes()
    }

    /// Reads the payload. # Errors: `shape`, also for a head of which one number is 0; the CBOR reject.
    pub fn decode(payload: &[u8]) -> Result<Self, Reject> {
        decode_all(payload, |reader| {
            reader.array_of(6)?;
            let start = StartId::from_bytes(reader.bytes_of()?);
            let uptime_ms = reader.uint()?;
            let (epoch, seq) = (reader.uint()?, reader.uint()?);
            //= spec/freshness.md#heartbeat
            //# The head of the other plane MUST NOT have only one of epoch and seq 0, else `shape`.
            if (epoch == 0) != (seq == 0) {
                return Err(Reject::Shape);
            }
            Ok(Self {
                start,
                uptime_ms,
                other: Revision::new(Epoch::new(epoch), Seq::new(seq)),
                echo: read_nonce(reader)?,
                ask: read_nonce(reader)?,
            })
        })
    }
}

fn read_nonce(reader: &mut Reader<'_>) -> Result<Option<Nonce>, Reject> {
    reader.optional(|reader| reader.bytes_of().map(Nonce::from_bytes))
}
