//! How a PAC script is fetched: bounded, direct, without credentials, and what is believed of an answer.
//!
//! Real sockets on loopback. Refuses to reach any other machine.

use crate::origin::{self, Origin, answer};
use crate::site::{Site, url};
use postern_egress::limits::{
    PAC_FETCH_BUDGET, PAC_REFRESH, PAC_REFRESH_JITTER, PAC_SCRIPT_BYTES_MAX,
};
use postern_egress::pac::ThreadEvaluator;
use postern_egress::{Dialer, FileSettings, ProxyPolicy, ProxySettings, Variables};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SCRIPT: &str = "function FindProxyForURL() { return 'PROXY a.test:1' }";

/// A plain server that answers its n-th request with the n-th text, and the last one for ever.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let length = tcp.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(head.get(..length).unwrap()).into_owned();
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(head);
                    seen.len() - 1
                };
                let text = answers.get(number).or(answers.last()).unwrap();
                // The client may have left in the middle of a text that it does not want.
                let _left = tcp.write_all(text).await;
            }
        });
        Self { address, heads }
    }

    fn url(&self) -> String {
        format!("http://proxy.test:{}/p.pac", self.address.port())
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn dialer(site: &Site, pac: &str) -> Dialer {
    let file = FileSettings {
        pac: Some(pac.to_owned()),
        mode: Some(ProxyPolicy::Require),
        secret_file: Some(site.file("secret", "alice:hunter2")),
        credentials_for: Some(vec!["a.test".to_owned(), "proxy.test".to_owned()]),
        ..FileSettings::default()
    };
    let settings = ProxySettings::resolve(&file, &Variables::default()).unwrap();
    site.dialer(settings)
        .with_evaluator(Arc::new(ThreadEvaluator))
}

/// The proxy for the controller, or the code of what failed.
async fn found(dialer: &Dialer) -> Result<String, &'static str> {
    let prepared = dialer.prepare(&url(443)).await;
    prepared.map_err(|fault| fault.code())?;
    let explained = dialer.explain(&url(443));
    Ok(explained.routes.first().unwrap().proxy.clone().unwrap())
}

async fn check(text: Vec<u8>, expected: Result<&str, &'static str>) {
    let site = Site::new();
    let server = Server::start(vec![text.clone()]).await;
    let actual = found(&dialer(&site, &server.url())).await;
    let shown: String = String::from_utf8_lossy(&text).chars().take(80).collect();
    assert_eq!(actual.as_deref(), expected.as_deref(), "{shown}");
}

fn ok(headers: &str, body: &str) -> Vec<u8> {
    answer("200 OK", headers, body)
}

#[tokio::test]
async fn a23_script_is_fetched_directly_and_shows_no_credentials() {
    let site = Site::new();
    let server = Server::start(vec![ok("", SCRIPT)]).await;
    let dialer = dialer(&site, &server.url());
    assert_eq!(found(&dialer).await.as_deref(), Ok("http://a.test:1"));
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("GET /p.pac HTTP/1.1\r\n"), "{heads:?}");
    let head = heads[0].to_ascii_lowercase();
    assert!(
        !head.contains("authorization") && !head.contains("cookie"),
        "{head}"
    );
    assert_eq!(*site.names.asked.lock().unwrap(), ["proxy.test"]);
    let explained = dialer.explain(&url(443));
    assert_eq!(
        explained.source,
        Some(format!("{} (: proxy.pac)", server.url()))
    );
}

#[tokio::test]
async fn a23_scripts_of_any_content_type_and_coding_are_taken() {
    let good = Ok("http://a.test:1");
    check(ok("Content-Type: text/html\r\n", SCRIPT), good).await;
    check(
        ok(
            "Content-Type: application/x-ns-proxy-autoconfig\r\n",
            SCRIPT,
        ),
        good,
    )
    .await;
    check(format!("HTTP/1.0 200 OK\r\n\r\n{SCRIPT}").into(), good).await;
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{SCRIPT}\r\n0\r\n\r\n",
        SCRIPT.len()
    );
    check(chunked.into(), good).await;
}

