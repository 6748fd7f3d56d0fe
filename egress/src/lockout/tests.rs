use super::*;

const OLD: Mark = Mark([1; 4]);
const NEW: Mark = Mark([2; 4]);
const SECRET: Fingerprint = Fingerprint::new([7; 32]);

fn minutes(n: u64) -> Moment {
    Moment::from_millis(n * 60_000)
}

fn wait_minutes(n: u64) -> Verdict {
    Verdict::Locked {
        wait: Duration::from_secs(n * 60),
    }
}

#[test]
fn a06_rejected_secret_waits_15_minutes_then_an_hour_then_six() {
    let mut lockout = Lockout::new([0; 32]);
    let mut now = minutes(3);
    for pause in [15, 60, 360, 360, 360] {
        assert_eq!(lockout.verdict(now, OLD), Verdict::MayTry);
        assert_eq!(
            lockout.handle_rejected(now, OLD),
            Duration::from_secs(pause * 60)
        );
        assert_eq!(lockout.verdict(now, OLD), wait_minutes(pause));
        let almost = Moment::from_millis(now.as_millis() + pause * 60_000 - 1);
        assert!(matches!(
            lockout.verdict(almost, OLD),
            Verdict::Locked { .. }
        ));
        now = Moment::from_millis(now.as_millis() + pause * 60_000);
    }
}

#[test]
fn a06_changed_secret_may_be_tried_at_once() {
    let mut lockout = Lockout::new([0; 32]);
    let _ = lockout.handle_rejected(minutes(0), OLD);
    assert_eq!(lockout.verdict(minutes(0), NEW), Verdict::MayTry);
    let _ = lockout.handle_rejected(minutes(1), NEW);
    assert_eq!(lockout.verdict(minutes(1), NEW), wait_minutes(15));
}

#[test]
fn rejection_reported_by_two_connections_counts_once() {
    let mut lockout = Lockout::new([0; 32]);
    let _ = lockout.handle_rejected(minutes(0), OLD);
    assert_eq!(
        lockout.handle_rejected(minutes(5), OLD),
        Duration::from_secs(600)
    );
    assert_eq!(lockout.verdict(minutes(15), OLD), Verdict::MayTry);
    assert_eq!(
        lockout.handle_rejected(minutes(15), OLD),
        Duration::from_secs(3600)
    );
}

#[test]
fn accepted_secret_is_proven_until_rejected() {
    let mut lockout = Lockout::new([0; 32]);
    lockout.handle_accepted(OLD);
    assert_eq!(lockout.verdict(minutes(9), OLD), Verdict::Proven);
    assert_eq!(lockout.verdict(minutes(9), NEW), Verdict::MayTry);
    let _ = lockout.handle_rejected(minutes(9), OLD);
    assert_eq!(lockout.verdict(minutes(10), OLD), wait_minutes(14));
}

#[test]
fn debug_output_shows_no_digest() {
    assert_eq!(format!("{SECRET:?}"), "Fingerprint(..)");
}

#[test]
fn a06_secret_tried_again_after_another_one_is_still_locked() {
    let mut lockout = Lockout::new([0; 32]);
    let _ = lockout.handle_rejected(minutes(0), OLD);
    let _ = lockout.handle_rejected(minutes(1), NEW);
    assert_eq!(lockout.verdict(minutes(2), OLD), wait_minutes(13));
}

#[test]
fn try_without_an_outcome_may_be_repeated_and_keeps_its_count() {
    let mut lockout = Lockout::new([0; 32]);
    let _ = lockout.handle_rejected(minutes(0), OLD);
    lockout.handle_try(OLD);
    lockout.handle_unsettled(OLD);
    assert_eq!(lockout.verdict(minutes(15), OLD), Verdict::MayTry);
    let pause = lockout.handle_rejected(minutes(15), OLD);
    assert_eq!(pause, Duration::from_secs(3600));
}

#[test]
fn lost_memory_locks_every_secret_for_the_first_pause() {
    let lockout = Lockout::after_loss([0; 32], minutes(1));
    assert_eq!(lockout.verdict(minutes(1), OLD), wait_minutes(15));
    assert_eq!(lockout.verdict(minutes(15), NEW), wait_minutes(1));
    assert_eq!(lockout.verdict(minutes(16), NEW), Verdict::MayTry);
}

#[test]
fn mark_differs_by_salt_proxy_and_secret() {
    let mark = |salt, place, secret| Lockout::new([salt; 32]).mark(place, Fingerprint::new(secret));
    let base = mark(1, "a:1", [1; 32]);
    assert_eq!(base, mark(1, "a:1", [1; 32]));
    assert_ne!(base, mark(2, "a:1", [1; 32]));
    assert_ne!(base, mark(1, "a:2", [1; 32]));
    assert_ne!(base, mark(1, "a:1", [2; 32]));
}

#[test]
fn oldest_secrets_are_forgotten_beyond_the_bound() {
    let mut lockout = Lockout::new([0; 32]);
    for n in 0..=LOCKOUT_ENTRIES_MAX {
        let _ = lockout.handle_rejected(minutes(0), Mark([u8::try_from(n).unwrap(); 4]));
    }
    assert_eq!(lockout.verdict(minutes(0), Mark([0; 4])), Verdict::MayTry);
    assert_eq!(lockout.verdict(minutes(0), OLD), wait_minutes(15));
}
