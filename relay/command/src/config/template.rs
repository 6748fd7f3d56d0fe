//! The text of a new `relay.toml`: every key, its meaning, its default and why.
//!
//! Refuses nothing; what it writes is what the parser reads, and a test holds the two together.

use super::{ADMIN_LISTEN, Limit, NO_QUIC, NO_UPSTREAM};
use postern_protocol::id::Thumbprint;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What a new `relay.toml` says.
#[derive(Debug, Clone)]
pub struct NewRelay<'a> {
    /// Where devices and controllers connect.
    pub listen: SocketAddr,
    /// URLs for the relay line.
    pub urls: &'a [String],
    /// Certificate file, as written into the file.
    pub cert: &'a str,
    /// Key file, as written into the file.
    pub key: &'a str,
    /// CA file, as written into the file.
    pub ca: Option<&'a str>,
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// File with the relay line of the upstream, as written into the file.
    pub upstream: Option<&'a str>,
    /// Where metrics and health are served.
    pub admin_listen: SocketAddr,
}

/// Returns the text of a new `relay.toml`, with every key and its meaning.
#[must_use]
pub fn template(new: &NewRelay<'_>) -> String {
    let urls: Vec<_> = new.urls.iter().map(|url| quoted(url)).collect();
    let ca = match new.ca {
        Some(ca) => format!("ca_file = {}", quoted(ca)),
        None => "# ca_file = \"tls/ca.crt\"".into(),
    };
    let mut text = String::from(HEAD);
    let _ = write!(
        text,
        "{LISTEN}listen = \"{}\"\n{URLS}urls = [{}]\n{TLS}cert_file = {}\nkey_file = {}\n{CA}{ca}\n",
        new.listen,
        urls.join(", "),
        quoted(new.cert),
        quoted(new.key),
    );
    numbers(&mut text, "tls");
    let _ = write!(
        text,
        "{QUIC}# listen = \"{NO_QUIC}\"\n{QUIC_KEY}# key_file = \"quic.key\"\n"
    );
    numbers(&mut text, "quic");
    let _ = write!(
        text,
        "{TRUST}root = \"{}\"\nrecovery = \"{}\"\nfile = \"trust.line\"\n{MAILBOX}key_file = \"mailbox.key\"\n",
        new.root, new.recovery
    );
    numbers(&mut text, "mailbox");
    text.push_str(SERVER);
    numbers(&mut text, "server");
    text.push_str("\n[drain]\n");
    numbers(&mut text, "drain");
    let mark = if new.admin_listen.to_string() == ADMIN_LISTEN {
        "# "
    } else {
        ""
    };
    let _ = writeln!(text, "{ADMIN}{mark}listen = \"{}\"", new.admin_listen);
    let (mark, upstream) = match new.upstream {
        Some(file) => ("", quoted(file)),
        None => ("# ", quoted(NO_UPSTREAM)),
    };
    let _ = write!(
        text,
        "{UPSTREAM}{mark}line_file = {upstream}\n{UPSTREAM_CA}# extra_ca_files = []\n{}",
        postern_console::config::egress::PROXY.trim_end(),
    );
    text.push('\n');
    text.push_str(postern_console::config::LOG_TEMPLATE);
    numbers(&mut text, "log");
    text
}

fn numbers(text: &mut String, section: &str) {
    for limit in Limit::ALL {
        let spec = limit.spec();
        if spec.section != section {
            continue;
        }
        let _ = writeln!(
            text,
            "# {} ({} to {}, takes a {}).\n#   {}.\n# {} = {}",
            sentence(spec.unit),
            spec.least,
            spec.most,
            spec.takes.as_str(),
            sentence(spec.reason),
            spec.key,
            spec.default
        );
    }
}

/// Begins a text with a capital.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Writes a text as a TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

const HEAD: &str = "\
# Postern relay. An unknown or misspelt key is refused, and so is one that this version would not obey.
# A line that begins with `# key =` shows a default. Paths are relative to this folder.
# After a change: `postern-relay check`, then `postern-relay reload` or SIGHUP; a file that is wrong changes nothing.

";
const LISTEN: &str =
    "# Address and port on which devices and controllers reach this machine. Takes a restart.\n";
const URLS: &str = "
# URLs under which they reach it, 1 to 8. They go into the relay line: after a change print it again
# with `postern-relay line` and give it to `postern controller relay add`.
";
const TLS: &str = "
[tls]
# Certificate chain (leaf first) and private key of the HTTPS server, PEM. They are read again at a
# reload and within a minute after either file changed.
";
const CA: &str = "# CA certificate that the relay line carries. Leave it out when everybody trusts the issuer anyway.\n";
const QUIC: &str = "
[quic]
# UDP address and port of a second door with the same certificate, or none. It takes the same exchanges;
# devices and controllers look for it at the port of the URL. Never the only door, because networks block
# UDP. Takes a restart.
";
const QUIC_KEY: &str = "\
# Secret by which peers notice a restart with their next packet; made at the first start with a door.
# Relays behind one address share it. Takes a restart.
";
const TRUST: &str = "
[trust]
# Thumbprints of the first root key and of the first recovery key: the trust domain that is served.
# They were pinned from the trust line when this folder was made; never change them.
";
const MAILBOX: &str = "
[mailbox]
# Private key with which the mailbox proves itself to devices and controllers.
";
const UPSTREAM: &str = "
[upstream]
# File with the relay line of another relay, which this one dials: what devices post here goes on to it, and
# what their controller brought there comes here. Or none. [proxy] is about the way there. Takes a restart.
";
const UPSTREAM_CA: &str =
    "# PEM files that vouch for its TLS beside the system and its relay line. Takes a restart.\n";
const SERVER: &str = "
[server]
# Networks of load balancers that pass TCP on and begin each connection with a PROXY header, version 2; they
# must always send it, and limits then look at the address that it states. Only networks from which nobody
# else can connect. UDP has no such header. Takes a restart.
# proxy_protocol_from = []
";
const ADMIN: &str = "
[admin]
# Address and port of /metrics, /livez and /readyz in plain HTTP. Keep it on loopback or on a
# management network: it is not protected.
";
