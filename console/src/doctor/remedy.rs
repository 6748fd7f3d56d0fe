//! What a network's administrator is asked for, with the names to put into the request.
//!
//! Each fault has a short next step of its own; here it becomes a sentence about this place and this
//! target. Refuses to guess: what has no better sentence keeps the short one.

use super::report::Answerer;
use postern_egress::codes;
use postern_egress::connect::ConnectFault;
use postern_egress::{Fault, Route, TlsFault};
use std::io::ErrorKind;

/// Says what to do about a fault at `place`, on the way to `target` (host and port).
pub(super) fn of(fault: &Fault, place: &str, target: &str) -> String {
    let sentence = if let Fault::Connect(fault) = fault {
        of_proxy(fault, target)
    } else if let Fault::Tls(fault) = fault {
        of_tls(fault, target)
    } else {
        of_hop(fault, place)
    };
    sentence.unwrap_or_else(|| fault.remedy().to_owned())
}

fn of_hop(fault: &Fault, place: &str) -> Option<String> {
    if let Fault::Lookup(_) = fault {
        let name = place.rsplit_once(':').map_or(place, |(name, _port)| name);
        return Some(format!(
            "make {name} known to this machine's resolver, or configure the site's proxy, which looks names up itself"
        ));
    }
    if let Fault::TcpSlow = fault {
        return Some(format!(
            "ask the network team to allow TCP from this machine to {place}, or for the site's proxy"
        ));
    }
    if let Fault::Tcp(ErrorKind::ConnectionRefused) = fault {
        return Some(format!(
            "check that {place} is right and that its server runs; if so, a firewall refuses: ask the network team to allow TCP to it"
        ));
    }
    None
}

fn of_proxy(fault: &ConnectFault, target: &str) -> Option<String> {
    if let ConnectFault::Refused { .. } = fault {
        return Some(format!(
            "ask the proxy's owner to allow CONNECT to {target}, or let the mailbox listen on port 443"
        ));
    }
    if let ConnectFault::BlockPage = fault {
        return Some(format!(
            "ask the proxy's owner to allow {target}: a block page comes instead"
        ));
    }
    if let ConnectFault::Unreachable { .. } = fault {
        return Some(format!(
            "check that {target} runs and that the proxy can reach it"
        ));
    }
    None
}

fn of_tls(fault: &TlsFault, target: &str) -> Option<String> {
    if let TlsFault::UnknownIssuer { leaf, shown } = fault {
        let is_shown = shown.as_deref().is_some_and(|shown| shown.is_issuer);
        return Some(match is_shown {
            true => format!(
                "if this site inspects TLS, have the network team tell you the SHA-256 fingerprint of its CA, by phone or in person; only where it equals the one above, write the CA with `postern doctor --save-issuer FILE` and name that file in extra_ca_files of device.toml. Where it differs, or nobody inspects TLS here, trust nothing: ask who answers for {target}"
            ),
            false => format!(
                "if this site inspects TLS, ask the network team for the PEM file of its CA \"{}\", which is not shown here, and name it in extra_ca_files of device.toml; else ask who answers for {target}",
                leaf.issuer
            ),
        });
    }
    if let TlsFault::Slow = fault {
        return Some(format!(
            "ask whether a firewall or inspector holds connections to {target}; where small packets pass and full ones are lost, a smaller MTU of this machine's interface helps (`ping -M do -s 1400` shows it)"
        ));
    }
    if let TlsFault::NotTls = fault {
        return Some(format!(
            "open http://{target}/ in a browser: a captive portal or plain HTTP answers there"
        ));
    }
    None
}

/// Says what is wrong with an answerer; nothing where it is the right one.
pub(super) fn of_answerer(answerer: Answerer, place: &str) -> Option<(String, String, String)> {
    match answerer {
        Answerer::Listed | Answerer::Mailbox | Answerer::Busy => None,
        Answerer::Stranger => Some((
            codes::STRANGER.into(),
            "a mailbox answers that the bundle does not list".into(),
            format!("check which mailbox runs at {place}, or that nothing redirects there"),
        )),
        Answerer::Nobody => Some((
            codes::NO_MAILBOX.into(),
            "something answers that is no mailbox: a captive portal, a block page, another server"
                .into(),
            format!(
                "open https://{place}/ in a browser to see it, then ask the network team to let it pass"
            ),
        )),
    }
}

/// Says what to do when answers from `place` are held back until they are complete.
pub(super) fn of_buffering(route: Route, place: &str) -> String {
    let whom = match route {
        Route::Proxy(_) => "ask the proxy's administrator",
        Route::Direct | Route::Quic => {
            "ask the network team, or who runs the front of the mailbox,"
        }
    };
    format!(
        "{whom} to turn off response buffering and scanning for {place}; held polls bring the news meanwhile"
    )
}

/// Says what to do when only small packets pass.
pub(super) fn of_small_packets() -> String {
    "raise the MTU to 1280 bytes at least, of this machine's interface or, by the network team, of what lies on the way: a VPN or a tunnel makes it small".into()
}

/// Says what to do when large bodies are lost and small ones pass.
pub(super) fn of_large_body() -> String {
    "ask the network team whether a middlebox bounds requests, or packets of full size are lost on the way (MTU): then let ICMP \"fragmentation needed\" through, or clamp the MSS; smaller bodies are used by itself".into()
}
