//! `postern-relay init` and `line`: a relay's folder, and the line by which a controller names it.
//!
//! ```text
//!  D (0700)  mailbox.key                         0600, read by `run`
//!            tls/ca.crt  tls/server.crt  tls/server.key
//!            trust.line                          whom this relay believes, verified
//!            upstream.line                       the relay that this one dials, if it dials one
//!            relay.toml                          pins root and recovery by thumbprint; written last
//! ```
//!
//! The store and its number are made by the first `run`. Refuses to overwrite anything, and a trust
//! line that does not verify.

use crate::config::{NewRelay, RelayConfig, check_url, template};
use postern_console::certificate::{self, Pem};
use postern_console::exit::{CommandError, Exit};
use postern_console::folder::create_private;
use postern_console::keys::{self, KeyRole};
use postern_egress::MailboxUrl;
use postern_protocol::context::Random;
use postern_protocol::key::Signer as _;
use postern_protocol::limits::URLS_MAX;
use postern_protocol::trust::Trust;
use postern_protocol::trust_line::{LineError, RelayLine, TrustLine};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The relay line of the upstream, in the folder.
const UPSTREAM_LINE: &str = "upstream.line";

/// What a new relay shall be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder to make; it may exist, but hold no relay.
    pub dir: PathBuf,
    /// Where devices and controllers connect.
    pub listen: SocketAddr,
    /// Where metrics and health are served.
    pub admin_listen: SocketAddr,
    /// URLs for the relay line, at least one.
    pub urls: Vec<String>,
    /// The operator's own certificate chain and key; absent: a CA and a certificate are made.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The trust line.
    pub trust: String,
    /// The relay line of the relay that the new one dials, if it dials one.
    pub upstream: Option<String>,
}

/// Makes a relay's folder and returns its relay line.
///
/// # Errors
/// A folder that holds a relay already, a URL, certificate or trust line that cannot be used, a file
/// system that refuses.
pub fn create(options: &Options, random: &mut dyn Random) -> Result<String, CommandError> {
    let dir = options.dir.as_path();
    refuse_existing(dir)?;
    check_urls(&options.urls)?;
    let line = parse_trust(&options.trust, "standard input")?;
    let upstream = options.upstream.as_deref();
    let upstream = upstream.map(check_upstream).transpose()?;
    let (pem, ca) = prepare_tls(options)?;
    for folder in [dir.to_path_buf(), dir.join("tls")] {
        create_private(&folder).map_err(|error| unwritable(&folder, &error))?;
    }
    // A folder that stood there before may have been made for everybody.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .map_err(|error| unwritable(dir, &error))?;
    write_new(&dir.join("tls/server.crt"), pem.chain.as_bytes())?;
    write_new(&dir.join("tls/server.key"), pem.key.as_bytes())?;
    if let Some(ca) = &ca {
        write_new(&dir.join("tls/ca.crt"), ca.as_bytes())?;
    }
    keys::create(&dir.join("mailbox.key"), KeyRole::Mailbox, random)?;
    let trust = format!("{}\n", options.trust.trim());
    write_new(&dir.join("trust.line"), trust.as_bytes())?;
    if let Some(upstream) = upstream {
        write_new(&dir.join(UPSTREAM_LINE), format!("{upstream}\n").as_bytes())?;
    }
    // The configuration comes last: a folder without it is not taken for a relay.
    let text = template(&NewRelay {
        listen: options.listen,
        urls: &options.urls,
        cert: "tls/server.crt",
        key: "tls/server.key",
        ca: ca.as_ref().map(|_| "tls/ca.crt"),
        root: line.root,
        recovery: line.recovery,
        upstream: upstream.map(|_| UPSTREAM_LINE),
        admin_listen: options.admin_listen,
    });
    write_new(&RelayConfig::file(dir), text.as_bytes())?;
    relay_line(&RelayConfig::load(dir)?)
}

/// Checks that a text is a relay line, and returns it without the space around it.
fn check_upstream(text: &str) -> Result<&str, CommandError> {
    let refused = |error: LineError| {
        CommandError::configuration(
            "upstream-line",
            format!("--upstream: {error}"),
            "name the file with what `postern-relay line` prints at the relay that the new one dials",
        )
    };
    RelayLine::parse(text).map_err(refused)?;
    Ok(text.trim())
}

/// Returns the line by which `postern controller relay add` names this relay in the next bundle.
///
/// # Errors
/// A key or CA file that cannot be read.
pub fn relay_line(config: &RelayConfig) -> Result<String, CommandError> {
    let signer = keys::read(&config.mailbox_key, KeyRole::Mailbox)?;
    let tls_ca = config.tls.ca.as_deref().map(read_ca).transpose()?;
    let line = RelayLine {
        key: signer.public_key().clone(),
        urls: config.urls.clone(),
        tls_ca,
    };
    line.text().map_err(|error| {
        CommandError::configuration(
            "relay-line",
            format!("no controller would take the relay line: {error}"),
            "name fewer or shorter URLs, or a smaller CA certificate, in relay.toml",
        )
    })
}

