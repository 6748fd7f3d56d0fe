use super::*;
use crate::lockout::Verdict;

const MARK: Mark = Mark([1; 4]);

fn at(boot: u8, minutes: u64) -> Uptime {
    Uptime {
        boot: (boot > 0).then_some([boot; 16]),
        moment: Moment::from_millis(minutes * 60_000),
    }
}

fn rejected(at: Uptime) -> Lockout {
    let mut lockout = Lockout::new([9; 32]);
    let _ = lockout.handle_rejected(at.moment, MARK);
    lockout
}

/// Minutes that a secret rejected and written at one moment is still locked at another.
fn check(written: Uptime, read: Uptime, expected_minutes: u64) {
    let record = encode(&rejected(written), written);
    let restored = decode(record.as_bytes(), read).unwrap();
    let expected = match expected_minutes {
        0 => Verdict::MayTry,
        minutes => Verdict::Locked {
            wait: Duration::from_secs(minutes * 60),
        },
    };
    assert_eq!(restored.verdict(read.moment, MARK), expected, "{record}");
}

#[test]
fn a06_lock_goes_on_in_the_next_process_of_the_same_boot() {
    check(at(1, 100), at(1, 100), 15);
    check(at(1, 100), at(1, 104), 11);
    check(at(1, 100), at(1, 115), 0);
}

#[test]
fn a06_lock_goes_on_after_a_reboot_less_the_uptime() {
    check(at(1, 100), at(2, 0), 15);
    check(at(1, 100), at(2, 104), 0);
    check(at(1, 2), at(2, 5), 10);
    // A container with a counter of its own, and a system that names no boot.
    check(at(1, 100), at(1, 3), 12);
    check(at(0, 100), at(0, 101), 0);
    check(at(0, 1), at(0, 2), 13);
}

#[test]
fn a06_crash_loop_never_tries_before_the_lock_ends() {
    let mut record = encode(&rejected(at(1, 0)), at(1, 0));
    for minute in 1..15 {
        let lockout = decode(record.as_bytes(), at(1, minute)).unwrap();
        let verdict = lockout.verdict(at(1, minute).moment, MARK);
        assert!(matches!(verdict, Verdict::Locked { .. }), "{minute}");
        record = encode(&lockout, at(1, minute));
    }
    let lockout = decode(record.as_bytes(), at(1, 15)).unwrap();
    assert_eq!(lockout.verdict(at(1, 15).moment, MARK), Verdict::MayTry);
}

#[test]
fn a06_process_that_ends_during_a_try_starts_locked() {
    let mut lockout = rejected(at(1, 0));
    lockout.handle_try(MARK);
    let record = encode(&lockout, at(1, 20));
    let restored = decode(record.as_bytes(), at(1, 21)).unwrap();
    let wait = Duration::from_secs(3600);
    assert_eq!(
        restored.verdict(at(1, 21).moment, MARK),
        Verdict::Locked { wait }
    );
}

#[test]
fn record_holds_every_phase() {
    let mut lockout = Lockout::after_loss([3; 32], at(1, 1).moment);
    lockout.handle_accepted(Mark([2; 4]));
    lockout.handle_try(Mark([3; 4]));
    lockout.handle_unsettled(Mark([3; 4]));
    let _ = lockout.handle_rejected(at(1, 1).moment, Mark([4; 4]));
    let record = encode(&lockout, at(1, 1));
    assert_eq!(decode(record.as_bytes(), at(1, 1)), Ok(lockout));
}

#[test]
fn record_that_was_changed_anywhere_is_damaged() {
    let record = encode(&rejected(at(1, 5)), at(1, 5)).into_bytes();
    for at_byte in 0..record.len() {
        let mut changed = record.clone();
        changed[at_byte] ^= 1;
        assert_eq!(decode(&changed, at(1, 5)), Err(Damaged), "byte {at_byte}");
        let cut = &record[..at_byte];
        assert_eq!(decode(cut, at(1, 5)), Err(Damaged), "cut at {at_byte}");
    }
}

/// A body whose sum is right and whose content is not.
fn check_damaged(body: &str) {
    let record = format!("{body}sum {}\n", sum(body));
    assert_eq!(decode(record.as_bytes(), at(1, 5)), Err(Damaged), "{body}");
}

#[test]
fn record_with_a_right_sum_and_wrong_content_is_damaged() {
    let salt = "0".repeat(64);
    let head = format!("{TITLE}\nsalt {salt}\nat - 0\n");
    for body in [
        String::new(),
        format!("{TITLE}\n"),
        head.replace(" 1\n", " 2\n"),
        head.replace("- 0", "-"),
        head.replace("- 0", "- -1"),
        head.replace("- 0", "abcd 0"),
        format!("{head}01010101\n"),
        format!("{head}01010101 open\n"),
        format!("{head}01010101 locked 1\n"),
        format!("{head}0101010g proven\n"),
        format!("{head}all\n"),
        format!(
            "{head}{}",
            (10..30)
                .map(|n| format!("010101{n} proven\n"))
                .collect::<String>()
        ),
    ] {
        check_damaged(&body);
    }
}

#[test]
fn time_left_beyond_the_longest_pause_is_cut() {
    let salt = "0".repeat(64);
    let body = format!(
        "{TITLE}\nsalt {salt}\nat - 0\n01010101 locked 1 {}\n",
        u64::MAX
    );
    let record = format!("{body}sum {}\n", sum(&body));
    let lockout = decode(record.as_bytes(), at(1, 0)).unwrap();
    let wait = Duration::from_secs(6 * 3600);
    assert_eq!(
        lockout.verdict(at(1, 0).moment, MARK),
        Verdict::Locked { wait }
    );
}
