//! Fuzz target `envelope`: see `postern_protocol::testing::fuzz::envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_protocol::testing::fuzz::envelope(input));
