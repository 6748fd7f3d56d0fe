use super::{samples, text};
use crate::health::{Health, Moment};
use crate::operable::Operable;
use crate::operable::memory::InMemory;
use postern_protocol::key::MemorySigner;
use postern_relay::exchange::ExchangeLimits;
use postern_relay::server::Mailbox;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The names of everything that a running relay shows.
fn shown() -> BTreeSet<&'static str> {
    let signer = Arc::new(MemorySigner::from_seed(&[1; 32]));
    let mailbox = Mailbox::new(signer, ExchangeLimits::default()).unwrap();
    let server = mailbox.snapshot().into_iter().map(|sample| sample.name);
    let (relay, health) = relay();
    let own = samples(relay.as_ref(), &health)
        .into_iter()
        .map(|sample| sample.name);
    server.chain(own).collect()
}

fn relay() -> (Arc<dyn Operable>, Health) {
    let relay: Arc<dyn Operable> = Arc::new(InMemory::with(&[("plant-1", &["press-1"])]));
    assert!(relay.set_quota("plant-1", Some(4_000)).is_ok());
    let now = Moment {
        mono_ms: 0,
        unix_s: Some(1_795_831_800),
    };
    let health = Health::new(Arc::clone(&relay), now);
    (relay, health)
}

/// Every name of a metric in a page.
fn named(page: &str) -> BTreeSet<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = page.split(|letter| !is_part(letter));
    words.filter(|word| word.starts_with("postern_")).collect()
}

#[test]
fn alerts_dashboard_and_readme_name_only_metrics_that_exist() {
    let shown = shown();
    for (file, page) in [
        ("alerts.yml", include_str!("../../../monitoring/alerts.yml")),
        (
            "dashboard.json",
            include_str!("../../../monitoring/dashboard.json"),
        ),
        ("README.md", include_str!("../../../README.md")),
    ] {
        let unknown: Vec<_> = named(page)
            .into_iter()
            .filter(|name| !shown.contains(name))
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn readme_and_dashboard_leave_no_metric_out() {
    for (file, page) in [
        (
            "dashboard.json",
            include_str!("../../../monitoring/dashboard.json"),
        ),
        ("README.md", include_str!("../../../README.md")),
    ] {
        let named = named(page);
        let missing: Vec<_> = shown()
            .into_iter()
            .filter(|name| !named.contains(name))
            .collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

#[test]
fn labels_in_alerts_are_values_that_exist() {
    let (relay, health) = relay();
    let labels: BTreeSet<String> = samples(relay.as_ref(), &health)
        .into_iter()
        .filter_map(|sample| sample.label)
        .map(|(label, value)| format!("{label} {value}"))
        .collect();
    let alerts = include_str!("../../../monitoring/alerts.yml");
    for label in ["reason", "kind", "check", "result"] {
        for operator in ["=\"", "=~\""] {
            for rest in alerts.split(&format!("{{{label}{operator}")).skip(1) {
                for value in rest.split('"').next().unwrap().split('|') {
                    assert!(
                        labels.contains(&format!("{label} {value}")),
                        "{label} {value}"
                    );
                }
            }
        }
    }
}

#[test]
fn alerts_name_headings_of_the_runbook() {
    let readme = include_str!("../../../README.md");
    let headings: BTreeSet<String> = readme
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-")
        })
        .collect();
    let alerts = include_str!("../../../monitoring/alerts.yml");
    for rest in alerts.split("relay/README.md#").skip(1) {
        let anchor = rest.split('"').next().unwrap();
        assert!(headings.contains(anchor), "{anchor}");
    }
}

#[test]
fn text_names_no_tenant_and_no_device_and_each_metric_once() {
    let (relay, health) = relay();
    let text = text(relay.as_ref(), &health);
    assert!(!text.contains("plant-1") && !text.contains("press-1"));
    let types: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .collect();
    let unique: BTreeSet<_> = types.iter().collect();
    assert_eq!(unique.len(), types.len());
}
