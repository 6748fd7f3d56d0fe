//! Replays the corpora of the fuzz targets: what was found once stays found.
//!
//! Refuses to search: beside each file it tries every cut, and every byte once in another way.

#![expect(
    clippy::expect_used,
    reason = "a corpus that cannot be read has to fail"
)]

use postern_egress::fuzz;
use std::fs;
use std::path::PathBuf;

/// Runs a target over its corpus, over each file cut short everywhere and with each byte turned.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let content = fs::read(entry.expect("an entry").path()).expect("a file");
        run(&content);
        for place in 0..content.len().min(512) {
            run(content.get(..place).unwrap_or_default());
            let mut turned = content.clone();
            if let Some(byte) = turned.get_mut(place) {
                *byte ^= 1 << (place % 8);
            }
            run(&turned);
        }
        count += 1;
    }
    assert!((1..=60).contains(&count), "{target} has {count} files");
}

#[test]
fn pac_result_corpus_holds() {
    replay("pac_result", fuzz::pac_result);
}

#[test]
fn proxy_url_corpus_holds() {
    replay("proxy_url", fuzz::proxy_url);
}

#[test]
fn no_proxy_corpus_holds() {
    replay("no_proxy", fuzz::no_proxy);
}

#[test]
fn proxy_answers_corpus_holds() {
    replay("proxy_answers", fuzz::proxy_answer);
}

#[test]
fn pac_pipe_corpus_holds() {
    replay("pac_pipe", fuzz::pac_pipe);
}

// A script costs milliseconds: the files alone, whole and halved.
#[test]
fn pac_script_corpus_holds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/pac_script");
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let content = fs::read(entry.expect("an entry").path()).expect("a file");
        fuzz::pac_script(&content);
        fuzz::pac_script(content.get(..content.len() / 2).unwrap_or_default());
    }
}
