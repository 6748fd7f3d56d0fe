//! Seconds since 1970 as UTC text, and back from the two forms of certificates.
//!
//! Days are counted in 400-year cycles of the Gregorian calendar. Refuses local time.

const DAY_S: u64 = 86_400;

/// Writes seconds since 1970 as `2026-11-28T02:10:00Z`.
#[must_use]
pub fn utc(unix_s: u64) -> String {
    let (year, month, day) = date_of(unix_s / DAY_S);
    let second = unix_s % DAY_S;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// Returns the date of a day since 1970. The year begins in March, so that the leap day is its last.
fn date_of(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days.saturating_add(719_468);
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let calendar = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * cycle + year + u64::from(calendar <= 2);
    (year, calendar, of_month)
}

/// Returns seconds since 1970 of a date and time of day; `None` before 1970 and for no date.
#[must_use]
pub fn unix_s(year: u64, month: u64, day: u64, second: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || second > DAY_S {
        return None;
    }
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    days.checked_mul(DAY_S)?.checked_add(second)
}
