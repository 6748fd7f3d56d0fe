//! `postern controller run`: store, engine, embedded mailbox, operator socket.
//!
//! Everything that an operator could have got wrong is checked before the first port is opened.
//! The root keys are not needed and not looked for.

use super::bundles;
use super::driver::{Driver, Parts};
use super::host::{ControllerHost, Directory};
use super::keyring::{Writers, mailbox_keys};
use super::metrics::EventCounts;
use super::relays::{Relays, Starter};
use super::timer::TimerHandle;
use super::work::Work;
use crate::config::ControllerConfig;
use crate::exit::CommandError;
use crate::operator::{self, Desk};
use crate::records;
use postern_console::listener_secret;
use postern_console::random::OsRandom;
use postern_protocol::controller::Controller;
use postern_protocol::trust::Trust;
use postern_relay::exchange::ExchangeLimits;
use postern_relay::mailbox::MailboxLimits;
use postern_relay::server::{
    Mailbox, QuicListener, Server, ServerConfig, ServerLimits, StartError,
};
use postern_relay::store::{DiskStore, Profile, Store};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pieces of work that may wait for the engine's thread. Arbitrary; a full queue slows callers down.
const WORK_MAX: usize = 1_024;
/// Operator requests that may wait to be looked at. Arbitrary.
const OPERATOR_REQUESTS_MAX: usize = 64;
/// Milliseconds that exchanges under way get when the controller stops.
const DRAIN_MS: u64 = 1_000;

/// Runs the controller until it is told to stop.
///
/// # Errors
/// A store, key or configuration that is refused, an address that is taken, a store that fails.
pub async fn run(config: ControllerConfig) -> Result<(), CommandError> {
    let (trust, bundles) = bundles::read(&config)?;
    let writers = Writers::read(&config, &trust)?;
    let mailbox = make_mailbox(&config, &trust, &bundles)?;
    let store = open_store(&config.store)?;
    let loaded = records::load(store.as_ref())?;
    let (work, queue) = mpsc::channel(WORK_MAX);
    let starter = Starter::new(Arc::new(config.clone()), Relays::default(), work.clone());
    // Before the engine starts: what it posts first waits for the relays' sessions.
    starter.start(&trust, &loaded)?;
    let engine = Controller::restore(trust, records::lend(&loaded))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    drop(loaded);
    let directory = Directory::default();
    let counts = Arc::new(EventCounts::default());
    let mut driver = Driver::new(Parts {
        engine,
        keys: Box::new(writers),
        store,
        mailbox: mailbox.clone(),
        directory: directory.clone(),
        counts: Arc::clone(&counts),
        relays: starter.relays().clone(),
        timer: TimerHandle::start(work.clone()),
    });
    driver.open()?;
    let host = ControllerHost {
        directory,
        work: work.clone(),
    };
    let server = start_server(&config, mailbox.clone(), host)?;
    let listening = server.as_ref().map(Server::local_address);
    let operators = start_operators(&config, mailbox, counts, starter, work.clone())?;
    let (ended, mut end) = oneshot::channel();
    let thread = std::thread::Builder::new().name("engine".into());
    let engine_thread = thread
        .spawn(move || drop(ended.send(driver.run(queue))))
        .map_err(|error| {
            CommandError::failure(
                "engine-thread",
                format!("the engine's thread cannot start: {error}"),
                "start again",
            )
        })?;
    tracing::info!(listen = listening.map(tracing::field::display), socket = %config.socket.display(), "controller started");
    eprint_ready(&config, listening);
    let result = tokio::select! {
        () = crate::signals::stop() => {
            if let Some(server) = server {
                server.shutdown(DRAIN_MS).await;
            }
            let _full = work.send(Work::Stop).await;
            (&mut end).await.unwrap_or(Ok(()))
        }
        result = &mut end => result.unwrap_or_else(|_| Err(engine_gone())),
    };
    operators.abort();
    drop(engine_thread);
    tracing::info!("controller stopped");
    result
}

#[expect(
    clippy::print_stderr,
    reason = "a person who starts the controller wants to see that it is ready"
)]
fn eprint_ready(config: &ControllerConfig, listening: Option<SocketAddr>) {
    let dir = config.dir.display();
    match listening {
        Some(listening) => eprintln!(
            "controller ready: devices connect to {} (listening on {listening}); operators use {dir}",
            config.urls.join(", "),
        ),
        None => eprintln!("controller ready: it dials out to relays only; operators use {dir}"),
    }
}

