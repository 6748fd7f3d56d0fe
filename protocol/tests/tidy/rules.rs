//! Rules about source text: size, names, arrows between crates and modules, links, places.

use super::files::{files, name, report, root, text};
use std::collections::BTreeSet;
use std::path::Path;

/// Modules of the protocol that a relay may name: what it needs to carry, never what it carries.
const RELAY_MAY_USE: [&str; 14] = [
    "Reject", "cbor", "enrol", "envelope", "frame", "id", "key", "kind", "limits", "reject",
    "revision", "session", "testing", "trust",
];

/// Returns the lines of every Rust file of a folder as (file, number, line).
fn lines(folder: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for file in files(folder, ".rs") {
        let content = text(&file).expect("a source file");
        for (at, line) in content.lines().enumerate() {
            found.push((name(&file), at + 1, line.to_owned()));
        }
    }
    found
}

fn offending(folder: &str, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    lines(folder)
        .into_iter()
        .filter(|(_, _, line)| is_wrong(line))
        .map(|(file, at, line)| format!("{file}:{at}: {}", line.trim()))
        .collect()
}

#[test]
fn source_files_have_at_most_500_lines() {
    let mut findings = Vec::new();
    for ending in [".rs", ".py"] {
        for file in files("", ending) {
            let count = text(&file).map_or(0, |content| content.lines().count());
            if count > 500 {
                findings.push(format!("{}: {count} lines", name(&file)));
            }
        }
    }
    report("a file is read in one sitting", &findings);
}

#[test]
fn nothing_is_left_to_do_in_source() {
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["db", "g!("]].map(|it| it.concat());
    let findings = offending("", |line| words.iter().any(|word| line.contains(word)));
    report("open ends belong into issues", &findings);
}

#[test]
fn modules_are_named_for_what_they_do() {
    let refused = [
        "utils", "util", "common", "helpers", "helper", "misc", "core", "types",
    ];
    let mut findings = Vec::new();
    for file in files("", ".rs") {
        let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
        let is_refused = parts
            .iter()
            .any(|part| refused.contains(&part.strip_suffix(".rs").unwrap_or(part)));
        if is_refused {
            findings.push(name(&file));
        }
    }
    report("a module's name says what it does", &findings);
}

#[test]
fn modules_begin_by_saying_what_they_are() {
    let mut findings = Vec::new();
    for folder in [
        "protocol/src",
        "egress/src",
        "relay/src",
        "daemon/src",
        "lab/src",
        "bench/src",
    ] {
        for file in files(folder, ".rs") {
            let content = text(&file).expect("a source file");
            let is_test = name(&file).contains("/tests");
            if !is_test && !content.starts_with("//!") {
                findings.push(name(&file));
            }
        }
    }
    report("a module starts with what it is", &findings);
}

#[test]
fn exceptions_from_lints_give_their_reason() {
    let refused = ["#[", "#!["].map(|start| format!("{start}allow("));
    let findings = offending("", |line| refused.iter().any(|word| line.contains(word)));
    report("use #[expect(lint, reason = ..)]", &findings);
}

#[test]
fn tests_are_never_ignored() {
    let word = ["#[ign", "ore"].concat();
    let findings = offending("", |line| line.contains(&word));
    report("a test runs or does not exist", &findings);
}

#[test]
fn relay_names_only_what_it_needs_to_carry() {
    let prefix = "postern_protocol::";
    let mut findings = Vec::new();
    for (file, at, line) in lines("relay/src") {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for rest in line.split(prefix).skip(1) {
            let module: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let is_allowed = RELAY_MAY_USE.contains(&module.as_str());
            if !is_allowed {
                findings.push(format!("{file}:{at}: {prefix}{module}"));
            }
        }
    }
    report("a relay never reads the payload of a plane", &findings);
}

#[test]
fn roles_do_not_know_each_other() {
    let device =
        |line: &str| line.contains("crate::controller") || line.contains("super::controller");
    let controller = |line: &str| line.contains("crate::device") || line.contains("super::device");
    let mut findings = Vec::new();
    for (file, at, line) in lines("protocol/src") {
        if file.contains("/tests/") {
            continue;
        }
        let is_wrong = (file.starts_with("protocol/src/device/") && device(&line))
            || (file.starts_with("protocol/src/controller/") && controller(&line));
        if is_wrong {
            findings.push(format!("{file}:{at}: {}", line.trim()));
        }
    }
    report("device and controller meet on the wire only", &findings);
}

