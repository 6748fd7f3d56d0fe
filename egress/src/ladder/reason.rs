//! What people and metrics are told of the ladder; labels come from closed sets.

use super::way::Way;
use crate::clock::Moment;

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
