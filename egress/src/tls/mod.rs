//! TLS for the hop: whom to trust, and what the other side showed.
//!
//! Trust = the system's roots + the site's CA files (a file or a folder, read again whenever their
//! content changes, so that adding an inspector's CA needs no restart; the system's roots are read
//! anew at that moment too) + CA certificates given inline, as a join line carries them. There is no switch that skips verification. A system
//! without any roots is fine as long as another CA exists. TLS here protects the hop only: messages
//! are signed, so an inspecting proxy sees but cannot change them.

mod certificate;
mod fault;
mod period;
mod time;
mod verifier;

pub use certificate::{LeafReport, ShownIssuer};
pub use fault::{TlsFault, TrustError};
pub use period::{Date, Period};
pub(crate) use time::TimeCheck;
pub use time::{
    Reading, SystemTimeSource, TimeKeeper, TimeRefused, TimeReport, TimeSource, TlsClock,
};

use crate::limits::{CA_FILE_BYTES_MAX, CA_FILES_MAX};
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use verifier::NamingVerifier;
pub(crate) use verifier::Refusal;

/// The trust anchors of this process; cheap to share in an [`Arc`].
#[derive(Debug)]
pub struct Trust {
    files: Vec<PathBuf>,
    inline: Vec<CertificateDer<'static>>,
    system: bool,
    time: Arc<TimeKeeper>,
    current: Mutex<Option<Arc<TrustState>>>,
}

/// One generation of loaded anchors.
#[derive(Debug)]
pub(crate) struct TrustState {
    digest: [u8; 32],
    generation: u64,
    time: Arc<TimeKeeper>,
    full: Arc<dyn ServerCertVerifier>,
    /// Everything, with ALPN h2 and http/1.1.
    pub(crate) config: Arc<ClientConfig>,
    /// The same for a proxy spoken to over TLS, which takes CONNECT over http/1.1 only.
    pub(crate) proxy_config: Arc<ClientConfig>,
    /// System roots and inline CAs only: tells a site's inspector from the real server.
    plain: Option<Arc<dyn ServerCertVerifier>>,
}

impl Trust {
    /// Trusts the system's roots, the CA files or folders, and the certificates in `inline_pem`.
    ///
    /// # Errors
    /// [`TrustError`] when the inline PEM holds no certificate or is damaged.
    pub fn new(files: Vec<PathBuf>, inline_pem: Option<&str>) -> Result<Self, TrustError> {
        let inline = match inline_pem {
            Some(pem) => read_pem(pem.as_bytes()).ok_or(TrustError::Inline)?,
            None => Vec::new(),
        };
        Ok(Self {
            files,
            inline,
            system: true,
            time: Arc::default(),
            current: Mutex::new(None),
        })
    }

    /// Leaves the system's roots out: only the named CAs are trusted.
    #[must_use]
    pub fn without_system_roots(mut self) -> Self {
        self.system = false;
        self
    }

    /// Checks certificates at the time of `keeper`, which others may share.
    #[must_use]
    pub fn with_time(mut self, keeper: Arc<TimeKeeper>) -> Self {
        self.time = keeper;
        self
    }

    /// The time at which certificates are checked.
    #[must_use]
    pub const fn time(&self) -> &Arc<TimeKeeper> {
        &self.time
    }

    /// Forgets the tickets of earlier sessions: the next handshake shows a certificate.
    pub(crate) fn forget_tickets(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Loads everything once, so that a mistake is reported at start.
    ///
    /// # Errors
    /// [`TrustError`] names the file.
    pub async fn check(self: &Arc<Self>) -> Result<(), TrustError> {
        self.state().await.map(|_state| ())
    }

    /// Returns the anchors as the files stand now. A file that became unreadable or damaged after
    /// a good start keeps the last good anchors in use and is logged.
    pub(crate) async fn state(self: &Arc<Self>) -> Result<Arc<TrustState>, TrustError> {
        let this = Arc::clone(self);
        match tokio::task::spawn_blocking(move || this.load()).await {
            Ok(state) => state,
            Err(_stopped) => Err(TrustError::Stopped),
        }
    }

    fn load(&self) -> Result<Arc<TrustState>, TrustError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = self.reload(current.as_ref());
        match (loaded, current.as_ref()) {
            (Ok(state), _) => {
                *current = Some(Arc::clone(&state));
                Ok(state)
            }
            (Err(error), Some(last_good)) => {
                tracing::warn!(reason = %error, "kept the last good CA certificates");
                Ok(Arc::clone(last_good))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn reload(&self, current: Option<&Arc<TrustState>>) -> Result<Arc<TrustState>, TrustError> {
        let mut site = Vec::new();
        let mut hash = Sha256::new();
        for path in &self.files {
            for file in expand(path)? {
                let bytes = read_file(&file)?;
                hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(&bytes);
                site.push((file, bytes));
            }
        }
        let digest: [u8; 32] = hash.finalize().into();
        // Another time: whoever was let in before has to show a certificate again, not a ticket.
        let is_same = |state: &&Arc<TrustState>| {
            state.digest == digest && state.generation == self.time.generation()
        };
        if let Some(state) = current.filter(is_same) {
            return Ok(Arc::clone(state));
        }
        let mut site_certificates = Vec::new();
        for (file, bytes) in site {
            let found = read_pem(&bytes).ok_or(TrustError::File { file })?;
            site_certificates.extend(found);
        }
        self.build(digest, site_certificates)
    }

    fn build(
        &self,
        digest: [u8; 32],
        site: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<TrustState>, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let plain = self.verifier(self.inline.clone(), &provider);
        // The system's roots are large: without site CAs one copy serves for both.
        let full = match &plain {
            Some(plain) if site.is_empty() => Arc::clone(plain),
            Some(_) | None => {
                let all = self.inline.iter().cloned().chain(site).collect();
                self.verifier(all, &provider).ok_or(TrustError::NoRoots)?
            }
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_impossible| TrustError::NoRoots)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NamingVerifier::new(
                Arc::clone(&full),
                Arc::clone(&self.time),
                TimeCheck::Strict,
            )))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let proxy_config = Arc::new(config.clone());
        config.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Arc::new(TrustState {
            digest,
            generation: self.time.generation(),
            time: Arc::clone(&self.time),
            full,
            config: Arc::new(config),
            proxy_config,
            plain,
        }))
    }

