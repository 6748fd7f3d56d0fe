//! Maintenance windows: when a device may change its application, by the minute of the week.
//!
//! ```text
//!  "Sun 02:00-04:00"   "Mon-Fri 22:00-05:00" (into the next morning)   "daily 12:00-12:30"
//! ```
//!
//! Times are UTC plus one fixed offset; daylight saving is not followed. Without any window every
//! moment is inside; with one, a clock that is not set is outside. Refuses windows of no length.

use std::ops::Range;

const MINUTES_DAY: u32 = 1_440;
const MINUTES_WEEK: u32 = 7 * MINUTES_DAY;
/// 1970-01-01 was a Thursday; weeks here begin on Monday.
const FIRST_DAY: u64 = 3;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Furthest places on Earth are 14 hours from UTC.
const OFFSET_MINUTES_MAX: i64 = 14 * 60;

/// The windows of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    /// Minutes of the week; empty for no windows at all.
    ranges: Vec<Range<u32>>,
    /// Added to UTC.
    offset_s: i64,
}

impl Windows {
    /// Reads windows.
    ///
    /// # Errors
    /// The index of the window that is wrong, and why.
    pub fn parse<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        offset_s: i64,
    ) -> Result<Self, (usize, String)> {
        let mut ranges = Vec::new();
        for (at, text) in texts.into_iter().enumerate() {
            ranges.extend(parse_window(text).map_err(|what| (at, what))?);
        }
        Ok(Self { ranges, offset_s })
    }

    /// Tells whether there are no windows, so that every moment will do.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Tells whether a moment, in seconds since 1970, lies in a window.
    #[must_use]
    pub fn contains(&self, unix_s: Option<u64>) -> bool {
        if self.is_always() {
            return true;
        }
        let minute = unix_s.and_then(|unix_s| self.minute(unix_s));
        minute.is_some_and(|minute| self.ranges.iter().any(|range| range.contains(&minute)))
    }

    fn minute(&self, unix_s: u64) -> Option<u32> {
        let local_s = unix_s.checked_add_signed(self.offset_s)?;
        let monday_s = local_s.checked_add(FIRST_DAY * u64::from(MINUTES_DAY) * 60)?;
        u32::try_from(monday_s / 60 % u64::from(MINUTES_WEEK)).ok()
    }
}

/// Reads an offset from UTC such as `+02:00`, in seconds.
pub fn parse_offset(text: &str) -> Option<i64> {
    let (sign, time) = match text.split_at_checked(1)? {
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let minutes = i64::from(parse_time(time)?);
    (minutes <= OFFSET_MINUTES_MAX).then_some(sign * minutes * 60)
}

fn parse_window(text: &str) -> Result<Vec<Range<u32>>, String> {
    let refused = || {
        format!(
            "must be days and times, such as \"Sun 02:00-04:00\", \"Mon-Fri 22:00-05:00\" or \"daily 12:00-12:30\", not \"{text}\""
        )
    };
    let (days, times) = text.split_once(' ').ok_or_else(refused)?;
    let (from, to) = times.split_once('-').ok_or_else(refused)?;
    let (from, to) = parse_time(from).zip(parse_time(to)).ok_or_else(refused)?;
    if from == to || from == MINUTES_DAY {
        return Err(format!("has no length: \"{text}\""));
    }
    let end = if to > from { to } else { to + MINUTES_DAY };
    let mut ranges = Vec::new();
    for day in parse_days(days).ok_or_else(refused)? {
        let (start, end) = (day * MINUTES_DAY + from, day * MINUTES_DAY + end);
        ranges.push(start..end.min(MINUTES_WEEK));
        if end > MINUTES_WEEK {
            ranges.push(0..end - MINUTES_WEEK);
        }
    }
    Ok(ranges)
}

fn parse_days(text: &str) -> Option<Vec<u32>> {
    if text == "daily" {
        return Some((0..7).collect());
    }
    let day = |name: &str| {
        let at = DAYS.iter().position(|day| *day == name)?;
        u32::try_from(at).ok()
    };
    let Some((first, last)) = text.split_once('-') else {
        return day(text).map(|day| vec![day]);
    };
    let (first, last) = day(first).zip(day(last))?;
    let count = (last + 7 - first) % 7 + 1;
    Some((0..count).map(|step| (first + step) % 7).collect())
}

/// Reads `HH:MM`, 00:00 to 24:00, as minutes.
fn parse_time(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let is_two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| is_two)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= MINUTES_DAY).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::{Windows, parse_offset};

    /// 2023-11-13, a Monday, 00:00 UTC.
    const MONDAY: u64 = 1_699_833_600;
    const HOUR: u64 = 3_600;

    fn check(window: &str, offset_s: i64, inside: &[u64], outside: &[u64]) {
        let windows = Windows::parse([window], offset_s).unwrap();
        for hour in inside {
            assert!(
                windows.contains(Some(MONDAY + hour * HOUR)),
                "{window} {hour}"
            );
        }
        for hour in outside {
            assert!(
                !windows.contains(Some(MONDAY + hour * HOUR)),
                "{window} {hour}"
            );
        }
    }

    #[test]
    fn window_holds_its_first_minute_and_not_its_last() {
        check("Sun 02:00-04:00", 0, &[146, 147], &[145, 148, 2, 122]);
        check("daily 12:00-13:00", 0, &[12, 36, 156], &[11, 13, 37]);
        check(
            "Mon-Fri 22:00-05:00",
            0,
            &[22, 28, 118, 124],
            &[4, 5, 125, 142],
        );
        check("Sun 22:00-02:00", 0, &[166, 167, 0, 1], &[2, 165, 22]);
        check("Sat-Mon 00:00-24:00", 0, &[0, 23, 120, 167], &[24, 119]);
        check("Mon 02:00-03:00", 2 * 3_600, &[0], &[2, 1]);
    }

    #[test]
    fn clock_that_is_not_set_is_outside_every_window() {
        let windows = Windows::parse(["daily 00:00-24:00"], 0).unwrap();
        assert!(!windows.contains(None));
        assert!(windows.contains(Some(0)));
        assert!(Windows::default().contains(None));
    }

    #[test]
    fn window_of_another_form_is_refused() {
        let cases = [
            "",
            "Sun",
            "02:00-04:00",
            "sun 02:00-04:00",
            "Sun 2:00-04:00",
            "Sun 02:00",
            "Sun 02:60-04:00",
            "Sun 02:00-24:01",
            "Sun 02:00-02:00",
            "Sun 24:00-01:00",
            "Sun  02:00-04:00",
            "Sun-Fun 02:00-04:00",
            "Sun 02:00-04:00 UTC",
            "Sun +2:00-04:00",
        ];
        for case in cases {
            assert_eq!(
                Windows::parse(["daily 00:00-01:00", case], 0)
                    .unwrap_err()
                    .0,
                1,
                "{case}"
            );
        }
    }

    #[test]
    fn offset_is_hours_and_minutes_or_refused() {
        assert_eq!(parse_offset("+02:00"), Some(7_200));
        assert_eq!(parse_offset("-03:30"), Some(-12_600));
        for case in ["", "02:00", "+2", "+15:00", "CET", "+02:00 ", "é"] {
            assert_eq!(parse_offset(case), None, "{case}");
        }
    }
}
