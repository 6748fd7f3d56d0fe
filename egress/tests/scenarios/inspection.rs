//! TLS: inspecting proxies, wrong certificates, anchors that change while running.
//!
//! Nothing of a request may be sent before the certificate is trusted.
//! Scenario A13.

use crate::origin::{Act, Origin, answer};
use crate::pki::Ca;
use crate::proxy::{self, OK, Proxy};
use crate::site::{Site, exchange, outcome, url};
use postern_egress::{
    Dialer, Fault, HttpVersion, MailboxUrl, ProxySettings, Route, TlsFault, Trust, TrustError,
};
use std::sync::Arc;

#[tokio::test]
async fn a13_unknown_inspector_is_named_and_works_after_its_ca_is_added() {
    let site = Site::new();
    let corp = Ca::new("Corp Inspection Root CA");
    let config = corp.serve(&["controller.test"], &[]);
    let origin = Origin::http1(config, vec![Act::Answer(answer("200 OK", "", "pong"))]).await;
    let inside = origin.address;
    let bump = Proxy::start(move |_, _| proxy::Act::Tunnel(OK.to_vec(), inside)).await;
    let dialer = site.proxied(&format!("http://{}", bump.address), None);
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();

    let error = exchange(&client).await.unwrap_err();
    assert_eq!((error.code(), error.sent_for), ("PST-S01", None));
    assert!(
        error.to_string().contains("CN=Corp Inspection Root CA"),
        "{error}"
    );
    assert_eq!(origin.requests(), 0);
    let Fault::Tls(TlsFault::UnknownIssuer { shown, .. }) = &error.fault else {
        panic!("{error}");
    };
    // What was shown can be recognised: here it is the server's own certificate and nothing above it.
    let shown = shown.as_deref().unwrap();
    assert!(!shown.is_issuer && shown.fingerprint.len() == 95);

    std::fs::write(site.ca_folder().join("corp.pem"), corp.pem()).unwrap();
    let received = exchange(&client).await.unwrap();
    assert!(received.link.intercepted && !received.link.alpn_answered);
    assert_eq!(received.link.http, Some(HttpVersion::Http1));
    assert_eq!(
        received.link.leaf.issuer.as_str(),
        "CN=Corp Inspection Root CA"
    );
    assert_eq!(received.link.leaf.spki_sha256.len(), 64);
}

#[tokio::test]
async fn wrong_name_is_refused_with_its_own_code() {
    let site = Site::new();
    let config = site.ca.serve(&["other.test"], &[]);
    let origin = Origin::http1(config, vec![Act::Silence]).await;
    let client = site.direct(origin.address.port());
    assert_eq!(outcome(&client).await, Err("PST-S02"));
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn plain_text_on_the_tls_port_is_refused_with_its_own_code() {
    let site = Site::new();
    let page = b"HTTP/1.1 400 x\r\n\r\nplain".to_vec();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut tcp, _) = listener.accept().await.unwrap();
        let _ = tcp.read(&mut [0; 4096]).await;
        let _ = tcp.write_all(&page).await;
        let _ = tcp.read(&mut [0; 4096]).await;
    });
    assert_eq!(outcome(&site.direct(port)).await, Err("PST-S06"));
}

#[tokio::test]
async fn tls_to_the_proxy_and_through_the_tunnel_work_together() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let origin = Origin::http1(config, vec![Act::Answer(answer("200 OK", "", "pong"))]).await;
    let inside = origin.address;
    let front = site.ca.serve(&["proxy.test"], &[b"h2", b"http/1.1"]);
    let proxy = Proxy::start_tls(front, move |_, _| proxy::Act::Tunnel(OK.to_vec(), inside)).await;
    let url_of_proxy = format!("https://proxy.test:{}", proxy.address.port());
    let dialer = site.proxied(&url_of_proxy, None);
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert!(!exchange(&client).await.unwrap().link.intercepted);
}

fn trust(site: &Site, inline: Option<&str>) -> Result<Arc<Trust>, TrustError> {
    let trust = Trust::new(vec![site.folder.path().join("site.pem")], inline)?;
    Ok(Arc::new(trust.without_system_roots()))
}

#[tokio::test]
async fn damaged_anchors_are_refused_at_start_and_outlived_later() {
    let site = Site::new();
    let pem = site.ca.pem();
    assert!(matches!(
        trust(&site, Some("garbage")),
        Err(TrustError::Inline)
    ));
    assert!(matches!(trust(&site, Some("")), Err(TrustError::Inline)));
    let fresh = trust(&site, None).unwrap();
    let missing = fresh.check().await;
    assert!(
        matches!(missing, Err(TrustError::Unreadable { .. })),
        "{missing:?}"
    );
    for bad in [
        "",
        "no pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        site.file("site.pem", bad);
        let damaged = fresh.check().await;
        assert!(
            matches!(damaged, Err(TrustError::File { .. })),
            "{bad:?}: {damaged:?}"
        );
    }
    site.file("site.pem", &pem);
    fresh.check().await.unwrap();
    site.file("site.pem", "half written");
    fresh.check().await.unwrap();
    let none = Arc::new(Trust::new(Vec::new(), None).unwrap().without_system_roots());
    assert_eq!(none.check().await, Err(TrustError::NoRoots));
}

/// Whatever the machine has: a configured CA alone must be enough.
#[tokio::test]
async fn system_roots_are_used_but_not_needed() {
    let site = Site::new();
    let trust = Arc::new(Trust::new(Vec::new(), Some(&site.ca.pem())).unwrap());
    trust.check().await.unwrap();
    let config = site.ca.serve(&["127.0.0.1"], &[]);
    let origin = Origin::http1(config, vec![Act::Answer(answer("200 OK", "", "pong"))]).await;
    let dialer = Dialer::new(ProxySettings::Off, trust, "postern-test").unwrap();
    let target = MailboxUrl::parse(&format!("https://{}/", origin.address)).unwrap();
    let client = dialer.client(&target, Route::Direct).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
}
