//! Numbers between the held bundle and the offered one: what may be left out, and what it may not hide.

use super::*;
use crate::limits::BUNDLE_SKIP_MAX;

/// Bundles 1 to 6 by root 1, one revocation more in each.
fn chain() -> Vec<Trust> {
    let mut chain = vec![first()];
    for last in 61..=65 {
        let marks: Vec<u8> = (61..=last).collect();
        let next = changed(|content| content.revoked = revoking(&marks));
        chain.push(offer(chain.last().unwrap(), &next, 1).unwrap());
    }
    chain
}

fn bytes(trust: &Trust) -> &[u8] {
    trust.held().unwrap().as_bytes()
}

fn numbers(steps: &[BundleStep]) -> Vec<u64> {
    steps.iter().map(|step| step.number.number()).collect()
}

/// Seals contents under any number, after any predecessor.
fn numbered(content: &BundleContent, number: u64, by: u8) -> Vec<u8> {
    let header = Header {
        kind: MessageKind::Bundle,
        epoch: Epoch::new(0),
        seq: Seq::new(number),
        base: Seq::new(number - 1),
        digest: Some(Digest::of(b"any")),
    };
    let draft = Draft {
        header,
        payload: content.encode(),
    };
    let root = key(1).thumbprint();
    let sealed = draft.seal(Role::Root, Binding::Trust { root }, &signer(by));
    sealed.unwrap().into_bytes()
}

#[test]
fn holder_of_any_bundle_accepts_the_newest_of_the_same_root() {
    let chain = chain();
    let newest = chain.last().unwrap();
    for held in &chain[..5] {
        let next = held.offer(bytes(newest)).unwrap();
        assert_eq!(next.number(), BundleNumber::new(6));
        assert!(next.is_revoked(&key(65).thumbprint()));
    }
}

//= spec/postern.md#bundle type=test
//# A higher bundle MUST be signed by the root key or the recovery key of the held one, else
//# `bundle-root` when its number is the next and `bundle-gap` when it is above that.
#[test]
fn bundle_that_only_a_skipped_one_makes_credible_waits_for_it() {
    let one = first();
    let two = offer(&one, &changed(|content| content.root = key(7)), 1).unwrap();
    let three = offer(&two, &changed(|content| content.root = key(7)), 7).unwrap();
    assert_eq!(one.offer(bytes(&three)), Err(Reject::BundleGap));
    let after = one.offer(bytes(&two)).unwrap().offer(bytes(&three));
    assert_eq!(after.as_ref(), Ok(&three));
    let by_nobody = numbered(&content(), 3, 9);
    assert_eq!(one.offer(&by_nobody), Err(Reject::BundleGap));
    let by_old_root = numbered(&changed(|content| content.root = key(7)), 9, 1);
    assert_eq!(two.offer(&by_old_root), Err(Reject::BundleGap));
}

//= spec/postern.md#bundle type=test
//# A receiver MUST refuse a number that is more than 4096 above the held one with `bundle-gap`.
#[test]
fn number_far_above_the_held_one_is_refused() {
    let one = first();
    assert!(one.offer(&numbered(&content(), 4_097, 1)).is_ok());
    for number in [4_098, 1 << 32, u64::MAX] {
        let far = numbered(&content(), number, 1);
        assert_eq!(one.offer(&far), Err(Reject::BundleGap), "{number}");
    }
}

//= spec/postern.md#bundle type=test
//# Over skipped numbers the generation of a tenant's writer MUST NOT go down, stay when its key
//# changes, or go up by more than the numbers do, else `bundle-generation`.
#[test]
fn generation_over_skipped_numbers_keeps_to_its_bounds() {
    let acme = |generation, number| {
        changed(|content| {
            content
                .writers
                .insert(tenant("acme"), written_by(generation, number));
        })
    };
    let held = pinned().offer(bytes(&offer(&pinned(), &acme(4, 3), 1).unwrap()));
    let held = held.unwrap();
    for (generation, key) in [(4, 3), (6, 3), (7, 3), (5, 8), (7, 8)] {
        let fits = numbered(&acme(generation, key), 4, 1);
        assert!(held.offer(&fits).is_ok(), "{generation} {key}");
    }
    for (generation, key) in [(3, 3), (3, 8), (4, 8), (8, 3), (8, 8), (u64::MAX, 8)] {
        let wrong = held.offer(&numbered(&acme(generation, key), 4, 1));
        let refused = Err(Reject::BundleGeneration);
        assert_eq!(wrong, refused, "{generation} {key}");
    }
}

