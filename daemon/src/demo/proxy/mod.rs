//! An HTTP proxy that opens TLS, as companies run them: CONNECT, own certificates, own connection.
//!
//! ```text
//!   device --CONNECT, TLS by the proxy's CA--> proxy --TLS by the controller's CA--> controller
//!                                               |
//!                                               `- reads every frame, may falsify one
//! ```
//!
//! Speaks HTTP/1.1 on both sides and bounds every body. Listens on loopback, reaches one target,
//! refuses every other. Made for the demo: no product for a network.

mod authority;
mod exchange;
mod tamper;
#[cfg(test)]
mod tests;
mod tunnel;

pub(super) use tamper::Tamper;

use authority::{Authority, provider};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// What the proxy may do for its clients.
#[derive(Debug, Clone)]
pub(super) struct ProxySetup {
    /// The only host that it reaches, as clients name it.
    pub(super) target_host: String,
    /// Where that host is.
    pub(super) target: SocketAddr,
    /// The CA that the target's certificate must come from, PEM.
    pub(super) target_ca_pem: String,
}

/// What passed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Requests whose bodies were read in the open.
    pub(super) exchanges: u64,
    /// Bytes of bodies in both directions.
    pub(super) bytes: u64,
    /// Clients that were asked for a password.
    pub(super) challenged: u64,
    /// Answers that were falsified.
    pub(super) falsified: u64,
}

/// A running proxy; it ends with the process.
#[derive(Debug, Clone)]
pub(super) struct InspectingProxy {
    shared: Arc<Shared>,
    open: SocketAddr,
    guarded: SocketAddr,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    authority: Authority,
    setup: ProxySetup,
    upstream: Arc<rustls::ClientConfig>,
    credentials: String,
    tamper: Mutex<Option<Tamper>>,
    exchanges: AtomicU64,
    bytes: AtomicU64,
    challenged: AtomicU64,
    falsified: AtomicU64,
}

/// Whether a listener asks for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Guarded,
}

impl InspectingProxy {
    /// Starts the proxy with two listeners: one lets everybody in, one wants `credentials` (`user:password`).
    ///
    /// # Errors
    /// A CA that is none, no free port.
    pub(super) async fn start(setup: ProxySetup, credentials: &str) -> Result<Self, io::Error> {
        let shared = Arc::new(Shared {
            authority: Authority::new()?,
            upstream: trusting(&setup.target_ca_pem)?,
            setup,
            credentials: credentials.to_owned(),
            tamper: Mutex::new(None),
            exchanges: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            challenged: AtomicU64::new(0),
            falsified: AtomicU64::new(0),
        });
        let open = listen(Arc::clone(&shared), Door::Open).await?;
        let guarded = listen(Arc::clone(&shared), Door::Guarded).await?;
        Ok(Self {
            shared,
            open,
            guarded,
        })
    }

    /// Where clients need no password.
    pub(super) const fn open_address(&self) -> SocketAddr {
        self.open
    }

    /// Where clients need the password.
    pub(super) const fn guarded_address(&self) -> SocketAddr {
        self.guarded
    }

    /// The certificate that clients must trust to be let through, PEM.
    pub(super) fn certificate_pem(&self) -> String {
        self.shared.authority.certificate_pem()
    }

    /// Falsifies the next answer that fits.
    pub(super) fn tamper(&self, tamper: Tamper) {
        *self.shared.tamper() = Some(tamper);
    }

    /// Tells what passed so far.
    pub(super) fn passed(&self) -> Passed {
        let shared = &self.shared;
        Passed {
            exchanges: shared.exchanges.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
            challenged: shared.challenged.load(Ordering::Relaxed),
            falsified: shared.falsified.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn tamper(&self) -> std::sync::MutexGuard<'_, Option<Tamper>> {
        self.tamper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Falsifies an answer's body when it is the one that was asked for.
    fn falsify(&self, body: &mut [u8]) {
        let mut tamper = self.tamper();
        if tamper.as_ref().is_some_and(|tamper| tamper.falsify(body)) {
            *tamper = None;
            self.falsified.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self, up: usize, down: usize) {
        let bytes = u64::try_from(up.saturating_add(down)).unwrap_or(u64::MAX);
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Trusts exactly the certificates in `ca_pem`, and speaks HTTP/1.1 with whoever has one of theirs.
fn trusting(ca_pem: &str) -> Result<Arc<rustls::ClientConfig>, io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let mut client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(client))
}

async fn listen(shared: Arc<Shared>, door: Door) -> Result<SocketAddr, io::Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let _task = crate::tasks::spawn(async move {
        // A refused connection is the client's to notice; the listener goes on.
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            let _connection = crate::tasks::spawn(tunnel::serve(shared, door, stream));
        }
    });
    Ok(address)
}
