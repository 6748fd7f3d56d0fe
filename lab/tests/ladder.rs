//! The release binary between a proxy and a direct way, each of which is killed and started again.
//!
//! ```text
//!   device --> front (killable) -----------------> controller
//!        '--> CONNECT proxy (killable) ------------^
//! ```
//!
//! The proxy is preferred, not required. Without the release binary the test says that it is skipped.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use postern_lab::{Device, DeviceSettings, Fleet, free_address, wait};

/// A port that leads to the controller while it is open.
struct Door {
    address: SocketAddr,
    target: SocketAddr,
    is_proxy: bool,
    open: Option<Open>,
}

struct Open {
    is_closed: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

impl Door {
    fn new(address: SocketAddr, is_proxy: bool) -> Self {
        Self {
            address,
            target: address,
            is_proxy,
            open: None,
        }
    }

    fn open(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        let is_closed = Arc::new(AtomicBool::new(false));
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (closed, kept) = (Arc::clone(&is_closed), Arc::clone(&streams));
        let (target, is_proxy) = (self.target, self.is_proxy);
        let accepting = std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                kept.lock().unwrap().push(near.try_clone().unwrap());
                std::thread::spawn(move || serve(near, target, is_proxy));
            }
        });
        self.open = Some(Open {
            is_closed,
            streams,
            accepting,
        });
    }

    /// Ends every connection and takes no other.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        open.is_closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        open.accepting.join().unwrap();
        for stream in open.streams.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close();
    }
}

/// Passes one connection on; whoever hangs up ends it.
fn serve(mut near: TcpStream, target: SocketAddr, is_proxy: bool) {
    if is_proxy && tunnel(&mut near).is_none() {
        return;
    }
    let Ok(far) = TcpStream::connect(target) else {
        return;
    };
    let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let up = std::thread::spawn(move || {
        drop(std::io::copy(&mut near_in, &mut far_out));
        drop(far_out.shutdown(Shutdown::Both));
    });
    let (mut far_in, mut near_out) = (far, near);
    drop(std::io::copy(&mut far_in, &mut near_out));
    drop(near_out.shutdown(Shutdown::Both));
    up.join().unwrap();
}

/// Answers CONNECT.
fn tunnel(near: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4_096 {
        near.read_exact(&mut byte).ok()?;
        head.extend_from_slice(&byte);
    }
    head.starts_with(b"CONNECT ").then_some(())?;
    near.write_all(b"HTTP/1.1 200 here you are\r\n\r\n").ok()
}

struct Scene {
    fleet: Fleet,
    device: Device,
    value: u32,
}

impl Scene {
    /// Decides a value, waits until it is applied, and for the route that has carried it.
    fn assert_works_by(&mut self, route: &str) {
        self.value += 1;
        let value = self.value.to_string();
        let decided = self.fleet.set(&self.device.name, "fan/speed", &value);
        self.device.wait_applied(decided.unwrap()).unwrap();
        let status = || self.device.folder.status();
        wait::until(route, || Ok((status()["route"] == route).then_some(())))
            .unwrap_or_else(|error| panic!("{error}\n{}", status()));
    }
}

#[test]
fn proxy_that_is_killed_leads_to_the_direct_way_and_back() {
    let mut front = Door::new(free_address().unwrap(), false);
    let mut proxy = Door::new(free_address().unwrap(), true);
    let Some(fleet) = Fleet::start_behind_or_skip("ladder", front.address).unwrap() else {
        return;
    };
    front.target = fleet.address();
    proxy.target = fleet.address();
    proxy.open();
    let table = format!(
        "[proxy]\nurl = \"http://{}\"\nmode = \"prefer\"\n",
        proxy.address
    );
    let settings = DeviceSettings::direct().with_tables(&table);
    let mut device = fleet.device("hall-1", &settings).unwrap();
    device.daemon.start().unwrap();
    let mut scene = Scene {
        fleet,
        device,
        value: 0,
    };
    scene.assert_works_by("proxy");
    front.open();
    proxy.close();
    scene.assert_works_by("direct");
    let reason = scene.device.folder.status()["routes"]["last_switch"]["reason"].clone();
    assert_eq!(reason, "failed");
    proxy.open();
    front.close();
    scene.assert_works_by("proxy");
    proxy.close();
    front.open();
    proxy.open();
    scene.value += 1;
    let value = scene.value.to_string();
    let decided = scene.fleet.set(&scene.device.name, "fan/speed", &value);
    scene.device.wait_applied(decided.unwrap()).unwrap();
    scene.fleet.wait_converged(&scene.device.name).unwrap();
    let switches = scene.device.folder.status()["routes"]["switches"].clone();
    let counts = switches.as_array().unwrap().iter();
    let counts: u64 = counts.filter_map(|kind| kind["count"].as_u64()).sum();
    assert!((3..=5).contains(&counts), "{switches}");
}
