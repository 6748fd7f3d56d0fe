//! What the ladder is told and tells; labels for people and metrics come from closed sets.
//!
//! Plain data; refuses to decide anything.

use super::way::{Way, WayKey};
use crate::clock::Moment;

/// What is known of the present network when a race begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The way that worked here last.
    pub last_good: Option<WayKey>,
    /// QUIC met silence here a short while ago.
    pub is_udp_hostile: bool,
}

/// Another way is in use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The way before, where it still exists.
    pub from: Option<Way>,
    /// The way now.
    pub to: Way,
    /// Why.
    pub reason: SwitchReason,
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again on the same way.
    Stay,
    /// Find another way; until one answers, the present one stays in use.
    Leave,
    /// The way that was left a moment ago is in use again.
    Back(Switch),
}

/// Why another way is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SwitchReason {
    /// It answered first.
    Raced,
    /// The way before failed.
    Failed,
    /// It is better, and has proven itself.
    Better,
    /// The better way died within a minute.
    Died,
    /// The mailbox sent this client there.
    Moved,
    /// The machine is in another network.
    Network,
}

impl SwitchReason {
    /// Returns the label for status, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raced => "raced",
            Self::Failed => "failed",
            Self::Better => "better",
            Self::Died => "died",
            Self::Moved => "moved",
            Self::Network => "network",
        }
    }
}

/// What is known of one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayFacts {
    /// The way.
    pub way: Way,
    /// Whether it is in use.
    pub is_current: bool,
    /// The code of its last failure since it worked last.
    pub last_error: Option<&'static str>,
    /// Whether it is left alone because it flapped.
    pub is_suppressed: bool,
    /// When it is asked again, where that is planned.
    pub next_try: Option<Moment>,
}
