//! The lab tests itself: each real Squid behaves as the scenarios assume.
//!
//! A scenario that passes behind a proxy proves nothing unless that proxy inspects, refuses or asks as it should.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use postern_lab::{BASIC_PASSWORD, BASIC_USER, Kind, LabError, Origin, Pki, Plan, Squid, Tree};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

const NAME: &str = "controller.test";

/// `alice:s3cret`, base64.
const RIGHT: &str = "Proxy-Authorization: Basic YWxpY2U6czNjcmV0\r\n";
/// `alice:wrong`, base64.
const WRONG: &str = "Proxy-Authorization: Basic YWxpY2U6d3Jvbmc=\r\n";

struct Scene {
    pki: Pki,
    origin: Origin,
    squid: Squid,
}

/// Returns `None` when Squid was not provisioned; the skip has been announced.
fn scene(kind: Kind) -> Result<Option<Scene>, LabError> {
    scene_with(kind, Pki::new(&[NAME])?)
}

fn scene_with(kind: Kind, pki: Pki) -> Result<Option<Scene>, LabError> {
    let Some(tree) = Tree::find_or_skip(&format!("squid {kind:?}"))? else {
        return Ok(None);
    };
    let origin = Origin::start(&pki, "text/plain", "from the origin")?;
    let plan = Plan {
        kind,
        allowed_ports: &[origin.address().port()],
        names: &[NAME],
        pki: &pki,
        trusted_pem: &pki.origin_ca_pem,
    };
    let squid = Squid::start(&tree, &plan)?;
    Ok(Some(Scene { pki, origin, squid }))
}

