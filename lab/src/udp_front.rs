//! A way for UDP alone: datagrams pass between clients and one server until it is cut.
//!
//! ```text
//!  device ──UDP──▶ front ──UDP──▶ controller        TCP to the front is refused: nothing listens there
//! ```
//!
//! Each client gets a socket of its own towards the server, as behind a NAT. It refuses to change what it carries.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::LabError;

/// Bytes of the largest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// Time after which a thread looks whether the front is still there.
const LOOK: Duration = Duration::from_millis(200);

/// A running front; its threads end with it.
#[derive(Debug)]
pub struct UdpFront {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    is_over: AtomicBool,
    passed: AtomicU64,
}

impl UdpFront {
    /// Listens on a free port that leads nowhere yet.
    ///
    /// # Errors
    /// [`LabError::Io`] when no socket can be had.
    pub fn bind() -> Result<(UdpSocket, SocketAddr), LabError> {
        let failed = || LabError::io("open a UDP socket");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
        let address = socket.local_addr().map_err(failed())?;
        Ok((socket, address))
    }

    /// Carries what comes to `socket` to `server`, and back.
    ///
    /// # Errors
    /// [`LabError::Io`] when no socket can be had.
    pub fn start(socket: UdpSocket, server: SocketAddr) -> Result<Self, LabError> {
        let failed = || LabError::io("use a UDP socket");
        let address = socket.local_addr().map_err(failed())?;
        socket.set_read_timeout(Some(LOOK)).map_err(failed())?;
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || carry(&Arc::new(socket), server, &shared));
        Ok(Self { address, state })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops everything from now on, in either direction.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
    }

    /// Returns how many datagrams passed, either way.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }
}

impl Drop for UdpFront {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
    }
}

fn carry(front: &Arc<UdpSocket>, server: SocketAddr, state: &Arc<State>) {
    let mut clients: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while !state.is_over.load(Ordering::SeqCst) {
        // A timeout, or a client that is gone.
        let Ok((bytes, client)) = front.recv_from(&mut buffer) else {
            continue;
        };
        let back = match clients.get(&client) {
            Some(back) => Arc::clone(back),
            None => match open_back(front, server, client, state) {
                Ok(back) => {
                    clients.insert(client, Arc::clone(&back));
                    back
                }
                Err(_) => continue,
            },
        };
        pass(state, || back.send(buffer.get(..bytes).unwrap_or_default()));
    }
}

fn open_back(
    front: &Arc<UdpSocket>,
    server: SocketAddr,
    client: SocketAddr,
    state: &Arc<State>,
) -> std::io::Result<Arc<UdpSocket>> {
    let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    back.connect(server)?;
    back.set_read_timeout(Some(LOOK))?;
    let (front, from, state) = (Arc::clone(front), Arc::clone(&back), Arc::clone(state));
    thread::spawn(move || {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !state.is_over.load(Ordering::SeqCst) {
            if let Ok(bytes) = from.recv(&mut buffer) {
                let part = buffer.get(..bytes).unwrap_or_default();
                pass(&state, || front.send_to(part, client));
            }
        }
    });
    Ok(back)
}

fn pass(state: &State, send: impl FnOnce() -> std::io::Result<usize>) {
    if !state.is_cut.load(Ordering::SeqCst) && send().is_ok() {
        state.passed.fetch_add(1, Ordering::SeqCst);
    }
}
