//! The operation `session.greeting`: a mailbox judges the hello of a writer or of another mailbox.
//!
//! Whom the mailbox serves comes from the vector. Refuses devices, whose hellos have vectors of their own.

use super::support::{bytes, hex_of, text};
use super::{Given, array, rows, thumbprint};
use postern_protocol::Reject;
use postern_protocol::id::Tenant;
use postern_protocol::key::PublicKey;
use postern_protocol::session::{Admitted, ReceivedHello};
use serde_json::Value as Json;

/// The hello of a writer or of another mailbox.
pub(crate) fn greeting(test: &Json) -> Given {
    let frame = bytes(test, "frame");
    let hello = ReceivedHello::parse(&frame)?;
    let greeters = rows(test, "greeters");
    let Some(row) = greeters.iter().find(|row| {
        let selects = match text(row, "role") {
            "writer" => *hello.tenant().as_bytes(),
            "mailbox" => *hello.mailbox().as_bytes(),
            other => panic!("{other} has vectors of its own"),
        };
        bytes(row, "id") == selects
    }) else {
        return Err(Reject::NotAdmitted);
    };
    let (root, key) = (thumbprint(row, "root"), bytes(row, "public_key"));
    let key = PublicKey::from_bytes(&key).expect("a key");
    let tenant = Tenant::parse(text(row, "tenant"));
    let admitted = match &tenant {
        Ok(tenant) => Admitted::writer(root, tenant, &key),
        Err(_) => Admitted::mailbox(root, &key),
    };
    let window = rows(test, "issued")
        .iter()
        .find(|row| bytes(row, "challenge") == hello.unverified_challenge().as_bytes())
        .ok_or(Reject::ChallengeUnknown)?;
    let seed: [u8; 32] = array(window, "mailbox_seed");
    let mailbox = thumbprint(test, "mailbox_thumbprint");
    let agreed = hello.verify(mailbox, &seed, &[admitted], |_| false)?;
    Ok(vec![
        ("greeter", text(row, "role").into()),
        ("transcript", hex_of(agreed.transcript.as_bytes())),
        ("key_up", hex_of(agreed.keys.up.danger_bytes())),
        ("key_down", hex_of(agreed.keys.down.danger_bytes())),
    ])
}
