//! Digest, NTLM and the order of schemes, against proxies that behave.
//!
//! The proxy's record is the witness: what was sent, on which connection, how often. Scenarios A05
//! to A08; real proxies stand in `lab/tests/authentication.rs`.

use crate::origin::{self, Origin, answer};
use crate::proxy::{Act, OK, Proxy};
use crate::site::{Site, authenticated, exchange, outcome, url};
use postern_egress::{Dialer, Route};
use std::net::SocketAddr;

pub(crate) async fn controller(site: &Site) -> Origin {
    let config = site.ca.serve(&["controller.test"], &[b"http/1.1"]);
    let pong = origin::Act::Answer(answer("200 OK", "", "pong"));
    Origin::http1(config, vec![pong]).await
}

/// A 407 with these challenges and a body of this size that keeps the connection.
pub(crate) fn ask(challenges: &[&str], body_bytes: usize) -> Act {
    let mut head = "HTTP/1.1 407 Proxy Authentication Required\r\n".to_owned();
    for challenge in challenges {
        head += &format!("Proxy-Authenticate: {challenge}\r\n");
    }
    head += &format!(
        "Content-Length: {body_bytes}\r\n\r\n{}",
        "x".repeat(body_bytes)
    );
    Act::Answer(head.into_bytes())
}

/// What the proxy was told in the first word of its credentials and behind it.
pub(crate) fn credentials(head: &str) -> Option<(&str, &str)> {
    let (_, value) = head.split_once("Proxy-Authorization: ")?;
    value.lines().next()?.split_once(' ')
}

pub(crate) fn dialer(site: &Site, proxy: &Proxy, schemes: &[&str]) -> Dialer {
    let url = format!("http://{}", proxy.address);
    site.dialer(authenticated(site, &url, schemes))
}

pub(crate) async fn connect(dialer: &Dialer) -> Result<String, &'static str> {
    outcome(&dialer.client(&url(443), Route::Proxy(0)).unwrap()).await
}

/// A challenge of a member of the domain CORP, base64: with a timestamp, so that a MIC is due.
pub(crate) const TYPE_2: &str = "NTLM TlRMTVNTUAACAAAACAAIADgAAAAFgogAASNFZ4mrze8AAAAAAAAAABwAHABAAAAABgCxHQAAAA9DAE8AUgBQAAIACABDAE8AUgBQAAcACAABAgMEBQYHCAAAAAA=";

/// Answers the three legs of NTLM and looks at nothing but their types.
fn ntlm(head: &str, inside: SocketAddr, body_bytes: usize) -> Act {
    match credentials(head) {
        Some(("NTLM", message)) if message.starts_with("TlRMTVNTUAAB") => {
            ask(&[TYPE_2], body_bytes)
        }
        Some(("NTLM", message)) if message.starts_with("TlRMTVNTUAAD") => {
            Act::Tunnel(OK.to_vec(), inside)
        }
        Some(_) | None => ask(&["Negotiate", "NTLM"], body_bytes),
    }
}

#[tokio::test]
async fn a07_three_legs_of_ntlm_share_one_connection_and_drain_64_kib_each() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| ntlm(head, inside, 64 * 1024)).await;
    let dialer = dialer(&site, &proxy, &[]);
    assert_eq!(connect(&dialer).await, Ok("pong".to_owned()));
    assert_eq!(proxy.schemes(), ["-", "NTLM", "NTLM"]);
    assert_eq!(proxy.connections(), [1, 1, 1]);
    // Known to work: not asked first.
    assert_eq!(connect(&dialer).await, Ok("pong".to_owned()));
    assert_eq!(proxy.connections(), [1, 1, 1, 2, 2]);
    assert_eq!(dialer.attempts().challenges(), 3);
    assert_eq!(dialer.attempts().proofs(), [("NTLM", "accepted", 2)]);
}

#[tokio::test]
async fn a07_first_407_that_closes_starts_again_with_type_1() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| match credentials(head) {
        Some(_) => ntlm(head, inside, 10),
        None => Act::AnswerAndClose(
            b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nConnection: close\r\n\r\n".to_vec(),
        ),
    })
    .await;
    assert_eq!(
        connect(&dialer(&site, &proxy, &[])).await,
        Ok("pong".to_owned())
    );
    assert_eq!(proxy.connections(), [1, 2, 2]);
}

#[tokio::test]
async fn a07_connection_that_closes_between_the_legs_is_an_error_and_no_logon() {
    let site = Site::new();
    let closing = format!(
        "HTTP/1.1 407 x\r\nProxy-Authenticate: {TYPE_2}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let proxy = Proxy::start(move |_, head| match credentials(head) {
        Some(_) => Act::AnswerAndClose(closing.clone().into_bytes()),
        None => ask(&["NTLM"], 0),
    })
    .await;
    let dialer = dialer(&site, &proxy, &[]);
    for _ in 0..2 {
        assert_eq!(connect(&dialer).await, Err("PST-P18"));
    }
    assert_eq!(proxy.schemes(), ["-", "NTLM", "-", "NTLM"]);
}

