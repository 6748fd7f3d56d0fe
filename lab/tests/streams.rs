//! Streams through a real nginx as edge: one that lets answers through as they come, and one that holds them back
//! because it speaks HTTP/1.0 to its far side; and without anything between.
//!
//! Without nginx or the release binary each test says that it is skipped.

use postern_lab::doors::{Door, Nginx, Program, Spot};
use postern_lab::{Device, DeviceSettings, Fleet, LabError, Pki, free_address};
use serde_json::Value;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const STREAM: &str = "[transport]\nquic = false\npush = \"stream\"\n";

struct Scene {
    fleet: Fleet,
    _edge: Option<Door>,
    device: Device,
}

/// A controller, perhaps behind an edge, and a running device that wants streams. `None` when a part was not
/// provisioned.
fn scene(scenario: &str, edge: Option<bool>) -> Result<Option<Scene>, LabError> {
    let listen = free_address()?;
    let fleet = match edge {
        Some(_) => Fleet::start_behind_or_skip(scenario, listen)?,
        None => Fleet::start_or_skip(scenario, "127.0.0.1")?,
    };
    let Some(fleet) = fleet else {
        return Ok(None);
    };
    let pki = Pki::new(&["localhost"])?;
    let edge = match edge {
        Some(_) if Nginx::PACKAGE.find_or_skip(scenario)?.is_none() => return Ok(None),
        Some(is_http_10) => {
            let edge = Nginx::Edge {
                behind: &format!("localhost:{}", fleet.address().port()),
                pki: &pki,
                trusted_pem: &fleet.ca_pem()?,
                timeout_s: 60,
                is_http_10,
            };
            let spot = Spot {
                listen,
                namespace: None,
            };
            Some(Door::start(&edge, spot)?)
        }
        None => None,
    };
    let settings = DeviceSettings::direct()
        .trusting("front.pem")
        .with_tables(STREAM);
    let (mut device, joined) = fleet.try_join("hall-1", &settings, |folder| {
        folder.write("front.pem", &pki.origin_ca_pem)
    })?;
    assert!(joined.status.success(), "{}", joined.stderr);
    device.daemon.start()?;
    Ok(Some(Scene {
        fleet,
        _edge: edge,
        device,
    }))
}

/// What the status says of how news come: by what, and what the canary showed.
fn push_of(status: &Value) -> Option<(String, String)> {
    let push = status.get("routes")?.get("push")?;
    let word = |name| push.get(name)?.as_str().map(str::to_owned);
    Some((word("by")?, word("canary")?))
}

impl Scene {
    fn wait_push(&mut self, by: &str, canary: &str) -> Result<(), LabError> {
        let wanted = (by.to_owned(), canary.to_owned());
        self.device.wait_for(&format!("{wanted:?}"), |folder| {
            (push_of(&folder.status()) == Some(wanted.clone())).then_some(())
        })
    }

    /// Decides values one by one, and the device applies each.
    fn push_values(&mut self) -> Result<(), LabError> {
        for value in ["1", "2", "3"] {
            let revision = self.fleet.set("hall-1", "fan/speed", value)?;
            self.device.wait_applied(revision)?;
        }
        self.fleet.wait_converged("hall-1")?;
        assert_eq!(
            self.device.folder.rendered("fan/speed").as_deref(),
            Some("3")
        );
        Ok(())
    }

    /// The doctor's row about answers that are held back: its code, or else its evidence.
    fn buffering(&self) -> Result<String, LabError> {
        let printed = self.fleet.on_device(&self.device, &["doctor", "--json"])?;
        let report: Value = serde_json::from_str(&printed.stdout).unwrap_or_default();
        let ways = report.pointer("/targets/0/ways").and_then(Value::as_array);
        let is_direct = |way: &&Value| way.get("route").is_some_and(|route| route == "direct");
        let direct = ways.and_then(|ways| ways.iter().find(is_direct));
        let hops = direct.and_then(|way| way.get("hops")?.as_array());
        let row = hops.and_then(|hops| hops.last());
        let word = |name| row?.get(name)?.as_str();
        assert_eq!(word("stage"), Some("buffering"), "{}", printed.stdout);
        let words = word("code").or(word("evidence"));
        Ok(words.unwrap_or_default().to_owned())
    }

