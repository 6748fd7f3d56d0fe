//! Carrying out one operation: what an operator, an application or bad luck does to the world.
//!
//! Refuses to look at how it went: that is the oracle's part.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "operations are parted by whom they befall; the first match names every one"
)]

use super::super::campaign::Trick;
use super::super::{Crash, DiskFault, Wall};
use super::{Operation, Run};
use crate::controller::{self, Event};
use crate::device::Input;
use crate::state::{Change, Path, Value};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Lines of a text that is edited.
const LINES: u64 = 40;

impl Run {
    /// Carries out one operation.
    pub(super) fn perform(&mut self, operation: &Operation) {
        match *operation {
            Operation::Set { device, key } => self.decide_value(device, key),
            Operation::Remove { device, key } => {
                self.decide(device, path(&format!("k/{key}")), None);
            }
            Operation::Edit { device, key } => self.decide_text(device, key),
            Operation::Write { device, key } => self.write(device, key),
            Operation::Intend { device, key } => self.intend(device, key),
            Operation::Misintend { device, value } => {
                let change = Change::Set(path("intent/odd"), Value::Int((value >> 1).into()));
                let device = self.place(device);
                self.world.decide(device, Vec::from([change]));
            }
            Operation::Fail { .. }
            | Operation::Gate { .. }
            | Operation::Crash { .. }
            | Operation::Reboot { .. }
            | Operation::Suspend { .. }
            | Operation::SlowDisk { .. }
            | Operation::FailDisk { .. } => self.perform_below(operation),
            Operation::Intrude { .. }
            | Operation::JumpClock { .. }
            | Operation::JumpControllerClock { .. } => self.perform_around(operation),
            Operation::Novel { device, which } => self.perform_novel(device, which),
            Operation::Peace => self.make_peace(),
            Operation::RestartController
            | Operation::CrashController { .. }
            | Operation::FailControllerDisk { .. }
            | Operation::Backup
            | Operation::Restore
            | Operation::RestartMailbox
            | Operation::Freeze { .. }
            | Operation::Thaw { .. }
            | Operation::TellAgain { .. } => self.perform_middle(operation),
            Operation::RotateWriter
            | Operation::RotateMailbox
            | Operation::RotateDevice { .. }
            | Operation::Revoke { .. }
            | Operation::Reset { .. }
            | Operation::Copy { .. }
            | Operation::FileOut { .. }
            | Operation::FileIn => self.perform_upheaval(operation),
        }
    }

    /// What befalls a device.
    fn perform_below(&mut self, operation: &Operation) {
        match *operation {
            Operation::Fail { device, times } => {
                let device = self.place(device);
                if let Some(node) = self.world.devices.get_mut(device) {
                    node.failures += times;
                }
            }
            Operation::Gate { device, is_open } => {
                let device = self.place(device);
                self.world.input(device, Input::Gate { is_open });
            }
            Operation::Crash {
                device,
                after_commits,
                is_lost,
            } => {
                let device = self.place(device);
                self.totals.crashes += 1;
                if let Some(node) = self.world.devices.get_mut(device) {
                    node.crash = Some(Crash {
                        after_commits,
                        is_lost,
                    });
                }
            }
            Operation::Reboot { device, down_ms } => self.reboot(device, down_ms),
            Operation::Suspend { device, for_ms } => {
                let device = self.place(device);
                let until_ms = self.world.now_ms + for_ms;
                if let Some(node) = self.world.devices.get_mut(device) {
                    node.asleep_until_ms = node.asleep_until_ms.max(until_ms);
                }
            }
            Operation::SlowDisk { device, fsync_ms } => {
                let device = self.place(device);
                if let Some(node) = self.world.devices.get_mut(device) {
                    node.fsync_ms = fsync_ms;
                }
            }
            Operation::FailDisk { device, for_ms } => {
                let device = self.place(device);
                let until_ms = self.world.now_ms + for_ms;
                if let Some(node) = self.world.devices.get_mut(device) {
                    node.disk_fails_until_ms = until_ms;
                    node.is_disk_full = until_ms.is_multiple_of(2);
                }
            }
            _ => {}
        }
    }

