use super::super::breaker::{Breaker, BreakerPhase};
use super::super::limits::{
    BREAKER_TRIES, BREAKER_TRY_MS, COMMIT_SLOW_MS, COMMITS_SLOW_MAX, COMMITS_WATCHED,
    GROUP_COST_MAX, LINE_COST_MAX, LINE_TASKS_MAX, TASK_COST,
};
use super::super::queue::Queue;
use postern_protocol::Reject;
use postern_protocol::id::TenantId;

fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

#[test]
fn tenant_that_posts_much_does_not_hold_up_one_that_posts_little() {
    let mut queue = Queue::default();
    let large = 48_000;
    let mut flood = 0;
    while queue.push(tenant(1), large, 1).is_ok() {
        flood += 1;
    }
    queue.push(tenant(2), 200, 2).unwrap();
    let mut before = 0;
    'served: loop {
        for who in queue.take_group() {
            if who == 2 {
                break 'served;
            }
            before += 1;
        }
    }
    assert!(flood > 50);
    assert!(before <= 1, "{before} large posts went first");
}

#[test]
fn tenants_that_all_post_are_served_the_same_bytes() {
    let mut queue = Queue::default();
    let sizes = [(1, 40_000), (2, 1_000), (3, 10_000)];
    for (who, bytes) in sizes {
        while queue.push(tenant(who), bytes, (who, bytes)).is_ok() {}
    }
    let mut served = [0; 4];
    while served.iter().sum::<usize>() < GROUP_COST_MAX {
        for (who, bytes) in queue.take_group() {
            served[usize::from(who)] += bytes + TASK_COST;
        }
    }
    let (least, most) = (served[1..].iter().min(), served[1..].iter().max());
    assert!(most.unwrap() - least.unwrap() < 64_000, "{served:?}");
}

#[test]
fn line_beyond_its_bounds_refuses_and_other_lines_go_on() {
    let mut queue = Queue::default();
    let by_bytes = (0..).take_while(|_| queue.push(tenant(1), 48_000, ()).is_ok());
    assert!(by_bytes.count() * 48_000 <= LINE_COST_MAX);
    let by_count = (0..).take_while(|_| queue.push(tenant(2), 0, ()).is_ok());
    assert_eq!(
        by_count.count(),
        LINE_TASKS_MAX.min(LINE_COST_MAX / TASK_COST)
    );
    assert_eq!(queue.push(tenant(2), 0, ()), Err(Reject::Overloaded));
    assert_eq!(queue.push(tenant(3), 0, ()), Ok(()));
    while !queue.is_empty() {
        queue.take_group();
    }
    assert_eq!(queue.cost_of(tenant(1)), 0);
    assert_eq!(queue.push(tenant(1), 48_000, ()), Ok(()));
}

/// Commits that each take this long; returns the time behind them.
fn commit(breaker: &mut Breaker, now_ms: &mut u64, takes_ms: u64) {
    breaker.begin(*now_ms);
    *now_ms += takes_ms;
    breaker.end(*now_ms);
}

#[test]
fn breaker_opens_on_slow_commits_and_closes_after_quick_tries() {
    let (mut breaker, mut now_ms) = (Breaker::default(), 0);
    for _ in 0..COMMITS_WATCHED {
        commit(&mut breaker, &mut now_ms, 10);
    }
    for _ in 0..=COMMITS_SLOW_MAX {
        assert_eq!(breaker.phase(), BreakerPhase::Closed);
        commit(&mut breaker, &mut now_ms, COMMIT_SLOW_MS + 1);
    }
    assert_eq!(breaker.phase(), BreakerPhase::Open);
    assert!(breaker.admit(now_ms).is_err());
    for _ in 0..BREAKER_TRIES {
        now_ms += BREAKER_TRY_MS;
        assert_eq!(breaker.admit(now_ms), Ok(()));
        assert!(breaker.admit(now_ms).is_err(), "one try at a time");
        commit(&mut breaker, &mut now_ms, 5);
    }
    assert_eq!(breaker.phase(), BreakerPhase::Closed);
    assert_eq!(breaker.admit(now_ms), Ok(()));
}

#[test]
fn breaker_opens_while_a_commit_hangs_and_never_closes_after_a_failure() {
    let mut breaker = Breaker::default();
    breaker.begin(0);
    assert_eq!(breaker.admit(COMMIT_SLOW_MS), Ok(()));
    assert!(breaker.admit(COMMIT_SLOW_MS + 1).is_err());
    assert_eq!(breaker.phase(), BreakerPhase::Open);
    breaker.fail();
    assert_eq!(breaker.phase(), BreakerPhase::Failed);
    assert!(breaker.admit(u64::MAX).is_err());
}
