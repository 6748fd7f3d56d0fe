//! What a stranger can send to a controller: each is answered or cut, none is believed, and the controller serves on.
//!
//! They speak raw HTTPS to the running controller. Refuses to believe a status alone: a device must still converge.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use postern_lab::{DeviceSettings, Fleet, LabError, Pki};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

/// Largest frame that the protocol knows, in bytes.
const FRAME_BYTES_MAX: usize = 49_152;
/// Where frames are taken.
const PATH: &str = "/postern/1";

/// Sends raw bytes inside TLS and returns everything that comes back before the other side closes.
fn send(fleet: &Fleet, request: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let mut client = Pki::client_trusting(&fleet.ca_pem()?)?;
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(fleet.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let connection = ClientConnection::new(Arc::new(client), ServerName::try_from("localhost")?)?;
    let mut tls = StreamOwned::new(connection, stream);
    // A server may refuse by the head alone and close while the body is still being sent.
    let sent = tls.write_all(request).and_then(|()| tls.flush());
    let mut answer = Vec::new();
    let read = tls.read_to_end(&mut answer);
    if answer.is_empty() {
        sent?;
        drop(read);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn post(path: &str, body: &[u8], length: usize) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A fleet whose device has applied a value, so that there is something to break.
fn scene(scenario: &str) -> Result<Option<(Fleet, postern_lab::Device)>, LabError> {
    let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
        return Ok(None);
    };
    let mut device = fleet.device("hall-1", &DeviceSettings::direct())?;
    device.daemon.start()?;
    device.wait_applied(fleet.set("hall-1", "fan/speed", "3")?)?;
    Ok(Some((fleet, device)))
}

//= spec/postern.md#rejects type=test
//# A peer MUST NOT be able to end a process, close another's session or change a state by what is
//# refused.
#[test]
fn bytes_that_are_no_frame_are_refused_and_the_controller_serves_on() {
    let Some((fleet, mut device)) = scene("bad frames").unwrap() else {
        return;
    };
    let page = b"<html><body>hello</body></html>".as_slice();
    let check = |what: &str, request: Vec<u8>| {
        let answer = send(&fleet, &request).unwrap();
        let head = answer.lines().next().unwrap_or_default();
        assert!(!answer.contains("fan/speed"), "{what}: {answer}");
        println!("{what}: {head:?}, {} bytes", answer.len());
        answer
    };
    let is_refusal = |answer: &str| answer.starts_with("HTTP/1.1 ");
    for (what, body) in [
        ("nothing", b"".as_slice()),
        ("one byte", b"\x00"),
        ("garbage", &[0xff; 64]),
        ("html", page),
        ("largest garbage", &[0xaa; FRAME_BYTES_MAX]),
    ] {
        assert!(
            is_refusal(&check(what, post(PATH, body, body.len()))),
            "{what}"
        );
    }
    let oversize = vec![0; FRAME_BYTES_MAX + 1];
    let answer = check("oversize", post(PATH, &oversize, oversize.len()));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let get = b"GET /postern/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = check("get", get.to_vec());
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let answer = check("other path", post("/elsewhere", page, page.len()));
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    check("no http", b"\x16\x03\x01 this is no HTTP\r\n\r\n".to_vec());
    // The device notices nothing of it.
    let revision = fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.wait_applied(revision).unwrap();
    let status = fleet.wait_converged("hall-1").unwrap();
    assert_eq!(status["rejects"], serde_json::json!([]));
}

#[test]
fn body_that_ends_early_is_given_up_and_the_controller_serves_on() {
    let Some((fleet, mut device)) = scene("truncated body").unwrap() else {
        return;
    };
    let answer = send(&fleet, &post(PATH, b"\x01\x02\x03", 1_000)).unwrap();
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    let revision = fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.wait_applied(revision).unwrap();
}
