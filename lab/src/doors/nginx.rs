//! nginx as an edge: HTTP/1.1 or, as it does by itself, HTTP/1.0 to the far side; or bytes as they are.

use std::net::SocketAddr;

use super::{Package, Program, Unpacked};
use crate::{Folder, LabError, Pki};

/// How nginx stands before the controller.
#[derive(Clone, Copy, Debug)]
pub enum Nginx<'a> {
    /// Ends TLS with the origin's certificate of `pki`; answers 504 after `timeout_s` seconds.
    Edge {
        /// Host and port of the far side.
        behind: &'a str,
        /// Holds the certificate that it shows.
        pki: &'a Pki,
        /// PEM certificates that it trusts on its far side.
        trusted_pem: &'a str,
        /// Seconds until an unanswered request gets 504.
        timeout_s: u64,
        /// Whether the far side is spoken to in HTTP/1.0, which holds small answers back until their end.
        is_http_10: bool,
    },
    /// Bytes pass as they are; a connection that is silent for `timeout_s` seconds ends.
    Stream {
        /// Address and port of the far side.
        behind: SocketAddr,
        /// Seconds of silence.
        timeout_s: u64,
    },
    /// Answers every request with 200 and a page of its own, over TLS with the origin's certificate of `pki`: a
    /// captive portal.
    Portal {
        /// Holds the certificate that it shows.
        pki: &'a Pki,
    },
}

impl Program for Nginx<'_> {
    const PACKAGE: Package = Package::Nginx;

    fn configure(
        &self,
        unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let at = folder.path().display().to_string();
        let (modules, block) = match *self {
            Self::Edge {
                behind,
                pki,
                trusted_pem,
                timeout_s,
                is_http_10,
            } => {
                folder.write("edge.pem", &pki.origin_pem)?;
                folder.write_secret("edge.key", &pki.origin_key_pem)?;
                folder.write("trusted.pem", trusted_pem)?;
                let version = if is_http_10 { "1.0" } else { "1.1" };
                (String::new(), edge(&at, listen, behind, timeout_s, version))
            }
            Self::Portal { pki } => {
                folder.write("edge.pem", &pki.origin_pem)?;
                folder.write_secret("edge.key", &pki.origin_key_pem)?;
                (String::new(), portal(&at, listen))
            }
            Self::Stream { behind, timeout_s } => {
                let module = unpacked.file("usr/lib/nginx/modules/ngx_stream_module.so");
                let block = format!(
                    "stream {{ server {{ listen {listen}; proxy_timeout {timeout_s}s; proxy_pass {behind}; }} }}"
                );
                (format!("load_module {};", module.display()), block)
            }
        };
        folder.write(
            "nginx.conf",
            format!(
                "daemon off;\nmaster_process off;\nuser root;\npid {at}/nginx.pid;\nerror_log stderr info;\n{modules}\n\
                 events {{ worker_connections 256; }}\n{block}\n"
            ),
        )?;
        let words = ["-e", "stderr", "-p", &at, "-c", "nginx.conf"];
        Ok(words.map(str::to_owned).to_vec())
    }
}

fn edge(at: &str, listen: SocketAddr, behind: &str, timeout_s: u64, version: &str) -> String {
    let name = behind.split(':').next().unwrap_or_default();
    let location = format!(
        "proxy_pass https://{behind};\nproxy_http_version {version};\nproxy_set_header Host $http_host;\n\
         proxy_ssl_verify on;\nproxy_ssl_trusted_certificate {at}/trusted.pem;\nproxy_ssl_name {name};\n\
         proxy_ssl_server_name on;\nproxy_read_timeout {timeout_s}s;"
    );
    server(at, listen, &location)
}

fn portal(at: &str, listen: SocketAddr) -> String {
    let page = "<html><body>Welcome. Please accept the terms.</body></html>";
    server(
        at,
        listen,
        &format!("default_type text/html;\nreturn 200 '{page}';"),
    )
}

fn server(at: &str, listen: SocketAddr, location: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {at}/{what};"))
        .join("\n");
    format!(
        "http {{\n{temporary}\naccess_log {at}/access.log;\nserver {{\nlisten {listen} ssl http2;\n\
         ssl_certificate {at}/edge.pem;\nssl_certificate_key {at}/edge.key;\nlocation / {{\n{location}\n}}\n}}\n}}"
    )
}
