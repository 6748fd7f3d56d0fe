//! Relays in bundles: their order, what rotations leave alone, and controllers that only dial out.

use super::rotation::Folder;
use crate::config::ControllerConfig;
use crate::controller::keyring::{mailbox_keys, read_mailboxes};
use crate::controller::relays::{is_behind, read_anchor, write_anchor, write_behind};
use crate::controller::rotate::Rotation;
use postern_egress::ProxyPolicy;
use postern_protocol::id::Thumbprint;
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::trust::Mailbox;
use std::collections::BTreeSet;

fn relay(number: u8, url: &str) -> Mailbox {
    Mailbox {
        key: MemorySigner::from_seed(&[number; 32]).public_key().clone(),
        urls: vec![url.to_owned()],
    }
}

fn add(relay: &Mailbox, is_first: bool) -> Rotation {
    Rotation::AddRelay {
        relay: Box::new(relay.clone()),
        is_first,
    }
}

fn urls(folder: &Folder) -> Vec<String> {
    let trust = folder.trust();
    let urls = trust
        .mailboxes()
        .iter()
        .flat_map(|mailbox| mailbox.urls.clone());
    urls.collect()
}

const OWN: &str = "https://127.0.0.1:8443";

#[test]
fn relays_stand_behind_the_controller_unless_they_shall_be_first() {
    let folder = Folder::listening(Some("127.0.0.1:8443"));
    folder
        .rotate(&add(&relay(40, "https://a"), false), None)
        .unwrap();
    folder
        .rotate(&add(&relay(41, "https://b"), true), None)
        .unwrap();
    assert_eq!(urls(&folder), ["https://b", OWN, "https://a"]);
    // The same key again takes its new URLs in its place, or moves to the front.
    folder
        .rotate(&add(&relay(40, "https://a2"), false), None)
        .unwrap();
    assert_eq!(urls(&folder), ["https://b", OWN, "https://a2"]);
    folder
        .rotate(&add(&relay(40, "https://a2"), true), None)
        .unwrap();
    assert_eq!(urls(&folder), ["https://a2", "https://b", OWN]);
}

#[test]
fn relay_that_is_known_revoked_or_absent_is_refused() {
    let folder = Folder::listening(Some("127.0.0.1:8443"));
    let (known, gone) = (relay(40, "https://a"), relay(41, "https://b"));
    folder.rotate(&add(&known, false), None).unwrap();
    folder.refused(&add(&known, false), None, "relay-known");
    folder.refused(
        &Rotation::RemoveRelay(gone.key.thumbprint()),
        None,
        "relay-unknown",
    );
    let own = folder.trust().mailboxes()[0].key.thumbprint();
    folder.refused(&Rotation::RemoveRelay(own), None, "relay-unknown");
    let in_use = Rotation::Revoke(BTreeSet::from([known.key.thumbprint()]));
    folder.refused(&in_use, None, "key-in-use");
    folder
        .rotate(&Rotation::RemoveRelay(known.key.thumbprint()), None)
        .unwrap();
    folder.rotate(&in_use, None).unwrap();
    folder.refused(&add(&known, false), None, "key-revoked");
    assert_eq!(urls(&folder), [OWN]);
}

#[test]
fn mailbox_rotation_leaves_relays_alone() {
    let folder = Folder::listening(Some("127.0.0.1:8443"));
    let first = relay(40, "https://a");
    folder.rotate(&add(&first, true), None).unwrap();
    let own = folder.trust().mailboxes()[1].key.clone();
    for rotation in [Rotation::Mailbox, Rotation::Promote] {
        folder.rotate(&rotation, None).unwrap();
        let trust = folder.trust();
        assert_eq!(trust.mailboxes().len(), 2);
        assert_eq!(trust.mailboxes()[0], first);
        assert_ne!(trust.mailboxes()[1].key, own);
    }
}

#[test]
fn controller_that_only_dials_out_names_no_mailbox_of_its_own() {
    let folder = Folder::listening(None);
    assert_eq!(urls(&folder), [] as [&str; 0]);
    assert_eq!(
        (folder.config.listen, folder.config.tls.is_none()),
        (None, true)
    );
    folder.refused(&Rotation::Mailbox, None, "mailbox-absent");
    folder
        .rotate(&add(&relay(40, "https://a"), false), None)
        .unwrap();
    folder.rotate(&Rotation::Promote, None).unwrap();
    assert_eq!(urls(&folder), ["https://a"]);
    // It still has a key of its own, under which nobody can greet it.
    let trust = folder.trust();
    assert_eq!(read_mailboxes(&folder.config, &trust).unwrap().len(), 1);
    let bundles = crate::controller::bundles::read(&folder.config).unwrap().1;
    assert!(mailbox_keys(&folder.config, &trust, &bundles).is_ok());
}

#[test]
fn controller_that_only_dials_out_still_refuses_a_malformed_proxy() {
    let folder = Folder::listening(None);
    let file = ControllerConfig::file(&folder.config.dir);
    let text = std::fs::read_to_string(&file).unwrap();
    let load = |url: &str| {
        let line = format!("url = \"{url}\"");
        std::fs::write(
            &file,
            text.replace("# url = \"http://proxy.example:3128\"", &line),
        )
        .unwrap();
        ControllerConfig::load(&folder.config.dir)
    };
    let proxied = load("http://proxy.example:3128").unwrap();
    assert_eq!(proxied.proxy.policy(), ProxyPolicy::Require);
    assert!(load("ftp://proxy.example").is_err());
    assert!(load("proxy.example:port").is_err());
}

#[test]
fn relay_behind_another_is_noted_until_it_is_added_without_that() {
    let folder = Folder::listening(None);
    let [one, other] = [40, 41].map(|number| relay(number, "https://a").key.thumbprint());
    assert!(!is_behind(&folder.config, one));
    for _again in 0..2 {
        write_behind(&folder.config, one, true).unwrap();
        assert!(is_behind(&folder.config, one));
        assert!(!is_behind(&folder.config, other));
    }
    write_behind(&folder.config, one, false).unwrap();
    assert!(!is_behind(&folder.config, one));
}

#[test]
fn anchor_of_a_relay_is_kept_and_damage_is_named() {
    let folder = Folder::listening(Some("127.0.0.1:8443"));
    let relay = Thumbprint::from_bytes([7; 32]);
    assert_eq!(read_anchor(&folder.config, relay).unwrap(), None);
    for anchor in [b"first".as_slice(), b"second, in its place"] {
        write_anchor(&folder.config, relay, anchor).unwrap();
        assert_eq!(
            read_anchor(&folder.config, relay).unwrap().as_deref(),
            Some(anchor)
        );
    }
    let file = folder.config.dir.join(format!("relays/{relay}.crt"));
    std::fs::write(&file, "no certificate").unwrap();
    let error = read_anchor(&folder.config, relay).unwrap_err();
    assert_eq!(error.name, "relay-anchor-unreadable");
    assert!(error.message.contains(&relay.to_string()));
}