    /// `None` when there is not a single anchor, or one is damaged.
    fn verifier(
        &self,
        extra: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Arc<dyn ServerCertVerifier>> {
        if self.system {
            let provider = Arc::clone(provider);
            let built = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider);
            return built
                .ok()
                .map(|built| Arc::new(built) as Arc<dyn ServerCertVerifier>);
        }
        let mut roots = RootCertStore::empty();
        for certificate in extra {
            roots.add(certificate).ok()?;
        }
        let provider = Arc::clone(provider);
        let builder =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        builder
            .build()
            .ok()
            .map(|built| built as Arc<dyn ServerCertVerifier>)
    }
}

impl TrustState {
    /// The configuration for a handshake with the target that checks the period at another time. No ticket of
    /// another handshake is used in it, and none of its own outlives it.
    pub(crate) fn config_for(&self, check: TimeCheck) -> Arc<ClientConfig> {
        if check == TimeCheck::Strict {
            return Arc::clone(&self.config);
        }
        let mut config = ClientConfig::clone(&self.config);
        let verifier = NamingVerifier::new(Arc::clone(&self.full), Arc::clone(&self.time), check);
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier));
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// The configuration for a strict handshake by a library that hands no refusal through; it is kept beside.
    pub(crate) fn config_that_keeps_refusals(&self) -> (ClientConfig, Arc<Refusal>) {
        let mut config = ClientConfig::clone(&self.config);
        let refusal = Arc::new(Refusal::default());
        let (full, time) = (Arc::clone(&self.full), Arc::clone(&self.time));
        let verifier = NamingVerifier::new(full, time, TimeCheck::Strict);
        let verifier = Arc::new(verifier.keeping(Arc::clone(&refusal)));
        config.dangerous().set_certificate_verifier(verifier);
        (config, refusal)
    }

    /// What is wrong with the period of a certificate that was believed without being shown again, because a ticket
    /// stood for it. A period that cannot be read is no period.
    pub(crate) fn fault_of_resumed(&self, chain: &[CertificateDer<'_>]) -> Option<TlsFault> {
        let leaf = chain.first().map(LeafReport::of).unwrap_or_default();
        let time = self.time.report();
        let is_valid = leaf
            .period
            .is_some_and(|period| period.contains(time.checked_s));
        (!is_valid).then_some(TlsFault::Time { leaf, time })
    }

    /// Tells whether only a site CA file vouches for this chain: an inspector, or a private
    /// controller whose CA was configured as a file.
    pub(crate) fn is_intercepted(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> bool {
        let (Some(plain), Some((leaf, rest))) = (&self.plain, chain.split_first()) else {
            return true;
        };
        let leaf_period = LeafReport::of(leaf).period;
        let now_s = self.time.moment(TimeCheck::Strict, leaf_period);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
        plain
            .verify_server_cert(leaf, rest, name, &[], now)
            .is_err()
    }
}

/// A folder means the `.pem` and `.crt` files in it, in order of their names.
fn expand(path: &Path) -> Result<Vec<PathBuf>, TrustError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error: std::io::Error| TrustError::Unreadable {
        file: path.to_owned(),
        kind: error.kind(),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let named = file
            .extension()
            .is_some_and(|end| end == "pem" || end == "crt");
        if named && files.len() < CA_FILES_MAX {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Vec<u8>, TrustError> {
    let unreadable = |error: std::io::Error| TrustError::Unreadable {
        file: path.to_owned(),
        kind: error.kind(),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bounded = file.take(CA_FILE_BYTES_MAX);
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// All certificates of a PEM text, each a possible anchor; `None` when there is none or one is bad.
fn read_pem(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty())?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).ok()?;
    }
    Some(found)
}
