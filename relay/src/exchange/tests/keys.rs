use super::{admitted, open};
use crate::exchange::{ExchangeLimits, Exchanges, MailboxKey, MailboxKeys, MailboxSigner};
use crate::fixtures::{ask_holding, greet_knowing};
use postern_protocol::Reject;
use postern_protocol::key::MemorySigner;
use postern_protocol::limits::MAILBOX_KEYS_MAX;
use postern_protocol::revision::BundleNumber;
use postern_protocol::session::ReceivedHello;
use std::sync::Arc;

fn signer(seed: u8) -> MailboxSigner {
    Arc::new(MemorySigner::from_seed(&[seed; 32]))
}

fn key(seed: u8, first: u64, last: Option<u64>) -> MailboxKey {
    MailboxKey {
        signer: signer(seed),
        first: BundleNumber::new(first),
        last: last.map(BundleNumber::new),
    }
}

/// Keys 30 (bundles 1 to 4), 31 (5 to 8) and 32 (from 9 on).
fn three() -> Exchanges {
    let earlier = vec![key(31, 5, Some(8)), key(30, 1, Some(4))];
    let keys = MailboxKeys::new(key(32, 9, None), earlier).unwrap();
    Exchanges::new(ExchangeLimits::default(), keys, [9; 32], 0)
}

//= spec/lives.md#rotation type=test
//# A mailbox MUST keep a replaced key for asks that name a bundle which lists it.
//= spec/postern.md#hello type=test
//# A mailbox MUST challenge with the newest of its keys that the bundle of the ask lists, and else
//# with its newest.
#[test]
fn device_is_shown_a_key_that_its_bundle_lists_else_the_newest() {
    let check = |bundle: Option<u64>, seed: u8| {
        let mut exchanges = three();
        let ask = ask_holding(bundle.map(BundleNumber::new));
        let challenge = exchanges.answer_ask(&ask, [1; 8]).unwrap();
        let (greeting, frame) = greet_knowing(&challenge, 1, &signer(seed)).unwrap();
        let hello = ReceivedHello::parse(&frame).unwrap();
        let welcome = exchanges.answer_hello(&hello, &[admitted()], [1; 4], 0);
        assert!(greeting.handle_welcome(&welcome.unwrap(), 0).is_ok());
    };
    check(Some(1), 30);
    check(Some(4), 30);
    check(Some(5), 31);
    check(Some(8), 31);
    check(Some(9), 32);
    check(Some(u64::MAX), 32);
    check(None, 32);
}

#[test]
fn device_that_knows_none_of_the_keys_refuses_the_challenge() {
    let exchanges = three();
    let ask = ask_holding(Some(BundleNumber::new(4)));
    let challenge = exchanges.answer_ask(&ask, [1; 8]).unwrap();
    for seed in [31, 32, 33] {
        let refused = greet_knowing(&challenge, 1, &signer(seed));
        assert_eq!(refused.unwrap_err(), Reject::MailboxMismatch);
    }
}

#[test]
fn hello_to_a_key_that_was_dropped_is_refused() {
    let mut exchanges = three();
    let ask = ask_holding(Some(BundleNumber::new(4)));
    let challenge = exchanges.answer_ask(&ask, [1; 8]).unwrap();
    let (_, frame) = greet_knowing(&challenge, 1, &signer(30)).unwrap();
    exchanges.replace_keys(MailboxKeys::one(signer(32)));
    let hello = ReceivedHello::parse(&frame).unwrap();
    let refused = exchanges.answer_hello(&hello, &[admitted()], [1; 4], 0);
    assert_eq!(refused, Err(Reject::DigestMismatch));
    assert_eq!(exchanges.sessions(), 0);
}

#[test]
fn session_survives_another_key() {
    let mut exchanges = super::exchanges();
    let _session = open(&mut exchanges, 1);
    exchanges.replace_keys(MailboxKeys::one(signer(32)));
    assert_eq!(exchanges.sessions(), 1);
    assert_eq!(
        exchanges.keys().thumbprint(),
        signer(32).public_key().thumbprint()
    );
}

#[test]
fn mailbox_with_too_many_keys_is_refused() {
    let earlier = |count: usize| vec![key(1, 1, Some(1)); count];
    assert!(MailboxKeys::new(key(2, 2, None), earlier(MAILBOX_KEYS_MAX - 1)).is_ok());
    assert!(MailboxKeys::new(key(2, 2, None), earlier(MAILBOX_KEYS_MAX)).is_err());
}
