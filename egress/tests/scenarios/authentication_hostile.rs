//! Proxies whose authentication never ends, lies or crawls: scenario A09.
//!
//! Each ends in a code within its budget, after a bounded number of requests, and no password is
//! shown more than once.

use crate::authentication::{TYPE_2, ask, connect, credentials, dialer};
use crate::proxy::{Act, Proxy};
use crate::site::Site;
use std::time::Duration;

/// The code of a CONNECT through this proxy, and the most requests that it may see.
async fn check(act: impl Fn(usize, &str) -> Act + Send + Sync + 'static, code: &str, most: usize) {
    let mut site = Site::new();
    site.budgets.connect = Duration::from_secs(2);
    let proxy = Proxy::start(act).await;
    let dialer = dialer(&site, &proxy, &[]);
    assert_eq!(connect(&dialer).await, Err(code));
    let seen = proxy.heads().len();
    assert!(seen <= most, "{code}: {seen} requests");
}

/// Offers a scheme and answers its first leg with this challenge, for ever.
fn then(offer: &'static str, second: &str) -> impl Fn(usize, &str) -> Act + Send + Sync + 'static {
    let second = second.to_owned();
    move |_, head| match credentials(head) {
        Some(_) => ask(&[&second], 7),
        None => ask(&[offer], 7),
    }
}

#[tokio::test]
async fn a09_407s_without_end_are_given_up() {
    check(|_, _| ask(&["Basic realm=\"x\""], 3), "PST-P03", 2).await;
    check(then("NTLM", TYPE_2), "PST-P03", 3).await;
    check(then("NTLM", "NTLM"), "PST-P18", 2).await;
    let stale = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", stale=true";
    check(move |_, _| ask(&[stale], 3), "PST-P19", 4).await;
    check(|_, _| ask(&["Negotiate", "Bearer"], 3), "PST-P16", 1).await;
    // Falls from one scheme to the next, and each fails.
    let all = |nth, _: &str| match nth {
        0 => ask(
            &[
                "NTLM",
                "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
                "Basic",
            ],
            0,
        ),
        1 => ask(&["NTLM AAAA", "Digest realm=\"r\"", "Basic"], 0),
        _ => ask(&["Basic"], 0),
    };
    check(all, "PST-P03", 3).await;
}

#[tokio::test]
async fn a09_lying_type_2_messages_are_refused_before_anything_is_shown() {
    let large = format!("NTLM {}", "A".repeat(40_000));
    for second in [
        "NTLM AAAA",
        "NTLM not/base64!",
        "NTLM ====",
        // Target information beyond the end of the message.
        "NTLM TlRMTVNTUAACAAAACAAIADgAAAAFgogAASNFZ4mrze8AAAAAAAAAAP/////w////BgCxHQAAAA9DAE8AUgBQAAIACABDAE8AUgBQAAcACAABAgMEBQYHCAAAAAA=",
        // Cut in the middle of the nonce.
        "NTLM TlRMTVNTUAACAAAACAAIADgAAAAFgogAASNFZw==",
        large.as_str(),
    ] {
        check(then("NTLM", second), "PST-P18", 2).await;
    }
}

#[tokio::test]
async fn a09_head_that_floods_or_drips_in_the_second_leg_is_bounded() {
    let second = |act: Act| {
        move |_: usize, head: &str| match credentials(head) {
            Some(_) => act.clone(),
            None => ask(&["NTLM"], 0),
        }
    };
    check(second(Act::Flood), "PST-P10", 2).await;
    check(
        second(Act::Drip(b"HTTP/1.1 407 x\r\n".to_vec())),
        "PST-P09",
        2,
    )
    .await;
    check(second(Act::Silence), "PST-P08", 2).await;
    check(second(Act::Stall(b"HTTP/1.1 407".to_vec())), "PST-P09", 2).await;
    check(
        second(Act::AnswerAndClose(b"garbage\r\n".to_vec())),
        "PST-P05",
        2,
    )
    .await;
    check(second(Act::AnswerAndClose(Vec::new())), "PST-P04", 2).await;
}

#[tokio::test]
async fn a09_body_that_never_comes_ends_with_the_budget() {
    let promise = b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 60000\r\n\r\n";
    check(move |_, _| Act::Stall(promise.to_vec()), "PST-P08", 1).await;
}

#[tokio::test]
async fn a09_body_of_a_407_over_the_bound_costs_a_connection_and_no_memory() {
    let site = Site::new();
    let endless =
        b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\nContent-Length: 99999999\r\n\r\nxxx";
    let proxy = Proxy::start(move |nth, _| match nth {
        0 => Act::Stall(endless.to_vec()),
        _ => Act::AnswerAndClose(b"HTTP/1.1 403 no\r\n\r\n".to_vec()),
    })
    .await;
    assert_eq!(connect(&dialer(&site, &proxy, &[])).await, Err("PST-P01"));
    assert_eq!(proxy.connections(), [1, 2]);
}
