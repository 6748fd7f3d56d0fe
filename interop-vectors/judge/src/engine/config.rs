//! What a conversation starts from: who the device is, whom it trusts, what it holds, what it draws.
//!
//! Refuses bundles that are no chain: a device that trusts nobody has no conversation.

use super::node::{Draws, Node};
use crate::request::{
    Fault, array, blobs, member, place, present, thumbprint, uint, untagged, wrong,
};
use postern_protocol::device::Identity;
use postern_protocol::key::MemorySigner;
use postern_protocol::trust::Trust;
use serde_json::Value as Json;

/// The start of a conversation.
#[derive(Debug)]
pub(super) struct Config {
    /// The device, not started.
    pub(super) node: Node,
    /// Frames of a file that it is given before the first step.
    pub(super) held: Vec<Vec<u8>>,
    /// X25519 secrets of the mailbox, of which a challenge shows the public key.
    pub(super) mailbox_seeds: Vec<[u8; 32]>,
}

impl Config {
    /// Reads the member `config`. # Errors: [`Fault`].
    pub(super) fn read(config: &Json) -> Result<Self, Fault> {
        let (channel, incarnation) = place(config)?;
        let bundles: Vec<Vec<u8>> = blobs(config, "bundles")?
            .into_iter()
            .map(untagged)
            .collect();
        let recovery = thumbprint(config, "recovery")?;
        let bundles = bundles.iter().map(Vec::as_slice);
        let trust = Trust::from_chain(channel.root, recovery, bundles)
            .map_err(|_| wrong("bundles is no chain of bundles"))?;
        let identity = Identity {
            channel,
            incarnation,
        };
        let random = member(config, "random")?;
        let draws = Draws::new(arrays(random, "ephemerals")?, arrays(random, "nonces")?);
        let signer = MemorySigner::from_seed(&array(config, "seed")?);
        let mut node = Node::new(identity, signer, trust, draws)?;
        node.unix_s = match present(config, "unix_s") {
            Some(_) => Some(uint(config, "unix_s")?),
            None => None,
        };
        node.set_max_age(uint(config, "max_age_ms")?)?;
        Ok(Self {
            node,
            held: blobs(config, "held")?,
            mailbox_seeds: arrays(config, "mailbox_seeds")?,
        })
    }
}

fn arrays<const N: usize>(request: &Json, name: &str) -> Result<Vec<[u8; N]>, Fault> {
    let size = |blob: Vec<u8>| {
        blob.try_into()
            .map_err(|_| wrong("a secret has another size"))
    };
    blobs(request, name)?.into_iter().map(size).collect()
}
