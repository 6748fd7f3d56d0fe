//! Before a writer key changes: do all devices of it stand where this store believes?
//!
//! A running controller answers from what it heard; of a stopped one the store is read. Refuses with
//! the names of the devices, since whatever only they hold would be lost without a sign.

use super::bundles;
use crate::config::ControllerConfig;
use crate::exit::{CommandError, Exit};
use crate::records;
use postern_protocol::Reject;
use postern_protocol::controller::{Controller, Member, Unsettled};
use postern_protocol::id::Tenant;
use postern_relay::store::{DiskStore, Profile, Store as _};

/// Devices that an error names; more are counted.
const NAMES_MAX: usize = 8;

/// Checks that a new writer key of these tenants takes nothing from their devices unseen.
///
/// # Errors
/// `writer-behind`, naming every device whose decisions this store does not know, or may not know.
pub fn check(engine: &Controller, tenants: &[Tenant]) -> Result<(), CommandError> {
    let unsettled = tenants.iter().flat_map(|tenant| engine.unsettled(tenant));
    let all: Vec<_> = unsettled.collect();
    if all.is_empty() {
        return Ok(());
    }
    let named = all.iter().take(NAMES_MAX);
    let mut names: Vec<String> = named.map(|(member, why)| describe(member, *why)).collect();
    if let Some(more) = all.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    let next = if let Some((member, _)) = all.iter().find(|(_, why)| *why == Unsettled::Behind) {
        format!(
            "look at `postern status` and choose with `postern recover {}`",
            member.channel().device
        )
    } else {
        "wait until each of them is connected; remove those that never come back with `postern controller remove`".to_owned()
    };
    Err(CommandError::new(
        Exit::Refused,
        Reject::WriterBehind.as_str(),
        format!(
            "a new writer key would let devices lose decisions unseen: {}",
            names.join(", ")
        ),
        format!(
            "{next}; where the old key cannot wait, say --without-hearing: what only these devices hold is then gone"
        ),
    ))
}

/// Checks the same in the store of a controller that does not run.
///
/// # Errors
/// As [`check`]; a store that cannot be read.
pub fn check_stopped(config: &ControllerConfig, tenants: &[Tenant]) -> Result<(), CommandError> {
    if !config.store.exists() {
        return Ok(());
    }
    let (trust, _) = bundles::read(config)?;
    let store = DiskStore::open(&config.store, Profile::Server)?;
    let loaded = records::load(&store)?;
    let engine = Controller::restore(trust, records::lend(&loaded))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    store.close()?;
    check(&engine, tenants)
}

fn describe(member: &Member, why: Unsettled) -> String {
    let device = &member.channel().device;
    match why {
        Unsettled::Unheard => format!("{device} has not followed since the restore"),
        Unsettled::Behind => {
            let held = member.shown();
            format!(
                "{device} holds epoch {} seq {}, which this controller does not know",
                held.epoch.number(),
                held.seq.number()
            )
        }
    }
}
