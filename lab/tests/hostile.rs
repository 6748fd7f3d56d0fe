//! The release binary behind a real Squid that inspects TLS and draws every limit tight: scenario B09.
//!
//! Without Squid or the release binary the test says that it is skipped.

use postern_lab::{
    AccessLine, Device, DeviceSettings, Fleet, HOSTILE_READ_S, Kind, LabError, Pki, Plan, Revision,
    Squid, Tree, wait,
};
use serde_json::{Value, json};

/// Only the proxy resolves this name.
const NAME: &str = "controller.test";
/// Messages each way.
const MESSAGES: u64 = 200;
/// Bytes by which two answers without news differ at most: their counters have one to three bytes. Any item has more.
const IDLE_SPREAD: u64 = 8;

struct Scene {
    fleet: Fleet,
    squid: Squid,
    device: Device,
}

/// A running device with the program's own hold times. `None` when a part was not provisioned.
fn scene() -> Result<Option<Scene>, LabError> {
    let Some(tree) = Tree::find_or_skip("B09")? else {
        return Ok(None);
    };
    let Some(fleet) = Fleet::start_or_skip("B09", NAME)? else {
        return Ok(None);
    };
    let pki = Pki::new(&[NAME])?;
    let plan = Plan {
        kind: Kind::Hostile,
        allowed_ports: &[fleet.address().port()],
        names: &[NAME],
        pki: &pki,
        trusted_pem: &fleet.ca_pem()?,
    };
    let squid = Squid::start(&tree, &plan)?;
    let settings = DeviceSettings {
        hold_s_max: None,
        ..DeviceSettings::behind(squid.url()).trusting("corp.pem")
    };
    let (mut device, joined) = fleet.try_join("hall-1", &settings, |folder| {
        folder.write("corp.pem", &pki.corp_ca_pem)
    })?;
    assert!(joined.status.success(), "{}", joined.stderr);
    device.daemon.start()?;
    Ok(Some(Scene {
        fleet,
        squid,
        device,
    }))
}

impl Scene {
    fn exchanges(&self) -> Vec<AccessLine> {
        let lines = self.squid.access_log().into_iter();
        lines.filter(|line| line.method == "POST").collect()
    }

    /// Exchanges that the proxy cut off.
    fn cuts(&self) -> usize {
        let exchanges = self.exchanges().into_iter();
        exchanges.filter(|line| line.status != 200).count()
    }

    /// Polls that the proxy carried since it last cut one off, and that were held to their end: an answer with
    /// news ends a hold of any length early and says nothing, however long it took.
    fn survived(&self) -> usize {
        let exchanges = self.exchanges();
        let answers = exchanges.iter().filter(|line| line.status == 200);
        let idle = answers.map(|line| line.bytes).min().unwrap_or_default();
        let since = exchanges.iter().rev().take_while(|line| line.status == 200);
        let is_idle = |line: &&AccessLine| line.bytes <= idle + IDLE_SPREAD;
        let held = since
            .filter(is_idle)
            .filter(|line| line.elapsed_ms >= 4_000);
        held.count()
    }

    fn wait_survived(&mut self, holds: usize) -> Result<(), LabError> {
        // Three minutes: proxy and machine decide how alike the cuts look from which the device learns.
        let what = format!("{holds} holds that survive");
        wait::until_tries(&what, 3 * wait::TRIES_MAX, || {
            Ok((self.survived() >= holds).then_some(()))
        })
    }

    /// Decides a value and lets the application write one, so many times.
    fn send_each_way(&self, messages: u64) -> Result<Option<Revision>, LabError> {
        let mut last = None;
        for number in 1..=messages {
            let (path, value) = (format!("down/n{number}"), number.to_string());
            last = Some(self.fleet.set("hall-1", &path, &value)?);
            let resource = format!("/v1/actual/up/n{number}");
            let written = self.device.folder.ask("PUT", &resource, &value)?;
            assert_eq!(written.status, 200, "{}", written.body);
        }
        Ok(last)
    }

    /// Waits until the controller acknowledged the newest actual state, and returns the device's status.
    fn wait_acknowledged(&mut self) -> Result<Value, LabError> {
        self.device.wait_for("the acknowledgement", |folder| {
            let status = folder.status();
            let newest = status.get("actual").and_then(Revision::of)?;
            let known = status.get("actual_acknowledged").and_then(Revision::of)?;
            (newest.seq == MESSAGES && known == newest).then_some(status)
        })
    }
}

#[test]
fn b09_device_behind_a_hostile_proxy_adapts_and_loses_no_message() {
    let Some(mut scene) = scene().unwrap() else {
        return;
    };
    // The first hold is longer than the proxy reads; one rung after the other is given up.
    let cut = |line: &AccessLine| line.status == 504;
    let line = scene.squid.wait_for_access("a cut hold", cut).unwrap();
    // The proxy counts in whole seconds of its own.
    assert!(
        line.elapsed_ms >= HOSTILE_READ_S * 1_000 / 2,
        "it waited: {line:?}"
    );
    // 25 s and 12 s were cut twice each at least, then holds of 5 s survive.
    scene.wait_survived(3).unwrap();
    let cuts = scene.cuts();
    assert!(cuts >= 4, "{cuts} cuts: {:#?}", scene.exchanges());
    let last = scene.send_each_way(MESSAGES).unwrap().unwrap();
    scene.device.wait_applied(last).unwrap();
    scene.fleet.wait_converged("hall-1").unwrap();
    for number in 1..=MESSAGES {
        let rendered = scene.device.folder.rendered(&format!("down/n{number}"));
        assert_eq!(rendered, Some(number.to_string()));
    }
    let status = scene.wait_acknowledged().unwrap();
    assert_eq!(status["rejected"], json!({}), "{status}");
    assert_eq!(status["refused_by_mailbox"], json!({}), "{status}");
    // What was learnt is still in use.
    scene.wait_survived(1).unwrap();
}
