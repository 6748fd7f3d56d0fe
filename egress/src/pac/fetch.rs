//! Gets a PAC script: a file, or one bounded GET over http or https.
//!
//! Goes directly: no proxy could be known yet. Sends no credentials and no cookies, follows a few
//! redirects within one scheme, looks at no content type (servers name it in many ways) but at how
//! the text begins: a web page in place of a script is a fault of its own.

use super::fault::PacFault;
use crate::dialer::Budgets;
use crate::fault::Fault;
use crate::foreign::Foreign;
use crate::host::{Authority, Host, split_port};
use crate::limits::{
    ANSWER_HEAD_BYTES_MAX, ANSWER_HEADERS_MAX, BODY_PROGRESS, PAC_FETCH_BUDGET, PAC_REDIRECTS_MAX,
    PAC_SCRIPT_BYTES_MAX,
};
use crate::path::BoxStream;
use crate::tcp::{self, Resolve, Traffic};
use crate::tls::{TlsFault, Trust};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Where a script is served. Plain http is allowed: a script decides no more than which proxy carries what
/// is signed, and no password goes to a proxy that the operator did not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacUrl {
    is_tls: bool,
    authority: Authority,
    /// Path and query.
    path: String,
}

/// A place that is no http or https URL of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a file nor an http:// or https:// URL with a host and no credentials")]
pub struct PacUrlError;

impl PacUrl {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// [`PacUrlError`] for another scheme, credentials, a fragment or a wrong host.
    pub fn parse(text: &str) -> Result<Self, PacUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(PacUrlError)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _other => return Err(PacUrlError),
        };
        let border = rest.find(['/', '?']).unwrap_or(rest.len());
        let (place, path) = rest.split_at_checked(border).ok_or(PacUrlError)?;
        let (host, port) = split_port(place).map_err(|_bad| PacUrlError)?;
        let host = Host::parse(host).map_err(|_bad| PacUrlError)?;
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let is_clean = !path.contains('#') && path.parse::<Uri>().is_ok();
        is_clean
            .then_some(Self {
                is_tls,
                authority: Authority { host, port },
                path,
            })
            .ok_or(PacUrlError)
    }

    /// Returns the server's host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.authority.host
    }

    /// Follows a redirect within the scheme.
    fn redirect(&self, location: &str) -> Option<Self> {
        if location.starts_with('/') && !location.starts_with("//") {
            let next = format!("{}://{}{location}", self.scheme(), self.authority);
            return Self::parse(&next).ok();
        }
        let next = Self::parse(location).ok()?;
        (next.is_tls == self.is_tls).then_some(next)
    }

    const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }
}

impl fmt::Display for PacUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_usual = self.authority.port == if self.is_tls { 443 } else { 80 };
        write!(f, "{}://{}", self.scheme(), self.authority.host)?;
        if !is_usual {
            write!(f, ":{}", self.authority.port)?;
        }
        f.write_str(&self.path)
    }
}

/// Reads a script from a file.
pub(crate) fn read_file(file: &Path) -> Result<String, PacFault> {
    let unreadable = |error: std::io::Error| PacFault::File {
        file: file.to_owned(),
        kind: error.kind(),
    };
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let most = u64::try_from(PAC_SCRIPT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bounded = opened.take(most.saturating_add(1));
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    to_script(bytes, &file.display().to_string())
}

/// What it takes to fetch.
#[derive(Debug)]
pub(crate) struct Fetcher<'a> {
    pub(crate) resolver: &'a dyn Resolve,
    pub(crate) trust: &'a Arc<Trust>,
    pub(crate) budgets: &'a Budgets,
    pub(crate) user_agent: &'a str,
}

