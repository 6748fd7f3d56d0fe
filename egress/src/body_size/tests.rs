use super::*;

const KIB: usize = 1024;

const fn smaller(direction: Direction, kib: usize) -> Option<Lesson> {
    Some(Lesson::Smaller {
        direction,
        bytes_max: kib * KIB,
    })
}

#[test]
fn unknown_route_starts_at_48_kib_both_ways() {
    let sizes = BodySizes::default();
    assert_eq!(
        (sizes.up_bytes_max(), sizes.down_bytes_max()),
        (48 * KIB, 48 * KIB)
    );
}

/// The bound in KiB after one 413 to a body of so many bytes.
fn check_413(bytes: usize, expected_bytes_max: usize) {
    let mut sizes = BodySizes::new();
    let _lesson = sizes.handle_failure(bytes, 0, SizeClue::TooLarge);
    assert_eq!(sizes.up_bytes_max(), expected_bytes_max, "{bytes}");
    assert_eq!(sizes.down_bytes_max(), 48 * KIB, "{bytes}");
}

#[test]
fn a19_413_halves_below_the_refused_size_and_stops_at_4_kib() {
    check_413(60 * KIB, 48 * KIB);
    check_413(48 * KIB, 24 * KIB);
    check_413(24 * KIB + 1, 24 * KIB);
    check_413(24 * KIB, 12 * KIB);
    check_413(7 * KIB, 6 * KIB);
    check_413(6 * KIB, 4 * KIB);
    check_413(4 * KIB + 1, 4 * KIB);
}

#[test]
fn a19_route_that_takes_5000_bytes_is_found_in_four_refusals() {
    let mut sizes = BodySizes::new();
    let mut refusals = 0;
    while sizes.up_bytes_max() > 5_000 {
        let body = sizes.up_bytes_max();
        assert!(sizes.handle_failure(body, 0, SizeClue::TooLarge).is_some());
        refusals += 1;
    }
    assert_eq!((refusals, sizes.up_bytes_max()), (4, 4 * KIB));
}

#[test]
fn a19_bound_never_falls_below_what_has_passed() {
    let mut sizes = BodySizes::new();
    sizes.handle_answer(20 * KIB, 100);
    let lesson = sizes.handle_failure(23 * KIB, 0, SizeClue::TooLarge);
    assert_eq!(lesson, smaller(Direction::Up, 20));
    // The route got narrower: what passed once counts no more.
    let lesson = sizes.handle_failure(20 * KIB, 0, SizeClue::TooLarge);
    assert_eq!(sizes.up_bytes_max(), 20 * KIB - 1);
    assert!(lesson.is_some());
}

#[test]
fn refusal_of_a_body_at_the_floor_is_blocked_with_code_and_remedy() {
    let mut sizes = BodySizes::new();
    for bytes in [4 * KIB, 160, 40] {
        let lesson = sizes.handle_failure(bytes, 0, SizeClue::TooLarge).unwrap();
        assert_eq!(
            lesson,
            Lesson::Blocked {
                direction: Direction::Up,
                bytes
            }
        );
        assert_eq!(sizes.up_bytes_max(), bytes - 1);
        assert_eq!(lesson.code(), Some("PST-L01"));
        assert!(lesson.remedy().unwrap().contains("request bodies"));
    }
}

#[test]
fn body_that_passes_above_the_bound_raises_it() {
    let mut sizes = BodySizes::new();
    let _lesson = sizes.handle_failure(160, 0, SizeClue::TooLarge);
    sizes.handle_answer(160, 40);
    assert_eq!(sizes.up_bytes_max(), 318);
    sizes.handle_answer(20 * KIB, 40);
    assert_eq!(sizes.up_bytes_max(), 20 * KIB);
    sizes.handle_answer(30 * KIB, 40);
    assert_eq!(sizes.up_bytes_max(), 40 * KIB);
    sizes.handle_answer(48 * KIB, 40);
    assert_eq!(sizes.up_bytes_max(), 48 * KIB);
}

