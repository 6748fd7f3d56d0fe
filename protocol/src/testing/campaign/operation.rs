//! What can be done to a fleet, and how each is drawn.
//!
//! Refuses to depend on what happens: a plan is drawn before anything runs, so that parts of it can be
//! left out and the rest stays the same.

use super::super::{Dice, Proxy};

/// One thing that is done to the fleet. Devices are named by place, modulo their number.
#[expect(missing_docs, reason = "the variant says what its numbers are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An operator sets a value.
    Set { device: usize, key: u64 },
    /// An operator removes a value.
    Remove { device: usize, key: u64 },
    /// An operator changes a line of a long text.
    Edit { device: usize, key: u64 },
    /// An application writes into the actual plane.
    Write { device: usize, key: u64 },
    /// An operator raises an intent.
    Intend { device: usize, key: u64 },
    /// An operator sets an intent to whatever value.
    Misintend { device: usize, value: u64 },
    /// The next applications fail.
    Fail { device: usize, times: usize },
    /// A device dies at a commit.
    Crash {
        device: usize,
        after_commits: usize,
        is_lost: bool,
    },
    /// A device is switched off and on.
    Reboot { device: usize, down_ms: u64 },
    /// A device is suspended; its boot clock goes on.
    Suspend { device: usize, for_ms: u64 },
    /// An operator of the device closes or opens the way to its application.
    Gate { device: usize, is_open: bool },
    /// The controller is started anew.
    RestartController,
    /// The controller dies at a commit.
    CrashController { after_commits: usize, is_lost: bool },
    /// A copy of the controller's store is put away.
    Backup,
    /// The controller goes on from that copy.
    Restore,
    /// The mailbox forgets its sessions.
    RestartMailbox,
    /// The mailbox shows a channel nothing new, or only heartbeats now and then.
    Freeze { device: usize, drip_ms: Option<u64> },
    /// The mailbox shows a channel everything again.
    Thaw { device: usize },
    /// The mailbox tells something old again.
    TellAgain { device: usize, which: u64 },
    /// The writer's key is replaced and revoked.
    RotateWriter,
    /// The mailbox's key is replaced.
    RotateMailbox,
    /// A device asks for another key.
    RotateDevice { device: usize },
    /// A device's key is revoked.
    Revoke { device: usize },
    /// A device loses its store and is enrolled anew.
    Reset { device: usize },
    /// A second unit runs with the store of a device.
    Copy { device: usize },
    /// A device writes a file, and gets one.
    FileOut { device: usize },
    /// The controller reads the files that devices wrote.
    FileIn,
    /// Somebody sits on the way of a device for a while.
    Intrude {
        device: usize,
        proxy: Proxy,
        for_ms: u64,
    },
    /// A device believes in another date, this many seconds from the right one.
    JumpClock { device: usize, by_s: i64 },
    /// The controller believes in another date.
    JumpControllerClock { by_s: i64 },
    /// Commits of a device take this long.
    SlowDisk { device: usize, fsync_ms: u64 },
    /// Commits of a device fail for a while.
    FailDisk { device: usize, for_ms: u64 },
    /// Commits of the controller fail for a while, after so many.
    FailControllerDisk {
        after_commits: usize,
        for_ms: u64,
        is_full: bool,
    },
    /// Something that only a later version, or another site, has a meaning for.
    Novel { device: usize, which: u64 },
    /// Everything is healed and must come to rest; then it goes on.
    Peace,
}

/// Kinds of operations: a swarm has some of them.
pub(super) const KINDS: u64 = 26;
/// With those that long plans have, too.
pub(super) const KINDS_LONG: u64 = 31;
/// With those that are drawn beside a plan.
pub(super) const KINDS_ALL: u64 = 33;
/// The first kind that is trouble; those before it are what fleets are for.
pub(super) const KINDS_TROUBLE: u64 = 5;

/// Seconds of ten years, by which clocks jump at most.
const TEN_YEARS_S: u64 = 315_360_000;

impl Operation {
    /// Draws one of a kind.
    #[expect(clippy::too_many_lines, reason = "a table: one line for each kind")]
    pub(super) fn draw(kind: u64, dice: &mut Dice) -> Self {
        let device = small(dice, 8);
        let key = dice.below(4);
        match kind {
            0 => Self::Set { device, key },
            1 => Self::Edit { device, key },
            2 => Self::Write { device, key },
            3 => Self::Intend {
                device,
                key: key % 2,
            },
            4 => Self::Remove { device, key },
            5 => Self::Fail {
                device,
                times: 1 + small(dice, 2),
            },
            6 => Self::Crash {
                device,
                after_commits: small(dice, 4),
                is_lost: dice.chance(500),
            },
            7 => Self::Reboot {
                device,
                down_ms: dice.below(120_000),
            },
            8 => Self::Suspend {
                device,
                for_ms: dice.below(2_400_000),
            },
            9 => Self::RestartController,
            10 => Self::CrashController {
                after_commits: small(dice, 4),
                is_lost: dice.chance(500),
            },
            11 => Self::Backup,
            12 => Self::Restore,
            13 => Self::RestartMailbox,
            14 => Self::Freeze {
                device,
                drip_ms: dice.chance(500).then(|| dice.below(600_000)),
            },
            15 => Self::Thaw { device },
            16 => Self::TellAgain {
                device,
                which: dice.draw(),
            },
            17 => Self::RotateWriter,
            18 => Self::RotateMailbox,
            19 => Self::RotateDevice { device },
            20 => Self::Revoke { device },
            21 => Self::Reset { device },
            22 => Self::Copy { device },
            23 => Self::FileOut { device },
            24 => Self::FileIn,
            26 => Self::Intrude {
                device,
                proxy: drawn_proxy(dice),
                for_ms: dice.below(3_600_000),
            },
            27 => Self::JumpClock {
                device,
                by_s: drawn_jump(dice),
            },
            28 => Self::JumpControllerClock {
                by_s: drawn_jump(dice),
            },
            29 => Self::SlowDisk {
                device,
                fsync_ms: if dice.chance(500) {
                    dice.below(20_000)
                } else {
                    0
                },
            },
            30 => Self::FailDisk {
                device,
                for_ms: dice.below(120_000),
            },
            31 => Self::FailControllerDisk {
                after_commits: small(dice, 4),
                for_ms: dice.below(120_000),
                is_full: dice.chance(500),
            },
            32 => Self::Novel {
                device,
                which: dice.draw(),
            },
            _ if dice.chance(500) => Self::Gate {
                device,
                is_open: dice.chance(500),
            },
            _ => Self::Misintend {
                device,
                value: dice.draw() >> dice.below(64),
            },
        }
    }
}

fn drawn_proxy(dice: &mut Dice) -> Proxy {
    let place = small(dice, Proxy::ALL.len() as u64);
    Proxy::ALL.get(place).copied().unwrap_or(Proxy::Cut)
}

fn drawn_jump(dice: &mut Dice) -> i64 {
    let by_s = dice.below(TEN_YEARS_S) >> dice.below(28);
    let by_s = i64::try_from(by_s).unwrap_or(0);
    if dice.chance(500) { by_s } else { -by_s }
}

fn small(dice: &mut Dice, bound: u64) -> usize {
    usize::try_from(dice.below(bound)).unwrap_or(0)
}
