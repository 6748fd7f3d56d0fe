//! Replays the corpus of the fuzz target `proxy_answers`: what was found once stays found.
//!
//! Beside each file it tries cuts and turned bits, the same ones each time.

#![expect(
    clippy::unwrap_used,
    reason = "a corpus that cannot be read has to fail"
)]

use postern_egress::fuzz::proxy_answer;
use std::fs;
use std::path::PathBuf;

/// Changed copies of each file.
const CHANGES: u64 = 400;

/// SplitMix64: reproducible from the seed.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) >> 33).unwrap()
}

#[test]
fn proxy_answers_corpus_holds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/proxy_answers");
    let (mut state, mut count) = (1, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let content = fs::read(entry.unwrap().path()).unwrap();
        proxy_answer(&content);
        for _ in 0..CHANGES {
            let mut changed = content.clone();
            for _ in 0..=next(&mut state) % 3 {
                let at = next(&mut state) % changed.len().max(1);
                match (next(&mut state) % 4, changed.get_mut(at)) {
                    (0, _) => changed.truncate(at),
                    (1, Some(byte)) => *byte ^= 1 << (next(&mut state) % 8),
                    (2, Some(byte)) => *byte = 0xff,
                    (_, Some(_)) => {
                        let tail = changed.split_off(at);
                        changed.extend(tail.iter().chain(&tail).take(8192));
                    }
                    (_, None) => {}
                }
            }
            proxy_answer(&changed);
        }
        count += 1;
    }
    assert!((10..=60).contains(&count), "{count} files");
}
