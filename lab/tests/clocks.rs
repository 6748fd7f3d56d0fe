//! A device whose clock stands at 1970 or in 2040: it joins, applies, and knows an expired certificate all the same.
//!
//! Debian's faketime stands for the broken clock of one process; the controller and this test have the right one.
//! The certificates are the lab's: valid from the first day of last year on.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use postern_lab::dated::Month;
use postern_lab::{DatedPki, Fleet};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds by which a faked clock is off at least: ten years.
const OFF_S: u64 = 10 * 365 * 86_400;

/// Today's month; close enough for periods of months.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates of the lab are dated"
)]
fn this_month() -> Month {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let months = i32::try_from(since.as_secs() / 2_629_746).unwrap();
    (1970 + months / 12, u8::try_from(months % 12 + 1).unwrap())
}

/// The same month `months` later, or earlier.
fn later((year, month): Month, months: i32) -> Month {
    let all = year * 12 + i32::from(month) - 1 + months;
    (all / 12, u8::try_from(all % 12 + 1).unwrap())
}

fn joins_and_is_strict_afterwards(scenario: &str, moment: &str) {
    let Some(mut fleet) = Fleet::start_or_skip(scenario, "localhost").unwrap() else {
        return;
    };
    let (now, pki) = (this_month(), DatedPki::new().unwrap());
    fleet
        .show_certificate(&pki, later(now, -6), later(now, 6))
        .unwrap();
    let Some(mut device) = fleet.device_at_or_skip(scenario, "hall-1", moment).unwrap() else {
        return;
    };
    device.daemon.start().unwrap();
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some("3"));
    let ahead = device
        .wait_for("the offset of the clock", |folder| {
            folder.status().get("clock_ahead_s")?.as_i64()
        })
        .unwrap();
    assert!(ahead.unsigned_abs() > OFF_S, "{ahead}");
    let told = device.daemon.log();
    assert_eq!(
        told.matches("this machine's clock is off").count(),
        1,
        "{told}"
    );

    // The same authority, the same name: only the period has ended. A process that goes on has tickets of QUIC, which
    // stand for the certificate that was shown before; one that starts has to be shown this one.
    device.daemon.kill_9().unwrap();
    fleet
        .show_certificate(&pki, later(now, -6), later(now, -2))
        .unwrap();
    device.daemon.start().unwrap();
    device.wait_count("failures", "PST-S03", 2).unwrap();
    let behind = fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.wait_count("failures", "PST-S03", 4).unwrap();
    assert_ne!(device.folder.revision("accepted"), Some(behind));

    fleet
        .show_certificate(&pki, later(now, -1), later(now, 6))
        .unwrap();
    device.wait_applied(behind).unwrap();
}

#[test]
fn a26_device_whose_clock_is_at_1970_joins_applies_and_refuses_an_expired_certificate() {
    joins_and_is_strict_afterwards("A26 at 1970", "1970-01-02 00:00:00");
}

#[test]
fn a26_device_whose_clock_is_in_2040_joins_applies_and_refuses_an_expired_certificate() {
    joins_and_is_strict_afterwards("A26 in 2040", "2040-01-01 00:00:00");
}

#[test]
fn a26_restarted_device_starts_from_the_time_that_it_took() {
    let Some(mut fleet) = Fleet::start_or_skip("A26 restarted", "localhost").unwrap() else {
        return;
    };
    let (now, pki) = (this_month(), DatedPki::new().unwrap());
    fleet
        .show_certificate(&pki, later(now, -6), later(now, 6))
        .unwrap();
    let in_1970 = "1970-01-02 00:00:00";
    let device = fleet.device_at_or_skip("A26 restarted", "hall-1", in_1970);
    let Some(mut device) = device.unwrap() else {
        return;
    };
    // What is stored is enough: the certificate is valid at the floor, and the first session is strict.
    device.daemon.start().unwrap();
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    assert_eq!(device.folder.count("failures", "PST-S03"), 0);
}
