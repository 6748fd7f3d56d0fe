//! Fuzz target `delta_apply`: see `postern_protocol::testing::fuzz::delta_apply`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_protocol::testing::fuzz::delta_apply(input));