/// A proxy that answers every third leg like this sees one logon only.
async fn check_one_logon(act: Act, first: &'static str) {
    let mut site = Site::new();
    site.budgets.connect = std::time::Duration::from_secs(1);
    let proxy = Proxy::start(move |_, head| match credentials(head) {
        Some((_, message)) if message.starts_with("TlRMTVNTUAAD") => act.clone(),
        Some(_) => ask(&[TYPE_2], 0),
        None => ask(&["NTLM"], 0),
    })
    .await;
    let dialer = dialer(&site, &proxy, &[]);
    assert_eq!(connect(&dialer).await, Err(first));
    for _ in 0..3 {
        assert_eq!(connect(&dialer).await, Err("PST-P03"));
    }
    let heads = proxy.heads();
    let logons = heads.iter().filter(|head| head.contains("TlRMTVNTUAAD"));
    assert_eq!(logons.count(), 1);
}

#[tokio::test]
async fn a06_bad_ntlm_logon_happens_once() {
    check_one_logon(ask(&["NTLM"], 3), "PST-P03").await;
    check_one_logon(Act::AnswerAndClose(Vec::new()), "PST-P04").await;
    check_one_logon(Act::Silence, "PST-P08").await;
}

#[tokio::test]
async fn a05_chosen_scheme_is_used_and_not_a_byte_of_basic_otherwise() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let all = &["Negotiate", "NTLM", "Basic realm=\"x\""];
    let proxy = Proxy::start(move |_, head| match credentials(head) {
        // CORP\alice:s3cret
        Some(("Basic", "Q09SUFxhbGljZTpzM2NyZXQ=")) => Act::Tunnel(OK.to_vec(), inside),
        Some(_) | None => ask(all, 0),
    })
    .await;
    let basic = dialer(&site, &proxy, &["basic"]);
    assert_eq!(connect(&basic).await, Ok("pong".to_owned()));
    assert_eq!(proxy.schemes(), ["-", "Basic"]);

    let offering_basic = Proxy::start(|_, _| ask(&["Basic realm=\"x\""], 0)).await;
    let ntlm = dialer(&site, &offering_basic, &["ntlm"]);
    let client = ntlm.client(&url(443), Route::Proxy(0)).unwrap();
    let error = exchange(&client).await.unwrap_err();
    assert_eq!(error.code(), "PST-P02");
    assert!(error.to_string().contains("to be used: NTLM"), "{error}");
    assert_eq!(offering_basic.schemes(), ["-"]);

    let ntlm = dialer(&site, &proxy, &["ntlm"]);
    assert_eq!(connect(&ntlm).await, Err("PST-P18"));
    assert_eq!(proxy.schemes()[2..], ["-", "NTLM"]);
}

/// Answers Digest; the nonce `old` is stale. Remembers nothing: the counter stands in the head.
fn digest(head: &str, inside: SocketAddr) -> Act {
    let sha = |nonce: &str, stale: &str| {
        format!(
            "Digest realm=\"a, \\\"b\\\", Basic c\", qop=\"auth,auth-int\", algorithm=SHA-256, nonce=\"{nonce}\"{stale}"
        )
    };
    let (old, new) = (sha("old", ""), sha("new", ", stale=true"));
    let md5 = "Digest realm=\"weak\", nonce=\"old\", qop=\"auth\", algorithm=MD5";
    match credentials(head) {
        Some(("Digest", value)) if value.contains("nonce=\"new\"") => {
            assert!(value.contains(r#"realm="a, \"b\", Basic c""#), "{value}");
            assert!(
                value.contains("algorithm=SHA-256")
                    && value.contains("uri=\"controller.test:443\"")
            );
            Act::Tunnel(OK.to_vec(), inside)
        }
        Some(_) => ask(&[md5, &new], 5),
        None => ask(&[md5, &old, "Basic realm=\"x\""], 5),
    }
}

#[tokio::test]
async fn a08_digest_survives_a_stale_nonce_and_counts_its_uses() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| digest(head, inside)).await;
    let dialer = dialer(&site, &proxy, &[]);
    assert_eq!(connect(&dialer).await, Ok("pong".to_owned()));
    assert_eq!(proxy.schemes(), ["-", "Digest", "Digest"]);
    for count in ["nc=00000002", "nc=00000003"] {
        assert_eq!(connect(&dialer).await, Ok("pong".to_owned()));
        assert!(proxy.heads().last().unwrap().contains(count));
    }
    assert_eq!(proxy.heads().len(), 5, "no challenge for a known nonce");
    assert!(proxy.heads().iter().all(|head| !head.contains("s3cret")));
}

#[tokio::test]
async fn ntlm_and_tls_in_tls_work_behind_an_https_proxy() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let corp = crate::pki::Ca::new("Corp CA");
    std::fs::write(site.ca_folder().join("corp.pem"), corp.pem()).unwrap();
    let config = corp.serve(&["proxy.test"], &[]);
    let proxy = Proxy::start_tls(config, move |_, head| ntlm(head, inside, 3000)).await;
    let url = format!("https://proxy.test:{}", proxy.address.port());
    let dialer = site.dialer(authenticated(&site, &url, &["ntlm"]));
    assert_eq!(connect(&dialer).await, Ok("pong".to_owned()));
    assert_eq!(proxy.connections(), [1, 1, 1]);
}
