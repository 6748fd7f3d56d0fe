//! The registry of kinds, row by row.

use super::{MessageKind, Role, Scope};
use crate::id::Plane;
use crate::reject::Reject;
use crate::revision::{Epoch, Seq};

//= spec/postern.md#kinds type=test
//# A receiver MUST refuse every other kind with `kind-unknown`.
#[test]
fn kind_with_a_reserved_number_is_unknown() {
    for number in [15, 16, 255, u64::MAX] {
        assert_eq!(MessageKind::from_number(number), Err(Reject::KindUnknown));
    }
}

#[test]
fn kind_from_its_number_is_itself() {
    for kind in MessageKind::ALL {
        assert_eq!(MessageKind::from_number(kind.number()), Ok(kind));
    }
}

#[test]
fn kind_has_the_rows_of_the_registry() {
    use MessageKind as Kind;
    let writer = (Role::Writer, Some(Plane::Desired));
    let device = (Role::Device, Some(Plane::Actual));
    let readers = [
        (Role::Device, Some(Plane::Desired)),
        (Role::Writer, Some(Plane::Actual)),
    ];
    let lost = [Plane::Desired, Plane::Actual].map(|plane| (Role::Mailbox, Some(plane)));
    let greeters = [Role::Device, Role::Writer, Role::Mailbox].map(|role| (role, None));
    let rows: [(_, &[_], _); 15] = [
        (Kind::Delta, &[writer, device], Scope::Plane),
        (Kind::Snapshot, &[writer, device], Scope::Plane),
        (Kind::Report, &[device], Scope::Plane),
        (Kind::ReportAck, &[writer], Scope::Plane),
        (Kind::Heartbeat, &[writer, device], Scope::Plane),
        (
            Kind::EnrolRequest,
            &[(Role::Enrolling, None)],
            Scope::Tenant,
        ),
        (Kind::EnrolAnswer, &[(Role::Writer, None)], Scope::Device),
        (Kind::Bundle, &[(Role::Root, None)], Scope::Trust),
        (Kind::Admission, &[(Role::Writer, None)], Scope::Tenant),
        (Kind::SessionHello, &greeters, Scope::Device),
        (
            Kind::SessionWelcome,
            &[(Role::Mailbox, None)],
            Scope::Device,
        ),
        (Kind::Receipt, &[(Role::Mailbox, None)], Scope::Tenant),
        (Kind::Evidence, &readers, Scope::Plane),
        (Kind::PlaneKey, &[(Role::Writer, None)], Scope::Device),
        (Kind::Lost, &lost, Scope::Plane),
    ];
    for (kind, expected, scope) in rows {
        assert_eq!((kind.rows(), kind.scope()), (expected, scope), "{kind:?}");
    }
    assert_eq!(rows.map(|(kind, ..)| kind), Kind::ALL);
}

type Signed = (MessageKind, Role, Option<Plane>, Result<(), Reject>);

fn check_signers(cases: &[Signed]) {
    for (kind, role, plane, expected) in cases {
        let checked = kind.check_signer(*role, *plane);
        assert_eq!(checked, *expected, "{kind:?} {role:?}");
    }
}

#[test]
fn kind_around_a_mailbox_of_another_role_or_plane_is_refused() {
    use MessageKind as Kind;
    let (desired, actual) = (Some(Plane::Desired), Some(Plane::Actual));
    check_signers(&[
        (Kind::Lost, Role::Writer, desired, Err(Reject::SignerRole)),
        (Kind::Lost, Role::Mailbox, None, Err(Reject::PlaneMismatch)),
        (Kind::Lost, Role::Mailbox, desired, Ok(())),
        (Kind::Lost, Role::Mailbox, actual, Ok(())),
        (
            Kind::Admission,
            Role::Mailbox,
            None,
            Err(Reject::SignerRole),
        ),
        (Kind::Receipt, Role::Writer, None, Err(Reject::SignerRole)),
        (
            Kind::SessionHello,
            Role::Root,
            None,
            Err(Reject::SignerRole),
        ),
        (
            Kind::SessionWelcome,
            Role::Writer,
            None,
            Err(Reject::SignerRole),
        ),
        (Kind::Bundle, Role::Root, None, Ok(())),
    ]);
}

