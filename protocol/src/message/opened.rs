//! A verified message whose payload was decrypted, where its plane is encrypted.
//!
//! ```text
//!  Verified --Opened::of (vault)--> Opened --message--> PlaneMessage
//! ```
//!
//! Refuses what is readable where keys are held, and what is encrypted where none are.

use super::{PlaneMessage, Report};
use crate::cbor::{Kind, Reader};
use crate::encryption::{Digester, Encrypted, Vault};
use crate::envelope::{Header, Verified};
use crate::id::Plane;
use crate::kind::MessageKind;
use crate::reject::Reject;
use alloc::borrow::Cow;

/// Whether a state that is readable is still taken from the writer of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The writer may not hold keys yet.
    Allowed,
    /// Keys are held: the writer encrypts.
    Refused,
}

/// See the head of this module.
#[derive(Debug)]
pub struct Opened<'a> {
    header: Header,
    payload: Cow<'a, [u8]>,
    digester: Digester,
    report: Option<Report>,
}

impl<'a> Opened<'a> {
    /// Decrypts what is encrypted in a verified message of `plane`.
    ///
    /// # Errors
    /// `not-encrypted`, `plane-key-missing`, `decryption-failed`; those of the form.
    pub fn of(
        verified: &Verified<'a>,
        plane: Plane,
        vault: Option<&Vault>,
        readable: Reading,
    ) -> Result<Self, Reject> {
        let header = *verified.header();
        let mut opened = Self {
            header,
            payload: Cow::Borrowed(verified.payload()),
            digester: Digester::Plain,
            report: None,
        };
        let is_encrypted = is_encrypted(&header, verified.payload());
        if header.kind == MessageKind::Report {
            let report = Report::decode_with(verified.payload(), |lists| {
                let vault = vault.ok_or(Reject::PlaneKeyMissing)?;
                vault.decrypt_message(plane, &header, lists)
            });
            opened.report = Some(report?);
        } else if is_encrypted {
            //= spec/encryption.md#switching-on
            //# A reader without plane keys MUST refuse an encrypted delta or snapshot with
            //# `plane-key-missing`, as for the outcome *need*.
            let vault = vault.ok_or(Reject::PlaneKeyMissing)?;
            opened.digester = vault.digester();
            if header.kind == MessageKind::Delta {
                let encrypted = Encrypted::parse(verified.payload())?;
                let payload = vault.decrypt_message(plane, &header, &encrypted)?;
                opened.payload = Cow::Owned(payload);
            }
        } else if is_state(header.kind) && vault.is_some() && readable == Reading::Refused {
            //= spec/encryption.md#switching-on
            //# A device that holds plane keys, and a controller that holds an encrypted state of
            //# `actual`, MUST refuse a delta or snapshot of the plane that is not encrypted with
            //# `not-encrypted`.
            return Err(Reject::NotEncrypted);
        } else if header.kind == MessageKind::Evidence {
            // Either: the table's rows tell how its digests were made.
            opened.digester = vault.map_or(Digester::Plain, Vault::digester);
        }
        Ok(opened)
    }

    /// Decodes what the message says. # Errors: those of [`PlaneMessage::decode`].
    pub fn message(&self) -> Result<PlaneMessage<'_>, Reject> {
        match &self.report {
            Some(report) => super::check_applied(&self.header, report)
                .map(|()| PlaneMessage::Report(report.clone())),
            None => PlaneMessage::decode_payload(&self.header, &self.payload, &self.digester),
        }
    }
}

const fn is_state(kind: MessageKind) -> bool {
    matches!(kind, MessageKind::Delta | MessageKind::Snapshot)
}

/// Tells by its form whether a delta or a snapshot is encrypted; false for what has no right form.
pub(super) fn is_encrypted(header: &Header, payload: &[u8]) -> bool {
    let mut reader = Reader::new(payload);
    let Ok(members) = reader.array() else {
        return false;
    };
    match header.kind {
        // A readable delta begins with the map of what it sets.
        MessageKind::Delta => reader.peek() == Ok(Kind::Bytes),
        MessageKind::Snapshot => members == 3,
        MessageKind::Report
        | MessageKind::ReportAck
        | MessageKind::Heartbeat
        | MessageKind::Evidence
        | MessageKind::EnrolRequest
        | MessageKind::EnrolAnswer
        | MessageKind::Bundle
        | MessageKind::Admission
        | MessageKind::SessionHello
        | MessageKind::SessionWelcome
        | MessageKind::Receipt
        | MessageKind::PlaneKey
        | MessageKind::Lost => false,
    }
}

/// # Errors
/// `plane-key-missing` for an encrypted delta or snapshot.
pub(super) fn check_readable(header: &Header, payload: &[u8]) -> Result<(), Reject> {
    if is_encrypted(header, payload) {
        Err(Reject::PlaneKeyMissing)
    } else {
        Ok(())
    }
}

/// Checks the form of an encrypted delta or snapshot, or of encrypted lists, for whoever holds no key.
/// `None` when nothing is encrypted.
pub(super) fn check_form(header: &Header, payload: &[u8]) -> Option<Result<(), Reject>> {
    match header.kind {
        MessageKind::Delta if is_encrypted(header, payload) => {
            Some(Encrypted::parse(payload).map(|_| ()))
        }
        MessageKind::Snapshot if is_encrypted(header, payload) => {
            Some(super::Snapshot::decode(payload, header.epoch).map(|_| ()))
        }
        MessageKind::Report => match Report::decode(payload) {
            Err(Reject::PlaneKeyMissing) => Some(Ok(())),
            Ok(_) | Err(_) => None,
        },
        MessageKind::Delta
        | MessageKind::Snapshot
        | MessageKind::ReportAck
        | MessageKind::Heartbeat
        | MessageKind::Evidence
        | MessageKind::EnrolRequest
        | MessageKind::EnrolAnswer
        | MessageKind::Bundle
        | MessageKind::Admission
        | MessageKind::SessionHello
        | MessageKind::SessionWelcome
        | MessageKind::Receipt
        | MessageKind::PlaneKey
        | MessageKind::Lost => None,
    }
}
