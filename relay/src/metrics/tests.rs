use super::{ConnectionRefusal, HttpRefusal, Metrics, Sample, to_text};
use postern_protocol::Reject;
use postern_protocol::frame::FrameType;
use std::collections::BTreeSet;

#[test]
fn snapshot_names_every_series_once() {
    let samples = Metrics::default().snapshot();
    let series: BTreeSet<_> = samples
        .iter()
        .map(|sample| (sample.name, sample.label))
        .collect();
    assert_eq!(series.len(), samples.len());
    let has_prefix = |name: &str| name.starts_with("postern_");
    assert!(samples.iter().all(|sample| has_prefix(sample.name)));
    assert!(samples.iter().all(|sample| sample.value == 0));
}

#[test]
fn refusals_counted_show_under_their_name_only() {
    let metrics = Metrics::default();
    metrics.rejected(Reject::SessionMac);
    metrics.rejected(Reject::SessionMac);
    metrics.exchange(FrameType::Poll);
    metrics.problem(HttpRefusal::ContentTooLarge);
    metrics.connection_refused(ConnectionRefusal::Full);
    let shown: Vec<_> = metrics
        .snapshot()
        .into_iter()
        .filter(|sample| sample.value != 0)
        .map(|sample| (sample.label.map(|(_, value)| value), sample.value))
        .collect();
    let expected = [
        (Some("session-mac"), 2),
        (Some("poll"), 1),
        (Some("content-too-large"), 1),
        (Some("full"), 1),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn text_names_each_metric_once() {
    let sample = |name, label, value| Sample { name, label, value };
    let samples = [
        sample("postern_a_total", Some(("event", "x")), 1),
        sample("postern_a_total", Some(("event", "y")), 2),
        sample("postern_b", None, 3),
    ];
    let expected = "# TYPE postern_a_total counter\n\
        postern_a_total{event=\"x\"} 1\n\
        postern_a_total{event=\"y\"} 2\n\
        # TYPE postern_b gauge\n\
        postern_b 3\n";
    assert_eq!(to_text(&samples), expected);
}
