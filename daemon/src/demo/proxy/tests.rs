use super::{InspectingProxy, Passed, ProxySetup, Tamper};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use postern_egress::{
    Client, Dialer, ExchangeLimits, FileSettings, MailboxUrl, ProxySettings, Trust, Variables,
};
use rustls::pki_types::ServerName;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An answer frame's type, and something in the open behind it.
const ANSWER: &[u8] = b"\x01 setpoint 199.5 end";

/// A mailbox that answers every request with `ANSWER`, and the proxy before it.
async fn site() -> (InspectingProxy, SocketAddr) {
    let origin = super::authority::Authority::new().unwrap();
    let server = origin.impersonate("localhost").unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = listener.local_addr().unwrap();
    let _task = crate::tasks::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(Arc::clone(&server));
            let _connection = crate::tasks::spawn(async move {
                let tls = acceptor.accept(stream).await?;
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let _body = request.into_body().collect().await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(ANSWER))))
                });
                let connection = hyper::server::conn::http1::Builder::new();
                connection
                    .serve_connection(TokioIo::new(tls), service)
                    .await
                    .map_err(std::io::Error::other)
            });
        }
    });
    let setup = ProxySetup {
        target_host: "localhost".into(),
        target,
        target_ca_pem: origin.certificate_pem(),
    };
    (
        InspectingProxy::start(setup, "hall-c:word").await.unwrap(),
        target,
    )
}

/// A device's own client, which trusts the proxy's authority.
fn client(
    proxy: &InspectingProxy,
    door: SocketAddr,
    target: SocketAddr,
    secret: Option<&Path>,
) -> Client {
    let file = FileSettings {
        url: Some(format!("http://{door}")),
        secret_file: secret.map(Path::to_owned),
        ..FileSettings::default()
    };
    let settings = ProxySettings::resolve(&file, &Variables::default()).unwrap();
    let trust = Trust::new(Vec::new(), Some(&proxy.certificate_pem())).unwrap();
    let dialer = Dialer::new(settings, Arc::new(trust), "postern/test").unwrap();
    let url = MailboxUrl::parse(&format!("https://localhost:{}/postern/1", target.port())).unwrap();
    let route = dialer.routes(&url).remove(0);
    dialer.client(&url, route).unwrap()
}

async fn ask(client: &Client) -> Result<Vec<u8>, postern_egress::TransportError> {
    let limits = ExchangeLimits {
        deadline: Duration::from_secs(20),
        answer_bytes_max: 1_000,
    };
    let answer = client
        .exchange(Bytes::from_static(b"\x00poll"), limits)
        .await?;
    Ok(answer.body.to_vec())
}

fn secret(line: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{line}\n")).unwrap();
    file
}

#[tokio::test]
async fn exchange_passes_and_is_counted() {
    let (proxy, target) = site().await;
    let client = client(&proxy, proxy.open_address(), target, None);
    assert_eq!(ask(&client).await.unwrap(), ANSWER);
    assert_eq!(ask(&client).await.unwrap(), ANSWER);
    let bytes = 2 * u64::try_from(5 + ANSWER.len()).unwrap();
    let expected = Passed {
        exchanges: 2,
        bytes,
        challenged: 0,
        falsified: 0,
    };
    assert_eq!(proxy.passed(), expected);
}

#[tokio::test]
async fn answer_is_falsified_once() {
    let (proxy, target) = site().await;
    let client = client(&proxy, proxy.open_address(), target, None);
    proxy.tamper(Tamper::new("199.5"));
    assert_eq!(ask(&client).await.unwrap(), b"\x01 setpoint 199.4 end");
    assert_eq!(ask(&client).await.unwrap(), ANSWER);
    assert_eq!(proxy.passed().falsified, 1);
}

#[tokio::test]
async fn answer_without_the_mark_stays_whole() {
    let (proxy, target) = site().await;
    let client = client(&proxy, proxy.open_address(), target, None);
    proxy.tamper(Tamper::new("200.5"));
    assert_eq!(ask(&client).await.unwrap(), ANSWER);
    assert_eq!(proxy.passed().falsified, 0);
}

#[tokio::test]
async fn guarded_door_lets_the_password_in() {
    let (proxy, target) = site().await;
    let file = secret("hall-c:word");
    let client = client(&proxy, proxy.guarded_address(), target, Some(file.path()));
    assert_eq!(ask(&client).await.unwrap(), ANSWER);
}

#[tokio::test]
async fn guarded_door_refuses_a_wrong_password_and_none() {
    let (proxy, target) = site().await;
    let file = secret("hall-c:guess");
    for path in [Some(file.path()), None] {
        let client = client(&proxy, proxy.guarded_address(), target, path);
        assert!(ask(&client).await.is_err(), "{path:?}");
    }
    assert!(proxy.passed().challenged >= 2);
    assert_eq!(proxy.passed().exchanges, 0);
}

/// Sends a head to the open door and returns the status of the answer.
async fn status_of(proxy: &InspectingProxy, head: &str) -> StatusCode {
    let mut stream = TcpStream::connect(proxy.open_address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    StatusCode::from_bytes(&begin[9..]).unwrap()
}

#[tokio::test]
async fn proxy_refuses_other_methods_and_targets() {
    let (proxy, target) = site().await;
    let port = target.port();
    for (line, expected) in [
        (format!("CONNECT localhost:{port}"), StatusCode::OK),
        (
            format!("CONNECT localhost:{}", port ^ 1),
            StatusCode::FORBIDDEN,
        ),
        (format!("CONNECT 127.0.0.1:{port}"), StatusCode::FORBIDDEN),
        (
            format!("CONNECT elsewhere.example:{port}"),
            StatusCode::FORBIDDEN,
        ),
        (
            format!("GET http://localhost:{port}/"),
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        ("POST /postern/1".to_owned(), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(status_of(&proxy, &head).await, expected, "{line}");
    }
}

#[tokio::test]
async fn client_that_trusts_only_the_target_refuses_the_proxy() {
    let (proxy, target) = site().await;
    let mut stream = TcpStream::connect(proxy.open_address()).await.unwrap();
    let head = format!(
        "CONNECT localhost:{0} HTTP/1.1\r\nHost: localhost:{0}\r\n\r\n",
        target.port()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.unwrap());
    }
    let trusting = super::trusting(&proxy.shared.setup.target_ca_pem).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    assert!(
        TlsConnector::from(trusting)
            .connect(name, stream)
            .await
            .is_err()
    );
}
