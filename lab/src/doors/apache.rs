//! Apache as a forward proxy: CONNECT by `mod_proxy_connect`, Basic by a file of passwords.
//!
//! It runs as one process, so that ending it ends its tunnels. What stands before a controller is
//! [`Apache`](crate::Apache). It refuses to pass on anything but CONNECT.

use std::net::SocketAddr;

use super::{Door, Package, Program, Unpacked};
use crate::folder::runs_as_root;
use crate::{BASIC_USER, Folder, LabError, process};

/// The modules that a forward proxy needs, in the order in which they are loaded.
const MODULES: [&str; 8] = [
    "mpm_worker",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "auth_basic",
    "proxy",
    "proxy_connect",
];

/// SHA-1 of [`BASIC_PASSWORD`](crate::BASIC_PASSWORD) in base64, a form that Apache reads.
const PASSWORD_SHA1: &str = "/vNB+F2HQ559kaLUZbmHHvZrXpg=";

const ACCESS_LOG: &str = "access.log";

/// A CONNECT proxy that asks for [`BASIC_USER`] and their password.
#[derive(Clone, Copy, Debug)]
pub struct ForwardApache {
    /// The only port that may be reached.
    pub allowed_port: u16,
    /// Seconds after which a silent tunnel ends.
    pub timeout_s: u64,
}

impl ForwardApache {
    /// Returns the status and user (`-` for nobody) of each CONNECT that has ended, in that order.
    #[must_use]
    pub fn connects(door: &Door) -> Vec<(u16, String)> {
        let log = process::read(&door.folder().path().join(ACCESS_LOG));
        let connects = log.lines().filter_map(|line| {
            let mut words = line.strip_prefix("CONNECT ")?.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
        });
        connects.collect()
    }
}

impl Program for ForwardApache {
    const PACKAGE: Package = Package::Apache;

    fn configure(
        &self,
        unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let load = |name: &&str| {
            let file = unpacked.file(&format!("usr/lib/apache2/modules/mod_{name}.so"));
            format!("LoadModule {name}_module {}\n", file.display())
        };
        let modules: String = MODULES.iter().map(load).collect();
        let user = if runs_as_root() {
            "User proxy\nGroup proxy\n"
        } else {
            ""
        };
        let passwords = format!("{BASIC_USER}:{{SHA}}{PASSWORD_SHA1}\n");
        let passwords = folder.write("passwords", passwords)?;
        let (at, passwords) = (folder.path().display(), passwords.display());
        let (allowed, timeout) = (self.allowed_port, self.timeout_s);
        let file = folder.write(
            "apache.conf",
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
                 ErrorLog {at}/error.log\n\
                 LogFormat \"%m %>s %u\" connects\n\
                 CustomLog {at}/{ACCESS_LOG} connects\n\
                 ProxyRequests On\n\
                 AllowCONNECT {allowed}\n\
                 ProxyTimeout {timeout}\n\
                 <Proxy \"*\">\n\
                 AuthType Basic\n\
                 AuthName \"Corp Apache\"\n\
                 AuthUserFile {passwords}\n\
                 Require valid-user\n\
                 </Proxy>\n"
            ),
        )?;
        folder.give_to_proxy_user()?;
        Ok(vec![
            "-X".to_owned(),
            "-f".to_owned(),
            file.display().to_string(),
        ])
    }
}
