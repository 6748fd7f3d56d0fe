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
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use postern_lab::{Device, DeviceSettings, Fleet, LabError, free_address, wait};

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

    fn open(&mut self) -> Result<(), LabError> {
        let listener = TcpListener::bind(self.address);
        let listener = listener.map_err(LabError::io("open a door"))?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (closed, kept) = (Arc::clone(&is_closed), Arc::clone(&streams));
        let (target, is_proxy) = (self.target, self.is_proxy);
        let accepting = std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(copy) = near.try_clone() else { return };
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(copy);
                std::thread::spawn(move || serve(near, target, is_proxy));
            }
        });
        self.open = Some(Open {
            is_closed,
            streams,
            accepting,
        });
        Ok(())
    }

    /// Ends every connection and takes no other.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        open.is_closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(open.accepting.join());
        let mut streams = open.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
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
    let (Ok(mut near_in), Ok(mut far_out)) = (near.try_clone(), far.try_clone()) else {
        return;
    };
    let up = std::thread::spawn(move || {
        drop(std::io::copy(&mut near_in, &mut far_out));
        drop(far_out.shutdown(Shutdown::Both));
    });
    let (mut far_in, mut near_out) = (far, near);
    drop(std::io::copy(&mut far_in, &mut near_out));
    drop(near_out.shutdown(Shutdown::Both));
    drop(up.join());
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
    /// Decides a value and waits until it is applied.
    fn assert_works(&mut self) -> Result<(), LabError> {
        self.value += 1;
        let value = self.value.to_string();
        let decided = self.fleet.set(&self.device.name, "fan/speed", &value)?;
        self.device.wait_applied(decided)
    }

    /// The same, by this route.
    fn assert_works_by(&mut self, route: &str) -> Result<(), LabError> {
        self.assert_works()?;
        wait::until(route, || {
            let status = self.device.folder.status();
            Ok((status.get("route").is_some_and(|used| used == route)).then_some(()))
        })
    }

    fn routes(&self) -> serde_json::Value {
        let status = self.device.folder.status();
        status.get("routes").cloned().unwrap_or_default()
    }
}

#[test]
fn proxy_that_is_killed_leads_to_the_direct_way_and_back() -> Result<(), LabError> {
    let mut front = Door::new(free_address()?, false);
    let mut proxy = Door::new(free_address()?, true);
    let Some(fleet) = Fleet::start_behind_or_skip("ladder", front.address)? else {
        return Ok(());
    };
    front.target = fleet.address();
    proxy.target = fleet.address();
    proxy.open()?;
    let table = format!(
        "[proxy]\nurl = \"http://{}\"\nmode = \"prefer\"\n",
        proxy.address
    );
    let settings = DeviceSettings::direct().with_tables(&table);
    let mut device = fleet.device("hall-1", &settings)?;
    device.daemon.start()?;
    let mut scene = Scene {
        fleet,
        device,
        value: 0,
    };
    scene.assert_works_by("proxy")?;
    front.open()?;
    proxy.close();
    scene.assert_works_by("direct")?;
    assert_eq!(scene.routes()["last_switch"]["reason"], "failed");
    proxy.open()?;
    front.close();
    scene.assert_works_by("proxy")?;
    proxy.close();
    front.open()?;
    proxy.open()?;
    scene.assert_works()?;
    scene.fleet.wait_converged(&scene.device.name)?;
    let switches = scene.routes()["switches"].clone();
    let counts = switches.as_array().into_iter().flatten();
    let counts: u64 = counts.filter_map(|kind| kind["count"].as_u64()).sum();
    assert!((3..=5).contains(&counts), "{switches}");
    Ok(())
}
