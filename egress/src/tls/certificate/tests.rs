use super::*;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _};

fn issued_by(common_name: &str, organization: &str) -> (Vec<u8>, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["controller.test".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().to_vec(), key.subject_public_key_info())
}

fn check(common_name: &str, organization: &str, issuer: &str) {
    let (der, spki) = issued_by(common_name, organization);
    let report = LeafReport::of(&CertificateDer::from(der));
    assert_eq!(report.issuer.as_str(), issuer);
    let digest = Sha256::digest(spki);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report.spki_sha256, hex);
}

#[test]
fn issuer_and_key_are_read() {
    check(
        "Corp Inspection Root CA",
        "Corp",
        "O=Corp, CN=Corp Inspection Root CA",
    );
    check("evil\u{1b}[31m", "a\r\nb", "O=a\\r\\nb, CN=evil\\x1b[31m");
}

#[test]
fn damaged_certificates_yield_nothing_and_do_not_panic() {
    let (der, _) = issued_by("CA", "Corp");
    for cut in 0..der.len() {
        assert_eq!(walk(&der[..cut]), None, "cut at {cut}");
    }
    for at in 0..der.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = der.clone();
            damaged[at] ^= flip;
            let _ = LeafReport::of(&CertificateDer::from(damaged));
        }
    }
    assert_eq!(walk(&[]), None);
    assert_eq!(walk(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    assert_eq!(walk(&[0x30, 0x80, 0, 0]), None);
    assert_eq!(walk(&[0x30, 0x85, 0, 0, 0, 0, 0]), None);
    assert_eq!(walk(&[0x30]), None);
}
