//! Feeds any bytes to `exchange`, whose promises stand beside it in `relay/src/fuzz/`.
//!
//! Refuses to hold logic: the ordinary tests replay the corpus through the same function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_relay::fuzz::exchange(input));
