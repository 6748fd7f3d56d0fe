use super::super::ledger::{Account, Admission, Ledger};
use super::super::limits::LETTER_AGE_S_MAX;
use super::super::posts::Proof;
use super::super::stage::Stage;
use super::{
    admission, bundles, content, domain_channel, id, pinned, root_signer, tenant, written,
};
use crate::fixtures::{INCARNATION, evidence, mailbox_signer, report, snapshot};
use crate::mailbox::lane::Slot;
use crate::mailbox::{Lanes, MailboxLimits};
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::Plane;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::limits::{ADMISSION_SILENCE_MS_MAX, ADMISSION_SILENT_SHARE};
use postern_protocol::receipt::{Lost, Receipt};
use postern_protocol::revision::StoreEpoch;
use std::collections::BTreeMap;

const QUOTA: u64 = 4_000;

fn ledger(change: impl FnOnce(&mut Admission), account: Account) -> Ledger {
    let mut admission = admission("press-1", QUOTA);
    change(&mut admission);
    Ledger::new(
        1,
        0,
        pinned().offer(&bundles()[0]).unwrap(),
        BTreeMap::from([(id(), admission)]),
        BTreeMap::from([(tenant(), account)]),
    )
}

/// Runs changes at a time of the relay's clock, on these lanes; returns them as they are then.
fn at(clock_s: u64, ledger: &Ledger, lanes: &Lanes, change: impl FnOnce(&mut Stage<'_>)) -> Lanes {
    let lanes_of = |_| lanes.clone();
    let limits = MailboxLimits::default();
    let bytes_of = |_| 0;
    let mut stage = Stage::new(ledger, &lanes_of, &bytes_of, limits, lanes.bytes(), clock_s);
    change(&mut stage);
    stage.lanes(tenant(), id()).clone()
}

/// Lanes with a snapshot, a report and evidence of a device, posted at the begin.
fn filled(ledger: &Ledger) -> Lanes {
    at(0, ledger, &Lanes::default(), |stage| {
        for (plane, envelope) in [
            (Plane::Actual, snapshot(1, 1)),
            (Plane::Actual, report(1, 1)),
            (Plane::Desired, evidence(1, 1)),
        ] {
            let taken = stage.take_post(id(), Some(plane), &envelope, Proof::Session);
            taken.unwrap();
        }
    })
}

#[test]
fn old_letter_goes_and_state_and_marks_stay_whatever_their_age() {
    let ledger = ledger(|_| {}, Account::default());
    let lanes = filled(&ledger);
    let mut dropped = Vec::new();
    let young = at(LETTER_AGE_S_MAX, &ledger, &lanes, |stage| {
        dropped = stage.sweep(id(), false);
    });
    assert_eq!((young, dropped.len()), (lanes.clone(), 0));
    let old = at(LETTER_AGE_S_MAX + 1, &ledger, &lanes, |stage| {
        dropped = stage.sweep(id(), false);
    });
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].envelope.as_ref(), evidence(1, 1));
    assert!(old.actual.envelope(Slot::Evidence).is_none());
    let mark = old
        .actual
        .letter(Slot::Evidence)
        .map(|letter| letter.revision);
    assert_eq!(
        mark,
        lanes
            .actual
            .letter(Slot::Evidence)
            .map(|letter| letter.revision)
    );
    assert_eq!(old.actual.chain, lanes.actual.chain);
    assert!(old.actual.envelope(Slot::Report).is_some());
}

//= spec/relays.md#lost type=test
//# A relay that drops evidence of a device MUST give the tenant's writer a lost marker about it.
//= spec/relays.md#lost type=test
//# A relay that drops evidence or an enrol-answer of a writer MUST give that writer a receipt about
//# it.
#[test]
fn writer_is_told_of_letters_that_were_dropped_unread() {
    let ledger = ledger(|_| {}, Account::default());
    let accused = written(MessageKind::Evidence, [4, 2, 0], vec![0x80]);
    let items = [super::item(Some(Plane::Actual), accused.clone())];
    let lanes = at(0, &ledger, &filled(&ledger), |stage| {
        assert_eq!(
            stage.take_deliver(tenant(), &items, Proof::Session).refused,
            []
        );
    });
    let relay = mailbox_signer();
    let told = at(LETTER_AGE_S_MAX + 1, &ledger, &lanes, |stage| {
        let dead = stage.sweep(id(), false);
        assert_eq!(dead.len(), 2);
        for one in &dead {
            let told = stage.tell_dead(one, StoreEpoch::new(1), relay.as_ref());
            assert_eq!(told, Ok(()));
        }
    });
    let expired = Reject::RetentionExpired.code();
    let mut next = content();
    let (key, urls) = (
        relay.public_key().clone(),
        vec!["https://relay/".to_owned()],
    );
    next.mailboxes = vec![postern_protocol::trust::Mailbox { key, urls }];
    let sealed = next.seal(None, pinned().root(), &root_signer()).unwrap();
    let trust = pinned().offer(sealed.as_bytes()).unwrap();
    let (lost, receipt) = (Slot::Lost, Slot::Receipt);
    let envelopes = [lost, receipt].map(|slot| told.actual.envelope(slot).unwrap().clone());
    let [lost, receipt] = envelopes
        .each_ref()
        .map(|it| ReceivedEnvelope::parse(it).unwrap());
    let channel = domain_channel("press-1");
    let lost = Lost::verify(&lost, &trust, &channel, INCARNATION, Plane::Desired);
    let (_, lost) = lost.unwrap();
    assert_eq!(
        (lost.epoch.number(), lost.last.number(), lost.code),
        (1, 1, expired)
    );
    let (_, receipt) = Receipt::verify(&receipt, &trust, &channel.tenant).unwrap();
    assert_eq!((receipt.channel, receipt.code), (id(), expired));
    let binding = Binding::Device {
        channel: &channel,
        incarnation: INCARNATION,
    };
    let about = ReceivedEnvelope::parse(&accused).unwrap();
    let expected = Expected {
        role: Role::Writer,
        plane: Some(Plane::Actual),
    };
    let message = about.unverified_message_id(expected, binding);
    assert_eq!(Some(receipt.message), message);
}

