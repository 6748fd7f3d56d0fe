//! The server that is weighed: both doors, every device admitted, a host that keeps nothing.
//!
//! It tells where it listens and its certificate on standard output, answers each line on standard
//! input with its numbers, and ends with standard input. Refuses limits that would stand in the way
//! of a benchmark from one address; everything else is as it ships.

use super::device::{channel, device_signer, mailbox_signer};
use super::process::{self, Greeting, Numbers};
use crate::error::BenchError;
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Incarnation, Plane};
use postern_protocol::key::Signer as _;
use postern_relay::exchange::{AdmittedDevice, ExchangeLimits};
use postern_relay::limiter::Rate;
use postern_relay::mailbox::Chunk;
use postern_relay::server::{
    Host, HostAnswer, ListenerSecret, Mailbox, QuicListener, Server, ServerConfig, ServerLimits,
    Taken,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// More than a benchmark asks for.
const PLENTY: Rate = Rate {
    burst: 1_000_000_000,
    per_s: 1_000_000_000,
};

struct Everybody {
    devices: BTreeMap<ChannelId, AdmittedDevice>,
}

impl Host for Everybody {
    fn admitted(&self, channel: ChannelId) -> Vec<AdmittedDevice> {
        self.devices.get(&channel).cloned().into_iter().collect()
    }

    fn enrol(&self, _: Vec<u8>) -> HostAnswer<Vec<u8>> {
        Box::pin(std::future::ready(Err(Reject::TokenUnknown)))
    }

    fn posted(&self, _: ChannelId, _: Option<Plane>, _: Vec<u8>) -> HostAnswer<Taken> {
        Box::pin(std::future::ready(Ok(Taken::default())))
    }

    fn put(&self, _: ChannelId, _: Plane, _: Vec<Chunk>) -> HostAnswer<Taken> {
        Box::pin(std::future::ready(Ok(Taken::default())))
    }

    fn heartbeat_wanted(&self, _: ChannelId) -> HostAnswer<()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn admitted(devices: usize) -> Result<BTreeMap<ChannelId, AdmittedDevice>, BenchError> {
    let key = device_signer().public_key().clone();
    (0..devices)
        .map(|number| {
            let channel = channel(number)?;
            let device = AdmittedDevice {
                channel: channel.clone(),
                incarnation: Incarnation::from_bytes([4; 16]),
                key: key.clone(),
            };
            Ok((channel.id(), device))
        })
        .collect()
}

/// Limits under which one source may do as much as it can.
pub fn limits() -> ServerLimits {
    ServerLimits {
        source_connections_max: usize::MAX,
        source_unproven_max: usize::MAX,
        source_exchanges: PLENTY,
        source_handshakes: PLENTY,
        handshakes: PLENTY,
        device_messages: PLENTY,
        device_bytes: PLENTY,
        tenant_messages: PLENTY,
        tenant_bytes: PLENTY,
        ..ServerLimits::default()
    }
}

/// Serves until standard input ends.
///
/// # Errors
/// When the server cannot start.
pub fn serve(devices: usize) -> Result<(), BenchError> {
    process::allow_many_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(BenchError::io("start a runtime"))?;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .map_err(BenchError::network("cannot make a certificate"))?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = ServerConfig {
        listen: any,
        prefix: String::new(),
        certificate_pem: made.cert.pem().into_bytes(),
        key_pem: made.signing_key.serialize_pem().into_bytes(),
        quic: Some(QuicListener {
            listen: any,
            secret: ListenerSecret::fresh()?,
        }),
        limits: limits(),
    };
    let mailbox = Mailbox::new(mailbox_signer(), ExchangeLimits::default())?;
    let host = Arc::new(Everybody {
        devices: admitted(devices)?,
    });
    let _inside = runtime.enter();
    let server = Server::start(&config, mailbox.clone(), host)
        .map_err(BenchError::network("cannot start the server"))?;
    let quic = server
        .quic_address()
        .ok_or(BenchError::Unsteady("the server listens on no UDP socket"))?;
    let greeting = Greeting {
        https: server.local_address(),
        quic: Some(quic),
        certificate_pem: made.cert.pem(),
    };
    let numbers = || Numbers {
        holds: mailbox.metrics().holds(),
        connections: mailbox.metrics().connections(),
    };
    process::answer_lines(&greeting, numbers).map_err(BenchError::io("talk to the benchmark"))
}
