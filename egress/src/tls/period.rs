//! When a certificate is valid, and how a moment is written for people.
//!
//! Reads the two forms of time that RFC 5280 (4.1.2.5) allows, strictly: everything else is no time. Decides
//! nothing: whether a certificate counts is the verifier's business.

use std::fmt;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const DAY_S: u64 = 86_400;

/// The period of validity that a certificate states; both ends belong to it, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First second.
    pub not_before_s: u64,
    /// Last second.
    pub not_after_s: u64,
}

impl Period {
    /// Tells whether a moment, in seconds since 1970, lies in the period.
    #[must_use]
    pub const fn contains(&self, unix_s: u64) -> bool {
        self.not_before_s <= unix_s && unix_s <= self.not_after_s
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to {}",
            Date(self.not_before_s),
            Date(self.not_after_s)
        )
    }
}

/// Seconds since 1970, shown as `2026-11-28T09:03:01Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY_S, self.0 % DAY_S);
        let (year, month, day) = civil(days);
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        let second = second % 60;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// Year, month and day of a day since 1970 in the Gregorian calendar, whose years begin in March here.
const fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01. No date that a certificate can name comes near an overflow.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Days since 1970 of a date; `None` before 1970 and for a date that is in no calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year_from_march, month_from_march) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        _later => (year, month - 3),
    };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Reads a UTCTime or GeneralizedTime: `YYMMDDHHMMSSZ` (1950 to 2049) or `YYYYMMDDHHMMSSZ`. A moment
/// before 1970 is 0.
pub(super) fn read_time(tag: u8, content: &[u8]) -> Option<u64> {
    let (&zone, digits) = content.split_last()?;
    let is_time = zone == b'Z' && digits.iter().all(u8::is_ascii_digit);
    let wanted = match tag {
        UTC_TIME => 12,
        GENERALIZED_TIME => 14,
        _other => return None,
    };
    if !is_time || digits.len() != wanted {
        return None;
    }
    let number = |from: usize, count: usize| {
        let range = digits.get(from..from + count)?;
        Some(
            range
                .iter()
                .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')),
        )
    };
    let (year, rest) = if tag == UTC_TIME {
        let short = number(0, 2)?;
        (
            if short < 50 {
                2_000 + short
            } else {
                1_900 + short
            },
            2,
        )
    } else {
        (number(0, 4)?, 4)
    };
    let (month, day) = (number(rest, 2)?, number(rest + 2, 2)?);
    let (hour, minute, second) = (
        number(rest + 4, 2)?,
        number(rest + 6, 2)?,
        number(rest + 8, 2)?,
    );
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let Some(days) = days(year, month, day) else {
        return (year < 1970 && (1..=12).contains(&month) && (1..=31).contains(&day)).then_some(0);
    };
    Some(days * DAY_S + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read_alike() {
        let cases = [
            (0, "19700101000000Z", "1970-01-01T00:00:00Z"),
            (951_782_400, "20000229000000Z", "2000-02-29T00:00:00Z"),
            (1_764_320_581, "20251128090301Z", "2025-11-28T09:03:01Z"),
            (1_709_210_096, "20240229123456Z", "2024-02-29T12:34:56Z"),
            (2_208_988_800, "20400101000000Z", "2040-01-01T00:00:00Z"),
            (4_102_444_799, "20991231235959Z", "2099-12-31T23:59:59Z"),
            (4_107_542_400, "21000301000000Z", "2100-03-01T00:00:00Z"),
            (253_402_300_799, "99991231235959Z", "9999-12-31T23:59:59Z"),
        ];
        for (unix_s, der, shown) in cases {
            assert_eq!(
                read_time(GENERALIZED_TIME, der.as_bytes()),
                Some(unix_s),
                "{der}"
            );
            assert_eq!(Date(unix_s).to_string(), shown);
        }
        for day in 0..40_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
    }

    #[test]
    fn short_years_are_of_this_century_below_fifty() {
        assert_eq!(read_time(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(read_time(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(read_time(UTC_TIME, b"500101000000Z"), Some(0));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let cases: [(u8, &[u8]); 11] = [
            (UTC_TIME, b""),
            (UTC_TIME, b"Z"),
            (UTC_TIME, b"260101000000"),
            (UTC_TIME, b"2601010000Z"),
            (UTC_TIME, b"260101000000+0100"),
            (UTC_TIME, b"26010100000xZ"),
            (UTC_TIME, b"260230000000Z"),
            (UTC_TIME, b"261301000000Z"),
            (GENERALIZED_TIME, b"20260101240000Z"),
            (GENERALIZED_TIME, b"260101000000Z"),
            (0x16, b"260101000000Z"),
        ];
        for (tag, content) in cases {
            assert_eq!(read_time(tag, content), None, "{tag:#x} {content:?}");
        }
    }
}
