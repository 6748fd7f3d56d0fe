//! The soak: a fleet behind one firewall, a random fault at a steady pace, and every message applied exactly once.
//!
//! ```text
//!  seed ──▶ which fault, which device ──every fault_s──▶ firewall, controller or device ──healed half a pace later
//!  meanwhile: a message to the next device at a steady rate, memory of all processes read at each fault
//! ```
//!
//! It refuses to end while messages are open: at the end everything is healed and every device has to converge.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::scene::Scene;
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::kills::{Dice, acceptances, repeated};
use crate::netns::CONTROLLER;
use crate::{Device, DeviceSettings, LabError, Revision, wait};

/// Growth of a device's memory from the first reading to the last that still counts as flat, in percent.
const GROWTH_PERCENT_MAX: u64 = 25;

/// How long, how many, how rough.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// Device processes.
    pub devices: usize,
    /// Seconds of faults; healing comes on top.
    pub seconds: u64,
    /// Seconds from one fault to the next.
    pub fault_s: u64,
    /// Messages a second, to the devices in turn.
    pub per_second: u64,
    /// Repeats the faults.
    pub seed: u64,
}

impl Soak {
    /// What `./test` runs: a minute.
    pub const SHORT: Self = Self {
        devices: 20,
        seconds: 60,
        fault_s: 10,
        per_second: 10,
        seed: 0x706f_7374_6572_6e21,
    };
    /// What the command runs: ten minutes.
    pub const LONG: Self = Self {
        devices: 200,
        seconds: 600,
        fault_s: 20,
        per_second: 10,
        seed: 0x706f_7374_6572_6e21,
    };
}

impl Soak {
    /// Reads the words after `soak`: `--short` for [`Soak::SHORT`], else [`Soak::LONG`], then numbers in any order.
    ///
    /// # Errors
    /// What is wrong with the words, for whoever wrote them.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let is_short = words.iter().any(|word| word == "--short");
        let mut soak = if is_short { Self::SHORT } else { Self::LONG };
        let mut rest = words.iter().filter(|word| *word != "--short");
        while let Some(option) = rest.next() {
            let mut devices = u64::try_from(soak.devices).unwrap_or(u64::MAX);
            let place = match option.as_str() {
                "--devices" => &mut devices,
                "--seconds" => &mut soak.seconds,
                "--fault-s" => &mut soak.fault_s,
                "--per-second" => &mut soak.per_second,
                "--seed" => &mut soak.seed,
                other => return Err(format!("unknown option {other}")),
            };
            let number = rest.next().and_then(|word| number(word));
            *place = number.ok_or_else(|| format!("{option} needs a number"))?;
            if *place == 0 && option != "--seed" {
                return Err(format!("{option} needs a number above 0"));
            }
            soak.devices = usize::try_from(devices).unwrap_or(usize::MAX);
        }
        Ok(soak)
    }
}

/// Reads a number, also as the report prints a seed.
fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

impl std::fmt::Display for Soak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} devices, {} s, a fault every {} s, {} messages a second, --seed {:#x}",
            self.devices, self.seconds, self.fault_s, self.per_second, self.seed
        )
    }
}

/// What can happen to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Every packet of the site is dropped.
    Silence,
    /// New connections are reset, old ones too.
    Reset,
    /// One packet of ten is lost.
    Loss,
    /// At most so many connections in all as there are devices.
    Cap,
    /// The firewall forgets every connection and its translation.
    Forget,
    /// The controller is killed and starts again.
    ControllerKilled,
    /// A device is killed and starts again.
    DeviceKilled,
    /// Every TCP connection ends at a port where nobody listens.
    Captured,
}

const FAULTS: [Fault; 8] = [
    Fault::Silence,
    Fault::Reset,
    Fault::Loss,
    Fault::Cap,
    Fault::Forget,
    Fault::ControllerKilled,
    Fault::DeviceKilled,
    Fault::Captured,
];

impl Fault {
    /// Returns what happens, in words.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Silence => "every packet dropped",
            Self::Reset => "every connection reset",
            Self::Loss => "one packet of ten lost",
            Self::Cap => "connections capped",
            Self::Forget => "connections forgotten",
            Self::ControllerKilled => "controller killed",
            Self::DeviceKilled => "a device killed",
            Self::Captured => "every connection captured",
        }
    }
}

/// A message that the controller acknowledged.
#[derive(Clone, Copy, Debug)]
struct Sent {
    device: usize,
    number: u64,
    revision: Revision,
}

