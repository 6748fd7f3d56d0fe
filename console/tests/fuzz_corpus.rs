//! Replays the corpus of the fuzz target `config`: what was found once stays found.
//!
//! Refuses to search: beside each file it tries every cut, and every byte once in another way.

#[expect(
    clippy::panic,
    unreachable_pub,
    reason = "a finding is a panic, and it is public where the target calls it"
)]
#[path = "../../fuzz/src/config.rs"]
mod config;

use std::fs;
use std::path::PathBuf;

#[test]
fn config_corpus_holds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/config");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let content = fs::read(entry.expect("an entry").path()).expect("a file");
        config::config(&content);
        for place in 0..content.len().min(512) {
            config::config(content.get(..place).unwrap_or_default());
            let mut turned = content.clone();
            if let Some(byte) = turned.get_mut(place) {
                *byte ^= 1 << (place % 7);
            }
            config::config(&turned);
        }
        count += 1;
    }
    assert!((1..=60).contains(&count), "config has {count} files");
}
