//! Rules about wall clocks: who may read one, and what it is never used for.
//!
//! A clock that stands at 1970 or in 2040 must change nothing but what people read. The lists below are whole: a
//! new reader has to be written down here with its reason.

use super::files::{Line, is_test, lines, report, text_of};

/// Words that read a wall clock.
const READS: [&str; 7] = [
    "SystemTime::now",
    "UnixTime::now",
    "ClockId::Realtime",
    "clock::unix_s()",
    "clock::wall_s()",
    "wall_s()",
    "OffsetDateTime::now",
];

/// Files that may, and what for.
const READERS: [(&str, &str); 13] = [
    ("egress/src/clock.rs", "the reader of certificates' periods"),
    (
        "egress/src/tls/time/mod.rs",
        "the period of certificates before a time was taken",
    ),
    ("console/src/clock.rs", "the reader of the programs"),
    (
        "console/src/routes/whereabouts.rs",
        "the age of what is remembered of a network, a hint",
    ),
    ("relay/src/server/clock/mod.rs", "what a welcome states"),
    (
        "daemon/src/device/show.rs",
        "maintenance windows, which people set by the clock",
    ),
    (
        "console/src/doctor/walk.rs",
        "the date of a diagnosis, for people",
    ),
    (
        "egress/src/proxy_auth/conversation.rs",
        "what NTLM states to a proxy that states no time",
    ),
    (
        "daemon/src/controller/backup/mod.rs",
        "the date of a backup, for people",
    ),
    (
        "relay/command/src/admin/desk.rs",
        "the dates of the audit, for people",
    ),
    (
        "relay/command/src/cli/start.rs",
        "whether a certificate ends soon, for people",
    ),
    (
        "relay/command/src/run/start.rs",
        "the dates of the audit, for people",
    ),
    (
        "relay/command/src/run/mod.rs",
        "the dates of the audit, for people",
    ),
];

/// Where the protocol looks at the seconds since 1970 that a driver gives it, and what for.
const LOOKS: [(&str, &str); 8] = [
    ("protocol/src/context.rs", "carries them"),
    (
        "protocol/src/revision/mod.rs",
        "a hint in a new epoch, above the highest in any case",
    ),
    ("protocol/src/device/reporter.rs", "the same hint"),
    ("protocol/src/device/actual.rs", "the same hint"),
    ("protocol/src/controller/epochs.rs", "the same hint"),
    (
        "protocol/src/controller/enrol.rs",
        "the end of an invitation, and what an enrolment states",
    ),
    ("protocol/src/controller/mod.rs", "the end of an invitation"),
    ("protocol/src/signed_time.rs", "what is stated"),
];

/// Files of the protocol that keep the end of an invitation.
const KEEPERS: [&str; 3] = [
    "protocol/src/controller/io.rs",
    "protocol/src/controller/records/mod.rs",
    "protocol/src/controller/records/restore.rs",
];

fn is_inline_test(line: &Line) -> bool {
    line.text.trim_start().starts_with("assert")
}

#[test]
fn wall_clock_is_read_where_it_is_written_down_only() {
    let is_read = |line: &&Line| {
        let is_source =
            !is_test(&line.file) && !line.is_comment() && !line.file.starts_with("protocol/tests");
        is_source && READS.iter().any(|word| line.text.contains(word))
    };
    let source = lines("");
    let read: Vec<&Line> = source.iter().filter(is_read).collect();
    let findings: Vec<String> = read
        .iter()
        .filter(|line| READERS.iter().all(|(file, _)| *file != line.file))
        .map(|line| line.shown())
        .collect();
    report(
        "a wall clock is read: use the monotonic one, or write the file and its reason into tidy/time.rs",
        &findings,
    );
    let idle: Vec<String> = READERS
        .iter()
        .filter(|(file, _)| read.iter().all(|line| line.file != *file))
        .map(|(file, _)| (*file).to_owned())
        .collect();
    report("reads no wall clock any more: take it off the list", &idle);
}

#[test]
fn no_rule_of_order_or_freshness_looks_at_a_wall_clock() {
    let source = lines("protocol/src");
    let findings: Vec<String> = source
        .iter()
        .filter(|line| !is_test(&line.file) && !line.is_comment() && !is_inline_test(line))
        .filter(|line| line.text.contains("unix_s") || line.text.contains("SignedTime"))
        .filter(|line| LOOKS.iter().all(|(file, _)| *file != line.file))
        .filter(|line| !KEEPERS.contains(&line.file.as_str()))
        // Those read or hand on what is stated; nobody of them compares it with anything.
        .filter(|line| !is_passed_on(&line.text))
        .map(Line::shown)
        .collect();
    report(
        "order and freshness know no wall clock (spec/freshness.md#signed-time)",
        &findings,
    );
    let judges = [
        "protocol/src/freshness/mod.rs",
        "protocol/src/revision/mod.rs",
    ];
    let compares: Vec<String> = judges
        .iter()
        .flat_map(|file| lines(file))
        .filter(|line| line.text.contains("SignedTime") || line.text.contains("now.unix_s"))
        .map(|line| line.shown())
        .collect();
    report(
        "a judge of order or freshness is given a wall clock",
        &compares,
    );
}

/// True for a line that imports, names the type of, reads or writes a time, and for no other.
fn is_passed_on(text: &str) -> bool {
    let text = text.trim();
    let text = text.trim_end_matches([',', ';']);
    text.starts_with("use ")
        || text.ends_with("Option<SignedTime>")
        || text.ends_with("Option<SignedTime> {")
        || text.ends_with("time: SignedTime")
        || text.contains("SignedTime::read_")
        || text.contains("SignedTime::write_last")
}

#[test]
fn release_is_no_older_than_a_year_when_it_is_dated() {
    let limits = text_of("egress/src/limits.rs");
    let number = limits
        .split("RELEASE_UNIX_S: u64 = ")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .expect("the constant");
    let release_s: u64 = number.replace('_', "").parse().expect("a number");
    let changes = text_of("CHANGELOG.md");
    let dated = changes
        .lines()
        .filter_map(|line| line.strip_prefix("## ")?.split_once(", "))
        .find_map(|(_, date)| year_of(date));
    // Until the first release has its date there is nothing to be older than.
    let Some(year) = dated else {
        assert!(changes.contains("unreleased"), "no version in CHANGELOG.md");
        return;
    };
    // Whole years of 365.2425 days.
    let begins_s = (year - 1970) * 31_556_952;
    assert!(
        release_s.abs_diff(begins_s) < 86_400 * 2,
        "set RELEASE_UNIX_S in egress/src/limits.rs to the first second of {year}"
    );
}

/// The year of `2026-11-28`, where this is a date.
fn year_of(date: &str) -> Option<u64> {
    let mut parts = date.split('-');
    let year = parts.next()?.parse().ok()?;
    (parts.count() == 2).then_some(year)
}
