//! Postern's relay beside servers that people use instead: memory of a client that waits, processor time to forward 1 KB.
//!
//! Reading order: [`server`] finds, starts and describes each, [`load`] is the work that all get, over the smallest
//! clients that can do it ([`mqtt`], [`nats`], [`iroh`], on [`link`]). Memory and time are those that the kernel counts
//! for the process of the server, so that the load of the machine moves them little. Refuses to call the work the same:
//! a note beside each number says what its server does not do. One that is missing is a row, and no failure.

mod iroh;
mod link;
mod load;
mod mqtt;
mod nats;
mod server;
#[cfg(test)]
mod tests;

use crate::error::BenchError;
use crate::mailbox::child::{Limits, Place};
use crate::mailbox::flow;
use crate::mailbox::throughput::{self, DEVICES, REPORTS, TENANTS, WARM};
use crate::relay::door::Doors;
use crate::relay::process;
use crate::table::{Row, Unit};
use server::{Peer, Server};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// Seconds after which a server that does not answer is given up.
const GIVE_UP_S: u64 = 50;
/// Seconds for which a poll is held: longer than the benchmark takes.
const HOLD_S: u16 = 300;
/// Clients that come and go before memory counts, so that what is made once is not counted for one of them.
const FIRST: usize = 64;
/// What Postern's numbers are of.
const NOTE: &str = "a client that waits: HTTP/1.1 over TLS, a session, a held poll; forward: post, sealed with the \
    session's tag, committed and synced before its answer, collected by the tenant's writer. Every message is signed \
    by its device; any other signature check is in the writer";

/// What was counted of one server.
struct Counts {
    waiting_bytes: f64,
    forward_us: f64,
}

/// Measures every row, with so many clients that wait.
///
/// # Errors
/// When Postern's own relay fails.
pub fn measure(sessions: usize) -> Result<Vec<Row>, BenchError> {
    let runtime = process::runtime()?;
    let mut rows = Vec::new();
    let postern = runtime.block_on(measure_postern(sessions))?;
    let name = format!("Postern {}", env!("CARGO_PKG_VERSION"));
    rows.extend(rows_of(&name, NOTE, sessions, &postern));
    for peer in Peer::ALL {
        rows.extend(measure_peer(&runtime, peer, sessions));
    }
    Ok(rows)
}

fn measure_peer(runtime: &tokio::runtime::Runtime, peer: Peer, sessions: usize) -> Vec<Row> {
    let name = peer.as_str();
    let Some(program) = peer.find() else {
        let how_to = peer.how_to();
        return vec![Row::skipped(format!(
            "peers: {name} (not installed: {how_to})"
        ))];
    };
    let counted = peer.version(&program).and_then(|version| {
        let counting = counts(peer, &program, sessions);
        let bounded =
            async { tokio::time::timeout(Duration::from_secs(GIVE_UP_S), counting).await };
        let given_up = BenchError::network("it does not answer in time");
        Ok((version, runtime.block_on(bounded).map_err(given_up)??))
    });
    match counted {
        Ok((version, counts)) => rows_of(
            &format!("{name}, {version}"),
            peer.note(),
            sessions,
            &counts,
        ),
        Err(error) => vec![Row::skipped(format!(
            "peers: {name} (not measured: {})",
            chain(&error)
        ))],
    }
}

/// An error with its causes, on one line.
fn chain(error: &BenchError) -> String {
    let first: &dyn std::error::Error = error;
    let causes = std::iter::successors(Some(first), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts
        .join(": ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn rows_of(name: &str, note: &str, sessions: usize, counts: &Counts) -> Vec<Row> {
    let row = |what: &str, unit, value| {
        Row::new(format!("peers: {name}: {what}"), unit, Some(value), None)
            .with_note(format!("{name}: {note}."))
    };
    let waiting = format!("memory of a client that waits, {sessions}");
    vec![
        row(&waiting, Unit::Kibibytes, counts.waiting_bytes / 1_024.0),
        row(
            "processor time to forward 1 KB",
            Unit::Microseconds,
            counts.forward_us,
        ),
    ]
}

async fn measure_postern(sessions: usize) -> Result<Counts, BenchError> {
    let waiting_bytes = postern_waiting(sessions).await?;
    let (forward_us, lost) = throughput::forward_us().await?;
    if lost > 0 {
        return Err(BenchError::Unsteady("the relay lost messages"));
    }
    Ok(Counts {
        waiting_bytes,
        forward_us,
    })
}

async fn postern_waiting(sessions: usize) -> Result<f64, BenchError> {
    let mut place = Place::new(TENANTS, Limits::Open)?;
    let child = place.start()?;
    let each = sessions.div_ceil(TENANTS).max(FIRST);
    flow::admit(&Doors::new(&child.greeting)?, TENANTS, each).await?;
    // What admitting freed would be taken for the devices: they meet a second process.
    child.stop()?;
    let mut child = place.start()?;
    let doors = Doors::new(&child.greeting)?;
    let devices: Vec<_> = (0..sessions)
        .map(|number| (number % TENANTS, number / TENANTS))
        .collect();
    drop(flow::open(&doors, devices.get(..FIRST).unwrap_or(&devices)).await?);
    child.wait_sessions_idle().await?;
    let before = child.resident_bytes()?;
    let mut waiting = JoinSet::new();
    for mut worker in flow::open(&doors, &devices).await? {
        waiting.spawn(async move { worker.end.poll(HOLD_S).await });
    }
    child.wait_holds(sessions).await?;
    Ok((child.resident_bytes()? - before) / sessions as f64)
}

async fn counts(peer: Peer, program: &Path, sessions: usize) -> Result<Counts, BenchError> {
    let server = Server::start(peer, program)?;
    drop(load::open(peer, &server.target, FIRST).await?);
    let before = server.resident_bytes()?;
    let waiting = load::open(peer, &server.target, sessions).await?;
    let waiting_bytes = (server.resident_bytes()? - before) / sessions as f64;
    drop(waiting);
    drop(server);

    // Another process: what those who waited leave behind costs time.
    let server = Server::start(peer, program)?;
    let collectors = load::open_collectors(peer, &server.target).await?;
    let devices = load::open(peer, &server.target, TENANTS * DEVICES).await?;
    let (devices, collectors) = load::forward(devices, collectors, WARM).await?;
    let before_us = server.processor_us()?;
    let clients = load::forward(devices, collectors, REPORTS).await?;
    let spent_us = server.processor_us()? - before_us;
    drop(clients);
    Ok(Counts {
        waiting_bytes,
        forward_us: spent_us / (REPORTS * (TENANTS * DEVICES) as u64) as f64,
    })
}
