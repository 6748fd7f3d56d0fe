//! No acknowledged record is lost and no store becomes unopenable, wherever the power is cut.
//!
//! An explorer cuts at many places of the writes, and proves itself on a drive that skips flushes.
#![expect(
    clippy::print_stdout,
    unreachable_pub,
    dead_code,
    reason = "a test; the explorer is shared with others that use more of it"
)]

mod store_explorer;

use postern_relay::store::Profile;
use store_explorer::{Drive, explore};

/// Crash states of each profile; the full tier calls [`explore`] with more.
const STATES: u64 = 1_500;

fn check(profile: Profile, seed: u64) {
    let found = explore(profile, Drive::Honest, seed, STATES);
    println!("{profile:?}: {found}");
    assert!(found.states >= STATES, "{found}");
    assert_eq!(found.failures(), 0, "{found}");
}

#[test]
fn device_store_cut_anywhere_keeps_every_acknowledged_record() {
    check(Profile::Device, 0x01d5_ea5e);
}

#[test]
fn server_store_cut_anywhere_keeps_every_acknowledged_record() {
    check(Profile::Server, 0x02d5_ea5e);
}

#[test]
fn explorer_on_a_drive_that_skips_flushes_finds_losses() {
    let found = explore(Profile::Device, Drive::Lying, 0x03d5_ea5e, 200);
    println!("lying drive: {found}");
    assert!(found.failures() > 0, "{found}");
}
