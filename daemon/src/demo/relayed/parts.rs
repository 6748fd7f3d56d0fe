//! The parts of the demo with a relay: a controller behind a firewall, a relay, two devices.
//!
//! Everything but the firewall goes through the commands that a person would type. Refuses to go on
//! with a part that has ended.

use super::gate::Gate;
use super::relay;
use crate::demo::decisions::Operator;
use crate::demo::fleet::{HOST, failed, free_address, is_ready, run, tenant, text};
use crate::demo::process::{Process, Program};
use crate::demo::unit::{Counts, Unit, Way};
use crate::exit::CommandError;
use postern_protocol::id::DeviceName;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// The devices.
const DEVICES: [&str; 2] = ["hall-a", "hall-b"];
/// Pause between two looks at the relay while it starts.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Looks at the relay before it is given up: 20 s of them. Arbitrary.
const LOOKS_MAX: u32 = 2_000;

/// All parts, running.
#[derive(Debug)]
pub(super) struct Parts {
    program: Program,
    gate: Gate,
    controller: Process,
    relay: Process,
    /// The controller's operator.
    pub(super) operator: Operator,
    /// The devices, by name.
    pub(super) units: Vec<Unit>,
}

impl Parts {
    /// Starts everything in a folder.
    ///
    /// # Errors
    /// A part that does not start, with its own words.
    pub(super) async fn start(folder: &Path) -> Result<Self, CommandError> {
        let program = Program::this().map_err(|error| failed("this program", &error))?;
        let dir = folder.join("controller");
        let (gate, controller) = start_controller(&program, &dir, folder).await?;
        let relay = start_relay(&program, &dir, folder).await?;
        let mut parts = Self {
            program,
            gate,
            controller,
            relay,
            operator: Operator::new(dir.clone(), tenant()?),
            units: Vec::new(),
        };
        for name in DEVICES {
            let unit = parts.join(folder, &dir, name).await?;
            parts.units.push(unit);
        }
        Ok(parts)
    }

    /// Cuts the direct way: no device reaches the controller any more.
    pub(super) fn cut(&self) {
        self.gate.close();
    }

    async fn join(&self, folder: &Path, dir: &Path, name: &str) -> Result<Unit, CommandError> {
        let wrong = |error: io::Error| failed(name, &error);
        let mut unit = Unit {
            name: DeviceName::parse(name)
                .map_err(|reject| wrong(io::Error::other(reject.as_str())))?,
            way: Way::Direct,
            dir: folder.join(name),
            log: folder.join(format!("{name}.log")),
            process: None,
            restarts: 0,
            counted: Counts::default(),
        };
        crate::folder::create_private(&unit.dir).map_err(wrong)?;
        let configuration = "extra_ca_files = [\"../relay/ca.crt\"]\n\n[proxy]\nmode = \"off\"\n";
        fs::write(unit.dir.join("device.toml"), configuration).map_err(wrong)?;
        let invite = ["controller", "invite", name, "--dir", &text(dir)];
        let line = self.program.finish(&invite, "").await.map_err(wrong)?;
        let join = ["device", "join", "--dir", &text(&unit.dir)];
        self.program.finish(&join, &line).await.map_err(wrong)?;
        run(&self.program, &mut unit)?;
        Ok(unit)
    }

    /// Returns the part that ended although nobody ended it.
    pub(super) fn ended_part(&mut self) -> Option<CommandError> {
        let own = [
            ("the controller", &mut self.controller),
            ("the relay", &mut self.relay),
        ];
        let units = self.units.iter_mut().filter_map(|unit| {
            let name = unit.name.as_str();
            unit.process.as_mut().map(|process| (name, process))
        });
        own.into_iter().chain(units).find_map(|(name, process)| {
            (!process.is_running()).then(|| {
                CommandError::failure(
                    "demo-part-ended",
                    format!("{name} ended by itself:\n  {}", process.last_words()),
                    "look at its log in the demo's folder",
                )
            })
        })
    }

    /// Lets every part stop in its own time: devices first.
    pub(super) async fn stop(self) {
        for unit in self.units {
            if let Some(process) = unit.process {
                process.stop().await;
            }
        }
        self.relay.stop().await;
        self.controller.stop().await;
    }
}

/// Makes a controller that devices reach through the firewall only, and waits until it answers.
async fn start_controller(
    program: &Program,
    dir: &Path,
    folder: &Path,
) -> Result<(Gate, Process), CommandError> {
    let wrong = |error: io::Error| failed("the controller", &error);
    let listen = free_address().map_err(wrong)?;
    let gate = Gate::open(listen).await.map_err(wrong)?;
    let (listen, url) = (
        listen.to_string(),
        format!("https://{HOST}:{}", gate.port()),
    );
    let init = [
        "controller",
        "init",
        "--dir",
        &text(dir),
        "--listen",
        &listen,
        "--url",
        &url,
    ];
    program.finish(&init, "").await.map_err(wrong)?;
    let run = ["controller", "run", "--dir", &text(dir)];
    let mut process = program
        .start(&run, &folder.join("controller.log"))
        .map_err(wrong)?;
    if is_ready(&mut process, dir).await {
        return Ok((gate, process));
    }
    Err(wrong(io::Error::other(process.last_words())))
}

/// Makes a relay that believes the controller, starts it, and lets the controller use it.
async fn start_relay(
    program: &Program,
    dir: &Path,
    folder: &Path,
) -> Result<Process, CommandError> {
    let wrong = |error: io::Error| failed("the relay", &error);
    let trust = ["controller", "trust", "--dir", &text(dir)];
    let trust = program.finish(&trust, "").await.map_err(wrong)?;
    let listen = free_address().map_err(wrong)?;
    let url = format!("https://{HOST}:{}", listen.port());
    let relay_dir = folder.join("relay");
    let line = relay::make(&relay_dir, HOST, &url, &trust)?;
    let address = listen.to_string();
    let run = ["demo-relay", &text(&relay_dir), &address];
    let mut process = program
        .start(&run, &folder.join("relay.log"))
        .map_err(wrong)?;
    if !answers(&mut process, listen).await {
        return Err(wrong(io::Error::other(process.last_words())));
    }
    let add = ["controller", "relay", "add", "--dir", &text(dir)];
    program.finish(&add, &line).await.map_err(wrong)?;
    Ok(process)
}

/// Waits until somebody listens.
async fn answers(process: &mut Process, listen: SocketAddr) -> bool {
    for _ in 0..LOOKS_MAX {
        if !process.is_running() {
            return false;
        }
        if TcpStream::connect(listen).is_ok() {
            return true;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    false
}
