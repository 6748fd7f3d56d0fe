//! Group B: what stands before a controller, on its own side: load balancers and edges.
//!
//! The join line names the edge's port; the edge shows a certificate of its own or passes the controller's through.

use std::net::SocketAddr;

use super::Outcome;
use super::scene::{carry, have, pki};
use crate::doors::{Door, Haproxy, Nginx, Program, Spot};
use crate::{DeviceSettings, Fleet, LabError, Pki, free_address};

/// Seconds that an edge waits: above the shortest hold, below every other.
const TIMEOUT_S: u64 = 8;

/// What a door needs to know of the controller behind it.
struct Far<'a> {
    /// Host and port.
    name: String,
    address: SocketAddr,
    pki: &'a Pki,
    ca_pem: String,
}

/// Starts a controller whose URL is a door, and lets messages pass.
fn before(
    id: &'static str,
    package: crate::doors::Package,
    is_own_tls: bool,
    start: impl FnOnce(&Far<'_>, Spot<'_>) -> Result<Door, LabError>,
) -> Outcome {
    if !have(id, &[package])? {
        return Ok(None);
    }
    let spot = Spot {
        listen: free_address()?,
        namespace: None,
    };
    let Some(fleet) = Fleet::start_behind_or_skip(id, spot.listen)? else {
        return Ok(None);
    };
    let pki = pki()?;
    let far = Far {
        name: format!("localhost:{}", fleet.address().port()),
        address: fleet.address(),
        pki: &pki,
        ca_pem: fleet.ca_pem()?,
    };
    let _door = start(&far, spot)?;
    let files = [("edge-ca.pem", pki.origin_ca_pem.as_str())];
    let (settings, files) = if is_own_tls {
        (DeviceSettings::direct().trusting("edge-ca.pem"), &files[..])
    } else {
        (DeviceSettings::direct(), &[][..])
    };
    let (_device, numbers) = carry(&fleet, &settings, files)?;
    Ok(Some(numbers))
}

pub(super) fn haproxy_pass(id: &'static str) -> Outcome {
    before(id, Haproxy::PACKAGE, false, |far, spot| {
        let behind = far.address.to_string();
        let pass = Haproxy::Pass {
            behind: &behind,
            timeout_s: TIMEOUT_S,
        };
        Door::start(&pass, spot)
    })
}

pub(super) fn haproxy_edge(id: &'static str) -> Outcome {
    before(id, Haproxy::PACKAGE, true, |far, spot| {
        let edge = Haproxy::Edge {
            behind: &far.name,
            pki: far.pki,
            trusted_pem: &far.ca_pem,
            timeout_s: TIMEOUT_S,
        };
        Door::start(&edge, spot)
    })
}

fn nginx_edge(id: &'static str, is_http_10: bool) -> Outcome {
    before(id, Nginx::PACKAGE, true, |far, spot| {
        let edge = Nginx::Edge {
            behind: &far.name,
            pki: far.pki,
            trusted_pem: &far.ca_pem,
            timeout_s: TIMEOUT_S,
            is_http_10,
        };
        Door::start(&edge, spot)
    })
}

pub(super) fn nginx_11(id: &'static str) -> Outcome {
    nginx_edge(id, false)
}

pub(super) fn nginx_10(id: &'static str) -> Outcome {
    nginx_edge(id, true)
}

pub(super) fn nginx_stream(id: &'static str) -> Outcome {
    before(id, Nginx::PACKAGE, false, |far, spot| {
        let stream = Nginx::Stream {
            behind: far.address,
            timeout_s: TIMEOUT_S,
        };
        Door::start(&stream, spot)
    })
}