    /// What befalls the ways and the clocks.
    fn perform_around(&mut self, operation: &Operation) {
        let now_ms = self.world.now_ms;
        match *operation {
            Operation::Intrude {
                device,
                proxy,
                for_ms,
            } => {
                let device = self.place(device);
                if let Some(node) = self.world.devices.get_mut(device) {
                    node.way.set(proxy, now_ms + for_ms);
                }
            }
            Operation::JumpClock { device, by_s } => {
                let device = self.place(device);
                if let Some(node) = self.world.devices.get_mut(device) {
                    node.clock.wall = jumped(by_s);
                }
            }
            Operation::JumpControllerClock { by_s } => {
                self.world.controller.clock.wall = jumped(by_s);
            }
            _ => {}
        }
    }

    /// Heals everything, looks whether it comes to rest, and lets the trouble go on.
    fn make_peace(&mut self) {
        let faults = self.world.faults;
        self.heal();
        self.world.faults = faults;
        self.world.forget_the_past();
    }

    /// What befalls the controller and the mailbox.
    fn perform_middle(&mut self, operation: &Operation) {
        let now_ms = self.world.now_ms;
        match *operation {
            Operation::RestartController if !self.world.is_controller_down => self.restart(),
            Operation::CrashController {
                after_commits,
                is_lost,
            } => {
                self.totals.crashes += 1;
                self.world.controller.crash = Some(Crash {
                    after_commits,
                    is_lost,
                });
            }
            Operation::Backup => {
                let oracle = self.world.oracle.as_ref();
                let acknowledged = oracle.map(super::Oracle::acknowledged);
                let store = self.world.controller.store.clone();
                let keys = self.key_names();
                self.backup = acknowledged.map(|acknowledged| (store, acknowledged, keys));
            }
            // A device whose key the backup does not know would have to be enrolled anew.
            Operation::Restore => {
                if let Some((store, acknowledged, keys)) = self.backup.clone()
                    && keys == self.key_names()
                {
                    self.totals.restores += 1;
                    if let Some(oracle) = &mut self.world.oracle {
                        oracle.note_restored(&acknowledged);
                    }
                    self.world.restart_controller(Some(store));
                }
            }
            Operation::RestartMailbox => self.world.restart_mailbox(),
            Operation::FailControllerDisk {
                after_commits,
                for_ms,
                is_full,
            } => {
                self.totals.crashes += 1;
                self.world.controller_disk = Some(DiskFault {
                    after_commits,
                    until_ms: now_ms + for_ms,
                    is_full,
                });
            }
            Operation::Freeze { device, drip_ms } => {
                let channel = self.channel(device);
                self.world.mailbox.freeze(channel, drip_ms);
            }
            Operation::Thaw { device } => {
                let channel = self.channel(device);
                self.world.thaw(channel);
            }
            Operation::TellAgain { device, which } => {
                let channel = self.channel(device);
                self.world.mailbox.tell_again(channel, which);
            }
            _ => {}
        }
    }

    fn key_names(&self) -> Vec<String> {
        let originals = self.world.devices.iter().filter(|node| !node.is_copy);
        originals.map(|node| node.key_name.clone()).collect()
    }

    /// The device at a place, copies not counted.
    pub(super) fn place(&self, device: usize) -> usize {
        let originals = self.world.devices.iter().filter(|node| !node.is_copy);
        device.checked_rem(originals.count()).unwrap_or(0)
    }

    pub(super) fn channel(&self, device: usize) -> crate::id::ChannelId {
        let device = self.place(device);
        let names = self.world.devices.get(device);
        names.map_or_else(
            || unreachable!("every swarm has a device"),
            |node| node.channel,
        )
    }

    fn decide_value(&mut self, device: usize, key: u64) {
        let value = Value::Int(self.world.inputs.into());
        self.decide(device, path(&format!("k/{key}")), Some(value));
    }

