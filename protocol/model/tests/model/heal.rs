//! An honest way: what is offered arrives, what devices say is heard, and an operator answers when he is asked.
//!
//! Refuses to repair anything by itself: each step is one that the search knows, too.

use super::controller::Take;
use super::fleet::{DEVICES, Fleet, Up};
use super::search::World;

/// Rounds after which everything has to be at rest. Four are needed; the others show that rest lasts.
pub(crate) const ROUNDS: usize = 8;

impl Fleet {
    /// Tells whether each device holds, and reported, exactly what the controller decided.
    pub(crate) fn is_at_rest(&self) -> bool {
        (0..DEVICES).all(|device| self.is_converged(device))
    }

    /// Tells whether one device holds, and reported, exactly what the controller decided.
    pub(crate) fn is_converged(&self, device: usize) -> bool {
        let (unit, member) = (&self.units[device], &self.store.members[device]);
        let at = Some((member.head.epoch, member.head.seq));
        unit.memory == unit.disk
            && unit.disk.frozen.is_none()
            && unit.disk.head == Some(member.head)
            && member.report.map(|(_, accepted)| accepted) == at
            && member.is_offered()
            && !member.is_reopen_due
    }
}

impl World {
    /// One exchange of each device with the controller.
    pub(crate) fn round(&self, fleet: &mut Fleet, take: Take) {
        let (rules, has_clock) = (&self.rules, self.has_clock);
        for device in 0..DEVICES {
            fleet.commit(device);
            fleet.hear_live(rules, has_clock, device);
            if fleet.store.members[device].is_reopen_due {
                fleet.reopen(rules, has_clock, device);
            }
            if fleet.store.members[device].is_in_conflict()
                && !fleet.resolve(rules, has_clock, device, take)
            {
                fleet.resolve(rules, has_clock, device, Take::Controller);
            }
            let Some(down) = fleet.snapshot(device) else {
                continue;
            };
            fleet.put(down.clone());
            let before = fleet.up[device].clone();
            fleet.deliver(rules, device, &down);
            fleet.commit(device);
            let said: Vec<Up> = fleet.up[device].clone();
            // Evidence that is still open is posted again.
            let is_open = |up: &&Up| match up {
                Up::Report { .. } => false,
                Up::Behind { head } => Some(*head) == fleet.units[device].disk.head,
                Up::Equivocation { epoch } => fleet.units[device].disk.frozen == Some(*epoch),
            };
            let open: Vec<Up> = said
                .iter()
                .filter(|up| !before.contains(up) || is_open(up))
                .cloned()
                .collect();
            for up in open {
                fleet.hear(rules, has_clock, device, &up);
            }
            fleet.hear_live(rules, has_clock, device);
        }
    }
}