#[test]
fn notice_that_grew_old_itself_goes_without_another() {
    let ledger = ledger(|_| {}, Account::default());
    let relay = mailbox_signer();
    let tell = |clock_s, lanes: &Lanes| {
        at(clock_s, &ledger, lanes, |stage| {
            for dead in stage.sweep(id(), false) {
                let told = stage.tell_dead(&dead, StoreEpoch::new(1), relay.as_ref());
                assert_eq!(told, Ok(()));
            }
        })
    };
    let told = tell(LETTER_AGE_S_MAX + 1, &filled(&ledger));
    assert!(told.actual.envelope(Slot::Lost).is_some());
    let silent = tell(LETTER_AGE_S_MAX * 3, &told);
    assert!(silent.actual.envelope(Slot::Lost).is_none());
}

#[test]
fn mailbox_of_a_withdrawn_device_is_dropped_by_the_next_sweep() {
    let admitted = ledger(|_| {}, Account::default());
    let lanes = filled(&admitted);
    let withdrawn = ledger(
        |admission| admission.is_withdrawn = true,
        Account::default(),
    );
    let swept = at(1, &withdrawn, &lanes, |stage| {
        assert_eq!(stage.sweep(id(), false), []);
    });
    assert_eq!(swept, Lanes::default());
    at(1, &withdrawn, &lanes, |stage| {
        let refused = stage.take_post(id(), Some(Plane::Actual), &report(1, 2), Proof::Session);
        assert_eq!(refused, Err(Reject::NotAdmitted));
    });
}

#[test]
fn memory_that_runs_short_takes_what_was_read_and_nothing_else() {
    let account = Account {
        arrivals: 3,
        cursor: 2,
        ..Account::default()
    };
    let ledger = ledger(|_| {}, account);
    let lanes = filled(&super::aging::ledger(|_| {}, Account::default()));
    let relieved = at(1, &ledger, &lanes, |stage| {
        assert_eq!(stage.sweep(id(), true), []);
    });
    let head = |lanes: &Lanes| lanes.actual.head();
    assert_eq!(head(&relieved), head(&lanes), "the mark stays");
    assert!(
        relieved.actual.envelope(Slot::Report).is_none(),
        "it was read"
    );
    assert!(
        relieved.actual.envelope(Slot::Evidence).is_some(),
        "it was not"
    );
    assert!(relieved.bytes() < lanes.bytes());
}

//= spec/relays.md#admission type=test
//# The time since the last contact with a writer MUST NOT close a mailbox; after 604800 s the quota
//# is a quarter of the one that the admission names.
#[test]
fn silence_of_the_writer_lowers_the_quota_to_a_quarter_and_closes_nothing() {
    let ledger = ledger(|_| {}, Account::default());
    let silence_s = ADMISSION_SILENCE_MS_MAX / 1_000;
    let check = |clock_s, expected: u64| {
        at(clock_s, &ledger, &Lanes::default(), |stage| {
            let admission = stage.admission(id()).unwrap().clone();
            let quota = stage.quota_bytes(&admission, Plane::Actual);
            assert_eq!(quota as u64, expected, "{clock_s}");
            let full = MailboxLimits::default().bytes_max;
            assert_eq!(stage.quota_bytes(&admission, Plane::Desired), full);
            let posted = stage.take_post(id(), Some(Plane::Actual), &report(1, 1), Proof::Session);
            assert!(posted.is_ok());
        });
    };
    check(0, QUOTA);
    check(silence_s - 1, QUOTA);
    check(silence_s, QUOTA / ADMISSION_SILENT_SHARE);
    check(u64::MAX / 2_000, QUOTA / ADMISSION_SILENT_SHARE);
}

#[test]
fn post_behind_a_change_of_admission_needs_its_own_signature() {
    let ledger = ledger(
        |admission| {
            admission.incarnation = postern_protocol::id::Incarnation::from_bytes([9; 16]);
        },
        Account::default(),
    );
    // The fixture's envelopes are about another domain and life: only the tag of a session of this
    // very admission could stand for them.
    for (proof, expected) in [
        (Proof::Session, Ok(())),
        (Proof::Signature, Err(Reject::SignatureInvalid)),
    ] {
        at(0, &ledger, &Lanes::default(), |stage| {
            let taken = stage.take_post(id(), Some(Plane::Actual), &report(1, 1), proof);
            assert_eq!(taken.map(|_| ()), expected);
        });
    }
}
