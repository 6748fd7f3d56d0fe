//! `postern controller`: init, run, invite.
//!
//! Arguments in, calls of the modules that do the work, exit codes out. Refuses to read keys itself.

use super::{
    LogArgs, OperatorArgs, block_on, keep, output, parse_device, parse_tenant, relays, rotation,
};
use crate::config::ControllerConfig;
use crate::controller::init::{self, Created, InitOptions, OwnCertificate};
use crate::exit::CommandError;
use crate::operator::client::{Client, unexpected};
use crate::operator::{Request, Response};
use crate::random::OsRandom;
use clap::{Args, Subcommand};
use postern_protocol::id::{DeviceName, Tenant};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum ControllerCommand {
    /// Make a controller: keys, TLS certificate, first bundle, configuration
    #[command(
        long_about = "Makes a controller's folder: root and recovery keys (to be taken offline), writer and mailbox\n\
            keys, a TLS certificate (or takes yours), the first bundle, and controller.toml.\n\n\
            Example: postern controller init --dir controller --listen 0.0.0.0:8443 --url https://controller.example:8443"
    )]
    Init(InitArgs),
    /// Run the controller of a folder
    #[command(
        long_about = "Runs the controller of a folder until it gets SIGTERM or SIGINT. Root and recovery keys are not\n\
            needed.\n\n\
            Example: postern controller run --dir controller"
    )]
    Run(RunArgs),
    /// Invite a device and print its join line
    #[command(
        long_about = "Invites a device and prints its join line, alone, on standard output. The line holds a secret:\n\
            carry it where only the device's owner sees it. The controller must be running.\n\n\
            Example: postern controller invite hall-1 --dir controller > hall-1.join"
    )]
    Invite(InviteArgs),
    /// Show the keys that count now
    #[command(
        long_about = "Shows the keys that the newest bundle names, and which of their files lie in this folder.\n\n\
            Example: postern controller keys --dir controller"
    )]
    Keys(rotation::KeysArgs),
    /// Make a key new, for every device, by a bundle that the root key signs
    #[command(
        long_about = "Makes a new key and the bundle that names it. Devices take the bundle with their next poll; none is\n\
            cut off: they verify the bundle with the root key that they trust already. The root key is\n\
            needed once, from this folder or from where --root-key says; take it offline again. A new writer key\n\
            waits until no device may hold decisions that a restored controller lost, or for --without-hearing.\n\n\
            Example: postern controller rotate writer --root-key /media/safe/root.key"
    )]
    Rotate(rotation::RotateArgs),
    /// Let keys never count again
    #[command(
        long_about = "Signs a bundle that revokes keys: a device's that was stolen, or a former writer or mailbox key.\n\
            A key in use is rotated first. A revocation cannot be taken back.\n\n\
            Example: postern controller revoke 3f0c…e1 --root-key /media/safe/root.key"
    )]
    Revoke(rotation::RevokeArgs),
    /// Take over from another controller: new writer and mailbox keys
    #[command(
        long_about = "Makes new writer keys for every tenant and a new mailbox key, in one bundle. After a restore on\n\
            another machine this fences the former controller off: whatever it still signs is refused by\n\
            every device that has the bundle. It waits until every device has reported since the restore, or for\n\
            --without-hearing.\n\n\
            Example: postern controller promote --dir controller --root-key /media/safe/root.key"
    )]
    Promote(rotation::PromoteArgs),
    /// Print whom a relay has to believe
    #[command(
        long_about = "Prints the trust line: the thumbprints of the root and recovery keys, and the bundles. It holds no\n\
            secret; `postern-relay init` reads it, and the relay believes nobody else afterwards.\n\n\
            Example: postern controller trust --dir controller > site.trust"
    )]
    Trust(relays::TrustArgs),
    /// Name the relays that devices and this controller use
    #[command(subcommand)]
    Relay(relays::RelayCommand),
    /// Take an unused invitation back
    #[command(
        long_about = "Takes the unused invitations of a device back: their join lines count no more.\n\n\
            Example: postern controller withdraw hall-1"
    )]
    Withdraw(keep::WithdrawArgs),
    /// Encrypt a device's planes end to end, or rotate their keys
    #[command(
        long_about = "Encrypts what this controller and a device write for each other, so that no mailbox on the way can\n\
            read it. Given again, it rotates the keys. It cannot be switched off; an enrolment anew keeps it.\n\
            The device must have joined with a version that binds a key for it.\n\n\
            Example: postern controller encrypt hall-1"
    )]
    Encrypt(keep::EncryptArgs),
    /// Remove a device with everything that is held of it
    #[command(
        long_about = "Removes a device: it is not served any more, and what was held of it is gone. A new invitation\n\
            enrols the name again.\n\n\
            Example: postern controller remove hall-1"
    )]
    Remove(keep::RemoveArgs),
    /// Write a backup while the controller runs
    #[command(
        long_about = "Writes a backup of store, writer and mailbox keys, bundles, TLS files and configuration into a new\n\
            file, mode 0600, while the controller runs or while it is stopped. It holds private keys: keep it\n\
            like one. Root and recovery keys are not in it.\n\n\
            Example: postern controller backup controller.backup"
    )]
    Backup(keep::BackupArgs),
    /// Make a controller from a backup, in a new folder
    #[command(
        long_about = "Verifies a backup and makes a new folder of it. Stop the old controller for good first; if it may\n\
            still run, fence it off with `postern controller promote`. What was decided after the backup is\n\
            handed back by the devices; look at `postern status`.\n\n\
            Example: postern controller restore controller.backup --dir restored"
    )]
    Restore(keep::RestoreArgs),
    /// Print counters and gauges for Prometheus
    #[command(
        long_about = "Prints what the running controller counted since its start, and how its devices stand, in the text\n\
            format of Prometheus; a textfile collector can pick it up. `postern_push_seconds` is the time from a\n\
            decision's commit here to the report that shows it accepted or applied, by this machine's clock.\n\n\
            Example: postern controller metrics > postern.prom"
    )]
    Metrics(keep::MetricsArgs),
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder to make [default: $POSTERN_DIR, else ./controller]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Do not listen at all: dial out to relays, which `postern controller relay add` names
    #[arg(long, conflicts_with_all = ["listen", "urls", "cert", "key"])]
    no_listen: bool,
    /// URL under which devices reach it; repeat for several [default: the address of --listen]
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// A tenant; repeat for several
    #[arg(long = "tenant", value_name = "TENANT", default_value = "default", value_parser = parse_tenant)]
    tenants: Vec<Tenant>,
    /// Your certificate chain, PEM, leaf first
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Print results and errors as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The controller's folder [default: $POSTERN_DIR, else ./controller]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    /// The device's name: 1 to 63 of a-z 0-9 . _ -
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