    fn decide_text(&mut self, device: usize, key: u64) {
        let number = self.world.inputs;
        let lines = (0..LINES).map(|line| {
            if line == number % LINES {
                format!("line {line} of {number}\n")
            } else {
                format!("line {line}\n")
            }
        });
        let value = Value::Text(lines.collect::<String>());
        self.decide(device, path(&format!("doc/{key}")), Some(value));
    }

    /// Decides, and tells the oracle what was asked for and what was acknowledged.
    pub(super) fn decide(&mut self, device: usize, path: Path, value: Option<Value>) {
        let device = self.place(device);
        let channel = self.channel(device);
        if self.world.is_controller_down {
            return;
        }
        let Some(oracle) = &mut self.world.oracle else {
            return;
        };
        let order = oracle.note_attempt(channel, &path, value.clone());
        let change = match value {
            Some(value) => Change::Set(path.clone(), value),
            None => Change::Remove(path.clone()),
        };
        if self.trick == Some(Trick::LoseDecisions) {
            // The answer leaves, the commit does not.
            let store = self.world.controller.store.clone();
            self.world.decide(device, Vec::from([change]));
            self.world.controller.store = store;
        } else {
            self.world.decide(device, Vec::from([change]));
        }
        let ticket = controller::Ticket(self.world.tickets);
        let mut events = self.world.controller.events.iter().rev();
        let decided = events.find_map(|event| match event {
            Event::Decided {
                ticket: about,
                revision,
                ..
            } if *about == ticket => Some(*revision),
            _ => None,
        });
        if let (Some(revision), Some(oracle)) = (decided, &mut self.world.oracle) {
            self.totals.decisions += 1;
            oracle.note_acknowledged(channel, &path, order, revision);
        }
        if self.trick == Some(Trick::StrangeWriter) {
            self.deceive(device);
        }
        if self.trick == Some(Trick::LoseDecisions) {
            self.world.restart_controller(None);
        }
    }

    fn write(&mut self, device: usize, key: u64) {
        let device = self.place(device);
        let value = Value::Int(self.world.inputs.into());
        let changes = Vec::from([Change::Set(path(&format!("state/{key}")), value)]);
        self.world
            .input(device, Input::WriteActual { ticket: 0, changes });
    }

    fn intend(&mut self, device: usize, key: u64) {
        let device = self.place(device);
        let ticket = self.world.ticket();
        let Some(node) = self.world.devices.get(device) else {
            return;
        };
        let channel = node.identity.channel.clone();
        self.world.control(controller::Input::Intend {
            ticket,
            tenant: channel.tenant,
            device: channel.device,
            path: path(&format!("intent/verb{key}")),
        });
    }

    fn reboot(&mut self, device: usize, down_ms: u64) {
        let device = self.place(device);
        self.world.kill(device);
        self.totals.crashes += 1;
        let booted_ms = self.world.now_ms;
        if let Some(node) = self.world.devices.get_mut(device) {
            node.clock.booted_ms = booted_ms;
            node.asleep_until_ms = 0;
        }
        self.world
            .schedule(down_ms, device, 0, super::super::world::Step::Restart);
    }

    fn restart(&mut self) {
        if self.trick != Some(Trick::ReuseNumbers) {
            return self.world.restart_controller(None);
        }
        // Twice from one store, with the clock and the dice as they were.
        let store = self.world.controller.store.clone();
        let (dice, now_ms) = (self.world.dice.clone(), self.world.now_ms);
        self.world.restart_controller(Some(store.clone()));
        self.world.set(0, "k/0", 1);
        (self.world.dice, self.world.now_ms) = (dice, now_ms);
        self.world.restart_controller(Some(store));
        self.world.set(0, "k/0", 2);
    }
}

fn jumped(by_s: i64) -> Wall {
    if by_s < 0 {
        Wall::Behind(by_s.unsigned_abs())
    } else {
        Wall::Ahead(by_s.unsigned_abs())
    }
}

/// # Panics: for a path that is no path.
pub(super) fn path(text: &str) -> Path {
    match Path::parse(text) {
        Ok(path) => path,
        Err(reject) => unreachable!("{text} is a path: {reject:?}"),
    }
}
