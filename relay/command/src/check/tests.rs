use super::machine::{Machine, allowed_bytes, findings as machine_findings};
use super::{Finding, Weight};
use crate::config::{Limit, NewRelay, RelayConfig, template};
use postern_console::certificate;
use postern_egress::LeafReport;
use postern_protocol::id::Thumbprint;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::Path;

fn config() -> RelayConfig {
    let text = template(&NewRelay {
        listen: "127.0.0.1:8443".parse().unwrap(),
        urls: &["https://relay.example".into()],
        cert: "c",
        key: "k",
        ca: None,
        root: Thumbprint::from_bytes([1; 32]),
        recovery: Thumbprint::from_bytes([2; 32]),
        upstream: None,
        admin_listen: "127.0.0.1:1".parse().unwrap(),
    });
    RelayConfig::parse(Path::new("r"), Path::new("r/relay.toml"), &text).unwrap()
}

fn weights(
    config: &RelayConfig,
    memory: Option<u64>,
    files: Option<u64>,
) -> Vec<(&'static str, Weight)> {
    let machine = Machine {
        memory_bytes: memory,
        files_max: files,
    };
    let found = machine_findings(config, &machine).into_iter();
    found
        .map(|Finding { about, weight, .. }| (about, weight))
        .collect()
}

#[test]
fn limits_that_fit_the_machine_are_fine() {
    let config = config();
    let all = weights(&config, Some(4 << 30), Some(262_144));
    assert!(
        all.iter().all(|(_, weight)| *weight == Weight::Fine),
        "{all:?}"
    );
    let unknown = weights(&config, None, None);
    assert!(
        unknown.iter().all(|(_, weight)| *weight == Weight::Fine),
        "{unknown:?}"
    );
}

#[test]
fn limits_above_the_machine_are_errors_and_close_ones_warnings() {
    let config = config();
    let allowed = allowed_bytes(&config);
    let of = |memory, files| weights(&config, Some(memory), Some(files));
    assert_eq!(of(allowed - 1, 262_144)[0], ("memory", Weight::Error));
    assert_eq!(of(allowed + 1, 262_144)[0], ("memory", Weight::Warning));
    assert_eq!(of(4 << 30, 1_024)[1], ("files", Weight::Error));
    assert_eq!(of(4 << 30, 20_127)[1], ("files", Weight::Error));
    assert_eq!(of(4 << 30, 20_128)[1], ("files", Weight::Fine));
}

#[test]
fn limits_that_contradict_each_other_are_warned_of() {
    let mut config = config();
    config.limits.set(Limit::Holds, 20_001);
    let machine = Machine {
        memory_bytes: None,
        files_max: None,
    };
    let found = machine_findings(&config, &machine);
    assert_eq!(found[2].weight, Weight::Warning);
    assert_eq!(
        found[2].found,
        "server.holds_max is above server.connections_max"
    );
}

#[test]
fn budget_bounds_what_all_limits_allow_together() {
    let mut config = config();
    let usual = allowed_bytes(&config);
    config.limits.set(Limit::BudgetBytes, 256 << 20);
    assert!(allowed_bytes(&config) < usual);
    let memory = weights(&config, Some(1 << 30), Some(262_144));
    assert_eq!(memory[0], ("memory", Weight::Fine));
    assert_eq!(memory[2], ("limits", Weight::Warning));
}

#[test]
fn budget_above_the_machine_is_warned_of_though_the_limits_fit() {
    let config = config();
    let memory = 3 << 30;
    assert!(allowed_bytes(&config) < memory / 10 * 9);
    let all = weights(&config, Some(memory), Some(262_144));
    assert_eq!(all[0], ("memory", Weight::Warning));
}

fn der() -> CertificateDer<'static> {
    let made = certificate::make("Test", &["relay.example".into()]).unwrap();
    CertificateDer::from_pem_slice(made.server.chain.as_bytes()).unwrap()
}

#[test]
fn validity_is_read_from_the_certificate() {
    let validity = LeafReport::of(&der()).period.unwrap();
    let shown = "2020-01-01T00:00:00Z to 2049-12-31T00:00:00Z";
    assert_eq!(validity.to_string(), shown);
}
