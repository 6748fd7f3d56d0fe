//! Encryption of planes: what a relay carries and cannot read.
//!
//! ```text
//!  agreement key (bound at enrolment) <--HPKE-- PlaneKey --> Vault: digest key, cipher keys by generation
//!  payload, lists, section body --Vault::encrypt--> COSE_Encrypt0 --Vault::decrypt--> the same bytes
//! ```
//!
//! Encrypt, then sign: a COSE_Encrypt0 stands inside the payload of an envelope, or is named by a
//! signed table. Digests of encrypted planes are HMACs under a key that outlives every rotation.
//! Refuses to derive an IV from a number: one number is encrypted many times.

mod agreement;
mod bodies;
mod encrypt0;
mod keys;
mod place;
mod plane_key;
#[cfg(test)]
mod tests;
mod vault;

pub use agreement::{AgreementKey, AgreementSecret};
pub use bodies::EncryptedBodies;
pub use encrypt0::{Encrypted, encrypt};
pub use keys::{CipherKey, DigestKey, Digester};
pub use place::Life;
pub use plane_key::{Arriving, KeyPlace, PlaneKey, check_plane_key};
pub use vault::Vault;
