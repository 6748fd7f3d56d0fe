//! A real Squid on loopback, in the shapes that an enterprise network shows most: a plain CONNECT proxy with a port list,
//! the same behind Basic authentication, one that inspects TLS with its own authority, and one that does so with every
//! limit drawn tight.
//!
//! The program comes from Debian's package `squid-openssl`, unpacked privately by `./test` and never installed.
//! Every instance runs on a free port, in a folder of its own that holds copies of everything its unprivileged user
//! must read. It refuses to use an installed Squid or the system's configuration.

mod access;
mod configuration;
mod tree;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use access::AccessLine;
pub use tree::Tree;

use crate::doors::Spot;
use crate::{Folder, LabError, Pki, Process, process, wait};

/// The only user that a [`Kind::Basic`] proxy knows.
pub const BASIC_USER: &str = "alice";
/// The password of [`BASIC_USER`].
pub const BASIC_PASSWORD: &str = "s3cret";

/// Seconds after which [`Kind::Hostile`] answers 504 in place of a silent server.
pub const HOSTILE_READ_S: u64 = 6;
/// Bytes a second that [`Kind::HttpsSlow`] lets through.
pub const SLOW_BYTES_PER_S: u64 = 16_000;
/// Seconds that [`Kind::Hostile`] is told to let a client's connection live.
const HOSTILE_LIFETIME_S: u64 = 20;

/// How often another port is tried when the chosen one was taken between choosing and listening.
const PORT_TRIES_MAX: u32 = 3;

/// Which proxy to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CONNECT for everybody on this machine, to the allowed ports only.
    Plain,
    /// As `Plain`, with 407 until [`BASIC_USER`] and [`BASIC_PASSWORD`] are sent.
    Basic,
    /// As `Plain`, ending TLS in the proxy and presenting certificates signed by the corporate authority.
    Bump,
    /// As `Bump`, with every limit that was seen in the field at once: a server may be silent for [`HOSTILE_READ_S`]
    /// seconds, request bodies have at most 64 KiB and answers 1 MiB, a client has at most three connections, and
    /// programs that call themselves curl are refused. Connections are to live 20 s, too; Squid 5.7 was seen to let
    /// inspected ones live on.
    Hostile,
    /// As `Plain`, with 407 `Digest` until [`BASIC_USER`] and [`BASIC_PASSWORD`] are proven.
    Digest,
    /// As `Plain`, spoken to over TLS with the origin's certificate of the plan's `pki`, at most
    /// [`SLOW_BYTES_PER_S`] bytes a second for everybody together.
    HttpsSlow,
    /// As `Plain`; tunnels end after [`HOSTILE_READ_S`] seconds of silence.
    ShortTunnel,
}

/// What a proxy allows, knows and trusts.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Which proxy to play.
    pub kind: Kind,
    /// Ports to which CONNECT is allowed: they play 443. Any other gets 403.
    pub allowed_ports: &'a [u16],
    /// Names that only this proxy resolves, all to 127.0.0.1: they prove that the client resolves nothing itself.
    pub names: &'a [&'a str],
    /// Holds the corporate authority with which [`Kind::Bump`] and [`Kind::Hostile`] sign.
    pub pki: &'a Pki,
    /// PEM certificates that [`Kind::Bump`] and [`Kind::Hostile`] trust on their far side: `&pki.origin_ca_pem`, or a controller's own.
    pub trusted_pem: &'a str,
}

/// How a [`Kind::Plain`] proxy is made to ask who it is that connects.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// A helper program of Squid's own, copied into the instance's folder; empty for none.
    pub helper: &'a str,
    /// Names and contents of files in that folder, readable by Squid's user only.
    pub files: &'a [(&'a str, &'a [u8])],
    /// Lines `auth_param`; `{at}` stands for that folder.
    pub lines: &'a str,
    /// Runs Squid in the mount namespace of this process.
    pub beside: Option<u32>,
}

/// A running Squid; killed when dropped.
#[derive(Debug)]
pub struct Squid {
    process: Process,
    address: SocketAddr,
    namespace: Option<String>,
    is_tls: bool,
    folder: Folder,
    tree: Tree,
    beside: Option<u32>,
}

impl Squid {
    /// Starts a Squid and waits until its port is open.
    ///
    /// # Errors
    /// [`LabError::Ended`] with the end of its log when it refuses its configuration; [`LabError::Io`] when its folder
    /// cannot be prepared.
    pub fn start(tree: &Tree, plan: &Plan<'_>) -> Result<Self, LabError> {
        Self::start_with(tree, plan, None)
    }