#[test]
fn kind_of_another_role_or_plane_is_refused() {
    use MessageKind as Kind;
    let (desired, actual) = (Some(Plane::Desired), Some(Plane::Actual));
    let cases = [
        (Kind::Delta, Role::Mailbox, desired, Err(Reject::SignerRole)),
        (
            Kind::Delta,
            Role::Writer,
            actual,
            Err(Reject::PlaneMismatch),
        ),
        (
            Kind::Snapshot,
            Role::Device,
            desired,
            Err(Reject::PlaneMismatch),
        ),
        (
            Kind::Heartbeat,
            Role::Device,
            None,
            Err(Reject::PlaneMismatch),
        ),
        (
            Kind::Evidence,
            Role::Writer,
            desired,
            Err(Reject::PlaneMismatch),
        ),
        (Kind::Evidence, Role::Root, None, Err(Reject::SignerRole)),
        (Kind::Evidence, Role::Device, desired, Ok(())),
    ];
    check_signers(&cases);
    assert_eq!(Kind::Snapshot.signer_for(actual), Some(Role::Device));
    assert_eq!(Kind::Report.signer_for(desired), None);
}

#[test]
fn numbers_outside_the_row_of_a_kind_are_refused() {
    use MessageKind as Kind;
    let cases = [
        (Kind::Delta, (0, 2, 1), Reject::EpochZero),
        (Kind::Delta, (1, 0, 0), Reject::SeqZero),
        (Kind::Delta, (1, 2, 2), Reject::BaseNotBelow),
        (Kind::Delta, (1, 2, 3), Reject::BaseNotBelow),
        (Kind::Delta, (1, 2, 0), Reject::HeaderNumbers),
        (Kind::Snapshot, (0, 1, 0), Reject::EpochZero),
        (Kind::Snapshot, (1, 0, 0), Reject::SeqZero),
        (Kind::Snapshot, (1, 2, 1), Reject::HeaderNumbers),
        (Kind::Report, (0, 1, 0), Reject::EpochZero),
        (Kind::Report, (1, 1, 1), Reject::HeaderNumbers),
        (Kind::ReportAck, (1, 0, 0), Reject::SeqZero),
        (Kind::EnrolAnswer, (1, 0, 0), Reject::SeqZero),
        (Kind::EnrolRequest, (0, 0, 1), Reject::HeaderNumbers),
        (Kind::Bundle, (0, 0, 0), Reject::SeqZero),
        (Kind::Bundle, (1, 1, 0), Reject::HeaderNumbers),
        (Kind::Bundle, (0, 3, 1), Reject::HeaderNumbers),
        (Kind::SessionHello, (1, 0, 0), Reject::HeaderNumbers),
        (Kind::SessionWelcome, (0, 1, 0), Reject::HeaderNumbers),
        (Kind::Heartbeat, (0, 1, 1), Reject::HeaderNumbers),
        (Kind::Heartbeat, (1, 0, 1), Reject::HeaderNumbers),
        (Kind::Heartbeat, (1, 1, 0), Reject::HeaderNumbers),
        (Kind::Heartbeat, (0, 0, 0), Reject::HeaderNumbers),
        (Kind::Evidence, (0, 1, 0), Reject::EpochZero),
        (Kind::Evidence, (1, 0, 0), Reject::SeqZero),
        (Kind::Evidence, (1, 1, 1), Reject::HeaderNumbers),
        (Kind::Admission, (0, 1, 0), Reject::EpochZero),
        (Kind::Admission, (1, 0, 0), Reject::SeqZero),
        (Kind::Admission, (1, 2, 1), Reject::HeaderNumbers),
        (Kind::Receipt, (0, 1, 0), Reject::EpochZero),
        (Kind::Receipt, (1, 1, 1), Reject::HeaderNumbers),
        (Kind::Lost, (0, 1, 0), Reject::EpochZero),
        (Kind::Lost, (1, 0, 0), Reject::SeqZero),
        (Kind::Lost, (1, 2, 2), Reject::BaseNotBelow),
        (Kind::Lost, (1, 2, u64::MAX), Reject::BaseNotBelow),
    ];
    for (kind, (epoch, seq, base), reject) in cases {
        let checked = kind.check_numbers(Epoch::new(epoch), Seq::new(seq), Seq::new(base));
        assert_eq!(checked, Err(reject), "{kind:?} {epoch} {seq} {base}");
    }
}

