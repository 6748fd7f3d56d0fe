//! Reports: numbered, cumulative, resent until a signature says that they are held.

use crate::Reject;
use crate::device::Input;
use crate::envelope::{Binding, Expected, ReceivedEnvelope};
use crate::frame::FrameType;
use crate::id::Plane;
use crate::key::Signer as _;
use crate::kind::Role;
use crate::message::{PlaneMessage, Report};
use crate::revision::Revision;
use crate::state::State;
use crate::testing::{Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

/// Verifies a report as the controller does.
fn read(lone: &Lone, envelope: &[u8]) -> (Revision, Report) {
    let expected = Expected {
        role: Role::Device,
        plane: Some(Plane::Actual),
    };
    let binding = Binding::Device {
        channel: &lone.node.identity.channel,
        incarnation: lone.node.identity.incarnation,
    };
    let received = ReceivedEnvelope::parse(envelope).unwrap();
    let key = lone.node.signer.public_key();
    let verified = received
        .verify(expected, binding, [key], |_| false)
        .unwrap();
    let header = verified.header();
    let Ok(PlaneMessage::Report(report)) = PlaneMessage::decode(&verified) else {
        panic!("a report");
    };
    (Revision::new(header.epoch, header.seq), report)
}

fn newest(lone: &mut Lone) -> (Revision, Report) {
    let reports = lone.take_reports();
    read(lone, reports.last().expect("a report is due"))
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST number its reports (device epoch, rseq) ascending within its incarnation.
//= spec/postern.md#reports-and-acks type=test
//# A device MUST open a new device epoch by the rules of #epochs, from the reports it has stored.
//= spec/postern.md#reports-and-acks type=test
//# A device MUST NOT sign two different reports under one number.
#[test]
fn start_is_reported_in_an_epoch_of_its_own() {
    let mut lone = Lone::new();
    lone.connect();
    let (first, report) = newest(&mut lone);
    assert_eq!(report, Report::default());
    assert_eq!(first.seq.number(), 1);
    lone.restart();
    lone.connect();
    let (second, _) = newest(&mut lone);
    assert!(second.epoch > first.epoch);
    assert_eq!(second.seq.number(), 1);
}

//= spec/postern.md#report type=test
//# A device MUST NOT raise the applied cursor before its application has finished with that
//# revision.
#[test]
fn applied_revision_is_reported_with_its_digest() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    assert!(lone.take_reports().is_empty(), "not applied yet");
    lone.apply(0, "");
    let (_, report) = newest(&mut lone);
    assert_eq!(report.applied, at(EPOCH, 6));
    assert_eq!(report.received, report.applied);
    assert!(report.lists.is_empty());
}

#[test]
fn revisions_that_come_together_are_applied_as_the_newest() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let one = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    let two = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
    lone.serve(&[one, two]);
    assert_eq!(lone.applies, [at(EPOCH, 7)]);
    lone.apply(0, "");
    assert_eq!(newest(&mut lone).1.applied, at(EPOCH, 7));
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST repeat every list entry in each report until a report-ack covers a report that
//# held it.
#[test]
fn failure_is_reported_until_acknowledged() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(3, "no such unit");
    let (_, failed) = newest(&mut lone);
    assert_eq!(failed.applied, at(EPOCH, 5));
    assert_eq!(failed.lists.results()[0].status, 3);
    let delta = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
    lone.serve(&[delta]);
    lone.apply(0, "");
    let (number, later) = newest(&mut lone);
    assert_eq!(later.applied, at(EPOCH, 7));
    assert_eq!(later.lists, failed.lists, "a later success hides nothing");
    let ack = lone.seal_ack(number);
    lone.serve(&[ack]);
    let delta = lone.seal_step(&state(3), &state(4), 7, at(EPOCH, 8));
    lone.serve(&[delta]);
    lone.apply(0, "");
    assert!(newest(&mut lone).1.lists.is_empty());
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST repeat every list entry in each report until a report-ack covers a report that
//# held it.
#[test]
fn acknowledgement_of_an_earlier_report_keeps_what_came_after() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let early = lone.node.engine.as_ref().unwrap().report_number();
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(3, "broken");
    let ack = lone.seal_ack(early);
    lone.serve(&[ack]);
    assert_eq!(newest(&mut lone).1.lists.results().len(), 1);
}

#[test]
fn acknowledgement_that_comes_twice_does_not_pause_polls() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(0, "");
    let (number, _) = newest(&mut lone);
    let ack = lone.seal_ack(number);
    lone.serve(core::slice::from_ref(&ack));
    lone.serve(&[ack]);
    assert!(lone.poll().is_some(), "the next poll starts at once");
}

#[test]
fn unacknowledged_lists_survive_a_restart() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(3, "broken");
    lone.restart();
    lone.connect();
    assert_eq!(newest(&mut lone).1.lists.results()[0].status, 3);
}

