//! Remembers which networks do not carry UDP, so that QUIC is not tried there again and again.
//!
//! ```text
//!   unknown --fails--> hostile for 6 h      --fails--> 6 h ...
//!   good    --fails--> hostile for 10 min   --fails--> 20, 40, ... 6 h     (a success makes it good)
//! ```
//!
//! Pure: time, random bits and the name of the network come in as arguments; one module writes the
//! result into a file that another owns. Only failures that blame UDP count
//! ([`TransportError::blames_udp`](crate::TransportError::blames_udp)), and only when another way got
//! through meanwhile: a network that is down says nothing about UDP. Refuses to keep a network for
//! ever: the one asked about longest ago makes room.

use crate::clock::Moment;
use crate::limits::{UDP_NETWORKS_MAX, UDP_PAUSE, UDP_PAUSE_AFTER_GOOD, UDP_PAUSE_JITTER_PERCENT};
use std::fmt::Write as _;
use std::time::Duration;

const TITLE: &str = "postern udp 1";

/// Names a network, or a network and a target: 16 bytes that the caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkMark([u8; 16]);

impl NetworkMark {
    /// Wraps the caller's name.
    #[must_use]
    pub const fn new(name: [u8; 16]) -> Self {
        Self(name)
    }
}

/// A record that is not what [`UdpMemory::encode`] writes. The caller starts with an empty memory:
/// that costs one handshake's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of networks without UDP is damaged")]
pub struct DamagedUdpMemory;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    mark: NetworkMark,
    /// QUIC worked here once.
    was_good: bool,
    /// Failures in a row.
    failures: u32,
    /// Not to be tried before.
    until: Moment,
}

/// The memory about the networks of one device, the one asked about last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpMemory {
    entries: Vec<Entry>,
}

impl UdpMemory {
    /// Starts knowing nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Tells whether QUIC may be tried on this network.
    #[must_use]
    pub fn may_try(&self, network: NetworkMark, now: Moment) -> bool {
        let entry = self.entries.iter().find(|entry| entry.mark == network);
        entry.is_none_or(|entry| entry.until <= now)
    }

    /// When QUIC may be tried on this network again; `None` when it may be tried at any time.
    #[must_use]
    pub fn retry_at(&self, network: NetworkMark) -> Option<Moment> {
        let entry = self.entries.iter().find(|entry| entry.mark == network);
        entry
            .filter(|entry| entry.failures > 0)
            .map(|entry| entry.until)
    }

    /// Records an answer over QUIC whose signature was verified.
    pub fn handle_success(&mut self, network: NetworkMark) {
        let entry = self.entry(network);
        entry.was_good = true;
        entry.failures = 0;
        entry.until = Moment::START;
    }

    /// Records a failure that blames UDP; `random` are fresh random bits for the jitter.
    pub fn handle_failure(&mut self, network: NetworkMark, now: Moment, random: u64) {
        let entry = self.entry(network);
        let pause = if entry.was_good {
            let doublings = entry.failures.min(16);
            UDP_PAUSE_AFTER_GOOD
                .saturating_mul(1 << doublings)
                .min(UDP_PAUSE)
        } else {
            UDP_PAUSE
        };
        entry.failures = entry.failures.saturating_add(1);
        entry.until = now.after(jittered(pause, random));
    }

    /// Returns the entry of a network, as the newest.
    fn entry(&mut self, mark: NetworkMark) -> &mut Entry {
        let place = self.entries.iter().position(|entry| entry.mark == mark);
        let entry = match place {
            Some(place) => self.entries.remove(place),
            None => Entry {
                mark,
                was_good: false,
                failures: 0,
                until: Moment::START,
            },
        };
        if self.entries.len() >= UDP_NETWORKS_MAX {
            self.entries.remove(0);
        }
        self.entries.push(entry);
        match self.entries.last_mut() {
            Some(entry) => entry,
            None => unreachable!("an entry was pushed the line before"),
        }
    }

    /// Writes the record as it stands at `now`: a title, then a line for each network with the pause
    /// that is left, because clocks at boot are wrong. At most 2 KiB.
    #[must_use]
    pub fn encode(&self, now: Moment) -> String {
        let mut text = format!("{TITLE}\n");
        for entry in &self.entries {
            for byte in entry.mark.0 {
                let _infallible = write!(text, "{byte:02x}");
            }
            let state = if entry.was_good { "good" } else { "new" };
            let (failures, left) = (entry.failures, entry.until.since(now).as_millis());
            let _infallible = writeln!(text, " {state} {failures} {left}");
        }
        text
    }

    /// Reads a record at `now`, written at least `passed` ago. No pause is longer than one that
    /// could have been set.
    ///
    /// # Errors
    /// [`DamagedUdpMemory`] for anything that [`Self::encode`] does not write.
    pub fn decode(text: &str, now: Moment, passed: Duration) -> Result<Self, DamagedUdpMemory> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(DamagedUdpMemory);
        }
        let mut memory = Self::new();
        for line in lines {
            let entry = read_line(line, now, passed).ok_or(DamagedUdpMemory)?;
            let is_known = memory.entries.iter().any(|known| known.mark == entry.mark);
            if is_known || memory.entries.len() >= UDP_NETWORKS_MAX {
                return Err(DamagedUdpMemory);
            }
            memory.entries.push(entry);
        }
        Ok(memory)
    }
}

fn read_line(line: &str, now: Moment, passed: Duration) -> Option<Entry> {
    let mut words = line.split(' ');
    let mark = NetworkMark(unhex(words.next()?)?);
    let was_good = match words.next()? {
        "good" => true,
        "new" => false,
        _other => return None,
    };
    let failures = words.next()?.parse().ok()?;
    let left =
        Duration::from_millis(words.next()?.parse().ok()?).min(jittered(UDP_PAUSE, u64::MAX));
    words.next().is_none().then(|| Entry {
        mark,
        was_good,
        failures,
        until: now.after(left.saturating_sub(passed)),
    })
}

fn unhex(digits: &str) -> Option<[u8; 16]> {
    let is_hex = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() != 32 || !is_hex {
        return None;
    }
    let number = u128::from_str_radix(digits, 16).ok()?;
    Some(number.to_be_bytes())
}

/// A pause moved by at most 20 %: evenly between the bounds, as the bits say.
fn jittered(pause: Duration, random: u64) -> Duration {
    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let reach_ms = pause_ms.saturating_mul(UDP_PAUSE_JITTER_PERCENT) / 100;
    let span = u128::from(reach_ms.saturating_mul(2));
    let moved = (u128::from(random) * span) >> 64;
    let moved_ms = u64::try_from(moved).unwrap_or(u64::MAX);
    Duration::from_millis(pause_ms.saturating_sub(reach_ms).saturating_add(moved_ms))
}

#[cfg(test)]
mod tests;
