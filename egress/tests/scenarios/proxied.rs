//! The proxy route: CONNECT, credentials, misbehaving proxies, and the policy.
//!
//! The proxy's record and a listening trap are the witnesses for what was not sent.
//! Scenarios A04, A06, A09, A10 and A28.

use crate::origin::{self, Origin, answer};
use crate::proxy::{Act, OK, Proxy, challenge};
use crate::site::{Site, exchange, outcome, require, url};
use postern_egress::{DialerError, FileSettings, ProxyPolicy, ProxySettings, Route, Variables};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

async fn controller(site: &Site) -> Origin {
    let config = site.ca.serve(&["controller.test"], &[b"http/1.1"]);
    let pong = origin::Act::Answer(answer("200 OK", "", "pong"));
    Origin::http1(config, vec![pong]).await
}

/// Answers Basic challenges; `alice:s3cret` passes.
fn guard(head: &str, inside: SocketAddr, refusal: Act) -> Act {
    if head.contains("Proxy-Authorization: Basic YWxpY2U6czNjcmV0\r\n") {
        Act::Tunnel(OK.to_vec(), inside)
    } else {
        refusal
    }
}

#[tokio::test]
async fn a04_http10_challenge_with_close_reconnects_then_sends_without_being_asked() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| {
        let tinyproxy = b"HTTP/1.0 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\n\r\n<html>";
        guard(head, inside, Act::AnswerAndClose(tinyproxy.to_vec()))
    })
    .await;
    let secret = site.file("secret", "alice:s3cret\n");
    let dialer = site.proxied(&format!("http://{}", proxy.address), Some(secret));

    let first = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    let received = exchange(&first).await.unwrap();
    assert_eq!(
        (&received.body[..], received.link.route),
        (&b"pong"[..], Route::Proxy(0))
    );
    assert_eq!((proxy.heads().len(), proxy.authorized()), (2, 1));

    let second = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&second).await, Ok("pong".to_owned()));
    assert_eq!((proxy.heads().len(), proxy.authorized()), (3, 2));
    assert!(proxy.heads()[0].starts_with("CONNECT controller.test:443 HTTP/1.1\r\n"));
    assert_eq!(site.names.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a20_proxy_that_filters_programs_and_long_heads_is_passed_under_the_configured_name() {
    const NAME: &str = "Mozilla/5.0 (press line)";
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| {
        let is_known = head.contains(&format!("User-Agent: {NAME}\r\n"));
        if is_known && head.len() < 4_096 {
            Act::Tunnel(OK.to_vec(), inside)
        } else {
            Act::AnswerAndClose(answer("403 Forbidden", "", "unknown program"))
        }
    })
    .await;
    let settings = || require(&format!("http://{}", proxy.address), None);
    let stranger = site.dialer(settings());
    let stranger = stranger.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&stranger).await, Err("PST-P01"));
    let known = site.dialer_called(NAME, settings(), Arc::default());
    let known = known.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&known).await, Ok("pong".to_owned()));
    let requests = origin.seen.requests.lock().unwrap();
    let (head, _) = &requests[0];
    assert!(
        head.to_lowercase()
            .contains(&format!("user-agent: {}\r\n", NAME.to_lowercase()))
    );
    assert!(head.len() < 4_096, "{head}");
}

#[tokio::test]
async fn a20_name_that_no_head_can_carry_is_refused_at_the_start() {
    let trust = || Arc::new(postern_egress::Trust::new(Vec::new(), None).unwrap());
    for name in ["", "two\r\nlines", "caf\u{e9}", &"x".repeat(257)] {
        let refused = postern_egress::Dialer::new(ProxySettings::Off, trust(), name);
        assert!(matches!(refused, Err(DialerError::UserAgent)), "{name:?}");
    }
}

#[tokio::test]
async fn challenge_on_a_kept_connection_is_drained_and_answered() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| guard(head, inside, Act::Answer(challenge()))).await;
    let dialer = site.proxied(&format!("http://alice:s3cret@{}", proxy.address), None);
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((proxy.heads().len(), proxy.authorized()), (2, 1));
}