/// Ends of one exchange after another; `Ok` is a pass of so many bytes up.
fn check_cuts(ends: &[Result<usize, usize>], expected_kib: usize) {
    let mut sizes = BodySizes::new();
    for end in ends {
        match *end {
            Ok(bytes) => sizes.handle_answer(bytes, 0),
            Err(bytes) => drop(sizes.handle_failure(bytes, 0, SizeClue::Cut)),
        }
    }
    assert_eq!(sizes.up_bytes_max(), expected_kib * KIB, "{ends:?}");
}

#[test]
fn cut_counts_when_it_repeats_while_small_bodies_pass() {
    let large = 40 * KIB;
    check_cuts(&[Err(large), Ok(40), Err(large)], 24);
    check_cuts(&[Err(large), Err(large), Err(large)], 24);
    check_cuts(&[Err(large), Ok(40), Err(20 * KIB)], 12);
    check_cuts(
        &[
            Err(large),
            Ok(40),
            Err(large),
            Err(20 * KIB),
            Ok(40),
            Err(20 * KIB),
        ],
        12,
    );
}

#[test]
fn cut_that_has_another_cause_teaches_nothing() {
    let large = 40 * KIB;
    check_cuts(&[Err(large)], 48);
    check_cuts(&[Err(large), Err(large)], 48);
    check_cuts(&[Err(large), Ok(large), Err(large)], 48);
    check_cuts(&[Ok(large), Err(large), Err(large), Err(large)], 48);
    check_cuts(
        &[
            Err(40),
            Ok(40),
            Err(40),
            Err(4 * KIB),
            Err(4 * KIB),
            Err(40),
        ],
        48,
    );
}

#[test]
fn clue_that_is_none_teaches_nothing() {
    let mut sizes = BodySizes::new();
    for _ in 0..9 {
        assert_eq!(
            sizes.handle_failure(48 * KIB, 48 * KIB, SizeClue::None),
            None
        );
        assert_eq!(sizes.handle_failure(40, 0, SizeClue::AnswerRefused), None);
        let announced = Some(100);
        assert_eq!(
            sizes.handle_failure(40, 0, SizeClue::AnswerCut { announced }),
            None
        );
    }
    assert_eq!(sizes.down_bytes_max(), 48 * KIB);
}

/// A route that never carries an answer of what is asked for, down to the floor and past it.
fn check_answers(clue: SizeClue) {
    let mut sizes = BodySizes::new();
    let mut lessons = Vec::new();
    for _ in 0..15 {
        lessons.extend(sizes.handle_failure(600, sizes.down_bytes_max(), clue));
    }
    let blocked = Some(Lesson::Blocked {
        direction: Direction::Down,
        bytes: 4 * KIB,
    });
    let expected = [24, 12, 6, 4].map(|kib| smaller(Direction::Down, kib));
    assert_eq!(
        lessons.iter().copied().map(Some).collect::<Vec<_>>()[..4],
        expected
    );
    assert_eq!(lessons.last().copied(), blocked);
    assert_eq!(sizes.down_bytes_max(), 4 * KIB - 1);
    assert_eq!(sizes.up_bytes_max(), 48 * KIB);
}

#[test]
fn answers_that_never_come_whole_lower_what_is_asked_for() {
    check_answers(SizeClue::Cut);
    check_answers(SizeClue::AnswerRefused);
    check_answers(SizeClue::AnswerCut { announced: None });
}

#[test]
fn cut_answer_with_an_announced_length_counts_without_being_asked_for() {
    let mut sizes = BodySizes::new();
    let clue = SizeClue::AnswerCut {
        announced: Some(30 * KIB),
    };
    assert_eq!(sizes.handle_failure(40, 0, clue), None);
    sizes.handle_answer(40, 20);
    assert_eq!(
        sizes.handle_failure(40, 0, clue),
        smaller(Direction::Down, 24)
    );
}

#[test]
fn answer_that_passes_again_raises_what_is_asked_for() {
    let mut sizes = BodySizes::new();
    for _ in 0..15 {
        let _lesson = sizes.handle_failure(600, sizes.down_bytes_max(), SizeClue::Cut);
    }
    sizes.handle_answer(600, 33 * KIB);
    assert_eq!(sizes.down_bytes_max(), 33 * KIB);
}
