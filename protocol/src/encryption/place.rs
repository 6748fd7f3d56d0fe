//! Where an encrypted thing belongs: the life of a device, the plane, and the message or section.
//!
//! Refuses to be sent: each end builds it from what it knows, so that nothing decrypts elsewhere.

use crate::cbor::Writer;
use crate::envelope::Header;
use crate::id::{Channel, Digest, Incarnation, Plane};
use crate::revision::KeyGeneration;
use alloc::vec::Vec;

/// One life of one device: what all keys of a channel belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The device's names.
    pub channel: Channel,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

impl Life {
    fn begin(&self, length: usize, purpose: &str) -> Writer {
        let mut writer = Writer::with_capacity(256);
        writer
            .array(length)
            .text(purpose)
            .bytes(self.channel.root.as_bytes())
            .text(self.channel.tenant.as_str())
            .text(self.channel.device.as_str())
            .bytes(self.incarnation.as_bytes());
        writer
    }

    //= spec/encryption.md#encrypted
    //# The external_aad of a payload or of lists MUST repeat channel, incarnation, plane and all five
    //# members of the position in the header.
    /// The aad of what stands in the payload of the message that `header` heads.
    #[must_use]
    pub fn message_aad(&self, plane: Plane, header: &Header) -> Vec<u8> {
        let mut writer = self.begin(7, "postern/1 encrypted");
        writer.uint(plane.number()).array(5);
        writer
            .uint(header.kind.number())
            .uint(header.epoch.number())
            .uint(header.seq.number())
            .uint(header.base.number());
        let digest = header.digest.as_ref();
        writer.bytes(digest.map_or(&[][..], |digest| digest.as_bytes()));
        writer.into_bytes()
    }

    //= spec/encryption.md#encrypted
    //# The external_aad of a section body MUST repeat channel, incarnation, plane, section name and the
    //# body's keyed digest.
    /// The aad of a section body.
    #[must_use]
    pub fn body_aad(&self, plane: Plane, section: &str, digest: &Digest) -> Vec<u8> {
        let mut writer = self.begin(8, "postern/1 encrypted body");
        writer
            .uint(plane.number())
            .text(section)
            .bytes(digest.as_bytes());
        writer.into_bytes()
    }

    /// The aad of the keys of a generation on their way to the device.
    pub(super) fn plane_key_aad(&self, generation: KeyGeneration) -> Vec<u8> {
        let mut writer = self.begin(6, "postern/1 plane-key");
        writer.uint(generation.number());
        writer.into_bytes()
    }
}
