//! Payloads of the planes: forms that are refused, lists that overflow, seeded round trips.

mod payload;

use super::{
    ListNumber, PlaneMessage, REPORT_ACK_PAYLOAD, RejectNote, Report, ReportHead, ResultNote,
    Snapshot, SupersededNote, accept_report,
};
use crate::cbor::Writer;
use crate::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope, Verified};
use crate::id::{Channel, DeviceName, Digest, Incarnation, MessageId, Tenant, Thumbprint};
use crate::key::{MemorySigner, Signer};
use crate::kind::{MessageKind, Role};
use crate::reject::Reject;
use crate::revision::{Epoch, Lineage, LineageEntry, Outcome, Revision, Seq};
use crate::state::State;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

fn revision(epoch: u64, seq: u64) -> Revision {
    Revision::new(Epoch::new(epoch), Seq::new(seq))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn report_payload_that_breaks_a_rule_is_refused() {
    let cases = [
        ("80", Reject::Shape),
        ("8101", Reject::Shape),
        ("8401010101", Reject::Shape),
        ("850101010101", Reject::Shape),
        ("880101010101010101", Reject::Shape),
        //= spec/postern.md#report type=test
        //# The long forms MUST NOT be used when all three cursors are equal, else `shape`.
        ("86010101010101", Reject::Shape),
        ("870101010101 01a1018184 00010118 34", Reject::Shape),
        //= spec/postern.md#report type=test
        //# The cursors MUST satisfy received >= accepted >= applied, each compared as (epoch, seq),
        //# else `report-cursors`.
        ("86 0101 0102 0101", Reject::ReportCursors),
        ("86 0102 0101 0102", Reject::ReportCursors),
        ("86 0105 0200 0101", Reject::ReportCursors),
        ("8301 01a0", Reject::Shape),
        ("830101a10080", Reject::Shape),
        ("830101a10180", Reject::Shape),
        ("830101a10580", Reject::Shape),
        ("830101a10880", Reject::Shape),
        ("830101a1018183000101", Reject::Shape),
        ("830101a10281 8401016060", Reject::Shape),
        ("830101a10281 8401011b800000000000000060", Reject::Shape),
        ("830101a10381 83010201", Reject::Shape),
        ("830101a10481 820401", Reject::Shape),
        ("830101a10481 820001", Reject::Shape),
        //= spec/postern.md#report type=test
        //# A device that drops the oldest entry of a full list MUST count it in list 4, whose
        //# entries ascend by list and count at least 1.
        ("830101a10481 820100", Reject::Shape),
        ("830101a10482 82020182 0101", Reject::Shape),
        ("8301016161", Reject::Shape),
        ("820120", Reject::Shape),
        ("8201180 1", Reject::CborNotShortest),
        ("82010100", Reject::CborTrailing),
        ("8201", Reject::CborTruncated),
    ];
    for (hex, reject) in cases {
        let payload = unhex(&hex.replace(' ', ""));
        assert_eq!(Report::decode(&payload), Err(reject), "{hex}");
    }
}

#[test]
fn report_list_of_17_entries_or_a_long_output_is_oversize() {
    //= spec/postern.md#report type=test
    //# A list MUST NOT hold more than 16 entries, else `report-list-oversize`.
    let entries = "8400010101".repeat(17);
    let payload = unhex(&format!("830101a10191{entries}"));
    assert_eq!(Report::decode(&payload), Err(Reject::ReportListOversize));
    //= spec/postern.md#report type=test
    //# The output of a result MUST NOT exceed 512 bytes, else `report-list-oversize`.
    let payload = unhex(&format!("830101a1028184010100790201{}", "61".repeat(513)));
    assert_eq!(Report::decode(&payload), Err(Reject::ReportListOversize));
}

#[test]
fn report_encodes_in_the_shortest_form_for_its_content() {
    let mut report = Report {
        received: revision(9, 3),
        accepted: revision(9, 3),
        applied: revision(9, 3),
        ..Report::default()
    };
    assert_eq!(report.encode(), unhex("820903"));
    let note = RejectNote::new(MessageKind::Delta, revision(9, 4), Reject::DigestMismatch);
    report.lists.push_reject(note);
    assert_eq!(
        report.encode(),
        unhex("830903a1018184000904 1834".replace(' ', "").as_str())
    );
    assert_eq!(note.reject(), Some(Reject::DigestMismatch));
    report.applied = Revision::NONE;
    assert_eq!(report.encode()[..7], unhex("87090309030000"));
    assert_eq!(Report::decode(&report.encode()), Ok(report));
}

//= spec/postern.md#report type=test
//# A device that drops the oldest entry of a full list MUST count it in list 4, whose entries
//# ascend by list and count at least 1.
#[test]
fn report_lists_that_are_full_drop_the_oldest_and_count_it() {
    let mut report = Report::default();
    for seq in 1..=20 {
        let note = RejectNote::new(MessageKind::Delta, revision(1, seq), Reject::BaseOlder);
        report.lists.push_reject(note);
        let output = "ü".repeat(300);
        report.lists.push_result(ResultNote {
            revision: revision(1, seq),
            status: -1,
            output,
        });
        let (epoch, first, last) = (Epoch::new(1), Seq::new(seq), Seq::new(seq));
        report
            .lists
            .push_superseded(SupersededNote { epoch, first, last });
    }
    assert_eq!(report.lists.rejects().len(), 16);
    assert_eq!(report.lists.rejects()[0].revision, revision(1, 5));
    assert_eq!(report.lists.results()[15].revision, revision(1, 20));
    assert_eq!(report.lists.results()[0].output.len(), 512);
    for list in [
        ListNumber::Rejects,
        ListNumber::Results,
        ListNumber::Superseded,
    ] {
        assert_eq!(report.lists.lost().count(list), 4);
    }
    assert_eq!(Report::decode(&report.encode()), Ok(report));
}

//= spec/postern.md#reports-and-acks type=test
//# A controller MUST compare a report's (epoch, rseq) with the highest it holds of that
//# incarnation:
#[test]
fn report_older_or_contradicting_is_refused_and_a_gap_is_not() {
    let head = |epoch, seq, id| ReportHead {
        number: revision(epoch, seq),
        message_id: MessageId::from_bytes([id; 32]),
    };
    let stored = head(5, 7, 1);
    let cases = [
        (head(5, 6, 2), Outcome::Refuse(Reject::ReportStale)),
        (head(4, 9, 2), Outcome::Refuse(Reject::ReportStale)),
        (head(5, 7, 2), Outcome::Refuse(Reject::Equivocation)),
        (head(5, 7, 1), Outcome::Duplicate),
        (head(5, 99, 2), Outcome::Accept),
        (head(6, 1, 2), Outcome::Accept),
    ];
    for (incoming, outcome) in cases {
        assert_eq!(accept_report(Some(&stored), &incoming), outcome);
    }
    assert_eq!(accept_report(None, &stored), Outcome::Accept);
}

#[test]
fn snapshot_payload_that_breaks_a_rule_is_refused() {
    let digest = format!("5820{}", "00".repeat(32));
    let entry = |epoch: &str, seq: &str| format!("83{epoch}{seq}{digest}");
    let lineage = |entries: &[_]| format!("82a08{}{}", entries.len(), entries.concat());
    let cases = [
        ("81a0".into(), Reject::Shape),
        ("83a08000".into(), Reject::Shape),
        ("828080".into(), Reject::Shape),
        ("82a0a0".into(), Reject::Shape),
        ("82a1616141 0080".replace(' ', ""), Reject::Shape),
        (format!("82a101{digest}80"), Reject::Shape),
        (format!("82a163612f62{digest}80"), Reject::SectionInvalid),
        (format!("82a16141{digest}80"), Reject::SectionInvalid),
        (format!("82a1622e2e{digest}80"), Reject::SectionInvalid),
        (
            format!("82a26162{digest}6161{digest}80"),
            Reject::CborUnsortedKey,
        ),
        (
            lineage(&[entry("05", "01"), entry("05", "02")]),
            Reject::LineageInvalid,
        ),
        (
            lineage(&[entry("06", "01"), entry("05", "02")]),
            Reject::LineageInvalid,
        ),
        (lineage(&[entry("09", "01")]), Reject::LineageInvalid),
        (lineage(&[entry("00", "01")]), Reject::LineageInvalid),
        (lineage(&[entry("01", "00")]), Reject::LineageInvalid),
    ];
    for (hex, reject) in cases {
        let decoded = Snapshot::decode(&unhex(&hex), Epoch::new(9));
        assert_eq!(decoded, Err(reject), "{hex}");
    }
}

#[test]
fn snapshot_of_a_state_comes_back() {
    let entry = LineageEntry {
        last: revision(3, 8),
        digest: Digest::from_bytes([1; 32]),
    };
    let snapshot = Snapshot {
        table: State::empty().section_table(),
        lineage: Lineage::new(vec![entry], Epoch::new(9)).unwrap(),
    };
    assert_eq!(
        Snapshot::decode(&snapshot.encode(), Epoch::new(9)),
        Ok(snapshot)
    );
}

/// Seals, verifies and decodes one message; returns the reject, if there is one.
fn decode(kind: MessageKind, digest: Option<Digest>, payload: &[u8]) -> Option<Reject> {
    judge(kind, digest, payload, |verified| {
        PlaneMessage::decode(verified).map(|_| ())
    })
}

/// Seals and verifies one message, and returns what a check of it says.
fn judge(
    kind: MessageKind,
    digest: Option<Digest>,
    payload: &[u8],
    check: impl FnOnce(&Verified<'_>) -> Result<(), Reject>,
) -> Option<Reject> {
    let channel = Channel {
        root: Thumbprint::from_bytes([3; 32]),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse("press-7").unwrap(),
    };
    let signer = MemorySigner::from_seed(&[1; 32]);
    let binding = Binding::Device {
        channel: &channel,
        incarnation: Incarnation::from_bytes([4; 16]),
    };
    let (role, plane): (Role, _) = kind.rows()[0];
    let is_based = matches!(
        kind,
        MessageKind::Bundle | MessageKind::Heartbeat | MessageKind::Delta
    );
    let is_unnumbered = matches!(
        kind,
        MessageKind::EnrolRequest | MessageKind::SessionHello | MessageKind::SessionWelcome
    );
    let is_second = matches!(kind, MessageKind::Bundle | MessageKind::Delta);
    let epoch = u64::from(kind != MessageKind::Bundle && !is_unnumbered);
    let seq = if is_unnumbered {
        0
    } else {
        1 + u64::from(is_second)
    };
    let header = Header {
        kind,
        epoch: Epoch::new(epoch),
        seq: Seq::new(seq),
        base: Seq::new(u64::from(is_based)),
        digest,
    };
    let sealed = Draft {
        header,
        payload: payload.into(),
    }
    .seal(role, binding, &signer)
    .unwrap();
    let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
    let expected = Expected { role, plane };
    let verified = received
        .verify(expected, binding, [signer.public_key()], |_| false)
        .unwrap();
    check(&verified).err()
}

//= spec/postern.md#snapshot type=test
//# The root digest over the table MUST equal the digest of the header, else `digest-mismatch`.
//= spec/postern.md#report type=test
//# The header digest of a report MUST be the root digest at the applied cursor, and empty when
//# nothing is applied.
#[test]
fn message_whose_payload_and_header_disagree_is_refused() {
    let digest = Some(Digest::from_bytes([0; 32]));
    let root = Some(*State::empty().root());
    let empty = unhex("82a080");
    let (nothing, something) = (unhex("820000"), unhex("820101"));
    let cases = [
        (
            MessageKind::Snapshot,
            digest,
            &empty[..],
            Some(Reject::DigestMismatch),
        ),
        (MessageKind::Snapshot, root, &empty, None),
        (
            MessageKind::Report,
            digest,
            &nothing,
            Some(Reject::DigestLength),
        ),
        (
            MessageKind::Report,
            None,
            &something,
            Some(Reject::DigestLength),
        ),
        (MessageKind::Report, None, &nothing, None),
        (MessageKind::Report, digest, &something, None),
        (MessageKind::ReportAck, None, REPORT_ACK_PAYLOAD, None),
        (
            MessageKind::ReportAck,
            None,
            &[0x81, 0],
            Some(Reject::Shape),
        ),
        (
            MessageKind::ReportAck,
            None,
            &[],
            Some(Reject::CborTruncated),
        ),
        (
            MessageKind::EnrolAnswer,
            digest,
            REPORT_ACK_PAYLOAD,
            Some(Reject::SignerRole),
        ),
        (
            MessageKind::Bundle,
            digest,
            REPORT_ACK_PAYLOAD,
            Some(Reject::SignerRole),
        ),
    ];
    for (kind, digest, payload, expected) in cases {
        assert_eq!(
            decode(kind, digest, payload),
            expected,
            "{kind:?} {payload:x?}"
        );
    }
}

#[test]
fn changed_report_payloads_never_panic_and_decode_to_their_own_bytes() {
    let mut seed: u64 = 1;
    let mut below = |limit: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    for _ in 0..3_000 {
        let mut report = Report {
            received: revision(9, 9),
            accepted: revision(9, below(9)),
            ..Report::default()
        };
        for _ in 0..below(4) {
            let note = RejectNote {
                kind: below(99),
                revision: revision(below(9), below(999)),
                code: below(300),
            };
            report.lists.push_reject(note);
        }
        assert_eq!(Report::decode(&report.encode()), Ok(report.clone()));
        let mut payload = report.encode();
        let at = usize::try_from(below(payload.len() as u64)).unwrap();
        payload[at] ^= 1 << below(8);
        if let Ok(changed) = Report::decode(&payload) {
            assert_eq!(changed.encode(), payload);
        }
        let mut writer = Writer::new();
        writer.raw(&payload);
        assert!(Snapshot::decode(writer.as_bytes(), Epoch::new(9)).is_err());
    }
}

//= spec/postern.md#rejects type=test
//# A receiver MUST accept a reject number that it does not know, in a report, a hint or frame 22,
//# as an unknown reason.
#[test]
fn report_with_a_reject_number_that_nobody_knows_is_read() {
    let payload = unhex("830101a1018184 00010119ffff".replace(' ', "").as_str());
    let report = Report::decode(&payload).unwrap();
    assert_eq!(report.lists.rejects()[0].code, 65_535);
    assert_eq!(report.lists.rejects()[0].reject(), None);
}
