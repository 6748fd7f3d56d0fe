//! What is remembered of attempts: one entry each, by label, step and code, and none of a diagnosis.
//!
//! Real sockets; nothing is asked about times, which are the machine's.

use crate::origin::{Act, Origin, answer};
use crate::proxy::{self, Proxy};
use crate::site::{Site, exchange, url};
use postern_egress::attempts::Attempts;
use postern_egress::{Fault, ProxySettings, Route, Stage, Trail};
use std::sync::Arc;

/// Route, step and code of each.
fn shown(attempts: &Attempts) -> Vec<(&'static str, Stage, Option<&'static str>)> {
    let each = attempts.last().into_iter();
    each.map(|(_, attempt)| (attempt.route, attempt.stage, attempt.code))
        .collect()
}

#[tokio::test]
async fn attempt_is_remembered_with_the_step_and_the_code_it_ended_in() {
    let site = Site::new();
    let wrong = site.ca.serve(&["other.test"], &[]);
    let wrong = Origin::http1(wrong, vec![Act::Silence]).await;
    let right = site.ca.serve(&["controller.test"], &[]);
    let right = Origin::http1(right, vec![Act::Answer(answer("200 OK", "", "pong"))]).await;
    let dialer = site.dialer(ProxySettings::Off);
    for port in [wrong.address.port(), right.address.port(), 1] {
        let client = dialer.client(&url(port), Route::Direct).unwrap();
        client.set_relay(port == 1);
        let _ended = exchange(&client).await;
    }
    assert_eq!(
        shown(dialer.attempts()),
        [
            ("direct", Stage::Tls, Some("PST-S02")),
            ("direct", Stage::Exchange, None),
            ("relay-direct", Stage::Tcp, Some("PST-T01")),
        ]
    );
    let stages: Vec<_> = dialer.attempts().stages();
    let stages: Vec<_> = stages
        .iter()
        .map(|(route, stage, _)| (*route, *stage))
        .collect();
    assert!(stages.contains(&("direct", Stage::Tls)), "{stages:?}");
    assert!(stages.iter().all(|(_, stage)| *stage != Stage::Exchange));
}

#[tokio::test]
async fn attempt_of_a_diagnosis_is_not_remembered() {
    let site = Site::new();
    let dialer = site.dialer(ProxySettings::Off);
    let client = dialer.client(&url(1), Route::Direct).unwrap();
    let client = client.with_trail(Arc::<Trail>::default());
    assert!(matches!(
        exchange(&client).await.unwrap_err().fault,
        Fault::Tcp(_)
    ));
    assert_eq!(shown(dialer.attempts()), []);
    assert!(dialer.attempts().stages().is_empty() && dialer.attempts().ends().is_empty());
}

#[tokio::test]
async fn link_tells_which_packets_its_path_carries_and_none_above_those_that_are_sent() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let origin = Origin::http1(config, vec![Act::Answer(answer("200 OK", "", "pong"))]).await;
    let received = exchange(&site.direct(origin.address.port())).await.unwrap();
    let bytes = received.link.packet_bytes_max;
    #[cfg(target_os = "linux")]
    assert_eq!(bytes, Some(1_280));
    assert_eq!(received.link.udp_bytes_max, None);
}

#[tokio::test]
async fn password_that_a_proxy_rejects_is_counted_once_and_not_while_it_is_locked() {
    let site = Site::new();
    let proxy = Proxy::start(|_, _| proxy::Act::Answer(proxy::challenge())).await;
    let secret = site.file("secret", "alice:wrong\n");
    let dialer = site.proxied(&format!("http://{}", proxy.address), Some(secret));
    for _ in 0..3 {
        let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
        let _rejected = exchange(&client).await;
    }
    let attempts = dialer.attempts();
    assert_eq!(attempts.proofs(), [("Basic", "rejected", 1)]);
    assert_eq!(
        shown(attempts),
        [("proxy", Stage::Tunnel, Some("PST-P03")); 3]
    );
    assert!(attempts.challenges() >= 2);
}
