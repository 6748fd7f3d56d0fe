//! How long a decision takes to be applied: from its commit here to the report that shows it.
//!
//! Both moments are read from this machine's clock that counts intervals, so no clock of a device matters. A device
//! that is away counts with all of its absence. Refuses to follow more decisions than its bounds: those are counted
//! as unmeasured. What waits when this process ends is never measured.

use postern_protocol::controller::Event;
use postern_protocol::id::ChannelId;
use postern_protocol::message::Report;
use postern_protocol::revision::Revision;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Devices that are followed at once, each some hundred bytes. Arbitrary: half a megabyte.
const DEVICES_MAX: usize = 4_096;
/// Decisions of one device that are followed at once. Arbitrary: a burst; one report ends them all.
const DECISIONS_MAX: usize = 8;
/// Bounds of the buckets, in milliseconds: a push in milliseconds, held polls below two minutes, devices that are away.
const BUCKETS_MS: [u64; 9] = [
    10, 50, 250, 1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000,
];

/// See the head of this module.
#[derive(Debug, Default)]
pub struct PushLatency(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Of each device, the oldest first.
    waiting: BTreeMap<ChannelId, VecDeque<Waiting>>,
    accepted: Histogram,
    applied: Histogram,
    unmeasured: u64,
}

#[derive(Debug, Default)]
struct Histogram {
    /// How many took no longer than the bound at the same place.
    buckets: [u64; BUCKETS_MS.len()],
    count: u64,
    sum_ms: u64,
}

impl Histogram {
    fn add(&mut self, took_ms: u64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(BUCKETS_MS) {
            *bucket += u64::from(took_ms <= bound);
        }
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(took_ms);
    }

    fn write(&self, text: &mut String, stage: &str) {
        let name = "postern_push_seconds";
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        for (bound, count) in BUCKETS_MS.iter().zip(self.buckets) {
            let bound = seconds(*bound);
            let _infallible = writeln!(
                text,
                "{name}_bucket{{stage=\"{stage}\",le=\"{bound}\"}} {count}"
            );
        }
        let (count, sum) = (self.count, seconds(self.sum_ms));
        let _infallible = write!(
            text,
            "{name}_bucket{{stage=\"{stage}\",le=\"+Inf\"}} {count}\n\
             {name}_sum{{stage=\"{stage}\"}} {sum}\n{name}_count{{stage=\"{stage}\"}} {count}\n"
        );
    }
}

/// A decision that its device has not applied yet.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    revision: Revision,
    /// When it was committed, by the clock that counts intervals.
    at_ms: u64,
    is_accepted: bool,
}

impl PushLatency {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves numbers usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event whose writes are committed.
    pub(super) fn note(&self, event: &Event, now_ms: u64) {
        match event {
            Event::Decided {
                channel,
                revision,
                is_change: true,
                ..
            } => self.lock().handle_decided(*channel, *revision, now_ms),
            Event::Reported {
                channel, report, ..
            } => self.lock().handle_report(*channel, report, now_ms),
            Event::Left { channel } | Event::Removed { channel, .. } => {
                self.lock().forget(*channel);
            }
            Event::Decided {
                is_change: false, ..
            }
            | Event::Started { .. }
            | Event::Invited { .. }
            | Event::Withdrawn { .. }
            | Event::Intended { .. }
            | Event::Refused { .. }
            | Event::Enrolled { .. }
            | Event::ActualAccepted { .. }
            | Event::Behind { .. }
            | Event::Recovered { .. }
            | Event::Cloned { .. }
            | Event::EvidenceKept { .. }
            | Event::KeyRotated { .. }
            | Event::FreshnessChanged { .. }
            | Event::Receipt { .. }
            | Event::Lost { .. }
            | Event::Refilled { .. }
            | Event::BundleAccepted { .. }
            | Event::Encrypted { .. }
            | Event::Rejected { .. } => {}
        }
    }