impl ControllerCommand {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::Init(args) => args.json,
            Self::Run(_) => false,
            Self::Invite(args) => args.operator.json,
            Self::Keys(args) => args.is_json(),
            Self::Rotate(args) => args.is_json(),
            Self::Revoke(args) => args.is_json(),
            Self::Promote(args) => args.is_json(),
            Self::Trust(args) => args.is_json(),
            Self::Relay(command) => command.is_json(),
            Self::Withdraw(args) => args.is_json(),
            Self::Encrypt(args) => args.is_json(),
            Self::Remove(args) => args.is_json(),
            Self::Backup(args) => args.is_json(),
            Self::Restore(args) => args.is_json(),
            Self::Metrics(args) => args.is_json(),
        }
    }
}

pub(super) fn run(command: ControllerCommand) -> Result<(), CommandError> {
    match command {
        ControllerCommand::Init(args) => make(args),
        ControllerCommand::Run(args) => {
            let config = ControllerConfig::load(&super::controller_dir(args.dir.as_ref()))?;
            args.log.start(&config.log);
            block_on(crate::controller::run::run(config))
        }
        ControllerCommand::Invite(args) => invite(args),
        ControllerCommand::Keys(args) => args.run(),
        ControllerCommand::Rotate(args) => args.run(),
        ControllerCommand::Revoke(args) => args.run(),
        ControllerCommand::Promote(args) => args.run(),
        ControllerCommand::Trust(args) => args.run(),
        ControllerCommand::Relay(command) => command.run(),
        ControllerCommand::Withdraw(args) => args.run(),
        ControllerCommand::Encrypt(args) => args.run(),
        ControllerCommand::Remove(args) => args.run(),
        ControllerCommand::Backup(args) => args.run(),
        ControllerCommand::Restore(args) => args.run(),
        ControllerCommand::Metrics(args) => args.run(),
    }
}

