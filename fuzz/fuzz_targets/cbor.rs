//! Fuzz target `cbor`: see `postern_protocol::testing::fuzz::cbor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_protocol::testing::fuzz::cbor(input));
