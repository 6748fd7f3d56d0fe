//! The hashes of NTLMv2 (MS-NLMP, 3.3.2): from a password to a proof and a session key.
//!
//! Everything that lets its holder log on is wiped on drop. Refuses to know NTLMv1.

use super::{hmac_md5, utf16};
use md4::{Digest as _, Md4};
use zeroize::Zeroizing;

/// What one logon proves and agrees on.
pub(super) struct SessionKeys {
    /// `NTOWFv2`: as good as the password.
    owner: Zeroizing<[u8; 16]>,
    /// `NTProofStr`.
    pub(super) proof: [u8; 16],
    /// `SessionBaseKey`, which is the exported key as no key exchange is asked for.
    pub(super) session: Zeroizing<[u8; 16]>,
}

impl SessionKeys {
    pub(super) fn new(
        user: &str,
        domain: &str,
        password: &str,
        challenge: [u8; 8],
        blob: &[u8],
    ) -> Self {
        let hash: Zeroizing<[u8; 16]> = Zeroizing::new(Md4::digest(&*utf16(password)).into());
        let name = utf16(&format!("{}{domain}", user.to_uppercase()));
        let owner = Zeroizing::new(hmac_md5(&*hash, &[&name]));
        let proof = hmac_md5(&*owner, &[&challenge, blob]);
        let session = Zeroizing::new(hmac_md5(&*owner, &[&proof]));
        Self {
            owner,
            proof,
            session,
        }
    }

    /// `LMv2` response, for challenges without a timestamp.
    pub(super) fn lm_response(&self, challenge: [u8; 8], nonce: [u8; 8]) -> [u8; 24] {
        let mut response = [0; 24];
        let proof = hmac_md5(&*self.owner, &[&challenge, &nonce]);
        for (place, byte) in response.iter_mut().zip(proof.iter().chain(&nonce)) {
            *place = *byte;
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MS-NLMP, 4.2.1 and 4.2.4: user `User`, domain `Domain`, password `Password`.
    #[test]
    fn keys_are_those_of_the_printed_example() {
        let challenge = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
        let mut blob = vec![1, 1, 0, 0, 0, 0, 0, 0];
        blob.extend([0; 8]);
        blob.extend([0xaa; 8]);
        blob.extend([0; 4]);
        for (name, text) in [(2, "Domain"), (1, "Server")] {
            blob.extend([name, 0, 12, 0]);
            blob.extend_from_slice(&utf16(text));
        }
        blob.extend([0; 8]);
        let keys = SessionKeys::new("User", "Domain", "Password", challenge, &blob);
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        assert_eq!(hex(&*keys.owner), "0c868a403bfd7a93a3001ef22ef02e3f");
        assert_eq!(hex(&keys.proof), "68cd0ab851e51c96aabc927bebef6a1c");
        assert_eq!(hex(&*keys.session), "8de40ccadbc14a82f15cb0ad0de95ca3");
        assert_eq!(
            hex(&keys.lm_response(challenge, [0xaa; 8])),
            "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa"
        );
    }
}
