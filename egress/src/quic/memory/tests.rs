use super::*;

const HERE: NetworkMark = NetworkMark::new([1; 16]);
const THERE: NetworkMark = NetworkMark::new([2; 16]);
const MIDDLE: u64 = u64::MAX / 2 + 1;
const HOUR_MS: u64 = 3_600_000;

const fn minutes(number: u64) -> Moment {
    Moment::from_millis(number * 60_000)
}

#[test]
fn network_without_udp_is_left_alone_for_six_hours() {
    let mut memory = UdpMemory::new();
    assert!(memory.may_try(HERE, minutes(0)));
    memory.handle_failure(HERE, minutes(0), MIDDLE);
    assert!(!memory.may_try(HERE, minutes(359)));
    assert!(memory.may_try(HERE, minutes(360)));
    assert!(memory.may_try(THERE, minutes(0)));
    memory.handle_failure(HERE, minutes(360), MIDDLE);
    assert!(!memory.may_try(HERE, minutes(719)));
    assert_eq!(memory.retry_at(HERE), Some(minutes(720)));
    assert_eq!(memory.retry_at(THERE), None);
}

#[test]
fn network_that_carried_it_is_tried_after_ten_minutes_then_twice_as_long() {
    let mut memory = UdpMemory::new();
    memory.handle_success(HERE);
    let (mut now, mut pauses) = (minutes(0), Vec::new());
    for _ in 0..8 {
        memory.handle_failure(HERE, now, MIDDLE);
        let until = memory.retry_at(HERE).unwrap();
        assert!(!memory.may_try(HERE, Moment::from_millis(until.as_millis() - 1)));
        pauses.push(until.since(now).as_secs() / 60);
        now = until;
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 360, 360]);
    memory.handle_success(HERE);
    assert!(memory.may_try(HERE, now));
    memory.handle_failure(HERE, now, MIDDLE);
    assert_eq!(memory.retry_at(HERE), Some(now.after(UDP_PAUSE_AFTER_GOOD)));
}

#[test]
fn pauses_of_a_fleet_lie_within_a_fifth_and_differ() {
    let mut ends = Vec::new();
    for device in 0..64_u64 {
        let mut memory = UdpMemory::new();
        memory.handle_failure(HERE, minutes(0), device << 58);
        ends.push(memory.retry_at(HERE).unwrap().as_millis());
    }
    ends.dedup();
    assert_eq!(ends.len(), 64);
    let bounds = 6 * HOUR_MS * 4 / 5..=6 * HOUR_MS * 6 / 5;
    assert!(ends.iter().all(|end| bounds.contains(end)), "{ends:?}");
    assert_eq!(ends.first(), Some(bounds.start()));
}

#[test]
fn failures_without_end_keep_the_longest_pause() {
    let mut memory = UdpMemory::new();
    memory.handle_success(HERE);
    for _ in 0..100 {
        memory.handle_failure(HERE, minutes(0), MIDDLE);
    }
    assert_eq!(memory.retry_at(HERE), Some(minutes(360)));
}

#[test]
fn network_asked_about_longest_ago_makes_room() {
    let mut memory = UdpMemory::new();
    let mark = |number: u8| NetworkMark::new([number; 16]);
    for number in 0..32 {
        memory.handle_failure(mark(number), minutes(0), MIDDLE);
    }
    memory.handle_failure(mark(0), minutes(0), MIDDLE);
    memory.handle_failure(mark(32), minutes(0), MIDDLE);
    assert_eq!(memory.entries.len(), UDP_NETWORKS_MAX);
    assert!(memory.may_try(mark(1), minutes(0)));
    assert!(!memory.may_try(mark(0), minutes(0)) && !memory.may_try(mark(32), minutes(0)));
    assert!(memory.encode(minutes(0)).len() <= 2048);
}

#[test]
fn record_keeps_what_is_left_and_takes_off_what_passed() {
    let mut memory = UdpMemory::new();
    memory.handle_failure(HERE, minutes(100), MIDDLE);
    memory.handle_success(THERE);
    let text = memory.encode(minutes(160));
    assert_eq!(text.lines().count(), 3);
    let read = |passed| UdpMemory::decode(&text, minutes(5), passed).unwrap();
    assert_eq!(read(Duration::ZERO).retry_at(HERE), Some(minutes(305)));
    let later = read(Duration::from_secs(3_600));
    assert_eq!(later.retry_at(HERE), Some(minutes(245)));
    assert_eq!(later.encode(minutes(245)), text.replace("18000000", "0"));
    let mut there = later;
    there.handle_failure(THERE, minutes(5), MIDDLE);
    assert_eq!(there.retry_at(THERE), Some(minutes(15)));
}

#[test]
fn damaged_records_are_refused_and_no_pause_is_endless() {
    let mut memory = UdpMemory::new();
    memory.handle_failure(HERE, minutes(0), MIDDLE);
    let good = memory.encode(minutes(0));
    let line = good.lines().nth(1).unwrap();
    let many: String = (0..33).map(|n| format!("{n:032x} new 1 1\n")).collect();
    let bad = [
        String::new(),
        "postern udp 2\n".into(),
        format!("{TITLE}\n{line}\n{line}\n"),
        format!("{TITLE}\n{many}"),
        good.replace("new", "old"),
        good.replace("01", "0g"),
        good.replace("01", "0"),
        good.replace("01", "0A"),
        format!("{TITLE}\n{line} 1\n"),
        good.replace("new 1", "new -1"),
        good.replace("new 1 ", "new 1 x"),
    ];
    for text in bad {
        let read = UdpMemory::decode(&text, minutes(0), Duration::ZERO);
        assert_eq!(read, Err(DamagedUdpMemory), "{text}");
    }
    let forged = good.replace("21600000", "18446744073709551615");
    let read = UdpMemory::decode(&forged, minutes(0), Duration::ZERO).unwrap();
    assert!(read.may_try(HERE, minutes(433)));
}
