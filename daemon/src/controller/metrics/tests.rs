use super::{Counted, EventCounts};
use postern_protocol::Reject;
use postern_protocol::controller::{Event, Ticket};
use postern_protocol::id::ChannelId;
use std::collections::BTreeSet;

const CHANNEL: ChannelId = ChannelId::from_bytes([7; 16]);

fn counted(event: &Event) -> Vec<&'static str> {
    let counts = EventCounts::default();
    counts.count(event, 0);
    let raised = counts.samples().filter(|sample| sample.value > 0);
    raised
        .filter_map(|sample| sample.label)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn event_counts_as_exactly_one_kind() {
    let check = |event: Event, expected: &str| assert_eq!(counted(&event), [expected]);
    let channel = CHANNEL;
    let evidence = |code| Event::EvidenceKept {
        channel,
        code,
        is_proven: false,
    };
    check(evidence(Reject::WriterBehind), "evidence-writer-behind");
    check(evidence(Reject::Equivocation), "evidence-equivocation");
    let freshness = |is_stale| Event::FreshnessChanged { channel, is_stale };
    check(freshness(true), "became-stale");
    check(freshness(false), "became-fresh");
    check(Event::Left { channel }, "left");
    let reject = Reject::Quota;
    check(Event::Rejected { channel, reject }, "rejected");
    let ticket = Ticket(1);
    check(Event::Refused { ticket, reject }, "refused");
}

#[test]
fn labels_are_unique() {
    let labels: BTreeSet<_> = Counted::ALL.map(Counted::as_str).into_iter().collect();
    assert_eq!(labels.len(), Counted::ALL.len());
}