#[test]
fn numbers_of_the_row_of_a_kind_are_accepted() {
    use MessageKind as Kind;
    let cases = [
        (Kind::Delta, (1, 2, 1)),
        (Kind::Delta, (u64::MAX, u64::MAX, 1)),
        (Kind::Snapshot, (1, 1, 0)),
        (Kind::Report, (1, 1, 0)),
        (Kind::Bundle, (0, 1, 0)),
        (Kind::Bundle, (0, u64::MAX, u64::MAX - 1)),
        (Kind::EnrolRequest, (0, 0, 0)),
        (Kind::Heartbeat, (0, 0, 1)),
        (Kind::Heartbeat, (1, 1, u64::MAX)),
        (Kind::Evidence, (1, 1, 0)),
        (Kind::Admission, (1, 1, 0)),
        (Kind::Receipt, (u64::MAX, u64::MAX, 0)),
        (Kind::Lost, (1, 1, 0)),
        (Kind::Lost, (1, u64::MAX, u64::MAX - 1)),
    ];
    for (kind, (epoch, seq, base)) in cases {
        let checked = kind.check_numbers(Epoch::new(epoch), Seq::new(seq), Seq::new(base));
        assert_eq!(checked, Ok(()), "{kind:?} {epoch} {seq} {base}");
    }
}

#[test]
fn digest_where_the_row_has_none_is_refused() {
    use MessageKind as Kind;
    let cases = [
        (Kind::ReportAck, 1, true),
        (Kind::Bundle, 1, true),
        (Kind::Bundle, 2, false),
        (Kind::Delta, 2, false),
        (Kind::Snapshot, 1, false),
        (Kind::EnrolAnswer, 1, false),
        (Kind::SessionHello, 0, false),
        (Kind::Heartbeat, 0, true),
        (Kind::Heartbeat, 1, false),
        (Kind::Evidence, 1, false),
        (Kind::Admission, 1, false),
        (Kind::Receipt, 1, false),
        (Kind::Lost, 1, true),
    ];
    for (kind, seq, is_present) in cases {
        let checked = kind.check_digest_presence(Seq::new(seq), is_present);
        assert_eq!(checked, Err(Reject::DigestLength), "{kind:?} {seq}");
    }
    assert_eq!(
        Kind::Report.check_digest_presence(Seq::new(1), false),
        Ok(())
    );
    assert_eq!(
        Kind::Report.check_digest_presence(Seq::new(1), true),
        Ok(())
    );
}

//= spec/relays.md#writer-sessions type=test
//# A hello MUST be signed with the profile of who greets: a device with device, a writer with
//# tenant, a mailbox with trust.
//= spec/relays.md#writer-sessions type=test
//# A welcome MUST be signed with the profile of the hello that it answers.
#[test]
fn profile_of_a_hello_follows_its_signer_and_that_of_a_welcome_the_hello() {
    use MessageKind as Kind;
    let cases = [
        (
            Kind::SessionHello,
            Role::Device,
            Scope::Tenant,
            Scope::Device,
        ),
        (
            Kind::SessionHello,
            Role::Writer,
            Scope::Device,
            Scope::Tenant,
        ),
        (
            Kind::SessionHello,
            Role::Mailbox,
            Scope::Device,
            Scope::Trust,
        ),
        (
            Kind::SessionWelcome,
            Role::Mailbox,
            Scope::Trust,
            Scope::Trust,
        ),
        (
            Kind::SessionWelcome,
            Role::Mailbox,
            Scope::Tenant,
            Scope::Tenant,
        ),
        (
            Kind::SessionWelcome,
            Role::Mailbox,
            Scope::Device,
            Scope::Device,
        ),
        (Kind::Admission, Role::Writer, Scope::Device, Scope::Tenant),
        (Kind::Bundle, Role::Root, Scope::Device, Scope::Trust),
        (Kind::Lost, Role::Mailbox, Scope::Trust, Scope::Plane),
    ];
    for (kind, role, known, scope) in cases {
        assert_eq!(
            kind.scope_for(role, known),
            scope,
            "{kind:?} {role:?} {known:?}"
        );
    }
}

#[test]
fn kinds_have_one_word_each() {
    let words = [
        "delta",
        "snapshot",
        "report",
        "report-ack",
        "heartbeat",
        "enrol-request",
        "enrol-answer",
        "bundle",
        "admission",
        "session-hello",
        "session-welcome",
        "receipt",
        "evidence",
        "plane-key",
        "lost",
    ];
    let said = MessageKind::ALL.map(MessageKind::as_str);
    assert_eq!(said, words);
    assert_eq!(
        (Plane::Desired.as_str(), Plane::Actual.as_str()),
        ("desired", "actual")
    );
}