    /// Returns the histograms as Prometheus text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let inner = self.lock();
        let mut text = String::from("# TYPE postern_push_seconds histogram\n");
        inner.accepted.write(&mut text, "accepted");
        inner.applied.write(&mut text, "applied");
        let waiting: usize = inner.waiting.values().map(VecDeque::len).sum();
        let _infallible = write!(
            text,
            "# TYPE postern_push_waiting gauge\npostern_push_waiting {waiting}\n\
             # TYPE postern_push_unmeasured_total counter\npostern_push_unmeasured_total {}\n",
            inner.unmeasured
        );
        text
    }
}

impl Inner {
    fn handle_decided(&mut self, channel: ChannelId, revision: Revision, now_ms: u64) {
        let is_known = self.waiting.contains_key(&channel);
        if !is_known && self.waiting.len() >= DEVICES_MAX {
            self.unmeasured += 1;
            return;
        }
        let queue = self.waiting.entry(channel).or_default();
        if queue.len() >= DECISIONS_MAX {
            self.unmeasured += 1;
            return;
        }
        queue.push_back(Waiting {
            revision,
            at_ms: now_ms,
            is_accepted: false,
        });
    }

    fn handle_report(&mut self, channel: ChannelId, report: &Report, now_ms: u64) {
        let Some(mut queue) = self.waiting.remove(&channel) else {
            return;
        };
        queue.retain_mut(|one| self.is_waiting_after(one, report, now_ms));
        if !queue.is_empty() {
            self.waiting.insert(channel, queue);
        }
    }

    fn is_waiting_after(&mut self, one: &mut Waiting, report: &Report, now_ms: u64) -> bool {
        let took_ms = now_ms.saturating_sub(one.at_ms);
        if report.accepted >= one.revision && !one.is_accepted {
            one.is_accepted = true;
            self.accepted.add(took_ms);
        }
        if report.applied >= one.revision {
            self.applied.add(took_ms);
            return false;
        }
        let mut notes = report.lists.results().iter();
        let has_failed = notes.any(|note| note.status != 0 && note.revision >= one.revision);
        self.unmeasured += u64::from(has_failed);
        !has_failed
    }

