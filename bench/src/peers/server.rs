//! A server that Postern's relay is compared with: where it is found, its settings, its process.
//!
//! ```text
//!  Peer -- find --> program -- start --> Server (TLS on loopback, a folder of its own) -- drop --> killed
//! ```
//!
//! Settings are those that ship, but for TLS, storage, and Nagle off where it can be. Refuses to install anything,
//! and to end a process that it did not start.

use super::link::Target;
use crate::error::BenchError;
use crate::mailbox::child::{CERTIFICATE, KEY, write_certificate};
use crate::relay::{door, process};
use postern_lab::{Folder, LabError, Process, config, free_address};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Ports that are tried: another process may take one in between.
const PORT_TRIES_MAX: usize = 3;

/// What Postern's relay is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// mosquitto with QoS 1 and persistence.
    Mosquitto,
    /// Core NATS.
    Nats,
    /// NATS with a stream on the disk, synced before it acknowledges.
    JetStream,
    /// iroh-relay.
    Iroh,
}

impl Peer {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Mosquitto, Self::Nats, Self::JetStream, Self::Iroh];

    /// Its name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto, QoS 1",
            Self::Nats => "NATS, core",
            Self::JetStream => "NATS, JetStream",
            Self::Iroh => "iroh-relay",
        }
    }

    /// How it can be had.
    pub const fn how_to(self) -> &'static str {
        match self {
            Self::Mosquitto => "bench/provide-peers, or set POSTERN_MOSQUITTO_ROOT",
            Self::Nats | Self::JetStream => "bench/provide-peers, or set POSTERN_NATS_SERVER",
            Self::Iroh => "bench/provide-peers --with iroh, or set POSTERN_IROH_RELAY",
        }
    }

    /// What its numbers are of, and what they are not of.
    pub const fn note(self) -> &'static str {
        match self {
            Self::Mosquitto => {
                "a client that waits: TLS, one subscription; forward: publish, PUBACK, publish to a durable session, PUBACK. \
                 Signs nothing; acknowledges from memory; its store is written every 30 minutes and at exit, never \
                 synced for a message"
            }
            Self::Nats => {
                "a client that waits: TLS, one subscription; forward: publish, message. Signs nothing, stores nothing, \
                 acknowledges nothing: who is not there gets nothing"
            }
            Self::JetStream => {
                "a client that waits: TLS, two subscriptions; forward: publish, file synced before its acknowledgement \
                 (sync_interval always), pushed to a consumer, acknowledged. Signs nothing; no replica"
            }
            Self::Iroh => {
                "a client that waits: TLS, WebSocket, its key proven once; forward: datagram in, datagram out. Signs no \
                 message, stores nothing, acknowledges nothing: a full queue drops"
            }
        }
    }

    /// Finds its program: where the environment or the cache has it, or on the path.
    pub fn find(self) -> Option<PathBuf> {
        let (provided, name) = match self {
            Self::Mosquitto => (
                config::mosquitto_root().join("usr/sbin/mosquitto"),
                "mosquitto",
            ),
            Self::Nats | Self::JetStream => (config::nats_server(), "nats-server"),
            Self::Iroh => (config::iroh_relay(), "iroh-relay"),
        };
        let folders = config::program_folders();
        let on_path = folders.iter().map(|folder| folder.join(name));
        std::iter::once(provided)
            .chain(on_path)
            .find(|file| file.is_file())
    }

    /// Asks a program for its version. # Errors: when it does not run or tells none.
    pub fn version(self, program: &Path) -> Result<String, BenchError> {
        let asked = match self {
            Self::Mosquitto => "-h",
            Self::Nats | Self::JetStream | Self::Iroh => "--version",
        };
        let said = command(program).arg(asked).output();
        let said = said
            .map_err(BenchError::io("ask a server for its version"))?
            .stdout;
        let said = String::from_utf8_lossy(&said);
        version_in(&said)
            .map(str::to_owned)
            .ok_or_else(|| BenchError::Answer {
                what: "a server tells no version",
                answer: said.chars().take(200).collect(),
            })
    }

    /// Its file of settings.
    pub fn settings(self, address: SocketAddr, folder: &Path) -> Result<String, BenchError> {
        let (port, folder_text) = (address.port(), folder.display());
        let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        let (certificate, key) = (certificate.display(), key.display());
        let nats = format!(
            "listen: \"{address}\"\ntls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}\n"
        );
        Ok(match self {
            // Without a user of its own it would take that of its package, which is not installed.
            Self::Mosquitto => format!(
                "user root\nlog_type error\nmax_inflight_messages 0\nmax_queued_messages 0\nallow_anonymous true\npersistence true\npersistence_location {folder_text}/\n\
                 set_tcp_nodelay true\nlistener {port} {}\ncertfile {certificate}\nkeyfile {key}\n",
                address.ip()
            ),
            Self::Nats => nats,
            Self::JetStream => {
                format!(
                    "{nats}jetstream {{ store_dir: \"{folder_text}\", sync_interval: always }}\n"
                )
            }
            Self::Iroh => format!(
                "enable_metrics = false\nhttp_bind_addr = \"{}\"\n[tls]\nhttps_bind_addr = \"{address}\"\n\
                 cert_mode = \"Manual\"\nmanual_cert_path = \"{certificate}\"\nmanual_key_path = \"{key}\"\n",
                free_address()?
            ),
        })
    }
}

/// The first word that begins with a number and a dot, without the `v` before it.
pub fn version_in(said: &str) -> Option<&str> {
    let words = said.split_ascii_whitespace();
    let mut bare = words.map(|word| word.trim_start_matches('v'));
    bare.find(|word| {
        let digits = word.trim_start_matches(|digit: char| digit.is_ascii_digit());
        digits.len() < word.len() && digits.starts_with('.')
    })
}

/// A command for a program that may lie in an unpacked package, beside its libraries.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(root) = program.ancestors().nth(3) {
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        command.env("LD_LIBRARY_PATH", root.join(libraries));
    }
    command
}

/// A running server; it is killed with this.
pub struct Server {
    process: Process,
    /// How to connect.
    pub target: Target,
    _folder: Folder,
}

impl Server {
    /// Starts one and waits until it listens. # Errors: when it does not.
    pub fn start(peer: Peer, program: &Path) -> Result<Self, BenchError> {
        let folder = Folder::new()?;
        let certificate = write_certificate(folder.path())?;
        let mut tries = 0;
        loop {
            let address = free_address()?;
            let settings = folder.write("settings", peer.settings(address, folder.path())?)?;
            let mut command = command(program);
            let flag = if peer == Peer::Iroh {
                "--config-path"
            } else {
                "-c"
            };
            command.arg(flag).arg(settings).current_dir(folder.path());
            let mut process = Process::start("server", command, folder.path())?;
            match process.wait_for_port(address) {
                Ok(()) => {
                    let tls = Arc::new(door::tls_client(&certificate)?);
                    return Ok(Self {
                        process,
                        target: Target { address, tls },
                        _folder: folder,
                    });
                }
                Err(LabError::Ended { .. }) if tries < PORT_TRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Resident memory in bytes. # Errors: when the kernel tells none.
    pub fn resident_bytes(&self) -> Result<f64, BenchError> {
        crate::device::resident_bytes(self.process.pid())
    }

    /// Processor time so far in microseconds. # Errors: when the kernel tells none.
    pub fn processor_us(&self) -> Result<f64, BenchError> {
        process::processor_us(self.process.pid())
    }
}
