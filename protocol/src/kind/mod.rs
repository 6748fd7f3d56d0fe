//! The closed registry of message kinds: who signs each, for which plane, and what its numbers mean.
//!
//! Verification takes (role, kind, plane) and refuses any other triple. The kind that is reserved for
//! later (plane-key 13) is refused as unknown.

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
    /// Where a writer stands now, for freshness.
    Heartbeat,
    /// A new device key asks to be enrolled.
    EnrolRequest,
    /// The controller confirms key and incarnation.
    EnrolAnswer,
    /// Every shared key that may say anything.
    Bundle,
    /// Whom a mailbox serves, with which keys and how much room.
    Admission,
    /// A device, a writer or a mailbox proves its key to a mailbox.
    SessionHello,
    /// The mailbox proves its key to whoever greeted.
    SessionWelcome,
    /// What a mailbox did with a message.
    Receipt,
    /// What a reader holds against the writer of a plane.
    Evidence,
    /// The keys of an encrypted channel, for its device alone.
    PlaneKey,
    /// What a mailbox can no longer hand over.
    Lost,
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
    pub const ALL: [Self; 15] = [
        Self::Delta,
        Self::Snapshot,
        Self::Report,
        Self::ReportAck,
        Self::Heartbeat,
        Self::EnrolRequest,
        Self::EnrolAnswer,
        Self::Bundle,
        Self::Admission,
        Self::SessionHello,
        Self::SessionWelcome,
        Self::Receipt,
        Self::Evidence,
        Self::PlaneKey,
        Self::Lost,
    ];

    /// Returns the number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Delta => 0,
            Self::Snapshot => 1,
            Self::Report => 2,
            Self::ReportAck => 3,
            Self::Heartbeat => 4,
            Self::EnrolRequest => 5,
            Self::EnrolAnswer => 6,
            Self::Bundle => 7,
            Self::Admission => 8,
            Self::SessionHello => 9,
            Self::SessionWelcome => 10,
            Self::Receipt => 11,
            Self::Evidence => 12,
            Self::PlaneKey => 13,
            Self::Lost => 14,
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
            Self::Heartbeat => "heartbeat",
            Self::EnrolRequest => "enrol-request",
            Self::EnrolAnswer => "enrol-answer",
            Self::Bundle => "bundle",
            Self::Admission => "admission",
            Self::SessionHello => "session-hello",
            Self::SessionWelcome => "session-welcome",
            Self::Receipt => "receipt",
            Self::Evidence => "evidence",
            Self::PlaneKey => "plane-key",
            Self::Lost => "lost",
        }
    }

    //= spec/postern.md#planes
    //# Two writers MUST NOT write one plane.
    /// Returns who signs this kind for which plane.
    #[must_use]
    pub const fn rows(self) -> &'static [(Role, Option<Plane>)] {
        match self {
            Self::Delta | Self::Snapshot | Self::Heartbeat => &[
                (Role::Writer, Some(Plane::Desired)),
                (Role::Device, Some(Plane::Actual)),
            ],
            Self::Report => &[(Role::Device, Some(Plane::Actual))],
            Self::ReportAck => &[(Role::Writer, Some(Plane::Desired))],
            // Signed by the reader of the plane: its writer is who is accused.
            Self::Evidence => &[
                (Role::Device, Some(Plane::Desired)),
                (Role::Writer, Some(Plane::Actual)),
            ],
            Self::EnrolAnswer | Self::Admission | Self::PlaneKey => &[(Role::Writer, None)],
            // Whoever greets; the profile of the signature follows the signer.
            Self::SessionHello => &[
                (Role::Device, None),
                (Role::Writer, None),
                (Role::Mailbox, None),
            ],
            Self::EnrolRequest => &[(Role::Enrolling, None)],
            Self::Bundle => &[(Role::Root, None)],
            Self::SessionWelcome | Self::Receipt => &[(Role::Mailbox, None)],
            Self::Lost => &[
                (Role::Mailbox, Some(Plane::Desired)),
                (Role::Mailbox, Some(Plane::Actual)),
            ],
        }
    }

    /// Returns the plane for which `role` signs this kind, the first where it signs for both.
    /// # Errors: `signer-role` when it never does.
    pub fn plane_for(self, role: Role) -> Result<Option<Plane>, Reject> {
        let row = self.rows().iter().find(|(signer, _)| *signer == role);
        row.map(|(_, plane)| *plane).ok_or(Reject::SignerRole)
    }

    /// Returns the role that signs this kind for `plane`, if one does.
    #[must_use]
    pub fn signer_for(self, plane: Option<Plane>) -> Option<Role> {
        let row = self.rows().iter().find(|(_, about)| *about == plane);
        row.map(|(signer, _)| *signer)
    }

    /// Checks that `role` signs this kind for `plane`. # Errors: `signer-role`, then `plane-mismatch`.
    pub fn check_signer(self, role: Role, plane: Option<Plane>) -> Result<(), Reject> {
        self.plane_for(role)?;
        if self.rows().contains(&(role, plane)) {
            Ok(())
        } else {
            Err(Reject::PlaneMismatch)
        }
    }

    /// Returns how much of the channel the signature binds; for a hello or a welcome, how much at most.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Delta
            | Self::Snapshot
            | Self::Report
            | Self::ReportAck
            | Self::Heartbeat
            | Self::Evidence
            | Self::Lost => Scope::Plane,
            Self::EnrolAnswer | Self::PlaneKey | Self::SessionHello | Self::SessionWelcome => {
                Scope::Device
            }
            Self::EnrolRequest | Self::Admission | Self::Receipt => Scope::Tenant,
            Self::Bundle => Scope::Trust,
        }
    }

    /// Returns how much of the channel a signature of `role` binds, where `known` is what the session
    /// is about: a hello binds what its signer speaks for, a welcome what the hello bound.
    #[must_use]
    pub fn scope_for(self, role: Role, known: Scope) -> Scope {
        match (self, role) {
            //= spec/relays.md#writer-sessions
            //# A hello MUST be signed with the profile of who greets: a device with device, a writer with
            //# tenant, a mailbox with trust.
            (Self::SessionHello, Role::Writer) => Scope::Tenant,
            (Self::SessionHello, Role::Mailbox) => Scope::Trust,
            //= spec/relays.md#writer-sessions
            //# A welcome MUST be signed with the profile of the hello that it answers.
            (Self::SessionWelcome, _) => known.min(Scope::Device),
            (kind, _) => kind.scope(),
        }
    }

    /// Checks epoch, seq and base against the row of the kind.
    /// # Errors: `epoch-zero`, `seq-zero`, `base-not-below`, `header-numbers`.
    pub fn check_numbers(self, epoch: Epoch, seq: Seq, base: Seq) -> Result<(), Reject> {
        let (epoch, seq, base) = (epoch.number(), seq.number(), base.number());
        let is_right = match self {
            Self::Delta => {
                check_numbered(epoch, seq)?;
                if base >= seq {
                    return Err(Reject::BaseNotBelow);
                }
                base != 0
            }
            Self::Snapshot
            | Self::Report
            | Self::ReportAck
            | Self::EnrolAnswer
            | Self::Admission
            | Self::Receipt
            | Self::PlaneKey
            | Self::Evidence => {
                check_numbered(epoch, seq)?;
                base == 0
            }
            Self::Lost => {
                check_numbered(epoch, seq)?;
                if base >= seq {
                    return Err(Reject::BaseNotBelow);
                }
                true
            }
            Self::Heartbeat => (epoch == 0) == (seq == 0) && base != 0,
            Self::Bundle if seq == 0 => return Err(Reject::SeqZero),
            Self::Bundle => epoch == 0 && base == seq - 1,
            Self::EnrolRequest | Self::SessionHello | Self::SessionWelcome => {
                (epoch, seq, base) == (0, 0, 0)
            }
        };
        if is_right {
            Ok(())
        } else {
            Err(Reject::HeaderNumbers)
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
            | Self::Admission
            | Self::SessionHello
            | Self::SessionWelcome
            | Self::Receipt
            | Self::PlaneKey
            | Self::Evidence => is_present,
            Self::Heartbeat => is_present == (seq.number() != 0),
            Self::Report => true,
            Self::ReportAck | Self::Lost => !is_present,
            Self::Bundle => is_present == (seq.number() != 1),
        };
        if is_right {
            Ok(())
        } else {
            Err(Reject::DigestLength)
        }
    }
}

const fn check_numbered(epoch: u64, seq: u64) -> Result<(), Reject> {
    match (epoch, seq) {
        (0, _) => Err(Reject::EpochZero),
        (_, 0) => Err(Reject::SeqZero),
        (_, _) => Ok(()),
    }
}