//= spec/postern.md#bundle type=test
//# A revoked thumbprint of the held bundle MUST be revoked in a higher one, else `bundle-revocation`.
#[test]
fn revocation_is_not_forgotten_over_skipped_numbers() {
    let held = &chain()[5];
    let forgets = numbered(&content(), 9, 1);
    assert_eq!(held.offer(&forgets), Err(Reject::BundleRevocation));
}

#[test]
fn steps_of_a_chain_are_its_first_its_newest_and_what_hands_the_roots_on() {
    let chain = chain();
    assert_eq!(numbers(chain[5].steps()), [1, 6]);
    let handed = changed(|content| {
        content.root = key(7);
        content.revoked = revoking(&[61, 62, 63, 64, 65]);
    });
    let mut trust = offer(&chain[5], &handed, 2).unwrap();
    for _ in 8..=12 {
        trust = offer(&trust, &handed, 7).unwrap();
    }
    assert_eq!(numbers(trust.steps()), [1, 7, 12]);
    let above = |held| numbers(steps_above(trust.steps(), BundleNumber::new(held)));
    assert_eq!(above(0), [1, 7, 12]);
    assert_eq!(above(1), [7, 12]);
    assert_eq!(above(6), [7, 12]);
    assert_eq!(above(7), [12]);
    assert_eq!(above(11), [12]);
    assert_eq!(above(12), [0; 0]);
    assert_eq!(above(13), [0; 0]);
}

/// Roots in every order: who holds any bundle that was made comes to the newest by the steps alone.
#[test]
fn steps_lead_every_holder_to_the_newest() {
    for order in 0..4_u32.pow(4) {
        let mut holders = vec![first()];
        // Each digit: who signs (root or recovery), and whether the root changes.
        for place in 0..4 {
            let held = holders.last().unwrap();
            let digit = (order / 4_u32.pow(place)) % 4;
            let before = held.held().unwrap().content();
            let number_of = |wanted: &PublicKey| (1..20).find(|number| key(*number) == *wanted);
            let signer = if digit % 2 == 0 {
                &before.root
            } else {
                &before.recovery
            };
            let by = number_of(signer).unwrap();
            let mut next = before.clone();
            if digit >= 2 {
                next.root = key(10 + u8::try_from(place).unwrap() % 2);
            }
            holders.push(offer(held, &next, by).unwrap());
        }
        let newest = holders.last().unwrap().clone();
        holders.push(pinned());
        for holder in &holders {
            let mut trust = holder.clone();
            for step in steps_above(newest.steps(), holder.number()) {
                trust = trust.offer(&step.envelope).unwrap();
            }
            assert_eq!(trust.held(), newest.held(), "order {order}");
        }
    }
}

//= spec/postern.md#bundle type=test
//# A receiver MUST refuse a number that is more than 4096 above the held one with `bundle-gap`.
#[test]
fn steps_over_more_numbers_than_may_be_skipped_have_some_in_between() {
    let (root, recovery) = (key(1).thumbprint(), key(2).thumbprint());
    let mut steps = BundleSteps::default();
    let newest = 2 * BUNDLE_SKIP_MAX + 100;
    for number in 1..=newest {
        let by_root = (root, [root, recovery]);
        steps.push(BundleNumber::new(number), by_root, &[0x80]);
    }
    assert_eq!(numbers(steps.all()), [1, 4_097, 8_193, newest]);
    for held in 1..=newest {
        let mut at = held;
        for step in steps_above(steps.all(), BundleNumber::new(held)) {
            assert!(step.from.number() <= at, "{held}: {at}");
            assert!(step.number.number() - at <= BUNDLE_SKIP_MAX, "{held}: {at}");
            at = step.number.number();
        }
        assert_eq!(at, newest, "{held}");
    }
}
