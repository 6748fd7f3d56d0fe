//! The documents are of the promised size, and what is published about a parameter holds.

use super::document::{manifest, status, text};
use super::parameter;

#[test]
fn document_has_about_2400_bytes_turned_or_not() {
    let length = text(1, false).len();
    assert!((2_300..=2_500).contains(&length), "{length}");
    assert_eq!(length, text(1, true).len());
    assert_ne!(text(1, false), text(1, true));
}

#[test]
fn manifest_grows_with_every_deployment() {
    let lengths = [1, 10, 100].map(|count| manifest(count, false).len());
    let per_deployment = (lengths[2] - lengths[1]) / 90;
    assert!((250..=330).contains(&per_deployment), "{lengths:?}");
    assert!((300..=450).contains(&status().len()), "{}", status().len());
}

#[test]
fn parameter_costs_no_more_on_a_device_with_a_hundred_deployments() {
    let rows = parameter::measure().unwrap();
    let values = |what: &str| -> Vec<f64> {
        let of = rows.iter().filter(|row| row.name.ends_with(what));
        of.filter_map(|row| row.value).collect()
    };
    let frames = values("all frames of the push");
    assert_eq!(frames.len(), 3);
    assert!(frames.iter().all(|bytes| *bytes == frames[0]), "{frames:?}");
    assert!(rows.iter().all(|row| row.ok() != Some(false)), "{rows:?}");
}
