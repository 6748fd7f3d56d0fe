//! Writes Apache's configuration and gathers what it reads at run time into the instance's folder.
//!
//! Apache started by root refuses to serve as root and continues as user `proxy`, to whom the folder is given. What
//! comes from the unpacked tree is loaded before that.

use std::path::Path;

use super::access::FORMAT;
use super::{ApacheTree, FRONT_BODY_BYTES_MAX, Front, FrontPlan};
use crate::folder::runs_as_root;
use crate::{Folder, LabError};

pub(super) const FILE: &str = "apache.conf";
pub(super) const ACCESS_LOG: &str = "access.log";
pub(super) const ERROR_LOG: &str = "error.log";

/// The modules that a front needs, in the order in which they are loaded.
const MODULES: [&str; 7] = [
    "mpm_worker",
    "authz_core",
    "env",
    "rewrite",
    "proxy",
    "proxy_http",
    "ssl",
];

/// Fills a new folder with certificates and the configuration.
pub(super) fn prepare(tree: &ApacheTree, plan: &FrontPlan<'_>) -> Result<Folder, LabError> {
    let folder = Folder::new()?;
    folder.write("front.pem", &plan.pki.origin_pem)?;
    folder.write_secret("front.key", &plan.pki.origin_key_pem)?;
    folder.write("trusted.pem", plan.trusted_pem)?;
    folder.write(FILE, text(tree, folder.path(), plan))?;
    folder.give_to_proxy_user()?;
    Ok(folder)
}

fn text(tree: &ApacheTree, at: &Path, plan: &FrontPlan<'_>) -> String {
    let (at, listen, behind) = (at.display(), plan.listen, plan.behind);
    let load = |name: &&str| {
        let file = tree.module(name);
        format!("LoadModule {name}_module {}\n", file.display())
    };
    let modules: String = MODULES.iter().map(load).collect();
    let user = if runs_as_root() {
        "User proxy\nGroup proxy\n"
    } else {
        ""
    };
    format!(
        "{modules}{user}\
         ServerRoot {at}\n\
         DefaultRuntimeDir {at}\n\
         PidFile {at}/apache.pid\n\
         ServerName localhost\n\
         Listen {listen}\n\
         ServerLimit 1\n\
         ThreadsPerChild 32\n\
         MaxRequestWorkers 32\n\
         ErrorLog {at}/{ERROR_LOG}\n\
         LogFormat \"{FORMAT}\" front\n\
         CustomLog {at}/{ACCESS_LOG} front\n\
         SSLSessionCache none\n\
         SSLEngine on\n\
         SSLCertificateFile {at}/front.pem\n\
         SSLCertificateKeyFile {at}/front.key\n\
         SSLProxyEngine on\n\
         SSLProxyVerify require\n\
         SSLProxyCACertificateFile {at}/trusted.pem\n\
         ProxyPass / https://{behind}/\n\
         {}",
        manner(plan.front)
    )
}

/// LimitRequestBody does not count for what is passed on, so a rule reads the announced length instead.
fn manner(front: Front) -> String {
    match front {
        Front::Http10 => "SetEnv downgrade-1.0 1\n\
             SetEnv force-response-1.0 1\n\
             SetEnv nokeepalive 1\n\
             SetEnv force-proxy-request-1.0 1\n\
             SetEnv proxy-nokeepalive 1\n"
            .to_owned(),
        Front::SmallBodies => format!(
            "RewriteEngine on\n\
             RewriteCond expr \"%{{HTTP:Content-Length}} -gt {FRONT_BODY_BYTES_MAX}\"\n\
             RewriteRule ^ - [R=413,L]\n"
        ),
    }
}
