//! What one end says that the other must not believe.

use super::wire::{Head, Name, VERSION, read_line, receive, send};
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

fn head(sockets: Vec<Name>, sessions_bytes: usize) -> Head {
    Head {
        version: VERSION,
        sockets,
        packed_ms: 7,
        sessions_bytes,
    }
}

/// Sends this head with so many sockets and session bytes; returns why it was refused.
fn check(head: &Head, sockets: usize, sessions: &[u8]) -> Option<ErrorKind> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets: Vec<BorrowedFd<'_>> = (0..sockets).map(|_| socket.as_fd()).collect();
    send(&ours, head, &sockets, sessions).unwrap();
    drop(ours);
    match receive(&theirs) {
        Ok(received) => {
            assert_eq!(received.unwrap().sockets.len(), sockets.len());
            None
        }
        Err(error) => Some(error.kind()),
    }
}

#[test]
fn sockets_and_sessions_arrive_as_they_were_sent() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let sent = head(vec![Name::Https], 3);
    send(&ours, &sent, &[socket.as_fd()], b"abc").unwrap();
    let received = receive(&theirs).unwrap().unwrap();
    assert_eq!(
        (&received.head, &received.sessions[..]),
        (&sent, &b"abc"[..])
    );
    let taken = TcpListener::from(received.sockets.into_iter().next().unwrap());
    assert_eq!(taken.local_addr().unwrap(), socket.local_addr().unwrap());
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let two = vec![Name::Https, Name::Health];
    assert_eq!(check(&head(two.clone(), 1), 2, b"a"), None);
    let refused = Some(ErrorKind::InvalidData);
    assert_eq!(check(&head(two.clone(), 0), 1, b""), refused);
    assert_eq!(check(&head(vec![Name::Quic], 0), 2, b""), refused);
    let other = Head {
        version: VERSION + 1,
        ..head(two.clone(), 0)
    };
    assert_eq!(check(&other, 2, b""), refused);
    assert_eq!(check(&head(two.clone(), usize::MAX), 2, b""), refused);
    // Fewer bytes than were named.
    assert_eq!(
        check(&head(two, 5), 2, b"abc"),
        Some(ErrorKind::UnexpectedEof)
    );
}

#[test]
fn more_sockets_than_a_relay_has_are_not_sent() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets = [socket.as_fd(); 64];
    let refused = send(&ours, &head(vec![Name::Https; 64], 0), &sockets, b"");
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn predecessor_that_goes_away_leaves_nothing() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    assert!(receive(&theirs).unwrap().is_none());
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"X{\"version\":1}\n").unwrap();
    drop(ours);
    assert!(receive(&theirs).is_err());
}

#[test]
fn line_without_an_end_is_refused() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(&[b'a'; 5_000]).unwrap();
    assert_eq!(
        read_line(&theirs).unwrap_err().kind(),
        ErrorKind::InvalidData
    );
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"ready").unwrap();
    drop(ours);
    assert_eq!(
        read_line(&theirs).unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
}
