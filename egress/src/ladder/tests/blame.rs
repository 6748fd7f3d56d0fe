//! Whose fault an end is.

use super::*;
use crate::connect::ConnectFault;
use crate::fault::{Fault, TransportError};
use crate::foreign::Foreign;
use crate::tls::TlsFault;
use std::io::ErrorKind;

fn status(status: u16, retry_after_s: Option<u64>) -> Fault {
    Fault::Status {
        status,
        retry_after_s,
        excerpt: Foreign::new(b"x"),
        body: bytes::Bytes::new(),
    }
}

fn check(route: Route, fault: Fault, held_for_s: Option<u64>, expected: Blame) {
    let label = format!("{route} {fault:?} {held_for_s:?}");
    let error = TransportError {
        route,
        hop: "hop".into(),
        fault,
        sent_for: held_for_s.map(Duration::from_secs),
    };
    assert_eq!(error.blame(held_for_s.is_some()), expected, "{label}");
}

#[test]
fn mailbox_that_asks_for_patience_is_to_blame_itself() {
    for route in [Route::Direct, Route::Proxy(0)] {
        check(route, status(429, None), None, Blame::Mailbox);
        check(route, status(503, Some(5)), None, Blame::Mailbox);
        check(route, status(503, None), None, Blame::Way);
        check(route, status(413, None), None, Blame::Limit);
        check(route, status(403, None), None, Blame::Way);
        check(route, status(502, None), None, Blame::Way);
    }
}

#[test]
fn held_exchange_that_a_timer_ended_blames_a_limit_and_an_early_end_the_way() {
    for fault in [
        Fault::Silent,
        Fault::Stalled,
        Fault::Closed,
        status(504, None),
        status(408, None),
    ] {
        check(Route::Proxy(0), fault.clone(), Some(30), Blame::Limit);
        check(Route::Proxy(0), fault.clone(), Some(1), Blame::Way);
        check(Route::Proxy(0), fault, None, Blame::Way);
    }
    // What no timer does.
    check(Route::Proxy(0), status(403, None), Some(30), Blame::Way);
    check(Route::Proxy(0), Fault::NotHttp, Some(30), Blame::Way);
}

#[test]
fn reset_blames_the_mailbox_only_where_no_proxy_is_in_the_path() {
    let refused = || Fault::Tcp(ErrorKind::ConnectionRefused);
    check(Route::Direct, refused(), None, Blame::Reset);
    check(Route::Direct, Fault::Closed, None, Blame::Reset);
    check(Route::Proxy(0), refused(), None, Blame::Broken);
    check(Route::Proxy(0), Fault::Closed, None, Blame::Way);
    let unreachable = || Fault::Tcp(ErrorKind::HostUnreachable);
    check(Route::Direct, unreachable(), None, Blame::Way);
    check(Route::Direct, Fault::TcpSlow, None, Blame::Way);
}

#[test]
fn refused_password_and_foreign_certificate_break_a_way_at_once() {
    let proxy = Route::Proxy(0);
    check(
        proxy,
        Fault::Connect(ConnectFault::Rejected),
        None,
        Blame::Broken,
    );
    let locked = ConnectFault::Locked {
        wait: Duration::from_secs(1),
    };
    check(proxy, Fault::Connect(locked), None, Blame::Broken);
    check(
        proxy,
        Fault::Connect(ConnectFault::Silent),
        None,
        Blame::Way,
    );
    check(
        Route::Direct,
        Fault::Tls(TlsFault::NotTls),
        None,
        Blame::Broken,
    );
    check(Route::Direct, Fault::Tls(TlsFault::Slow), None, Blame::Way);
}
