//! The work that each server does: clients that wait, and devices that send to the collector of their tenant.
//!
//! ```text
//!   device --1 KB--> server --(acknowledgement, where there is one)--> device
//!                      └────> collector of the tenant: only then the device's next
//! ```
//!
//! As many tenants, devices and messages as Postern's relay gets. Refuses to count a run in which a message is lost.

use super::link::Target;
use super::nats::Kept;
use super::server::Peer;
use super::{iroh, mqtt, nats};
use crate::error::BenchError;
use crate::mailbox::domain::MESSAGE_BYTES;
use crate::mailbox::flow::joined;
use crate::mailbox::throughput::{DEVICES, TENANTS};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Clients that connect at once.
const CONNECTING: usize = 32;

/// A client of any of the servers.
pub enum Client {
    /// Of mosquitto.
    Mqtt(mqtt::Client),
    /// Of NATS.
    Nats(nats::Client),
    /// Of iroh-relay.
    Iroh(iroh::Client),
}

impl Client {
    /// Connects a device, which waits for what is sent to it. # Errors: of the network, and a refusal.
    pub async fn device(peer: Peer, target: &Target, number: usize) -> Result<Self, BenchError> {
        let tenant = number / DEVICES;
        let name = format!("device-{number}");
        Ok(match peer {
            Peer::Mosquitto => {
                let topics = [
                    &*format!("down/{number}"),
                    &*format!("up/{tenant}/{number}"),
                ];
                Self::Mqtt(mqtt::Client::open(target, &name, topics, false).await?)
            }
            Peer::Nats | Peer::JetStream => {
                let topics = [
                    &*format!("down.{number}"),
                    &*format!("up.{tenant}.{number}"),
                ];
                Self::Nats(nats::Client::open(target, &name, topics, kept(peer)).await?)
            }
            Peer::Iroh => {
                let own = TENANTS + number;
                Self::Iroh(iroh::Client::open(target, own, tenant).await?)
            }
        })
    }

    /// Connects the collector of a tenant. # Errors: of the network, and a refusal.
    async fn collector(peer: Peer, target: &Target, tenant: usize) -> Result<Self, BenchError> {
        let name = format!("collector-{tenant}");
        Ok(match peer {
            Peer::Mosquitto => {
                let topics = [&*format!("up/{tenant}/#"), "none"];
                Self::Mqtt(mqtt::Client::open(target, &name, topics, true).await?)
            }
            Peer::Nats => {
                let topics = [&*format!("up.{tenant}.>"), "none"];
                Self::Nats(nats::Client::open(target, &name, topics, Kept::No).await?)
            }
            Peer::JetStream => {
                let to = format!("pushed.{tenant}");
                let mut client =
                    nats::Client::open(target, &name, [&to, "none"], Kept::Stream).await?;
                if tenant == 0 {
                    client.make_stream("up.>").await?;
                }
                client.push(&format!("up.{tenant}.>"), &to).await?;
                Self::Nats(client)
            }
            Peer::Iroh => Self::Iroh(iroh::Client::open(target, tenant, tenant).await?),
        })
    }

    async fn publish(&mut self, message: &[u8]) -> Result<(), BenchError> {
        match self {
            Self::Mqtt(client) => client.publish(message).await,
            Self::Nats(client) => client.publish(message).await,
            Self::Iroh(client) => client.publish(message).await,
        }
    }

    async fn next(&mut self) -> Result<Vec<u8>, BenchError> {
        match self {
            Self::Mqtt(client) => client.next().await,
            Self::Nats(client) => client.next().await,
            Self::Iroh(client) => client.next().await,
        }
    }
}

const fn kept(peer: Peer) -> Kept {
    match peer {
        Peer::JetStream => Kept::Stream,
        Peer::Mosquitto | Peer::Nats | Peer::Iroh => Kept::No,
    }
}

/// Connects devices. # Errors: of the network, and a refusal.
pub async fn open(peer: Peer, target: &Target, count: usize) -> Result<Vec<Client>, BenchError> {
    let numbers: Vec<usize> = (0..count).collect();
    let mut clients = Vec::new();
    for part in numbers.chunks(CONNECTING) {
        let mut opening = JoinSet::new();
        for &number in part {
            let target = target.clone();
            opening
                .spawn(async move { Ok((number, Client::device(peer, &target, number).await?)) });
        }
        clients.extend(joined(&mut opening).await?);
    }
    clients.sort_by_key(|(number, _)| *number);
    Ok(clients.into_iter().map(|(_, client)| client).collect())
}

/// Connects the collector of each tenant. # Errors: of the network, and a refusal.
pub async fn open_collectors(peer: Peer, target: &Target) -> Result<Vec<Client>, BenchError> {
    let mut collectors = Vec::new();
    for tenant in 0..TENANTS {
        collectors.push(Client::collector(peer, target, tenant).await?);
    }
    Ok(collectors)
}

/// A message of a device.
fn message(number: usize) -> Vec<u8> {
    let mut message = vec![0; MESSAGE_BYTES];
    let mark = number.to_be_bytes();
    message
        .iter_mut()
        .zip(mark)
        .for_each(|(to, from)| *to = from);
    message
}

/// The device of a message. `None`: it is none of the benchmark, or not whole.
pub fn sender(message: &[u8]) -> Option<usize> {
    let whole = message.len() == MESSAGE_BYTES;
    let mark = message.first_chunk().filter(|_| whole)?;
    Some(usize::from_be_bytes(*mark))
}

/// Lets each device send so many messages, one after the other, and hands all clients back.
/// # Errors: of the network, a refusal, and a message that is none of these.
pub async fn forward(
    devices: Vec<Client>,
    collectors: Vec<Client>,
    each: u64,
) -> Result<(Vec<Client>, Vec<Client>), BenchError> {
    let arrived: Vec<_> = devices
        .iter()
        .map(|_| Arc::new(Semaphore::new(0)))
        .collect();
    let mut sending = JoinSet::new();
    for (number, (mut device, arrived)) in devices.into_iter().zip(&arrived).enumerate() {
        let arrived = Arc::clone(arrived);
        sending.spawn(async move {
            let message = message(number);
            for _ in 0..each {
                device.publish(&message).await?;
                let permit = arrived.acquire().await;
                permit
                    .map_err(BenchError::network("a collector ended"))?
                    .forget();
            }
            Ok(device)
        });
    }
    let mut collecting = JoinSet::new();
    for mut collector in collectors {
        let arrived = arrived.clone();
        collecting.spawn(async move {
            for _ in 0..each * DEVICES as u64 {
                let message = collector.next().await?;
                let device = sender(&message).and_then(|number| arrived.get(number));
                let unknown = BenchError::Unsteady("a collector gets what nobody sent");
                device.ok_or(unknown)?.add_permits(1);
            }
            Ok(collector)
        });
    }
    // Together: an end that fails would be waited for in vain.
    tokio::try_join!(joined(&mut sending), joined(&mut collecting))
}
