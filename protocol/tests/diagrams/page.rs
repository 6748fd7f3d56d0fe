//! `spec/diagrams.md`: every section belongs to one test, which compares it with what the code answers.
//!
//! `POSTERN_DIAGRAMS=write` writes it anew. Refuses to touch the sections of others.

use std::{format, fs, string::String};

/// Where the page stands, from the folder of a package.
const PAGE: &str = "../spec/diagrams.md";

/// What a test draws: title, where it comes from, the drawing in mermaid.
pub(crate) type Section = (&'static str, &'static str, String);

fn text_of((title, source, drawing): &Section) -> String {
    format!("## {title}\nFrom {source}.\n\n```mermaid\n{drawing}\n```\n")
}

/// The bytes of the page that a section takes: to the next title, or to the end.
fn place_of(page: &str, title: &str) -> Option<(usize, usize)> {
    let start = page.find(&format!("## {title}\n"))?;
    let length = page[start..].find("\n\n## ").map(|end| end + 1);
    Some((start, length.map_or(page.len(), |length| start + length)))
}

/// Reads the page of the repository. # Panics: when it cannot be read.
pub(crate) fn read(package: &str) -> String {
    fs::read_to_string(format!("{package}/{PAGE}")).expect("spec/diagrams.md can be read")
}

/// Compares sections with the page, or writes them. # Panics: when one is old.
#[expect(
    clippy::disallowed_methods,
    reason = "whether the page is compared or written is the caller's wish"
)]
pub(crate) fn check(package: &str, sections: &[Section]) {
    // Tests of other packages and threads write their own sections of the same page.
    let file = fs::File::open(format!("{package}/{PAGE}")).expect("spec/diagrams.md can be opened");
    file.lock().expect("spec/diagrams.md can be locked");
    let is_write = std::env::var("POSTERN_DIAGRAMS").is_ok_and(|wish| wish == "write");
    let mut page = read(package);
    for section in sections {
        let text = text_of(section);
        match place_of(&page, section.0) {
            Some((start, end)) => page.replace_range(start..end, &text),
            None => page.push_str(&format!("\n{text}")),
        }
    }
    if is_write {
        fs::write(format!("{package}/{PAGE}"), &page).expect("spec/ can be written");
    }
    assert!(
        read(package) == page,
        "spec/diagrams.md is old: POSTERN_DIAGRAMS=write draws it anew"
    );
}