#[tokio::test]
async fn a06_rejected_password_is_tried_once_until_the_file_changes() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| guard(head, inside, Act::Answer(challenge()))).await;
    let secret = site.file("secret", "alice:wrong\n");
    let dialer = site.proxied(&format!("http://{}", proxy.address), Some(secret));
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();

    for _ in 0..4 {
        let error = exchange(&client).await.unwrap_err();
        assert_eq!(error.code(), "PST-P03");
        assert!(!error.to_string().contains("wrong\"") && !error.to_string().contains("alice"));
        assert_eq!(proxy.authorized(), 1);
    }
    let locked = exchange(&client).await.unwrap_err().to_string();
    assert!(locked.contains("not sent again for "), "{locked}");

    site.file("secret", "alice:s3cret\n");
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!(proxy.authorized(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a06_parallel_connects_show_a_wrong_password_once() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let proxy = Proxy::start(move |_, head| guard(head, inside, Act::Answer(challenge()))).await;
    let secret = site.file("secret", "alice:wrong");
    let dialer = site.proxied(&format!("http://{}", proxy.address), Some(secret));
    let clients: Vec<_> = (0..6)
        .map(|_| dialer.client(&url(443), Route::Proxy(0)).unwrap())
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    for client in clients {
        tasks.spawn(async move { outcome(&client).await });
    }
    for result in tasks.join_all().await {
        assert_eq!(result, Err("PST-P03"));
    }
    assert_eq!(proxy.authorized(), 1);
}

#[tokio::test]
async fn unusable_secret_file_is_named_only_when_asked_for() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let open = Proxy::start(move |_, _| Act::Tunnel(OK.to_vec(), inside)).await;
    let asking = Proxy::start(move |_, head| guard(head, inside, Act::Answer(challenge()))).await;
    for content in ["", "no colon", ":x", "a:b\nc:d", "a\u{7}:b"] {
        let secret = site.file("secret", content);
        let dialer = site.proxied(&format!("http://{}", open.address), Some(secret.clone()));
        let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
        assert_eq!(outcome(&client).await, Ok("pong".to_owned()), "{content:?}");
        let dialer = site.proxied(&format!("http://{}", asking.address), Some(secret));
        let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
        assert_eq!(outcome(&client).await, Err("PST-C03"), "{content:?}");
    }
    assert_eq!(asking.authorized(), 0);
}

/// What a CONNECT that is answered like this ends in.
async fn check(site: &Site, act: Act, code: &str) {
    let shown = act.clone();
    let proxy = Proxy::start(move |_, _| act.clone()).await;
    let dialer = site.proxied(&format!("http://{}", proxy.address), None);
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    let error = exchange(&client).await.unwrap_err();
    let text = error.to_string();
    let what = match shown {
        Act::Answer(bytes)
        | Act::AnswerAndClose(bytes)
        | Act::Stall(bytes)
        | Act::Reset(bytes)
        | Act::Drip(bytes) => bytes,
        Act::Tunnel(bytes, _) => bytes,
        Act::Silence | Act::Flood => Vec::new(),
    };
    let what = what.escape_ascii().to_string();
    assert_eq!(error.code(), code, "{what}: {text}");
    assert_eq!(error.sent_for, None, "{what}");
    assert!(
        text.contains("(proxy route)") && text.contains("next step: "),
        "{text}"
    );
}

#[tokio::test]
async fn a09_every_bad_proxy_has_its_own_code() {
    let site = Site::new();
    let mut hasty = Site::new();
    hasty.budgets.connect = Duration::from_millis(200);
    let raw = |text: &str| Act::AnswerAndClose(text.as_bytes().to_vec());
    check(&site, raw("HTTP/1.1 403 Forbidden\r\n\r\n"), "PST-P01").await;
    check(
        &site,
        raw("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n"),
        "PST-P02",
    )
    .await;
    check(&site, raw(""), "PST-P04").await;
    check(&site, raw("HTTP/1.1 200 O"), "PST-P04").await;
    check(&site, raw("\u{15}\u{3}garbage"), "PST-P05").await;
    check(
        &site,
        raw("HTTP/1.1 200 ok\r\n\r\n<html>blocked</html>"),
        "PST-P06",
    )
    .await;
    check(&site, raw("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "PST-P07").await;
    check(&hasty, Act::Silence, "PST-P08").await;
    check(&hasty, Act::Stall(b"HTTP/1.1 200 O".to_vec()), "PST-P09").await;
    check(&site, Act::Flood, "PST-P10").await;
    check(&site, raw("HTTP/1.1 302 Found\r\n\r\n"), "PST-P11").await;
    check(&site, raw("HTTP/1.1 200 ok\r\n\r\n"), "PST-S04").await;
}

#[tokio::test]
async fn a10_status_201_opens_and_early_bytes_reach_the_tunnel() {
    let site = Site::new();
    let origin = controller(&site).await;
    let inside = origin.address;
    let created = b"HTTP/1.1 201 Created\r\nX: y\r\n\r\n".to_vec();
    let proxy = Proxy::start(move |_, _| Act::Tunnel(created.clone(), inside)).await;
    let dialer = site.proxied(&format!("http://{}", proxy.address), None);
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));

    // A TLS alert in the same segment as the head: only a client that keeps it can name it.
    let mut early = OK.to_vec();
    early.extend_from_slice(&[0x15, 3, 3, 0, 2, 2, 40]);
    let proxy = Proxy::start(move |_, _| Act::Stall(early.clone())).await;
    let dialer = site.proxied(&format!("http://{}", proxy.address), None);
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    let error = exchange(&client).await.unwrap_err();
    assert_eq!(error.code(), "PST-S04");
    assert!(error.to_string().contains("HandshakeFailure"), "{error}");
}