fn make(args: InitArgs) -> Result<(), CommandError> {
    let options = InitOptions {
        dir: super::controller_dir(args.dir.as_ref()),
        listen: (!args.no_listen).then_some(args.listen),
        urls: args.urls,
        tenants: args.tenants,
        certificate: args
            .cert
            .zip(args.key)
            .map(|(cert, key)| OwnCertificate { cert, key }),
    };
    let created = init::create(&options, &mut OsRandom)?;
    if args.json {
        output::json(&json!({
            "dir": created.dir,
            "root": created.root.to_string(),
            "recovery": created.recovery.to_string(),
            "root_key": created.root_key,
            "recovery_key": created.recovery_key,
            "ca": created.ca,
            "urls": created.urls,
            "tenants": created.tenants.iter().map(Tenant::as_str).collect::<Vec<_>>(),
        }));
    } else {
        describe(&created);
    }
    Ok(())
}

fn describe(created: &Created) {
    let dir = created.dir.display();
    let tenants: Vec<_> = created.tenants.iter().map(Tenant::as_str).collect();
    let mut lines = vec![
        format!("controller made in {dir}"),
        format!("  trust domain  {}", created.root),
        match created.urls.as_slice() {
            [] => "  urls          none: it dials out to relays only".into(),
            urls => format!("  urls          {}", urls.join(" ")),
        },
        format!("  tenants       {}", tenants.join(" ")),
        format!("  root key      {}", created.root_key.display()),
        format!("  recovery key  {}", created.recovery_key.display()),
        "Move root.key and recovery.key to two offline places now: the controller runs without them,".into(),
        "and whoever has one of them owns every device.".into(),
    ];
    if let Some(ca) = &created.ca {
        lines.insert(
            4,
            format!("  TLS CA        {} (travels in join lines)", ca.display()),
        );
    }
    if created.urls.is_empty() {
        lines.push(format!(
            "Name a relay before you invite devices: postern controller trust --dir {dir}"
        ));
    }
    lines.extend([
        "Next:".into(),
        format!("  postern controller run --dir {dir}"),
        format!("  postern controller invite NAME --dir {dir}"),
    ]);
    output::line(lines.join("\n"));
}

fn invite(args: InviteArgs) -> Result<(), CommandError> {
    let dir = args.operator.dir();
    let request = Request::Invite {
        target: args.operator.target(&args.device),
    };
    let Response::Invited { join_line } = Client::connect(&dir)?.ask(&request)? else {
        return Err(unexpected());
    };
    let join_line = zeroize::Zeroizing::new(join_line);
    if args.operator.json {
        output::json(&json!({
            "device": args.device.as_str(),
            "tenant": args.operator.tenant.as_str(),
            "join_line": join_line.as_str(),
        }));
    } else {
        output::line(join_line.as_str());
        output::hint("The line above holds a secret and works once. On the device:");
        output::hint("  postern device join --dir DIR   (paste the line, or pipe it in)");
        output::hint("  postern device run --dir DIR");
    }
    Ok(())
}
