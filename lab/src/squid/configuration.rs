//! Writes Squid's configuration and gathers what it reads at run time into the instance's folder.
//!
//! Copies instead of paths into the unpacked tree: Squid started by root continues as user `proxy`, and the tree may
//! stand below a folder that this user cannot enter.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::{
    Asking, BASIC_USER, HOSTILE_LIFETIME_S, HOSTILE_READ_S, Kind, Plan, SLOW_BYTES_PER_S, Tree,
};
use crate::{Folder, LabError, Process};

pub(super) const FILE: &str = "squid.conf";
pub(super) const ACCESS_LOG: &str = "access.log";
pub(super) const CACHE_LOG: &str = "cache.log";
pub(super) const LIBRARIES: &str = "libraries";

const PASSWORDS: &str = "passwords";
const BASIC_HELPER: &str = "basic_ncsa_auth";
const DIGEST_HELPER: &str = "digest_file_auth";
const CERTIFICATE_HELPER: &str = "security_file_certgen";
const CERTIFICATE_STORE: &str = "certificates";

/// MD5 of [`super::BASIC_PASSWORD`] in hexadecimal, the oldest form that Squid's helper reads.
const BASIC_PASSWORD_MD5: &str = "33e1b232a4e6fa0028a6670753749a17";

/// MD5 of `alice:Corp Proxy:s3cret` in hexadecimal, as RFC 7616 names it HA1.
const DIGEST_HA1: &str = "95c471a34ea75dba2c741d149c7c7f0a";

/// Fills a new folder with everything but the configuration itself.
pub(super) fn prepare(
    tree: &Tree,
    plan: &Plan<'_>,
    asking: Option<&Asking<'_>>,
    names_at: IpAddr,
) -> Result<Folder, LabError> {
    let folder = Folder::new()?;
    folder.copy_in(&tree.libraries(), LIBRARIES)?;
    folder.copy_in(&tree.error_pages(), "errors")?;
    folder.write("mime.conf", "")?;
    folder.write(
        "hosts",
        format!("127.0.0.1 localhost\n{names_at} {}\n", plan.names.join(" ")),
    )?;
    match plan.kind {
        Kind::Plain | Kind::ShortTunnel => {}
        Kind::HttpsSlow => {
            let both = format!("{}{}", plan.pki.origin_pem, plan.pki.origin_key_pem);
            folder.write_secret("proxy.pem", both)?;
        }
        Kind::Digest => {
            folder.copy_in(&tree.helper(DIGEST_HELPER), DIGEST_HELPER)?;
            let line = format!("{BASIC_USER}:Corp Proxy:{DIGEST_HA1}\n");
            folder.write_secret(PASSWORDS, line)?;
        }
        Kind::Basic => {
            folder.copy_in(&tree.helper(BASIC_HELPER), BASIC_HELPER)?;
            folder.write_secret(PASSWORDS, format!("{BASIC_USER}:{BASIC_PASSWORD_MD5}\n"))?;
        }
        Kind::Bump | Kind::Hostile => {
            folder.write("trusted.pem", plan.trusted_pem)?;
            folder.write_secret(
                "corp.pem",
                format!("{}{}", plan.pki.corp_ca_pem, plan.pki.corp_key_pem),
            )?;
            folder.copy_in(&tree.helper(CERTIFICATE_HELPER), CERTIFICATE_HELPER)?;
            make_certificate_store(&folder)?;
        }
    }
    if let Some(asking) = asking {
        if !asking.helper.is_empty() {
            folder.copy_in(&tree.helper(asking.helper), asking.helper)?;
        }
        for (name, content) in asking.files {
            folder.write_secret(name, content)?;
        }
    }
    folder.give_to_proxy_user()?;
    Ok(folder)
}

fn make_certificate_store(folder: &Folder) -> Result<(), LabError> {
    let mut command = Command::new(folder.path().join(CERTIFICATE_HELPER));
    command
        .arg("-c")
        .arg("-s")
        .arg(folder.path().join(CERTIFICATE_STORE))
        .arg("-M")
        .arg("4MB");
    command.env("LD_LIBRARY_PATH", folder.path().join(LIBRARIES));
    let made = Process::run("certificate-store", command, folder.path(), b"")?;
    if made.status.success() {
        return Ok(());
    }
    Err(LabError::Ended {
        name: CERTIFICATE_HELPER.to_owned(),
        status: made.status.to_string(),
        what: "its certificate store".to_owned(),
        evidence: made.stderr,
    })
}

/// Writes the configuration for one port.
pub(super) fn write(
    folder: &Folder,
    plan: &Plan<'_>,
    asking: Option<&Asking<'_>>,
    address: SocketAddr,
) -> Result<(), LabError> {
    folder
        .write(FILE, text(folder.path(), plan, asking, address))
        .map(drop)
}

