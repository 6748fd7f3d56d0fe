//! `postern controller init`: keys, TLS certificate, first bundle and configuration, in a new folder.
//!
//! ```text
//!  D (0700)  root.key  recovery.key            to be taken offline; `run` never reads them
//!            writer-<tenant>.key  mailbox.key  0600, read by `run`
//!            tls/ca.crt  tls/server.crt  tls/server.key
//!            bundles/1.cbor                    envelope signed by the root key
//!            controller.toml                   pins root and recovery by thumbprint; written last
//! ```
//!
//! Refuses to overwrite anything: keys that devices have pinned cannot be made again.

use crate::config::{ControllerConfig, NewController, NewListener, check_url};
use crate::exit::{CommandError, Exit};
use crate::folder::create_private;
use crate::keys::{self, KeyRole};
use postern_console::certificate;
use postern_egress::MailboxUrl;
use postern_protocol::context::Random;
use postern_protocol::id::{Tenant, Thumbprint};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::limits::{BUNDLE_LIST_MAX, URLS_MAX};
use postern_protocol::revision::Generation;
use postern_protocol::trust::{BundleContent, Mailbox, Writership};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a new controller shall be.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The folder to make; it may exist, but hold no controller.
    pub dir: PathBuf,
    /// Where devices connect; `None` for a controller that only dials out.
    pub listen: Option<SocketAddr>,
    /// URLs for join lines; none means the address of `listen`.
    pub urls: Vec<String>,
    /// Tenants, at least one.
    pub tenants: Vec<Tenant>,
    /// The operator's own certificate chain and key; absent: a CA and a certificate are made.
    pub certificate: Option<OwnCertificate>,
}

/// PEM files of the operator's own certificate.
#[derive(Debug, Clone)]
pub struct OwnCertificate {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The folder.
    pub dir: PathBuf,
    /// The trust domain: thumbprint of the root key.
    pub root: Thumbprint,
    /// Thumbprint of the recovery key.
    pub recovery: Thumbprint,
    /// URLs for join lines.
    pub urls: Vec<String>,
    /// Tenants.
    pub tenants: Vec<Tenant>,
    /// The root key's file, to be taken offline.
    pub root_key: PathBuf,
    /// The recovery key's file, to be taken offline.
    pub recovery_key: PathBuf,
    /// The CA certificate for join lines, where one was made.
    pub ca: Option<PathBuf>,
}

/// Makes a controller's folder.
///
/// # Errors
/// A folder that holds a controller already, a URL or certificate that cannot be used, a file
/// system that refuses.
pub fn create(options: &InitOptions, random: &mut dyn Random) -> Result<Created, CommandError> {
    let dir = options.dir.as_path();
    refuse_existing(dir, &options.tenants)?;
    let urls = check_urls(options)?;
    check_tenants(&options.tenants)?;
    let pem = match options.listen {
        Some(_) => Some(prepare_tls(options.certificate.as_ref(), &urls)?),
        None => None,
    };
    make_folders(dir)?;
    let tls = match &pem {
        Some((pem, ca)) => Some(write_tls(dir, pem, ca.as_deref())?),
        None => None,
    };
    let root = keys::create(&dir.join("root.key"), KeyRole::Root, random)?;
    let recovery = keys::create(&dir.join("recovery.key"), KeyRole::Recovery, random)?;
    let mailbox = keys::create(&dir.join("mailbox.key"), KeyRole::Mailbox, random)?;
    let mut writers = BTreeMap::new();
    let mut writer_files = Vec::new();
    for tenant in &options.tenants {
        let file = writer_file(tenant);
        let writer = keys::create(&dir.join(&file), KeyRole::Writer, random)?;
        writers.insert(tenant.clone(), writer);
        writer_files.push((tenant.clone(), file));
    }
    write_bundle(dir, &root, &recovery, &mailbox, &writers, &urls)?;
    let created = Created {
        dir: dir.into(),
        root: root.public_key().thumbprint(),
        recovery: recovery.public_key().thumbprint(),
        urls,
        tenants: options.tenants.clone(),
        root_key: dir.join("root.key"),
        recovery_key: dir.join("recovery.key"),
        ca: tls
            .as_ref()
            .and_then(|tls| tls.ca.as_ref())
            .map(|ca| dir.join(ca)),
    };
    // The configuration comes last: a folder without it is not taken for a controller.
    let text = ControllerConfig::template(&NewController {
        listener: options
            .listen
            .zip(tls.as_ref())
            .map(|(listen, tls)| NewListener {
                listen,
                cert: &tls.cert,
                key: &tls.key,
                ca: tls.ca.as_deref(),
            }),
        urls: &created.urls,
        root: created.root,
        recovery: created.recovery,
        writers: &writer_files,
    });
    write_new(&ControllerConfig::file(dir), text.as_bytes())?;
    Ok(created)
}

fn writer_file(tenant: &Tenant) -> String {
    format!("writer-{tenant}.key")
}

fn refuse_existing(dir: &Path, tenants: &[Tenant]) -> Result<(), CommandError> {
    let names = [
        "controller.toml",
        "root.key",
        "recovery.key",
        "mailbox.key",
        "tls",
        "bundles",
        "controller.redb",
    ];
    let names = names
        .into_iter()
        .map(str::to_owned)
        .chain(tenants.iter().map(writer_file));
    for name in names {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(CommandError::configuration(
                "controller-exists",
                format!(
                    "{}: a controller or part of one stands here already",
                    path.display()
                ),
                "choose another folder with --dir; nothing was changed",
            ));
        }
    }
    Ok(())
}