impl Fetcher<'_> {
    /// Fetches a script, within [`PAC_FETCH_BUDGET`] whatever happens. `denied` is never looked up.
    pub(crate) async fn fetch(
        &self,
        url: &PacUrl,
        denied: Option<&Host>,
    ) -> Result<String, PacFault> {
        let whole = timeout(PAC_FETCH_BUDGET, self.follow(url, denied)).await;
        whole.unwrap_or_else(|_elapsed| Err(failed(url, Fault::Silent)))
    }

    async fn follow(&self, first: &PacUrl, denied: Option<&Host>) -> Result<String, PacFault> {
        let mut url = first.clone();
        for _hop in 0..=PAC_REDIRECTS_MAX {
            if denied == Some(url.host()) {
                return Err(PacFault::OwnTarget);
            }
            let answer = self.get(&url).await.map_err(|fault| failed(&url, fault))?;
            let status = answer.status();
            if status.is_redirection() {
                let location = answer.headers().get(LOCATION);
                let next = location.and_then(|location| location.to_str().ok());
                let next = next.and_then(|location| url.redirect(location));
                url = next.ok_or_else(|| PacFault::Redirect {
                    url: first.to_string(),
                })?;
                continue;
            }
            let bytes = read_body(answer, &url).await?;
            if status != hyper::StatusCode::OK {
                return Err(PacFault::Status {
                    url: url.to_string(),
                    status: status.as_u16(),
                });
            }
            return to_script(bytes, &url.to_string());
        }
        Err(PacFault::Redirect {
            url: first.to_string(),
        })
    }

    async fn get(&self, url: &PacUrl) -> Result<Response<hyper::body::Incoming>, Fault> {
        let traffic = Arc::new(Traffic::default());
        let addresses = tcp::addresses(self.resolver, &url.authority, self.budgets).await?;
        let opened = tcp::open(addresses, self.budgets, &traffic).await?;
        let plain: BoxStream = Box::new(opened.stream);
        if !url.is_tls {
            return self.ask(url, plain).await;
        }
        let trust = self.trust.state().await?;
        let name = ServerName::try_from(url.authority.host.bare()).map_err(|_bad| {
            Fault::Tls(TlsFault::Broken {
                reason: Foreign::new(b"the host is no valid TLS server name"),
            })
        })?;
        let connector = TlsConnector::from(Arc::clone(&trust.proxy_config));
        let shaken = timeout(self.budgets.tls, connector.connect(name, plain)).await;
        let stream = shaken
            .map_err(|_elapsed| TlsFault::Slow)?
            .map_err(|error| TlsFault::from_io(&error))?;
        self.ask(url, Box::new(stream)).await
    }

    async fn ask(
        &self,
        url: &PacUrl,
        stream: BoxStream,
    ) -> Result<Response<hyper::body::Incoming>, Fault> {
        let mut builder = hyper::client::conn::http1::Builder::new();
        builder
            .max_headers(ANSWER_HEADERS_MAX)
            .max_buf_size(ANSWER_HEAD_BYTES_MAX);
        let started = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = started.map_err(|_broken| Fault::Closed)?;
        // Ends with the socket: the answer and the sender hold it open no longer than this fetch.
        tokio::spawn(connection);
        let host = match (url.is_tls, url.authority.port) {
            (true, 443) | (false, 80) => url.authority.host.to_string(),
            (_, _) => url.authority.to_string(),
        };
        let request = Request::get(url.path.as_str())
            .header(HOST, host)
            .header(USER_AGENT, self.user_agent)
            .header(ACCEPT, "application/x-ns-proxy-autoconfig, */*;q=0.8")
            .body(Full::new(Bytes::new()))
            .map_err(|_bad| Fault::BadRequest)?;
        let answer = sender.send_request(request).await;
        answer.map_err(|error| {
            if error.is_parse() {
                Fault::NotHttp
            } else {
                Fault::Closed
            }
        })
    }
}