struct Run {
    scene: Scene,
    devices: Vec<Device>,
    dice: Dice,
    sent: Vec<Sent>,
    faults: BTreeMap<Fault, u32>,
    /// Bytes of memory of all devices together, at each fault.
    memory: Vec<u64>,
    number: u64,
}

/// Runs a soak and returns its numbers.
///
/// # Errors
/// [`ScenarioError::Unmet`] when a message is lost or applied twice, or memory grows; [`ScenarioError::Lab`] when a
/// device never converges.
pub fn run(soak: &Soak) -> Outcome {
    let Some(scene) = Scene::make("C16")? else {
        return Ok(None);
    };
    scene.resolve()?;
    let mut devices = Vec::new();
    for number in 0..soak.devices {
        let mut device = scene.fleet.device(&name(number), &settings())?;
        device.daemon.launch()?;
        devices.push(device);
    }
    let mut run = Run {
        scene,
        devices,
        dice: Dice::new(soak.seed),
        sent: Vec::new(),
        faults: BTreeMap::new(),
        memory: Vec::new(),
        number: 0,
    };
    run.storm(soak)?;
    let healed = Moment::now();
    run.scene.site.open()?;
    run.converge()?;
    let healed_ms = healed.elapsed_ms();
    run.judge()?;
    let memory = run.flat_memory()?;
    let faults = run.faults.iter();
    let faults: Vec<_> = faults
        .map(|(fault, count)| format!("{count} x {}", fault.as_str()))
        .collect();
    Ok(Some(format!(
        "{soak}\n  faults    {}\n  messages  {}, none lost, none applied twice\n  healed    every device has all of \
         them {healed_ms} ms after the last fault ended\n  memory    {memory}",
        faults.join(", "),
        run.sent.len()
    )))
}

fn name(number: usize) -> String {
    format!("hall-{number}")
}

fn settings() -> DeviceSettings {
    DeviceSettings {
        hold_s_max: Some(25),
        ..DeviceSettings::direct()
    }
}

impl Run {
    /// Messages at their rate; at each pace a fault, healed half a pace later.
    fn storm(&mut self, soak: &Soak) -> Result<(), ScenarioError> {
        let seconds = Duration::from_secs;
        let start = Moment::now();
        let end = start.after(seconds(soak.seconds));
        let step = seconds(1).checked_div(u32::try_from(soak.per_second).unwrap_or(1));
        let (mut slot, mut fault_at) = (start, start.after(seconds(soak.fault_s)));
        let mut heal_at = None;
        while !end.left().is_zero() {
            wait::pause_until(slot);
            slot = slot.after(step.unwrap_or_default());
            self.send()?;
            if heal_at.is_some_and(|at: Moment| at.left().is_zero()) {
                self.scene.site.open()?;
                heal_at = None;
            }
            if fault_at.left().is_zero() {
                self.remember_memory();
                self.strike()?;
                heal_at = Some(fault_at.after(seconds(soak.fault_s) / 2));
                fault_at = fault_at.after(seconds(soak.fault_s));
            }
        }
        Ok(())
    }

    /// A new path at the next device; what the controller refuses while it is down was never acknowledged.
    fn send(&mut self) -> Result<(), LabError> {
        let number = self.number;
        self.number += 1;
        let count = u64::try_from(self.devices.len()).unwrap_or(1).max(1);
        let device = usize::try_from(number % count).unwrap_or_default();
        let mut operator = self.scene.fleet.operator()?;
        let path = format!("soak/n{number}");
        let revision = operator.set(&name(device), &path, &Value::from(number))?;
        self.sent.push(Sent {
            device,
            number,
            revision,
        });
        Ok(())
    }

    fn strike(&mut self) -> Result<(), ScenarioError> {
        let choice = self
            .dice
            .below(u64::try_from(FAULTS.len()).unwrap_or_default());
        let choice = usize::try_from(choice).unwrap_or_default();
        let Some(fault) = FAULTS.get(choice).copied() else {
            return Ok(());
        };
        *self.faults.entry(fault).or_default() += 1;
        let site = &self.scene.site;
        match fault {
            Fault::Silence => site.drop_host(CONTROLLER)?,
            Fault::Reset => site.rule(&format!(
                "ip daddr {CONTROLLER} tcp dport 443 reject with tcp reset"
            ))?,
            Fault::Loss => site.rule("numgen random mod 100 < 10 drop")?,
            Fault::Cap => {
                let most = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
                site.limit_connections(most)?;
            }
            Fault::Forget => {
                site.translate()?;
                site.firewall.forget_connections()?;
            }
            Fault::Captured => site.capture(9)?,
            Fault::ControllerKilled => {
                self.scene.fleet.controller.kill_9()?;
                self.scene.fleet.controller.start()?;
            }
            Fault::DeviceKilled => {
                let count = u64::try_from(self.devices.len()).unwrap_or_default();
                let victim = usize::try_from(self.dice.below(count)).unwrap_or_default();
                if let Some(device) = self.devices.get_mut(victim) {
                    device.daemon.kill_9()?;
                    device.daemon.launch()?;
                }
            }
        }
        Ok(())
    }