impl Scene {
    /// Sends a CONNECT and returns the status and the open stream.
    fn connect(&self, port: u16, extra: &str) -> std::io::Result<(u16, TcpStream)> {
        let mut stream = TcpStream::connect(self.squid.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "CONNECT {NAME}:{port} HTTP/1.1\r\nHost: {NAME}:{port}\r\n{extra}\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        status
            .map(|status| (status, stream))
            .ok_or_else(|| std::io::Error::other(head))
    }

    /// Exchanges one request through the tunnel, trusting `ca_pem`.
    fn exchange(&self, ca_pem: &str) -> Result<Exchange, Box<dyn std::error::Error>> {
        let port = self.origin.address().port();
        let (_status, stream) = self.connect(port, "")?;
        let client = Arc::new(Pki::client_trusting(ca_pem)?);
        let connection = ClientConnection::new(client, ServerName::try_from(NAME)?)?;
        let mut tls = StreamOwned::new(connection, stream);
        write!(
            tls,
            "POST / HTTP/1.1\r\nHost: {NAME}:{port}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        )?;
        let mut answer = String::new();
        tls.read_to_string(&mut answer)?;
        let alpn = tls.conn.alpn_protocol().map(<[u8]>::to_vec);
        Ok(Exchange { answer, alpn })
    }
}

struct Exchange {
    answer: String,
    alpn: Option<Vec<u8>>,
}

#[test]
fn plain_squid_lets_tls_through_to_the_allowed_port() {
    let Some(scene) = scene(Kind::Plain).unwrap() else {
        return;
    };
    let exchange = scene.exchange(&scene.pki.origin_ca_pem).unwrap();
    assert!(
        exchange.answer.ends_with("from the origin"),
        "{}",
        exchange.answer
    );
    assert_eq!(exchange.alpn.as_deref(), Some(&b"http/1.1"[..]));
    let target = format!("{NAME}:{}", scene.origin.address().port());
    let line = scene
        .squid
        .wait_for_access("the tunnel", |line| line.target == target)
        .unwrap();
    assert_eq!(
        (line.action.as_str(), line.status, line.method.as_str()),
        ("TCP_TUNNEL", 200, "CONNECT")
    );
}

#[test]
fn plain_squid_refuses_every_other_port_with_403() {
    let Some(scene) = scene(Kind::Plain).unwrap() else {
        return;
    };
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = other.local_addr().unwrap().port();
    assert_eq!(scene.connect(port, "").unwrap().0, 403);
    scene
        .squid
        .wait_for_access("the refusal", |line| {
            line.action == "TCP_DENIED" && line.status == 403
        })
        .unwrap();
    other.set_nonblocking(true).unwrap();
    assert!(
        other.accept().is_err(),
        "nothing may have reached the refused port"
    );
}

#[test]
fn plain_squid_resolves_the_names_of_its_plan() {
    let Some(scene) = scene(Kind::Plain).unwrap() else {
        return;
    };
    assert_eq!(
        scene.connect(scene.origin.address().port(), "").unwrap().0,
        200
    );
}

#[test]
fn plain_squid_does_not_change_the_certificate() {
    let Some(scene) = scene(Kind::Plain).unwrap() else {
        return;
    };
    assert!(scene.exchange(&scene.pki.corp_ca_pem).is_err());
}

#[test]
fn basic_squid_without_the_right_password_answers_407() {
    let Some(scene) = scene(Kind::Basic).unwrap() else {
        return;
    };
    for extra in ["", WRONG] {
        assert_eq!(
            scene
                .connect(scene.origin.address().port(), extra)
                .unwrap()
                .0,
            407,
            "{extra:?}"
        );
    }
    assert_eq!(scene.origin.connections(), 0);
}

#[test]
fn basic_squid_with_the_right_password_opens_the_tunnel_and_logs_the_user() {
    let Some(scene) = scene(Kind::Basic).unwrap() else {
        return;
    };
    assert_eq!((BASIC_USER, BASIC_PASSWORD), ("alice", "s3cret"));
    let (status, tunnel) = scene.connect(scene.origin.address().port(), RIGHT).unwrap();
    assert_eq!(status, 200);
    drop(tunnel);
    scene
        .squid
        .wait_for_access("alice's tunnel", |line| {
            line.user.as_deref() == Some(BASIC_USER)
        })
        .unwrap();
}

#[test]
fn basic_squid_checks_the_port_before_the_password() {
    let Some(scene) = scene(Kind::Basic).unwrap() else {
        return;
    };
    assert_eq!(scene.connect(1, "").unwrap().0, 403);
}

#[test]
fn bump_squid_presents_a_certificate_of_the_corporate_authority_without_alpn() {
    let Some(scene) = scene(Kind::Bump).unwrap() else {
        return;
    };
    let exchange = scene.exchange(&scene.pki.corp_ca_pem).unwrap();
    assert!(
        exchange.answer.ends_with("from the origin"),
        "{}",
        exchange.answer
    );
    assert!(
        exchange.answer.contains("proxy.corp.test"),
        "an inspecting proxy adds Via: {}",
        exchange.answer
    );
    assert_eq!(exchange.alpn, None);
    let line = scene
        .squid
        .wait_for_access("the inner request", |line| line.method == "POST")
        .unwrap();
    assert_eq!(line.status, 200);
}

#[test]
fn bump_squid_is_refused_by_a_client_that_trusts_only_the_origin() {
    let Some(scene) = scene(Kind::Bump).unwrap() else {
        return;
    };
    let error = scene
        .exchange(&scene.pki.origin_ca_pem)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    assert!(
        scene.origin.request_heads().is_empty(),
        "no request may have passed"
    );
}

#[test]
fn squid_killed_and_restarted_serves_on_the_same_port() {
    let Some(mut scene) = scene(Kind::Plain).unwrap() else {
        return;
    };
    let before = scene.squid.process().pid();
    scene.squid.process().kill_9().unwrap();
    assert!(TcpStream::connect(scene.squid.address()).is_err());
    scene.squid.restart().unwrap();
    assert_ne!(scene.squid.process().pid(), before);
    assert_eq!(
        scene.connect(scene.origin.address().port(), "").unwrap().0,
        200
    );
}

#[test]
fn bump_squid_trusts_an_origin_that_signs_itself_when_told_so() {
    let Some(scene) = scene_with(Kind::Bump, Pki::self_signed(&[NAME]).unwrap()).unwrap() else {
        return;
    };
    let exchange = scene.exchange(&scene.pki.corp_ca_pem).unwrap();
    assert!(
        exchange.answer.ends_with("from the origin"),
        "{}",
        exchange.answer
    );
}
