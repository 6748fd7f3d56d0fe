//! Connection ids: random, and recognised by a server that has the same secret.
//!
//! ```text
//!   8 random bytes | 8 bytes of HMAC-SHA256(key, the random ones)
//! ```
//!
//! The library's own recognisable ids have 24 random bits. The id in a Retry is not compared with those in use: one
//! that meets an id of another connection leads its client's packets there, and the client waits for nothing until
//! its timeout; with a few thousand connections that happened to one client in some thousand. Refuses ids that were
//! made under another secret.

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use ring::hmac;
use std::time::Duration;

/// Random bytes of an id: 20,000 connections with 8 ids each meet once in a billion times.
const RANDOM_BYTES: usize = 8;
/// Bytes by which an id is recognised.
const MARK_BYTES: usize = 8;

/// Makes and recognises ids under one key.
pub(super) struct ConnectionIds(hmac::Key);

impl ConnectionIds {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn mark(&self, random: &[u8]) -> [u8; MARK_BYTES] {
        let tag = hmac::sign(&self.0, random);
        let mark = tag.as_ref().first_chunk::<MARK_BYTES>();
        mark.copied().unwrap_or_default()
    }
}

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        // Without random bytes, which is logged, ids meet and clients come again.
        let random: [u8; RANDOM_BYTES] = crate::server::random::bytes().unwrap_or_default();
        ConnectionId::new(&[random, self.mark(&random)].concat())
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let (random, mark) = id.split_at_checked(RANDOM_BYTES).ok_or(InvalidCid)?;
        // It spares work for strangers and protects nothing: equal in any time will do.
        if self.mark(random) == *mark {
            Ok(())
        } else {
            Err(InvalidCid)
        }
    }

    fn cid_len(&self) -> usize {
        RANDOM_BYTES + MARK_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// As many as 12,500 connections have at 8 ids each; of 24 random bits some hundred pairs would meet.
    #[test]
    fn ids_of_many_connections_do_not_meet() {
        let mut ids = ConnectionIds::new(&[1; 32]);
        let made: BTreeSet<Vec<u8>> = (0..100_000).map(|_| ids.generate_cid().to_vec()).collect();
        assert_eq!(made.len(), 100_000);
        assert!(made.iter().all(|id| id.len() == ids.cid_len()));
    }

    #[test]
    fn id_is_recognised_under_its_own_secret_only() {
        let mut own = ConnectionIds::new(&[1; 32]);
        let [same, other] = [1, 2].map(|key| ConnectionIds::new(&[key; 32]));
        let id = own.generate_cid();
        assert!(same.validate(&id).is_ok());
        assert!(other.validate(&id).is_err());
        let changed = |place: usize| {
            let mut bytes = id.to_vec();
            bytes[place] ^= 1;
            ConnectionId::new(&bytes)
        };
        for place in 0..own.cid_len() {
            assert!(own.validate(&changed(place)).is_err(), "{place}");
        }
        for length in [0, 7, 8, 15, 20] {
            let bytes = [id.to_vec(), vec![0; 4]].concat();
            assert!(
                own.validate(&ConnectionId::new(&bytes[..length])).is_err(),
                "{length}"
            );
        }
    }
}
