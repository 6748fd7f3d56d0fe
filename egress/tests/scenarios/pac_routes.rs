//! What a script's answers become: routes in order, credentials for listed proxies only, no leak where a proxy is
//! required, the last good answer after a failure.

use crate::origin::Origin;
use crate::proxy::{Act, Proxy};
use crate::site::{Site, outcome, url};
use postern_egress::config::PacLookups;
use postern_egress::limits::{PAC_DECISION_AGE, PAC_RETRY, PROXIES_MAX};
use postern_egress::pac::{PacFault, ThreadEvaluator};
use postern_egress::{
    Dialer, DialerError, FileSettings, MailboxUrl, ProxyPolicy, ProxySettings, Route, Variables,
};
use std::sync::Arc;

const ASKED: Route = Route::Proxy(0);

/// Settings with a script in the site's folder.
fn settings(site: &Site, script: &str, mode: Option<ProxyPolicy>) -> FileSettings {
    site.file("proxy.pac", script);
    FileSettings {
        file: site.folder.path().join("device.toml"),
        pac: Some("proxy.pac".to_owned()),
        mode,
        ..FileSettings::default()
    }
}

fn dialer(site: &Site, file: &FileSettings) -> Dialer {
    let settings = ProxySettings::resolve(file, &Variables::default()).unwrap();
    site.dialer(settings)
        .with_evaluator(Arc::new(ThreadEvaluator))
}

fn returning(answer: &str) -> String {
    format!("function FindProxyForURL() {{ return '{answer}' }}")
}

/// Checks the proxies and the direct way for `https://controller.test/m`, in order.
async fn check(answer: &str, mode: Option<ProxyPolicy>, expected: &[&str]) {
    let site = Site::new();
    let dialer = dialer(&site, &settings(&site, &returning(answer), mode));
    let prepared = dialer
        .prepare(&url(443))
        .await
        .map_err(|fault| fault.code());
    let routes = dialer.explain(&url(443)).routes;
    let shown = routes
        .into_iter()
        .map(|one| one.proxy.unwrap_or(one.route.to_string()));
    let shown: Vec<String> = shown.collect();
    assert_eq!(shown, expected, "{answer:?} {mode:?}");
    let good = if expected.is_empty() {
        Err("PST-P25")
    } else {
        Ok(())
    };
    assert_eq!(prepared, good, "{answer:?} {mode:?}");
}

#[tokio::test]
async fn a23_routes_follow_the_script_in_order() {
    let (a, b) = ("http://a.test:1", "https://b.test:2");
    check(
        "PROXY a.test:1; HTTPS b.test:2; DIRECT",
        None,
        &[a, b, "direct"],
    )
    .await;
    check("HTTPS b.test:2; PROXY a.test:1", None, &[b, a, "direct"]).await;
    check("DIRECT; PROXY a.test:1", None, &["direct", a]).await;
    check("DIRECT", None, &["direct"]).await;
    check("nonsense; PROXY a.test:1", None, &[a, "direct"]).await;
    check(
        "PROXY controller.test:443; PROXY a.test:1",
        None,
        &[a, "direct"],
    )
    .await;
}

#[tokio::test]
async fn a23_required_script_never_yields_direct() {
    let require = Some(ProxyPolicy::Require);
    let (a, b) = ("http://a.test:1", "https://b.test:2");
    check("PROXY a.test:1; DIRECT", require, &[a]).await;
    check(
        "DIRECT; PROXY a.test:1; DIRECT; HTTPS b.test:2",
        require,
        &[a, b],
    )
    .await;
    check("DIRECT", require, &[]).await;
    check("nonsense", require, &[]).await;
    check("", require, &[]).await;
}

#[tokio::test]
async fn a23_failing_script_yields_no_proxy_and_a_fault() {
    for (mode, routes) in [
        (None, &[Route::Direct][..]),
        (Some(ProxyPolicy::Require), &[][..]),
    ] {
        let site = Site::new();
        let dialer = dialer(&site, &settings(&site, "throw 1", mode));
        assert_eq!(dialer.routes(&url(443)), routes, "not asked yet");
        let fault = dialer.prepare(&url(443)).await.unwrap_err();
        assert_eq!(fault.code(), "PST-P23");
        assert_eq!(dialer.routes(&url(443)), routes, "{mode:?}");
        for route in [Route::Direct, ASKED] {
            let client = dialer.client(&url(443), route);
            assert_eq!(client.is_ok(), routes.contains(&route), "{mode:?} {route}");
        }
        let explained = dialer.explain(&url(443)).to_string();
        assert!(explained.contains("PST-P23"), "{explained}");
        assert!(explained.contains("device.toml: proxy.pac"), "{explained}");
    }
}

