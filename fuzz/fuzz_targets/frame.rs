//! Fuzz target `frame`: see `postern_protocol::testing::fuzz::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_protocol::testing::fuzz::frame(input));