fn text(at: &Path, plan: &Plan<'_>, asking: Option<&Asking<'_>>, address: SocketAddr) -> String {
    let special = asking.map_or_else(
        || special(plan.kind, at),
        |asking| {
            let lines = asking.lines.replace("{at}", &at.display().to_string());
            format!(
                "{lines}\nacl authenticated proxy_auth REQUIRED\nhttp_access allow authenticated"
            )
        },
    );
    let at = at.display();
    let ports = plan
        .allowed_ports
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    let listener = match plan.kind {
        Kind::Plain | Kind::Basic | Kind::Digest | Kind::ShortTunnel => {
            format!("http_port {address}")
        }
        Kind::HttpsSlow => format!("https_port {address} tls-cert={at}/proxy.pem"),
        Kind::Bump | Kind::Hostile => format!(
            "http_port {address} ssl-bump tls-cert={at}/corp.pem generate-host-certificates=on dynamic_cert_mem_cache_size=4MB"
        ),
    };
    format!(
        "visible_hostname proxy.corp.test\n\
         {listener}\n\
         pid_filename none\n\
         access_log stdio:{at}/{ACCESS_LOG} squid\n\
         buffered_logs off\n\
         cache_log {at}/{CACHE_LOG}\n\
         cache deny all\n\
         cache_mem 8 MB\n\
         coredump_dir none\n\
         shutdown_lifetime 1 second\n\
         netdb_filename none\n\
         pinger_enable off\n\
         unlinkd_program /bin/true\n\
         max_filedescriptors 1024\n\
         mime_table {at}/mime.conf\n\
         icon_directory {at}/errors\n\
         error_directory {at}/errors\n\
         hosts_file {at}/hosts\n\
         dns_nameservers 127.0.0.1\n\
         acl clients src 127.0.0.0/8 10.99.0.0/16 ::1\n\
         acl allowed_ports port {ports}\n\
         acl CONNECT method CONNECT\n\
         http_access deny CONNECT !allowed_ports\n\
         {special}\n\
         http_access deny all\n"
    )
}

/// What lets a kind's clients through.
fn special(kind: Kind, at: &Path) -> String {
    let shown = at.display();
    match kind {
        Kind::Plain => "http_access allow clients".to_owned(),
        Kind::ShortTunnel => {
            format!("read_timeout {HOSTILE_READ_S} seconds\nhttp_access allow clients")
        }
        Kind::HttpsSlow => format!(
            "delay_pools 1\ndelay_class 1 1\n\
             delay_parameters 1 {SLOW_BYTES_PER_S}/{SLOW_BYTES_PER_S}\n\
             delay_access 1 allow all\nhttp_access allow clients"
        ),
        Kind::Digest => format!(
            "auth_param digest program {shown}/{DIGEST_HELPER} -c {shown}/{PASSWORDS}\n\
             auth_param digest children 2 startup=1 idle=1\n\
             auth_param digest realm Corp Proxy\n\
             auth_param digest nonce_max_count 50\n\
             auth_param digest nonce_max_duration 5 minutes\n\
             acl authenticated proxy_auth REQUIRED\n\
             http_access allow authenticated"
        ),
        Kind::Basic => format!(
            "auth_param basic program {shown}/{BASIC_HELPER} {shown}/{PASSWORDS}\n\
             auth_param basic children 2 startup=1 idle=1\n\
             auth_param basic realm Corp Proxy\n\
             acl authenticated proxy_auth REQUIRED\n\
             http_access allow authenticated"
        ),
        Kind::Bump => inspection(at),
        Kind::Hostile => limits() + &inspection(at),
    }
}

fn inspection(at: &Path) -> String {
    let at = at.display();
    format!(
        "sslcrtd_program {at}/{CERTIFICATE_HELPER} -s {at}/{CERTIFICATE_STORE} -M 4MB\n\
         sslcrtd_children 2 startup=1 idle=1\n\
         tls_outgoing_options cafile={at}/trusted.pem\n\
         acl first_step at_step SslBump1\n\
         ssl_bump peek first_step\n\
         ssl_bump bump all\n\
         http_access allow clients"
    )
}

fn limits() -> String {
    format!(
        "read_timeout {HOSTILE_READ_S} seconds\n\
         client_lifetime {HOSTILE_LIFETIME_S} seconds\n\
         request_body_max_size 64 KB\n\
         reply_body_max_size 1 MB\n\
         acl unwanted browser ^curl\n\
         http_access deny unwanted !CONNECT\n\
         acl too_many maxconn 3\n\
         http_access deny too_many\n"
    )
}