#[tokio::test]
async fn a23_without_an_evaluator_nothing_is_guessed() {
    let site = Site::new();
    let file = settings(&site, &returning("DIRECT"), Some(ProxyPolicy::Require));
    let settings = ProxySettings::resolve(&file, &Variables::default()).unwrap();
    let dialer = site.dialer(settings);
    let fault = dialer.prepare(&url(443)).await;
    assert_eq!(fault, Err(PacFault::NoEvaluator));
    assert!(dialer.routes(&url(443)).is_empty());
}

#[tokio::test]
async fn a23_last_good_answer_stays_in_use_until_a_newer_one() {
    let site = Site::new();
    let file = settings(
        &site,
        &returning("PROXY a.test:1"),
        Some(ProxyPolicy::Require),
    );
    let dialer = dialer(&site, &file);
    let shown = || {
        dialer
            .explain(&url(443))
            .routes
            .first()
            .unwrap()
            .proxy
            .clone()
    };
    dialer.prepare(&url(443)).await.unwrap();
    assert_eq!(shown().as_deref(), Some("http://a.test:1"));

    site.file("proxy.pac", "for (;;) {}");
    dialer.handle_network_change();
    assert_eq!(dialer.prepare(&url(443)).await, Err(PacFault::Slow));
    assert_eq!(shown().as_deref(), Some("http://a.test:1"));
    assert_eq!(dialer.explain(&url(443)).fault, Some(PacFault::Slow));

    std::fs::remove_file(site.folder.path().join("proxy.pac")).unwrap();
    dialer.handle_network_change();
    assert!(dialer.prepare(&url(443)).await.is_err());
    assert_eq!(shown().as_deref(), Some("http://a.test:1"));

    site.file("proxy.pac", &returning("PROXY b.test:2"));
    dialer.handle_network_change();
    dialer.prepare(&url(443)).await.unwrap();
    assert_eq!(shown().as_deref(), Some("http://b.test:2"));
    assert_eq!(dialer.explain(&url(443)).fault, None);
}

