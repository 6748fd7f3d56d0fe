//! A real key distribution centre on loopback, with one user, one device and one proxy in its realm.
//!
//! The programs come from Debian's packages `krb5-kdc`, `krb5-admin-server` and `krb5-user`, unpacked privately and
//! never installed. The realm, its keys and every ticket live in one temporary folder; the machine's own Kerberos
//! configuration is not read. It refuses to be anybody else's realm.

mod tree;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use tree::KerberosTree;

use crate::{Folder, LabError, Process, free_address};

/// The realm.
pub const REALM: &str = "CORP.TEST";
/// The user of [`Kerberos::kinit`].
pub const TICKET_USER: &str = "alice";
/// The name under which the proxy is reached, and by which its principal is called.
pub const PROXY_NAME: &str = "localhost";
/// The device's own principal, whose keys stand in the client keytab.
pub const DEVICE_PRINCIPAL: &str = "host/dev001.corp.test";

const PASSWORD: &str = "s3cret";

/// A running key distribution centre; killed when dropped.
#[derive(Debug)]
pub struct Kerberos {
    tree: KerberosTree,
    _kdc: Process,
    /// Declared last: removed after the process ended.
    folder: Folder,
}

impl Kerberos {
    /// Makes a realm and starts its server.
    ///
    /// # Errors
    /// [`LabError::Ended`] with its output when a program refuses; [`LabError::Io`] when the folder cannot be written.
    pub fn start(tree: &KerberosTree) -> Result<Self, LabError> {
        let folder = Folder::new()?;
        let address = free_address()?;
        configure(tree, folder.path(), address, &folder)?;
        let admin = |request: &str| {
            run(
                tree,
                folder.path(),
                "usr/sbin/kadmin.local",
                &["-q", request],
                b"",
            )
        };
        let create = ["create", "-s", "-r", REALM, "-P", "masterpw"];
        run(tree, folder.path(), "usr/sbin/kdb5_util", &create, b"")?;
        admin(&format!("addprinc -pw {PASSWORD} {TICKET_USER}"))?;
        let keytabs = [
            (format!("HTTP/{PROXY_NAME}"), "proxy.keytab"),
            (DEVICE_PRINCIPAL.to_owned(), "device.keytab"),
        ];
        for (principal, keytab) in keytabs {
            let keytab = folder.path().join(keytab);
            admin(&format!("addprinc -randkey {principal}"))?;
            admin(&format!("ktadd -k {} {principal}", keytab.display()))?;
        }
        let mut command = tree.command("usr/sbin/krb5kdc", folder.path());
        command.arg("-n");
        let mut kdc = Process::start("krb5kdc", command, folder.path())?;
        kdc.wait_for_port(address)?;
        Ok(Self {
            tree: tree.clone(),
            _kdc: kdc,
            folder,
        })
    }

    /// Returns the proxy's keytab.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be read.
    pub fn proxy_keytab(&self) -> Result<Vec<u8>, LabError> {
        let file = self.folder.path().join("proxy.keytab");
        std::fs::read(file).map_err(LabError::io("read the proxy's keytab"))
    }

    /// Returns the text of the client configuration.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be read.
    pub fn configuration(&self) -> Result<String, LabError> {
        let file = self.folder.path().join(tree::CONFIGURATION);
        std::fs::read_to_string(file).map_err(LabError::io("read krb5.conf"))
    }

    /// Returns the ticket cache that [`Kerberos::kinit`] fills.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("tickets")
    }

    /// Returns the environment of a program that uses the ticket cache.
    #[must_use]
    pub fn with_tickets(&self) -> Vec<(String, String)> {
        let cache = format!("FILE:{}", self.cache().display());
        self.environment(&[("KRB5CCNAME", cache)])
    }

    /// Returns the environment of a program that has only the device's keytab.
    #[must_use]
    pub fn with_keytab(&self) -> Vec<(String, String)> {
        let keytab = format!("FILE:{}/device.keytab", self.folder.path().display());
        let cache = "MEMORY:".to_owned();
        self.environment(&[("KRB5CCNAME", cache), ("KRB5_CLIENT_KTNAME", keytab)])
    }

    fn environment(&self, more: &[(&str, String)]) -> Vec<(String, String)> {
        let all = self.tree.environment(self.folder.path());
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        all.into_iter().chain(more).collect()
    }

    /// Gets a ticket for [`TICKET_USER`] that lives this long, such as `1h`.
    ///
    /// # Errors
    /// [`LabError::Ended`] when the server refuses.
    pub fn kinit(&self, lifetime: &str) -> Result<(), LabError> {
        let cache = self.cache().display().to_string();
        let arguments = ["-l", lifetime, "-c", &cache, TICKET_USER];
        let password = format!("{PASSWORD}\n");
        run(
            &self.tree,
            self.folder.path(),
            "usr/bin/kinit",
            &arguments,
            password.as_bytes(),
        )
    }

    /// Gets a ticket and waits until it has expired.
    ///
    /// # Errors
    /// As [`Kerberos::kinit`]; [`LabError::GaveUp`] when it does not expire.
    pub fn kinit_expired(&self) -> Result<(), LabError> {
        self.kinit("1s")?;
        let cache = self.cache().display().to_string();
        crate::wait::until("the ticket to expire", || {
            // `-s` says nothing and fails where no valid ticket is.
            let arguments = ["-s", "-c", &cache];
            let valid = run(
                &self.tree,
                self.folder.path(),
                "usr/bin/klist",
                &arguments,
                b"",
            );
            Ok(valid.is_err().then_some(()))
        })
    }

    /// Removes the ticket.
    ///
    /// # Errors
    /// [`LabError::Io`] when there is none.
    pub fn destroy_ticket(&self) -> Result<(), LabError> {
        std::fs::remove_file(self.cache()).map_err(LabError::io("remove the ticket cache"))
    }
}

fn configure(
    tree: &KerberosTree,
    at: &Path,
    address: SocketAddr,
    folder: &Folder,
) -> Result<(), LabError> {
    let plugins = tree.plugins();
    folder.write(
        tree::CONFIGURATION,
        format!(
            "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\ndns_lookup_realm = false\nrdns = false\n\
             dns_canonicalize_hostname = false\nqualify_shortname = \"\"\nudp_preference_limit = 1\n\
             [realms]\n{REALM} = {{\nkdc = {address}\n}}\n[domain_realm]\n{PROXY_NAME} = {REALM}\n"
        ),
    )?;
    let at = at.display();
    folder.write(
        tree::SERVER_CONFIGURATION,
        format!(
            "[kdcdefaults]\nkdc_listen = {address}\nkdc_tcp_listen = {address}\n\
             [realms]\n{REALM} = {{\ndatabase_module = files\nkey_stash_file = {at}/stash\nmax_life = 1h\n}}\n\
             [dbmodules]\ndb_module_dir = {}\nfiles = {{\ndb_library = db2\ndatabase_name = {at}/principal\n}}\n",
            plugins.display()
        ),
    )?;
    Ok(())
}

fn run(
    tree: &KerberosTree,
    at: &Path,
    program: &str,
    arguments: &[&str],
    input: &[u8],
) -> Result<(), LabError> {
    let mut command = tree.command(program, at);
    command.args(arguments);
    let name = program.rsplit('/').next().unwrap_or(program);
    let finished = Process::run(name, command, at, input)?;
    if finished.status.success() {
        return Ok(());
    }
    Err(LabError::Ended {
        name: name.to_owned(),
        status: finished.status.to_string(),
        what: arguments.join(" "),
        evidence: format!("{}{}", finished.stdout, finished.stderr),
    })
}
