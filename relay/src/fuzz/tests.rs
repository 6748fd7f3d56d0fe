//! Replays the corpora of the relay's targets: what was found once stays found.
//!
//! Refuses to search: beside each file it tries a few cuts and turned bits, the same ones each time.

use std::fs;
use std::path::PathBuf;

/// Changes of each file, beside the file itself.
const CHANGES: usize = 8;

fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let content = fs::read(entry.unwrap().path()).unwrap();
        run(&content);
        for change in 1..=CHANGES {
            let place = content.len() * change / (CHANGES + 1);
            run(&content[..place]);
            let mut turned = content.clone();
            if let Some(byte) = turned.get_mut(place) {
                *byte ^= 1 << (change % 8);
            }
            run(&turned);
        }
        count += 1;
    }
    assert!((1..=60).contains(&count), "{target} has {count} files");
}

#[test]
fn mailbox_corpus_holds() {
    replay("mailbox", super::mailbox);
}

#[test]
fn exchange_corpus_holds() {
    replay("exchange", super::exchange);
}

#[test]
fn http_corpus_holds() {
    replay("http", super::http);
}

#[test]
fn proxy_header_corpus_holds() {
    replay("proxy_header", super::proxy_header);
}

#[test]
fn stored_corpus_holds() {
    replay("stored", super::stored);
}