//= spec/postern.md#acceptance type=test
//# A device MUST NOT list a refusal again that its report holds, nor one of the last 16 that
//# were acknowledged in the same session.
#[test]
fn refusal_that_was_acknowledged_is_listed_again_in_another_session_only() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let stale = lone.seal_snapshot(&state(9), at(EPOCH - 1, 9), vec![]);
    lone.serve(core::slice::from_ref(&stale));
    let (number, first) = newest(&mut lone);
    assert_eq!(first.lists.rejects().len(), 1);
    let ack = lone.seal_ack(number);
    lone.serve(&[ack, stale.clone()]);
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(0, "");
    assert!(newest(&mut lone).1.lists.is_empty());
    lone.input(Input::OtherMailbox);
    lone.connect();
    lone.serve(&[stale]);
    assert_eq!(newest(&mut lone).1.lists.rejects().len(), 1);
}

//= spec/postern.md#acceptance type=test
//# For the outcome *refuse* a reader MUST count the reject and list it in its report.
#[test]
fn refusal_is_reported_once_however_often_it_comes() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let stale = lone.seal_snapshot(&state(9), at(EPOCH - 1, 9), vec![]);
    let older = lone.seal_snapshot(&state(9), at(EPOCH - 1, 8), vec![]);
    let before = lone.node.store.commits();
    for _ in 0..5 {
        lone.serve(&[stale.clone(), older.clone()]);
    }
    let (_, report) = newest(&mut lone);
    let codes: Vec<_> = report
        .lists
        .rejects()
        .iter()
        .map(|it| it.reject())
        .collect();
    assert_eq!(codes, [Some(Reject::EpochStale), Some(Reject::EpochStale)]);
    assert!(lone.node.store.commits() - before <= 2);
}

#[test]
fn many_refusals_in_one_answer_are_one_report() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let many: Vec<_> = (1..=40)
        .map(|seq| lone.seal_snapshot(&state(9), at(EPOCH - 1, seq), vec![]))
        .collect();
    let (before, number) = (lone.node.store.commits(), newest_number(&lone));
    lone.serve(&many);
    assert_eq!(lone.node.store.commits() - before, 1);
    assert_eq!(newest_number(&lone), number + 1);
    let (_, report) = newest(&mut lone);
    assert_eq!(report.lists.rejects().len(), 16);
    assert_eq!(report.lists.lost().rejects, 24);
}

fn newest_number(lone: &Lone) -> u64 {
    lone.node
        .engine
        .as_ref()
        .unwrap()
        .report_number()
        .seq
        .number()
}

//= spec/postern.md#acceptance type=test
//# A reader MUST report the range from stored seq + 1 to seq - 1 as superseded when it accepts by
//# row 17 and the range is not empty.
#[test]
fn passed_over_decisions_are_reported() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.bring(&state(2), at(EPOCH, 9));
    lone.restart();
    lone.connect();
    let (_, report) = newest(&mut lone);
    let range = report.lists.superseded()[0];
    assert_eq!((range.first.number(), range.last.number()), (6, 8));
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST take a report-ack of its current device epoch as covering every report up to that
//# rseq and all of lower device epochs.
//= spec/postern.md#post type=test
//# An item of a post that is not refused is stored; a device MUST NOT take this as acknowledgement
//# of a report.
#[test]
fn report_is_sent_again_until_it_is_held() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    assert!(lone.take_reports().is_empty());
    lone.run(61_000);
    assert_eq!(lone.take_reports().len(), 1);
    let ack = lone.seal_ack_of_newest();
    lone.serve(&[ack]);
    lone.run(300_000);
    assert!(lone.request(FrameType::Post).is_none());
}

#[test]
fn report_sealed_while_another_is_under_way_is_sent_at_once() {
    let mut lone = Lone::new();
    lone.connect();
    let under_way = lone.request(FrameType::Post).unwrap();
    let snapshot = lone.seal_snapshot(&state(1), at(EPOCH, 5), vec![]);
    lone.serve(&[snapshot]);
    lone.answer(&under_way, &[]);
    lone.serve_bodies(&state(1));
    let again = lone.request(FrameType::Post);
    assert!(again.is_none(), "nothing new to say yet");
    lone.run(61_000);
    let under_way = lone.request(FrameType::Post).unwrap();
    lone.apply(0, "");
    lone.answer(&under_way, &[]);
    assert!(lone.request(FrameType::Post).is_some());
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST take a report-ack of its current device epoch as covering every report up to that
//# rseq and all of lower device epochs.
#[test]
fn forged_and_foreign_acknowledgements_change_nothing() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let number = lone.node.engine.as_ref().unwrap().report_number();
    let future = lone.seal_ack(Revision::new(number.epoch, number.seq.next().unwrap()));
    let other_epoch = lone.seal_ack(at(number.epoch.number() - 1, number.seq.number()));
    lone.serve(&[future]);
    lone.serve(&[other_epoch]);
    lone.run(61_000);
    assert_eq!(lone.take_reports().len(), 1, "still unacknowledged");
}

