//! What a start reads back: only rows that it knows, only values that their heads name.

use super::speech::{path, post_of, stored, write};
use crate::Reject;
use crate::device::{Device, Settings};
use crate::kind::MessageKind;
use crate::message::IntentOutcome;
use crate::record::{RecordError, Table};
use crate::revision::{LineageEntry, Revision};
use crate::state::{State, Value};
use crate::testing::{Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

/// Reads the device's store as a start does.
fn restore(lone: &Lone) -> Result<Device, RecordError> {
    Device::restore(
        lone.node.identity.clone(),
        lone.keys.trust(),
        Settings::default(),
        lone.node.store.rows(),
    )
}

fn refused(lone: &Lone) -> Option<Reject> {
    restore(lone).err().map(|error| error.reject)
}

#[test]
fn row_under_a_key_that_nobody_writes_is_passed_over() {
    for table in [
        Table::Heads,
        Table::Reports,
        Table::Evidence,
        Table::Envelopes,
        Table::Identity,
        Table::PlaneKeys,
    ] {
        let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
        let before = stored(&lone, Table::Envelopes, b"desired");
        lone.node
            .store
            .overwrite(table, b"zzz-later", Some(vec![0xff]));
        let engine = restore(&lone).unwrap();
        assert_eq!(engine.state(), &state(1), "{table:?}");
        assert_eq!(engine.key_generation(), None);
        assert_eq!(stored(&lone, Table::Envelopes, b"desired"), before);
    }
}

#[test]
fn row_under_a_known_key_that_cannot_be_read_is_damage() {
    for (table, key) in [
        (Table::Heads, &b"desired"[..]),
        (Table::Heads, b"frozen"),
        (Table::Heads, b"actual"),
        (Table::Reports, b"reporter"),
        (Table::Evidence, b"desired"),
        (Table::Identity, b"confirmed-key"),
        (Table::PlaneKeys, b"plane-keys"),
    ] {
        let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
        lone.node.store.overwrite(table, key, Some(vec![0xff]));
        let reject = refused(&lone);
        assert_eq!(reject, Some(Reject::CborIndefinite), "{table:?}");
    }
}

#[test]
fn values_without_the_head_that_names_them_are_damage() {
    for (table, key) in [(Table::Values, b"desired"), (Table::Actual, b"actual\0")] {
        let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
        write(&mut lone, "net/mtu", 1);
        let key = key.strip_suffix(b"\0").unwrap_or(key);
        assert_eq!(refused(&lone), None);
        lone.node.store.overwrite(Table::Heads, key, None);
        assert_eq!(refused(&lone), Some(Reject::DigestMismatch), "{table:?}");
    }
}

#[test]
fn device_with_keys_refuses_values_that_no_head_names() {
    let mut lone = super::encryption::keyed();
    assert_eq!(refused(&lone), None);
    let changed = Value::Int(9_u64.into());
    let mut writer = crate::cbor::Writer::new();
    changed.encode(&mut writer);
    let value = Some(writer.into_bytes());
    lone.node
        .store
        .overwrite(Table::Values, b"a/x", value.clone());
    assert_eq!(refused(&lone), Some(Reject::DigestMismatch));
    let mut lone = super::encryption::keyed();
    lone.node.store.overwrite(Table::Heads, b"desired", None);
    assert_eq!(refused(&lone), Some(Reject::DigestMismatch));
    let mut lone = super::encryption::keyed();
    lone.node.store.overwrite(Table::Actual, b"a/x", value);
    assert_eq!(refused(&lone), Some(Reject::DigestMismatch));
}

#[test]
fn device_with_keys_and_nothing_written_begins_its_plane_encrypted() {
    let mut lone = super::encryption::keyed();
    lone.restart();
    let engine = lone.node.engine.as_ref().unwrap();
    assert!(engine.actual().is_empty());
    assert!(engine.actual().digester().is_keyed());
}

#[test]
fn newest_envelope_is_the_proof_after_a_restart_too() {
    let mut lone = Lone::holding(&state(110), at(EPOCH, 110));
    let later = Some(vec![0xff]);
    lone.node
        .store
        .overwrite(Table::Envelopes, b"zzz-later", later);
    lone.restart();
    lone.connect();
    lone.take_reports();
    let lineage = vec![LineageEntry {
        last: at(EPOCH, 105),
        digest: *state(105).root(),
    }];
    let snapshot = lone.seal_snapshot(&state(106), at(EPOCH + 1, 1), lineage);
    lone.serve(&[snapshot]);
    let (_, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    let proofs = super::evidence::proofs_of(&lone, &envelope);
    assert_eq!(super::speech::header(&proofs[0]).seq.number(), 110);
}

/// Each refusal of an intent is noted once for its value, over restarts too.
#[test]
fn refusal_of_an_intent_that_was_noted_is_not_noted_after_a_restart() {
    let with = |value: Value| {
        let entries = [
            (path("a/x"), Value::Int(1_u64.into())),
            (path("intent/restart"), value),
        ];
        State::from_entries(entries).unwrap()
    };
    let number = |value: u64| Value::Int(value.into());
    for (value, outcome) in [
        (number(3), IntentOutcome::Lower),
        (number(7 + (1 << 20) + 1), IntentOutcome::Jump),
        (Value::Text("now".into()), IntentOutcome::NotUint),
    ] {
        let (before, after) = (with(number(7)), with(value));
        let mut lone = Lone::holding(&before, at(EPOCH, 5));
        let delta = lone.seal_step(&before, &after, 5, at(EPOCH, 6));
        lone.serve(&[delta]);
        lone.apply(0, "");
        lone.restart();
        lone.connect();
        let mut more: Vec<_> = after
            .iter()
            .map(|(path, it)| (path.clone(), it.clone()))
            .collect();
        more.push((path("b/y"), number(1)));
        let more = State::from_entries(more).unwrap();
        let delta = lone.seal_step(&after, &more, 6, at(EPOCH, 7));
        lone.serve(&[delta]);
        lone.apply(0, "");
        let noted = lone.node.events.iter().filter(|event| {
            matches!(event, crate::device::Event::IntentNoted { note } if note.outcome == outcome)
        });
        assert_eq!(noted.count(), 1, "{outcome:?}");
        assert_eq!(lone.node.acts, []);
    }
}

/// Reads the newest report that the device posted.
fn listed(lone: &mut Lone) -> Vec<i64> {
    let reports = lone.take_reports();
    let newest = reports.last().unwrap();
    let received = crate::envelope::ReceivedEnvelope::parse(newest).unwrap();
    let report = crate::message::Report::decode(received.unverified_payload()).unwrap();
    report.lists.results().iter().map(|it| it.status).collect()
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST repeat every list entry in each report until a report-ack covers a report that
//# held it.
#[test]
fn result_that_came_after_the_acknowledged_report_stays_listed() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.acknowledge();
    let number = |lone: &Lone| lone.node.engine.as_ref().unwrap().report_number();
    let earlier = number(&lone);
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(0, "");
    let between = number(&lone);
    assert!(between > earlier);
    lone.take_reports();
    let delta = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
    lone.serve(&[delta]);
    lone.apply(3, "broken");
    assert_eq!(listed(&mut lone), [3]);
    // What is acknowledged is the report before the failure.
    let ack = lone.seal_ack(between);
    lone.serve(&[ack]);
    let delta = lone.seal_step(&state(3), &state(4), 7, at(EPOCH, 8));
    lone.serve(&[delta]);
    lone.apply(0, "");
    assert_eq!(listed(&mut lone), [3]);
    let ack = lone.seal_ack(number(&lone));
    lone.serve(&[ack]);
    let delta = lone.seal_step(&state(4), &state(5), 8, at(EPOCH, 9));
    lone.serve(&[delta]);
    lone.apply(0, "");
    assert_eq!(listed(&mut lone), [0_i64; 0]);
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST take a report-ack of its current device epoch as covering every report up to that
//# rseq and all of lower device epochs.
#[test]
fn acknowledgement_of_nothing_new_covers_nothing() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.acknowledge();
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(3, "broken");
    let number = lone.node.engine.as_ref().unwrap().report_number();
    let by = |epoch: i64, seq: i64| {
        let epoch = number.epoch.number().checked_add_signed(epoch).unwrap();
        Revision::new(
            at(epoch, 1).epoch,
            at(1, number.seq.number().checked_add_signed(seq).unwrap()).seq,
        )
    };
    let acknowledged = |lone: &Lone| {
        let is_it = |event: &&crate::device::Event| {
            matches!(event, crate::device::Event::ReportAcknowledged { .. })
        };
        lone.node.events.iter().filter(is_it).count()
    };
    let before = acknowledged(&lone);
    for stale in [by(-1, 0), by(-1, 9), by(0, 1), by(0, 9), by(0, -1)] {
        let ack = lone.seal_ack(stale);
        lone.serve(&[ack]);
        assert_eq!(acknowledged(&lone), before, "{stale}");
    }
    let ack = lone.seal_ack(number);
    lone.serve(&[ack]);
    assert_eq!(acknowledged(&lone), before + 1);
}
