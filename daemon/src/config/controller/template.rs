//! What a new `controller.toml` says: every key, its default and its meaning.
//!
//! Refuses to leave a key out: an operator learns here what there is.

use super::super::egress::{PROXY, TRANSPORT};
use super::{ControllerConfig, ControllerLimits, NONE};
use postern_console::config::LOG_TEMPLATE;
use postern_protocol::id::{Tenant, Thumbprint};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// Where a new controller listens.
#[derive(Debug, Clone, Copy)]
pub struct NewListener<'a> {
    /// The address.
    pub listen: SocketAddr,
    /// Certificate file, as written into the file.
    pub cert: &'a str,
    /// Key file, as written into the file.
    pub key: &'a str,
    /// CA file, as written into the file.
    pub ca: Option<&'a str>,
}

/// What a new `controller.toml` says.
#[derive(Debug, Clone)]
pub struct NewController<'a> {
    /// Where devices connect; `None` for a controller that only dials out.
    pub listener: Option<NewListener<'a>>,
    /// URLs for join lines.
    pub urls: &'a [String],
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// Tenants and their key files, as written into the file.
    pub writers: &'a [(Tenant, String)],
}

impl ControllerConfig {
    /// Returns the text of a new `controller.toml`, with every key and its meaning.
    #[must_use]
    pub fn template(new: &NewController<'_>) -> String {
        let limits = ControllerLimits::default();
        let mut text = String::from(HEAD);
        let urls: Vec<_> = new.urls.iter().map(|url| quoted(url)).collect();
        let listen = new
            .listener
            .map_or_else(|| NONE.to_owned(), |new| new.listen.to_string());
        let _ = write!(
            text,
            "{LISTEN}listen = \"{listen}\"\n{URLS}urls = [{}]\n{ANCHORS}",
            urls.join(", "),
        );
        if let Some(new) = new.listener {
            let ca = match new.ca {
                Some(ca) => format!("ca_file = {}", quoted(ca)),
                None => "# ca_file = \"tls/ca.crt\"".into(),
            };
            let (cert, key) = (quoted(new.cert), quoted(new.key));
            let _ = writeln!(text, "{TLS}cert_file = {cert}\nkey_file = {key}\n{CA}{ca}");
        }
        let _ = write!(text, "{PROXY}{}", TRANSPORT.trim_end_matches('\n'));
        text.push('\n');
        let _ = write!(
            text,
            "{TRUST}root = \"{}\"\nrecovery = \"{}\"\n{TENANTS}",
            new.root, new.recovery
        );
        for (tenant, key_file) in new.writers {
            let _ = write!(
                text,
                "[tenants.{}]\nwriter_key_file = {}\n",
                quoted(tenant.as_str()),
                quoted(key_file)
            );
        }
        let _ = write!(
            text,
            "{MAILBOX}# bytes_max = {}\n{TOTAL}# total_bytes_max = {}\n{SERVER}# connections_max = {}\n\
             {SOURCE}# source_connections_max = {}\n{HOLD}# hold_s_max = {}\n{QUIC}# quic = true\n{LOG_TEMPLATE}",
            limits.mailbox_bytes_max,
            limits.mailboxes_bytes_max,
            limits.connections_max,
            limits.source_connections_max,
            limits.hold_s_max,
        );
        text
    }
}

/// Writes a text as a TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

const HEAD: &str = "\
# Postern controller. Read once at start; an unknown or misspelt key is refused.
# A line that begins with `# key =` shows a default. Paths are relative to this folder.

";
const LISTEN: &str = "\
# Address and port on which devices reach this machine; \"none\" for a controller that only dials out,
# to the relays that `postern controller relay add` names.
";
const URLS: &str = "
# URLs under which devices reach this controller, up to 8. They go into join lines, before those of relays.
";
const ANCHORS: &str = "
# CA certificates (PEM files or folders of them) that vouch for relays, beside the system's.
# extra_ca_files = []
";
const TLS: &str = "
[tls]
# Certificate chain (leaf first) and private key of the HTTPS server, PEM.
";
const CA: &str =
    "# CA certificate that join lines carry. Leave it out when devices trust the issuer anyway.\n";
const TRUST: &str = "
[trust]
# Thumbprints of the first root key and of the first recovery key: the identity of this trust
# domain. Every device pinned them when it joined; never change them.
";
const TENANTS: &str = "
# One table a tenant. `writer_key_file` signs the desired state of the tenant's devices.
";
const MAILBOX: &str = "
[mailbox]
# Private key with which the mailbox proves itself to devices.
key_file = \"mailbox.key\"
# Bytes of one device's mailbox.
";
const TOTAL: &str = "# Bytes of all mailboxes together.\n";
const SERVER: &str = "
[server]
# Connections at once.
";
const SOURCE: &str = "# Connections at once from one address (devices behind one NAT share one).\n";
const HOLD: &str = "# Seconds that a device's request is held open at most, 5 to 300.\n";
const QUIC: &str = "\
# Whether devices may come by QUIC too: UDP, on the port of `listen`. Its secret stands in quic.key.
";