/// Opens the operator socket and answers in tasks.
fn start_operators(
    config: &ControllerConfig,
    mailbox: Mailbox,
    counts: Arc<EventCounts>,
    starter: Starter,
    work: mpsc::Sender<Work>,
) -> Result<tokio::task::AbortHandle, CommandError> {
    let desk = Desk {
        work,
        root: config.root,
        recovery: config.recovery,
        tls_ca: config
            .tls
            .as_ref()
            .and_then(|tls| tls.ca.as_deref())
            .map(read_certificate)
            .transpose()?,
        mailbox,
        counts,
        starter,
        config: Arc::new(config.clone()),
    };
    let (requests, queue) = mpsc::channel(OPERATOR_REQUESTS_MAX);
    let listener = operator::bind(&config.socket)?;
    let serving = crate::tasks::spawn(operator::serve(listener, requests));
    let _desk = crate::tasks::spawn(desk.run(queue));
    Ok(serving.abort_handle())
}

fn read_certificate(file: &Path) -> Result<Vec<u8>, CommandError> {
    let certificate = CertificateDer::from_pem_file(file).map_err(|error| {
        CommandError::configuration(
            "tls-file-unreadable",
            format!("{} holds no PEM certificate: {error}", file.display()),
            "correct tls.ca_file in controller.toml, or leave it out when devices trust the issuer anyway",
        )
    })?;
    Ok(certificate.to_vec())
}

fn engine_gone() -> CommandError {
    CommandError::failure(
        "engine-gone",
        "the engine's thread ended unexpectedly",
        "start again",
    )
}

/// Checks the whole file first: a server's own profile trusts the structure that it finds.
fn open_store(path: &Path) -> Result<Arc<dyn Store>, CommandError> {
    if path.exists() {
        DiskStore::open(path, Profile::Device)?.close()?;
    }
    Ok(Arc::new(DiskStore::open(path, Profile::Server)?))
}

fn make_mailbox(
    config: &ControllerConfig,
    trust: &Trust,
    bundles: &[Vec<u8>],
) -> Result<Mailbox, CommandError> {
    let keys = mailbox_keys(config, trust, bundles)?;
    let limits = ExchangeLimits {
        mailbox: MailboxLimits {
            bytes_max: config.limits.mailbox_bytes_max,
            total_bytes_max: config.limits.mailboxes_bytes_max,
            ..MailboxLimits::default()
        },
        hold_s_max: config.limits.hold_s_max,
        ..ExchangeLimits::default()
    };
    let failed = |reject: postern_protocol::Reject| {
        CommandError::configuration(
            reject.as_str(),
            format!("the mailbox cannot start: {}", reject.sentence()),
            "start again",
        )
    };
    let mailbox = Mailbox::with_keys(keys, limits).map_err(failed)?;
    mailbox.show_bundles(trust.steps()).map_err(failed)?;
    Ok(mailbox)
}

fn start_server(
    config: &ControllerConfig,
    mailbox: Mailbox,
    host: ControllerHost,
) -> Result<Option<Server>, CommandError> {
    let Some((listen, tls)) = config.listen.zip(config.tls.as_ref()) else {
        return Ok(None);
    };
    let read = |file: &Path| {
        std::fs::read(file).map_err(|error| {
            CommandError::configuration(
                "tls-file-unreadable",
                format!("{} cannot be read: {error}", file.display()),
                "correct tls.cert_file and tls.key_file in controller.toml",
            )
        })
    };
    let server = ServerConfig {
        listen,
        prefix: String::new(),
        certificate_pem: read(&tls.cert)?,
        key_pem: read(&tls.key)?,
        quic: quic_door(config, listen)?,
        limits: ServerLimits {
            connections_max: config.limits.connections_max,
            source_connections_max: config.limits.source_connections_max,
            ..ServerLimits::default()
        },
    };
    Server::start(&server, mailbox, Arc::new(host)).map(Some).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        let next = if matches!(error, StartError::Quic { .. }) {
            "end the process that holds the UDP port, or write quic = false under [server] in controller.toml"
        } else {
            "correct listen, tls.cert_file or tls.key_file in controller.toml, or end the process that holds the address"
        };
        CommandError::configuration(
            "server-start",
            format!("{error}{}", source.unwrap_or_default()),
            next,
        )
    })
}

/// The second door, on the UDP port with the number of the first; the first start makes its secret.
fn quic_door(
    config: &ControllerConfig,
    listen: SocketAddr,
) -> Result<Option<QuicListener>, CommandError> {
    // With port 0 the two would differ, and nobody could find the second.
    let Some(key) = config.quic_key.as_ref().filter(|_| listen.port() != 0) else {
        return Ok(None);
    };
    let secret = listener_secret::read_or_make(key, &mut OsRandom)?;
    Ok(Some(QuicListener { listen, secret }))
}
