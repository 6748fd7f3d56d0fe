//! The lock-out at rest: a few lines of text, bound to the boot in which they were written.
//!
//! ```text
//!   postern proxy-lockout 1
//!   salt 64 hex digits
//!   at BOOT-ID-or-minus MS-SINCE-BOOT
//!   all LEFT-MS                          (only after a loss)
//!   MARK proven | MARK free N | MARK trying N | MARK locked N LEFT-MS
//!   sum 64 hex digits
//! ```
//!
//! Kept are times *left*, never times of day, because clocks at boot are wrong. In the same boot the
//! time since writing has passed; in another one at least the time since that boot began. A try
//! without an outcome counts as a rejection. Refuses anything that is not exactly this: the caller
//! then locks everything, because a lost memory must not cost a user's account.

use super::{Lockout, Mark, Phase, pause_after};
use crate::clock::Moment;
use crate::limits::{LOCKOUT_ENTRIES_MAX, LOCKOUT_PAUSES};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

const TITLE: &str = "postern proxy-lockout 1";

/// A moment that means something to the next process of the same boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// The boot, where the system names it.
    pub boot: Option<[u8; 16]>,
    /// Time since that boot, suspended time included.
    pub moment: Moment,
}

/// A record that is not what this module writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of rejected proxy credentials is damaged")]
pub struct Damaged;

/// Writes the record as it stands at `now`.
#[must_use]
pub fn encode(lockout: &Lockout, now: Uptime) -> String {
    let mut text = format!("{TITLE}\nsalt {}\n", hex(&lockout.salt));
    let boot = now.boot.map_or_else(|| "-".to_owned(), |boot| hex(&boot));
    let left = |until: Moment| until.since(now.moment).as_millis();
    let _infallible = writeln!(text, "at {boot} {}", now.moment.as_millis());
    if let Some(until) = lockout.all_until {
        let _infallible = writeln!(text, "all {}", left(until));
    }
    for (mark, phase) in &lockout.entries {
        let mark = hex(&mark.0);
        let _infallible = match phase {
            Phase::Proven => writeln!(text, "{mark} proven"),
            Phase::Free { rejections } => writeln!(text, "{mark} free {rejections}"),
            Phase::Trying { rejections } => writeln!(text, "{mark} trying {rejections}"),
            Phase::Locked { until, rejections } => {
                writeln!(text, "{mark} locked {rejections} {}", left(*until))
            }
        };
    }
    let sum = sum(&text);
    let _infallible = writeln!(text, "sum {sum}");
    text
}

/// Reads a record at `now`.
///
/// # Errors
/// [`Damaged`] for anything that [`encode`] does not write.
pub fn decode(bytes: &[u8], now: Uptime) -> Result<Lockout, Damaged> {
    let text = std::str::from_utf8(bytes).map_err(|_no_text| Damaged)?;
    let body_bytes = text.rfind("sum ").ok_or(Damaged)?;
    let (body, end) = text.split_at(body_bytes);
    if end != format!("sum {}\n", sum(body)) {
        return Err(Damaged);
    }
    let mut lines = body.lines();
    if lines.next() != Some(TITLE) {
        return Err(Damaged);
    }
    let salt = word(lines.next(), "salt").and_then(unhex)?;
    let mut at = word(lines.next(), "at")?.split(' ');
    let boot = match at.next() {
        Some("-") => None,
        Some(text) => Some(unhex(text)?),
        None => return Err(Damaged),
    };
    let written_ms: u64 = number(at.next())?;
    let passed = passed(boot, Moment::from_millis(written_ms), now);
    let mut lockout = Lockout::new(salt);
    for line in lines {
        read_line(&mut lockout, line, passed, now.moment)?;
    }
    Ok(lockout)
}

/// Time that has passed for certain since the record was written.
fn passed(boot: Option<[u8; 16]>, written: Moment, now: Uptime) -> Duration {
    let is_same_boot = boot.is_some() && boot == now.boot && written <= now.moment;
    let from = if is_same_boot { written } else { Moment::START };
    now.moment.since(from)
}

fn read_line(
    lockout: &mut Lockout,
    line: &str,
    passed: Duration,
    now: Moment,
) -> Result<(), Damaged> {
    let mut words = line.split(' ');
    let first = words.next().ok_or(Damaged)?;
    let until = |left_ms: u64| {
        let longest = LOCKOUT_PAUSES.iter().max().copied().unwrap_or_default();
        let left = Duration::from_millis(left_ms).min(longest);
        now.after(left.saturating_sub(passed))
    };
    if first == "all" {
        lockout.all_until = Some(until(number(words.next())?));
        return Ok(());
    }
    let mark = Mark(unhex(first)?);
    let phase = match words.next() {
        Some("proven") => Phase::Proven,
        Some("free") => Phase::Free {
            rejections: number(words.next())?,
        },
        Some("trying") => {
            let rejections: usize = number(words.next())?;
            Phase::Locked {
                until: now.after(pause_after(rejections)),
                rejections: rejections.saturating_add(1),
            }
        }
        Some("locked") => Phase::Locked {
            rejections: number(words.next())?,
            until: until(number(words.next())?),
        },
        Some(_) | None => return Err(Damaged),
    };
    if lockout.entries.len() >= LOCKOUT_ENTRIES_MAX {
        return Err(Damaged);
    }
    lockout.put(mark, phase);
    Ok(())
}

fn word<'l>(line: Option<&'l str>, name: &str) -> Result<&'l str, Damaged> {
    let rest = line.and_then(|line| line.strip_prefix(name));
    rest.and_then(|rest| rest.strip_prefix(' ')).ok_or(Damaged)
}

fn number<N: std::str::FromStr>(word: Option<&str>) -> Result<N, Damaged> {
    word.and_then(|word| word.parse().ok()).ok_or(Damaged)
}

fn sum(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

fn unhex<const N: usize>(text: &str) -> Result<[u8; N], Damaged> {
    if text.len() != N.saturating_mul(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Damaged);
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2).ok_or(Damaged)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_no_digits| Damaged)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
