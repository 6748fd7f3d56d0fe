//! What can be done to a fleet, and how each is drawn.
//!
//! Refuses to depend on what happens: a plan is drawn before anything runs, so that parts of it can be
//! left out and the rest stays the same.

use super::super::Dice;

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
}

/// Kinds of operations: a swarm has some of them.
pub(super) const KINDS: u64 = 26;

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

fn small(dice: &mut Dice, bound: u64) -> usize {
    usize::try_from(dice.below(bound)).unwrap_or(0)
}
