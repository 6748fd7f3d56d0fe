//! Fuzz target `bundle`: see `postern_protocol::testing::fuzz::bundle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_protocol::testing::fuzz::bundle(input));
