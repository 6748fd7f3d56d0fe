//! What goes over the pair: short lines one way, one message with sockets the other way.
//!
//! Refuses more sockets, a longer head or more session bytes than a relay has.

use crate::limits::{HANDOVER_HEAD_BYTES_MAX, HANDOVER_SOCKETS_MAX};
use postern_relay::HANDED_SESSIONS_BYTES_MAX;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use zeroize::Zeroizing;

/// The layout of this file; both ends have the same.
pub(super) const VERSION: u32 = 1;
/// The next process has read all that an operator can get wrong.
pub(super) const READY: &str = "ready 1";
/// The next process serves.
pub(super) const SERVING: &str = "serving";
/// The next process ends; why stands behind it.
pub(super) const REFUSED: &str = "refused ";
/// The byte that the sockets ride on.
const MARK: u8 = b'S';

/// Which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Name {
    /// Devices and controllers, over TCP.
    Https,
    /// Devices, over UDP.
    Quic,
    /// Metrics and health.
    Health,
    /// The admin socket.
    Operators,
}

/// What stands before the sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// [`VERSION`].
    pub(super) version: u32,
    /// The sockets, in the order in which they were sent.
    pub(super) sockets: Vec<Name>,
    /// Milliseconds since boot when the sessions were packed.
    pub(super) packed_ms: u64,
    /// Bytes of the sessions; 0 for none.
    pub(super) sessions_bytes: usize,
}

/// Sends sockets, head and sessions.
pub(super) fn send(
    mut stream: &UnixStream,
    head: &Head,
    sockets: &[BorrowedFd<'_>],
    sessions: &[u8],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDOVER_SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(
        stream,
        &[IoSlice::new(&[MARK])],
        &mut control,
        SendFlags::empty(),
    )?;
    let mut line = serde_json::to_vec(head)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.write_all(sessions)
}

/// What was sent.
pub(super) struct Received {
    pub(super) head: Head,
    pub(super) sockets: Vec<OwnedFd>,
    pub(super) sessions: Zeroizing<Vec<u8>>,
}

/// Receives what [`send`] sent; `None` when the other end went away before.
pub(super) fn receive(stream: &UnixStream) -> io::Result<Option<Received>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDOVER_SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut mark = [0];
    let mut into = [IoSliceMut::new(&mut mark)];
    let got = recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            sockets.extend(sent);
        }
    }
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    (&mut reader)
        .take(HANDOVER_HEAD_BYTES_MAX)
        .read_until(b'\n', &mut line)?;
    let head: Head = serde_json::from_slice(&line)?;
    let is_known = mark == [MARK] && head.version == VERSION;
    let is_bounded = head.sessions_bytes <= HANDED_SESSIONS_BYTES_MAX;
    if !is_known || !is_bounded || head.sockets.len() != sockets.len() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut sessions = Zeroizing::new(vec![0; head.sessions_bytes]);
    reader.read_exact(&mut sessions)?;
    Ok(Some(Received {
        head,
        sockets,
        sessions,
    }))
}

/// Writes one line.
pub(super) fn write_line(mut stream: &UnixStream, line: &str) -> io::Result<()> {
    let line = format!("{}\n", line.replace('\n', " "));
    stream.write_all(line.as_bytes())
}

/// Reads one line, byte by byte: nothing behind it is taken.
pub(super) fn read_line(mut stream: &UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match byte {
            [b'\n'] => return String::from_utf8(line).map_err(io::Error::other),
            [_] if line.len() as u64 >= HANDOVER_HEAD_BYTES_MAX => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            [other] => line.push(other),
        }
    }
}
