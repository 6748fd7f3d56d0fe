//! The certificate nearest to an unknown issuer among those that were shown: what a network's people can recognise.
//!
//! Names are followed, not signatures. Refuses to call anything trustworthy: whoever wants to trust what stands
//! here compares its fingerprint with the one that its owner tells, by another way.

use super::{fields, hexadecimal, name};
use crate::foreign::Foreign;
use crate::limits::{DER_DEPTH_MAX, SHOWN_CERTIFICATE_BYTES_MAX};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// A certificate that was shown and not trusted; unverified.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownIssuer {
    /// Whose certificate it is, as `CN=.., O=..`, escaped.
    pub subject: Foreign,
    /// SHA-256 over its SubjectPublicKeyInfo, in hexadecimal.
    pub spki_sha256: String,
    /// SHA-256 over the whole certificate as people compare it: upper case, a colon between two bytes.
    pub fingerprint: String,
    /// True where it is the issuer's; false where nothing but the server's own certificate was shown.
    pub is_issuer: bool,
    der: Arc<[u8]>,
}

impl ShownIssuer {
    /// Finds it in a chain whose first certificate is the server's own; `None` where that cannot be read, or is
    /// larger than [`SHOWN_CERTIFICATE_BYTES_MAX`].
    #[must_use]
    pub fn of(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Option<Self> {
        let mut top: &[u8] = leaf;
        for _step in 0..DER_DEPTH_MAX {
            let issuer = fields(top)?.issuer;
            let is_its_own = fields(top)?.subject == issuer;
            let above = rest.iter().find(|one| {
                let is_named = fields(one).is_some_and(|fields| fields.subject == issuer);
                is_named && one.len() <= SHOWN_CERTIFICATE_BYTES_MAX
            });
            match above {
                Some(above) if !is_its_own => top = above,
                Some(_) | None => break,
            }
        }
        if top.len() > SHOWN_CERTIFICATE_BYTES_MAX {
            return None;
        }
        let fields = fields(top)?;
        let digest = Sha256::digest(top);
        let pairs: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Some(Self {
            subject: Foreign::new(name(fields.subject).as_bytes()),
            spki_sha256: hexadecimal(&Sha256::digest(fields.key)),
            fingerprint: pairs.join(":"),
            is_issuer: top != &**leaf,
            der: top.into(),
        })
    }

    /// Returns the certificate (DER), at most [`SHOWN_CERTIFICATE_BYTES_MAX`] bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for ShownIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownIssuer")
            .field("subject", &self.subject)
            .field("fingerprint", &self.fingerprint)
            .field("is_issuer", &self.is_issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    struct Chain {
        root: CertificateDer<'static>,
        middle: CertificateDer<'static>,
        leaf: CertificateDer<'static>,
    }

    fn params(name: &str, is_ca: bool) -> CertificateParams {
        let mut params = CertificateParams::new(vec![format!("{name}.test")]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    fn chain() -> Chain {
        let keys = [0; 3].map(|_| KeyPair::generate().unwrap());
        let root = params("root", true).self_signed(&keys[0]).unwrap();
        let by_root = Issuer::new(params("root", true), &keys[0]);
        let middle = params("middle", true).signed_by(&keys[1], &by_root);
        let by_middle = Issuer::new(params("middle", true), &keys[1]);
        let leaf = params("leaf", false).signed_by(&keys[2], &by_middle);
        Chain {
            root: root.der().clone(),
            middle: middle.unwrap().der().clone(),
            leaf: leaf.unwrap().der().clone(),
        }
    }

    #[test]
    fn topmost_certificate_of_the_chain_is_found_in_any_order() {
        let Chain { root, middle, leaf } = chain();
        let check = |rest: &[CertificateDer<'static>], subject: &str, is_issuer: bool| {
            let shown = ShownIssuer::of(&leaf, rest).unwrap();
            assert_eq!(shown.subject.as_str(), subject);
            assert_eq!(shown.is_issuer, is_issuer);
        };
        check(&[middle.clone(), root.clone()], "CN=root", true);
        check(&[root.clone(), middle.clone()], "CN=root", true);
        check(std::slice::from_ref(&middle), "CN=middle", true);
        // One that issued nothing of this chain is not the issuer.
        check(&[root], "CN=leaf", false);
        check(&[], "CN=leaf", false);
        check(&[CertificateDer::from(vec![0x30, 1])], "CN=leaf", false);
    }

    #[test]
    fn fingerprint_is_what_other_tools_print_and_debug_holds_no_certificate() {
        let Chain { middle, leaf, .. } = chain();
        let shown = ShownIssuer::of(&leaf, std::slice::from_ref(&middle)).unwrap();
        assert_eq!(shown.der(), &*middle);
        let plain = shown.fingerprint.replace(':', "").to_lowercase();
        assert_eq!(plain, hexadecimal(&Sha256::digest(&*middle)));
        assert_eq!(shown.fingerprint.len(), 95);
        assert!(!format!("{shown:?}").contains("der"));
    }

    #[test]
    fn what_cannot_be_read_or_is_too_large_is_not_shown() {
        let Chain { middle, leaf, .. } = chain();
        let nonsense = CertificateDer::from(vec![0x30, 0x82]);
        assert_eq!(ShownIssuer::of(&nonsense, &[]), None);
        let padded = |whole: &CertificateDer<'_>| {
            let mut whole = whole.to_vec();
            whole.resize(SHOWN_CERTIFICATE_BYTES_MAX + 1, 0);
            CertificateDer::from(whole)
        };
        assert_eq!(ShownIssuer::of(&padded(&leaf), &[]), None);
        let shown = ShownIssuer::of(&leaf, &[padded(&middle)]).unwrap();
        assert!(!shown.is_issuer);
    }
}
