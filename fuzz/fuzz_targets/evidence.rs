//! Feeds any bytes to `evidence`, whose promise stands beside it in `protocol/src/testing/fuzz/`.
//!
//! Refuses to hold logic: the ordinary tests replay the corpus through the same function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_protocol::testing::fuzz::evidence(input));
