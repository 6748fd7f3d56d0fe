//! Which packets a way carries: what QUIC found out, or what the system knows of a TCP connection.
//!
//! Behind a proxy that is the path to the proxy; what lies beyond does not show. Refuses to send a probe of its own.

use super::remedy;
use super::report::HopReport;
use crate::routes::packet_bytes_of;
use postern_egress::limits::{PACKET_BYTES_MIN, QUIC_UDP_BYTES};
use postern_egress::{LinkReport, Route, codes};

/// Says which packets a connection carries; nothing where nobody knows. `is_lossy` says that a large body was lost on it.
pub(super) fn hop(link: &LinkReport, is_lossy: bool) -> Option<HopReport> {
    let bytes = packet_bytes_of(link)?;
    // QUIC begins with the smallest and tries larger ones later: that it knows of none says nothing yet.
    let is_untried = link.udp_bytes_max == Some(QUIC_UDP_BYTES);
    let is_small = bytes < PACKET_BYTES_MIN && !is_untried;
    let beyond = match link.route {
        Route::Proxy(_) => ", as far as the proxy",
        Route::Direct | Route::Quic => "",
    };
    let evidence = match (is_lossy, is_untried) {
        (true, _) => {
            format!("packets of {bytes} bytes are sent; no router says that they are too large")
        }
        (false, true) => format!("packets of {bytes} bytes pass, larger ones are not tried yet"),
        (false, false) => format!("packets of {bytes} bytes pass{beyond}"),
    };
    Some(HopReport {
        stage: "mtu".into(),
        place: link.peer.to_string(),
        is_ok: !is_small,
        is_tried: true,
        took_us: 0,
        evidence,
        code: is_small.then(|| codes::SMALL_PACKETS.into()),
        what: is_small
            .then(|| format!("the path carries packets of {bytes} bytes at most{beyond}")),
        next: is_small.then(remedy::of_small_packets),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(route: Route, packet: Option<u32>, udp: Option<u16>) -> LinkReport {
        LinkReport {
            route,
            peer: "192.0.2.1:443".parse().unwrap(),
            http: None,
            udp_bytes_max: udp,
            packet_bytes_max: packet,
            alpn_answered: true,
            leaf: postern_egress::LeafReport::default(),
            intercepted: false,
        }
    }

    #[test]
    fn packets_below_the_minimum_of_ipv6_have_a_code_and_a_next_step() {
        let check = |route, packet, udp, code: Option<&str>, words: &str| {
            let hop = hop(&link(route, packet, udp), false).unwrap();
            assert_eq!(hop.code.as_deref(), code);
            assert_eq!(
                (hop.is_ok, hop.next.is_some()),
                (code.is_none(), code.is_some())
            );
            let said = hop.what.unwrap_or(hop.evidence);
            assert!(said.contains(words), "{said}");
        };
        let small = Some("PST-L03");
        check(Route::Direct, Some(1_500), None, None, "1500 bytes pass");
        check(Route::Direct, Some(1_280), None, None, "1280 bytes pass");
        check(
            Route::Direct,
            Some(1_279),
            None,
            small,
            "1279 bytes at most",
        );
        check(
            Route::Proxy(0),
            Some(576),
            None,
            small,
            "as far as the proxy",
        );
        check(Route::Quic, None, Some(1_452), None, "1480 bytes pass");
        check(Route::Quic, None, Some(1_200), None, "not tried yet");
        check(Route::Quic, None, Some(1_240), small, "1268 bytes at most");
    }

    #[test]
    fn way_of_which_nobody_knows_has_no_line() {
        assert_eq!(hop(&link(Route::Direct, None, None), false), None);
    }

    #[test]
    fn packets_are_not_said_to_pass_where_a_large_body_was_lost() {
        let lossy = hop(&link(Route::Direct, Some(1_500), None), true).unwrap();
        assert!(!lossy.evidence.contains("pass"), "{}", lossy.evidence);
        assert!(lossy.is_ok && lossy.code.is_none());
    }
}
