//! Feeds any bytes to `pac_script`, whose promises stand beside it in `egress/src/fuzz/`.
//!
//! Refuses to hold logic: the ordinary tests replay the corpus through the same function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postern_egress::fuzz::pac_script(input));
