//! Invitations that end: by their expiry, or because the operator takes them back.

use super::hand::Hand;
use crate::Reject;
use crate::controller::Input;
use crate::id::{Incarnation, TokenId};
use crate::testing::signer;

const TOKEN: [u8; 8] = [2; 8];
/// The wall clock of a new hand.
const NOW_S: u64 = 1_790_000_000;

/// A hand with another device to enrol.
fn another() -> Hand {
    let mut hand = Hand::new();
    hand.channel = hand.keys.channel("press-8");
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    hand.key = signer("press-8");
    hand
}

fn withdraw(hand: &mut Hand, token: [u8; 8]) -> Option<Reject> {
    let ticket = hand.ticket();
    hand.forget();
    hand.input(Input::Withdraw {
        ticket,
        token: TokenId::from_bytes(token),
    });
    hand.refused()
}

#[test]
fn invitation_counts_up_to_its_expiry_and_not_after() {
    for (unix_s, joined) in [
        (NOW_S + 60, Ok(())),
        (NOW_S + 61, Err(Reject::TokenUnknown)),
    ] {
        let mut hand = another();
        hand.invite(TOKEN, Some(NOW_S + 60));
        hand.unix_s = Some(unix_s);
        assert_eq!(hand.join(TOKEN), joined);
    }
}

/// SQ-28: a machine that does not know the time shuts nobody out.
#[test]
fn invitation_does_not_expire_without_a_clock() {
    let mut hand = another();
    hand.invite(TOKEN, Some(NOW_S + 60));
    hand.unix_s = None;
    assert_eq!(hand.join(TOKEN), Ok(()));
}

#[test]
fn same_key_is_answered_again_after_the_expiry() {
    let mut hand = another();
    hand.invite(TOKEN, Some(NOW_S + 60));
    assert_eq!(hand.join(TOKEN), Ok(()));
    hand.unix_s = Some(NOW_S + 3_600);
    hand.restart(None);
    assert_eq!(hand.join(TOKEN), Ok(()));
}

/// SQ-14: what expired unused does not pile up.
#[test]
fn expired_invitations_are_forgotten_at_the_next_start() {
    let mut hand = another();
    hand.invite(TOKEN, Some(NOW_S + 60));
    hand.restart(None);
    assert_eq!(hand.engine.invitations().count(), 2);
    hand.unix_s = Some(NOW_S + 61);
    hand.restart(None);
    hand.restart(None);
    assert_eq!(hand.engine.invitations().count(), 1);
}

#[test]
fn invitation_that_was_taken_back_is_refused() {
    let mut hand = another();
    hand.invite(TOKEN, None);
    assert_eq!(withdraw(&mut hand, TOKEN), None);
    assert_eq!(hand.join(TOKEN), Err(Reject::TokenUnknown));
    assert_eq!(withdraw(&mut hand, TOKEN), Some(Reject::TokenUnknown));
    hand.restart(None);
    assert_eq!(hand.join(TOKEN), Err(Reject::TokenUnknown));
}

#[test]
fn invitation_that_was_used_is_not_taken_back() {
    let mut hand = another();
    assert_eq!(hand.enrol(TOKEN), Ok(()));
    assert_eq!(withdraw(&mut hand, TOKEN), Some(Reject::TokenUsed));
    assert_eq!(hand.join(TOKEN), Ok(()), "the same key may still ask");
}
