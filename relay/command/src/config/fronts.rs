//! `server.proxy_protocol_from`: the load balancers whose word about a client's address is believed.
//!
//! Refuses everybody, more networks than a machine has load balancers, and a network that is not the
//! one that was written.

use crate::limits::FRONTS_MAX;
use postern_console::config::reader::{Placed, Section};
use postern_relay::server::Network;

/// The key in `[server]`.
pub(super) const KEY: &str = "proxy_protocol_from";
/// What it says without a line in the file: no load balancer is believed.
pub(super) const NOBODY: &str = "none";

/// Reads the networks; no line is none.
pub(super) fn read(section: &mut Section<'_, '_>) -> Vec<Network> {
    let Some(Placed { value, line }) = section.texts(KEY) else {
        return Vec::new();
    };
    if value.len() > FRONTS_MAX {
        let what = format!(
            "must hold at most {FRONTS_MAX} networks, not {}",
            value.len()
        );
        section.refuse(line, KEY, what);
    }
    let mut networks = Vec::new();
    for text in value {
        match text.value.parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(reason) => section.refuse(text.line, KEY, format!("\"{}\" {reason}", text.value)),
        }
    }
    networks
}

/// The networks as `limits` and a reload show them.
pub(super) fn shown(networks: &[Network]) -> String {
    if networks.is_empty() {
        return NOBODY.into();
    }
    let networks = networks.iter().map(Network::to_string);
    networks.collect::<Vec<_>>().join(" ")
}
