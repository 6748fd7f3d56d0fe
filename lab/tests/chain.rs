//! Three relays in a row, each a process of its own: a cell's dials the plant's, that dials the enterprise's, and a
//! controller without a listener dials only that one. Nothing of a device goes another way.
//!
//! ```text
//!  device ──▶ cell ──▶ plant ──▶ enterprise ◀── controller
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use postern_lab::{Device, DeviceFolder, DeviceSettings, Fleet, Relay, wait};
use serde_json::json;

struct Chain {
    fleet: Fleet,
    enterprise: Relay,
    plant: Relay,
    cell: Relay,
}

impl Chain {
    fn start_or_skip(scenario: &str) -> Option<Self> {
        let fleet = Fleet::start_dialling_or_skip(scenario).unwrap()?;
        let enterprise = Relay::start_or_skip(scenario, &fleet).unwrap()?;
        let plant = enterprise.start_behind(&fleet, "plant").unwrap();
        let cell = plant.start_behind(&fleet, "cell").unwrap();
        Some(Self {
            fleet,
            enterprise,
            plant,
            cell,
        })
    }

    /// Joins a device that trusts the TLS of the cell alone.
    fn join(&self, name: &str) -> Device {
        let ca = self.cell.ca_pem().unwrap();
        let settings = DeviceSettings::direct().trusting("cell-ca.pem");
        let prepare = |folder: &DeviceFolder| folder.write("cell-ca.pem", &ca);
        let (mut device, joined) = self.fleet.try_join(name, &settings, prepare).unwrap();
        assert!(joined.status.success(), "{}", joined.stderr);
        device.daemon.start().unwrap();
        device
    }

    fn set(&self, device: &mut Device, value: u32) {
        let decided = self.fleet.set("hall-1", "fan/speed", &value.to_string());
        device.wait_applied(decided.unwrap()).unwrap();
        let rendered = device.folder.rendered("fan/speed");
        assert_eq!(rendered, Some(value.to_string()));
    }

    /// Waits until the controller holds a value that the device wrote.
    fn wait_actual(&self, value: &str) {
        let got = || {
            let path = "load/temperature";
            let got = self.fleet.operate(&["actual", "get", "hall-1", path])?;
            Ok((got.stdout.trim() == value).then_some(()))
        };
        wait::until("the actual value", got).unwrap();
    }
}

fn write_actual(device: &Device, value: &str) {
    let resource = "/v1/actual/load/temperature";
    let answer = device.folder.ask("PUT", resource, value).unwrap();
    assert_eq!(answer.status, 200);
}

/// How many sessions of devices a relay has.
fn devices_at(relay: &Relay) -> usize {
    let sessions = relay.ask("sessions").unwrap();
    let sessions = sessions.get("sessions").and_then(|rows| rows.as_array());
    let is_device =
        |row: &&serde_json::Value| row.get("device").is_some_and(|name| !name.is_null());
    sessions.unwrap().iter().filter(is_device).count()
}

#[test]
fn device_in_a_cell_is_reached_over_two_relays_in_between_and_answers() {
    let Some(chain) = Chain::start_or_skip("chain") else {
        return;
    };
    let mut device = chain.join("hall-1");
    chain.set(&mut device, 1);
    chain.set(&mut device, 2);
    write_actual(&device, "71");
    chain.wait_actual("71");
    let status = chain.fleet.wait_converged("hall-1").unwrap();
    assert_eq!(status.get("converged"), Some(&json!(true)));
    let seen = [&chain.cell, &chain.plant, &chain.enterprise].map(devices_at);
    assert_eq!(
        seen,
        [1, 0, 0],
        "the device is at the cell's relay and nowhere else"
    );
    let listed = chain.fleet.must(&["controller", "relay", "list"]).unwrap();
    assert_eq!(listed.matches("behind another").count(), 2, "{listed}");
    assert_eq!(listed.matches("relay, connected").count(), 1, "{listed}");
}

#[test]
fn relay_in_between_killed_and_started_again_loses_nothing() {
    let Some(mut chain) = Chain::start_or_skip("chain with a kill") else {
        return;
    };
    let mut device = chain.join("hall-1");
    chain.set(&mut device, 1);
    chain.plant.daemon.kill_9().unwrap();
    let decided = chain.fleet.set("hall-1", "fan/speed", "2").unwrap();
    write_actual(&device, "72");
    let upstream = chain.cell.ask("status").unwrap();
    assert!(
        upstream.pointer("/status/relay/upstream/key").is_some(),
        "{upstream}"
    );
    chain.plant.daemon.start().unwrap();
    device.wait_applied(decided).unwrap();
    chain.wait_actual("72");
    // And the one at the far end, while the device goes on.
    chain.enterprise.daemon.kill_9().unwrap();
    write_actual(&device, "73");
    chain.enterprise.daemon.start().unwrap();
    chain.set(&mut device, 3);
    chain.wait_actual("73");
}

#[test]
fn device_that_is_removed_is_shut_out_at_the_cell() {
    let Some(chain) = Chain::start_or_skip("chain with a removal") else {
        return;
    };
    let mut device = chain.join("hall-1");
    chain.set(&mut device, 1);
    chain
        .fleet
        .must(&["controller", "remove", "hall-1"])
        .unwrap();
    wait::until("the session at the cell to end", || {
        Ok((devices_at(&chain.cell) == 0).then_some(()))
    })
    .unwrap();
}
