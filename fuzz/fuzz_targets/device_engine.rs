//! Fuzz target `device_engine`: see `postern_protocol::testing::fuzz::device_engine`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_protocol::testing::fuzz::device_engine(input));
