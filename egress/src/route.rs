//! The names of the ways to a mailbox, as they stand in status and metrics.
//!
//! A closed set: a metric label may come from here. Says nothing about which proxy or address; that
//! stands in the link report.

/// One way to a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// QUIC straight to the target.
    Quic,
    /// TCP straight to the target.
    Direct,
    /// Through a proxy: which one, counted from 0 as the settings order them.
    Proxy(u8),
}

impl Route {
    /// Returns the name used in status, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Direct => "direct",
            Self::Proxy(_) => "proxy",
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
