//! The parts of the demo and how they are started: controller, proxy, devices, in that order.
//!
//! Everything goes through the commands that a person would type; the exact command lines stand in
//! the controller's and devices' logs. Refuses to go on with a part that has ended.

use super::decisions::Operator;
use super::process::{Process, Program};
use super::proxy::{InspectingProxy, ProxySetup};
use super::unit::{Counts, Unit, Way};
use crate::exit::CommandError;
use crate::operator::client::Client;
use postern_protocol::id::{DeviceName, Tenant};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The host in every URL; devices behind the proxy see the proxy's certificate for it.
pub(super) const HOST: &str = "localhost";
/// What the proxy asks one device for. Worth nothing outside this run.
const CREDENTIALS: &str = "hall-c:demo-password";
/// The devices: name, and way to the controller.
const DEVICES: [(&str, Way); 3] = [
    ("hall-a", Way::Direct),
    ("hall-b", Way::Inspected),
    ("hall-c", Way::InspectedWithPassword),
];
/// Ports tried: another process may take one between its choice and its use.
const PORT_ATTEMPTS: u32 = 5;
/// Pause between two looks at a part that starts.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Looks at the controller before it is given up: 20 s of them. Arbitrary.
const LOOKS_MAX: u32 = 2_000;

/// All parts, running.
#[derive(Debug)]
pub(super) struct Fleet {
    program: Program,
    controller: Process,
    /// The controller's operator.
    pub(super) operator: Operator,
    /// The proxy.
    pub(super) proxy: InspectingProxy,
    /// The devices, by name.
    pub(super) units: Vec<Unit>,
}

impl Fleet {
    /// Starts everything in a folder.
    ///
    /// # Errors
    /// A part that does not start, with its own words.
    pub(super) async fn start(folder: &Path) -> Result<Self, CommandError> {
        let program = Program::this().map_err(|error| failed("this program", &error))?;
        let dir = folder.join("controller");
        let (controller, address) = start_controller(&program, &dir, folder).await?;
        let proxy = start_proxy(&dir, address)
            .await
            .map_err(|error| failed("the proxy", &error))?;
        fs::write(folder.join("proxy-ca.pem"), proxy.certificate_pem())
            .map_err(|error| failed("the proxy's certificate", &error))?;
        let operator = Operator::new(dir.clone(), tenant()?);
        let mut fleet = Self {
            program,
            controller,
            operator,
            proxy,
            units: Vec::new(),
        };
        for (name, way) in DEVICES {
            let unit = fleet.join(folder, &dir, name, way).await?;
            fleet.units.push(unit);
        }
        Ok(fleet)
    }

    /// Invites a device, joins it by the line, and starts it.
    async fn join(
        &self,
        folder: &Path,
        controller: &Path,
        name: &str,
        way: Way,
    ) -> Result<Unit, CommandError> {
        let wrong = |error: io::Error| failed(name, &error);
        let mut unit = Unit {
            name: DeviceName::parse(name)
                .map_err(|reject| wrong(io::Error::other(reject.as_str())))?,
            way,
            dir: folder.join(name),
            log: folder.join(format!("{name}.log")),
            process: None,
            restarts: 0,
            counted: Counts::default(),
        };
        crate::folder::create_private(&unit.dir).map_err(wrong)?;
        fs::write(unit.dir.join("device.toml"), self.configuration(way)).map_err(wrong)?;
        if way == Way::InspectedWithPassword {
            write_secret(&unit.dir.join("proxy.secret"), CREDENTIALS).map_err(wrong)?;
        }
        let invite = ["controller", "invite", name, "--dir", &text(controller)];
        let line = self.program.finish(&invite, "").await.map_err(wrong)?;
        let join = ["device", "join", "--dir", &text(&unit.dir)];
        self.program.finish(&join, &line).await.map_err(wrong)?;
        run(&self.program, &mut unit)?;
        Ok(unit)
    }

    /// Starts a killed device again.
    ///
    /// # Errors
    /// There is no such device, or it cannot be started.
    pub(super) fn restart(&mut self, index: usize) -> Result<(), CommandError> {
        let Some(unit) = self.units.get_mut(index) else {
            return Err(failed("the device", &io::ErrorKind::NotFound.into()));
        };
        run(&self.program, unit)?;
        unit.restarts += 1;
        Ok(())
    }