    fn count(&self, name: &str) -> u64 {
        let status = self.device.folder.status();
        let count = status.pointer(&format!("/routes/push/{name}"));
        count.and_then(Value::as_u64).unwrap_or_default()
    }
}

#[test]
fn device_without_anything_between_streams_and_is_pushed_to() {
    let Some(mut scene) = scene("stream", None).unwrap() else {
        return;
    };
    scene.wait_push("stream", "streaming").unwrap();
    let before = scene.count("answers");
    scene.push_values().unwrap();
    scene.wait_push("stream", "streaming").unwrap();
    assert_eq!(scene.count("streams"), 1, "one stream brought them all");
    assert!(scene.count("answers") >= before + 3);
}

#[test]
fn device_behind_an_edge_that_streams_is_pushed_to_by_a_stream() {
    let Some(mut scene) = scene("stream-edge", Some(false)).unwrap() else {
        return;
    };
    scene.wait_push("stream", "streaming").unwrap();
    scene.push_values().unwrap();
    scene.wait_push("stream", "streaming").unwrap();
    let evidence = scene.buffering().unwrap();
    assert!(evidence.starts_with("answers come one by one, tested "));
}

#[test]
fn a14_device_behind_an_edge_that_holds_back_is_pushed_to_by_held_polls() {
    let Some(mut scene) = scene("A14", Some(true)).unwrap() else {
        return;
    };
    scene.wait_push("held", "buffered").unwrap();
    scene.push_values().unwrap();
    scene.wait_push("held", "buffered").unwrap();
    assert_eq!(scene.count("streams"), 0);
    assert_eq!(scene.buffering().unwrap(), "PST-L05");
    // It is known to whoever looks after the device stopped, and to the device after that.
    scene.device.daemon.terminate().unwrap();
    assert_eq!(scene.buffering().unwrap(), "PST-L05");
    scene.device.daemon.start().unwrap();
    scene.wait_push("held", "buffered").unwrap();
}

/// Passes connections on to `far` and ends each after `age`, whatever goes on there.
fn cut_after(age: Duration, near: SocketAddr, far: SocketAddr) -> Result<(), LabError> {
    let listener = TcpListener::bind(near).map_err(LabError::io("listen"))?;
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || pass(client, far, age));
        }
    });
    Ok(())
}

/// One connection of [`cut_after`]; `None` where it broke before.
fn pass(client: TcpStream, far: SocketAddr, age: Duration) -> Option<()> {
    let server = TcpStream::connect(far).ok()?;
    let (mut up, mut up_out) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let (mut down, mut down_out) = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut up, &mut up_out));
    std::thread::spawn(move || std::io::copy(&mut down, &mut down_out));
    // Nobody sends: this is the timer of the scenario.
    let (_sender, timer) = std::sync::mpsc::channel::<()>();
    let _elapsed = timer.recv_timeout(age);
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
    Some(())
}

/// Two cuts at 30 s, then streams that are renewed before: the longest test here.
#[test]
fn a15_a18_streams_that_are_cut_at_30_s_are_renewed_before_and_lose_nothing() {
    let listen = free_address().unwrap();
    let Some(fleet) = Fleet::start_behind_or_skip("A15", listen).unwrap() else {
        return;
    };
    cut_after(Duration::from_secs(30), listen, fleet.address()).unwrap();
    let settings = DeviceSettings::direct().with_tables(STREAM);
    let (mut device, joined) = fleet.try_join("hall-1", &settings, |_| Ok(())).unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    device.daemon.start().unwrap();
    let mut scene = Scene {
        fleet,
        _edge: None,
        device,
    };
    for (end, count) in [("cut", 1), ("cut", 2), ("renewed", 1), ("renewed", 2)] {
        let what = format!("{count} streams {end}");
        let waited = scene.device.wait_for(&what, |folder| {
            let ends = folder.status().pointer("/routes/push/ends").cloned()?;
            (ends.get(end)?.as_u64()? >= count).then_some(())
        });
        waited.unwrap();
        scene.push_values().unwrap();
    }
    assert_eq!(
        scene.count("ends/cut"),
        2,
        "{}",
        scene.device.folder.status()
    );
}
