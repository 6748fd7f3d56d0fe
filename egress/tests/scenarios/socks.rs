//! SOCKS5 proxies, good ones and others, in front of a real controller.
//!
//! The resolver's record proves that the target's name is looked up by the proxy only.

use crate::authentication::controller;
use crate::site::{Site, authenticated, exchange, outcome, require, url};
use postern_egress::{FileSettings, ProxySettings, Route, Variables};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy writes after each piece that it reads; then it carries bytes, or says nothing.
struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Fake {
    async fn start(script: &'static [&'static [u8]], inside: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                for answer in script {
                    let mut bytes = [0; 1024];
                    let Ok(size @ 1..) = tcp.read(&mut bytes).await else {
                        break;
                    };
                    record
                        .lock()
                        .unwrap()
                        .push(bytes.iter().copied().take(size).collect());
                    drop(tcp.write_all(answer).await);
                }
                if let Some(inside) = inside {
                    let mut server = TcpStream::connect(inside).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut tcp, &mut server).await);
                } else {
                    drop(tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await);
                }
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> String {
        format!("socks5h://{}", self.address)
    }

    fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }
}

const OPEN: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

#[tokio::test]
async fn name_goes_through_socks_and_is_never_looked_up_here() {
    let site = Site::new();
    let origin = controller(&site).await;
    let fake = Fake::start(&[&[5, 0], OPEN], Some(origin.address)).await;
    let dialer = site.dialer(require(&fake.url(), None));
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!(fake.seen()[0], [5, 1, 0]);
    assert_eq!(
        fake.seen()[1],
        *b"\x05\x01\0\x03\x0fcontroller.test\x01\xbb"
    );
    assert!(site.names.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn user_and_password_are_shown_to_a_socks_proxy_that_asks() {
    let site = Site::new();
    let origin = controller(&site).await;
    let fake = Fake::start(&[&[5, 2], &[1, 0], OPEN], Some(origin.address)).await;
    let dialer = site.dialer(authenticated(&site, &fake.url(), &[]));
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!(fake.seen()[1], *b"\x01\x0aCORP\\alice\x06s3cret");
}

#[tokio::test]
async fn a06_password_that_a_socks_proxy_rejected_is_shown_once() {
    let site = Site::new();
    let fake = Fake::start(&[&[5, 2], &[1, 1]], None).await;
    let dialer = site.dialer(authenticated(&site, &fake.url(), &[]));
    for _ in 0..3 {
        let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
        assert_eq!(outcome(&client).await, Err("PST-P03"));
    }
    let shown = fake
        .seen()
        .into_iter()
        .filter(|bytes| bytes.starts_with(&[1]));
    assert_eq!(shown.count(), 1);
}

async fn check(script: &'static [&'static [u8]], code: &str) {
    let mut site = Site::new();
    site.budgets.connect = Duration::from_millis(300);
    let fake = Fake::start(script, None).await;
    let dialer = site.dialer(require(&fake.url(), None));
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    let error = exchange(&client).await.unwrap_err();
    assert_eq!(error.code(), code, "{script:?}");
    let text = error.to_string();
    assert!(
        text.contains("(proxy route)") && text.contains("next step: "),
        "{text}"
    );
}

#[tokio::test]
async fn a09_every_bad_socks_proxy_has_its_own_code() {
    check(&[], "PST-P08").await;
    check(&[&[5]], "PST-P09").await;
    check(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "PST-P40").await;
    check(&[&[5, 0], &[5, 2]], "PST-P42").await;
    check(&[&[5, 0], &[5, 4, 0, 1]], "PST-P44").await;
    check(&[&[5, 0], &[5, 0, 0, 3, 255]], "PST-P09").await;
    check(&[&[5, 0xff]], "PST-P50").await;
    check(&[&[5, 0], &[0x16; 900]], "PST-P40").await;
    // Opened, and a block page in place of TLS.
    check(
        &[
            &[5, 0],
            &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'<', b'h', b't', b'm', b'l'],
        ],
        "PST-P06",
    )
    .await;
}

#[test]
fn schemes_of_http_are_refused_for_a_socks_proxy() {
    let file = FileSettings {
        url: Some("socks5h://proxy.test".to_owned()),
        schemes: Some(vec!["basic".to_owned()]),
        ..FileSettings::default()
    };
    let refused = ProxySettings::resolve(&file, &Variables::default()).unwrap_err();
    assert!(refused.to_string().contains("proxy.schemes"), "{refused}");
}