#[tokio::test(start_paused = true)]
async fn a23_script_is_asked_again_only_when_due() {
    let site = Site::new();
    let count =
        "function FindProxyForURL() { return dnsResolve('proxy.test') ? 'PROXY a.test:1' : '' }";
    let dialer = dialer(&site, &settings(&site, count, None));
    let asked = || site.names.asked.lock().unwrap().len();
    for _ in 0..3 {
        dialer.prepare(&url(443)).await.unwrap();
    }
    assert_eq!(asked(), 1);
    dialer.prepare(&url(8443)).await.unwrap();
    assert_eq!(asked(), 2, "another target");
    tokio::time::advance(PAC_DECISION_AGE).await;
    dialer.prepare(&url(443)).await.unwrap();
    assert_eq!(asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a23_failing_script_is_not_asked_in_a_loop() {
    let site = Site::new();
    let failing = "function FindProxyForURL() { dnsResolve('proxy.test'); throw 1 }";
    let dialer = dialer(&site, &settings(&site, failing, None));
    let asked = || site.names.asked.lock().unwrap().len();
    for _ in 0..3 {
        assert!(dialer.prepare(&url(443)).await.is_err());
    }
    assert_eq!(asked(), 1);
    tokio::time::advance(PAC_RETRY).await;
    assert!(dialer.prepare(&url(443)).await.is_err());
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a23_proxies_without_number_cannot_be_reached_and_numbers_are_bounded() {
    let site = Site::new();
    let script = "function FindProxyForURL(u, h) { var n = u.split(':')[2].slice(0, -1); return \
        [0,1,2,3].map(function (i) { return 'PROXY p' + n + '-' + i + '.test:1' }).join(';') }";
    let dialer = dialer(&site, &settings(&site, script, Some(ProxyPolicy::Require)));
    let mut numbers = std::collections::BTreeSet::new();
    for port in 1000..1010 {
        dialer.prepare(&url(port)).await.unwrap();
        for route in dialer.routes(&url(port)) {
            numbers.insert(route);
            let client = dialer.client(&url(port), route).unwrap();
            let name = format!("http://p{port}-");
            assert!(client.proxy().unwrap().starts_with(&name), "{route:?}");
        }
    }
    assert!(numbers.len() <= PROXIES_MAX, "{}", numbers.len());
    let beyond = dialer.client(&url(1000), Route::Proxy(200)).unwrap_err();
    let route = Route::Proxy(200);
    assert_eq!(beyond, DialerError::Forbidden { route });
}

/// A proxy that asks for credentials, the settings that lead to it, and what it saw after one exchange.
async fn shown_credentials(list: Option<&[&str]>) -> (Vec<String>, Result<String, &'static str>) {
    let site = Site::new();
    let origin = Origin::http1(
        site.ca.serve(&["controller.test"], &[b"http/1.1"]),
        vec![crate::origin::Act::Answer(crate::origin::answer(
            "200 OK", "", "pong",
        ))],
    )
    .await;
    let to = origin.address;
    let proxy = Proxy::start(move |_, head| {
        if head.contains("Proxy-Authorization") {
            Act::Tunnel(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), to)
        } else {
            let ask = "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\n\r\n";
            Act::Answer(ask.into())
        }
    })
    .await;
    let answer = format!("PROXY proxy.test:{}", proxy.address.port());
    let mut file = settings(&site, &returning(&answer), Some(ProxyPolicy::Require));
    file.secret_file = Some(site.file("secret", "alice:hunter2"));
    let port = proxy.address.port().to_string();
    file.credentials_for = list.map(|list| {
        let each = list.iter().map(|entry| entry.replace("PORT", &port));
        each.collect()
    });
    let dialer = dialer(&site, &file);
    dialer.prepare(&url(443)).await.unwrap();
    let client = dialer.client(&url(443), ASKED).unwrap();
    let outcome = outcome(&client).await;
    let has_some = dialer
        .explain(&url(443))
        .routes
        .first()
        .unwrap()
        .has_credentials;
    assert_eq!(has_some, outcome.is_ok());
    (proxy.heads(), outcome)
}

#[tokio::test]
async fn a24_proxy_that_the_script_names_and_nobody_listed_sees_no_credentials() {
    for list in [
        None,
        Some(&[][..]),
        Some(&["other.test"][..]),
        Some(&["proxy.test:1", "*.proxy.test"][..]),
    ] {
        let (heads, outcome) = shown_credentials(list).await;
        assert_eq!(outcome, Err("PST-P02"), "{list:?}");
        assert_eq!(heads.len(), 1, "{list:?}");
        for head in heads {
            let head = head.to_ascii_lowercase();
            assert!(!head.contains("authorization"), "{list:?}: {head}");
        }
    }
}

#[tokio::test]
async fn a24_listed_proxy_of_a_script_is_shown_the_credentials() {
    for list in [&["proxy.test"][..], &["x.test", "proxy.test:PORT"][..]] {
        let (heads, outcome) = shown_credentials(Some(list)).await;
        assert_eq!(outcome.as_deref(), Ok("pong"), "{list:?}");
        let shown = heads
            .iter()
            .filter(|head| head.contains("Basic YWxpY2U6aHVudGVyMg=="));
        assert_eq!(shown.count(), 1, "{list:?}");
    }
}

#[test]
fn a24_list_counts_for_every_proxy_once_it_stands_there() {
    let site = Site::new();
    let mut file = settings(&site, "", None);
    file.secret_file = Some(site.file("secret", "alice:hunter2"));
    let variables = Variables {
        proxy: Some(("https_proxy", "http://env.test:1".to_owned())),
        no_proxy: None,
    };
    let has_some = |file: &FileSettings| {
        let settings = ProxySettings::resolve(file, &variables).unwrap();
        let explained = site.dialer(settings).explain(&url(443));
        explained.routes.first().unwrap().has_credentials
    };
    assert!(
        !has_some(&file),
        "the file's credentials are for the script's proxies"
    );
    file.credentials_for = Some(vec!["*.corp.test".to_owned()]);
    assert!(!has_some(&file));
    file.credentials_for = Some(vec!["env.test:1".to_owned()]);
    assert!(has_some(&file));
}

#[tokio::test]
async fn a25_required_script_never_has_the_target_looked_up() {
    let site = Site::new();
    let script = "function FindProxyForURL(u, h) { var seen = [dnsResolve(h), isInNet(h, '0.0.0.0', '0.0.0.0'), \
        isResolvableEx(h), dnsResolve('proxy.test')].join(); \
        return seen === ',false,false,127.0.0.1' ? 'PROXY proxy.test:PORT' : 'PROXY leak.test:1' }";
    let down = Proxy::start(|_, _| Act::AnswerAndClose(b"HTTP/1.1 403 no\r\n\r\n".to_vec())).await;
    let script = script.replace("PORT", &down.address.port().to_string());
    let mut file = settings(&site, &script, Some(ProxyPolicy::Require));
    file.pac_dns = Some(PacLookups::Allow);
    let dialer = dialer(&site, &file);
    dialer.prepare(&url(443)).await.unwrap();
    let client = dialer.client(&url(443), ASKED).unwrap();
    assert_eq!(outcome(&client).await, Err("PST-P01"));
    assert_eq!(
        *site.names.asked.lock().unwrap(),
        ["proxy.test", "proxy.test"]
    );
}

#[tokio::test]
async fn a25_required_script_looks_nobody_up_unless_that_is_allowed() {
    let site = Site::new();
    let script = "function FindProxyForURL() { return 'PROXY ' + (dnsResolve('proxy.test') || 'a.test') + ':1' }";
    let dialer = dialer(&site, &settings(&site, script, Some(ProxyPolicy::Require)));
    dialer.prepare(&url(443)).await.unwrap();
    assert!(site.names.asked.lock().unwrap().is_empty());
    let proxy = dialer
        .explain(&url(443))
        .routes
        .first()
        .unwrap()
        .proxy
        .clone();
    assert_eq!(proxy.as_deref(), Some("http://a.test:1"));
}

#[tokio::test]
async fn a25_script_on_the_target_itself_is_not_fetched_where_a_proxy_is_required() {
    let site = Site::new();
    let file = FileSettings {
        pac: Some("http://controller.test:1/p.pac".to_owned()),
        mode: Some(ProxyPolicy::Require),
        ..FileSettings::default()
    };
    let dialer = dialer(&site, &file);
    assert_eq!(dialer.prepare(&url(443)).await, Err(PacFault::OwnTarget));
    assert!(site.names.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a22_exempt_target_is_direct_and_the_script_is_not_asked() {
    let site = Site::new();
    let mut file = settings(&site, "for (;;) {}", Some(ProxyPolicy::Require));
    file.no_proxy = Some("x.test, .test:443".to_owned());
    let dialer = dialer(&site, &file);
    assert_eq!(dialer.prepare(&url(443)).await, Ok(()));
    assert_eq!(dialer.routes(&url(443)), [Route::Direct]);
    let explained = dialer.explain(&url(443));
    assert_eq!(explained.exempt_by.as_deref(), Some(".test:443"));
    assert_eq!(
        explained.to_string(),
        "controller.test:443: direct (no_proxy: .test:443)"
    );
}

#[test]
fn a22_explanation_names_source_and_mode() {
    let site = Site::new();
    let target = MailboxUrl::parse("https://controller.test/m").unwrap();
    let check = |file: &FileSettings, variables: &Variables, expected: &str| {
        let settings = ProxySettings::resolve(file, variables).unwrap();
        let text = site.dialer(settings).explain(&target).to_string();
        assert_eq!(text, expected);
    };
    let none = FileSettings::default();
    let url = FileSettings {
        file: "device.toml".into(),
        url: Some("http://alice:hunter2@proxy.test:3128".to_owned()),
        ..FileSettings::default()
    };
    let variables = Variables {
        proxy: Some(("https_proxy", "http://env.test:1".to_owned())),
        no_proxy: None,
    };
    let script = FileSettings {
        file: "device.toml".into(),
        pac: Some("http://pac.test/p.pac".to_owned()),
        ..FileSettings::default()
    };
    let empty = Variables::default();
    check(
        &none,
        &empty,
        "controller.test:443: direct (no proxy is configured)",
    );
    check(
        &url,
        &variables,
        "controller.test:443: http://proxy.test:3128 with credentials \
         (source device.toml: proxy.url, mode=require, no_proxy: no match)",
    );
    check(
        &none,
        &variables,
        "controller.test:443: http://env.test:1, then direct \
         (source environment variable https_proxy, mode=prefer, no_proxy: no match)",
    );
    check(
        &script,
        &variables,
        "controller.test:443: http://env.test:1, then direct \
         (source environment variable https_proxy, mode=prefer, no_proxy: no match); \
         proxy.pac does not count: environment variable https_proxy comes first",
    );
    check(
        &script,
        &empty,
        "controller.test:443: direct \
         (source http://pac.test/p.pac (device.toml: proxy.pac), mode=prefer, no_proxy: no match); \
         PST-P27 the script was not asked yet; next step: wait; it is asked again by itself",
    );
}