    fn forget(&mut self, channel: ChannelId) {
        let gone = self.waiting.remove(&channel).unwrap_or_default();
        self.unmeasured += u64::try_from(gone.len()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_protocol::controller::{Ack, Ticket};
    use postern_protocol::id::Digest;
    use postern_protocol::revision::{Epoch, Seq};

    fn revision(seq: u64) -> Revision {
        Revision::new(Epoch::new(1), Seq::new(seq))
    }

    fn channel(number: u64) -> ChannelId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        ChannelId::from_bytes(bytes)
    }

    fn decided(device: u64, seq: u64, is_change: bool) -> Event {
        Event::Decided {
            ticket: Ticket(1),
            channel: channel(device),
            revision: revision(seq),
            digest: Digest::from_bytes([0; 32]),
            is_change,
        }
    }

    fn reported(device: u64, report: Report) -> Event {
        let ack = Ack {
            epoch: report.received.epoch,
            rseq: report.received.seq,
        };
        Event::Reported {
            channel: channel(device),
            ack,
            report,
        }
    }

    fn report(accepted: u64, applied: u64) -> Report {
        Report {
            received: revision(accepted),
            accepted: revision(accepted),
            applied: revision(applied),
            ..Report::default()
        }
    }

    /// Received and accepted 1.2, applied 1.1; 1.2 ended with this status.
    fn ended(status: u8) -> Report {
        let payload = [
            0x87, 1, 2, 1, 2, 1, 1, 0xa1, 2, 0x81, 0x84, 1, 2, status, 0x60,
        ];
        Report::decode(&payload).unwrap()
    }

    fn check(latency: &PushLatency, lines: &[&str]) {
        let text = latency.to_text();
        for line in lines {
            assert!(
                text.lines().any(|one| one == *line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn decision_counts_once_when_it_was_accepted_and_once_when_it_was_applied() {
        let latency = PushLatency::default();
        latency.note(&decided(1, 2, true), 1_000);
        latency.note(&reported(1, report(2, 1)), 1_040);
        latency.note(&reported(1, report(2, 1)), 1_050);
        check(&latency, &["postern_push_waiting 1"]);
        latency.note(&reported(1, report(2, 2)), 3_500);
        latency.note(&reported(1, report(2, 2)), 9_000);
        check(
            &latency,
            &[
                "postern_push_seconds_bucket{stage=\"accepted\",le=\"0.010\"} 0",
                "postern_push_seconds_bucket{stage=\"accepted\",le=\"0.050\"} 1",
                "postern_push_seconds_bucket{stage=\"accepted\",le=\"+Inf\"} 1",
                "postern_push_seconds_bucket{stage=\"applied\",le=\"1.000\"} 0",
                "postern_push_seconds_bucket{stage=\"applied\",le=\"5.000\"} 1",
                "postern_push_seconds_sum{stage=\"applied\"} 2.500",
                "postern_push_seconds_count{stage=\"applied\"} 1",
                "postern_push_waiting 0",
                "postern_push_unmeasured_total 0",
            ],
        );
    }

    #[test]
    fn report_of_a_later_revision_ends_all_that_wait_before_it() {
        let latency = PushLatency::default();
        for seq in 2..5 {
            latency.note(&decided(1, seq, true), seq * 1_000);
        }
        latency.note(&reported(1, report(3, 3)), 5_000);
        check(
            &latency,
            &[
                "postern_push_seconds_sum{stage=\"applied\"} 5.000",
                "postern_push_seconds_count{stage=\"applied\"} 2",
                "postern_push_waiting 1",
            ],
        );
    }

    #[test]
    fn what_is_no_change_or_another_devices_counts_nothing() {
        let latency = PushLatency::default();
        latency.note(&decided(1, 2, false), 0);
        check(&latency, &["postern_push_waiting 0"]);
        latency.note(&decided(1, 2, true), 0);
        latency.note(&reported(2, report(9, 9)), 10);
        latency.note(&reported(1, report(1, 1)), 10);
        check(
            &latency,
            &[
                "postern_push_seconds_count{stage=\"accepted\"} 0",
                "postern_push_seconds_count{stage=\"applied\"} 0",
                "postern_push_waiting 1",
            ],
        );
    }

    #[test]
    fn decision_that_fails_on_its_device_is_not_measured_as_applied() {
        let latency = PushLatency::default();
        latency.note(&decided(1, 2, true), 0);
        latency.note(&reported(1, ended(0)), 10);
        check(&latency, &["postern_push_waiting 1"]);
        latency.note(&reported(1, ended(1)), 20);
        latency.note(&reported(1, report(3, 3)), 9_000);
        check(
            &latency,
            &[
                "postern_push_seconds_count{stage=\"accepted\"} 1",
                "postern_push_seconds_count{stage=\"applied\"} 0",
                "postern_push_waiting 0",
                "postern_push_unmeasured_total 1",
            ],
        );
    }

    #[test]
    fn device_that_left_or_was_removed_is_waited_for_no_more() {
        let latency = PushLatency::default();
        latency.note(&decided(1, 2, true), 0);
        latency.note(&decided(2, 2, true), 0);
        let channel = channel(1);
        latency.note(&Event::Left { channel }, 10);
        check(
            &latency,
            &["postern_push_waiting 1", "postern_push_unmeasured_total 1"],
        );
        latency.note(&reported(1, report(2, 2)), 20);
        check(
            &latency,
            &["postern_push_seconds_count{stage=\"applied\"} 0"],
        );
    }

    #[test]
    fn what_waits_is_bounded_by_device_and_in_all() {
        let latency = PushLatency::default();
        for seq in 2..20 {
            latency.note(&decided(0, seq, true), 0);
        }
        let kept = DECISIONS_MAX as u64;
        assert_eq!(latency.lock().unmeasured, 18 - kept);
        let devices = DEVICES_MAX as u64;
        for device in 1..devices + 10 {
            latency.note(&decided(device, 2, true), 0);
        }
        let inner = latency.lock();
        assert_eq!(inner.waiting.len(), DEVICES_MAX);
        assert_eq!(inner.unmeasured, 18 - kept + 10);
    }
}
