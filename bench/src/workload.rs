//! The work whose instructions are counted: prepared once, done as often as asked.
//!
//! Refuses to count what failed: each result is checked.

use crate::error::BenchError;
use crate::fixture::{self, Delivery, Size};
use clap::ValueEnum;
use ed25519_dalek::{Signature, VerifyingKey};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::message::PlaneMessage;
use postern_protocol::state::DeltaView;
use std::hint::black_box;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// The bare signature check of the small envelope.
    RawSmall,
    /// The bare signature check of the middle envelope.
    RawMiddle,
    /// The bare signature check of the large envelope.
    RawLarge,
    /// All of receiving the small envelope.
    FullSmall,
    /// All of receiving the middle envelope.
    FullMiddle,
    /// All of receiving the large envelope.
    FullLarge,
    /// Applying a delta of one key and comparing the digest.
    Apply,
}

impl Workload {
    /// The bare signature check of an envelope of this size.
    pub const fn raw(size: Size) -> Self {
        match size {
            Size::Small => Self::RawSmall,
            Size::Middle => Self::RawMiddle,
            Size::Large => Self::RawLarge,
        }
    }

    /// All of receiving an envelope of this size.
    pub const fn full(size: Size) -> Self {
        match size {
            Size::Small => Self::FullSmall,
            Size::Middle => Self::FullMiddle,
            Size::Large => Self::FullLarge,
        }
    }

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RawSmall => "raw-small",
            Self::RawMiddle => "raw-middle",
            Self::RawLarge => "raw-large",
            Self::FullSmall => "full-small",
            Self::FullMiddle => "full-middle",
            Self::FullLarge => "full-large",
            Self::Apply => "apply",
        }
    }
}

/// Prepares a workload and does it `iterations` times.
///
/// # Errors
/// When the work does not succeed.
pub fn repeat(workload: Workload, iterations: u32) -> Result<(), BenchError> {
    match workload {
        Workload::RawSmall => repeat_raw(&Size::Small.build()?, iterations),
        Workload::RawMiddle => repeat_raw(&Size::Middle.build()?, iterations),
        Workload::RawLarge => repeat_raw(&Size::Large.build()?, iterations),
        Workload::FullSmall => repeat_full(&Size::Small.build()?, iterations),
        Workload::FullMiddle => repeat_full(&Size::Middle.build()?, iterations),
        Workload::FullLarge => repeat_full(&Size::Large.build()?, iterations),
        Workload::Apply => repeat_apply(iterations),
    }
}

fn repeat_raw(delivery: &Delivery, iterations: u32) -> Result<(), BenchError> {
    let key = VerifyingKey::try_from(delivery.key.as_bytes()).map_err(|_| BenchError::Signature)?;
    let signature = Signature::from_bytes(&delivery.signature);
    for _ in 0..iterations {
        key.verify_strict(black_box(&delivery.to_be_signed), black_box(&signature))
            .map_err(|_| BenchError::Signature)?;
    }
    Ok(())
}

fn repeat_full(delivery: &Delivery, iterations: u32) -> Result<(), BenchError> {
    for _ in 0..iterations {
        let received = ReceivedEnvelope::parse(black_box(&delivery.envelope))?;
        let verified = received.verify(
            fixture::WRITER,
            delivery.fleet.binding(),
            [&delivery.key],
            |_| false,
        )?;
        black_box(PlaneMessage::decode(&verified)?);
    }
    Ok(())
}

fn repeat_apply(iterations: u32) -> Result<(), BenchError> {
    let change = fixture::one_change()?;
    for _ in 0..iterations {
        let delta = DeltaView::decode(black_box(&change.payload))?;
        black_box(change.before.apply_view(&delta, change.after.root())?);
    }
    Ok(())
}
