//! From a device's folder to its engine: store, identity, trust, key, routes.
//!
//! Refuses to start with a store or key that is not its own, and to guess what a damaged one held.

use super::agreement;
use super::displaced::Displaced;
use super::gate::Gate;
use super::homing::{self, Homing};
use super::identity::{Stage, StoredIdentity};
use super::leave;
use super::rotation::read_key;
use super::run::{Driver, Happening};
use super::show::view_of;
use super::status::{Counts, Surroundings};
use super::status_file::StatusFile;
use super::stream::Streams;
use super::time::{self, TimeNotes};
use crate::applier::{Applier, ApplierSettings, Confirm, Owning, Program};
use crate::config::{Command, DeviceConfig};
use crate::exit::CommandError;
use crate::records;
use crate::records::Loaded;
use crate::routes::{Address, Outlet, Routes};
use postern_egress::backoff::Backoff;
use postern_protocol::device::{Device, Settings};
use postern_protocol::record::Table;
use postern_protocol::revision::Revision;
use postern_protocol::trust::Trust;
use postern_relay::store::{DiskStore, Profile};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

pub(super) fn start(
    config: &DeviceConfig,
    sender: mpsc::Sender<Happening>,
) -> Result<Driver, CommandError> {
    leave::check(&config.dir)?;
    let store = Arc::new(DiskStore::open(&config.store, Profile::Device)?);
    let records = records::load(store.as_ref())?;
    let stored = StoredIdentity::find(records::lend(&records), Stage::Confirmed)
        .map_err(|error| CommandError::from_record(&config.store, &error))?
        .ok_or_else(|| not_joined(config))?;
    let trust = trust_of(config, &stored, &records)?;
    let addresses = homing::addresses(&trust, &stored.urls);
    let last_time_s = time::find(records::lend(&records))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    let routes = routes(config, &addresses, &stored, last_time_s)?;
    let engine = engine(config, &stored, trust, &records)?;
    let signer = Arc::new(read_key(config, engine.confirmed_key())?);
    let (counts, gate) = (Counts::default(), Gate::Open);
    let around = Surroundings {
        counts: &counts,
        failure: None,
        gate,
        route: routes.current_name(),
        is_connected: false,
        bytes: (0, 0),
        routes: routes.facts(),
        clock_ahead_s: None,
        clock_source: routes.time().report().source(),
    };
    let (view, _) = watch::channel(view_of(&engine, config, &around));
    let head = engine.head().map(|head| head.revision);
    let (newest, _) = watch::channel(head.unwrap_or(Revision::NONE));
    Ok(Driver {
        engine,
        signer,
        time: TimeNotes::new(last_time_s),
        store,
        routes,
        homing: Homing::new(stored.urls),
        applier: Arc::new(Applier::new(applier_settings(config))),
        backoff: Backoff::new(),
        displaced: Displaced::default(),
        grant: None,
        streams: Streams::default(),
        told: None,
        answered: None,
        has_paused: false,
        config: config.clone(),
        awaited: None,
        newest,
        gate,
        writing: BTreeMap::new(),
        tickets: 0,
        has_left: false,
        counts,
        failure: None,
        is_connected: false,
        status_file: StatusFile::new(config.dir.join("status.json")),
        view,
        sender,
    })
}

fn routes(
    config: &DeviceConfig,
    addresses: &[Address],
    stored: &StoredIdentity,
    last_time_s: Option<u64>,
) -> Result<Routes, CommandError> {
    let outlet = Outlet {
        last_time_s,
        ..Outlet::from(config)
    };
    let mut routes = outlet.routes(addresses, stored.tls_ca.as_deref())?;
    routes.set_push(config.push);
    Ok(routes)
}

/// The engine of this device, as its records left it.
fn engine(
    config: &DeviceConfig,
    stored: &StoredIdentity,
    trust: Trust,
    records: &[Loaded],
) -> Result<Device, CommandError> {
    let settings = Settings {
        max_age_ms: config.max_age_s.saturating_mul(1_000),
    };
    let engine = Device::restore(
        stored.identity.clone(),
        trust,
        settings,
        records::lend(records),
    )
    .map_err(|error| CommandError::from_record(&config.store, &error))?;
    agreement::give(config, engine, records)
}

fn applier_settings(config: &DeviceConfig) -> ApplierSettings {
    let apply = &config.apply;
    let confirm = apply.confirm.as_ref().map(|confirm| Confirm {
        soak: Duration::from_secs(confirm.soak_s),
        health: confirm
            .health
            .as_ref()
            .map(|health| program(config, health)),
        interval: Duration::from_secs(confirm.interval_s),
        failures: confirm.failures,
    });
    ApplierSettings {
        render_dir: config.render_folder.clone(),
        on_change: config
            .on_change
            .as_ref()
            .map(|command| program(config, command)),
        confirm,
        owning: Owning {
            file_mode: apply.file_mode,
            dir_mode: apply.dir_mode,
            gid: apply.gid,
        },
    }
}

/// Makes a command of the configuration one that can be run.
pub(super) fn program(config: &DeviceConfig, command: &Command) -> Program {
    Program {
        words: command.words.clone(),
        time_limit: Duration::from_secs(command.time_limit_s),
        account: config.apply.user.clone(),
    }
}

pub(super) fn not_joined(config: &DeviceConfig) -> CommandError {
    CommandError::configuration(
        "device-not-joined",
        format!(
            "the device in {} has not joined a controller",
            config.dir.display()
        ),
        format!(
            "postern device join --dir {} < join-line.txt",
            config.dir.display()
        ),
    )
}

pub(super) fn trust_of(
    config: &DeviceConfig,
    stored: &StoredIdentity,
    records: &[Loaded],
) -> Result<Trust, CommandError> {
    let bundles = records
        .iter()
        .filter(|record| record.table == Table::Bundles);
    let chain = bundles.map(|record| record.value.as_slice());
    Trust::from_chain(stored.identity.channel.root, stored.recovery, chain).map_err(|reject| {
        CommandError::store(
            reject.as_str(),
            format!(
                "{}: the stored bundles do not verify: {reject}",
                config.store.display()
            ),
            "remove the folder and join again with a new join line",
        )
    })
}