    /// Returns the part that ended although nobody ended it.
    pub(super) fn ended_part(&mut self) -> Option<CommandError> {
        let ended = |name: &str, process: &Process| {
            CommandError::failure(
                "demo-part-ended",
                format!("{name} ended by itself:\n  {}", process.last_words()),
                "look at its log in the demo's folder",
            )
        };
        if !self.controller.is_running() {
            return Some(ended("the controller", &self.controller));
        }
        self.units.iter_mut().find_map(|unit| {
            let process = unit.process.as_mut()?;
            (!process.is_running()).then(|| ended(unit.name.as_str(), process))
        })
    }

    /// Lets every part stop in its own time: devices first.
    pub(super) async fn stop(self) {
        for unit in self.units {
            if let Some(process) = unit.process {
                process.stop().await;
            }
        }
        self.controller.stop().await;
    }

    fn configuration(&self, way: Way) -> String {
        let address = match way {
            Way::Direct => return "[proxy]\nmode = \"off\"\n".to_owned(),
            Way::Inspected => self.proxy.open_address(),
            Way::InspectedWithPassword => self.proxy.guarded_address(),
        };
        let secret = match way {
            Way::Direct | Way::Inspected => "",
            Way::InspectedWithPassword => "secret_file = \"proxy.secret\"\n",
        };
        format!(
            "extra_ca_files = [\"../proxy-ca.pem\"]\n\n[proxy]\nurl = \"http://{address}\"\n{secret}"
        )
    }
}

/// Starts the process of a device that has joined.
pub(super) fn run(program: &Program, unit: &mut Unit) -> Result<(), CommandError> {
    let arguments = ["device", "run", "--dir", &text(&unit.dir)];
    let process = program.start(&arguments, &unit.log);
    unit.process = Some(process.map_err(|error| failed(unit.name.as_str(), &error))?);
    Ok(())
}

/// Makes a controller on a free port and waits until it answers.
async fn start_controller(
    program: &Program,
    dir: &Path,
    folder: &Path,
) -> Result<(Process, SocketAddr), CommandError> {
    let wrong = |error: io::Error| failed("the controller", &error);
    let mut said = String::new();
    for _ in 0..PORT_ATTEMPTS {
        let address = free_address().map_err(wrong)?;
        let (listen, url) = (
            address.to_string(),
            format!("https://{HOST}:{}", address.port()),
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
        let log = folder.join("controller.log");
        let mut process = program.start(&run, &log).map_err(wrong)?;
        if is_ready(&mut process, dir).await {
            return Ok((process, address));
        }
        said = process.last_words();
        process.stop().await;
        // Most likely the port went to somebody else. Keys and port belong together: make both anew.
        fs::remove_dir_all(dir).map_err(wrong)?;
    }
    Err(wrong(io::Error::other(format!(
        "{PORT_ATTEMPTS} attempts failed; the last one said\n  {said}"
    ))))
}

/// Waits for the operator's socket, which is there once devices can connect too.
pub(super) async fn is_ready(process: &mut Process, dir: &Path) -> bool {
    for _ in 0..LOOKS_MAX {
        if !process.is_running() {
            return false;
        }
        if Client::connect(dir).is_ok() {
            return true;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    false
}

async fn start_proxy(controller: &Path, target: SocketAddr) -> Result<InspectingProxy, io::Error> {
    let setup = ProxySetup {
        target_host: HOST.to_owned(),
        target,
        target_ca_pem: fs::read_to_string(controller.join("tls/ca.crt"))?,
    };
    InspectingProxy::start(setup, CREDENTIALS).await
}

/// Returns a loopback address on which nothing listens now.
pub(super) fn free_address() -> Result<SocketAddr, io::Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn write_secret(path: &Path, line: &str) -> Result<(), io::Error> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, format!("{line}\n").as_bytes())
}

pub(super) fn tenant() -> Result<Tenant, CommandError> {
    Tenant::parse("default")
        .map_err(|reject| failed("the tenant", &io::Error::other(reject.as_str())))
}

pub(super) fn text(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}

pub(super) fn failed(part: &str, error: &io::Error) -> CommandError {
    CommandError::failure(
        "demo-start",
        format!("{part} does not start: {error}"),
        "look at the logs in the demo's folder",
    )
}
