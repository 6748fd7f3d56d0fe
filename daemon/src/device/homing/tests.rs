use super::addresses;
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::revision::Generation;
use postern_protocol::trust::{BundleContent, Mailbox, Trust, Writership};
use std::collections::{BTreeMap, BTreeSet};

fn signer(number: u8) -> MemorySigner {
    MemorySigner::from_seed(&[number; 32])
}

/// A trust whose bundle lists these mailboxes, the first with key 10.
fn trust(mailboxes: &[&[&str]]) -> Trust {
    let listed = mailboxes.iter().enumerate().map(|(place, urls)| Mailbox {
        key: signer(10 + place as u8).public_key().clone(),
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
    });
    let writership = Writership {
        generation: Generation::new(1),
        key: signer(3).public_key().clone(),
    };
    let content = BundleContent {
        root: signer(1).public_key().clone(),
        recovery: signer(2).public_key().clone(),
        writers: BTreeMap::from([(
            postern_protocol::id::Tenant::parse("acme").unwrap(),
            writership,
        )]),
        mailboxes: listed.collect(),
        revoked: BTreeSet::new(),
    };
    let root = signer(1).public_key().thumbprint();
    let bundle = content.seal(None, root, &signer(1)).unwrap();
    let recovery = signer(2).public_key().thumbprint();
    Trust::from_chain(root, recovery, [bundle.as_bytes()]).unwrap()
}

fn check(mailboxes: &[&[&str]], joined: &[&str], expected: &[&str]) {
    let joined: Vec<_> = joined.iter().map(|url| (*url).to_owned()).collect();
    let found = addresses(&trust(mailboxes), &joined);
    let urls: Vec<_> = found.iter().map(|one| one.url.as_str()).collect();
    assert_eq!(urls, expected);
}

#[test]
fn mailboxes_are_tried_in_the_order_of_the_bundle_then_of_the_join_line() {
    check(
        &[],
        &["https://a", "https://b"],
        &["https://a", "https://b"],
    );
    check(
        &[&["https://r1", "https://r2"], &["https://c"]],
        &["https://c", "https://a"],
        &["https://r1", "https://r2", "https://c", "https://a"],
    );
    check(
        &[&["https://a"], &["https://a"]],
        &["https://a"],
        &["https://a"],
    );
}
