//! What drivers can do wrong: each is a bug that somebody had, and the oracle must notice it.
//!
//! Refuses to touch an engine: what is wrong is what a driver does with inputs, outputs and rows.

use super::disk::DiskFlaw;
use crate::record::Table;

/// What a driver of this world does wrong on purpose, to see whether somebody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Lets messages leave before what is behind them is durable.
    SendBeforePersist,
    /// Loses the marks of intents.
    ForgetMarks,
    /// Starts from the store of an earlier moment.
    StaleStore,
    /// Keeps the heads of planes in memory alone.
    ForgetHeads,
    /// Keeps bundles in memory alone.
    ForgetBundles,
    /// Tells that a revision was applied when the application failed.
    FailureAsSuccess,
    /// Does not try to apply what comes after a failure.
    SkipAfterFailure,
    /// Never tells how an action ended.
    ForgetEnds,
    /// Runs every action twice.
    ActTwice,
    /// Acts before the mark of the action is durable.
    ActBeforePersist,
    /// Takes its clock for the date, which jumps, as the clock of its timers.
    WallForTimers,
    /// Lets no poll wait, and asks again at once.
    NoPause,
    /// Goes on after a commit that failed.
    GoOnAfterError,
    /// Commits without a flush.
    NoSync,
    /// Reads torn commits as if they were whole.
    NoChecksum,
}

impl Sabotage {
    /// Everything that a driver can do wrong.
    pub const ALL: [Self; 15] = [
        Self::SendBeforePersist,
        Self::ForgetMarks,
        Self::StaleStore,
        Self::ForgetHeads,
        Self::ForgetBundles,
        Self::FailureAsSuccess,
        Self::SkipAfterFailure,
        Self::ForgetEnds,
        Self::ActTwice,
        Self::ActBeforePersist,
        Self::WallForTimers,
        Self::NoPause,
        Self::GoOnAfterError,
        Self::NoSync,
        Self::NoChecksum,
    ];

    pub(super) const fn flaw(self) -> Option<DiskFlaw> {
        match self {
            Self::NoSync => Some(DiskFlaw::NoSync),
            Self::NoChecksum => Some(DiskFlaw::NoChecksum),
            Self::SendBeforePersist
            | Self::ForgetMarks
            | Self::StaleStore
            | Self::ForgetHeads
            | Self::ForgetBundles
            | Self::FailureAsSuccess
            | Self::SkipAfterFailure
            | Self::ForgetEnds
            | Self::ActTwice
            | Self::ActBeforePersist
            | Self::WallForTimers
            | Self::NoPause
            | Self::GoOnAfterError => None,
        }
    }

    /// Tells whether a row is missing after a restart.
    pub(super) const fn forgets(self, table: Table) -> bool {
        match self {
            Self::ForgetHeads => matches!(
                table,
                Table::Heads | Table::Values | Table::Actual | Table::Envelopes
            ),
            Self::ForgetBundles => matches!(table, Table::Bundles),
            Self::SendBeforePersist
            | Self::ForgetMarks
            | Self::StaleStore
            | Self::FailureAsSuccess
            | Self::SkipAfterFailure
            | Self::ForgetEnds
            | Self::ActTwice
            | Self::ActBeforePersist
            | Self::WallForTimers
            | Self::NoPause
            | Self::GoOnAfterError
            | Self::NoSync
            | Self::NoChecksum => false,
        }
    }
}
