//! Feeds any bytes to `config`, whose promises stand beside it in `fuzz/src/`.
//!
//! Refuses to hold logic: the ordinary tests replay the corpus through the same function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_fuzz::config::config(input));