//= spec/postern.md#report type=test
//# A device MUST hand the newest accepted revision to its application again after a restart,
//# unless it was applied.
#[test]
fn application_is_asked_again_after_a_restart_until_it_succeeds() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(1, "no");
    lone.restart();
    assert_eq!(lone.applies, [at(EPOCH, 6)]);
    lone.apply(0, "");
    lone.restart();
    assert_eq!(lone.applies, []);
}

#[test]
fn failed_application_is_tried_again_later_and_later() {
    let mut lone = Lone::new();
    lone.connect();
    let snapshot = lone.seal_snapshot(&state(1), at(EPOCH, 5), vec![]);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&state(1));
    let mut waits = Vec::new();
    for _ in 0..4 {
        lone.apply(1, "no");
        let start = lone.now_ms;
        while lone.applies.is_empty() {
            lone.run(1_000);
        }
        waits.push((lone.now_ms - start) / 1_000);
    }
    assert_eq!(waits, [30, 60, 120, 240]);
    lone.apply(0, "");
    assert_eq!(lone.node.engine.as_ref().unwrap().applied(), at(EPOCH, 5));
}

#[test]
fn report_sealed_while_another_was_under_way_follows_at_once() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(0, "");
    let under_way = lone.request(FrameType::Post).expect("a report is posted");
    let delta = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
    lone.serve(&[delta]);
    lone.apply(0, "");
    lone.answer(&under_way, &[]);
    assert_eq!(newest(&mut lone).1.applied, at(EPOCH, 7));
}

//= spec/postern.md#acceptance type=test
//# For the outcome *need* a reader MUST count the reject and ask for a snapshot (#need), and not
//# list the reject in its report.
#[test]
fn revision_that_needs_a_snapshot_is_not_reported_as_refused() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let ahead = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
    lone.serve(&[ahead]);
    assert_eq!(lone.rejects(), [Reject::BaseNewer]);
    assert!(lone.take_reports().is_empty());
    lone.restart();
    lone.connect();
    assert!(newest(&mut lone).1.lists.is_empty());
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST NOT list an envelope in its report before that envelope's signature has verified.
#[test]
fn envelope_that_does_not_verify_is_not_reported_as_refused() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let mut forged = lone.seal_snapshot(&state(9), at(EPOCH - 1, 9), vec![]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let headless = vec![0x84, 0x40, 0xa0, 0x40, 0x40];
    lone.serve(&[forged, headless]);
    let expected = [Reject::SignatureInvalid, Reject::CborTruncated];
    assert_eq!(lone.rejects(), expected);
    assert!(lone.take_reports().is_empty());
    lone.restart();
    lone.connect();
    assert!(newest(&mut lone).1.lists.is_empty());
}

/// What stands in the results of the newest report.
fn results(lone: &mut Lone) -> Vec<(u64, i64, alloc::string::String)> {
    let results = newest(lone).1.lists;
    let results = results.results().iter();
    results
        .map(|one| (one.revision.seq.number(), one.status, one.output.clone()))
        .collect()
}

#[test]
fn result_is_listed_once_for_each_revision_status_and_output() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    let mut expected = Vec::new();
    for (status, output, is_news) in [
        (3, "a", true),
        (3, "a", false),
        (4, "a", true),
        (4, "b", true),
        (4, "b", false),
        (4, "", true),
    ] {
        while lone.applies.is_empty() {
            lone.run(10_000);
        }
        lone.apply(status, output);
        if is_news {
            expected.push((6, status, output.into()));
        }
    }
    let delta = lone.seal_step(&state(2), &state(3), 6, at(EPOCH, 7));
    lone.serve(&[delta]);
    lone.apply(4, "");
    expected.push((7, 4, "".into()));
    // A success is told with what it said, and a silent one is no result.
    let delta = lone.seal_step(&state(3), &state(4), 7, at(EPOCH, 8));
    lone.serve(&[delta]);
    lone.apply(0, "said");
    expected.push((8, 0, "said".into()));
    let delta = lone.seal_step(&state(4), &state(5), 8, at(EPOCH, 9));
    lone.serve(&[delta]);
    lone.apply(0, "");
    assert_eq!(results(&mut lone), expected);
}

#[test]
fn new_session_of_a_device_that_owes_nothing_is_no_news() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.acknowledge();
    let number = newest_number(&lone);
    for _ in 0..3 {
        lone.input(Input::OtherMailbox);
        lone.connect();
        assert_eq!(newest_number(&lone), number);
        assert!(lone.take_reports().is_empty());
    }
}
