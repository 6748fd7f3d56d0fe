use super::door::{Attempt, Verdict, judge};
use super::keys::ListenerSecret;
use crate::budget::Pressure;
use crate::limits::{QUIC_HALF_OPEN_MAX, QUIC_HALF_OPEN_RETRY};

const QUIET: Attempt = Attempt {
    is_proven: false,
    half_open: 0,
    is_rush: false,
    pressure: Pressure::Calm,
};

fn check(attempt: Attempt, unproven: Verdict, proven: Verdict) {
    let of = |is_proven| {
        judge(Attempt {
            is_proven,
            ..attempt
        })
    };
    assert_eq!([of(false), of(true)], [unproven, proven], "{attempt:?}");
}

//= spec/postern.md#quic-binding type=test
//# A server SHOULD answer an attempt from an address that is not proven with Retry while attempts or
//# handshakes under way are many.
#[test]
fn attempts_that_are_many_must_prove_their_address() {
    let at = |half_open| Attempt { half_open, ..QUIET };
    check(QUIET, Verdict::Try, Verdict::Count);
    check(at(QUIC_HALF_OPEN_RETRY - 1), Verdict::Try, Verdict::Count);
    check(at(QUIC_HALF_OPEN_RETRY), Verdict::Prove, Verdict::Count);
    let rush = Attempt {
        is_rush: true,
        ..QUIET
    };
    check(rush, Verdict::Prove, Verdict::Count);
    check(at(QUIC_HALF_OPEN_MAX), Verdict::Prove, Verdict::Refuse);
}

#[test]
fn attempts_under_pressure_are_proven_then_refused() {
    let under = |pressure| Attempt { pressure, ..QUIET };
    check(under(Pressure::Shedding), Verdict::Prove, Verdict::Count);
    check(under(Pressure::Closed), Verdict::Refuse, Verdict::Refuse);
    check(under(Pressure::Dropping), Verdict::Refuse, Verdict::Refuse);
}

#[test]
fn secret_gives_the_same_keys_in_every_life() {
    let secret = ListenerSecret::fresh().unwrap();
    let again = ListenerSecret::from_slice(secret.as_bytes()).unwrap();
    let other = ListenerSecret::fresh().unwrap();
    let id = ListenerSecret::connection_id_key;
    assert_eq!(id(&secret), id(&again));
    assert_ne!(id(&secret), id(&other));
    let ticket = secret.tickets().unwrap().encrypt(b"state").unwrap();
    let opened = again.tickets().unwrap().decrypt(&ticket);
    assert_eq!(opened.as_deref(), Some(&b"state"[..]));
    assert_eq!(other.tickets().unwrap().decrypt(&ticket), None);
}

#[test]
fn ticket_that_is_damaged_is_not_opened() {
    let tickets = ListenerSecret::fresh().unwrap().tickets().unwrap();
    let ticket = tickets.encrypt(b"state").unwrap();
    for at in 0..ticket.len() {
        let mut damaged = ticket.clone();
        damaged[at] ^= 1;
        assert_eq!(tickets.decrypt(&damaged), None, "{at}");
        assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at}");
    }
}

#[test]
fn secret_of_another_length_is_refused_and_none_is_shown() {
    for length in [0, 31, 33, 64] {
        assert!(ListenerSecret::from_slice(&vec![7; length]).is_err());
    }
    let secret = ListenerSecret::from_slice(&[7; 32]).unwrap();
    assert_eq!(format!("{secret:?}"), "ListenerSecret(..)");
}