#[test]
fn protocol_is_no_std_and_touches_nothing() {
    let lib = text(&root().join("protocol/src/lib.rs")).expect("lib.rs");
    assert!(lib.lines().any(|line| line == "#![no_std]"));
    let refused = [
        "std::fs",
        "std::net",
        "std::time",
        "std::env",
        "std::thread::",
        "std::process",
    ];
    let findings = offending("protocol/src", |line| {
        !line.trim_start().starts_with("//") && refused.iter().any(|word| line.contains(word))
    });
    report(
        "the protocol has no IO, clock, threads or environment",
        &findings,
    );
}

/// Returns which of our crates a manifest depends on outside tests.
fn dependencies(crate_name: &str) -> BTreeSet<String> {
    let manifest = text(&root().join(crate_name).join("Cargo.toml")).expect("a manifest");
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim().to_owned();
        } else if section == "[dependencies]"
            && let Some(rest) = line.strip_prefix("postern-")
        {
            found.extend(rest.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn arrows_between_crates_point_to_the_right() {
    let order = ["daemon", "relay", "egress", "protocol"];
    let mut findings = Vec::new();
    for (place, one) in order.iter().enumerate() {
        for other in dependencies(one) {
            let is_right = order
                .iter()
                .position(|name| **name == other)
                .is_some_and(|at| at > place);
            if !is_right {
                findings.push(format!("{one} -> {other}"));
            }
        }
    }
    report("daemon -> relay -> egress -> protocol", &findings);
}

#[test]
fn limits_name_their_unit() {
    let units = [
        "byte",
        "millisecond",
        "second",
        "character",
        "container",
        "section",
        "entr",
        "digest",
        "key",
        "delta",
        "tenant",
        "url",
        "counter",
        "line",
    ];
    let content = text(&root().join("protocol/src/limits.rs")).expect("limits.rs");
    let (mut doc, mut findings) = (String::new(), Vec::new());
    for line in content.lines() {
        if let Some(rest) = line.strip_prefix("///") {
            doc.push_str(rest);
        } else if line.starts_with("pub const") {
            let described = format!("{doc} {line}").to_lowercase();
            if !units.iter().any(|unit| described.contains(unit)) || doc.is_empty() {
                findings.push(line.to_owned());
            }
            doc.clear();
        }
    }
    report("a limit says what it counts", &findings);
}

#[test]
fn relative_links_resolve() {
    let mut findings = Vec::new();
    for file in files("", ".md") {
        let content = text(&file).unwrap_or_default();
        for link in links(&content) {
            let target = link.split('#').next().unwrap_or_default();
            let is_elsewhere =
                target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            let folder = file.parent().expect("a folder");
            if !is_elsewhere && !folder.join(target).exists() {
                findings.push(format!("{}: {link}", name(&file)));
            }
        }
    }
    report("a link leads somewhere", &findings);
}

/// Returns what stands between `](` and `)` outside code blocks.
fn links(content: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in content.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let rests = line.split("](").skip(1);
            found.extend(rests.filter_map(|rest| rest.split(')').next().map(str::to_owned)));
        }
    }
    found
}

#[test]
fn files_name_no_machine_and_no_registry_host() {
    let refused = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["pypi", ".org"],
        ["files.python", "hosted"],
        ["registry.npmjs", ".org"],
        ["proxy.golang", ".org"],
    ]
    .map(|it| it.concat());
    let endings = [
        ".rs", ".md", ".toml", ".py", ".json", ".sh", ".cddl", ".txt", ".lock", "run",
    ];
    let mut findings = Vec::new();
    for ending in endings {
        for file in files("", ending) {
            let is_lock = Path::new(&file).extension().is_some_and(|it| it == "lock");
            let content = text(&file).unwrap_or_default();
            for (at, line) in content.lines().enumerate() {
                let is_wrong = refused.iter().any(|word| line.contains(word.as_str()));
                if is_wrong && !is_lock {
                    findings.push(format!("{}:{}: {line}", name(&file), at + 1));
                }
            }
        }
    }
    report("the repository knows no machine", &findings);
}
