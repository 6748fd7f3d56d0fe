use super::*;

const OLD: Fingerprint = Fingerprint::new([1; 32]);
const NEW: Fingerprint = Fingerprint::new([2; 32]);

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
    let mut lockout = Lockout::new();
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
    let mut lockout = Lockout::new();
    let _ = lockout.handle_rejected(minutes(0), OLD);
    assert_eq!(lockout.verdict(minutes(0), NEW), Verdict::MayTry);
    let _ = lockout.handle_rejected(minutes(1), NEW);
    assert_eq!(lockout.verdict(minutes(1), NEW), wait_minutes(15));
}

#[test]
fn rejection_reported_by_two_connections_counts_once() {
    let mut lockout = Lockout::new();
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
    let mut lockout = Lockout::new();
    lockout.handle_accepted(OLD);
    assert_eq!(lockout.verdict(minutes(9), OLD), Verdict::Proven);
    assert_eq!(lockout.verdict(minutes(9), NEW), Verdict::MayTry);
    let _ = lockout.handle_rejected(minutes(9), OLD);
    assert_eq!(lockout.verdict(minutes(10), OLD), wait_minutes(14));
}

#[test]
fn debug_output_shows_no_digest() {
    assert_eq!(format!("{OLD:?}"), "Fingerprint(..)");
}