    /// As [`Squid::start`], with 407 until the client says who it is.
    ///
    /// # Errors
    /// As [`Squid::start`].
    pub fn start_asking(
        tree: &Tree,
        plan: &Plan<'_>,
        asking: &Asking<'_>,
    ) -> Result<Self, LabError> {
        Self::start_with(tree, plan, Some(asking))
    }

    fn start_with(
        tree: &Tree,
        plan: &Plan<'_>,
        asking: Option<&Asking<'_>>,
    ) -> Result<Self, LabError> {
        let mut tries = 0;
        loop {
            let spot = Spot::loopback()?;
            match Self::start_there(tree, plan, asking, spot, Ipv4Addr::LOCALHOST.into()) {
                Ok(squid) => return Ok(squid),
                Err(LabError::Ended { evidence, .. })
                    if tries < PORT_TRIES_MAX && evidence.contains("Address already") =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts a Squid at a place of the caller's choice, perhaps inside a namespace, where the plan's names stand at
    /// `names_at`.
    ///
    /// # Errors
    /// As [`Squid::start`]; a port that is taken is not chosen again.
    pub fn start_at(
        tree: &Tree,
        plan: &Plan<'_>,
        spot: Spot<'_>,
        names_at: IpAddr,
    ) -> Result<Self, LabError> {
        Self::start_there(tree, plan, None, spot, names_at)
    }

    fn start_there(
        tree: &Tree,
        plan: &Plan<'_>,
        asking: Option<&Asking<'_>>,
        spot: Spot<'_>,
        names_at: IpAddr,
    ) -> Result<Self, LabError> {
        let folder = configuration::prepare(tree, plan, asking, names_at)?;
        configuration::write(&folder, plan, asking, spot.listen)?;
        let namespace = spot.namespace.map(|inside| inside.name().to_owned());
        let beside = asking.and_then(|asking| asking.beside);
        Ok(Self {
            process: launch(tree, &folder, spot.listen, namespace.as_deref(), beside)?,
            beside,
            address: spot.listen,
            namespace,
            is_tls: plan.kind == Kind::HttpsSlow,
            folder,
            tree: tree.clone(),
        })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the proxy URL without credentials: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        if self.is_tls {
            // The name in its certificate.
            return format!("https://localhost:{}", self.address.port());
        }
        format!("http://{}", self.address)
    }

    /// Returns the running process, to kill it or read its pid.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again on the same port after it was killed, and waits until the port is open.
    ///
    /// # Errors
    /// As [`Squid::start`].
    pub fn restart(&mut self) -> Result<(), LabError> {
        self.process.kill_9()?;
        let inside = self.namespace.as_deref();
        self.process = launch(&self.tree, &self.folder, self.address, inside, self.beside)?;
        Ok(())
    }

    /// Returns every line of the access log so far. A tunnel stands there only after it was closed.
    #[must_use]
    pub fn access_log(&self) -> Vec<AccessLine> {
        AccessLine::parse_all(&process::read(
            &self.folder.path().join(configuration::ACCESS_LOG),
        ))
    }

    /// Waits until a line of the access log satisfies `wanted`, and returns it.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] with the end of both logs when no such line comes.
    pub fn wait_for_access(
        &self,
        what: &str,
        wanted: impl Fn(&AccessLine) -> bool,
    ) -> Result<AccessLine, LabError> {
        let found = wait::until(what, || {
            Ok(self.access_log().into_iter().find(|line| wanted(line)))
        });
        found.map_err(|error| error.with_log(&self.logs()))
    }

    fn logs(&self) -> String {
        let log = |name| process::read(&self.folder.path().join(name));
        let cache = log(configuration::CACHE_LOG);
        format!(
            "{}\n--- access log\n{}",
            process::tail(&cache),
            log(configuration::ACCESS_LOG)
        )
    }
}

fn launch(
    tree: &Tree,
    folder: &Folder,
    address: SocketAddr,
    namespace: Option<&str>,
    beside: Option<u32>,
) -> Result<Process, LabError> {
    let command = tree.command(folder, namespace, beside);
    let mut process = Process::start("squid", command, folder.path())?;
    let opened = process.wait_for_listener(address.port());
    // Squid explains itself in its log and says little elsewhere.
    let log = || process::read(&folder.path().join(configuration::CACHE_LOG));
    opened
        .map(|()| process)
        .map_err(|error| error.with_log(&log()))
}
