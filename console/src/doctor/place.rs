//! Where and when a diagnosis looks: the network, the clock, and what the certificate of an unknown issuer shows.
//!
//! Plain data for the report. What the system does not tell stays `None` and is called unknown. Refuses to ask the
//! network anything.

use crate::pem;
use postern_egress::network::{Signs, source};
use postern_egress::{Fault, TimeReport, TlsFault};
use serde::{Deserialize, Serialize};

/// In which network this machine is, as far as its own system tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// The short name of the network: a hash of its signs, the same as in the device's status.
    pub id: String,
    /// The interface of the default route; `None` where there is no default route.
    pub interface: Option<String>,
    /// What kind of interface that is, such as `Ethernet`.
    pub kind: Option<String>,
    /// The address of this machine on the default route.
    pub address: Option<String>,
    /// The gateway of the default route; `None` where there is none, as in a tunnel.
    pub gateway: Option<String>,
    /// The setting that names the proxies: a file and its key, a variable, a script.
    pub proxies_from: Option<String>,
}

impl NetworkReport {
    /// Looks at the system. `proxy` is the word for the proxy setting that is a part of the network's name.
    #[must_use]
    pub fn look(proxy: &str) -> Self {
        let signs = source::signs(std::path::Path::new("/"), proxy);
        let address = source::own_address(&signs);
        Self {
            address: address.map(|address| address.to_string()),
            ..Self::of(&signs)
        }
    }

    /// Describes signs.
    #[must_use]
    pub fn of(signs: &Signs) -> Self {
        let gateway = signs.route.as_ref().map(|route| route.gateway.clone());
        Self {
            id: signs.id().to_string(),
            interface: signs.route.as_ref().map(|route| route.interface.clone()),
            kind: signs.kind_name().map(str::to_owned),
            address: None,
            gateway: gateway.filter(|gateway| gateway != "0.0.0.0" && gateway != "::"),
            proxies_from: None,
        }
    }
}

/// The time at which certificates were checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReport {
    /// That time, in seconds since 1970.
    pub checked_s: u64,
    /// This machine's clock, in seconds since 1970.
    pub machine_s: u64,
    /// Seconds that it is ahead of the time that a mailbox signed; `None` before one did.
    pub ahead_s: Option<i64>,
    /// Where the time comes from: `mailbox`, `machine` or `floor`, which is the latest time known to have passed.
    pub source: String,
}

impl From<TimeReport> for ClockReport {
    fn from(report: TimeReport) -> Self {
        Self {
            checked_s: report.checked_s,
            machine_s: report.wall_s,
            ahead_s: report.ahead_s,
            source: report.source().to_owned(),
        }
    }
}

/// The certificate nearest to an issuer that is not trusted, as it was shown: unverified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerReport {
    /// The issuer of the certificate that was refused, escaped.
    pub issuer: String,
    /// Whose certificate this one is, escaped.
    pub subject: String,
    /// SHA-256 over the certificate, upper case with colons, as other tools print it.
    pub fingerprint: String,
    /// SHA-256 over its public key (SubjectPublicKeyInfo), in hexadecimal.
    pub spki_sha256: String,
    /// True where it is the issuer's; false where nothing but the server's own certificate was shown.
    pub is_issuer: bool,
    /// The certificate (PEM).
    pub pem: String,
}

impl IssuerReport {
    /// Reads what a refused handshake showed; `None` where something else went wrong.
    pub(super) fn of(fault: &Fault) -> Option<Self> {
        let Fault::Tls(TlsFault::UnknownIssuer {
            leaf,
            shown: Some(shown),
        }) = fault
        else {
            return None;
        };
        Some(Self {
            issuer: leaf.issuer.to_string(),
            subject: shown.subject.to_string(),
            fingerprint: shown.fingerprint.clone(),
            spki_sha256: shown.spki_sha256.clone(),
            is_issuer: shown.is_issuer,
            pem: pem::certificate(shown.der()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_egress::network::DefaultRoute;

    fn signs(gateway: &str, kind: u32) -> Signs {
        Signs {
            route: Some(DefaultRoute {
                interface: "eth0".into(),
                gateway: gateway.into(),
            }),
            kind: (kind, false),
            ..Signs::default()
        }
    }

    #[test]
    fn what_the_system_does_not_tell_is_not_made_up() {
        let nowhere = NetworkReport::of(&Signs::default());
        assert_eq!(nowhere.id, "00000000");
        assert_eq!((nowhere.interface, nowhere.kind), (None, None));
        assert_eq!((nowhere.gateway, nowhere.address), (None, None));
        let tunnel = NetworkReport::of(&signs("0.0.0.0", 65_534));
        assert_eq!((tunnel.gateway, tunnel.kind), (None, Some("tunnel".into())));
        let unread = NetworkReport::of(&signs("10.0.0.1", 0));
        assert_eq!(unread.kind, None);
        assert_eq!(unread.gateway.as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn only_an_unknown_issuer_has_a_certificate_to_show() {
        let unknown = |shown| TlsFault::UnknownIssuer {
            leaf: postern_egress::LeafReport::default(),
            shown,
        };
        assert_eq!(IssuerReport::of(&unknown(None).into()), None);
        assert_eq!(IssuerReport::of(&TlsFault::NotTls.into()), None);
        assert_eq!(IssuerReport::of(&Fault::Silent), None);
    }
}