async fn read_body(
    answer: Response<hyper::body::Incoming>,
    url: &PacUrl,
) -> Result<Vec<u8>, PacFault> {
    let mut incoming = answer.into_body();
    let mut body = Vec::new();
    loop {
        let frame = timeout(BODY_PROGRESS, incoming.frame()).await;
        let frame = match frame.map_err(|_elapsed| failed(url, Fault::Stalled))? {
            Some(Ok(frame)) => frame,
            Some(Err(_cut)) => {
                let came = body.len();
                let announced = None;
                return Err(failed(url, Fault::Truncated { came, announced }));
            }
            None => return Ok(body),
        };
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if body.len().saturating_add(piece.len()) > PAC_SCRIPT_BYTES_MAX {
            return Err(PacFault::Long {
                place: url.to_string(),
            });
        }
        body.extend_from_slice(&piece);
    }
}

fn failed(url: &PacUrl, fault: Fault) -> PacFault {
    PacFault::Fetch {
        url: url.to_string(),
        fault: Box::new(fault),
    }
}

/// UTF-8, or else one character a byte, as old scripts are written; no byte order mark, no web page.
fn to_script(bytes: Vec<u8>, place: &str) -> Result<String, PacFault> {
    if bytes.len() > PAC_SCRIPT_BYTES_MAX {
        return Err(PacFault::Long {
            place: place.to_owned(),
        });
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.as_bytes().iter().copied().map(char::from).collect(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // No script begins so: a comparison needs something on its left, and so does a comment of HTML.
    if text.trim_start().starts_with('<') {
        return Err(PacFault::BlockPage {
            place: place.to_owned(),
            excerpt: Foreign::new(text.trim_start().as_bytes()),
        });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_strictly() {
        let check = |text: &str, expected: Option<&str>| {
            let parsed = PacUrl::parse(text).ok().map(|url| url.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        };
        check(
            "http://pac.corp.test/p.pac",
            Some("http://pac.corp.test/p.pac"),
        );
        check("HTTPS://Pac.test", Some("https://pac.test/"));
        check(
            "http://pac.test:8080/a?b=c",
            Some("http://pac.test:8080/a?b=c"),
        );
        check("http://pac.test?x", Some("http://pac.test/?x"));
        check("http://[::1]:1/x", Some("http://[::1]:1/x"));
        for bad in [
            "",
            "file:///etc/passwd",
            "ftp://pac.test/x",
            "http://",
            "http:///x",
            "data:,x",
            "http://u:p@pac.test/x",
            "http://pac.test/x#y",
            "http://pac.test/a b",
            "http://a:0/",
            "http://a..b/",
            "pac.test/x",
            "http://pac.test\\x",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn redirects_stay_within_the_scheme() {
        let check = |from: &str, to: &str, expected: Option<&str>| {
            let next = PacUrl::parse(from).unwrap().redirect(to);
            let next = next.map(|url| url.to_string());
            assert_eq!(next.as_deref(), expected, "{from} -> {to}");
        };
        check("http://a.test/x", "/y", Some("http://a.test/y"));
        check("http://a.test:81/x", "/y", Some("http://a.test:81/y"));
        check(
            "http://a.test/x",
            "http://b.test/y",
            Some("http://b.test/y"),
        );
        check("http://a.test/x", "https://a.test/y", None);
        check("https://a.test/x", "http://a.test/y", None);
        check("http://a.test/x", "//b.test/y", None);
        check("http://a.test/x", "file:///etc/passwd", None);
        check("http://a.test/x", "y", None);
    }

    #[test]
    fn texts_of_any_encoding_are_scripts_and_web_pages_are_not() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            let script = to_script(bytes.to_vec(), "p.pac").ok();
            assert_eq!(script.as_deref(), expected, "{bytes:?}");
        };
        check(b"function", Some("function"));
        check(b"\xef\xbb\xbffunction", Some("function"));
        check(b"// \xfc\n", Some("// \u{fc}\n"));
        check(b"", Some(""));
        check(b"<html>", None);
        check(b"\xef\xbb\xbf\r\n <!DOCTYPE html>", None);
        check(&vec![b' '; PAC_SCRIPT_BYTES_MAX + 1], None);
        assert!(to_script(vec![b' '; PAC_SCRIPT_BYTES_MAX], "p").is_ok());
    }
}
