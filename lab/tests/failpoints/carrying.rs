//! A relay that is struck while it carries: nothing that either end acknowledged is lost.
//!
//! Refuses to ask the relay what it holds: both ends have to get it.

use postern_lab::failpoint::{Failpoint, Strace};
use postern_lab::{Daemon, Device, DeviceFolder, DeviceSettings, Fleet, Relay, wait};

use super::{LOOKS_MAX, Sample, Victim, check_once, strike_all};

/// A relay between both ends.
pub(super) struct Carrying {
    pub(super) fleet: Fleet,
    pub(super) device: Device,
    pub(super) relay: Relay,
    pub(super) number: u64,
}

impl Carrying {
    /// A device and a controller that only dials out, with a relay between them.
    pub(super) fn start_or_skip(scenario: &str) -> Option<Self> {
        let fleet = Fleet::start_dialling_or_skip(scenario).unwrap()?;
        let relay = Relay::start_or_skip(scenario, &fleet).unwrap()?;
        let ca = relay.ca_pem().unwrap();
        let settings = DeviceSettings::direct().trusting("relay-ca.pem");
        let prepare = |folder: &DeviceFolder| folder.write("relay-ca.pem", &ca);
        let (mut device, joined) = fleet.try_join("hall-1", &settings, prepare).unwrap();
        assert!(joined.status.success(), "{}", joined.stderr);
        device.daemon.start().unwrap();
        Some(Self {
            fleet,
            device,
            relay,
            number: 0,
        })
    }

    /// Gives both ends the next number to bring to the other one.
    pub(super) fn send(&mut self) {
        self.number += 1;
        let value = self.number.to_string();
        self.fleet.set("hall-1", "load/value", &value).unwrap();
        let resource = "/v1/actual/load/written";
        let written = self.device.folder.ask("PUT", resource, &value);
        assert_eq!(written.unwrap().status, 200);
    }

    pub(super) fn wait_for_everything(&self, after: &dyn std::fmt::Debug) {
        let there = wait::until("both ends", || Ok(self.is_everything_there().then_some(())));
        let number = self.number;
        let told = there.err().map(|_| self.last_words()).unwrap_or_default();
        assert!(
            told.is_empty(),
            "{after:?}: {number} did not arrive\n{told}"
        );
    }

    /// What the three ends said last.
    fn last_words(&self) -> String {
        let ends = [
            &self.fleet.controller,
            &self.device.daemon,
            &self.relay.daemon,
        ];
        let logs = ends.map(|end| {
            let log = end.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(40)..);
            last.unwrap_or_default().join("\n")
        });
        logs.join("\n--\n")
    }

    pub(super) fn is_everything_there(&self) -> bool {
        let number = self.number.to_string();
        let got = self
            .fleet
            .operate(&["actual", "get", "hall-1", "load/written"]);
        let down = self.device.folder.rendered("load/value");
        down.as_ref() == Some(&number) && got.unwrap().stdout.trim() == number
    }
}

impl Victim for Carrying {
    const NAME: &str = "relay";
    // Both ends need seconds to come back to it.
    const ROUNDS: u32 = 1;
    const SAMPLE: Sample = Sample {
        every: 11,
        first: 11,
        most: 1,
        kills: &["pwrite64", "fdatasync", "write"],
        failures: &[("fdatasync", "EIO"), ("pwrite64", "ENOSPC")],
    };

    fn daemon(&mut self) -> &mut Daemon {
        &mut self.relay.daemon
    }

    fn work(&mut self) {
        self.send();
        let waited = wait::until_tries("progress", LOOKS_MAX, || {
            let ended = self.relay.daemon.poll_end()?.is_some();
            Ok((ended || self.is_everything_there()).then_some(()))
        });
        drop(waited);
    }

    fn check(&mut self, after: Failpoint) {
        self.wait_for_everything(&after);
    }
}

#[test]
fn relay_struck_at_any_call_keeps_nothing_from_either_end() {
    let Some(strace) = Strace::find_or_skip("failpoints").unwrap() else {
        return;
    };
    let Some(mut victim) = Carrying::start_or_skip("failpoints") else {
        return;
    };
    let struck = strike_all(&strace, &mut victim);
    victim.fleet.wait_converged("hall-1").unwrap();
    check_once(&victim.device);
    println!(
        "relay: struck {struck} times, {} values each way, 0 lost",
        victim.number
    );
    assert!(struck > 3);
}