    fn converge(&mut self) -> Result<(), LabError> {
        let last: BTreeMap<usize, Revision> = self
            .sent
            .iter()
            .map(|sent| (sent.device, sent.revision))
            .collect();
        for (number, revision) in last {
            if let Some(device) = self.devices.get_mut(number) {
                // A back-off may just have reached its longest.
                match device.wait_applied(revision) {
                    Err(LabError::GaveUp { .. }) => device.wait_applied(revision)?,
                    other => other?,
                }
            }
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), ScenarioError> {
        let lost = self.sent.iter().filter(|sent| {
            let device = self.devices.get(sent.device);
            let path = format!("soak/n{}", sent.number);
            let rendered = device.and_then(|device| device.folder.rendered(&path));
            rendered != Some(sent.number.to_string())
        });
        let lost: Vec<_> = lost.map(|sent| (sent.device, sent.number)).collect();
        expect(lost.is_empty(), || {
            format!("lost (device, message): {lost:?}")
        })?;
        for device in &self.devices {
            let accepted = acceptances(&device.daemon.log());
            let twice = repeated(&accepted);
            expect(!accepted.is_empty() && twice.is_empty(), || {
                format!("{} accepted twice: {twice:?}", device.name)
            })?;
        }
        Ok(())
    }

    fn remember_memory(&mut self) {
        let pids = self.devices.iter().filter_map(|device| device.daemon.pid());
        let total = pids.filter_map(resident_bytes).sum();
        self.memory.push(total);
    }

    fn flat_memory(&mut self) -> Result<String, ScenarioError> {
        self.remember_memory();
        let (first, last) = (self.memory.first(), self.memory.last());
        let (Some(&first), Some(&last)) = (first, last) else {
            return Ok("memory not read".to_owned());
        };
        let count = u64::try_from(self.devices.len()).unwrap_or(1).max(1);
        let text = format!(
            "{} KiB a device at the first fault, {} KiB at the end",
            first / count / 1_024,
            last / count / 1_024
        );
        expect(last <= first / 100 * (100 + GROWTH_PERCENT_MAX), || {
            format!("memory is flat: {text}")
        })?;
        Ok(text)
    }
}

/// Reads what a process holds in memory, from the kernel.
fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<String, String> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        Soak::parse(&words).map(|soak| soak.to_string())
    }

    #[test]
    fn soak_is_long_unless_told_and_takes_numbers_in_any_order() {
        let check = |words: &str, expected: &str| assert_eq!(parse(words), Ok(expected.to_owned()));
        let seed = "--seed 0x706f737465726e21";
        let long = "200 devices, 600 s, a fault every 20 s, 10 messages a second";
        check("", &format!("{long}, {seed}"));
        let short = "20 devices, 60 s, a fault every 10 s, 10 messages a second";
        check("--short", &format!("{short}, {seed}"));
        // The seed is read as the report prints it.
        check(&format!("{seed} --short"), &format!("{short}, {seed}"));
        check(
            "--seed 0 --devices 3 --per-second 5 --fault-s 2 --seconds 7",
            "3 devices, 7 s, a fault every 2 s, 5 messages a second, --seed 0x0",
        );
    }

    #[test]
    fn soak_that_cannot_be_read_says_which_word_is_wrong() {
        let check = |words: &str, said: &str| assert_eq!(parse(words), Err(said.to_owned()));
        check("--days 3", "unknown option --days");
        check("10", "unknown option 10");
        check("--devices", "--devices needs a number");
        check("--devices --short", "--devices needs a number");
        check("--seconds ten", "--seconds needs a number");
        check("--seed 0xg", "--seed needs a number");
        check("--fault-s 0", "--fault-s needs a number above 0");
    }
}