/// Reads and verifies the trust line of a configuration, and compares it with what is pinned.
///
/// # Errors
/// A file that cannot be read, a line that does not verify or is of another trust domain.
pub fn read_trust(config: &RelayConfig) -> Result<Trust, CommandError> {
    let line = read_trust_line(config)?;
    line.trust().map_err(|reject| {
        CommandError::configuration(
            reject.as_str(),
            format!(
                "{}: {} ({reject})",
                config.trust.display(),
                reject.sentence()
            ),
            "take the line anew with `postern controller trust`",
        )
    })
}

/// Reads the trust line of a configuration and compares it with what is pinned; its bundles are not verified.
///
/// # Errors
/// As [`read_trust`].
pub fn read_trust_line(config: &RelayConfig) -> Result<TrustLine, CommandError> {
    let text = fs::read_to_string(&config.trust).map_err(|error| {
        CommandError::configuration(
            "trust-unreadable",
            format!("{}: {error}", config.trust.display()),
            "take the line anew with `postern controller trust` and put it there",
        )
    })?;
    let line = parse_trust(&text, &config.trust.display().to_string())?;
    if (line.root, line.recovery) != (config.root, config.recovery) {
        return Err(CommandError::configuration(
            "trust-other-domain",
            format!(
                "{}: this trust line is not of the trust domain that trust.root and trust.recovery pin",
                config.trust.display()
            ),
            "bring the right line; a relay for another trust domain needs a folder of its own",
        ));
    }
    Ok(line)
}

fn parse_trust(text: &str, whence: &str) -> Result<TrustLine, CommandError> {
    let next = "take the line with `postern controller trust` and pass it whole, as one line";
    let refused = |name: &str, reason: String| {
        CommandError::configuration(name, format!("{whence}: {reason}"), next)
    };
    if text.trim().is_empty() {
        return Err(refused("trust-missing", "there is no trust line".into()));
    }
    let line =
        TrustLine::parse(text).map_err(|error| refused("trust-refused", error.to_string()))?;
    line.trust().map_err(|reject| {
        refused(
            reject.as_str(),
            format!(
                "the trust line does not verify: {} ({reject})",
                reject.sentence()
            ),
        )
    })?;
    Ok(line)
}

fn refuse_existing(dir: &Path) -> Result<(), CommandError> {
    for name in [
        "relay.toml",
        "mailbox.key",
        "tls",
        "trust.line",
        "relay.redb",
        "audit.log",
    ] {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(CommandError::configuration(
                "relay-exists",
                format!(
                    "{}: a relay or part of one stands here already",
                    path.display()
                ),
                "choose another folder with --dir; nothing was changed",
            ));
        }
    }
    Ok(())
}

fn check_urls(urls: &[String]) -> Result<(), CommandError> {
    let refused = |message: String| {
        CommandError::new(
            Exit::Usage,
            "url-refused",
            message,
            "write URLs such as https://relay.example:8443",
        )
    };
    if urls.is_empty() || urls.len() > URLS_MAX {
        return Err(refused(format!("1 to {URLS_MAX} URLs are needed")));
    }
    for url in urls {
        check_url(url).map_err(|reason| refused(format!("--url {url}: {reason}")))?;
    }
    Ok(())
}

/// Reads the operator's chain and key, or makes a chain and key and their CA.
fn prepare_tls(options: &Options) -> Result<(Pem, Option<String>), CommandError> {
    let Some((cert, key)) = &options.certificate else {
        let parsed = options
            .urls
            .iter()
            .filter_map(|url| MailboxUrl::parse(url).ok());
        let hosts: Vec<String> = parsed.map(|url| url.authority().host.bare()).collect();
        let made = certificate::make("Postern relay", &hosts).map_err(|reason| {
            CommandError::failure(
                "certificate-failed",
                reason,
                "give your own with --cert and --key",
            )
        })?;
        return Ok((made.server, Some(made.ca)));
    };
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| {
            CommandError::configuration(
                "certificate-unreadable",
                format!("{}: {error}", path.display()),
                "name PEM files that you may read with --cert and --key",
            )
        })
    };
    let pem = Pem {
        chain: read(cert)?,
        key: read(key)?.into(),
    };
    certificate::check(&pem).map_err(|reason| {
        CommandError::configuration(
            "certificate-refused",
            format!("{} and {}: {reason}", cert.display(), key.display()),
            "give --cert a PEM chain (leaf first) and --key its private key in PEM",
        )
    })?;
    Ok((pem, None))
}

fn read_ca(file: &Path) -> Result<Vec<u8>, CommandError> {
    let certificate = CertificateDer::from_pem_file(file).map_err(|error| {
        CommandError::configuration(
            "tls-file-unreadable",
            format!("{} holds no PEM certificate: {error}", file.display()),
            "correct tls.ca_file in relay.toml, or leave it out when everybody trusts the issuer anyway",
        )
    })?;
    Ok(certificate.to_vec())
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    keys::write_private(path, bytes).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failure(
        "file-unwritable",
        format!("{}: {error}", path.display()),
        "choose a folder that you may write to",
    )
}