#[tokio::test]
async fn a28_required_proxy_that_is_down_causes_no_direct_packet() {
    let site = Site::new();
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let target = url(trap.local_addr().unwrap().port());
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = down.local_addr().unwrap().port();
    drop(down);
    let dialer = site.proxied(&format!("http://proxy.test:{port}"), None);

    assert_eq!(dialer.routes(&target), [Route::Proxy(0)]);
    let forbidden = dialer.client(&target, Route::Direct).unwrap_err();
    let route = Route::Direct;
    assert_eq!(forbidden, DialerError::Forbidden { route });
    for _ in 0..3 {
        let client = dialer.client(&target, Route::Proxy(0)).unwrap();
        assert_eq!(outcome(&client).await, Err("PST-T01"));
    }

    let nobody = trap.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(*site.names.asked.lock().unwrap(), ["proxy.test"; 3]);
}

/// Routes in order for `https://controller.test:443/m`.
fn check_routes(site: &Site, settings: ProxySettings, policy: ProxyPolicy, routes: &[Route]) {
    assert_eq!(settings.policy(), policy);
    assert_eq!(site.dialer(settings).routes(&url(443)), routes);
}

#[test]
fn a28_policy_decides_the_routes() {
    let site = Site::new();
    let proxy = "http://proxy.test:3128";
    let file = |no_proxy: &str| FileSettings {
        url: Some(proxy.to_owned()),
        no_proxy: Some(no_proxy.to_owned()),
        ..FileSettings::default()
    };
    let variables = |no_proxy: Option<&str>| Variables {
        proxy: Some(("https_proxy", proxy.to_owned())),
        no_proxy: no_proxy.map(|list| ("no_proxy", list.to_owned())),
    };
    let none = FileSettings::default();
    let resolve = |file: &FileSettings, env: Variables| ProxySettings::resolve(file, &env).unwrap();
    let (direct, proxied) = (Route::Direct, Route::Proxy(0));
    check_routes(&site, ProxySettings::Off, ProxyPolicy::Off, &[direct]);
    check_routes(
        &site,
        require(proxy, None),
        ProxyPolicy::Require,
        &[proxied],
    );
    let exempt = resolve(&file(".test"), Variables::default());
    check_routes(&site, exempt, ProxyPolicy::Require, &[direct]);
    let other = resolve(&file("other.test"), variables(Some("*")));
    check_routes(&site, other, ProxyPolicy::Require, &[proxied]);
    let env = resolve(&none, variables(None));
    check_routes(&site, env, ProxyPolicy::Prefer, &[proxied, direct]);
    let env_exempt = resolve(&none, variables(Some("controller.test:443")));
    check_routes(&site, env_exempt, ProxyPolicy::Prefer, &[direct]);
}

#[test]
fn user_agent_that_would_break_the_request_is_refused() {
    for bad in ["", "a\r\nX: y", "a\u{1b}", "ü", &"a".repeat(257)] {
        let trust = postern_egress::Trust::new(Vec::new(), None).unwrap();
        let dialer = postern_egress::Dialer::new(ProxySettings::Off, trust.into(), bad);
        assert_eq!(dialer.unwrap_err(), DialerError::UserAgent, "{bad:?}");
    }
}
