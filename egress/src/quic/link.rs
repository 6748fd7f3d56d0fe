//! One open connection and its keeper, which alone decides that a path is dead.
//!
//! The keeper sleeps while no exchange waits; then it asks, moves and ends as [`Liveness`] says. It
//! looks at once when the network says something (ICMP, a send that fails) or the machine's address
//! changed. Refuses to end a connection for less than silence.

use super::dial::Opened;
use super::fault::QuicFault;
use super::liveness::{Liveness, Step};
use super::socket::{PeerSocket, Signal, Signals};
use crate::clock::{Clock, Moment};
use crate::limits::{QUIC_CLOSE_TURNS_MAX, QUIC_RECEIVE_BYTES_MAX};
use crate::path::LinkReport;
use crate::tcp::Traffic;
use quinn::{Connection, ConnectionError, Endpoint, VarInt};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Code of a connection that is not needed any more (spec: registry.md#quic-error-codes).
pub(super) const DONE: VarInt = VarInt::from_u32(0);

/// What exchanges and the keeper tell each other.
#[derive(Debug, Default)]
struct Watch {
    /// Exchanges that wait for their answers.
    waiting: AtomicUsize,
    /// Acknowledgements that had come before the oldest request that the keeper does not know of.
    acks_before: Mutex<Option<u64>>,
    /// An exchange began or ended.
    changed: Notify,
    /// The machine's address may have changed.
    moved: Notify,
    /// The keeper ended the connection for its silence.
    is_lost: AtomicBool,
}

/// An open connection. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct QuicLink {
    pub(super) connection: Connection,
    watch: Arc<Watch>,
    report: Mutex<Arc<LinkReport>>,
}

/// An exchange that waits for its answer.
pub(super) struct Waiting<'l>(&'l Watch);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

impl Watch {
    fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn acks_before(&self) -> MutexGuard<'_, Option<u64>> {
        self.acks_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl QuicLink {
    /// Starts the keeper.
    pub(super) fn new(opened: Opened, report: LinkReport, traffic: &Arc<Traffic>) -> Self {
        let watch = Arc::<Watch>::default();
        let keeper = Keeper {
            connection: opened.connection.clone(),
            endpoint: opened.endpoint,
            signals: opened.signals,
            traffic: Arc::clone(traffic),
            watch: Arc::clone(&watch),
        };
        tokio::spawn(keeper.keep());
        Self {
            connection: opened.connection,
            watch,
            report: Mutex::new(Arc::new(report)),
        }
    }

    /// False once the connection has ended, whoever ended it.
    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Watches the path until the returned guard is dropped; to be called before the request is sent.
    pub(super) fn wait(&self) -> Waiting<'_> {
        let acks = self.connection.stats().frame_rx.acks;
        self.watch.acks_before().get_or_insert(acks);
        self.watch.waiting.fetch_add(1, Ordering::Relaxed);
        self.watch.changed.notify_one();
        Waiting(&self.watch)
    }

    pub(super) fn handle_network_changed(&self) {
        self.watch.moved.notify_one();
    }

    /// Closes the connection, and returns when that has left or cannot be sent.
    pub(super) async fn close(&self) {
        let sent = || self.connection.stats().udp_tx.datagrams;
        let before = sent();
        self.connection.close(DONE, &[]);
        // The library sends it from a task of its own, which only has to be let run.
        for _turn in 0..QUIC_CLOSE_TURNS_MAX {
            if sent() > before {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Says why the connection ended.
    pub(super) fn fault(&self, error: &ConnectionError) -> QuicFault {
        QuicFault::of_end(error, self.watch.is_lost.load(Ordering::Relaxed))
    }

    /// What is known about the connection, with the size that its path is known to carry now.
    pub(super) fn report(&self) -> Arc<LinkReport> {
        let bytes = Some(self.connection.stats().path.current_mtu);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if report.udp_bytes_max != bytes {
            let mut changed = LinkReport::clone(&report);
            changed.udp_bytes_max = bytes;
            *report = Arc::new(changed);
        }
        Arc::clone(&report)
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        self.connection.close(DONE, &[]);
    }
}

struct Keeper {
    connection: Connection,
    endpoint: Endpoint,
    signals: Arc<Signals>,
    traffic: Arc<Traffic>,
    watch: Arc<Watch>,
}

impl Keeper {
    async fn keep(self) {
        let clock = Clock::start();
        let mut liveness = Liveness::new(clock.now());
        loop {
            let mut pause = None;
            if self.watch.is_waiting() {
                let now = clock.now();
                match liveness.poll(now, self.acks(), self.connection.rtt()) {
                    Step::Wait(until) => pause = Some(until.since(now)),
                    Step::Ask => {
                        self.ask();
                        continue;
                    }
                    Step::Move => {
                        self.change_socket();
                        continue;
                    }
                    Step::Dead => {
                        self.watch.is_lost.store(true, Ordering::Relaxed);
                        return self.connection.close(DONE, &[]);
                    }
                }
            } else {
                liveness.handle_rest();
            }
            tokio::select! {
                _ended = self.connection.closed() => return,
                () = self.watch.changed.notified() => {
                    if let Some(acks) = self.watch.acks_before().take() {
                        liveness.handle_sent(clock.now(), acks);
                    }
                }
                () = self.watch.moved.notified() => self.move_on(&mut liveness, clock.now()),
                signal = self.signals.next() => self.handle_signal(signal, &mut liveness, clock.now()),
                () = sleep(pause) => {}
            }
        }
    }

    fn handle_signal(&self, signal: Signal, liveness: &mut Liveness, now: Moment) {
        match signal {
            // Probes of the path's size end like this.
            Signal::TooLarge => {}
            // The address of the socket may be gone.
            Signal::Local(_) => self.move_on(liveness, now),
            Signal::Refused | Signal::Prohibited(_) => {
                tracing::debug!(transport = "quic", reason = ?signal, "the network complained");
                // Anybody may say it: the path is asked, and once for however many complaints.
                if self.watch.is_waiting() && liveness.handle_sent(now, self.acks()) {
                    self.ask();
                }
            }
        }
    }

    /// Takes another socket, whose first packet asks the path.
    fn move_on(&self, liveness: &mut Liveness, now: Moment) {
        if self.watch.is_waiting() {
            liveness.handle_sent(now, self.acks());
            liveness.handle_moved(now);
        }
        self.change_socket();
    }

    fn acks(&self) -> u64 {
        self.connection.stats().frame_rx.acks
    }

    /// Sends a frame that must be acknowledged. quinn has no ping to call; a window that grows by a byte is one.
    fn ask(&self) {
        let window = |bytes| VarInt::from_u32(bytes);
        self.connection
            .set_receive_window(window(QUIC_RECEIVE_BYTES_MAX - 1));
        self.connection
            .set_receive_window(window(QUIC_RECEIVE_BYTES_MAX));
    }

    /// Goes on with another socket; where there is none to be had, with the old one.
    fn change_socket(&self) {
        let peer = self.connection.remote_address();
        let moved = PeerSocket::open(peer, &self.traffic, &self.signals)
            .and_then(|socket| self.endpoint.rebind_abstract(socket));
        if let Err(error) = moved {
            tracing::debug!(transport = "quic", reason = %error, "kept the socket");
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