fn check_urls(options: &InitOptions) -> Result<Vec<String>, CommandError> {
    let urls = if let Some(listen) = options.listen.filter(|_| options.urls.is_empty()) {
        if listen.ip().is_unspecified() {
            return Err(CommandError::new(
                Exit::Usage,
                "url-missing",
                format!("{listen} is no address that a device could connect to"),
                "add --url https://HOST:PORT as devices reach this controller",
            ));
        }
        vec![format!("https://{listen}")]
    } else {
        options.urls.clone()
    };
    let refused = |message: String| {
        CommandError::new(
            Exit::Usage,
            "url-refused",
            message,
            "write URLs such as https://controller.example:8443",
        )
    };
    if urls.len() > URLS_MAX {
        return Err(refused(format!("more than {URLS_MAX} URLs")));
    }
    for url in &urls {
        check_url(url).map_err(|reason| refused(format!("--url {url}: {reason}")))?;
    }
    Ok(urls)
}

fn check_tenants(tenants: &[Tenant]) -> Result<(), CommandError> {
    let unique: BTreeSet<_> = tenants.iter().collect();
    let message = if tenants.is_empty() {
        "a controller needs at least one tenant".to_owned()
    } else if unique.len() != tenants.len() {
        "a tenant is named twice".to_owned()
    } else if tenants.len() > BUNDLE_LIST_MAX {
        format!("more than {BUNDLE_LIST_MAX} tenants")
    } else {
        return Ok(());
    };
    Err(CommandError::new(
        Exit::Usage,
        "tenants-refused",
        message,
        "correct --tenant",
    ))
}

fn make_folders(dir: &Path) -> Result<(), CommandError> {
    for folder in [dir.to_path_buf(), dir.join("tls"), dir.join("bundles")] {
        create_private(&folder).map_err(|error| unwritable(&folder, &error))?;
    }
    // A folder that stood there before may have been made for everybody.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(dir, private).map_err(|error| unwritable(dir, &error))
}

/// Names of the TLS files as the configuration writes them.
struct TlsNames {
    cert: String,
    key: String,
    ca: Option<String>,
}

/// Reads the operator's chain and key, or makes a chain and key and their CA.
fn prepare_tls(
    own: Option<&OwnCertificate>,
    urls: &[String],
) -> Result<(certificate::Pem, Option<String>), CommandError> {
    let Some(own) = own else {
        let parsed = urls.iter().filter_map(|url| MailboxUrl::parse(url).ok());
        let hosts: Vec<String> = parsed.map(|url| url.authority().host.bare()).collect();
        let made = certificate::make("Postern controller", &hosts).map_err(|reason| {
            let next = "give your own with --cert and --key";
            CommandError::failure("certificate-failed", reason, next)
        })?;
        return Ok((made.server, Some(made.ca)));
    };
    let pem = certificate::Pem {
        chain: read_pem(&own.cert)?,
        key: read_pem(&own.key)?.into(),
    };
    certificate::check(&pem).map_err(|reason| {
        CommandError::configuration(
            "certificate-refused",
            format!("{} and {}: {reason}", own.cert.display(), own.key.display()),
            "give --cert a PEM chain (leaf first) and --key its private key in PEM",
        )
    })?;
    Ok((pem, None))
}

fn write_tls(
    dir: &Path,
    pem: &certificate::Pem,
    ca: Option<&str>,
) -> Result<TlsNames, CommandError> {
    write_new(&dir.join("tls/server.crt"), pem.chain.as_bytes())?;
    write_new(&dir.join("tls/server.key"), pem.key.as_bytes())?;
    if let Some(ca) = ca {
        write_new(&dir.join("tls/ca.crt"), ca.as_bytes())?;
    }
    Ok(TlsNames {
        cert: "tls/server.crt".into(),
        key: "tls/server.key".into(),
        ca: ca.map(|_| "tls/ca.crt".into()),
    })
}

fn read_pem(path: &Path) -> Result<String, CommandError> {
    fs::read_to_string(path).map_err(|error| {
        CommandError::configuration(
            "certificate-unreadable",
            format!("{}: {error}", path.display()),
            "name PEM files that you may read with --cert and --key",
        )
    })
}

fn write_bundle(
    dir: &Path,
    root: &MemorySigner,
    recovery: &MemorySigner,
    mailbox: &MemorySigner,
    writers: &BTreeMap<Tenant, MemorySigner>,
    urls: &[String],
) -> Result<(), CommandError> {
    let writership = |writer: &MemorySigner| Writership {
        generation: Generation::new(1),
        key: writer.public_key().clone(),
    };
    let content = BundleContent {
        root: root.public_key().clone(),
        recovery: recovery.public_key().clone(),
        writers: writers
            .iter()
            .map(|(tenant, writer)| (tenant.clone(), writership(writer)))
            .collect(),
        // Nobody can go to a mailbox without a URL: relays are added later.
        mailboxes: if urls.is_empty() {
            Vec::new()
        } else {
            vec![Mailbox {
                key: mailbox.public_key().clone(),
                urls: urls.to_vec(),
            }]
        },
        revoked: BTreeSet::new(),
    };
    let sealed = content
        .seal(None, root.public_key().thumbprint(), root)
        .map_err(|reject| {
            CommandError::failure(
                reject.as_str(),
                format!("the first bundle cannot be made: {}", reject.sentence()),
                "name fewer tenants or shorter URLs",
            )
        })?;
    write_new(&dir.join("bundles/1.cbor"), sealed.as_bytes())
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
