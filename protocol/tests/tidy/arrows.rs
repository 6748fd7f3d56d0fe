//! Rules about who may know whom: modules of the protocol, crates, features, dependencies.
//!
//! They read manifests and `use` lines; a path written out in the middle of a line counts as well.

use super::files::{Line, is_test, lines, report, text_of};
use std::collections::BTreeSet;

/// Modules of the protocol that a relay may name: what it needs to carry, never what it carries.
const RELAY_MAY_USE: [&str; 15] = [
    "Reject",
    "admission",
    "context",
    "envelope",
    "frame",
    "id",
    "key",
    "kind",
    "limits",
    "receipt",
    "reject",
    "revision",
    "session",
    "signed_time",
    "trust",
];

/// Further modules, each in one file and for one reason.
const RELAY_EXCEPTIONS: [(&str, &str); 3] = [
    // Whether an enrol-answer has become idle stands in its payload: nothing that a device polls with says so.
    ("relay/src/durable/deliver.rs", "enrol"),
    // A section table must be walked for the digests of bodies that its readers will fetch.
    ("relay/src/mailbox/chain.rs", "cbor"),
    // Writes such a table for the tests; part of no release.
    ("relay/src/fixtures.rs", "cbor"),
];

const CRATES: [&str; 11] = [
    "protocol",
    "egress",
    "egress/gssapi",
    "relay",
    "relay/command",
    "console",
    "daemon",
    "lab",
    "bench",
    "interop-vectors/judge",
    "interop-vectors/runner",
];

#[test]
fn relay_names_only_what_it_needs_to_carry() {
    let prefix = "postern_protocol::";
    let mut findings = Vec::new();
    for line in lines("relay/src").iter().filter(|line| !line.is_comment()) {
        for rest in line.text.split(prefix).skip(1) {
            let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
            let module: String = rest.chars().take_while(is_part).collect();
            let module = module.as_str();
            let is_allowed = RELAY_MAY_USE.contains(&module)
                || RELAY_EXCEPTIONS.contains(&(line.file.as_str(), module))
                || (module == "cbor" && is_test(&line.file));
            if !is_allowed {
                findings.push(line.shown());
            }
        }
    }
    report("a relay carries planes and never reads them", &findings);
}

#[test]
fn roles_do_not_know_each_other() {
    let mut findings = Vec::new();
    for (own, other) in [("device", "controller"), ("controller", "device")] {
        let refused = ["crate", "super", "super::super"].map(|root| format!("{root}::{other}"));
        let own_lines = lines(&format!("protocol/src/{own}"));
        let is_wrong = |line: &&Line| {
            !is_test(&line.file) && refused.iter().any(|word| line.text.contains(word))
        };
        findings.extend(own_lines.iter().filter(is_wrong).map(Line::shown));
    }
    report("device and controller meet on the wire only", &findings);
}

/// Returns the lines of a manifest as (section, number, line).
fn manifest(folder: &str) -> Vec<(String, usize, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (at, line) in text_of(&format!("{folder}Cargo.toml")).lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim().to_owned();
        } else {
            found.push((section.clone(), at + 1, line.to_owned()));
        }
    }
    found
}

/// Returns which of our crates a crate depends on, in tests as well or not.
fn dependencies(of: &str, sections: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (section, _, line) in manifest(&format!("{of}/")) {
        if sections.contains(&section.as_str())
            && let Some(rest) = line.strip_prefix("postern-")
        {
            found.extend(rest.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn arrows_between_crates_point_to_the_right() {
    // The two commands stand beside each other and know nothing of one another.
    for commands in [["daemon"], ["relay/command"]] {
        let libraries = [
            "console",
            "relay",
            "egress",
            "egress/gssapi",
            "interop-vectors/judge",
            "protocol",
        ];
        let order = [&commands[..], &libraries].concat();
        let mut findings = Vec::new();
        for (place, one) in order.iter().enumerate() {
            for other in dependencies(one, &["[dependencies]", "[dev-dependencies]"]) {
                let is_other = |name: &&str| name.rsplit('/').next() == Some(&other);
                let at = order.iter().position(is_other);
                // A crate may name itself in its tests, to switch a feature on.
                if other != *one && at.is_none_or(|at| at <= place) {
                    findings.push(format!("{one}/Cargo.toml: {one} -> {other}"));
                }
            }
        }
        report(
            "command -> console -> relay -> egress -> gssapi, protocol",
            &findings,
        );
    }
}

#[test]
fn lab_knows_the_product_from_outside_only() {
    let found: Vec<_> = dependencies("lab", &["[dependencies]", "[dev-dependencies]"])
        .into_iter()
        .collect();
    report(
        "the lab starts the command and reads what it prints",
        &found,
    );
}

#[test]
fn test_keys_are_no_part_of_a_release() {
    let mut findings = Vec::new();
    for folder in CRATES
        .map(|it| format!("{it}/"))
        .iter()
        .map(String::as_str)
        .chain([""])
    {
        for (section, at, line) in manifest(folder) {
            let is_ours = line.contains("postern") || section == "[features]";
            let names_it = line.contains("testing") && !line.trim_start().starts_with('#');
            let is_its_own =
                line == "testing = []" && matches!(folder, "protocol/" | "egress/" | "relay/");
            if names_it && is_ours && !is_its_own && section != "[dev-dependencies]" {
                findings.push(format!("{folder}Cargo.toml:{at}: {line}"));
            }
        }
    }
    report(
        "`testing` is switched on by dev-dependencies only",
        &findings,
    );
}

#[test]
fn workspace_dependencies_say_what_they_are_for() {
    let ours = [
        "postern-protocol",
        "postern-egress",
        "postern-gssapi",
        "postern-relay",
        "postern-console",
        "postern-judge",
    ];
    let (mut findings, mut is_said) = (Vec::new(), false);
    for (section, at, line) in manifest("") {
        if section != "[workspace.dependencies]" {
            continue;
        }
        let dependency = line.split([' ', '=', '.']).next().unwrap_or_default();
        if line.starts_with('#') {
            is_said = true;
        } else if !dependency.is_empty() {
            if !is_said && !ours.contains(&dependency) {
                findings.push(format!("Cargo.toml:{at}: {dependency}"));
            }
            is_said = false;
        }
    }
    report(
        "say above it what it is for, its licence and why it is not fifty lines of ours",
        &findings,
    );
}
