//! The closed registry of message kinds: who signs each, for which plane, and what its numbers mean.
//!
//! Verification takes (role, kind, plane) and refuses any other triple. Kinds reserved for later
//! (heartbeat 4, admission 8, receipt 11, evidence 12, plane-key 13, lost 14) are refused as unknown.

#[cfg(test)]
mod tests;

use crate::id::Plane;
use crate::reject::Reject;
use crate::revision::{Epoch, Seq};

/// Who signs (spec: #kinds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The controller, with the tenant's writer key.
    Writer,
    /// The device, with its enrolled key.
    Device,
    /// The device, with the key that it asks to enrol.
    Enrolling,
    /// The root or recovery key.
    Root,
    /// A mailbox, with its descriptor's key.
    Mailbox,
}

/// What a message is (spec: #kinds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// The change from a named base revision to the next.
    Delta,
    /// A whole state by its section table.
    Snapshot,
    /// What a device received, accepted and applied.
    Report,
    /// The controller holds a report and all before it.
    ReportAck,
    /// A new device key asks to be enrolled.
    EnrolRequest,
    /// The controller confirms key and incarnation.
    EnrolAnswer,
    /// Every shared key that may say anything.
    Bundle,
    /// A device proves its key to a mailbox.
    SessionHello,
    /// The mailbox proves its key to the device.
    SessionWelcome,
}

/// How much of the channel a kind's `external_aad` names (spec: #aad).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The trust domain only.
    Trust,
    /// Trust domain and tenant.
    Tenant,
    /// Trust domain, tenant, device and incarnation.
    Device,
    /// All of these and the plane.
    Plane,
}

impl MessageKind {
    /// Every kind that is built, ascending by number.
    pub const ALL: [Self; 9] = [
        Self::Delta,
        Self::Snapshot,
        Self::Report,
        Self::ReportAck,
        Self::EnrolRequest,
        Self::EnrolAnswer,
        Self::Bundle,
        Self::SessionHello,
        Self::SessionWelcome,
    ];

    /// Returns the number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Delta => 0,
            Self::Snapshot => 1,
            Self::Report => 2,
            Self::ReportAck => 3,
            Self::EnrolRequest => 5,
            Self::EnrolAnswer => 6,
            Self::Bundle => 7,
            Self::SessionHello => 9,
            Self::SessionWelcome => 10,
        }
    }

    /// Reads the number on the wire. # Errors: `kind-unknown`.
    pub fn from_number(number: u64) -> Result<Self, Reject> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.number() == number)
            //= spec/postern.md#kinds
            //# A receiver MUST refuse every other kind with `kind-unknown`.
            .ok_or(Reject::KindUnknown)
    }

    /// Returns the one word for this kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Snapshot => "snapshot",
            Self::Report => "report",
            Self::ReportAck => "report-ack",
            Self::EnrolRequest => "enrol-request",
            Self::EnrolAnswer => "enrol-answer",
            Self::Bundle => "bundle",
            Self::SessionHello => "session-hello",
            Self::SessionWelcome => "session-welcome",
        }
    }

    //= spec/postern.md#planes
    //# Two writers MUST NOT write one plane.
    /// Returns the role that signs this kind.
    #[must_use]
    pub const fn signer(self) -> Role {
        match self {
            Self::Delta | Self::Snapshot | Self::ReportAck | Self::EnrolAnswer => Role::Writer,
            Self::Report | Self::SessionHello => Role::Device,
            Self::EnrolRequest => Role::Enrolling,
            Self::Bundle => Role::Root,
            Self::SessionWelcome => Role::Mailbox,
        }
    }

    /// Returns the plane that this kind is about, if it is about one.
    #[must_use]
    pub const fn plane(self) -> Option<Plane> {
        match self {
            Self::Delta | Self::Snapshot | Self::ReportAck => Some(Plane::Desired),
            Self::Report => Some(Plane::Actual),
            Self::EnrolRequest
            | Self::EnrolAnswer
            | Self::Bundle
            | Self::SessionHello
            | Self::SessionWelcome => None,
        }
    }

    /// Returns how much of the channel the signature binds.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Delta | Self::Snapshot | Self::Report | Self::ReportAck => Scope::Plane,
            Self::EnrolAnswer | Self::SessionHello | Self::SessionWelcome => Scope::Device,
            Self::EnrolRequest => Scope::Tenant,
            Self::Bundle => Scope::Trust,
        }
    }

    /// Checks epoch, seq and base against the row of the kind.
    /// # Errors: `epoch-zero`, `seq-zero`, `base-not-below`, `header-numbers`.
    pub fn check_numbers(self, epoch: Epoch, seq: Seq, base: Seq) -> Result<(), Reject> {
        let (epoch, seq, base) = (epoch.number(), seq.number(), base.number());
        match self {
            Self::Delta | Self::Snapshot | Self::Report | Self::ReportAck | Self::EnrolAnswer => {
                if epoch == 0 {
                    return Err(Reject::EpochZero);
                }
                if seq == 0 {
                    return Err(Reject::SeqZero);
                }
                if self != Self::Delta {
                    return if base == 0 {
                        Ok(())
                    } else {
                        Err(Reject::HeaderNumbers)
                    };
                }
                if base >= seq {
                    return Err(Reject::BaseNotBelow);
                }
                if base == 0 {
                    Err(Reject::HeaderNumbers)
                } else {
                    Ok(())
                }
            }
            Self::Bundle if seq == 0 => Err(Reject::SeqZero),
            Self::Bundle if epoch == 0 && base == seq - 1 => Ok(()),
            Self::EnrolRequest | Self::SessionHello | Self::SessionWelcome
                if (epoch, seq, base) == (0, 0, 0) =>
            {
                Ok(())
            }
            Self::Bundle | Self::EnrolRequest | Self::SessionHello | Self::SessionWelcome => {
                Err(Reject::HeaderNumbers)
            }
        }
    }

    /// Checks whether the header holds a digest where the row of the kind wants one.
    /// # Errors: `digest-length`.
    pub const fn check_digest_presence(self, seq: Seq, is_present: bool) -> Result<(), Reject> {
        let is_right = match self {
            Self::Delta
            | Self::Snapshot
            | Self::EnrolRequest
            | Self::EnrolAnswer
            | Self::SessionHello
            | Self::SessionWelcome => is_present,
            Self::Report => true,
            Self::ReportAck => !is_present,
            Self::Bundle => is_present == (seq.number() != 1),
        };
        if is_right {
            Ok(())
        } else {
            Err(Reject::DigestLength)
        }
    }
}
