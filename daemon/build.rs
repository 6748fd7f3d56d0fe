//! Tells the linker how to write the addresses that are fixed when the program starts.
//!
//! A program that may lie anywhere carries a list of its own pointers. In the old form an entry takes 24 bytes, all of
//! which a device would hold in memory from then on: 390 KB of the 12 MiB that it may take (`postern-bench device`).
//! The packed form (`DT_RELR`, of the generic ABI) takes 4 KB. It needs glibc 2.36 or newer, Debian 12's, to run. A linker that
//! does not know it says so and goes on with the old one.

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its target by the environment only"
)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
