//! Rules about pages: links, headings that code names, licences, nothing of anybody's machine.
//!
//! A link is what stands between `](` and `)` outside of code. Refuses to look at the network.

use super::files::{files, lines, name, report, root, text};
use std::collections::BTreeMap;
use std::path::Path;

/// Returns the lines of a page that are not within a block of code.
fn prose(content: &str) -> Vec<(usize, &str)> {
    let mut is_code = false;
    let mut found = Vec::new();
    for (at, line) in content.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            found.push((at + 1, line));
        }
    }
    found
}

/// Returns the anchors of a page as hosts of Git make them: lower case, hyphens, numbered twins.
fn anchors(content: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, line) in prose(content) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
        });
        let anchor: String = kept.collect();
        let twins = seen.entry(anchor.clone()).or_default();
        found.push(match *twins {
            0 => anchor,
            number => format!("{anchor}-{number}"),
        });
        *twins += 1;
    }
    found
}

#[test]
fn relative_links_and_anchors_resolve() {
    let mut findings = Vec::new();
    for file in files("", ".md") {
        let content = text(&file).expect("text");
        for (at, line) in prose(&content) {
            let links = line.split("](").skip(1);
            for link in links.filter_map(|rest| rest.split(')').next()) {
                if let Some(fault) = fault_of(&file, link) {
                    findings.push(format!("{}:{at}: {link}: {fault}", name(&file)));
                }
            }
        }
    }
    report("correct the link", &findings);
}

fn fault_of(page: &Path, link: &str) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match target {
        "" => page.to_path_buf(),
        below => page.parent()?.join(below),
    };
    if !target.exists() {
        return Some("no such file");
    }
    let is_page = target.extension().is_some_and(|ending| ending == "md");
    let is_known = || text(&target).is_some_and(|it| anchors(&it).iter().any(|it| it == anchor));
    (!anchor.is_empty() && is_page && !is_known()).then_some("no such heading")
}

#[test]
fn code_names_headings_that_the_specification_has() {
    let pages = files("spec", ".md");
    let headings: Vec<String> = pages
        .iter()
        .flat_map(|page| anchors(&text(page).unwrap_or_default()))
        .collect();
    let mut findings = Vec::new();
    for line in lines("") {
        for rest in line.text.split("spec: #").skip(1) {
            let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
            let anchor: String = rest.chars().take_while(is_part).collect();
            if !anchor.is_empty() && !headings.contains(&anchor) {
                findings.push(line.shown());
            }
        }
    }
    report("name a heading of a page in spec/", &findings);
}

#[test]
fn files_name_no_machine_and_no_registry_host() {
    let refused = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/fa", "rm/"],
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["pypi", ".org"],
        ["files.python", "hosted"],
        ["registry.npmjs", ".org"],
        ["proxy.golang", ".org"],
        ["deb.deb", "ian.org"],
    ]
    .map(|it| it.concat());
    let mut findings = Vec::new();
    for file in files("", "") {
        // Lock files name registries because Cargo writes them so.
        let is_lock = file.extension().is_some_and(|ending| ending == "lock");
        let content = text(&file).filter(|_| !is_lock).unwrap_or_default();
        for (at, line) in content.lines().enumerate() {
            if refused.iter().any(|word| line.contains(word.as_str())) {
                findings.push(format!("{}:{}: {line}", name(&file), at + 1));
            }
        }
    }
    report("the repository knows no machine: take it out", &findings);
}

#[test]
fn licences_are_there_and_every_crate_names_them() {
    let mut findings = Vec::new();
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        if !root().join(file).is_file() {
            findings.push(format!("{file} is missing"));
        }
    }
    for file in files("", "Cargo.toml") {
        let content = text(&file).expect("a manifest");
        let names_them = [
            "license.workspace = true",
            "license = \"MIT OR Apache-2.0\"",
        ];
        if !names_them.iter().any(|line| content.contains(line)) {
            findings.push(format!("{}:1: no licence", name(&file)));
        }
    }
    report("MIT OR Apache-2.0, in every crate", &findings);
}