#[tokio::test]
async fn a23_answers_that_are_no_script_are_faults_of_their_own() {
    check(
        ok("", "<!DOCTYPE html><title>Log in</title>"),
        Err("PST-P22"),
    )
    .await;
    check(ok("", "\u{feff}\n<html>"), Err("PST-P22")).await;
    check(answer("404 Not Found", "", "x"), Err("PST-P20")).await;
    check(
        answer("407 x", "Proxy-Authenticate: Basic\r\n", ""),
        Err("PST-P20"),
    )
    .await;
    check(b"SSH-2.0-x\r\n".to_vec(), Err("PST-P20")).await;
    check(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nfunction".to_vec(),
        Err("PST-P20"),
    )
    .await;
    let long = " ".repeat(PAC_SCRIPT_BYTES_MAX + 1);
    check(ok("", &long), Err("PST-P21")).await;
    check(ok("", ""), Err("PST-P23")).await;
}

#[tokio::test]
async fn a23_redirects_are_followed_within_the_scheme_and_a_few_times() {
    let to = |location: &str| answer("302 Found", &format!("Location: {location}\r\n"), "");
    let site = Site::new();
    let server = Server::start(vec![to("/q.pac"), ok("", SCRIPT)]).await;
    let dialer = dialer(&site, &server.url());
    assert_eq!(found(&dialer).await.as_deref(), Ok("http://a.test:1"));
    assert!(server.heads()[1].starts_with("GET /q.pac "));
    for location in [
        "/p.pac",
        "https://proxy.test/p.pac",
        "file:///etc/passwd",
        "//x.test/",
        "",
    ] {
        check(to(location), Err("PST-P20")).await;
    }
    check(answer("302 Found", "", ""), Err("PST-P20")).await;
    // A redirect is no way around the rule for the target's name.
    check(to("http://controller.test/p.pac"), Err("PST-P20")).await;
}

#[tokio::test]
async fn a23_https_script_counts_from_a_trusted_server_only() {
    let site = Site::new();
    let script = vec![origin::Act::Answer(ok("", SCRIPT))];
    let trusted = Origin::http1(site.ca.serve(&["proxy.test"], &[]), script.clone()).await;
    let pac = format!("https://proxy.test:{}/p.pac", trusted.address.port());
    assert_eq!(
        found(&dialer(&site, &pac)).await.as_deref(),
        Ok("http://a.test:1")
    );
    let other = crate::pki::Ca::new("Rogue");
    let rogue = Origin::http1(other.serve(&["proxy.test"], &[]), script).await;
    let pac = format!("https://proxy.test:{}/p.pac", rogue.address.port());
    assert_eq!(found(&dialer(&site, &pac)).await, Err("PST-P20"));
    assert_eq!(rogue.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a23_silent_server_of_a_script_costs_a_bounded_time() {
    let site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pac = format!(
        "http://127.0.0.1:{}/p.pac",
        listener.local_addr().unwrap().port()
    );
    let started = tokio::time::Instant::now();
    assert_eq!(found(&dialer(&site, &pac)).await, Err("PST-P20"));
    assert!(started.elapsed() <= PAC_FETCH_BUDGET + std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn a23_script_is_fetched_again_after_hours_and_on_another_network() {
    let site = Site::new();
    let next = SCRIPT.replace("a.test", "b.test");
    let server = Server::start(vec![ok("", SCRIPT), ok("", &next)]).await;
    let dialer = dialer(&site, &server.url());
    for _ in 0..3 {
        assert_eq!(found(&dialer).await.as_deref(), Ok("http://a.test:1"));
    }
    assert_eq!(server.heads().len(), 1);
    dialer.handle_network_change();
    assert_eq!(found(&dialer).await.as_deref(), Ok("http://b.test:1"));
    tokio::time::pause();
    tokio::time::advance(PAC_REFRESH + PAC_REFRESH_JITTER).await;
    tokio::time::resume();
    assert_eq!(found(&dialer).await.as_deref(), Ok("http://b.test:1"));
    assert_eq!(server.heads().len(), 3);
}
